/** Picked rows of columns. Values move as bytes: not a bit of a NaN changes. */
import { DbError } from '../errors/db-error.ts';
import { fixedArrays, vectorWidth } from '../model/columns.ts';
import type { BytesColumn, Column, FixedColumn } from '../model/rows.ts';
import { assert, present } from '../support/assert.ts';
import { Runs } from './runs.ts';

/** Rows of a column. */
export function lengthOf(column: Column): number {
  switch (column.layout) {
    case 'fixed':
      return column.values.length;
    case 'vector':
      return column.values.length / vectorWidth(column.type, column.dim);
    case 'bytes':
    case 'list':
      return column.offsets.length - 1;
  }
}

/** The source a run names. */
export const sourceOf = <T>(sources: readonly T[], source: number): T =>
  present(sources[source], 'the source of a run');

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

/** Those of the picked rows that have a value. */
export function withoutNulls(columns: readonly Column[], runs: Runs): Runs {
  if (columns.every((column) => column.valid === undefined)) return runs;
  const kept = new Runs();
  runs.each((source, from, to) => {
    const { valid } = sourceOf(columns, source);
    if (valid === undefined) kept.add(source, from, to);
    else eachStretch(valid, from, to, (first, end) => kept.add(source, first, end));
  });
  return kept;
}

/** Every stretch of rows from `from` to `to` that have a value. */
export function eachStretch(
  valid: Uint8Array,
  from: number,
  to: number,
  visit: (from: number, to: number) => void,
): void {
  let row = from;
  while (row < to) {
    while (row < to && valid[row] === 0) row++;
    const first = row;
    while (row < to && valid[row] !== 0) row++;
    if (first < row) visit(first, row);
  }
}

/** The picked values of columns of one type, nulls as they stand there. */
export function pickScalars(
  columns: readonly (FixedColumn | BytesColumn)[],
  runs: Runs,
): FixedColumn | BytesColumn {
  const [first] = columns;
  assert(first !== undefined && columns.every(({ type }) => type === first.type), 'columns of one type');
  return first.layout === 'fixed'
    ? pickFixed(columns as readonly FixedColumn[], runs)
    : pickBytes(columns as readonly BytesColumn[], first, runs);
}

/** The picked values of columns of one type. */
export function pickFixed(columns: readonly FixedColumn[], runs: Runs): FixedColumn {
  const { layout, type } = sourceOf(columns, 0);
  const values = new fixedArrays[type](runs.rowCount);
  runs.each((source, from, to, at) => {
    values.set(sourceOf(columns, source).values.subarray(from, to) as never, at);
  });
  return { layout, type, values };
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

const MAX_OFFSET = 2 ** 32 - 1;

/** Where the picked rows begin and end when they stand one after another. Throws `parameter-too-large`. */
export function pickOffsets(columns: readonly { readonly offsets: Uint32Array }[], runs: Runs): Uint32Array {
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
