/** Joins conditions, and folds what is constant. */
import type { Predicate } from './predicate.ts';

export function junction(kind: 'and' | 'or', conditions: readonly Predicate[]): Predicate {
  const decides = kind === 'or';
  const items = conditions.filter((item) => item.kind !== 'always' || item.value === decides);
  if (items.some((item) => item.kind === 'always')) return { kind: 'always', value: decides };
  const [only] = items;
  if (only === undefined) return { kind: 'always', value: !decides };
  return items.length === 1 ? only : { kind, items };
}

export function inverse(item: Predicate): Predicate {
  if (item.kind === 'always') return { kind: 'always', value: !item.value };
  return item.kind === 'not' ? item.item : { kind: 'not', item };
}
