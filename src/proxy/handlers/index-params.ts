/** Pure: which indexes may be asked for. A name promises its recall and its parameters' names, not its structure. */
import { DbError, isDbError } from '../../errors/db-error.ts';
import { isMetricType, type MetricType } from '../../model/metric.ts';
import type { Properties } from '../../model/records.ts';
import { type FieldSchema, isVectorType } from '../../model/schema.ts';
import { checkVectorIndex, isVectorIndexType, refuseUnservedIndex } from '../../model/vector-index-types.ts';

const scalarKinds = new Set(['INVERTED', 'STL_SORT', 'Trie', 'BITMAP', 'AUTOINDEX']);
const invalid = (message: string): DbError => new DbError('parameter-invalid', message);

/** The metric of that name, whatever its case. Throws `parameter-invalid`. */
export function requireMetric(name: string): MetricType {
  const metric = name.toUpperCase();
  if (!isMetricType(metric)) throw invalid(`metric type ${name} not found or not supported`);
  return metric;
}

/** What stands in the index record beside the parameters as given: type and metric, defaults filled in. */
export function checkIndexParams(field: FieldSchema, params: Properties): Properties {
  const kind = params['index_type'] ?? 'AUTOINDEX';
  const isScalarKind = scalarKinds.has(kind) || kind === 'RTREE';
  refuseUnservedIndex(kind);
  if (!isScalarKind && !isVectorIndexType(kind))
    throw new DbError('index-invalid', `invalid index type: ${kind}`);
  const isVector = isVectorType(field.dataType);
  if (!(isVector ? isVectorIndexType(kind) : scalarKinds.has(kind)))
    throw invalid(`index ${kind} is not supported on field ${field.name} of type ${field.dataType}`);
  if (isVector) return { index_type: kind, metric_type: vectorMetric(field, kind, params) };
  if (field.dataType === 'JSON' || params['json_path'] !== undefined)
    throw new DbError('unimplemented', `an index on JSON field ${field.name} is not implemented`);
  return { index_type: kind };
}

/** Clients know a wrong parameter by another code than a wrong field. */
function vectorMetric(field: FieldSchema, kind: string, params: Properties): string {
  try {
    return checkVectorIndex(field, kind, params);
  } catch (error) {
    if (!isDbError(error, 'index-invalid')) throw error;
    throw new DbError('parameter-invalid', error.message, { cause: error });
  }
}
