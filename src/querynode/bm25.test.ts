/** BM25 over flushed and growing rows, deletes, partitions and filters, against the slow, obvious scores. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { bm25 } from '../../tests/e2e/bm25.ts';
import { fieldSchema } from '../../tests/field-schema.ts';
import { collectionId, PlainLog, partitions } from '../../tests/query-world.ts';
import { filterOf } from '../expr/check.ts';
import { compileFilter } from '../expr/evaluate.ts';
import { primaryKeysOf } from '../expr/primary-keys.ts';
import type { HybridTime } from '../model/hybrid-time.ts';
import type { FieldId, SegmentId } from '../model/ids.ts';
import type { SegmentRecord } from '../model/records.ts';
import type { BytesColumn, RowBatch } from '../model/rows.ts';
import type { CollectionSchema } from '../model/schema.ts';
import { loadTasks } from '../segment/load.ts';
import { encodeRows } from '../segment/rows-file.ts';
import { MemoryStore } from '../storage/memory.ts';
import { inlineWorkers } from '../support/inline-workers.ts';
import { seededRandom } from '../support/random.ts';
import { systemClock } from '../support/system-clock.ts';
import { analyzerOf } from '../text/analyzer.ts';
import { sparseColumn, termCounts } from '../text/bm25-rows.ts';
import { withFunctionOutputs } from '../text/function-rows.ts';
import { textTasks } from '../text/text-tasks.ts';
import { VectorArena } from '../vector-index/arena.ts';
import { vectorTasks } from '../vector-index/search-tasks.ts';
import type { CollectionView } from './api.ts';
import { ArenaEngine } from './arena-engine.ts';
import { sparseLoadTasks } from './load-task.ts';
import { LocalQueryNode } from './querynode.ts';
import { WorkerFiles } from './segment-files.ts';

const [ID, TEXT, TERMS] = [100, 101, 102] as FieldId[] as [FieldId, FieldId, FieldId];
const schema: CollectionSchema = {
  description: '',
  fields: [
    fieldSchema('id', { fieldId: ID, isPrimaryKey: true }),
    fieldSchema('text', {
      fieldId: TEXT,
      dataType: 'VarChar',
      maxLength: 1000,
      typeParams: { enable_analyzer: 'true', enable_match: 'true' },
    }),
    fieldSchema('terms', { fieldId: TERMS, dataType: 'SparseFloatVector', isFunctionOutput: true }),
  ],
  functions: [
    {
      functionId: 100,
      name: 'f',
      description: '',
      type: 'BM25',
      inputFieldIds: [TEXT],
      outputFieldIds: [TERMS],
      params: {},
    },
  ],
  enableDynamicField: false,
  version: 1,
};

const wordsOf = (text: string): string[] => text.split(' ').filter((word) => word !== '');

function batchOf(ids: readonly number[], texts: readonly string[]): RowBatch {
  const parts = ids.map((id) => Buffer.from(texts[id]!));
  const offsets = new Uint32Array(parts.length + 1);
  for (const [i, { length }] of parts.entries()) offsets[i + 1] = offsets[i]! + length;
  const text: BytesColumn = {
    layout: 'bytes',
    type: 'VarChar',
    offsets,
    data: new Uint8Array(Buffer.concat(parts)),
  };
  const values = BigInt64Array.from(ids, BigInt);
  const columns = new Map<FieldId, RowBatch['columns'] extends ReadonlyMap<FieldId, infer C> ? C : never>([
    [ID, { layout: 'fixed', type: 'Int64', values }],
    [TEXT, text],
  ]);
  return withFunctionOutputs(schema, { rowCount: ids.length, columns });
}

/** As rows are that were written before the function was there. */
const older = ({ rowCount, columns }: RowBatch): RowBatch => ({
  rowCount,
  columns: new Map([...columns].filter(([fieldId]) => fieldId !== TERMS)),
});
const { functions: _, ...plain } = schema;
const schemaBefore: CollectionSchema = {
  ...plain,
  fields: schema.fields.filter(({ fieldId }) => fieldId !== TERMS),
  version: 0,
};

/** `rows`: `full`, or `older` than the function; with `live` the function comes when the flushed ones are loaded. */
async function world(texts: readonly string[], sealed: number, rowsAre: 'full' | 'older' | 'live' = 'full') {
  const store = new MemoryStore(() => 0);
  const workers = inlineWorkers({
    ...loadTasks({ store }),
    ...sparseLoadTasks({ store }),
    ...vectorTasks(),
    ...textTasks(),
  });
  const arena = new VectorArena({ maxBytes: 2 ** 26, memoryBytes: 2 ** 25, growBytes: 2 ** 20 });
  const engine = new ArenaEngine({ arena });
  const log = new PlainLog();
  const node = new LocalQueryNode({
    streamingNode: log.node(),
    engine,
    files: new WorkerFiles({ workers, store, engine }),
    filters: { compile: compileFilter, primaryKeys: primaryKeysOf },
    clock: systemClock,
    workers,
  });
  const ids = texts.map((_, id) => id);
  const flushed = batchOf(ids.slice(0, sealed), texts);
  const stored =
    sealed === 0
      ? new Uint8Array(0)
      : encodeRows((rowsAre === 'full' ? schema : schemaBefore).fields, [
          { ts: 5n as HybridTime, rows: flushed },
        ]);
  const segment: SegmentRecord = {
    segmentId: 1n as SegmentId,
    collectionId,
    partitionId: partitions[0]!,
    channel: 'dml_0',
    level: 'L1',
    state: 'flushed',
    rowCount: sealed,
    minTs: 5n as HybridTime,
    maxTs: 5n as HybridTime,
    files: [{ kind: 'rows', key: 'rows', sizeBytes: stored.length, ...(await store.put('rows', stored)) }],
    indexes: [],
  };
  const view: CollectionView = {
    collectionId,
    schema: rowsAre === 'live' ? schemaBefore : schema,
    channels: ['dml_0'],
    partitionIds: partitions,
    segments: sealed === 0 ? [] : [segment],
    unflushed: [],
    indexes: [],
  };
  await node.load(view);
  if (rowsAre === 'live') {
    node.noteSchema(collectionId, schema);
    await node.update({ ...view, schema });
  }
  // Flushed rows are in the first partition, growing ones in the second.
  for (let from = sealed; from < ids.length; from += 3) {
    const batch = batchOf(ids.slice(from, from + 3), texts);
    const rows = rowsAre === 'full' ? batch : older(batch);
    log.write([{ kind: 'insert', channel: 'dml_0', partitionId: partitions[1]!, rows }]);
  }
  return { node, log };
}

const analyzer = analyzerOf('{"tokenizer":"whitespace"}');

test('scores are those of BM25 over the rows that are read: flushed and growing, several queries, partitions, filters, ranges, deletes; also of rows that are older than the function, or were loaded before it', () =>
  fc.assert(
    fc.asyncProperty(fc.nat(), fc.nat({ max: 60 }), fc.nat({ max: 60 }), async (seed, count, sealed) => {
      const random = seededRandom(seed);
      const word = () => `w${Math.floor(random.below(9) ** 2 / 6)}`;
      const line = (most: number) => Array.from({ length: random.below(most) }, word).join(' ');
      const texts = Array.from({ length: count }, () => line(12));
      const kind = (['older', 'live', 'full'] as const)[seed % 3];
      const { node, log } = await world(texts, Math.min(sealed, count), kind);
      const gone = new Set([...texts.keys()].filter(() => random.below(8) === 0));
      if (gone.size > 0)
        log.write([
          {
            kind: 'delete',
            channel: 'dml_0',
            partitionId: partitions[0]!,
            keys: { type: 'Int64', values: BigInt64Array.from(gone, BigInt) },
          },
        ]);
      const firstOnly = random.below(4) === 0;
      const rules = { k1: random.below(4) / 2, b: random.below(5) / 4 };
      const queries = Array.from({ length: 1 + random.below(3) }, () => line(5));
      const inFirst = (id: number) => id < Math.min(sealed, count);
      const keep = random.below(2) === 0;
      const result = await node.search({
        collectionId,
        fieldId: TERMS,
        queries: sparseColumn(queries.map((query) => termCounts(analyzer.analyze(query)))),
        queryCount: queries.length,
        topK: 1000,
        offset: 0,
        metric: 'BM25',
        bm25: rules,
        outputFields: [],
        ...(firstOnly ? { partitionIds: [partitions[0]!] } : {}),
        ...(keep ? { filter: filterOf('id % 2 == 0', schema) } : {}),
      });
      // Of a segment without a living row nothing is read.
      const isDead = [...texts.keys()].filter(inFirst).every((id) => gone.has(id));
      const read = texts.filter((_, id) => (inFirst(id) ? !isDead : !firstOnly));
      let at = 0;
      for (const [i, query] of queries.entries()) {
        const scores = bm25(read.map(wordsOf), wordsOf(query), rules);
        const first = isDead ? Math.min(sealed, count) : 0;
        const expected = new Map<number, number>();
        for (const [place, score] of scores.entries()) {
          const id = place + first;
          if (score > 0 && !(gone.has(id) && inFirst(id)) && !(keep && id % 2 === 1)) expected.set(id, score);
        }
        const found = result.counts[i]!;
        assert.equal(found, expected.size);
        for (let hit = at; hit < at + found; hit++) {
          const wanted = expected.get(Number(result.keys.values[hit]))!;
          assert.ok(Math.abs(result.scores[hit]! - wanted) <= 1e-5 * Math.max(1, wanted));
          if (hit > at) assert.ok(result.scores[hit]! <= result.scores[hit - 1]!);
        }
        at += found;
      }
      await node.close();
    }),
    { numRuns: 60, includeErrorInReport: true, examples: [[985137368, 42, 1]] },
  ));

test('matches of texts are the same flushed and growing, and by worker threads', async () => {
  const texts = Array.from(
    { length: 300 },
    (_, id) => `w${id % 7} and ${'lorem ipsum '.repeat(20)} w${id % 11}`,
  );
  const { node } = await world(texts, 200);
  for (const [filter, holds] of [
    ["TEXT_MATCH(text, 'w3')", (id: number) => id % 7 === 3 || id % 11 === 3],
    ["TEXT_MATCH(text, 'w3 w8', minimum_should_match=2)", (id: number) => id % 7 === 3 && id % 11 === 8],
    ["PHRASE_MATCH(text, 'w5 and lorem')", (id: number) => id % 7 === 5],
  ] as const) {
    const rows = await node.query({ collectionId, filter: filterOf(filter, schema), outputFields: [ID] });
    const column = rows.columns.get(ID)!;
    assert.ok(column.layout === 'fixed');
    assert.deepEqual(Array.from(column.values as BigInt64Array, Number), [...texts.keys()].filter(holds));
  }
  await node.close();
});
