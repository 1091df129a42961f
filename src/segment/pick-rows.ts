/** Columns of picked rows of other columns. Values move as bytes: not a bit of a NaN changes. */
import { DbError } from '../errors/db-error.ts';
import { fixedArrays } from '../model/columns.ts';
import type { BytesColumn, Column, FixedColumn, ListColumn, VectorColumn } from '../model/rows.ts';
import { assert, present } from '../support/assert.ts';
import { allRows, Runs } from './runs.ts';

/** Rows of a column. */
export function lengthOf(column: Column): number {
  switch (column.layout) {
    case 'fixed':
      return column.values.length;
    case 'vector':
      return column.values.length / column.dim;
    case 'bytes':
    case 'list':
      return column.offsets.length - 1;
  }
}

/** The rows of all columns, one after another. The columns are of one type. A single column is answered itself. */
export function concatColumns(columns: readonly Column[]): Column {
  const [first, ...others] = columns;
  if (first !== undefined && others.length === 0) return first;
  return pickRows(columns, allRows(columns.map(lengthOf)));
}

/** The picked rows of columns of one type. Throws `parameter-too-large` when they have more bytes or items than can be counted. */
export function pickRows(columns: readonly Column[], runs: Runs): Column {
  const [first] = columns;
  assert(first !== undefined, 'columns to pick from');
  assert(
    columns.every(({ type }) => type === first.type),
    'columns of one type',
  );
  const valid = pickValid(columns, runs);
  const picked = pickValues(columns as readonly never[], first, runs);
  return valid === undefined ? picked : { ...picked, valid };
}

/** Which of the picked rows have a value; undefined when no column has nulls. */
export function pickValid(columns: readonly Column[], runs: Runs): Uint8Array | undefined {
  if (columns.every((column) => column.valid === undefined)) return undefined;
  const valid = new Uint8Array(runs.rowCount).fill(1);
  runs.each((source, from, to, at) => {
    const { valid: picked } = sourceOf(columns, source);
    if (picked !== undefined) valid.set(picked.subarray(from, to), at);
  });
  return valid;
}

function pickValues(columns: readonly never[], first: Column, runs: Runs): Column {
  switch (first.layout) {
    case 'fixed':
      return pickFixed(columns, first, runs);
    case 'bytes':
      return pickBytes(columns, first, runs);
    case 'list':
      return pickLists(columns, first, runs);
    case 'vector':
      return pickVectors(columns, first, runs);
  }
}

/** The source a run names. */
export const sourceOf = <T>(sources: readonly T[], source: number): T =>
  present(sources[source], 'the source of a run');

function pickFixed(columns: readonly FixedColumn[], { layout, type }: FixedColumn, runs: Runs): FixedColumn {
  const values = new fixedArrays[type](runs.rowCount);
  runs.each((source, from, to, at) => {
    values.set(sourceOf(columns, source).values.subarray(from, to) as never, at);
  });
  return { layout, type, values };
}

const MAX_OFFSET = 2 ** 32 - 1;

function pickOffsets(columns: readonly { readonly offsets: Uint32Array }[], runs: Runs): Uint32Array {
  const picked = new Uint32Array(runs.rowCount + 1);
  let end = 0;
  runs.each((source, from, to, at) => {
    const { offsets } = sourceOf(columns, source);
    const shift = end - (offsets[from] as number);
    end = shift + (offsets[to] as number);
    if (end > MAX_OFFSET)
      throw new DbError('parameter-too-large', `more than ${MAX_OFFSET} bytes or items in one column`);
    for (let i = from + 1; i <= to; i++) picked[at + i - from] = shift + (offsets[i] as number);
  });
  return picked;
}

function pickBytes(columns: readonly BytesColumn[], { layout, type }: BytesColumn, runs: Runs): BytesColumn {
  const offsets = pickOffsets(columns, runs);
  const data = new Uint8Array(offsets[runs.rowCount] as number);
  runs.each((source, from, to, at) => {
    const column = sourceOf(columns, source);
    data.set(column.data.subarray(column.offsets[from], column.offsets[to]), offsets[at]);
  });
  return { layout, type, offsets, data };
}

function pickLists(columns: readonly ListColumn[], { layout, type }: ListColumn, runs: Runs): ListColumn {
  const offsets = pickOffsets(columns, runs);
  const itemRuns = new Runs();
  runs.each((source, from, to) => {
    const column = sourceOf(columns, source);
    itemRuns.add(source, column.offsets[from] as number, column.offsets[to] as number);
  });
  const items = columns.map((column) => column.items);
  return { layout, type, offsets, items: pickRows(items, itemRuns) as ListColumn['items'] };
}

function pickVectors(
  columns: readonly VectorColumn[],
  { layout, type, dim }: VectorColumn,
  runs: Runs,
): VectorColumn {
  const values = new Float32Array(runs.rowCount * dim);
  runs.each((source, from, to, at) => {
    values.set(sourceOf(columns, source).values.subarray(from * dim, to * dim), at * dim);
  });
  return { layout, type, dim, values };
}
