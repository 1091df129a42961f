/** Pure: what an index definition asks for, checked. Stored parameters stay as the user gave them, with the metric made explicit. */
import { DbError } from '../../errors/db-error.ts';
import type { IndexRecord, Properties, SegmentRecord } from '../../model/records.ts';
import { type FieldSchema, isVectorType } from '../../model/schema.ts';
import {
  type BuiltKind,
  builtKindOf,
  checkVectorIndex,
  isVectorIndexType,
  refuseUnservedIndex,
} from '../../model/vector-index-types.ts';
import { isShallow, parseJson } from '../../support/json.ts';

/** Definitions only: filters scan the column. */
const scalarTypes = new Set(['INVERTED', 'STL_SORT', 'Trie', 'BITMAP', 'AUTOINDEX']);

const otherTypes = new Set(['RTREE']);
/** Levels of the JSON under `params`. */
const MAX_PARAM_DEPTH = 16;

const invalid = (message: string): DbError => new DbError('index-invalid', message);

/** The parameters of a new index on `field`. Throws `index-invalid`, or `unimplemented` for what Milvus has and we do not. */
export function checkIndexParams(field: FieldSchema, given: Properties): Properties {
  const type = given['index_type'] || 'AUTOINDEX';
  refuseUnservedIndex(type);
  if (isVectorType(field.dataType)) return checkVectorParams(field, type, given);
  if (otherTypes.has(type)) throw new DbError('unimplemented', `index type ${type} is not implemented`);
  if (!scalarTypes.has(type) && !isVectorIndexType(type))
    throw invalid(`invalid parameter[expected=valid index][actual=invalid index type: ${type}]`);
  if (!scalarTypes.has(type))
    throw invalid(`index ${type} is not supported on field ${field.name} of type ${field.dataType}`);
  return checkScalarParams(field, type, given);
}

function checkVectorParams(field: FieldSchema, type: string, given: Properties): Properties {
  if (scalarTypes.has(type) && !isVectorIndexType(type))
    throw invalid(`index ${type} is not supported on field ${field.name} of type ${field.dataType}`);
  const metric = checkVectorIndex(field, type, flatParams(given));
  return { ...given, index_type: type, metric_type: metric };
}

function checkScalarParams(field: FieldSchema, type: string, given: Properties): Properties {
  if (field.dataType === 'JSON' || flatParams(given)['json_path'] !== undefined)
    throw new DbError('unimplemented', `an index on JSON field ${field.name} is not implemented`);
  const { metric_type: _, ...others } = given;
  return { ...others, index_type: type };
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
