/** Pure: Milvus's names of scalar indexes and the fields each is for. A name is kept and described; what is built goes by the field. */
import { DbError } from '../errors/db-error.ts';
import type { DataType, FieldSchema } from './schema.ts';

/** What a JSON path index takes the values at its path for; other values are not in it. */
export const castTypes = [
  'BOOL',
  'DOUBLE',
  'VARCHAR',
  'ARRAY_BOOL',
  'ARRAY_DOUBLE',
  'ARRAY_VARCHAR',
] as const;
export type CastType = (typeof castTypes)[number];

type Kind = 'bool' | 'int' | 'float' | 'text' | 'time' | 'geometry';

const kinds: Readonly<Partial<Record<DataType, Kind>>> = {
  Bool: 'bool',
  Int8: 'int',
  Int16: 'int',
  Int32: 'int',
  Int64: 'int',
  Float: 'float',
  Double: 'float',
  VarChar: 'text',
  Timestamptz: 'time',
  Geometry: 'geometry',
};

interface ScalarIndexType {
  readonly kinds: readonly Kind[];
  /** Of the items of an Array. Absent: not for arrays. */
  readonly itemKinds?: readonly Kind[];
  readonly casts: readonly CastType[];
  /** Milvus's words for a field it is not for. */
  readonly refusal: string;
  readonly isForKeys: boolean;
}

const scalars: readonly Kind[] = ['bool', 'int', 'float', 'text', 'time'];
const coarse: readonly Kind[] = ['bool', 'int', 'text'];
const single: readonly CastType[] = ['BOOL', 'DOUBLE', 'VARCHAR'];
const trie: ScalarIndexType = {
  kinds: ['text'],
  casts: [],
  refusal: 'TRIE are only supported on varchar field',
  isForKeys: true,
};

const scalarIndexTypes: Readonly<Record<string, ScalarIndexType>> = {
  AUTOINDEX: {
    kinds: [...scalars, 'geometry'],
    itemKinds: scalars,
    casts: castTypes,
    refusal: 'create auto index on this field is not supported',
    isForKeys: true,
  },
  INVERTED: {
    kinds: scalars,
    itemKinds: scalars,
    casts: castTypes,
    refusal: 'INVERTED are not supported on this field',
    isForKeys: true,
  },
  STL_SORT: {
    kinds: ['int', 'float', 'text', 'time'],
    casts: single,
    refusal: 'STL_SORT are only supported on numeric, varchar or timestamptz field',
    isForKeys: true,
  },
  Trie: trie,
  TRIE: trie,
  'MARISA-TRIE': trie,
  'marisa-trie': trie,
  BITMAP: {
    kinds: coarse,
    itemKinds: coarse,
    casts: single,
    refusal: 'bitmap index are only supported on bool, int, string and array field',
    isForKeys: false,
  },
  HYBRID: {
    kinds: coarse,
    itemKinds: coarse,
    casts: single,
    refusal: 'hybrid index are only supported on bool, int, string and array field',
    isForKeys: false,
  },
  RTREE: {
    kinds: ['geometry'],
    casts: [],
    refusal: 'RTREE index can only be built on geometry field',
    isForKeys: true,
  },
};

export const isScalarIndexType = (type: string): boolean => Object.hasOwn(scalarIndexTypes, type);

const invalid = (message: string): DbError => new DbError('index-invalid', message);

/**
 * Parameters stand side by side. Throws `index-invalid` for a type that the field cannot have, `unimplemented` for what Milvus has and
 * we do not. Whether `json_path` is a path of the field is the caller's to check.
 */
export function checkScalarIndex(
  field: FieldSchema,
  type: string,
  params: Readonly<Record<string, string>>,
): void {
  const indexType = Object.hasOwn(scalarIndexTypes, type) ? scalarIndexTypes[type] : undefined;
  if (indexType === undefined)
    throw invalid(`invalid parameter[expected=valid index][actual=invalid index type: ${type}]`);
  const { name, dataType } = field;
  const refused = invalid(
    `${indexType.refusal}: index ${type} is not supported on field ${name} of type ${dataType}`,
  );
  if (dataType === 'JSON') {
    checkCast(indexType, type, params, refused);
    return;
  }
  if (params['json_path'] !== undefined || params['json_cast_type'] !== undefined)
    throw invalid(`json_path and json_cast_type are of indexes on JSON fields, ${name} is ${dataType}`);
  if (field.isPrimaryKey && !indexType.isForKeys)
    throw invalid(`create ${type.toLowerCase()} index on primary key not supported`);
  const allowed = dataType === 'Array' ? indexType.itemKinds : indexType.kinds;
  const kind = kinds[dataType === 'Array' ? (field.elementType ?? 'Array') : dataType];
  if (kind === undefined || allowed?.includes(kind) !== true) throw refused;
}

function checkCast(
  indexType: ScalarIndexType,
  type: string,
  params: Readonly<Record<string, string>>,
  refused: DbError,
): void {
  if (indexType.casts.length === 0) throw refused;
  const { json_cast_function: castFunction, json_cast_type: asked } = params;
  if (asked === undefined) throw invalid('json index must specify cast type: json_cast_type is missing');
  if (asked.toUpperCase() === 'JSON')
    throw new DbError('unimplemented', 'json_cast_type JSON is not implemented; index the paths under it');
  const cast = castTypeOf(asked);
  if (cast === undefined || !indexType.casts.includes(cast))
    throw invalid(`json_cast_type ${asked} is not supported by index ${type}`);
  if (castFunction === undefined) return;
  if (!isStringToDouble(castFunction)) throw invalid(`json_cast_function ${castFunction} is not supported`);
  if (cast !== 'DOUBLE')
    throw invalid(`json_cast_function ${castFunction} is for json_cast_type DOUBLE, not ${asked}`);
}

/** Of a `json_cast_function`, in any case: the one there is. */
export const isStringToDouble = (name: string | undefined): boolean =>
  name?.toUpperCase() === 'STRING_TO_DOUBLE';

/** In any case, as Milvus has it. */
export const castTypeOf = (name: string): CastType | undefined =>
  castTypes.find((cast) => cast === name.toUpperCase());
