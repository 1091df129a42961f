import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { batchOf, partitions, schemaOf } from '../../tests/query-world.ts';
import { hybridTime } from '../model/hybrid-time.ts';
import type { SegmentId } from '../model/ids.ts';
import { DeleteMap } from '../segment/delete-map.ts';
import { forEachRow } from './bitmap.ts';
import { unexpired } from './expired.ts';
import { Pacer, Turns } from './pacer.ts';
import { Unit, type UnitView } from './unit.ts';

const schema = schemaOf('Int64');
const [partitionId] = partitions;

function unitOf(bornMs: readonly number[]): Unit {
  const rows = bornMs.map((_, key) => ({ key, tag: key }));
  const columns = new Map([...batchOf('Int64', rows).columns].map(([id, column]) => [id, { column }]));
  const timestamps = BigInt64Array.from(bornMs, (ms, row) => hybridTime(ms, row % 5));
  const place = { segmentId: 1n as SegmentId, partitionId: partitionId!, channel: 'c' };
  const unit = new Unit({ place, schema, capacity: rows.length, columns, timestamps, vectors: new Map() });
  unit.reveal(rows.length, new DeleteMap());
  return unit;
}

const pacer = () => new Pacer(new Turns(), new AbortController().signal);

function rowsOf(views: readonly UnitView[]): number[] {
  const rows: number[] = [];
  for (const { live } of views) forEachRow(live, 0, live.length, (row) => rows.push(row));
  return rows;
}

test('a reader sees exactly the rows whose age is below the time to live, in or out of the order of time, again and again', async () => {
  const births = fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1, maxLength: 150 });
  await fc.assert(
    fc.asyncProperty(births, fc.boolean(), async (unordered, isSorted) => {
      const bornMs = isSorted ? unordered.toSorted((a, b) => a - b) : unordered;
      const unit = unitOf(bornMs);
      for (const nowMs of [0, 50, 50, 120, 299, 400]) {
        const view = unit.view();
        const seen = await unexpired([view], { ttlMs: 100, pauses: [] }, nowMs, pacer());
        const expected = bornMs.flatMap((ms, row) => (nowMs - ms < 100 ? [row] : []));
        assert.deepEqual(rowsOf(seen), expected);
        assert.equal(
          seen.reduce((sum, { liveCount }) => sum + liveCount, 0),
          expected.length,
        );
        assert.equal(seen.length, expected.length === 0 ? 0 : 1);
        view.release();
      }
      assert.equal(unit.liveCount, bornMs.length, 'the unit itself is as it was');
      unit.release();
    }),
    { numRuns: 60, seed: 3 },
  );
});

test('while rows do not expire a read gets the very views it took', async () => {
  const unit = unitOf([1, 2, 3]);
  const views = [unit.view()];
  assert.equal(await unexpired(views, undefined, 10_000, pacer()), views);
  const [same] = await unexpired(views, { ttlMs: 1000, pauses: [] }, 1000, pacer());
  assert.equal(same, views[0]);
  for (const view of views) view.release();
  unit.release();
});
