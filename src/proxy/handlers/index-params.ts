/** Pure: which indexes may be asked for. A name promises its recall and its parameters' names, not its structure. */
import { DbError } from '../../errors/db-error.ts';
import type { Properties } from '../../model/records.ts';
import { type FieldSchema, isVectorType } from '../../model/schema.ts';
import { integerParam } from '../wire/key-values.ts';

export type Metric = 'L2' | 'IP' | 'COSINE';
const metrics: readonly string[] = ['L2', 'IP', 'COSINE'] satisfies Metric[];
const DEFAULT_METRIC: Metric = 'COSINE';

const vectorKinds = new Set([
  'FLAT',
  'IVF_FLAT',
  'IVF_SQ8',
  'IVF_PQ',
  'HNSW',
  'HNSW_SQ',
  'DISKANN',
  'SCANN',
  'AUTOINDEX',
]);
const scalarKinds = new Set(['INVERTED', 'STL_SORT', 'Trie', 'BITMAP', 'AUTOINDEX']);
/** Index types of data types that are not served. */
const otherKinds = new Set([
  'BIN_FLAT',
  'BIN_IVF_FLAT',
  'SPARSE_INVERTED_INDEX',
  'SPARSE_WAND',
  'MINHASH_LSH',
  'RTREE',
]);

const invalid = (message: string): DbError => new DbError('parameter-invalid', message);

/** Range of each integer build parameter, as Milvus has them. */
const ranges: Readonly<Record<string, readonly [number, number]>> = {
  M: [2, 2048],
  efConstruction: [1, 2 ** 31 - 1],
  nlist: [1, 65_536],
};

/** The metric of that name, whatever its case. Throws `parameter-invalid`. */
export function requireMetric(name: string): Metric {
  const metric = name.toUpperCase();
  if (!metrics.includes(metric))
    throw invalid(`metric type ${name} not found or not supported, supported: ${metrics}`);
  return metric as Metric;
}

/** What stands in the index record beside the parameters as given: type and metric, defaults filled in. */
export function checkIndexParams(field: FieldSchema, params: Properties): Properties {
  const kind = params['index_type'] ?? 'AUTOINDEX';
  const isVector = field.dataType === 'FloatVector';
  // The coordinator checks what it scans.
  if (isVectorType(field.dataType) && !isVector) return { index_type: kind };
  if (!vectorKinds.has(kind) && !scalarKinds.has(kind) && !otherKinds.has(kind))
    throw new DbError('unimplemented', `invalid index type: ${kind}`);
  if (!(isVector ? vectorKinds : scalarKinds).has(kind))
    throw invalid(`index ${kind} is not supported on field ${field.name} of type ${field.dataType}`);
  if (!isVector && (field.dataType === 'JSON' || params['json_path'] !== undefined))
    throw new DbError('unimplemented', `an index on JSON field ${field.name} is not implemented`);
  requireRanges(params);
  if (!isVector) return { index_type: kind };
  return { index_type: kind, metric_type: requireMetric(params['metric_type'] ?? DEFAULT_METRIC) };
}

function requireRanges(params: Properties): void {
  for (const [key, [least, most]] of Object.entries(ranges)) {
    const value = integerParam(params, key);
    if (value !== undefined && (value < least || value > most))
      throw invalid(`param '${key}' (${value}) should be in range [${least}, ${most}]`);
  }
}
