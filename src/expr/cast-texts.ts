/**
 * Comparisons of texts in JSON as the numbers they spell, at the places that an index with `json_cast_function` STRING_TO_DOUBLE names. The
 * definition changes what a filter means, for every row, whether a structure answers it or not.
 */
import type { CheckedFilter } from './check.ts';
import type { JsonPath, Leaf, Predicate, Value } from './predicate.ts';

const NUMBER = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,4})?$/;
const MAX_LENGTH = 64;
const decoder = new TextDecoder('latin1');

/** The number a text spells, all of it; undefined: none that a Double holds. */
export function spelledNumber(text: Uint8Array): number | undefined {
  if (text.length === 0 || text.length > MAX_LENGTH) return undefined;
  const spelled = decoder.decode(text);
  const value = NUMBER.test(spelled) ? Number(spelled) : Number.NaN;
  return Number.isFinite(value) ? value : undefined;
}

/** Whether two paths name the same place. */
export const isSamePlace = (a: JsonPath, b: JsonPath): boolean =>
  a.fieldId === b.fieldId && a.keys.length === b.keys.length && a.keys.every((key, i) => key === b.keys[i]);

/** The filter with texts at these places compared as numbers, where numbers are what they are compared with. */
export function withCastTexts(filter: CheckedFilter, places: readonly JsonPath[]): CheckedFilter {
  const root = castPredicate(filter.root, places);
  return root === filter.root ? filter : { ...filter, root };
}

function castPredicate(root: Predicate, places: readonly JsonPath[]): Predicate {
  switch (root.kind) {
    case 'always':
      return root;
    case 'not': {
      const item = castPredicate(root.item, places);
      return item === root.item ? root : { ...root, item };
    }
    case 'and':
    case 'or': {
      const items = root.items.map((item) => castPredicate(item, places));
      return items.every((item, i) => item === root.items[i]) ? root : { ...root, items };
    }
    default:
      return castLeaf(root, places);
  }
}

function castLeaf(leaf: Leaf, places: readonly JsonPath[]): Leaf {
  if (leaf.kind === 'in') {
    const isOfNumbers = leaf.list.every((each) => typeof each === 'number' || typeof each === 'bigint');
    const value = isOfNumbers ? castValue(leaf.value, places) : leaf.value;
    return value === leaf.value ? leaf : { ...leaf, value };
  }
  if (leaf.kind !== 'compare' || !(isNumber(leaf.left) || isNumber(leaf.right))) return leaf;
  const [left, right] = [castValue(leaf.left, places), castValue(leaf.right, places)];
  return left === leaf.left && right === leaf.right ? leaf : { ...leaf, left, right };
}

/** Of two places in JSON nothing says that they are numbers. */
const isNumber = (value: Value): boolean => {
  if (value.kind === 'int' || value.kind === 'float') return true;
  return value.kind !== 'json' && 'type' in value && value.type !== 'text' && value.type !== 'bool';
};

function castValue(value: Value, places: readonly JsonPath[]): Value {
  if (value.kind === 'json')
    return places.some((place) => isSamePlace(place, value)) ? { ...value, asNumber: true } : value;
  if (value.kind !== 'arithmetic') return value;
  const [left, right] = [castValue(value.left, places), castValue(value.right, places)];
  return left === value.left && right === value.right ? value : { ...value, left, right };
}
