/** Deleted rows for readers of earlier moments, when their units have gone: in flushes and compactions, until nobody comes back. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Compactions, EncodedFiles } from '../../tests/compaction-world.ts';
import { ManualClock } from '../../tests/heart/manual-clock.ts';
import {
  collectionId,
  DIM,
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
import { ALL_PARTITIONS } from '../model/ids.ts';
import type { QueryRequest } from './api.ts';
import { LEASE_MS } from './ghosts.ts';
import { LocalQueryNode } from './querynode.ts';

const [first] = partitions as readonly [(typeof partitions)[0]];
const rowsFrom = (from: number, count: number): Row[] =>
  Array.from({ length: count }, (_, i) => ({ key: 2 * (from + i), tag: from + i }));

async function world() {
  const log = new PlainLog();
  const engine = new PlainEngine();
  const files = new EncodedFiles('Int64', schemaOf('Int64'));
  const catalog = new Compactions(log, files);
  const clock = new ManualClock();
  const node = new LocalQueryNode({
    streamingNode: log.node(),
    files,
    engine,
    filters: plainFilters,
    clock,
  });
  const view = (of = partitions) => viewOf(files.schema, catalog.records, of, log.unflushed);
  const publish = (of = partitions) => node.update(view(of));
  await node.load(view());
  const query = (asOf?: QueryRequest['asOf']) =>
    node.query({ collectionId, outputFields: [TAG, VECTOR], ...(asOf === undefined ? {} : { asOf }) });
  return {
    node,
    engine,
    catalog,
    clock,
    publish,
    query,
    tags: async (asOf?: QueryRequest['asOf']) => plainRows(await query(asOf)).map((row) => row[TAG]),
    insert: (rows: readonly Row[]) => log.write(insertParts('Int64', first, rows)),
    erase: (tags: readonly number[]) =>
      log.write(
        deleteParts(
          'Int64',
          ALL_PARTITIONS,
          tags.map((tag) => 2 * tag),
        ),
      ),
    flush: async () => {
      while (await catalog.flush(0));
    },
    compact: () => catalog.compact(0, true),
  };
}

const upTo = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

test('a reader that comes back sees rows that were deleted before a flush, and before compactions after it, each once', async () => {
  const { insert, erase, flush, compact, publish, query, tags, node } = await world();
  insert(rowsFrom(0, 200));
  const started = await query('now');
  erase([3, 70, 199]);
  insert(rowsFrom(500, 5));
  await flush();
  await publish();
  assert.deepEqual(await tags(started.readTs), upTo(200));
  erase([4, 71]);
  await compact();
  await publish();
  assert.deepEqual(await tags(started.readTs), upTo(200));
  erase([5]);
  await compact();
  await publish();
  assert.deepEqual(await tags(started.readTs), upTo(200));
  const was = plainRows(await query(started.readTs));
  assert.deepEqual(was, plainRows(started), 'with all their values');
  const gone = [3, 4, 5, 70, 71, 199];
  assert.deepEqual(await tags(), [
    ...upTo(200).filter((tag) => !gone.includes(tag)),
    500,
    501,
    502,
    503,
    504,
  ]);
  await node.close();
});

test('a row that dies while its segment is handed over is seen once by those who read before', async () => {
  const { insert, erase, flush, publish, query, tags, node } = await world();
  insert(rowsFrom(0, 50));
  const { readTs } = await query('now');
  await flush();
  const published = publish();
  erase([7]);
  await published;
  erase([8]);
  assert.deepEqual(await tags(readTs), upTo(50));
  assert.equal((await tags()).length, 48);
  await node.close();
});

test('a search iterator goes on with rows that were deleted and compacted away', async () => {
  const { insert, erase, flush, compact, publish, node } = await world();
  insert(rowsFrom(0, 40));
  const page = (iterator: { token?: string; lastBound?: number }) =>
    node.search({
      collectionId,
      fieldId: VECTOR,
      queries: floatQueries(DIM, new Float32Array(DIM)),
      queryCount: 1,
      topK: 10,
      offset: 0,
      metric: 'L2',
      outputFields: [TAG],
      iterator,
    });
  const found: number[] = [];
  let next: { token?: string; lastBound?: number } = {};
  for (let round = 0; round < 5; round++) {
    const hits = await page(next);
    found.push(...Array.from(hits.keys.values, Number));
    next = hits.next ?? {};
    erase([10 + round, 20 + round, 39 - round]);
    await flush();
    if (round % 2 === 1) await compact();
    await publish();
  }
  assert.deepEqual(
    found.sort((a, b) => a - b),
    upTo(40).map((tag) => 2 * tag),
  );
  await node.close();
});

test('when nobody has come back for a while, deleted rows are let go, and their memory with them', async () => {
  const { insert, erase, flush, compact, publish, query, tags, node, clock, engine } = await world();
  insert(rowsFrom(0, 100));
  await flush();
  await publish();
  const { readTs } = await query('now');
  erase([1, 2, 3]);
  await compact();
  await publish();
  await clock.advance(LEASE_MS / 2);
  assert.equal((await tags(readTs)).length, 100);
  await clock.advance(1.2 * LEASE_MS);
  assert.equal((await tags(readTs)).length, 97);
  await node.close();
  assert.equal(engine.blocks, 0, 'all memory is given back');
});

test('nothing is kept while no reader comes back, nor of a partition that was dropped', async () => {
  const { insert, erase, flush, compact, publish, query, tags, node, engine } = await world();
  insert(rowsFrom(0, 100));
  await flush();
  await publish();
  erase([1]);
  const before = engine.blocks;
  await compact();
  await publish();
  assert.equal(engine.blocks, before);
  const { readTs } = await query('now');
  erase([2]);
  await flush();
  await compact();
  await publish();
  assert.equal((await tags(readTs)).length, 99);
  await publish(partitions.slice(1));
  assert.deepEqual(await tags(readTs), []);
  await node.close();
  assert.equal(engine.blocks, 0);
});
