/** Groups, iterators, orders and fusions against slow, obvious versions over all rows. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  batchOf,
  channelOf,
  channels,
  collectionId,
  deleteParts,
  filterBy,
  insertParts,
  keysOf,
  PK,
  PlainEngine,
  PlainFiles,
  PlainLog,
  partitions,
  plainFilters,
  plainRows,
  type Row,
  schemaOf,
  TAG,
  VECTOR,
  viewOf,
} from '../../tests/query-world.ts';
import { floatQueries } from '../../tests/vectors.ts';
import type { SegmentId } from '../model/ids.ts';
import type { SegmentRecord } from '../model/records.ts';
import { systemClock } from '../support/system-clock.ts';
import type { SearchRequest } from './api.ts';
import { LocalQueryNode } from './querynode.ts';

const TYPE = 'Int64';
const partition = partitions[0]!;
const QUERY = [2.25, 1, 0];

/** Many rows have one score: it says nothing of the key but its rest by five. */
const scoreOf = ({ tag, key }: Row): number =>
  Math.fround((tag - QUERY[0]!) ** 2 + ((key % 5) - QUERY[1]!) ** 2 + 1);
const byScore = (a: Row, b: Row): number => scoreOf(a) - scoreOf(b) || a.key - b.key;

/** The rows in two flushed segments and in the log. */
async function worldOf(rows: readonly Row[]) {
  const log = new PlainLog();
  const engine = new PlainEngine();
  const files = new PlainFiles(engine);
  const node = new LocalQueryNode({
    streamingNode: log.node(),
    files,
    engine,
    filters: plainFilters,
    clock: systemClock,
    slices: { turnUnits: 2000 },
  });
  const segments = channels.map((channel, i): SegmentRecord => {
    const own = rows.filter((row) => channelOf(row.key) === channel && row.key % 3 > 0);
    const segmentId = BigInt(i + 1) as SegmentId;
    files.stored.set(segmentId, {
      batch: batchOf(TYPE, own),
      timestamps: new BigInt64Array(own.length).fill(5n),
      keys: keysOf(TYPE, []),
    });
    return {
      segmentId,
      collectionId,
      partitionId: partition,
      channel,
      level: 'L1',
      state: 'flushed',
      rowCount: own.length,
      minTs: 5n as SegmentRecord['minTs'],
      maxTs: 5n as SegmentRecord['maxTs'],
      files: [],
      indexes: [],
    };
  });
  await node.load(
    viewOf(
      schemaOf(TYPE),
      segments.filter(({ rowCount }) => rowCount > 0),
    ),
  );
  const growing = rows.filter(({ key }) => key % 3 === 0);
  if (growing.length > 0) log.write(insertParts(TYPE, partition, growing));
  return { node, log, engine };
}

const request = (more: Partial<SearchRequest>): SearchRequest => ({
  collectionId,
  fieldId: VECTOR,
  queries: floatQueries(3, QUERY),
  queryCount: 1,
  topK: 5,
  offset: 0,
  metric: 'L2',
  outputFields: [PK, TAG],
  ...more,
});

const found = async (node: LocalQueryNode, more: Partial<SearchRequest>) => {
  const result = await node.search(request(more));
  const rows = plainRows(result.rows).map((row): Row => ({ key: Number(row[PK]), tag: Number(row[TAG]) }));
  assert.deepEqual(
    [...result.scores],
    rows.map((row) => scoreOf(row)),
  );
  return { result, rows };
};

/** A few common tags and some rare ones, far and near. */
const tag = fc.oneof({ weight: 8, arbitrary: fc.constantFrom(2, 3) }, { weight: 1, arbitrary: fc.nat(12) });
const table = fc
  .array(tag, { minLength: 1, maxLength: 400 })
  .map((tags) => tags.map((each, key): Row => ({ key, tag: each })));

function groupsOf(rows: readonly Row[], size: number): Row[][] {
  const groups = new Map<number, Row[]>();
  for (const row of [...rows].sort(byScore)) {
    const group = groups.get(row.tag) ?? [];
    if (group.length < size) group.push(row);
    groups.set(row.tag, group);
  }
  return [...groups.values()];
}

test('strict groups hold the best rows of the best groups, whatever the units, the filter and the offset', async () => {
  const page = fc.record({
    size: fc.integer({ min: 1, max: 40 }),
    limit: fc.integer({ min: 1, max: 6 }),
    offset: fc.nat(3),
    isFiltered: fc.boolean(),
  });
  await fc.assert(
    fc.asyncProperty(table, page, async (rows, { size, limit, offset, isFiltered }) => {
      const { node } = await worldOf(rows);
      const kept = isFiltered ? rows.filter((row) => row.tag !== 3) : rows;
      const { result, rows: hits } = await found(node, {
        topK: limit + offset,
        offset,
        groupBy: { places: [{ fieldId: TAG }], size, isStrict: true },
        ...(isFiltered ? { filter: filterBy(TAG, (value) => value !== 3) } : {}),
      });
      const wanted = groupsOf(kept, size)
        .slice(offset, offset + limit)
        .flat();
      assert.deepEqual(hits, wanted);
      assert.deepEqual([...result.counts], [wanted.length]);
      await node.close();
    }),
    { seed: 5, numRuns: 60 },
  );
});

test('groups that need not be full are the best groups with their best rows, and never too large', async () => {
  await fc.assert(
    fc.asyncProperty(
      table,
      fc.integer({ min: 1, max: 9 }),
      fc.integer({ min: 1, max: 6 }),
      async (rows, size, limit) => {
        const { node } = await worldOf(rows);
        const { rows: hits } = await found(node, {
          topK: limit,
          groupBy: { places: [{ fieldId: TAG }], size, isStrict: false },
        });
        const wanted = groupsOf(rows, size).slice(0, limit);
        const byTag = groupsOf(hits, Number.POSITIVE_INFINITY);
        assert.deepEqual(
          byTag.map(([best]) => best),
          wanted.map(([best]) => best),
        );
        assert.ok(byTag.every((group) => group.length <= size));
        await node.close();
      },
    ),
    { seed: 6, numRuns: 60 },
  );
});

test('groups cost a bounded number of scans, however many rows the first groups have', async () => {
  const rows = Array.from({ length: 3000 }, (_, key): Row => ({ key, tag: key < 2990 ? 2 : key }));
  const { node, engine } = await worldOf(rows);
  const before = engine.scans;
  const { rows: hits } = await found(node, {
    topK: 5,
    groupBy: { places: [{ fieldId: TAG }], size: 2, isStrict: true },
  });
  assert.equal(new Set(hits.map((row) => row.tag)).size, 5);
  assert.ok(engine.scans - before < 60, `${engine.scans - before} scans`);
  await node.close();
});

test('an iterator hands out every row of its beginning once, nearest first, while rows are written and deleted', async () => {
  const steps = fc.array(
    fc.record({
      batch: fc.integer({ min: 1, max: 40 }),
      kind: fc.constantFrom('upsert', 'delete', 'insert', 'none'),
      keys: fc.uniqueArray(fc.nat(60), { maxLength: 9 }),
    }),
    { minLength: 1, maxLength: 12 },
  );
  await fc.assert(
    fc.asyncProperty(table, steps, async (rows, plan) => {
      const { node, log } = await worldOf(rows);
      const seen: Row[] = [];
      let iterator: NonNullable<SearchRequest['iterator']> = {};
      for (let step = 0; ; step++) {
        const { batch, kind, keys } = plan[step % plan.length]!;
        const { result, rows: hits } = await found(node, { topK: batch, iterator });
        assert.ok(hits.length <= batch);
        if (hits.length === 0) break;
        seen.push(...hits);
        iterator = result.next!;
        if (kind === 'delete' || kind === 'upsert') log.write(deleteParts(TYPE, partition, keys));
        if (kind === 'upsert')
          log.write(
            insertParts(
              TYPE,
              partition,
              keys.map((key) => ({ key, tag: 2 })),
            ),
          );
        if (kind === 'insert') log.write(insertParts(TYPE, partition, [{ key: 1000 + step, tag: 2 }]));
      }
      const order = [...rows].sort(byScore);
      assert.deepEqual([...seen].sort(byScore), order);
      assert.deepEqual(seen.map(scoreOf), order.map(scoreOf));
      await node.close();
    }),
    { seed: 7, numRuns: 50 },
  );
});

test('an iterator that was forgotten goes on behind its last score', async () => {
  const rows = Array.from({ length: 40 }, (_, key): Row => ({ key, tag: key }));
  const { node } = await worldOf(rows);
  const { result } = await found(node, { topK: 7, iterator: {} });
  const { rows: next } = await found(node, {
    topK: 7,
    iterator: { token: 'from another life', lastBound: result.next!.lastBound },
  });
  const bound = result.scores.at(-1)!;
  assert.deepEqual(
    next,
    [...rows]
      .sort(byScore)
      .filter((row) => scoreOf(row) > bound)
      .slice(0, 7),
  );
  await node.close();
});

test('hits are ordered by fields before the offset is taken, and so are groups by their best rows', async () => {
  await fc.assert(
    fc.asyncProperty(
      table,
      fc.integer({ min: 1, max: 20 }),
      fc.nat(5),
      fc.boolean(),
      async (rows, limit, offset, isDescending) => {
        const { node } = await worldOf(rows);
        const orderBy = [{ fieldId: TAG, isDescending, nullsFirst: false }];
        const way = isDescending ? -1 : 1;
        const { rows: hits } = await found(node, { topK: limit + offset, offset, orderBy });
        const nearest = [...rows].sort(byScore).slice(0, limit + offset);
        const inOrder = nearest.sort((a, b) => way * (a.tag - b.tag) || byScore(a, b));
        assert.deepEqual(hits, inOrder.slice(offset));
        const grouped = await found(node, {
          topK: limit + offset,
          offset,
          orderBy,
          groupBy: { places: [{ fieldId: TAG }], size: 2, isStrict: true },
        });
        const groups = groupsOf(rows, 2).slice(0, limit + offset);
        groups.sort(([a], [b]) => way * (a!.tag - b!.tag));
        assert.deepEqual(grouped.rows, groups.slice(offset).flat());
        const queried = await node.query({ collectionId, outputFields: [PK, TAG], limit, offset, orderBy });
        const all = [...rows].sort((a, b) => way * (a.tag - b.tag) || a.key - b.key);
        assert.deepEqual(
          plainRows(queried).map((row) => ({ key: row[PK], tag: row[TAG] })),
          all.slice(offset, offset + limit),
        );
        await node.close();
      },
    ),
    { seed: 8, numRuns: 40 },
  );
});

test('aggregates of groups are those of their rows', async () => {
  await fc.assert(
    fc.asyncProperty(table, fc.nat(3), async (rows, offset) => {
      const { node } = await worldOf(rows);
      const result = await node.aggregate({
        collectionId,
        groupBy: [TAG],
        aggregates: [
          { kind: 'count' },
          { kind: 'sum', fieldId: PK },
          { kind: 'avg', fieldId: PK },
          { kind: 'min', fieldId: PK },
          { kind: 'max', fieldId: PK },
        ],
        limit: 4,
        offset,
      });
      const tags = [...new Set(rows.map((row) => row.tag))].sort((a, b) => a - b).slice(offset, offset + 4);
      const wanted = tags.map((each) => {
        const keys = rows.filter((row) => row.tag === each).map(({ key }) => key);
        const sum = keys.reduce((all, key) => all + key, 0);
        return [each, keys.length, sum, sum / keys.length, Math.min(...keys), Math.max(...keys)];
      });
      const columns = result.columns.map((column) =>
        column.layout === 'fixed' ? [...column.values].map(Number) : [],
      );
      assert.deepEqual(
        tags.map((_, row) => columns.map((column) => column[row])),
        wanted,
      );
      assert.equal(result.rowCount, wanted.length);
      await node.close();
    }),
    { seed: 9, numRuns: 40 },
  );
});

test('a hybrid search fuses the lists of its searches by key, and takes the offset from the fused list', async () => {
  await fc.assert(
    fc.asyncProperty(table, fc.integer({ min: 1, max: 9 }), fc.nat(4), async (rows, limit, offset) => {
      const { node } = await worldOf(rows);
      const far = floatQueries(3, [9, 3, 0]);
      const searches = [
        request({ topK: 12 }),
        request({ topK: 7, queries: far, filter: filterBy(TAG, (value) => value !== 2) }),
      ];
      const result = await node.hybridSearch({
        collectionId,
        queryCount: 1,
        searches,
        fusion: { kind: 'rrf', k: 60 },
        groupScore: 'max',
        limit,
        offset,
        outputFields: [PK],
      });
      const farScore = ({ tag: t, key }: Row) => Math.fround((t - 9) ** 2 + ((key % 5) - 3) ** 2 + 1);
      const lists = [
        [...rows].sort(byScore).slice(0, 12),
        rows
          .filter((row) => row.tag !== 2)
          .sort((a, b) => farScore(a) - farScore(b) || a.key - b.key)
          .slice(0, 7),
      ];
      const scores = new Map<number, number>();
      for (const list of lists)
        for (const [i, { key }] of list.entries()) scores.set(key, (scores.get(key) ?? 0) + 1 / (60 + i + 1));
      const wanted = [...scores].sort((a, b) => b[1] - a[1] || a[0] - b[0]).slice(offset, offset + limit);
      assert.deepEqual(
        plainRows(result.rows).map((row) => row[PK]),
        wanted.map(([key]) => key),
      );
      assert.deepEqual(
        [...result.scores],
        wanted.map(([, score]) => Math.fround(score)),
      );
      await node.close();
    }),
    { seed: 10, numRuns: 40 },
  );
});
