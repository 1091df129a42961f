/** Types a syntax tree against a schema. The checked tree is plain data: it can be sent to another process. */
import type { FieldId } from '../model/ids.ts';
import type { CollectionSchema } from '../model/schema.ts';
import {
  arrayOf,
  coerced,
  constantOf,
  isLiteral,
  listOf,
  operandOf,
  typeName,
  typeOf,
} from './check-value.ts';
import { compareNumbers, compareOrder } from './fold.ts';
import { patternProblem } from './like.ts';
import { isMatchCall, matchOf } from './match-check.ts';
import { nearestName } from './nearest.ts';
import { parseFilter } from './parse.ts';
import type { Constant, Leaf, Literal, MatchLeaf, Predicate, Scalar } from './predicate.ts';
import { Scope, type TemplateValues } from './scope.ts';
import { type CompareOp, type FilterSyntax, type Syntax, unimplementedAt } from './syntax.ts';
import { compareText } from './text.ts';
import { shorten } from './tokens.ts';

/** A filter that fits its schema. */
export interface CheckedFilter {
  /** Fields the evaluation reads. */
  readonly fields: readonly FieldId[];
  /** The matches of texts in it. Absent: none. */
  readonly matches?: readonly MatchLeaf[];
  /** The typed tree; its form is this room's own affair. */
  readonly root: Predicate;
}

const noTemplates: TemplateValues = new Map();

const containsModes = new Map<string, 'one' | 'all' | 'any'>(
  ['json', 'array'].flatMap((family) => [
    [`${family}_contains`, 'one'],
    [`${family}_contains_all`, 'all'],
    [`${family}_contains_any`, 'any'],
  ]),
);
const knownFunctions = [...containsModes.keys(), 'array_length', 'text_match', 'phrase_match'];
/** Functions of Milvus's language outside this server; every `st_` function too. */
const absentFunctions = new Set([
  'random_sample',
  'element_filter',
  'match_all',
  'match_any',
  'match_least',
  'match_most',
  'match_exact',
]);

/** Text to checked filter. Throws `filter-invalid` with the place in the text, or `unimplemented`. */
export const filterOf = (
  text: string,
  schema: CollectionSchema,
  templates: TemplateValues = noTemplates,
): CheckedFilter => checkFilter(parseFilter(text), schema, templates);

/** Fits a parsed filter to a schema and fills its template variables. Throws `filter-invalid`, `unimplemented`. */
export function checkFilter(
  syntax: FilterSyntax,
  schema: CollectionSchema,
  templates: TemplateValues = noTemplates,
): CheckedFilter {
  const scope = new Scope(syntax.text, schema, templates);
  const root = conditionOf(scope, syntax.root);
  const { fields, matches } = scope;
  return { root, fields, ...(matches.length === 0 ? {} : { matches }) };
}

function conditionOf(scope: Scope, node: Syntax): Predicate {
  switch (node.kind) {
    case 'and':
    case 'or':
      return junction(
        node.kind,
        node.items.map((item) => conditionOf(scope, item)),
      );
    case 'not':
      return inverse(conditionOf(scope, node.value));
    case 'compare':
      return comparison(scope, node);
    case 'in':
      return membership(scope, node);
    case 'like':
      return likeness(scope, node);
    case 'null':
      return nullness(scope, node.value);
    case 'exists':
      return existence(scope, node.value);
    case 'call':
      return call(scope, node);
    default:
      return truth(scope, node);
  }
}

function junction(kind: 'and' | 'or', conditions: readonly Predicate[]): Predicate {
  const decides = kind === 'or';
  const items = conditions.filter((item) => item.kind !== 'always' || item.value === decides);
  if (items.some((item) => item.kind === 'always')) return { kind: 'always', value: decides };
  const [only] = items;
  if (only === undefined) return { kind: 'always', value: !decides };
  return items.length === 1 ? only : { kind, items };
}

function inverse(item: Predicate): Predicate {
  if (item.kind === 'always') return { kind: 'always', value: !item.value };
  return item.kind === 'not' ? item.item : { kind: 'not', item };
}

/** A value used as a condition: Bool, or a JSON value that is `true`. */
function truth(scope: Scope, node: Syntax): Predicate {
  const value = operandOf(scope, node);
  if (value.kind === 'bool') return { kind: 'always', value: value.value };
  const type = typeOf(value);
  if (value.kind === 'arithmetic' || (type !== 'bool' && type !== 'json'))
    throw scope.fail(node.at, `expected a condition, found ${typeName(type)}`);
  return { kind: 'compare', op: '==', left: value, right: { kind: 'bool', value: true } };
}

const conditionKinds = new Set<Syntax['kind']>([
  'and',
  'or',
  'not',
  'compare',
  'in',
  'like',
  'null',
  'exists',
]);
const isCondition = (node: Syntax): boolean =>
  conditionKinds.has(node.kind) ||
  (node.kind === 'call' && (containsModes.has(node.name.toLowerCase()) || isMatchCall(node.name)));

function comparison(scope: Scope, node: Extract<Syntax, { kind: 'compare' }>): Predicate {
  if (isCondition(node.left) || isCondition(node.right)) return conditionComparison(scope, node);
  const { at, op } = node;
  const left = operandOf(scope, node.left);
  const right = operandOf(scope, node.right);
  const leftType = typeOf(left);
  const rightType = typeOf(right);
  const bothNumbers = isNumeric(leftType) && isNumeric(rightType);
  if (leftType !== rightType && !bothNumbers && leftType !== 'json' && rightType !== 'json')
    throw scope.fail(at, `cannot compare ${typeName(leftType)} with ${typeName(rightType)}`);
  if ((leftType === 'bool' || rightType === 'bool') && op !== '==' && op !== '!=')
    throw scope.fail(at, `a Bool has no order; '${op}' needs numbers or strings`);
  for (const [a, b] of [
    [left, rightType],
    [right, leftType],
  ] as const)
    if (a.kind === 'arithmetic' && (b === 'text' || b === 'bool'))
      throw scope.fail(at, `cannot compare a number with ${typeName(b)}`);
  if (isLiteral(left) && isLiteral(right)) return { kind: 'always', value: compareLiterals(op, left, right) };
  return { kind: 'compare', op, left, right };
}

const isNumeric = (type: string): boolean => type === 'int' || type === 'float';

function compareLiterals(op: CompareOp, left: Literal, right: Literal): boolean {
  if (left.kind === 'text' && right.kind === 'text')
    return compareOrder(op, compareText(left.value, right.value));
  if (left.kind === 'bool') return (left.value === right.value) === (op === '==');
  return compareNumbers(op, left.value as bigint | number, right.value as bigint | number);
}

/** `(a > 1) == true`: a condition compares with a constant only. */
function conditionComparison(scope: Scope, node: Extract<Syntax, { kind: 'compare' }>): Predicate {
  const left = conditionOf(scope, node.left);
  const right = conditionOf(scope, node.right);
  const constant = left.kind === 'always' ? left : right;
  if ((node.op !== '==' && node.op !== '!=') || constant.kind !== 'always')
    throw scope.fail(node.at, 'conditions are joined by and, or, not; they compare only with true or false');
  const other = constant === left ? right : left;
  return constant.value === (node.op === '==') ? other : inverse(other);
}

function membership(scope: Scope, node: Extract<Syntax, { kind: 'in' }>): Predicate {
  const value = operandOf(scope, node.value);
  const type = typeOf(value);
  const list: Scalar[] = [];
  for (const item of listOf(scope, node.list)) {
    const constant = coerced(scope, node.list.at, item, type);
    if (typeof constant === 'object')
      throw unimplementedAt(scope.text, node.list.at, "'in' with lists as items");
    if (constant !== undefined) list.push(constant);
  }
  if (!isLiteral(value)) return { kind: 'in', value, list };
  return { kind: 'always', value: list.includes(value.value) };
}

function likeness(scope: Scope, node: Extract<Syntax, { kind: 'like' }>): Predicate {
  const value = operandOf(scope, node.value);
  const pattern = operandOf(scope, node.pattern);
  if (pattern.kind !== 'text') throw scope.fail(node.pattern.at, "the pattern of 'like' is a string");
  if (isLiteral(value)) throw scope.fail(node.value.at, "'like' tests a field, found a constant");
  const type = typeOf(value);
  if (value.kind === 'arithmetic' || (type !== 'text' && type !== 'json'))
    throw scope.fail(node.value.at, `'like' needs a string, found ${typeName(type)}`);
  const problem = patternProblem(pattern.value);
  if (problem !== undefined) throw scope.fail(node.pattern.at, problem);
  return { kind: 'like', value, pattern: pattern.value };
}

function nullness(scope: Scope, node: Syntax): Predicate {
  if (node.kind !== 'name') throw scope.fail(node.at, "'is null' tests a field or a JSON path");
  const fieldId = scope.column(node);
  if (fieldId !== undefined) return { kind: 'null', value: { kind: 'column', fieldId } };
  const value = scope.resolve(node);
  if (value.kind !== 'json') throw scope.fail(node.at, 'an element of an Array is never null');
  return { kind: 'null', value };
}

function existence(scope: Scope, node: Syntax): Predicate {
  const value = node.kind === 'name' ? scope.resolve(node) : undefined;
  if (value?.kind !== 'json' || value.keys.length === 0)
    throw scope.fail(node.at, "'exists' tests a key of a JSON field or a dynamic key");
  return inverse({ kind: 'null', value });
}

function call(scope: Scope, node: Extract<Syntax, { kind: 'call' }>): Predicate {
  if (isMatchCall(node.name)) return matchOf(scope, node);
  const lower = node.name.toLowerCase();
  const known = node.name === lower || node.name === node.name.toUpperCase();
  const mode = known ? containsModes.get(lower) : undefined;
  if (mode === undefined) throw unknownFunction(scope, node.name, node.at);
  const [first, second, ...more] = node.args;
  if (first === undefined || second === undefined || more.length > 0)
    throw scope.fail(node.at, `${node.name} takes an array and a ${mode === 'one' ? 'value' : 'list'}`);
  const array = arrayOf(scope, first);
  const wanted = mode === 'one' ? [constantOf(scope, second)] : listOf(scope, second);
  return contains(scope, second.at, array, mode === 'all' ? 'all' : 'any', wanted);
}

function contains(
  scope: Scope,
  at: number,
  array: Extract<Leaf, { kind: 'contains' }>['array'],
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
const neverContained = (array: Extract<Leaf, { kind: 'contains' }>['array']): Predicate => ({
  kind: 'contains',
  mode: 'any',
  array,
  list: [],
});

function unknownFunction(scope: Scope, name: string, at: number): Error {
  const lower = name.toLowerCase();
  if (lower === 'array_length') return scope.fail(at, `${name}(…) is a number; compare it with one`);
  if (absentFunctions.has(lower) || lower.startsWith('st_'))
    return unimplementedAt(scope.text, at, `the function ${lower.toUpperCase()}`);
  const near = nearestName(name, knownFunctions);
  return scope.fail(
    at,
    `unknown function '${shorten(name)}'${near === undefined ? '' : `; did you mean '${near}'?`}`,
  );
}
