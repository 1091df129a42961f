/** `element_filter` and the MATCH functions: conditions on the items of struct arrays and arrays. */
import type { FieldSchema } from '../model/schema.ts';
import { present } from '../support/assert.ts';
import { constantOf } from './check-value.ts';
import type { ConditionFunction, Conditions } from './functions.ts';
import type { Predicate, Quantifier } from './predicate.ts';
import type { Items, Scope } from './scope.ts';
import type { Syntax } from './syntax.ts';

const counted: ReadonlySet<Quantifier> = new Set<Quantifier>(['least', 'most', 'exact']);

const items =
  (mode: Quantifier): ConditionFunction =>
  (scope, { name, at, args }, conditions) => {
    const [array, condition, count, ...more] = args;
    const isCounted = counted.has(mode);
    if (
      array === undefined ||
      condition === undefined ||
      (count !== undefined) !== isCounted ||
      more.length > 0
    )
      throw scope.fail(
        at,
        `${name} takes an array, a condition on its items${isCounted ? ' and a number of items' : ''}`,
      );
    if (scope.isOverItems) throw scope.fail(at, `${name} cannot stand inside a condition on items`);
    const of = scope.itemsOf(array);
    const item = itemCondition(scope, of, condition, conditions);
    return {
      kind: 'items',
      mode,
      count: countOf(scope, name, count),
      fieldId: scope.reads(lengthField(of)),
      item,
    };
  };

const lengthField = (of: Items): FieldSchema =>
  of.kind === 'array' ? of.field : present(of.fields[0], 'a field of the struct');

function itemCondition(scope: Scope, of: Items, node: Syntax, conditions: Conditions): Predicate {
  return scope.overItems(of, () => conditions(scope, node));
}

/** `3` or `threshold = 3`. */
function countOf(scope: Scope, name: string, node: Syntax | undefined): number {
  if (node === undefined) return 0;
  if (node.kind === 'named' && node.name !== 'threshold')
    throw scope.fail(node.at, `${name} knows 'threshold', not '${node.name}'`);
  const inner = node.kind === 'named' ? node.value : node;
  const count = constantOf(scope, inner);
  if (typeof count !== 'bigint' || count < 0n || count > 0xffff_ffffn)
    throw scope.fail(inner.at, `the number of items of ${name} is an integer from 0 on`);
  return Number(count);
}

export const itemFunctions: readonly (readonly [string, ConditionFunction])[] = [
  ['element_filter', items('any')],
  ['match_any', items('any')],
  ['match_all', items('all')],
  ['match_least', items('least')],
  ['match_most', items('most')],
  ['match_exact', items('exact')],
];
