/** Pure: what an index definition asks for, checked. Stored parameters stay as the user gave them, with the metric made explicit. */
import { DbError } from '../../errors/db-error.ts';
import type { IndexRecord, Properties, SegmentRecord } from '../../model/records.ts';
import { type FieldSchema, isVectorType } from '../../model/schema.ts';
import { isShallow, parseJson } from '../../support/json.ts';

/**
 * What each name is built as: a graph, or nothing at all (an exact scan needs no file). A name promises its recall and its
 * parameters' names, which describe shows again; the graph keeps that promise for the quantized and clustered kinds too.
 */
const vectorTypes: Readonly<Record<string, 'HNSW' | 'none'>> = {
  FLAT: 'none',
  HNSW: 'HNSW',
  AUTOINDEX: 'HNSW',
  HNSW_SQ: 'HNSW',
  IVF_FLAT: 'HNSW',
  IVF_SQ8: 'HNSW',
  IVF_PQ: 'HNSW',
  SCANN: 'HNSW',
  DISKANN: 'HNSW',
};

/** Definitions only: filters scan the column. */
const scalarTypes = new Set(['INVERTED', 'STL_SORT', 'Trie', 'BITMAP', 'AUTOINDEX']);

/** Names of Milvus that are understood and refused. */
const otherTypes = new Set([
  'IVF_RABITQ',
  'HNSW_PQ',
  'HNSW_PRQ',
  'GPU_CAGRA',
  'GPU_IVF_FLAT',
  'GPU_IVF_PQ',
  'GPU_BRUTE_FORCE',
  'BIN_FLAT',
  'BIN_IVF_FLAT',
  'SPARSE_INVERTED_INDEX',
  'SPARSE_WAND',
  'MINHASH_LSH',
  'RTREE',
]);

const metrics = ['L2', 'IP', 'COSINE'];
const DEFAULT_METRIC = 'COSINE';
/** Levels of the JSON under `params`. */
const MAX_PARAM_DEPTH = 16;

interface Range {
  readonly min: number;
  readonly max: number;
}
const buildParams: Readonly<Record<string, Range>> = {
  M: { min: 2, max: 2048 },
  efConstruction: { min: 1, max: 32_768 },
};

const invalid = (message: string): DbError => new DbError('index-invalid', message);

/** The parameters of a new index on `field`. Throws `index-invalid`, or `unimplemented` for what Milvus has and we do not. */
export function checkIndexParams(field: FieldSchema, given: Properties): Properties {
  const type = given['index_type'] || 'AUTOINDEX';
  if (isVectorType(field.dataType) && field.dataType !== 'FloatVector')
    return checkScanned(field, type, given);
  if (otherTypes.has(type)) throw new DbError('unimplemented', `index type ${type} is not implemented`);
  const isVector = field.dataType === 'FloatVector';
  if (!Object.hasOwn(vectorTypes, type) && !scalarTypes.has(type))
    throw invalid(`invalid parameter[expected=valid index][actual=invalid index type: ${type}]`);
  if (isVector ? !Object.hasOwn(vectorTypes, type) : !scalarTypes.has(type))
    throw invalid(`index ${type} is not supported on field ${field.name} of type ${field.dataType}`);
  if (!isVector) return checkScalarParams(field, type, given);
  const flat = flatParams(given);
  const metric = (flat['metric_type'] || DEFAULT_METRIC).toUpperCase();
  if (!metrics.includes(metric))
    throw invalid(
      `float vector index does not support metric type: ${metric}, it must be one of ${metrics.join(', ')}`,
    );
  if (vectorTypes[type] === 'HNSW') checkRanges(flat);
  return { ...given, index_type: type, metric_type: metric };
}

/** Vectors of other kinds: kept and scanned, so that their collection can be loaded. */
function checkScanned({ name, dataType }: FieldSchema, type: string, given: Properties): Properties {
  if (!scannedTypes.has(type))
    throw new DbError(
      'unimplemented',
      `index ${type} on field ${name} of type ${dataType} is not implemented`,
    );
  const metric = flatParams(given)['metric_type'] || 'COSINE';
  return { ...given, index_type: type, metric_type: metric.toUpperCase() };
}
const scannedTypes = new Set(['FLAT', 'BIN_FLAT', 'SPARSE_INVERTED_INDEX']);

function checkScalarParams(field: FieldSchema, type: string, given: Properties): Properties {
  if (field.dataType === 'JSON' || flatParams(given)['json_path'] !== undefined)
    throw new DbError('unimplemented', `an index on JSON field ${field.name} is not implemented`);
  const { metric_type: _, ...others } = given;
  return { ...others, index_type: type };
}

function checkRanges(flat: Properties): void {
  for (const [name, { min, max }] of Object.entries(buildParams)) {
    const text = flat[name];
    if (text === undefined) continue;
    const value = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
    if (!(value >= min && value <= max))
      throw invalid(`Out of range in json: param '${name}' (${text}) should be in range [${min}, ${max}]`);
  }
}

/** Clients send build parameters one by one, or as JSON text under `params`; here they stand side by side. */
export function flatParams(params: Properties): Properties {
  const { params: text, ...flat } = params;
  if (text === undefined || text === '') return flat;
  let inner: unknown;
  try {
    inner = parseJson(text);
  } catch (cause) {
    throw new DbError('index-invalid', `index parameters are not JSON: ${text}`, { cause });
  }
  if (typeof inner !== 'object' || inner === null || Array.isArray(inner))
    throw invalid(`index parameters are not a JSON object: ${text}`);
  if (!isShallow(inner, MAX_PARAM_DEPTH)) throw invalid('index parameters are nested too deeply');
  const entries = Object.entries(inner).map(([name, value]) => [name, textOf(value)] as const);
  return { ...flat, ...Object.fromEntries(entries) };
}

const textOf = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value));

/** The kind of file an index has, if any. */
export const builtKind = (index: IndexRecord): 'HNSW' | 'none' =>
  isVectorIndex(index) ? (vectorTypes[index.params['index_type'] ?? ''] ?? 'none') : 'none';

/** Every index of a vector has a metric, no other has one. */
export const isVectorIndex = ({ params }: IndexRecord): boolean => params['metric_type'] !== undefined;

/**
 * Whether the segment should get a file for this index and has none yet. `minRows`:
 * `indexCoord.segment.minSegmentNumRowsToEnableIndex`; smaller segments are scanned. A segment that is being written
 * has rows once its files are recorded.
 */
export const lacksFile = (segment: SegmentRecord, index: IndexRecord, minRows: number): boolean =>
  (segment.state === 'flushed' || segment.state === 'writing') &&
  segment.level === 'L1' &&
  segment.rowCount >= minRows &&
  builtKind(index) !== 'none' &&
  !segment.indexes.some(({ indexId }) => indexId === index.indexId);
