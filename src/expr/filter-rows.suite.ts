/** Rows for the tests of filters: one field of every kind, as JavaScript values and as the columns a filter reads. */

import { wkbOf } from '../geometry/read-wkt.ts';
import type { FieldId } from '../model/ids.ts';
import type { BytesColumn, Column, FixedColumn, FixedType, ListColumn } from '../model/rows.ts';
import type { CollectionSchema, DataType, ElementType, FieldSchema } from '../model/schema.ts';
import type { FilterSource } from './columns.ts';

/** JSON with integers as bigint, so that the text can tell 5 from 5.0. */
export type Json =
  | null
  | boolean
  | bigint
  | number
  | string
  | readonly Json[]
  | { readonly [key: string]: Json };

export interface Row {
  readonly id: bigint;
  readonly small: bigint;
  readonly num: bigint | null;
  readonly big: bigint;
  readonly score: number | null;
  readonly price: number;
  readonly flag: boolean | null;
  readonly name: string | null;
  readonly tags: readonly string[];
  readonly counts: readonly bigint[] | null;
  readonly meta: Json;
  readonly $meta: Json;
  /** Microseconds since 1970. */
  readonly born: bigint | null;
  /** Well-known text. */
  readonly place: string | null;
  /** A struct array; both fields are of one length. */
  readonly parts: readonly { readonly n: bigint; readonly word: string }[] | null;
}

const STRUCT = 115 as FieldId;

const field = (
  fieldId: number,
  name: string,
  dataType: DataType,
  more: Partial<FieldSchema> = {},
): FieldSchema => ({
  fieldId: fieldId as FieldId,
  name,
  description: '',
  dataType,
  isPrimaryKey: false,
  autoId: false,
  nullable: false,
  isDynamic: false,
  typeParams: {},
  ...more,
});

export const filterSchema: CollectionSchema = {
  description: '',
  version: 1,
  enableDynamicField: true,
  fields: [
    field(100, 'id', 'Int64', { isPrimaryKey: true }),
    field(101, 'small', 'Int8'),
    field(102, 'num', 'Int32', { nullable: true }),
    field(103, 'big', 'Int64'),
    field(104, 'score', 'Float', { nullable: true }),
    field(105, 'price', 'Double'),
    field(106, 'flag', 'Bool', { nullable: true }),
    field(107, 'name', 'VarChar', { nullable: true, maxLength: 100 }),
    field(108, 'tags', 'Array', { elementType: 'VarChar', maxCapacity: 8 }),
    field(109, 'counts', 'Array', { elementType: 'Int64', maxCapacity: 8, nullable: true }),
    field(110, 'meta', 'JSON', { nullable: true }),
    field(111, 'vec', 'FloatVector', { dim: 2 }),
    field(113, 'born', 'Timestamptz', { nullable: true }),
    field(114, 'place', 'Geometry', { nullable: true }),
    field(116, 'parts[n]', 'Array', {
      elementType: 'Int64',
      maxCapacity: 8,
      nullable: true,
      structFieldId: STRUCT,
    }),
    field(117, 'parts[word]', 'Array', {
      elementType: 'VarChar',
      maxCapacity: 8,
      nullable: true,
      structFieldId: STRUCT,
    }),
    field(118, 'parts[vec]', 'ArrayOfVector', {
      elementType: 'FloatVector',
      dim: 2,
      maxCapacity: 8,
      structFieldId: STRUCT,
    }),
    field(112, '$meta', 'JSON', { isDynamic: true }),
  ],
  structs: [
    { fieldId: STRUCT, name: 'parts', description: '', maxCapacity: 8, nullable: true, typeParams: {} },
  ],
};

/** The same without dynamic keys. */
export const strictSchema: CollectionSchema = {
  ...filterSchema,
  enableDynamicField: false,
  fields: filterSchema.fields.filter(({ isDynamic }) => !isDynamic),
};

export const plainRow: Row = {
  id: 0n,
  small: 0n,
  num: 0n,
  big: 0n,
  score: 0,
  price: 0,
  flag: false,
  name: '',
  tags: [],
  counts: [],
  meta: {},
  $meta: {},
  born: 0n,
  place: 'POINT (0 0)',
  parts: [],
};

export function jsonText(value: Json): string {
  if (typeof value === 'bigint') return value.toString();
  if (typeof value === 'number') return Number.isInteger(value) ? value.toExponential() : String(value);
  if (Array.isArray(value)) return `[${value.map(jsonText).join(', ')}]`;
  if (typeof value === 'object' && value !== null)
    return `{${Object.entries(value)
      .map(([key, inner]) => `${JSON.stringify(key)} : ${jsonText(inner)}`)
      .join(',')}}`;
  return JSON.stringify(value);
}

const constructors = {
  Bool: Uint8Array,
  Int8: Int8Array,
  Int16: Int16Array,
  Int32: Int32Array,
  Float: Float32Array,
  Double: Float64Array,
};

function fixed(type: FixedType, values: readonly (bigint | number | boolean | null)[]): FixedColumn {
  const made =
    type === 'Int64' || type === 'Timestamptz'
      ? BigInt64Array.from(values, (value) => BigInt(value ?? 0))
      : constructors[type].from(values.map((value) => Number(value ?? 0)));
  return { layout: 'fixed', type, values: made, valid: validOf(values) };
}

function bytes(type: 'VarChar' | 'JSON' | 'Geometry', texts: readonly (string | null)[]): BytesColumn {
  const isGeometry = type === 'Geometry';
  const pieces = texts.map((text) => Buffer.from(isGeometry && text !== null ? wkbOf(text) : (text ?? '')));
  const offsets = new Uint32Array(pieces.length + 1);
  for (const [i, piece] of pieces.entries()) offsets[i + 1] = offsets[i]! + piece.length;
  return {
    layout: 'bytes',
    type,
    offsets,
    data: new Uint8Array(Buffer.concat(pieces)),
    valid: validOf(texts),
  };
}

/** As columns without nulls have none, half of the tests should run without `valid`. */
const validOf = (values: readonly unknown[]): Uint8Array | undefined =>
  values.includes(null) ? Uint8Array.from(values, (value) => (value === null ? 0 : 1)) : undefined;

function list(elementType: ElementType, rows: readonly (readonly (string | bigint)[] | null)[]): Column {
  const items = rows.flatMap((row) => row ?? []);
  const offsets = new Uint32Array(rows.length + 1);
  for (const [i, row] of rows.entries()) offsets[i + 1] = offsets[i]! + (row?.length ?? 0);
  return {
    layout: 'list',
    type: 'Array',
    offsets,
    items:
      elementType === 'VarChar' ? bytes('VarChar', items.map(String)) : fixed(elementType, items as bigint[]),
    valid: validOf(rows),
  };
}

function cellOf(row: Row, name: string): unknown {
  const of = /^parts\[(\w+)\]$/.exec(name)?.[1];
  if (of === undefined) return row[name as keyof Row];
  return row.parts === null ? null : row.parts.map((part) => part[of as 'n' | 'word']);
}

function vectors(rows: readonly Row[]): Column {
  const { offsets, valid } = list(
    'Int64',
    rows.map(({ parts }) => parts?.map(({ n }) => n) ?? null),
  ) as ListColumn;
  const items = {
    layout: 'vector',
    type: 'FloatVector',
    dim: 2,
    values: new Float32Array(2 * offsets.at(-1)!),
  } as const;
  return { layout: 'list', type: 'ArrayOfVector', offsets, valid, items };
}

export function sourceOf(rows: readonly Row[]): FilterSource {
  const columns = new Map<number, Column>();
  for (const { fieldId, name, dataType, elementType } of filterSchema.fields) {
    const values = rows.map((row) => cellOf(row, name));
    if (dataType === 'ArrayOfVector') columns.set(fieldId, vectors(rows));
    else if (dataType === 'FloatVector')
      columns.set(fieldId, {
        layout: 'vector',
        type: dataType,
        dim: 2,
        values: new Float32Array(rows.length * 2),
      });
    else if (dataType === 'Array') columns.set(fieldId, list(elementType as ElementType, values as never));
    else if (dataType === 'JSON')
      columns.set(
        fieldId,
        bytes(
          'JSON',
          values.map((value) => (value === null ? null : jsonText(value as Json))),
        ),
      );
    else if (dataType === 'VarChar' || dataType === 'Geometry')
      columns.set(fieldId, bytes(dataType, values as never));
    else columns.set(fieldId, fixed(dataType as 'Int64', values as never));
  }
  return {
    rowCount: rows.length,
    column: (fieldId) => columns.get(fieldId)!,
    cache: new Map(),
  };
}

/** Row numbers whose bit is set. */
export function setRows(bits: Uint32Array, rowCount: number): number[] {
  const rows: number[] = [];
  for (let row = 0; row < rowCount; row++) if ((bits[row >>> 5]! >>> (row & 31)) & 1) rows.push(row);
  return rows;
}
