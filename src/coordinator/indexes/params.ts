/** Pure: what an index definition asks for, checked. Stored parameters stay as the user gave them, with the metric made explicit. */
import { DbError } from '../../errors/db-error.ts';
import { flatParams } from '../../model/index-params.ts';
import type { IndexRecord, Properties, SegmentRecord } from '../../model/records.ts';
import { checkScalarIndex, isScalarIndexType } from '../../model/scalar-index-types.ts';
import { type FieldSchema, isVectorType } from '../../model/schema.ts';
import {
  type BuiltKind,
  builtKindOf,
  checkVectorIndex,
  isVectorIndexType,
  refuseUnservedIndex,
} from '../../model/vector-index-types.ts';

const invalid = (message: string): DbError => new DbError('index-invalid', message);

/** The parameters of a new index on `field`. Throws `index-invalid`, or `unimplemented` for what Milvus has and we do not. */
export function checkIndexParams(field: FieldSchema, given: Properties): Properties {
  const type = given['index_type'] || 'AUTOINDEX';
  refuseUnservedIndex(type);
  if (!isVectorIndexType(type) && !isScalarIndexType(type))
    throw invalid(`invalid parameter[expected=valid index][actual=invalid index type: ${type}]`);
  const isVector = isVectorType(field.dataType);
  if (!(isVector ? isVectorIndexType(type) : isScalarIndexType(type)))
    throw invalid(`index ${type} is not supported on field ${field.name} of type ${field.dataType}`);
  if (isVector) {
    const metric = checkVectorIndex(field, type, flatParams(given));
    return { ...given, index_type: type, metric_type: metric };
  }
  checkScalarIndex(field, type, flatParams(given));
  const { metric_type: _, ...others } = given;
  return { ...others, index_type: type };
}

/** The kind of file an index of this field has, if any. */
export const builtKind = (index: IndexRecord, field: FieldSchema | undefined): BuiltKind =>
  field !== undefined && isVectorType(field.dataType)
    ? builtKindOf(field, index.params['index_type'] ?? '')
    : 'none';

/** Every index of a vector has a metric, no other has one. */
export const isVectorIndex = ({ params }: IndexRecord): boolean => params['metric_type'] !== undefined;

/**
 * Whether the segment should get a file for this index and has none yet. `minRows`:
 * `indexCoord.segment.minSegmentNumRowsToEnableIndex`; smaller segments are scanned. A segment that is being written
 * has rows once its files are recorded.
 */
export const lacksFile = (
  segment: SegmentRecord,
  index: IndexRecord,
  field: FieldSchema | undefined,
  minRows: number,
): boolean =>
  (segment.state === 'flushed' || segment.state === 'writing') &&
  segment.level === 'L1' &&
  segment.rowCount >= minRows &&
  builtKind(index, field) !== 'none' &&
  !segment.indexes.some(({ indexId }) => indexId === index.indexId);
