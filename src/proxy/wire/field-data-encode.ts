/** Columns of the model to `schema.FieldData`, straight to bytes. */
import type { BytesColumn, Column, FixedColumn, ListColumn, PrimaryKeys } from '../../model/rows.ts';
import type { FieldSchema } from '../../model/schema.ts';
import { unreachable } from '../../support/assert.ts';
import { dataTypeToWire } from './enums.ts';
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

/** Numbers of the `ScalarField` members. */
const member = { bool: 1, int: 2, long: 3, float: 4, double: 5, string: 6, array: 8, json: 9 } as const;

/** One column with the name it was asked for. Null rows travel as zeros, told apart by `valid_data`. */
export function encodeFieldData(field: FieldSchema, column: Column): Part {
  return join(
    uint(1, dataTypeToWire[field.dataType]),
    text(2, field.name),
    column.layout === 'vector'
      ? nested(4, join(uint(1, column.dim), nested(2, packed(1, rawBytes(column.values)))))
      : nested(3, scalars(field, column)),
    uint(5, field.fieldId),
    bool(6, field.isDynamic),
    column.valid === undefined ? nothing : packed(7, part(column.valid)),
  );
}

/** The one column of `count(*)`. */
export const encodeCount = (name: string, count: number): Part =>
  join(
    uint(1, dataTypeToWire.Int64),
    text(2, name),
    nested(3, nested(member.long, packed(1, part(packVarints(BigInt64Array.of(BigInt(count))))))),
  );

function scalars(field: FieldSchema, column: FixedColumn | BytesColumn | ListColumn): Part {
  switch (column.layout) {
    case 'fixed':
      return fixed(column);
    case 'bytes':
      return bytesData(column, 0, column.offsets.length - 1);
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
    default:
      return unreachable(type);
  }
}

const bytesData = (column: BytesColumn, first: number, end: number): Part =>
  nested(column.type === 'JSON' ? member.json : member.string, repeatedBytes(1, column, first, end));

function lists(field: FieldSchema, { offsets, items }: ListColumn): Part {
  const rows = Array.from({ length: offsets.length - 1 }, (_, row) => {
    const first = offsets[row] as number;
    const end = offsets[row + 1] as number;
    const values =
      items.layout === 'bytes'
        ? bytesData(items, first, end)
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
