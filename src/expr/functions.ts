/**
 * The functions of the filter language that are conditions, by their names in lower case. A function of another room, such as a text
 * match, is one more line here: it types its arguments and answers with a predicate.
 */
import { geometryFunctions } from './check-geometry.ts';
import { itemFunctions } from './check-items.ts';
import { arrayOf, coerced, constantOf, listOf } from './check-value.ts';
import { matchOf } from './match-check.ts';
import type { Constant, Leaf, Predicate } from './predicate.ts';
import type { Scope } from './scope.ts';
import type { Syntax } from './syntax.ts';

type CallSyntax = Extract<Syntax, { kind: 'call' }>;
/** Types the nodes inside. */
export type Conditions = (scope: Scope, node: Syntax) => Predicate;
/** `conditions`: for arguments that are conditions themselves. */
export type ConditionFunction = (scope: Scope, call: CallSyntax, conditions: Conditions) => Predicate;

type ContainsMode = 'one' | 'all' | 'any';

const contains =
  (mode: ContainsMode): ConditionFunction =>
  (scope, node) => {
    const [first, second, ...more] = node.args;
    if (first === undefined || second === undefined || more.length > 0)
      throw scope.fail(node.at, `${node.name} takes an array and a ${mode === 'one' ? 'value' : 'list'}`);
    const array = arrayOf(scope, first);
    const wanted = mode === 'one' ? [constantOf(scope, second)] : listOf(scope, second);
    return containsTest(scope, second.at, array, mode === 'all' ? 'all' : 'any', wanted);
  };

type ContainsTest = Extract<Leaf, { kind: 'contains' }>;

function containsTest(
  scope: Scope,
  at: number,
  array: ContainsTest['array'],
  mode: 'any' | 'all',
  wanted: readonly Constant[],
): Predicate {
  const type = array.kind === 'array' ? array.elementType : 'json';
  const list: Constant[] = [];
  for (const constant of wanted) {
    const item = coerced(scope, at, constant, type);
    // A constant that no element can equal is never contained, so it must stay visible to `all`.
    if (item !== undefined) list.push(item);
    else if (mode === 'all') return neverContained(array);
  }
  return { kind: 'contains', mode, array, list };
}

/** False for every row that has the array, unknown for the others. */
const neverContained = (array: ContainsTest['array']): Predicate => ({
  kind: 'contains',
  mode: 'any',
  array,
  list: [],
});

export const conditionFunctions: ReadonlyMap<string, ConditionFunction> = new Map<string, ConditionFunction>([
  ...['json', 'array'].flatMap((family): [string, ConditionFunction][] => [
    [`${family}_contains`, contains('one')],
    [`${family}_contains_all`, contains('all')],
    [`${family}_contains_any`, contains('any')],
  ]),
  ...itemFunctions,
  ['text_match', matchOf],
  ['phrase_match', matchOf],
  ...geometryFunctions,
]);

/** Functions of Milvus's language that this server does not have. */
export const absentFunctions: ReadonlySet<string> = new Set([
  'membership_match',
  'bloom_match',
  'roaring_match',
]);
