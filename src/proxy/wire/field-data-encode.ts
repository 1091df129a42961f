/** Columns of the model to `schema.FieldData`, straight to bytes. */
import { vectorWidth } from '../../model/columns.ts';
import type {
  BytesColumn,
  Column,
  FixedColumn,
  ListColumn,
  PrimaryKeys,
  VectorColumn,
} from '../../model/rows.ts';
import { type FieldSchema, isVectorType, type StructFieldSchema } from '../../model/schema.ts';
import { assert, unreachable } from '../../support/assert.ts';
import { ARRAY_OF_STRUCT, dataTypeToWire } from './enums.ts';
import {
  bool,
  join,
  joinAll,
  nested,
  nothing,
  type Part,
  packed,
  packVarints,
  part,
  rawBytes,
  repeatedBytes,
  repeatedTexts,
  text,
  uint,
} from './parts.ts';
import { ownName } from './struct-schema.ts';

/** Numbers of the `ScalarField` members. */
const member = {
  bool: 1,
  int: 2,
  long: 3,
  float: 4,
  double: 5,
  string: 6,
  array: 8,
  json: 9,
  geometryWkt: 12,
} as const;
/** Numbers of the `VectorField` members that are the bytes of all vectors. */
const vectorMember = { BinaryVector: 3, Float16Vector: 4, BFloat16Vector: 5, Int8Vector: 7 } as const;
const SPARSE = 6;
const VECTOR_ARRAY = 8;

/**
 * One column with the name it was asked for. Null rows travel as zeros, told apart by `valid_data`. Geometries and moments must have
 * been made the text they are told in (shown.ts).
 */
export function encodeFieldData(field: FieldSchema, column: Column): Part {
  return join(
    uint(1, dataTypeToWire[field.dataType]),
    text(2, field.name),
    isVectorType(field.dataType) ? nested(4, vectors(field, column)) : nested(3, scalars(field, column)),
    uint(5, field.fieldId),
    bool(6, field.isDynamic),
    column.valid === undefined ? nothing : packed(7, part(column.valid)),
  );
}

/** The columns of a struct array, under the names they have in it. */
export function encodeStructData(
  { name, fieldId }: StructFieldSchema,
  fields: readonly { readonly field: FieldSchema; readonly column: Column }[],
): Part {
  const columns = fields.map(({ field, column }) =>
    nested(1, encodeFieldData({ ...field, name: ownName(field) }, column)),
  );
  const valid = fields[0]?.column.valid;
  return join(
    uint(1, ARRAY_OF_STRUCT),
    text(2, name),
    uint(5, fieldId),
    valid === undefined ? nothing : packed(7, part(valid)),
    nested(8, joinAll(columns)),
  );
}

/** The one column of `count(*)`. */
export const encodeCount = (name: string, count: number): Part =>
  join(
    uint(1, dataTypeToWire.Int64),
    text(2, name),
    nested(3, nested(member.long, packed(1, part(packVarints(BigInt64Array.of(BigInt(count))))))),
  );

function vectors(field: FieldSchema, column: Column): Part {
  if (column.layout === 'vector') return dense(column, 0, column.values.length);
  if (column.layout === 'bytes') return sparse(column);
  assert(column.layout === 'list' && column.items.layout === 'vector', `field ${field.name} holds vectors`);
  const { offsets, items } = column;
  const width = vectorWidth(items.type, items.dim);
  const rows = Array.from({ length: offsets.length - 1 }, (_, row) =>
    nested(2, dense(items, (offsets[row] as number) * width, (offsets[row + 1] as number) * width)),
  );
  const array = join(uint(1, items.dim), joinAll(rows), uint(3, dataTypeToWire[items.type]));
  return join(uint(1, items.dim), nested(VECTOR_ARRAY, array));
}

/** The vectors whose values stand from `first` to `end`. */
function dense({ type, dim, values }: VectorColumn, first: number, end: number): Part {
  const bytes = rawBytes(values.subarray(first, end));
  return join(
    uint(1, dim),
    type === 'FloatVector' ? nested(2, packed(1, bytes)) : nested(vectorMember[type], bytes),
  );
}

/** The dimension of sparse vectors is one more than the highest that one of them has. */
function sparse(column: BytesColumn): Part {
  const { offsets, data } = column;
  const view = new DataView(data.buffer, data.byteOffset, data.length);
  let dim = 0;
  for (let row = 0; row + 1 < offsets.length; row++) {
    const end = offsets[row + 1] as number;
    if (end > (offsets[row] as number)) dim = Math.max(dim, view.getUint32(end - 8, true) + 1);
  }
  const array = join(repeatedBytes(1, column, 0, offsets.length - 1), uint(2, dim));
  return join(uint(1, dim), nested(SPARSE, array));
}

function scalars(field: FieldSchema, column: Column): Part {
  switch (column.layout) {
    case 'vector':
      return unreachable(column as never);
    case 'fixed':
      return fixed(column);
    case 'bytes':
      assert(column.type !== 'Geometry', `field ${field.name} is text`);
      return nested(textMember(field), repeatedBytes(1, column, 0, column.offsets.length - 1));
    case 'list':
      return nested(member.array, lists(field, column));
    default:
      return unreachable(column);
  }
}

function fixed({ type, values }: FixedColumn): Part {
  switch (type) {
    case 'Bool':
      return nested(member.bool, packed(1, rawBytes(values)));
    case 'Int8':
    case 'Int16':
    case 'Int32':
      return nested(member.int, packed(1, part(packVarints(values as Int32Array))));
    case 'Int64':
      return nested(member.long, packed(1, part(packVarints(values as BigInt64Array))));
    case 'Float':
      return nested(member.float, packed(1, rawBytes(values)));
    case 'Double':
      return nested(member.double, packed(1, rawBytes(values)));
    case 'Timestamptz':
      return unreachable(type as never);
    default:
      return unreachable(type);
  }
}

function textMember({ dataType }: FieldSchema): number {
  if (dataType === 'JSON') return member.json;
  return dataType === 'Geometry' ? member.geometryWkt : member.string;
}

function lists(field: FieldSchema, { offsets, items }: ListColumn): Part {
  const rows = Array.from({ length: offsets.length - 1 }, (_, row) => {
    const first = offsets[row] as number;
    const end = offsets[row + 1] as number;
    assert(items.layout !== 'vector', `field ${field.name} holds scalars`);
    const values =
      items.layout === 'bytes'
        ? nested(member.string, repeatedBytes(1, items, first, end))
        : fixed({ ...items, values: items.values.subarray(first, end) });
    return nested(1, values);
  });
  return join(
    joinAll(rows),
    uint(2, field.elementType === undefined ? 0 : dataTypeToWire[field.elementType]),
  );
}

/** `schema.IDs`. */
export const encodeIds = (keys: PrimaryKeys): Part =>
  keys.type === 'Int64'
    ? nested(1, packed(1, part(packVarints(keys.values))))
    : nested(2, repeatedTexts(1, keys.values));
