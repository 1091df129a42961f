/** `in`. */
import { asTime, coerced, isLiteral, listOf, operandOf, typeName, typeOf } from './check-value.ts';
import { junction } from './connect.ts';
import type { Constant, JsonPath, Predicate, Scalar, Value } from './predicate.ts';
import type { Scope } from './scope.ts';
import type { Syntax } from './syntax.ts';

export function membership(scope: Scope, node: Extract<Syntax, { kind: 'in' }>): Predicate {
  const value = operandOf(scope, node.value);
  const type = typeOf(value);
  if (type === 'time') return { kind: 'in', value, list: momentsOf(scope, node.list) };
  const scalars: Scalar[] = [];
  const lists: (readonly Constant[])[] = [];
  for (const item of listOf(scope, node.list)) {
    const constant = coerced(scope, node.list.at, item, type);
    if (typeof constant === 'object') lists.push(constant);
    else if (constant !== undefined) scalars.push(constant);
  }
  if (isLiteral(value)) return { kind: 'always', value: scalars.includes(value.value) };
  return lists.length === 0
    ? { kind: 'in', value, list: scalars }
    : amongLists(scope, node, value, scalars, lists);
}

/** Lists among the items are found in JSON only. */
function amongLists(
  scope: Scope,
  node: Syntax,
  value: Value,
  scalars: readonly Scalar[],
  lists: readonly (readonly Constant[])[],
): Predicate {
  if (value.kind !== 'json') throw scope.fail(node.at, 'a list is found only at a JSON path');
  const tests: Predicate[] = lists.map((list) => ({ kind: 'same', value: value satisfies JsonPath, list }));
  if (scalars.length > 0) tests.unshift({ kind: 'in', value, list: scalars });
  return junction('or', tests);
}

/** Strings are moments here. */
function momentsOf(scope: Scope, node: Syntax): bigint[] {
  if (node.kind === 'list') return node.items.map((item) => momentAt(scope, item));
  const { at } = node;
  return listOf(scope, node).map((value) => {
    if (typeof value !== 'string') throw scope.fail(at, 'expected moments, as strings');
    return momentAt(scope, { kind: 'literal', at, height: 0, value });
  });
}

function momentAt(scope: Scope, node: Syntax): bigint {
  const value = asTime(scope, node.at, operandOf(scope, node));
  if (value.kind !== 'int' || typeOf(value) !== 'time')
    throw scope.fail(node.at, `expected a moment, found ${typeName(typeOf(value))}`);
  return value.value;
}
