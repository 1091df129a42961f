import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Compactions, EncodedFiles } from '../../tests/compaction-world.ts';
import {
  collectionId,
  deleteParts,
  insertParts,
  PlainEngine,
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
import { isDbError } from '../errors/db-error.ts';
import type { HybridTime } from '../model/hybrid-time.ts';
import { ALL_PARTITIONS, type SegmentId } from '../model/ids.ts';
import type { SegmentRecord } from '../model/records.ts';
import { systemClock } from '../support/system-clock.ts';
import { CollectionRows } from './collection.ts';
import { planUpdate } from './loader.ts';
import { Pacer, type SliceLimits, Turns } from './pacer.ts';
import { LocalQueryNode } from './querynode.ts';
import { diffSegments } from './view-diff.ts';

const [first] = partitions as readonly [(typeof partitions)[0]];
/** Even keys stand on one channel. */
const rowsFrom = (from: number, count: number): Row[] =>
  Array.from({ length: count }, (_, i) => ({ key: 2 * (from + i), tag: from + i }));
const turns = async (count: number) => {
  for (let i = 0; i < count; i++)
    await new Promise<void>((resolve) => {
      setImmediate(resolve);
    });
};
const opened = () => {
  let open: () => void = () => undefined;
  const gate = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { gate, open };
};

async function world(slices: Partial<SliceLimits> = {}) {
  const log = new PlainLog();
  const engine = new PlainEngine();
  const files = new EncodedFiles('Int64', schemaOf('Int64'));
  const catalog = new Compactions(log, files);
  const node = new LocalQueryNode({
    streamingNode: log.node(),
    files,
    engine,
    filters: plainFilters,
    clock: systemClock,
    slices,
  });
  const view = () => viewOf(files.schema, catalog.records, partitions, log.unflushed);
  const publish = () => node.update(view());
  const insert = (rows: readonly Row[]) => log.write(insertParts('Int64', first, rows));
  const erase = (keys: readonly number[]) => log.write(deleteParts('Int64', ALL_PARTITIONS, keys));
  const flushAll = async () => {
    while (await catalog.flush(0));
  };
  const tags = async () =>
    plainRows(await node.query({ collectionId, outputFields: [TAG] })).map((row) => row[TAG]);
  const count = () => node.count({ collectionId });
  /** The segment that is written last. */
  const newest = () => catalog.records.at(-1)!.segmentId;
  await node.load(view());
  return { log, engine, files, catalog, node, view, publish, insert, erase, flushAll, tags, count, newest };
}

test('a segment that was flushed and compacted away between two views leaves no rows of the log', async () => {
  const { insert, flushAll, catalog, publish, count, tags, node } = await world();
  insert(rowsFrom(0, 3));
  await flushAll();
  await catalog.compact(0, true);
  await publish();
  assert.equal(await count(), 3);
  assert.deepEqual(await tags(), [0, 1, 2]);
  await node.close();
});

test('a collection that is loaded while the log still holds a segment that was compacted away reads its rows once', async () => {
  const { insert, flushAll, catalog, count, node, view } = await world();
  insert(rowsFrom(0, 3));
  await flushAll();
  await catalog.compact(0, true);
  await node.release(collectionId);
  await node.load(view());
  assert.equal(await count(), 3);
  await node.close();
});

test('a write that still waits behind a large one when its segment is compacted away does not come back from the log', async () => {
  const { log, insert, erase, catalog, publish, count, node } = await world();
  erase(Array.from({ length: 400_000 }, (_, i) => 1000 + i));
  const ts = insert(rowsFrom(0, 3));
  await catalog.flush(log.unflushed.length - 1);
  await catalog.compact(0, true);
  const published = publish();
  await turns(5);
  assert.ok(node.visibleTs < ts, 'the write still waits');
  await published;
  assert.ok(node.visibleTs >= ts, 'the handover has waited for it');
  assert.equal(await count(), 3);
  await node.close();
});

test('a read that waits behind a large write sees nothing of an upsert that came after it and is flushed meanwhile', async () => {
  const { log, insert, erase, flushAll, publish, node, tags, count } = await world();
  insert(rowsFrom(0, 3));
  await flushAll();
  await publish();
  erase(rowsFrom(1000, 100_000).map(({ key }) => key));
  const before = [tags(), count()];
  await turns(1);
  log.write([
    ...deleteParts('Int64', ALL_PARTITIONS, [2]),
    ...insertParts('Int64', first, [{ key: 2, tag: 7 }]),
  ]);
  await flushAll();
  await publish();
  assert.deepEqual(await Promise.all(before), [[0, 1, 2], 3]);
  assert.deepEqual(await tags(), [0, 7, 2]);
  await node.close();
});

test('a read that waits behind a large write sees no delete that came after it and is flushed and merged meanwhile', async () => {
  const { insert, erase, flushAll, catalog, publish, node, tags, count } = await world({
    turnUnits: 1,
    lookupsAtOnce: 3,
    deleteKeys: 1,
  });
  insert(rowsFrom(0, 3));
  await flushAll();
  await publish();
  erase(rowsFrom(1000, 100).map(({ key }) => key));
  const before = [tags(), count()];
  await turns(1);
  for (const key of [0, 2]) {
    erase([key]);
    await flushAll();
  }
  while (await catalog.mergeDeletes(0));
  await publish();
  assert.deepEqual(await Promise.all(before), [[0, 1, 2], 3]);
  assert.deepEqual(await tags(), [2]);
  await node.close();
});

test('deletes that arrive while the output of a compaction is loading kill rows in it', async () => {
  const { insert, flushAll, catalog, publish, erase, files, newest, tags, count, node } = await world();
  insert(rowsFrom(0, 3));
  await flushAll();
  insert(rowsFrom(10, 3));
  await flushAll();
  await publish();
  await catalog.compact(0, true);
  insert(rowsFrom(20, 1));
  const slow = opened();
  await flushAll();
  // The output is ready, another segment of the same view is not.
  files.gates.set(newest(), slow.gate);
  const updated = publish();
  await turns(10);
  erase([0]);
  assert.deepEqual(await tags(), [1, 2, 10, 11, 12, 20]);
  erase([20]);
  slow.open();
  await updated;
  assert.deepEqual(await tags(), [1, 2, 11, 12, 20]);
  assert.equal(await count(), 5);
  await node.close();
});

test('a search that runs while its segments are compacted away reads their memory to the end, and it is freed then', async () => {
  const { insert, flushAll, catalog, publish, engine, node, count } = await world();
  for (let i = 0; i < 4; i++) {
    insert(rowsFrom(10 * i, 5));
    await flushAll();
  }
  await publish();
  const found = node.search({
    collectionId,
    fieldId: VECTOR,
    queries: floatQueries(3, [0, 0, 1]),
    queryCount: 1,
    topK: 20,
    offset: 0,
    metric: 'L2',
    outputFields: [TAG],
  });
  while (engine.scans === 0) await Promise.resolve();
  await catalog.compact(3, true);
  await publish();
  assert.equal(plainRows((await found).rows).length, 20);
  assert.equal(engine.blocks, 1, 'the output alone');
  assert.equal(await count(), 20);
  await node.close();
  assert.equal(engine.blocks, 0);
});

test('a release while the output of a compaction is loading frees it and its sources', async () => {
  const { insert, flushAll, catalog, publish, engine, node, files, newest } = await world();
  insert(rowsFrom(0, 3));
  await flushAll();
  await publish();
  await catalog.compact(0, true);
  const slow = opened();
  files.gates.set(newest(), slow.gate);
  const updated = assert.rejects(publish(), (error) => isDbError(error, 'collection-not-loaded'));
  await turns(3);
  const released = node.release(collectionId);
  slow.open();
  await Promise.all([updated, released]);
  assert.equal(engine.blocks, 0);
  await node.close();
});

test('deletes that no segment needs any more are forgotten: memory returns to the baseline', async () => {
  const { insert, flushAll, catalog, publish, erase, node, count } = await world();
  insert(rowsFrom(0, 2000));
  await flushAll();
  await publish();
  const baseline = node.deleteCount;
  erase(rowsFrom(0, 1500).map(({ key }) => key));
  await flushAll();
  await publish();
  assert.equal(node.deleteCount, 1500);
  await catalog.compact(0, true);
  await publish();
  assert.equal(node.deleteCount, 1500, 'the delete segment is still there');
  await catalog.retire();
  await publish();
  await publish();
  assert.equal(node.deleteCount, baseline);
  assert.equal(await count(), 500);
  await node.close();
});

test('deletes that stand in the log alone are kept when older ones are forgotten', async () => {
  const { insert, flushAll, catalog, publish, erase, node, tags } = await world();
  insert(rowsFrom(0, 6));
  erase([0, 2]);
  await flushAll();
  await publish();
  erase([4]);
  await catalog.compact(0, true);
  await catalog.retire();
  await publish();
  await publish();
  assert.equal(node.deleteCount, 1);
  // The output of another compaction, for which the delete of the log comes too late.
  await catalog.compact(0, true);
  await publish();
  assert.deepEqual(await tags(), [3, 4, 5]);
  await node.close();
});

test('an older segment whose load ends after its deletes were retired shows none of the dead rows', async () => {
  const { insert, flushAll, catalog, publish, erase, node, files, newest, tags, count } = await world();
  insert(rowsFrom(0, 4));
  await flushAll();
  const older = newest();
  const slow = opened();
  files.gates.set(older, slow.gate);
  const first = publish();
  await turns(3);
  erase([0, 2]);
  await flushAll();
  const second = publish();
  await catalog.compact(0, true);
  await catalog.retire();
  assert.equal(catalog.records.length, 1);
  const third = publish();
  await turns(10);
  assert.deepEqual(await tags(), [2, 3]);
  slow.open();
  await first;
  assert.deepEqual(await tags(), [2, 3]);
  await second;
  assert.deepEqual(await tags(), [2, 3]);
  await third;
  assert.equal(await count(), 2);
  await publish();
  assert.equal(node.deleteCount, 0);
  await node.close();
});

test('merged delete segments bring nothing new, and are all there is after a fresh load', async () => {
  const { insert, flushAll, catalog, publish, erase, node, files, newest, tags, view } = await world();
  insert(rowsFrom(0, 6));
  for (const key of [0, 2, 0]) {
    erase([key]);
    await flushAll();
  }
  await publish();
  await catalog.mergeDeletes(0);
  await publish();
  assert.equal(node.deleteCount, 2);
  assert.deepEqual(await tags(), [2, 3, 4, 5]);
  await node.release(collectionId);
  files.reads.length = 0;
  await node.load(view());
  assert.deepEqual(files.reads.filter((id) => id === newest()).length, 1);
  assert.deepEqual(await tags(), [2, 3, 4, 5]);
  await node.close();
});

test('a view whose compaction output cannot be read changes nothing: sources and deletes stay', async () => {
  const { insert, flushAll, catalog, publish, erase, node, files, newest, tags } = await world();
  insert(rowsFrom(0, 4));
  await flushAll();
  erase([0]);
  await flushAll();
  await publish();
  await catalog.compact(0, true);
  await catalog.retire();
  files.gates.set(newest(), Promise.reject(new Error('unreadable')));
  await assert.rejects(publish(), /unreadable/);
  assert.deepEqual(await tags(), [1, 2, 3]);
  assert.equal(node.deleteCount, 1);
  files.gates.clear();
  await publish();
  await publish();
  assert.deepEqual(await tags(), [1, 2, 3]);
  assert.equal(node.deleteCount, 0);
  await node.close();
});

test('a reader that cannot take over a flushed segment keeps its rows when the log is cut', async () => {
  const { log, insert, flushAll, publish, erase, node, files, newest, tags } = await world();
  insert(rowsFrom(0, 3));
  await flushAll();
  files.gates.set(newest(), Promise.reject(new Error('unreadable')));
  await assert.rejects(publish(), /unreadable/);
  log.release(newest());
  erase([0]);
  insert(rowsFrom(3, 1));
  assert.deepEqual(await tags(), [1, 2, 3]);
  files.gates.clear();
  await publish();
  assert.deepEqual(await tags(), [1, 2, 3]);
  await node.close();
});

test('what differs between two views is found in any order of their segments', () => {
  const record = (id: number, minTs = 0n): SegmentRecord =>
    ({ segmentId: BigInt(id) as SegmentId, minTs: minTs as HybridTime }) as SegmentRecord;
  const was = [1, 2, 3, 4, 5].map((id) => record(id));
  const [one, two, three, , five] = was as [
    SegmentRecord,
    SegmentRecord,
    SegmentRecord,
    SegmentRecord,
    SegmentRecord,
  ];
  const [changed, six] = [record(2, 9n), record(6)];
  for (const is of [
    [one, three, five, changed, six],
    [six, five, changed, three, one],
    [three, one, six, changed, five],
  ]) {
    const { gone, fresh } = diffSegments(was, is);
    assert.deepEqual(
      gone.map(({ segmentId }) => segmentId),
      [4n],
    );
    assert.deepEqual(new Set(fresh), new Set([changed, six]));
  }
  assert.deepEqual(diffSegments(was, [...was].reverse()), { gone: [], fresh: [] });
  assert.deepEqual(diffSegments([], was).fresh, was);
  assert.deepEqual(diffSegments(was, []).gone, was);
  assert.ok(two);
});

test('a view in which one of 10,000 segments is new looks at no other', () => {
  const rows = new CollectionRows(
    viewOf(schemaOf('Int64'), []),
    new PlainEngine(),
    new Pacer(new Turns(), new AbortController().signal),
  );
  let looks = 0;
  const record = (id: number) =>
    ({
      segmentId: BigInt(id) as SegmentId,
      get level() {
        looks++;
        return 'L1' as const;
      },
    }) as SegmentRecord;
  const segments = Array.from({ length: 10_000 }, (_, id) => record(id));
  const before = viewOf(schemaOf('Int64'), segments);
  rows.swap({ view: before, plan: planUpdate(rows, before), handedOver: [], loaded: [], reindexed: [] });
  looks = 0;
  const plan = planUpdate(
    rows,
    viewOf(schemaOf('Int64'), [...segments.slice(0, 5000), ...segments.slice(5030), record(77_777)]),
  );
  assert.equal(plan.load.length, 1);
  assert.equal(plan.gone.length, 30);
  assert.equal(looks, 1);
});
