/** Pure: lists of an Array field joined with others, or without the values of others. */
import { fixedArrays } from '../../model/columns.ts';
import type { BytesColumn, FixedColumn, ListColumn } from '../../model/rows.ts';
import type { FieldSchema } from '../../model/schema.ts';
import { assert } from '../../support/assert.ts';
import { invalid } from './checks.ts';
import { takeRows } from './fill.ts';

/** What becomes of the values an Array field has: others behind them, or those that others equal taken away. */
export type ListOp = 'append' | 'remove';

type Items = FixedColumn | BytesColumn;

/** Row `i` of the result is row `i` of `old` after the operation with row `i` of `given`; null counts as empty. Throws `parameter-invalid` above the field's capacity. */
export function mergedLists(field: FieldSchema, op: ListOp, old: ListColumn, given: ListColumn): ListColumn {
  const [oldItems, givenItems] = [itemsOf(old), itemsOf(given)];
  const all = concat(oldItems, givenItems);
  const firstGiven = countOf(oldItems);
  const rowCount = old.offsets.length - 1;
  const offsets = new Uint32Array(rowCount + 1);
  const picked: number[] = [];
  for (let row = 0; row < rowCount; row++) {
    const [mine, others] = [rangeOf(old, row), rangeOf(given, row, firstGiven)];
    if (op === 'append') picked.push(...mine, ...others);
    else {
      const gone = new Set(others.map((item) => keyOf(all, item)));
      picked.push(...mine.filter((item) => !gone.has(keyOf(all, item))));
    }
    offsets[row + 1] = picked.length;
    const length = picked.length - (offsets[row] ?? 0);
    if (length > (field.maxCapacity ?? 0))
      throw invalid(
        `the length (${length}) of array field ${field.name} exceeds max capacity (${field.maxCapacity}), row number: ${row}`,
      );
  }
  return { layout: 'list', type: old.type, offsets, items: takeRows(all, picked) as Items };
}

function itemsOf({ items }: ListColumn): Items {
  assert(items.layout !== 'vector', 'an Array field holds scalars');
  return items;
}

const countOf = (items: Items): number =>
  items.layout === 'fixed' ? items.values.length : items.offsets.length - 1;

function rangeOf({ offsets, valid }: ListColumn, row: number, shift = 0): number[] {
  if (valid?.[row] === 0) return [];
  const from = offsets[row] ?? 0;
  return Array.from({ length: (offsets[row + 1] ?? 0) - from }, (_, i) => shift + from + i);
}

/** Equal for equal values. */
function keyOf(items: Items, item: number): bigint | number | string {
  if (items.layout === 'fixed') return items.values[item] ?? 0;
  const { data, offsets } = items;
  return Buffer.from(data.buffer, data.byteOffset, data.length).toString(
    'latin1',
    offsets[item],
    offsets[item + 1],
  );
}

function concat(first: Items, second: Items): Items {
  assert(first.type === second.type, 'lists of one field hold values of one type');
  if (first.layout === 'fixed' && second.layout === 'fixed') {
    const values = new fixedArrays[first.type](first.values.length + second.values.length);
    (values as Uint8Array).set(first.values as Uint8Array);
    (values as Uint8Array).set(second.values as Uint8Array, first.values.length);
    return { layout: 'fixed', type: first.type, values };
  }
  assert(first.layout === 'bytes' && second.layout === 'bytes', 'of one layout');
  const count = countOf(first);
  const bytes = first.offsets[count] ?? 0;
  const offsets = new Uint32Array(count + second.offsets.length);
  offsets.set(first.offsets);
  for (const [i, offset] of second.offsets.entries()) offsets[count + i] = bytes + offset;
  const data = new Uint8Array(bytes + second.data.length);
  data.set(first.data.subarray(0, bytes));
  data.set(second.data, bytes);
  return { layout: 'bytes', type: first.type, offsets, data };
}
