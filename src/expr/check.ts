/** Types a syntax tree against a schema. The checked tree is plain data: it can be sent to another process. */
import type { FieldId } from '../model/ids.ts';
import type { CollectionSchema } from '../model/schema.ts';
import { type TimeZone, utc } from '../timestamptz/zones.ts';
import { membership } from './check-membership.ts';
import { asTime, type CheckedType, isLiteral, listOf, operandOf, typeName, typeOf } from './check-value.ts';
import { inverse, junction } from './connect.ts';
import { compareNumbers, compareOrder } from './fold.ts';
import { absentFunctions, type ConditionFunction, conditionFunctions } from './functions.ts';
import { patternProblem } from './like.ts';
import { nearestName } from './nearest.ts';
import { parseFilter } from './parse.ts';
import type { Literal, MatchLeaf, Predicate, Value } from './predicate.ts';
import { regexProblem } from './regex.ts';
import { isSample, sampleOf } from './sample.ts';
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
  /** `random_sample`: the part of the matching rows to take, above 0 and below 1. Absent: all. */
  readonly sample?: number;
}

const noTemplates: TemplateValues = new Map();

const knownFunctions = [...conditionFunctions.keys(), 'array_length', 'random_sample'];

/** Text to checked filter. Throws `filter-invalid` with the place in the text, or `unimplemented`. */
export const filterOf = (
  text: string,
  schema: CollectionSchema,
  templates: TemplateValues = noTemplates,
  zone: TimeZone = utc,
): CheckedFilter => checkFilter(parseFilter(text), schema, templates, zone);

/**
 * Fits a parsed filter to a schema and fills its template variables; moments without an offset are told in `zone`. Throws
 * `filter-invalid`, `unimplemented`.
 */
export function checkFilter(
  syntax: FilterSyntax,
  schema: CollectionSchema,
  templates: TemplateValues = noTemplates,
  zone: TimeZone = utc,
): CheckedFilter {
  const scope = new Scope(syntax.text, schema, templates, zone);
  const { sample, rest } = sampleOf(scope, syntax.root);
  const root = rest === undefined ? ({ kind: 'always', value: true } as const) : conditionOf(scope, rest);
  const { fields, matches } = scope;
  return {
    root,
    fields,
    ...(sample === undefined ? {} : { sample }),
    ...(matches.length === 0 ? {} : { matches }),
  };
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
    case 'regex':
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
  'regex',
  'null',
  'exists',
]);
const isCondition = (node: Syntax): boolean =>
  conditionKinds.has(node.kind) || (node.kind === 'call' && conditionFunction(node.name) !== undefined);

function comparison(scope: Scope, node: Extract<Syntax, { kind: 'compare' }>): Predicate {
  if (isCondition(node.left) || isCondition(node.right)) return conditionComparison(scope, node);
  if (isList(scope, node.left) || isList(scope, node.right)) return listComparison(scope, node);
  const { at, op } = node;
  const [left, right] = comparable(scope, node);
  const leftType = typeOf(left);
  const rightType = typeOf(right);
  refuseTypes(scope, at, op, leftType, rightType);
  for (const [a, b] of [
    [left, rightType],
    [right, leftType],
  ] as const)
    if (a.kind === 'arithmetic' && (b === 'text' || b === 'bool'))
      throw scope.fail(at, `cannot compare a number with ${typeName(b)}`);
  if (isLiteral(left) && isLiteral(right)) return { kind: 'always', value: compareLiterals(op, left, right) };
  return { kind: 'compare', op, left, right };
}

/** A string beside a moment is one. */
function comparable(scope: Scope, node: Extract<Syntax, { kind: 'compare' }>): readonly [Value, Value] {
  const left = operandOf(scope, node.left);
  const right = operandOf(scope, node.right);
  if (typeOf(left) === 'time') return [left, asTime(scope, node.right.at, right)];
  return typeOf(right) === 'time' ? [asTime(scope, node.left.at, left), right] : [left, right];
}

const milvusTypes: Readonly<Record<CheckedType, string>> = {
  time: 'Timestamptz',
  int: 'Int64',
  float: 'Double',
  text: 'VarChar',
  bool: 'Bool',
  json: 'JSON',
};

function refuseTypes(scope: Scope, at: number, op: CompareOp, left: CheckedType, right: CheckedType): void {
  if ((left === 'time') !== (right === 'time'))
    throw scope.fail(
      at,
      `comparisons between ${milvusTypes[left]} and ${milvusTypes[right]} are not supported`,
    );
  const bothNumbers = isNumeric(left) && isNumeric(right);
  if (left !== right && !bothNumbers && left !== 'json' && right !== 'json')
    throw scope.fail(at, `cannot compare ${typeName(left)} with ${typeName(right)}`);
  if ((left === 'bool' || right === 'bool') && op !== '==' && op !== '!=')
    throw scope.fail(at, `a Bool has no order; '${op}' needs numbers or strings`);
}

const isList = (scope: Scope, node: Syntax): boolean =>
  node.kind === 'list' ||
  (node.kind === 'template' && typeof scope.template(node.name, node.at) === 'object');

/** `json["key"] == [1, 2]`. */
function listComparison(scope: Scope, node: Extract<Syntax, { kind: 'compare' }>): Predicate {
  const { at, op, left, right } = node;
  const isLeft = isList(scope, left);
  const value = operandOf(scope, isLeft ? right : left);
  if (value.kind !== 'json' || (op !== '==' && op !== '!='))
    throw scope.fail(
      at,
      'a list is compared only with a JSON path, by == and !=; Array fields have array_contains',
    );
  const same: Predicate = { kind: 'same', value, list: listOf(scope, isLeft ? left : right) };
  return op === '==' ? same : inverse(same);
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

/** `like` and `=~`. */
function likeness(scope: Scope, node: Extract<Syntax, { kind: 'like' | 'regex' }>): Predicate {
  const { kind } = node;
  const word = kind === 'like' ? "'like'" : "'=~'";
  const value = operandOf(scope, node.value);
  const pattern = operandOf(scope, node.pattern);
  if (pattern.kind !== 'text') throw scope.fail(node.pattern.at, `the pattern of ${word} is a string`);
  if (isLiteral(value)) throw scope.fail(node.value.at, `${word} tests a field, found a constant`);
  const type = typeOf(value);
  if (value.kind === 'arithmetic' || (type !== 'text' && type !== 'json'))
    throw scope.fail(node.value.at, `${word} needs a string, found ${typeName(type)}`);
  const problem = (kind === 'like' ? patternProblem : regexProblem)(pattern.value);
  if (problem !== undefined) throw scope.fail(node.pattern.at, problem);
  return { kind, value, pattern: pattern.value };
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
  const make = conditionFunction(node.name);
  if (make === undefined) throw unknownFunction(scope, node);
  return make(scope, node, conditionOf);
}

/** Names are all in lower case or all in upper case. */
function conditionFunction(name: string): ConditionFunction | undefined {
  const lower = name.toLowerCase();
  return name === lower || name === name.toUpperCase() ? conditionFunctions.get(lower) : undefined;
}

function unknownFunction(scope: Scope, node: Extract<Syntax, { kind: 'call' }>): Error {
  const { name, at } = node;
  const lower = name.toLowerCase();
  if (isSample(node))
    return scope.fail(at, `${name} is joined by 'and' to the whole of all other conditions`);
  if (lower === 'array_length') return scope.fail(at, `${name}(…) is a number; compare it with one`);
  if (absentFunctions.has(lower))
    return unimplementedAt(scope.text, at, `the function ${lower.toUpperCase()}`);
  const near = nearestName(name, knownFunctions);
  const hint = near === undefined ? '' : `; did you mean '${near}'?`;
  return scope.fail(at, `unknown function '${shorten(name)}'${hint}`);
}
