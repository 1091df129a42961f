/** A loaded segment whose rows pass filters of every dear kind at known shares: for tests and benches of searches with filters. */
import { filterOf } from '../src/expr/check.ts';
import { testCost } from '../src/expr/cost.ts';
import { compileFilter } from '../src/expr/evaluate.ts';
import { primaryKeysOf } from '../src/expr/primary-keys.ts';
import { filterTasks } from '../src/expr/slow.ts';
import { sizeBefore } from '../src/expr/weight.ts';
import { wkbOf } from '../src/geometry/read-wkt.ts';
import type { HybridTime } from '../src/model/hybrid-time.ts';
import type { BuildId, FieldId, IndexId, SegmentId } from '../src/model/ids.ts';
import type { FileKind, IndexRecord, SegmentFile, SegmentRecord } from '../src/model/records.ts';
import type { BytesColumn, BytesType, Column } from '../src/model/rows.ts';
import type { CollectionSchema } from '../src/model/schema.ts';
import type { CollectionView, SearchRequest } from '../src/querynode/api.ts';
import { ArenaEngine } from '../src/querynode/arena-engine.ts';
import { LocalQueryNode } from '../src/querynode/querynode.ts';
import { WorkerFiles } from '../src/querynode/segment-files.ts';
import type { chooseWay } from '../src/querynode/ways.ts';
import { scalarIndexTasks } from '../src/scalar-index/tasks.ts';
import { loadTasks } from '../src/segment/load.ts';
import { encodeRows } from '../src/segment/rows-file.ts';
import { MemoryStore } from '../src/storage/memory.ts';
import { inlineWorkers } from '../src/support/inline-workers.ts';
import { systemClock } from '../src/support/system-clock.ts';
import { textTasks } from '../src/text/text-tasks.ts';
import { VectorArena } from '../src/vector-index/arena.ts';
import { buildHnsw } from '../src/vector-index/hnsw-build.ts';
import { fieldSchema } from './field-schema.ts';
import { collectionId, PlainLog, partitions } from './query-world.ts';
import { clusteredVectors, floatQueries } from './vectors.ts';

const [ID, META, TEXT, PLACE, VECTOR, NUMBER] = [100, 101, 102, 103, 104, 105] as FieldId[] as [
  FieldId,
  FieldId,
  FieldId,
  FieldId,
  FieldId,
  FieldId,
];

/** The parts of the rows that pass, and the word that stands in their texts. */
export const shares = [
  [0.5, 'halfway'],
  [0.1, 'tenthpart'],
  [0.01, 'hundredth'],
  [0.001, 'thousandth'],
] as const;

/** Keys of the documents that say the same, so that one can be asked for which nobody has asked before. */
export const JSON_KEYS = 8;

/** A filter of every kind for a share; all of them let the rows pass whose place is below it. */
export const kinds: readonly (readonly [string, (share: number, word: string, key: number) => string])[] = [
  ['JSON path', (share, _, key) => `meta["p${key}"] < ${share}`],
  ['LIKE', (_, word) => `text like "%${word}%"`],
  ['regular expression', (_, word) => `text =~ "${word[0]}[a-z]+ ?${word.slice(-3)}"`],
  ['TEXT_MATCH', (_, word) => `TEXT_MATCH(text, "${word}")`],
  [
    'geometry',
    (share) => {
      const edge = (share * 100).toFixed(3);
      return `ST_WITHIN(place, 'POLYGON ((-1 -1, ${edge} -1, ${edge} 60, 0 101, -1 60, -1 -1))')`;
    },
  ],
];

function bytesColumn(type: BytesType, values: readonly (Uint8Array | string)[]): BytesColumn {
  const pieces = values.map((value) => (typeof value === 'string' ? Buffer.from(value) : value));
  const offsets = new Uint32Array(pieces.length + 1);
  for (const [i, piece] of pieces.entries()) offsets[i + 1] = (offsets[i] ?? 0) + piece.length;
  return { layout: 'bytes', type, offsets, data: new Uint8Array(Buffer.concat(pieces)) };
}

const FILLER = 'the quick brown fox jumps over the lazy dog and then goes home to its den to sleep till noon';

export interface FilteredWorldOptions {
  readonly rowCount: number;
  readonly dim: number;
  readonly hasGraph: boolean;
  readonly chooseWay?: typeof chooseWay;
  /** The rows that pass are those that are near each other. */
  readonly isCorrelated?: boolean;
}

/** Opens it; `node.close()` ends it. */
export async function filteredWorld(options: FilteredWorldOptions) {
  const { rowCount, dim, hasGraph, isCorrelated = false } = options;
  const schema: CollectionSchema = {
    description: '',
    fields: [
      fieldSchema('id', { fieldId: ID, isPrimaryKey: true }),
      fieldSchema('meta', { fieldId: META, dataType: 'JSON', nullable: true }),
      fieldSchema('text', {
        fieldId: TEXT,
        dataType: 'VarChar',
        maxLength: 1000,
        typeParams: { enable_analyzer: 'true', enable_match: 'true' },
      }),
      fieldSchema('place', { fieldId: PLACE, dataType: 'Geometry' }),
      fieldSchema('v', { fieldId: VECTOR, dataType: 'FloatVector', dim }),
      fieldSchema('number', { fieldId: NUMBER, dataType: 'Int32' }),
    ],
    enableDynamicField: false,
    version: 1,
  };
  const vectors = clusteredVectors(rowCount, dim, { latent: 8, clusters: 60 });
  const rows = Array.from({ length: rowCount }, (_, row) => row);
  const places = new Float64Array(rowCount);
  const order = isCorrelated
    ? rows.slice().sort((a, b) => (vectors[a * dim] ?? 0) - (vectors[b * dim] ?? 0))
    : rows.map((row) => (row * 7919) % rowCount);
  for (const [at, row] of order.entries()) places[row] = at / rowCount;
  const place = (row: number): number => places[row] ?? 0;
  const documentOf = (row: number): string => {
    const keys = Array.from({ length: JSON_KEYS }, (_, key) => `"p${key}":${place(row)}`);
    return `{"kind":"k${row % 7}",${keys.join()},"spelled":"${place(row)}","where":{"shelf":${row % 90}}}`;
  };
  const textOf = (row: number): string =>
    [
      `number ${row} ${FILLER}`,
      ...shares.flatMap(([share, word]) => (place(row) < share ? [word] : [])),
    ].join(' ');
  const columns = new Map<FieldId, Column>([
    [ID, { layout: 'fixed', type: 'Int64', values: BigInt64Array.from(rows, BigInt) }],
    [META, { ...bytesColumn('JSON', rows.map(documentOf)), valid: new Uint8Array(rowCount).fill(1) }],
    [TEXT, bytesColumn('VarChar', rows.map(textOf))],
    [
      PLACE,
      bytesColumn(
        'Geometry',
        rows.map((row) => wkbOf(`POINT (${place(row) * 100} ${(row % 50) + 0.5})`)),
      ),
    ],
    [VECTOR, { layout: 'vector', type: 'FloatVector', dim, values: vectors }],
    [NUMBER, { layout: 'fixed', type: 'Int32', values: Int32Array.from(rows) }],
  ]);
  const store = new MemoryStore(() => 0);
  const put = async (kind: FileKind, bytes: Uint8Array): Promise<SegmentFile> => ({
    kind,
    key: kind,
    sizeBytes: bytes.length,
    ...(await store.put(kind, bytes)),
  });
  const ts = 5n as HybridTime;
  const file = await put('rows', encodeRows(schema.fields, [{ ts, rows: { rowCount, columns } }]));
  const params = { M: 12, efConstruction: 60 };
  const graph = hasGraph && (await put('index', buildHnsw({ vectors, dim, metric: 'L2', params })));
  const index = { indexId: 1n as IndexId, buildId: 1n as BuildId, fieldId: VECTOR, kind: 'HNSW' };
  const segment: SegmentRecord = {
    segmentId: 1n as SegmentId,
    collectionId,
    partitionId: partitions[0] as (typeof partitions)[number],
    channel: 'dml_0',
    level: 'L1',
    state: 'flushed',
    rowCount,
    minTs: ts,
    maxTs: ts,
    files: [file],
    indexes: graph === false ? [] : [{ ...index, file: graph }],
  };
  const counts = { tests: 0 };
  const arena = new VectorArena({ maxBytes: 2 ** 30, memoryBytes: 2 ** 28, growBytes: 2 ** 20 });
  const engine = new ArenaEngine({ arena });
  const workers = inlineWorkers({
    ...loadTasks({ store }),
    ...scalarIndexTasks(),
    ...filterTasks(),
    ...textTasks(),
  });
  const node = new LocalQueryNode({
    streamingNode: new PlainLog().node(),
    engine,
    files: new WorkerFiles({ workers, store, engine }),
    filters: {
      compile(filter) {
        const compiled = compileFilter(filter, { workers });
        const evaluate: typeof compiled.evaluate = (source, from, to, out, within) => {
          counts.tests += to - from;
          return compiled.evaluate(source, from, to, out, within);
        };
        return { ...compiled, evaluate };
      },
      primaryKeys: primaryKeysOf,
      sizeBefore,
      testCost,
    },
    clock: systemClock,
    workers,
    ...(options.chooseWay === undefined ? {} : { chooseWay: options.chooseWay }),
  });
  const vectorIndex = {
    indexId: 1n,
    fieldId: VECTOR,
    params: { metric_type: 'L2' },
  } as unknown as IndexRecord;
  const view: CollectionView = {
    collectionId,
    schema,
    channels: ['dml_0'],
    partitionIds: partitions,
    segments: [segment],
    unflushed: [],
    indexes: [vectorIndex],
  };
  await node.load(view);
  const search = (queries: Float32Array, text?: string, more: Partial<SearchRequest> = {}) =>
    node.search({
      collectionId,
      fieldId: VECTOR,
      queries: floatQueries(dim, queries),
      queryCount: queries.length / dim,
      topK: 10,
      offset: 0,
      metric: 'L2',
      outputFields: [],
      ...(text === undefined ? {} : { filter: filterOf(text, schema) }),
      ...more,
    });
  return { node, schema, view, vectors, place, counts, search, indexOn, FIELDS: { META, NUMBER, VECTOR } };
}

const indexOn = (fieldId: FieldId, params: Readonly<Record<string, string>> = {}): IndexRecord =>
  ({
    indexId: BigInt(fieldId),
    fieldId,
    params: { index_type: 'INVERTED', ...params },
  }) as unknown as IndexRecord;
