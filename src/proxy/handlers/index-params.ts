/** Pure: which indexes may be asked for. A name promises its recall and its parameters' names, not its structure. */
import { DbError, isDbError } from '../../errors/db-error.ts';
import { jsonPathOf } from '../../expr/json-path.ts';
import { isMetricType, type MetricType } from '../../model/metric.ts';
import type { Properties } from '../../model/records.ts';
import { checkScalarIndex, isScalarIndexType } from '../../model/scalar-index-types.ts';
import { type CollectionSchema, type FieldSchema, isVectorType } from '../../model/schema.ts';
import { checkVectorIndex, isVectorIndexType, refuseUnservedIndex } from '../../model/vector-index-types.ts';

const invalid = (message: string): DbError => new DbError('parameter-invalid', message);

/** The metric of that name, whatever its case. Throws `parameter-invalid`. */
export function requireMetric(name: string): MetricType {
  const metric = name.toUpperCase();
  if (!isMetricType(metric)) throw invalid(`metric type ${name} not found or not supported`);
  return metric;
}

/** What stands in the index record beside the parameters as given: type and metric, defaults filled in. */
export function checkIndexParams(
  field: FieldSchema,
  params: Properties,
  schema: CollectionSchema,
): Properties {
  const kind = params['index_type'] || 'AUTOINDEX';
  refuseUnservedIndex(kind);
  if (!isScalarIndexType(kind) && !isVectorIndexType(kind))
    throw new DbError('index-invalid', `invalid index type: ${kind}`);
  const isVector = isVectorType(field.dataType);
  if (!(isVector ? isVectorIndexType(kind) : isScalarIndexType(kind)))
    throw invalid(`index ${kind} is not supported on field ${field.name} of type ${field.dataType}`);
  if (isVector) return { index_type: kind, metric_type: vectorMetric(field, kind, params) };
  asParameter(() => checkScalarIndex(field, kind, params));
  const { json_path: path } = params;
  if (field.dataType === 'JSON' && jsonPathOf(path ?? field.name, schema)?.fieldId !== field.fieldId)
    throw invalid(`json_path ${path ?? field.name} is no path in field ${field.name}`);
  return { index_type: kind };
}

function vectorMetric(field: FieldSchema, kind: string, params: Properties): string {
  return asParameter(() => checkVectorIndex(field, kind, params));
}

/** Clients know a wrong parameter by another code than a wrong field. */
function asParameter<T>(check: () => T): T {
  try {
    return check();
  } catch (error) {
    if (!isDbError(error, 'index-invalid')) throw error;
    throw new DbError('parameter-invalid', error.message, { cause: error });
  }
}
