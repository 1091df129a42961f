/** What a filter costs at most, so that a caller can cut its work into slices. */
import type { FieldId } from '../model/ids.ts';
import type { Column } from '../model/rows.ts';
import type { FilterSource } from './columns.ts';
import { likeWeight } from './like.ts';
import type { Leaf, Predicate } from './predicate.ts';
import { regexWeight } from './regex.ts';

/** Steps of some nanoseconds that a row costs, whatever it holds: calendars and boxes. */
export const rowWeightOf = (leaves: readonly Leaf[]): number =>
  leaves.reduce((sum, leaf) => sum + rowWeight(leaf), 1);

function rowWeight(leaf: Leaf): number {
  if (leaf.kind === 'geometry') return 256;
  if (leaf.kind !== 'compare') return 1;
  return leaf.left.kind === 'moved' || leaf.right.kind === 'moved' ? 512 : 1;
}

/** Steps that a byte, or an item, of what the leaves read may cost. */
export const weightOf = (leaves: readonly Leaf[]): number =>
  leaves.reduce((most, leaf) => Math.max(most, leafWeight(leaf)), 1);

function leafWeight(leaf: Leaf): number {
  if (leaf.kind === 'like') return likeWeight(leaf.pattern);
  if (leaf.kind === 'regex') return regexWeight(leaf.pattern);
  return leaf.kind === 'items' ? itemWeight(leaf.item) : 1;
}

function itemWeight(root: Predicate): number {
  switch (root.kind) {
    case 'always':
      return 1;
    case 'not':
      return itemWeight(root.item);
    case 'and':
    case 'or':
      return root.items.reduce((most, item) => Math.max(most, itemWeight(item)), 1);
    default:
      return leafWeight(root);
  }
}

/** Bytes and items of `fields` in the rows before `row`. */
export function sizeBefore(source: FilterSource, fields: readonly FieldId[]): (row: number) => number {
  const sizes = fields.map((fieldId) => columnSize(source.column(fieldId)));
  return (row) => sizes.reduce((sum, size) => sum + size(row), 0);
}

/** Values of fixed width are few steps a row, which the rows count for. */
function columnSize(column: Column): (row: number) => number {
  if (column.layout === 'bytes') return (row) => column.offsets[row] as number;
  if (column.layout !== 'list') return () => 0;
  const { offsets, items } = column;
  if (items.layout !== 'bytes') return (row) => offsets[row] as number;
  return (row) => (offsets[row] as number) + (items.offsets[offsets[row] as number] as number);
}
