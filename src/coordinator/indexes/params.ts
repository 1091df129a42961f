/** Pure: what an index definition asks for, checked. Stored parameters stay as the user gave them, with the metric made explicit. */
import { DbError } from '../../errors/db-error.ts';
import type { IndexRecord, Properties, SegmentRecord } from '../../model/records.ts';
import type { FieldSchema } from '../../model/schema.ts';
import { parseJson } from '../../support/json.ts';

/** Built as: a graph, or nothing at all (an exact scan needs no file). */
const servedTypes: Readonly<Record<string, 'HNSW' | 'none'>> = {
  FLAT: 'none',
  HNSW: 'HNSW',
  AUTOINDEX: 'HNSW',
};

/** Names of Milvus that are understood and refused. */
const otherTypes = new Set([
  'IVF_FLAT',
  'IVF_SQ8',
  'IVF_PQ',
  'IVF_RABITQ',
  'HNSW_SQ',
  'HNSW_PQ',
  'HNSW_PRQ',
  'DISKANN',
  'SCANN',
  'GPU_CAGRA',
  'GPU_IVF_FLAT',
  'GPU_IVF_PQ',
  'GPU_BRUTE_FORCE',
  'BIN_FLAT',
  'BIN_IVF_FLAT',
  'SPARSE_INVERTED_INDEX',
  'SPARSE_WAND',
  'MINHASH_LSH',
]);

const metrics = ['L2', 'IP', 'COSINE'];
const DEFAULT_METRIC = 'COSINE';

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
  if (field.dataType !== 'FloatVector')
    throw new DbError(
      'unimplemented',
      `index ${type} on field '${field.name}': scalar indexes are not implemented, filters scan the column`,
    );
  if (otherTypes.has(type))
    throw new DbError('unimplemented', `index type ${type} is not implemented; use HNSW, FLAT or AUTOINDEX`);
  if (!Object.hasOwn(servedTypes, type))
    throw invalid(`invalid parameter[expected=valid index][actual=invalid index type: ${type}]`);
  const flat = flatParams(given);
  const metric = (flat['metric_type'] || DEFAULT_METRIC).toUpperCase();
  if (!metrics.includes(metric))
    throw invalid(
      `float vector index does not support metric type: ${metric}, it must be one of ${metrics.join(', ')}`,
    );
  if (servedTypes[type] === 'HNSW') checkRanges(flat);
  return { ...given, index_type: type, metric_type: metric };
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
  const entries = Object.entries(inner).map(([name, value]) => [name, String(value)] as const);
  return { ...flat, ...Object.fromEntries(entries) };
}

/** The kind of file an index has, if any. */
export const builtKind = (index: IndexRecord): 'HNSW' | 'none' =>
  servedTypes[index.params['index_type'] ?? ''] ?? 'none';

/**
 * Whether the segment should get a file for this index and has none yet. `minRows`:
 * `indexCoord.segment.minSegmentNumRowsToEnableIndex`; smaller segments are scanned.
 */
export const lacksFile = (segment: SegmentRecord, index: IndexRecord, minRows: number): boolean =>
  segment.state === 'flushed' &&
  segment.level === 'L1' &&
  segment.rowCount >= minRows &&
  builtKind(index) !== 'none' &&
  !segment.indexes.some(({ indexId }) => indexId === index.indexId);
