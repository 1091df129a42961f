/** Filters over a loaded segment of 500,000 rows, with indexes and without: count(*), and search through a graph. In this process. */
import { filterOf } from '../src/expr/check.ts';
import { testCost } from '../src/expr/cost.ts';
import { compileFilter } from '../src/expr/evaluate.ts';
import { primaryKeysOf } from '../src/expr/primary-keys.ts';
import { sizeBefore } from '../src/expr/weight.ts';
import type { HybridTime } from '../src/model/hybrid-time.ts';
import type { BuildId, FieldId, IndexId, SegmentId } from '../src/model/ids.ts';
import type { FileKind, IndexRecord, SegmentFile, SegmentRecord } from '../src/model/records.ts';
import type { BytesColumn, Column } from '../src/model/rows.ts';
import type { CollectionSchema, FieldSchema } from '../src/model/schema.ts';
import { ArenaEngine } from '../src/querynode/arena-engine.ts';
import { LocalQueryNode } from '../src/querynode/querynode.ts';
import { WorkerFiles } from '../src/querynode/segment-files.ts';
import { scalarIndexTasks } from '../src/scalar-index/tasks.ts';
import { loadTasks } from '../src/segment/load.ts';
import { encodeRows } from '../src/segment/rows-file.ts';
import { MemoryStore } from '../src/storage/memory.ts';
import { inlineWorkers } from '../src/support/inline-workers.ts';
import { systemClock } from '../src/support/system-clock.ts';
import { VectorArena } from '../src/vector-index/arena.ts';
import { buildHnsw } from '../src/vector-index/hnsw-build.ts';
import { channels, collectionId, PlainLog, partitions, viewOf } from '../tests/query-world.ts';
import { clusteredVectors, floatQueries } from '../tests/vectors.ts';
import { median, ms, printTable } from './report.ts';

const ROWS = 500_000;
const DIM = 16;
const QUERIES = 50;
const K = 10;
const RUNS = 21;

const field = (fieldId: number, name: string, rest: Partial<FieldSchema>): FieldSchema => ({
  fieldId: fieldId as FieldId,
  name,
  description: '',
  dataType: 'Int64',
  isPrimaryKey: name === 'id',
  autoId: false,
  nullable: false,
  isDynamic: false,
  typeParams: {},
  ...rest,
});
const VECTOR = 106 as FieldId;
const schema: CollectionSchema = {
  description: '',
  enableDynamicField: false,
  version: 1,
  fields: [
    field(100, 'id', {}),
    field(101, 'number', {}),
    field(102, 'name', { dataType: 'VarChar', maxLength: 64 }),
    field(103, 'level', { dataType: 'Int32' }),
    field(104, 'meta', { dataType: 'JSON' }),
    field(105, 'tags', { dataType: 'Array', elementType: 'VarChar', maxCapacity: 4 }),
    field(VECTOR, 'vector', { dataType: 'FloatVector', dim: DIM }),
  ],
};

/** Places of the rows in an order that has nothing to do with where they stand. */
const place = (row: number): number => (row * 314_159) % ROWS;
const shares = [0.5, 0.1, 0.01, 0.001] as const;
const levels = shares.map((share) => share * ROWS);
/** So many rows have level 0, 1, 2 and 3; the others one of 16 more. */
function levelOf(row: number): number {
  let at = place(row);
  for (const [level, count] of levels.entries()) {
    if (at < count) return level;
    at -= count;
  }
  return 4 + (at % 16);
}
const nameOf = (at: number): string => `user-${String(at).padStart(6, '0')}-of-the-house`;

function bytes(type: 'VarChar' | 'JSON', texts: readonly string[]): BytesColumn {
  const pieces = texts.map((text) => Buffer.from(text));
  const offsets = new Uint32Array(pieces.length + 1);
  for (const [i, piece] of pieces.entries()) offsets[i + 1] = (offsets[i] ?? 0) + piece.length;
  return { layout: 'bytes', type, offsets, data: new Uint8Array(Buffer.concat(pieces)) };
}

const rows = Array.from({ length: ROWS }, (_, row) => row);

function columnsOf(vectors: Float32Array): Map<FieldId, Column> {
  const tags = rows.map((row) => [`level ${levelOf(row)}`, `tag ${row % 1000}`, 'all']);
  const columns: readonly (readonly [number, Column])[] = [
    [100, { layout: 'fixed', type: 'Int64', values: BigInt64Array.from(rows, BigInt) }],
    [101, { layout: 'fixed', type: 'Int64', values: BigInt64Array.from(rows, (row) => BigInt(place(row))) }],
    [
      102,
      bytes(
        'VarChar',
        rows.map((row) => nameOf(place(row))),
      ),
    ],
    [103, { layout: 'fixed', type: 'Int32', values: Int32Array.from(rows, levelOf) }],
    [
      104,
      bytes(
        'JSON',
        rows.map((row) => `{"kind":"k${row % 7}","price":${place(row)},"where":{"shelf":${row % 90}}}`),
      ),
    ],
    [
      105,
      {
        layout: 'list',
        type: 'Array',
        offsets: Uint32Array.from({ length: ROWS + 1 }, (_, row) => row * 3),
        items: bytes('VarChar', tags.flat()),
      },
    ],
    [VECTOR, { layout: 'vector', type: 'FloatVector', dim: DIM, values: vectors }],
  ];
  return new Map(columns.map(([fieldId, column]) => [fieldId as FieldId, column]));
}

const kinds: readonly (readonly [string, (share: number, level: number) => string])[] = [
  ['number (STL_SORT)', (share) => `number < ${share * ROWS}`],
  ['string (INVERTED)', (share) => `name < "${nameOf(share * ROWS)}"`],
  ['low cardinality (BITMAP)', (_, level) => `level == ${level}`],
  ['JSON path (INVERTED)', (share) => `meta["price"] < ${share * ROWS}`],
  ['array (INVERTED)', (_, level) => `array_contains(tags, "level ${level}")`],
];
const indexes = [
  ['number', 'STL_SORT', {}],
  ['name', 'INVERTED', {}],
  ['level', 'BITMAP', {}],
  ['meta', 'INVERTED', { json_path: 'meta["price"]', json_cast_type: 'DOUBLE' }],
  ['tags', 'INVERTED', {}],
].map(
  ([name, index_type, params], i): IndexRecord =>
    ({
      indexId: BigInt(10 + i),
      fieldId: schema.fields.find((each) => each.name === name)!.fieldId,
      params: { index_type, ...(params as object) },
    }) as unknown as IndexRecord,
);

async function typical(work: () => Promise<unknown>): Promise<number> {
  const times: number[] = [];
  for (let run = 0; run < RUNS; run++) {
    const started = performance.now();
    await work();
    times.push(performance.now() - started);
  }
  return median(times);
}

export async function indexedFilters(): Promise<void> {
  const store = new MemoryStore(() => 0);
  const workers = inlineWorkers({ ...loadTasks({ store }), ...scalarIndexTasks() });
  const arena = new VectorArena({ maxBytes: 2 ** 31 });
  const engine = new ArenaEngine({ arena });
  const node = new LocalQueryNode({
    streamingNode: new PlainLog().node(),
    engine,
    files: new WorkerFiles({ workers, store, engine }),
    filters: { compile: compileFilter, primaryKeys: primaryKeysOf, sizeBefore, testCost },
    clock: systemClock,
    workers,
  });
  const put = async (kind: FileKind, name: string, content: Uint8Array): Promise<SegmentFile> => ({
    kind,
    key: name,
    sizeBytes: content.length,
    ...(await store.put(name, content)),
  });
  const vectors = clusteredVectors(ROWS, DIM);
  const queries = clusteredVectors(QUERIES, DIM, { offset: 5 });
  const params = { M: 10, efConstruction: 50 };
  const graph = await put('index', 'graph', buildHnsw({ vectors, dim: DIM, metric: 'L2', params }));
  const ts = 5n as HybridTime;
  const batch = { ts, rows: { rowCount: ROWS, columns: columnsOf(vectors) } };
  const segment: SegmentRecord = {
    collectionId,
    segmentId: 1n as SegmentId,
    partitionId: partitions[0]!,
    channel: channels[0]!,
    level: 'L1',
    state: 'flushed',
    rowCount: ROWS,
    minTs: ts,
    maxTs: ts,
    files: [await put('rows', 'rows', encodeRows(schema.fields, [batch]))],
    indexes: [{ indexId: 1n as IndexId, buildId: 1n as BuildId, fieldId: VECTOR, kind: 'HNSW', file: graph }],
  };
  const view = viewOf(schema, [segment]);
  const vectorIndex = view.indexes.map((index) => ({ ...index, fieldId: VECTOR }));
  await node.load({ ...view, indexes: vectorIndex });

  const count = (text: string) => node.count({ collectionId, filter: filterOf(text, schema) });
  const search = (text: string, query: number) =>
    node.search({
      collectionId,
      fieldId: VECTOR,
      queries: floatQueries(DIM, queries.subarray(query * DIM, (query + 1) * DIM)),
      queryCount: 1,
      topK: K,
      offset: 0,
      metric: 'L2',
      ef: 64,
      outputFields: [100 as FieldId],
      filter: filterOf(text, schema),
    });
  const measure = async (text: string) => {
    let query = 0;
    const first = await count(text);
    return {
      first,
      count: await typical(() => count(text)),
      search: await typical(() => search(text, query++ % QUERIES)),
    };
  };
  const measureAll = async () => {
    const found = [];
    for (const [kind, textOf] of kinds)
      for (const [level, share] of shares.entries()) {
        const text = textOf(share, level);
        found.push({ kind, share, text, ...(await measure(text)) });
      }
    return found;
  };
  const without = await measureAll();
  const usedBefore = arena.reservedBytes;
  const building = performance.now();
  await node.update({ ...view, indexes: [...vectorIndex, ...indexes] });
  const buildMs = performance.now() - building;
  const reserved = arena.reservedBytes - usedBefore;
  const with_ = await measureAll();
  console.log(
    `${ROWS} rows, ${DIM} floats, HNSW (M 10, ef 64), k = ${K}; five indexes built in ${(buildMs / 1000).toFixed(1)} s on this thread, ` +
      `${(reserved / ROWS).toFixed(0)} bytes a row\n`,
  );
  printTable(
    [
      'field',
      'rows that pass',
      'count(*), ms',
      'with index, ms',
      'ratio',
      'search, ms',
      'with index, ms',
      'ratio',
      'recall@10',
    ],
    await Promise.all(
      without.map(async (bare, i) => {
        const indexed = with_[i]!;
        if (bare.first !== indexed.first) throw new Error(`${bare.text}: ${bare.first} and ${indexed.first}`);
        return [
          bare.kind,
          `${((100 * bare.first) / ROWS).toFixed(1)} %`,
          ms(bare.count),
          ms(indexed.count),
          `${(bare.count / indexed.count).toFixed(1)} x`,
          ms(bare.search),
          ms(indexed.search),
          `${(bare.search / indexed.search).toFixed(1)} x`,
          (await recall(bare.text)).toFixed(3),
        ];
      }),
    ),
  );
  await node.close();

  /** Of the search with an index, against the rows that pass, all compared. */
  async function recall(text: string): Promise<number> {
    const passing = await node.query({
      collectionId,
      filter: filterOf(text, schema),
      outputFields: [100 as FieldId],
    });
    const column = passing.columns.get(100 as FieldId)!;
    const ids = Array.from(column.layout === 'fixed' ? column.values : [], Number);
    let hits = 0;
    for (let query = 0; query < QUERIES; query++) {
      const distance = (id: number): number => {
        let sum = 0;
        for (let d = 0; d < DIM; d++)
          sum += ((vectors[id * DIM + d] as number) - (queries[query * DIM + d] as number)) ** 2;
        return sum;
      };
      const distances = Float64Array.from(ids, distance);
      const bound = Float64Array.from(distances).sort()[K - 1] as number;
      const { keys } = await search(text, query);
      hits += Array.from(keys.values as BigInt64Array, Number).filter(
        (id) => distance(id) <= bound * 1.000001,
      ).length;
    }
    return hits / (QUERIES * K);
  }
}
