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
  const constants = constantsOf(filter.root, primaryFieldId);
  if (constants === undefined) return undefined;
  const { type, list } = constants;
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
