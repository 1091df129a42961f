import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '../../tests/heart/manual-clock.ts';
import {
  batchOf,
  channelOf,
  channels,
  collectionId,
  DIM,
  deleteParts,
  filterBy,
  filterKeys,
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
  rowsOfBatch,
  schemaOf,
  TAG,
  VECTOR,
  viewOf,
} from '../../tests/query-world.ts';
import { floatQueries } from '../../tests/vectors.ts';
import { isDbError } from '../errors/db-error.ts';
import {
  ALL_PARTITIONS,
  type BuildId,
  type CollectionId,
  type IndexId,
  type SegmentId,
} from '../model/ids.ts';
import type { SegmentRecord } from '../model/records.ts';
import type { CollectionView } from './api.ts';
import { defaultLimits, LocalQueryNode, type QueryNodeLimits } from './querynode.ts';

const [first, second] = partitions as readonly [(typeof partitions)[0], (typeof partitions)[0]];
const schema = schemaOf('Int64');
const rowsFrom = (from: number, count: number): Row[] =>
  Array.from({ length: count }, (_, i) => ({ key: from + i, tag: from + i }));
const turn = () =>
  new Promise<void>((resolve) => {
    setImmediate(resolve);
  });
const turns = async (count: number) => {
  for (let i = 0; i < count; i++) await turn();
};
const opened = () => {
  let open: () => void = () => undefined;
  const gate = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { gate, open };
};

function world(limits: Partial<QueryNodeLimits> = {}) {
  const log = new PlainLog();
  const engine = new PlainEngine();
  const files = new PlainFiles(engine);
  const clock = new ManualClock();
  /** Views here say nothing of the log: it is as it is at the moment of the call. */
  class Node extends LocalQueryNode {
    override load(view: CollectionView) {
      return super.load({ ...view, unflushed: log.unflushed });
    }
    override update(view: CollectionView) {
      return super.update({ ...view, unflushed: log.unflushed });
    }
  }
  const node = new Node({
    streamingNode: log.node(),
    files,
    engine,
    filters: plainFilters,
    clock,
    limits,
  });
  /** A flushed segment that never stood in this log. */
  const stored = (id: bigint, rows: readonly Row[], more: Partial<SegmentRecord> = {}): SegmentRecord => {
    const segmentId = id as SegmentId;
    files.stored.set(segmentId, {
      batch: batchOf('Int64', rows),
      timestamps: new BigInt64Array(rows.length).fill(5n),
      keys: keysOf('Int64', []),
    });
    return {
      segmentId,
      collectionId,
      partitionId: first,
      channel: channels[0]!,
      level: 'L1',
      state: 'flushed',
      rowCount: rows.length,
      minTs: 5n as SegmentRecord['minTs'],
      maxTs: 5n as SegmentRecord['maxTs'],
      files: [],
      indexes: [],
      ...more,
    };
  };
  const tags = async (partitionIds = partitions) =>
    plainRows(await node.query({ collectionId, partitionIds, outputFields: [TAG] })).map((row) => row[TAG]);
  return { log, engine, files, clock, node, stored, tags };
}

const indexOf = (buildId: bigint) => ({
  indexId: 1n as IndexId,
  buildId: buildId as BuildId,
  fieldId: VECTOR,
  kind: 'HNSW',
  file: { kind: 'index', key: `index/${buildId}`, sizeBytes: 1, crc32: 1, etag: '' } as const,
});

const search = (node: LocalQueryNode, target: number, more = {}) =>
  node.search({
    collectionId,
    fieldId: VECTOR,
    queries: floatQueries(3, [target, 0, 1]),
    queryCount: 1,
    topK: 3,
    offset: 0,
    metric: 'L2',
    outputFields: [TAG],
    ...more,
  });

const load = (node: LocalQueryNode, segments: readonly SegmentRecord[] = []) =>
  node.load(viewOf(schema, segments));

test('a collection that is not loaded refuses reads and names itself', async () => {
  const { node } = world();
  await assert.rejects(node.count({ collectionId: 99n as CollectionId }), (error) => {
    assert(isDbError(error, 'collection-not-loaded'));
    assert.match(error.message, /99/);
    return true;
  });
  assert.equal(node.progress(collectionId), undefined);
  await node.update(viewOf(schema, []));
  assert.equal(node.progress(collectionId), undefined);
});

test('a delete that comes while its handover is loading reaches the segment that is ready but not yet visible', async () => {
  const { node, log, files, stored, tags } = world();
  await load(node);
  const slow = opened();
  files.gates.set(2n as SegmentId, slow.gate);
  const updated = node.update(
    viewOf(schema, [
      stored(
        1n,
        rowsFrom(0, 4).filter(({ key }) => key % 2 === 0),
      ),
      stored(2n, [{ key: 100, tag: 100 }]),
    ]),
  );
  await turns(10);
  log.write(deleteParts('Int64', ALL_PARTITIONS, [2]));
  assert.deepEqual(await tags(), []);
  slow.open();
  await updated;
  assert.deepEqual(await tags(), [0, 100]);
  await node.close();
});

test('a search that has begun sees neither the insert nor the delete of an upsert that follows', async () => {
  const { node, log, engine } = world();
  await load(node);
  log.write(insertParts('Int64', first, [{ key: 4, tag: 4 }]));
  const running = search(node, 4);
  while (engine.scans === 0) await Promise.resolve();
  log.write([...deleteParts('Int64', first, [4]), ...insertParts('Int64', first, [{ key: 4, tag: 5 }])]);
  assert.deepEqual(plainRows((await running).rows), [{ [TAG]: 4 }]);
  assert.deepEqual(plainRows((await search(node, 4)).rows), [{ [TAG]: 5 }]);
  await node.close();
});

test('reads wait while a collection is loading, not more of them than allowed and not for ever', async () => {
  const { node, files, clock, stored } = world({ waitingReads: 2 });
  const slow = opened();
  files.gate = slow.gate;
  const loading = load(node, [stored(1n, rowsFrom(0, 3))]);
  assert.notEqual(node.progress(collectionId), 100);
  const late = node.count({ collectionId });
  await clock.advance(defaultLimits.waitMs - 1);
  const waiting = node.count({ collectionId });
  await assert.rejects(node.count({ collectionId }), (error) => isDbError(error, 'resource-exhausted'));
  const isTold = assert.rejects(late, (error) => isDbError(error, 'collection-on-recovering'));
  await clock.advance(1);
  await isTold;
  slow.open();
  assert.equal(await waiting, 3);
  await loading;
  assert.equal(node.progress(collectionId), 100);
  await node.close();
});

test('a load that meets a damaged file fails, frees everything, and can be tried again', async () => {
  const { node, log, engine, files, stored } = world();
  log.write(insertParts('Int64', first, rowsFrom(50, 4)));
  const records = [
    stored(1n, rowsFrom(0, 3)),
    stored(2n, rowsFrom(10, 3), { indexes: [indexOf(1n)] }),
    stored(3n, rowsFrom(20, 3)),
  ];
  files.failing.add(3n as SegmentId);
  const loading = load(node, records);
  const waiting = node.count({ collectionId });
  await Promise.all([
    assert.rejects(loading, (error) => isDbError(error, 'data-integrity')),
    assert.rejects(waiting, (error) => isDbError(error, 'collection-not-loaded')),
  ]);
  assert.deepEqual([engine.blocks, files.graphs, log.followers.size], [0, 0, 0]);
  assert.equal(node.progress(collectionId), undefined);
  files.failing.clear();
  await load(node, records);
  assert.equal(await node.count({ collectionId }), 13);
  await node.close();
  assert.deepEqual([engine.blocks, files.graphs], [0, 0]);
});

test('a reader of a collection whose load met a failing store is told to come again', async () => {
  const { node, files, stored } = world();
  const records = [stored(1n, rowsFrom(0, 3))];
  files.failing.add(1n as SegmentId);
  files.failure = 'storage-failed';
  const loading = load(node, records);
  const waiting = node.count({ collectionId });
  const again = (error: unknown) => isDbError(error, 'collection-on-recovering');
  await Promise.all([
    assert.rejects(loading, (error) => isDbError(error, 'storage-failed')),
    assert.rejects(waiting, again),
  ]);
  await assert.rejects(node.count({ collectionId }), again);
  files.failing.clear();
  await load(node, records);
  assert.equal(await node.count({ collectionId }), 3);
  await node.release(collectionId);
  await assert.rejects(node.count({ collectionId }), (error) => isDbError(error, 'collection-not-loaded'));
});

test('a segment whose files hold another number of rows than the catalog says is refused', async () => {
  const { node, engine, stored } = world();
  await assert.rejects(load(node, [{ ...stored(1n, rowsFrom(0, 3)), rowCount: 4 }]), (error) =>
    isDbError(error, 'data-integrity'),
  );
  assert.equal(engine.blocks, 0);
});

test('an update that fails changes nothing; the next one repairs it', async () => {
  const { node, engine, files, stored, tags } = world();
  const old = stored(1n, rowsFrom(0, 2));
  await load(node, [old]);
  const { blocks } = engine;
  files.failing.add(3n as SegmentId);
  const next = [stored(2n, rowsFrom(10, 2)), stored(3n, rowsFrom(20, 2))];
  await assert.rejects(node.update(viewOf(schema, next)), (error) => isDbError(error, 'data-integrity'));
  assert.deepEqual(await tags(), [0, 1]);
  assert.equal(engine.blocks, blocks);
  files.failing.clear();
  await node.update(viewOf(schema, next));
  assert.deepEqual(await tags(), [10, 11, 20, 21]);
  await node.close();
});

test('rows of a dropped partition are gone even when the rest of the view cannot be loaded', async () => {
  const { node, files, stored, tags } = world();
  await load(node, [
    stored(1n, rowsFrom(0, 2), { partitionId: first }),
    stored(2n, rowsFrom(10, 2), { partitionId: second }),
  ]);
  files.failing.add(3n as SegmentId);
  const without = { ...viewOf(schema, [stored(3n, rowsFrom(20, 2))]), partitionIds: [first] };
  await assert.rejects(node.update(without), (error) => isDbError(error, 'data-integrity'));
  assert.deepEqual(await tags(), [0, 1]);
  await node.close();
});

test('a release ends running searches and waits for them before it frees what they read', async () => {
  const { node, engine, stored } = world();
  await load(node, [stored(1n, rowsFrom(0, 5))]);
  const running = search(node, 1);
  const released = node.release(collectionId);
  await Promise.allSettled([running, released]);
  assert.equal(engine.blocks, 0);
  await assert.rejects(search(node, 1), (error) => isDbError(error, 'collection-not-loaded'));
});

test('a release ends a load that is under way', async () => {
  const { node, engine, files, stored } = world();
  const slow = opened();
  files.gate = slow.gate;
  const loading = load(node, [stored(1n, rowsFrom(0, 5)), stored(2n, rowsFrom(5, 5))]);
  const released = node.release(collectionId);
  slow.open();
  await assert.rejects(loading, (error) => isDbError(error, 'collection-not-loaded'));
  await released;
  assert.equal(engine.blocks, 0);
});

test('an index that was built later is taken up without reading the rows again, and given back when it is dropped', async () => {
  const { node, files, engine, stored, tags } = world();
  const record = stored(1n, rowsFrom(0, 5));
  await load(node, [record]);
  const { reads } = files;
  await node.update(viewOf(schema, [{ ...record, indexes: [indexOf(1n)] }]));
  assert.deepEqual([files.reads - reads, files.graphs], [0, 1]);
  await node.update(viewOf(schema, [{ ...record, indexes: [indexOf(2n)] }]));
  assert.deepEqual([files.reads - reads, files.graphs], [0, 1]);
  assert.deepEqual(plainRows((await search(node, 0)).rows)[0], { [TAG]: 0 });
  await node.update(viewOf(schema, [record]));
  assert.deepEqual([files.reads - reads, files.graphs], [0, 0]);
  assert.equal((await tags()).length, 5);
  await node.close();
  assert.equal(engine.blocks, 0);
});

test('rows of a dropped partition are gone, flushed or not', async () => {
  const { node, log, stored, tags } = world();
  const record = stored(1n, rowsFrom(0, 2), { partitionId: second });
  await load(node, [record]);
  log.write([
    ...insertParts('Int64', first, rowsFrom(10, 1)),
    ...insertParts('Int64', second, rowsFrom(20, 2)),
  ]);
  assert.deepEqual(await tags(), [0, 1, 10, 20, 21]);
  await node.update(viewOf(schema, [], [first]));
  assert.deepEqual(await tags(), [10]);
  await node.close();
});

test('a segment that was flushed and compacted away while views wait does not come back from the log', async () => {
  const { node, log, files, stored, tags } = world();
  await load(node);
  log.write(insertParts('Int64', first, [{ key: 2, tag: 2 }]));
  const [segmentId] = [...log.held.keys()];
  const record = log.flush(segmentId!, files, 'Int64', rowsOfBatch);
  const flushed = node.update(viewOf(schema, [record]));
  const compacted = node.update(viewOf(schema, [stored(9n, [{ key: 2, tag: 2 }])]));
  await Promise.all([flushed, compacted]);
  assert.equal(await node.count({ collectionId }), 1);
  assert.deepEqual(await tags(), [2]);
  await node.close();
});

test('a delete of very many keys is applied in slices, and whoever reads after it sees all of it', async () => {
  const { node, log, stored } = world();
  const keys = Array.from({ length: 30_000 }, (_, i) => 2 * i);
  await load(node, [
    stored(
      1n,
      keys.map((key) => ({ key, tag: key })),
    ),
  ]);
  const before = log.write(insertParts('Int64', first, [{ key: 2, tag: 99 }]));
  const ts = log.write([
    { kind: 'delete', channel: channelOf(0), partitionId: ALL_PARTITIONS, keys: keysOf('Int64', keys) },
  ]);
  assert(node.visibleTs < ts && node.visibleTs >= before);
  log.write(insertParts('Int64', first, [{ key: 4, tag: 77 }]));
  assert.equal(await node.count({ collectionId }), 1);
  assert(node.visibleTs > ts);
  await node.close();
});

test('an insert of very many rows is applied in slices, and whoever reads after it sees all of it, in order with other writes', async () => {
  const { node, log } = world();
  await load(node);
  const ts = log.write(insertParts('Int64', first, rowsFrom(0, 60_000)));
  assert(node.visibleTs < ts);
  log.write(deleteParts('Int64', ALL_PARTITIONS, [1, 59_999]));
  log.write(insertParts('Int64', first, [{ key: 1, tag: 7 }]));
  assert.equal(await node.count({ collectionId }), 59_999);
  assert(node.visibleTs > ts);
  await node.close();
});

test('rows of a partition that is dropped while they are taken over do not come back', async () => {
  const { node, log } = world();
  await load(node);
  log.write(insertParts('Int64', second, rowsFrom(0, 60_000)));
  await turn();
  await node.update(viewOf(schema, [], [first]));
  assert.equal(await node.count({ collectionId }), 0);
  await node.close();
});

test('a thousand inserts of one row make few blocks of memory', async () => {
  const { node, log, engine } = world();
  await load(node);
  for (let i = 0; i < 1000; i++) log.write(insertParts('Int64', first, [{ key: 2 * i, tag: i }]));
  assert(engine.blocks <= 6, `${engine.blocks} blocks`);
  assert(engine.floats <= 2048 * DIM);
  assert.equal(await node.count({ collectionId }), 1000);
  await node.close();
});

test('when there is no memory for a write, the write stands in the log and reads say why they cannot serve', async () => {
  const { node, log, engine } = world();
  await load(node);
  engine.limit = 10;
  log.write(insertParts('Int64', first, rowsFrom(0, 10)));
  await assert.rejects(node.count({ collectionId }), (error) => isDbError(error, 'resource-exhausted'));
  await node.close();
  assert.equal(engine.blocks, 0);
});

test('range, filter, offset and partition narrow a search together', async () => {
  const { node, log, stored } = world();
  await load(node, [
    stored(
      1n,
      rowsFrom(0, 50).map((row) => ({ ...row, key: row.key * 5 })),
    ),
  ]);
  log.write(insertParts('Int64', second, [{ key: 1000, tag: 20 }]));
  const even = filterBy(TAG, (tag) => (tag as number) % 2 === 0);
  const found = await search(node, 20, {
    filter: even,
    partitionIds: [first],
    rangeFilter: 4,
    radius: 37,
    topK: 9,
    offset: 1,
  });
  assert.deepEqual(
    plainRows(found.rows).map((row) => row[TAG]),
    [22, 16, 24, 14, 26],
  );
  assert.deepEqual([...found.scores], [4, 16, 16, 36, 36]);
  assert.equal(found.keys.type, 'Int64');
  await node.close();
});

test('impossible searches are refused by parameter', async () => {
  const { node } = world();
  await load(node);
  for (const wrong of [
    { topK: 0 },
    { topK: 16_385 },
    { offset: 3 },
    { queryCount: 2 },
    { fieldId: TAG },
    { outputFields: [77] },
  ])
    await assert.rejects(
      search(node, 1, wrong),
      (error) => isDbError(error, 'parameter-invalid'),
      JSON.stringify(wrong),
    );
  await node.close();
});

test('an answer beyond the limit is refused instead of filling the memory', async () => {
  const { node, stored } = world({ answerBytes: 100 });
  await load(node, [stored(1n, rowsFrom(0, 50))]);
  await assert.rejects(node.query({ collectionId, outputFields: [VECTOR] }), (error) =>
    isDbError(error, 'parameter-too-large'),
  );
  const few = await node.query({ collectionId, outputFields: [PK], limit: 2, offset: 48 });
  assert.deepEqual(plainRows(few), [{ [PK]: 48 }, { [PK]: 49 }]);
  await node.close();
});

test('loading a loaded collection applies the view', async () => {
  const { node, stored, tags } = world();
  await load(node);
  await load(node, [stored(1n, rowsFrom(0, 1))]);
  assert.deepEqual(await tags(), [0]);
  const view: CollectionView = viewOf(schema, []);
  await node.update(view);
  assert.deepEqual(await tags(), []);
  await node.close();
});

test('rows of a partition that came and went between two views are gone with it', async () => {
  const { node, log, files, stored, tags } = world();
  await node.load(viewOf(schema, [], [first]));
  const slow = opened();
  files.gates.set(1n as SegmentId, slow.gate);
  const slowly = node.update(viewOf(schema, [stored(1n, rowsFrom(0, 2))], [first]));
  await turns(5);
  log.write(insertParts('Int64', second, [{ key: 50, tag: 50 }]));
  const dropped = node.update(viewOf(schema, [stored(1n, rowsFrom(0, 2))], [first]));
  // Of a partition that is younger than the view.
  const third = 77n as (typeof partitions)[0];
  log.write(insertParts('Int64', third, [{ key: 51, tag: 51 }]));
  slow.open();
  await Promise.all([slowly, dropped]);
  assert.equal(await node.count({ collectionId }), 3);
  assert.deepEqual(await tags([first, second, third]), [0, 1, 51]);
  await node.close();
});

test('a partition that came and went while the collection was loading leaves nothing', async () => {
  const { node, log, files, stored } = world();
  const slow = opened();
  files.gate = slow.gate;
  const loading = node.load(viewOf(schema, [stored(1n, rowsFrom(0, 2))], [first]));
  await turns(5);
  log.write(insertParts('Int64', second, [{ key: 50, tag: 50 }]));
  const dropped = node.update(viewOf(schema, [stored(1n, rowsFrom(0, 2))], [first]));
  slow.open();
  await Promise.all([loading, dropped]);
  assert.equal(await node.count({ collectionId }), 2);
  await node.close();
});

test('a key that hundreds of thousands of rows of one segment carry can be asked for', async () => {
  const { node, stored } = world();
  const rows = Array.from({ length: 200_000 }, () => ({ key: 1, tag: 1 }));
  await load(node, [stored(1n, rows)]);
  const filter = filterKeys(keysOf('Int64', [1]));
  assert.equal(await node.count({ collectionId, filter }), 200_000);
  await node.close();
});

test('the key of a hit keeps every character, a byte order mark in front, too', async () => {
  const { node, stored, files } = world();
  const record = stored(1n, rowsFrom(0, 1));
  const held = files.stored.get(record.segmentId)!;
  const data = Buffer.from('\uFEFFkey');
  const key = { layout: 'bytes', type: 'VarChar', offsets: Uint32Array.of(0, data.length), data } as const;
  files.stored.set(record.segmentId, {
    ...held,
    batch: { rowCount: 1, columns: new Map(held.batch.columns).set(PK, key) },
  });
  await node.load(viewOf(schemaOf('VarChar'), [record]));
  assert.deepEqual((await search(node, 0)).keys, { type: 'VarChar', values: ['\uFEFFkey'] });
  await node.close();
});

test('a field that the query node is told of can be asked for at once, and no older view on its way takes it away', async () => {
  const { node, log, stored } = world();
  const fieldId = 200 as typeof TAG;
  const young = { ...schema.fields[1]!, fieldId, name: 'young', nullable: true, defaultValue: 9 };
  const younger = { ...schema, version: schema.version + 1, fields: [...schema.fields, young] };
  await node.load(viewOf(schema, [stored(1n, rowsFrom(0, 2))]));
  log.write(insertParts('Int64', first, rowsFrom(10, 2)));
  const underWay = node.update(viewOf(schema, [stored(1n, rowsFrom(0, 2)), stored(2n, rowsFrom(5, 1))]));
  node.noteSchema(collectionId, younger);
  const read = async () => {
    const { columns } = await node.query({ collectionId, outputFields: [PK, fieldId] });
    const column = columns.get(fieldId);
    assert.ok(column?.layout === 'fixed' && column.valid === undefined);
    return Array.from(column.values, Number);
  };
  assert.deepEqual(new Set(await read()), new Set([9]));
  await underWay;
  // Written by somebody who did not know the field.
  log.write(insertParts('Int64', first, rowsFrom(20, 2)));
  assert.deepEqual(await read(), [9, 9, 9, 9, 9, 9, 9]);
  node.noteSchema(collectionId, schema);
  assert.equal((await read()).length, 7);
  await node.close();
});
