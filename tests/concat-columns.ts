/** Joins columns of every type in plain code: what the files of several writes must give back. */
import { fixedArrays, vectorArrays } from '../src/model/columns.ts';
import type { BytesColumn, Column, FixedColumn, ListColumn, VectorColumn } from '../src/model/rows.ts';
import { lengthOf } from '../src/segment/pick-rows.ts';
import { assert } from '../src/support/assert.ts';

/** The rows of all columns, one after another. The columns are of one type. */
export function concatColumns(columns: readonly Column[]): Column {
  const [first, ...others] = columns;
  assert(first !== undefined, 'columns to join');
  if (others.length === 0) return first;
  assert(
    columns.every(({ type }) => type === first.type),
    'columns of one type',
  );
  const valid = concatValid(columns);
  const joined = concatValues(columns as readonly never[], first);
  return valid === undefined ? joined : { ...joined, valid };
}

function concatValues(columns: readonly never[], first: Column): Column {
  switch (first.layout) {
    case 'fixed':
      return concatFixed(columns, first);
    case 'bytes':
      return concatBytes(columns, first);
    case 'list':
      return concatLists(columns, first);
    case 'vector':
      return concatVectors(columns, first);
  }
}

function concatValid(columns: readonly Column[]): Uint8Array | undefined {
  if (columns.every((column) => column.valid === undefined)) return undefined;
  const valid = new Uint8Array(columns.reduce((sum, column) => sum + lengthOf(column), 0)).fill(1);
  let at = 0;
  for (const column of columns) {
    if (column.valid !== undefined) valid.set(column.valid, at);
    at += lengthOf(column);
  }
  return valid;
}

function concatFixed(columns: readonly FixedColumn[], { layout, type }: FixedColumn): FixedColumn {
  const values = new fixedArrays[type](columns.reduce((sum, column) => sum + column.values.length, 0));
  let at = 0;
  for (const column of columns) {
    values.set(column.values as never, at);
    at += column.values.length;
  }
  return { layout, type, values };
}

function concatOffsets(columns: readonly { readonly offsets: Uint32Array }[]): Uint32Array {
  const offsets = new Uint32Array(columns.reduce((sum, column) => sum + column.offsets.length - 1, 1));
  let at = 0;
  let base = 0;
  for (const column of columns) {
    for (let i = 1; i < column.offsets.length; i++) offsets[at + i] = base + (column.offsets[i] as number);
    at += column.offsets.length - 1;
    base = offsets[at] as number;
  }
  return offsets;
}

function concatBytes(columns: readonly BytesColumn[], { layout, type }: BytesColumn): BytesColumn {
  const offsets = concatOffsets(columns);
  const data = new Uint8Array(columns.reduce((sum, column) => sum + column.data.length, 0));
  let at = 0;
  for (const column of columns) {
    data.set(column.data, at);
    at += column.data.length;
  }
  return { layout, type, offsets, data };
}

function concatLists(columns: readonly ListColumn[], { layout, type }: ListColumn): ListColumn {
  const items = concatColumns(columns.map((column) => column.items)) as ListColumn['items'];
  return { layout, type, offsets: concatOffsets(columns), items };
}

function concatVectors(columns: readonly VectorColumn[], { layout, type, dim }: VectorColumn): VectorColumn {
  const values = new vectorArrays[type](columns.reduce((sum, column) => sum + column.values.length, 0));
  let at = 0;
  for (const column of columns) {
    values.set(column.values as never, at);
    at += column.values.length;
  }
  return { layout, type, dim, values };
}
