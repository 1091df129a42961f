/**
 * Searches by BM25 without client and transport: processor microseconds of this thread a query, from the request's bytes to those of the
 * answer, and of that the query node alone; and what it takes to make rows of texts.
 * Run: `node .build/bench/full-text.bench.js [--rows 25000,300000] [--queries 300] [--rounds 5] [--ways one,several,growing] [--parts whole,alone]`.
 */
import { parseArgs } from 'node:util';
import type { CollectionInfo, Coordinator } from '../src/coordinator/api.ts';
import { compileFilter } from '../src/expr/evaluate.ts';
import { primaryKeysOf } from '../src/expr/primary-keys.ts';
import type { HybridTime } from '../src/model/hybrid-time.ts';
import type { FieldId, SegmentId } from '../src/model/ids.ts';
import type { SegmentRecord } from '../src/model/records.ts';
import type { Column, RowBatch } from '../src/model/rows.ts';
import type { CollectionSchema } from '../src/model/schema.ts';
import type { CallContext } from '../src/proxy/context.ts';
import { search } from '../src/proxy/handlers/search.ts';
import { encodeMessage } from '../src/proxy/wire/descriptor.ts';
import { ArenaEngine } from '../src/querynode/arena-engine.ts';
import type { SegmentFiles } from '../src/querynode/loader.ts';
import { LocalQueryNode } from '../src/querynode/querynode.ts';
import { seededRandom } from '../src/support/random.ts';
import { systemClock } from '../src/support/system-clock.ts';
import { withFunctionOutputs } from '../src/text/function-rows.ts';
import { VectorArena } from '../src/vector-index/arena.ts';
import { SparseIndex } from '../src/vector-index/sparse.ts';
import { buildBlocks } from '../src/vector-index/sparse-block.ts';
import { fieldSchema } from '../tests/field-schema.ts';
import { collectionId, PlainLog, partitions } from '../tests/query-world.ts';
import { printTable } from './report.ts';

const { values: flags } = parseArgs({
  options: {
    rows: { type: 'string', default: '25000,300000' },
    queries: { type: 'string', default: '300' },
    rounds: { type: 'string', default: '5' },
    ways: { type: 'string', default: 'one,several,growing' },
    // For a profiler.
    parts: { type: 'string', default: 'whole,alone' },
  },
  strict: false,
}) as { values: Record<string, string> };

const [ID, TEXT, TERMS] = [100, 101, 102] as [FieldId, FieldId, FieldId];
const schema: CollectionSchema = {
  description: '',
  fields: [
    fieldSchema('id', { fieldId: ID, isPrimaryKey: true }),
    fieldSchema('text', {
      fieldId: TEXT,
      dataType: 'VarChar',
      maxLength: 4000,
      typeParams: { enable_analyzer: 'true' },
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
const VOCABULARY = 50_000;
const SEGMENTS = 12;
const random = seededRandom(5);

const vocabulary = Array.from({ length: VOCABULARY }, (_, rank) => {
  let word = '';
  for (let left = rank + 26; left > 0; left = Math.floor(left / 26))
    word += String.fromCharCode(97 + (left % 26));
  return word + 'aeiou'.slice(0, random.below(4));
});
const draw = zipf();

function zipf(): () => string {
  const sums = new Float64Array(VOCABULARY);
  let sum = 0;
  for (let rank = 0; rank < VOCABULARY; rank++) {
    sum += 1 / (rank + 2.7) ** 1.05;
    sums[rank] = sum;
  }
  return () => {
    const wanted = random.next() * sum;
    let [low, high] = [0, VOCABULARY - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((sums[middle] ?? 0) < wanted) low = middle + 1;
      else high = middle;
    }
    return vocabulary[low] ?? '';
  };
}

/** 20 to 80 words. */
const document = (): string => Array.from({ length: 20 + random.below(61) }, draw).join(' ');
/** Common and rare terms alike. */
const question = (terms: number): string =>
  Array.from({ length: terms }, () => vocabulary[Math.floor(30 * (20_000 / 30) ** random.next())]).join(' ');

function batchOf(from: number, count: number): RowBatch {
  const parts = Array.from({ length: count }, () => Buffer.from(document()));
  const offsets = new Uint32Array(count + 1);
  for (const [i, { length }] of parts.entries()) offsets[i + 1] = (offsets[i] ?? 0) + length;
  const columns = new Map<FieldId, Column>([
    [
      ID,
      {
        layout: 'fixed',
        type: 'Int64',
        values: BigInt64Array.from({ length: count }, (_, i) => BigInt(from + i)),
      },
    ],
    [TEXT, { layout: 'bytes', type: 'VarChar', offsets, data: new Uint8Array(Buffer.concat(parts)) }],
  ]);
  return { rowCount: count, columns };
}

let makingUs = 0;
let indexingUs = 0;

async function world(way: string, rows: number): Promise<LocalQueryNode> {
  const arena = new VectorArena({ maxBytes: 2 ** 26, memoryBytes: 2 ** 25, growBytes: 2 ** 20 });
  const engine = new ArenaEngine({ arena });
  const log = new PlainLog();
  const perSegment = Math.ceil(rows / (way === 'several' ? SEGMENTS : 1));
  const counts = Array.from(
    { length: way === 'growing' ? 0 : Math.ceil(rows / perSegment) },
    () => perSegment,
  );
  const made = (from: number, count: number): RowBatch => {
    const batch = batchOf(from, count);
    const start = process.cpuUsage();
    const full = withFunctionOutputs(schema, batch);
    makingUs += spent(start);
    return full;
  };
  const files: SegmentFiles = {
    rows: async ({ segmentId, rowCount }) => {
      const batch = made(Number(segmentId) * perSegment, rowCount);
      const column = batch.columns.get(TERMS);
      if (column?.layout !== 'bytes') throw new Error('no terms');
      const start = process.cpuUsage();
      const sparse = new Map([[TERMS, new SparseIndex(buildBlocks(column, rowCount))]]);
      indexingUs += spent(start);
      return { batch, timestamps: new BigInt64Array(rowCount).fill(5n), sparse };
    },
    deletes: () => Promise.reject(new Error('there are none')),
    graph: () => Promise.reject(new Error('there are none')),
  };
  const node = new LocalQueryNode({
    streamingNode: log.node(),
    engine,
    files,
    filters: { compile: compileFilter, primaryKeys: primaryKeysOf },
    clock: systemClock,
  });
  const segments = counts.map(
    (rowCount, i): SegmentRecord => ({
      segmentId: BigInt(i) as SegmentId,
      collectionId,
      partitionId: partitions[0] as (typeof partitions)[number],
      channel: 'dml_0',
      level: 'L1',
      state: 'flushed',
      rowCount,
      minTs: 5n as HybridTime,
      maxTs: 5n as HybridTime,
      files: [],
      indexes: [],
    }),
  );
  await node.load({
    collectionId,
    schema,
    channels: ['dml_0'],
    partitionIds: partitions,
    segments,
    unflushed: [],
    indexes: [],
  });
  if (way === 'growing')
    for (let from = 0; from < rows; from += 1000) {
      const batch = made(from, Math.min(1000, rows - from));
      const start = process.cpuUsage();
      log.write([
        {
          kind: 'insert',
          channel: 'dml_0',
          partitionId: partitions[1] as (typeof partitions)[number],
          rows: batch,
        },
      ]);
      await node.count({ collectionId });
      indexingUs += spent(start);
    }
  return node;
}

function spent(start: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(start);
  return user + system;
}

/** What the handler asks besides the query node. */
function callOf(queryNode: Pick<LocalQueryNode, 'search'>): CallContext {
  const info = {
    collection: { collectionId, name: 'texts', schema, properties: {} },
    databaseName: 'default',
    partitions: [],
  } as unknown as CollectionInfo;
  const coordinator = {
    requireReady: () => info,
    describeIndexes: () => [{ fieldName: 'terms', index: { params: { metric_type: 'BM25' } } }],
    describeDatabase: () => ({ properties: {} }),
  } as unknown as Coordinator;
  return { coordinator, queryNode, metadataDatabase: '', user: undefined } as unknown as CallContext;
}

const field = (number: number, bytes: Uint8Array): Buffer =>
  Buffer.concat([Buffer.from([(number << 3) | 2, bytes.length]), bytes]);

const bodyOf = (text: string): Uint8Array =>
  encodeMessage('milvus.proto.milvus.SearchRequest', {
    collection_name: 'texts',
    dsl_type: 1,
    placeholder_group: field(
      1,
      Buffer.concat([field(1, Buffer.from('$0')), Buffer.from([16, 21]), field(3, Buffer.from(text))]),
    ),
    output_fields: ['id'],
    nq: 1n,
    search_params: Object.entries({ anns_field: 'terms', topk: '10', params: '{}', round_decimal: '-1' }).map(
      ([key, value]) => ({ key, value }),
    ),
  });

/** The lowest of the rounds: other work of the machine only adds. */
async function perQuery(part: string, queries: readonly unknown[], one: (i: number) => Promise<unknown>) {
  if (!(flags['parts'] ?? '').includes(part)) return 0;
  let best = Number.POSITIVE_INFINITY;
  for (let warm = 0; warm < 8; warm++) for (const i of queries.keys()) await one(i);
  for (let round = 0; round < rounds; round++) {
    const start = process.cpuUsage();
    for (const i of queries.keys()) await one(i);
    best = Math.min(best, spent(start) / queries.length);
  }
  return best;
}

const rounds = Number(flags['rounds']);
const cells: (string | number)[][] = [];
for (const rows of (flags['rows'] ?? '').split(',').map(Number))
  for (const way of (flags['ways'] ?? '').split(',')) {
    [makingUs, indexingUs] = [0, 0];
    const node = await world(way, rows);
    for (const terms of [1, 2, 3]) {
      const bodies = Array.from({ length: Number(flags['queries']) }, () => bodyOf(question(terms)));
      const requests: Parameters<LocalQueryNode['search']>[0][] = [];
      const spy = {
        search: (request: (typeof requests)[number]) => {
          requests.push(request);
          return node.search(request);
        },
      };
      const call = callOf(node);
      for (const body of bodies) await search(body, callOf(spy));
      const whole = await perQuery('whole', bodies, (i) => search(bodies[i] as Uint8Array, call));
      const alone = await perQuery('alone', requests, (i) =>
        node.search(requests[i] as (typeof requests)[number]),
      );
      cells.push([rows, way, terms, whole.toFixed(1), alone.toFixed(1)]);
    }
    cells.push([rows, way, 'rows', (makingUs / rows).toFixed(1), (indexingUs / rows).toFixed(1)]);
    await node.close();
  }
console.log(
  '\nProcessor microseconds a query; of a row: making its terms, taking it into the posting lists\n',
);
printTable(['documents', 'stand in', 'terms', 'request to answer', 'query node alone'], cells);
