/** The fast path of delete and get: filters that name primary keys and ask nothing else. */
import type { FieldId } from '../model/ids.ts';
import type { PrimaryKeys } from '../model/rows.ts';
import type { CheckedFilter } from './check.ts';
import type { Literal, Predicate, Scalar } from './predicate.ts';

/**
 * The keys of `key == x` and `key in […]`, each once; undefined for any other filter. A filter that can match nothing, such as
 * `key in []`, names no keys.
 */
export function primaryKeysOf(filter: CheckedFilter, primaryFieldId: FieldId): PrimaryKeys | undefined {
  if (filter.sample !== undefined) return undefined;
  const constants = constantsOf(filter.root, primaryFieldId);
  return constants && keysOf(constants);
}

/** The rows that have one of these keys. */
export const filterOfKeys = (keys: PrimaryKeys, fieldId: FieldId): CheckedFilter => ({
  fields: [fieldId],
  root: {
    kind: 'in',
    value: { kind: 'field', type: keys.type === 'Int64' ? 'int' : 'text', fieldId },
    list: [...keys.values],
  },
});

/**
 * Values of which every matching row has one in the field: of `field == x`, `field in […]`, and of what `and` and `or` make of them.
 * Undefined: a row with any value may match.
 */
export function valuesOf(filter: CheckedFilter, fieldId: FieldId): PrimaryKeys | undefined {
  const constants = boundOf(filter.root, fieldId);
  return constants && keysOf(constants);
}

function boundOf(root: Predicate, fieldId: FieldId): KeyConstants | undefined {
  if (root.kind !== 'and' && root.kind !== 'or') return constantsOf(root, fieldId);
  const bounds = root.items.map((item) => boundOf(item, fieldId));
  const known = bounds.filter((bound) => bound !== undefined);
  const [first] = known;
  if (first === undefined) return undefined;
  // Each of an `and` binds by itself: the shortest does.
  if (root.kind === 'and')
    return known.reduce((least, bound) => (bound.list.length < least.list.length ? bound : least));
  return known.length < bounds.length
    ? undefined
    : { type: first.type, list: known.flatMap(({ list }) => list) };
}

function keysOf({ type, list }: KeyConstants): PrimaryKeys {
  if (type === 'text')
    return { type: 'VarChar', values: [...new Set(list.filter((item) => typeof item === 'string'))] };
  const keys = new Set(list.filter((item) => typeof item === 'bigint'));
  return { type: 'Int64', values: BigInt64Array.from(keys) };
}

interface KeyConstants {
  readonly type: 'int' | 'text';
  readonly list: readonly Scalar[];
}

function constantsOf(root: Predicate, fieldId: FieldId): KeyConstants | undefined {
  if (root.kind === 'in') {
    const type = keyType(root.value, fieldId);
    return type === undefined ? undefined : { type, list: root.list };
  }
  if (root.kind !== 'compare' || root.op !== '==') return undefined;
  for (const [key, constant] of [
    [root.left, root.right],
    [root.right, root.left],
  ] as const) {
    const type = keyType(key, fieldId);
    if (type !== undefined && constant.kind === type) return { type, list: [(constant as Literal).value] };
  }
  return undefined;
}

function keyType(
  value: Extract<Predicate, { kind: 'in' }>['value'],
  fieldId: FieldId,
): 'int' | 'text' | undefined {
  if (value.kind !== 'field' || value.fieldId !== fieldId) return undefined;
  return value.type === 'int' || value.type === 'text' ? value.type : undefined;
}
