/** Types the value side of a filter (operands, constants, lists) and folds what is constant. */
import { intervalIn, momentOf, moveBy } from './check-time.ts';
import { fitsInt64, floatArithmetic, isBitOp, MAX_SHIFT, wideArithmetic } from './fold.ts';
import type { ArrayField, Constant, Literal, Scalar, Value, ValueType } from './predicate.ts';
import type { Scope, TemplateValue } from './scope.ts';
import { type ArithmeticOp, MAX_DEPTH, MAX_LIST_LENGTH, type Syntax } from './syntax.ts';

/** What the checker tells apart: a moment is an integer only to those who test rows. */
export type CheckedType = ValueType | 'time';

const typeNames: Readonly<Record<CheckedType, string>> = {
  time: 'a Timestamptz',
  int: 'an integer',
  float: 'a Double',
  text: 'a string',
  bool: 'a Bool',
  json: 'a JSON value',
};
export const typeName = (type: CheckedType): string => typeNames[type];

/** The type of any value: a literal's kind is its type. */
export function typeOf(value: Value): CheckedType {
  if ('isTime' in value && value.isTime) return 'time';
  return 'type' in value ? value.type : value.kind;
}

export const isLiteral = (value: Value): value is Literal => 'value' in value;

const literalOf = (value: Scalar): Literal => {
  switch (typeof value) {
    case 'bigint':
      return { kind: 'int', value };
    case 'number':
      return { kind: 'float', value };
    case 'string':
      return { kind: 'text', value };
    default:
      return { kind: 'bool', value };
  }
};

/** The value a node stands for; conditions and lists are refused here. */
export function operandOf(scope: Scope, node: Syntax): Value {
  switch (node.kind) {
    case 'literal':
      return literalOf(checkedScalar(scope, node.at, node.value));
    case 'template': {
      const value = scope.template(node.name, node.at);
      if (typeof value === 'object')
        throw scope.fail(node.at, `the template variable '${node.name}' is a list`);
      return literalOf(checkedScalar(scope, node.at, value));
    }
    case 'name': {
      const named = scope.resolve(node);
      if (named.kind === 'array')
        throw scope.fail(
          node.at,
          `field '${node.name}' is an Array; use array_contains, array_length or ${node.name}[0]`,
        );
      return named;
    }
    case 'item':
      return scope.item(node);
    case 'moment':
      return momentOf(scope, node.at, node.text);
    case 'interval':
      throw scope.fail(node.at, 'an INTERVAL is added to a Timestamptz, or subtracted from one');
    case 'negate':
      return negated(scope, node);
    case 'arithmetic':
      return moved(scope, node) ?? arithmetic(scope, node);
    case 'call':
      return lengthOf(scope, node);
    case 'list':
      throw scope.fail(node.at, 'a list stands only behind in and in the contains functions');
    default:
      throw scope.fail(node.at, 'expected a value, found a condition');
  }
}

function checkedScalar(scope: Scope, at: number, value: Scalar): Scalar {
  if (typeof value === 'bigint' && !fitsInt64(value))
    throw scope.fail(at, `the integer ${value} does not fit Int64`);
  if (typeof value === 'number' && !Number.isFinite(value))
    throw scope.fail(at, `${value} is not a number to compare with`);
  return value;
}

function negated(scope: Scope, node: Extract<Syntax, { kind: 'negate' }>): Value {
  const { value: inner } = node;
  if (inner.kind === 'literal' && typeof inner.value === 'bigint')
    return literalOf(checkedScalar(scope, node.at, -inner.value));
  const value = operandOf(scope, inner);
  if (value.kind === 'float') return { kind: 'float', value: -value.value };
  return combine(scope, node.at, '-', { kind: 'int', value: 0n }, value);
}

/** Undefined when no interval is in it. */
function moved(scope: Scope, node: Extract<Syntax, { kind: 'arithmetic' }>): Value | undefined {
  const found = intervalIn(scope, node);
  if (found === undefined) return undefined;
  const moment = asTime(scope, found.moment.at, operandOf(scope, found.moment));
  if (typeOf(moment) !== 'time')
    throw scope.fail(node.at, `an INTERVAL is added to a Timestamptz, found ${typeName(typeOf(moment))}`);
  return moveBy(scope, node.at, moment, found.interval);
}

/** A string as the moment it tells, everything else as it is. */
export const asTime = (scope: Scope, at: number, value: Value): Value =>
  value.kind === 'text' ? momentOf(scope, at, value.value) : value;

const arithmetic = (scope: Scope, node: Extract<Syntax, { kind: 'arithmetic' }>): Value =>
  combine(scope, node.at, node.op, operandOf(scope, node.left), operandOf(scope, node.right));

function combine(scope: Scope, at: number, op: ArithmeticOp, left: Value, right: Value): Value {
  refuseOperands(scope, at, op, left, right);
  if (isLiteral(left) && isLiteral(right)) return folded(scope, at, op, left.value, right.value);
  const types = [typeOf(left), typeOf(right)];
  if (types.includes('json')) return { kind: 'arithmetic', type: 'json', op, left, right };
  const type = types.includes('float') || op === '**' ? 'float' : 'int';
  return { kind: 'arithmetic', type, op, left, right };
}

function refuseOperands(scope: Scope, at: number, op: ArithmeticOp, left: Value, right: Value): void {
  const types = [typeOf(left), typeOf(right)];
  const stranger = types.find((type) => type === 'text' || type === 'bool' || type === 'time');
  if (stranger !== undefined) throw scope.fail(at, `'${op}' needs numbers, found ${typeName(stranger)}`);
  if ((op === '%' || isBitOp(op)) && types.includes('float'))
    throw scope.fail(at, `'${op}' needs integers, found a Double`);
  if (!isLiteral(right)) return;
  const by = Number(right.value);
  if ((op === '/' || op === '%') && by === 0)
    throw scope.fail(at, op === '/' ? 'division by zero' : 'modulo by zero');
  if ((op === '<<' || op === '>>') && !(by >= 0 && by <= MAX_SHIFT))
    throw scope.fail(at, `'${op}' shifts by 0 to ${MAX_SHIFT} bits`);
}

/** Constants that overflow are a slip of the writer; only what rows hold wraps around. */
function folded(scope: Scope, at: number, op: ArithmeticOp, left: Scalar, right: Scalar): Literal {
  const integers = typeof left === 'bigint' && typeof right === 'bigint' && op !== '**';
  const result = integers
    ? wideArithmetic(op, left, right)
    : floatArithmetic(op, Number(left), Number(right));
  if (typeof result === 'bigint' && !fitsInt64(result)) throw scope.fail(at, 'the result does not fit Int64');
  if (result === undefined || (typeof result === 'number' && !Number.isFinite(result)))
    throw scope.fail(at, 'the result is not a finite number');
  return literalOf(result);
}

function lengthOf(scope: Scope, node: Extract<Syntax, { kind: 'call' }>): Value {
  if (node.name !== 'array_length' && node.name !== 'ARRAY_LENGTH')
    throw scope.fail(node.at, `${node.name}(…) is a condition, not a value`);
  const [of, ...more] = node.args;
  if (of === undefined || more.length > 0) throw scope.fail(node.at, `${node.name} takes one array`);
  return { kind: 'length', type: 'int', of: arrayOf(scope, of) };
}

/** An Array field or a JSON path, the first argument of the array functions. */
export function arrayOf(scope: Scope, node: Syntax): ArrayField | Extract<Value, { kind: 'json' }> {
  if (node.kind !== 'name') throw scope.fail(node.at, 'expected an Array field or a JSON path');
  const named = scope.resolve(node);
  if (named.kind !== 'array' && named.kind !== 'json')
    throw scope.fail(node.at, `'${node.name}' is neither an Array field nor a JSON path`);
  return named;
}

/** The items of a list literal or of a list template. */
export function listOf(scope: Scope, node: Syntax): readonly Constant[] {
  if (node.kind === 'list') return node.items.map((item) => constantOf(scope, item));
  if (node.kind === 'template') {
    const value = scope.template(node.name, node.at);
    if (typeof value !== 'object')
      throw scope.fail(node.at, `the template variable '${node.name}' is not a list`);
    return templateItems(scope, node.at, value, 0);
  }
  throw scope.fail(node.at, 'expected a list');
}

/** A constant: a scalar, or a list of constants. */
export function constantOf(scope: Scope, node: Syntax): Constant {
  if (node.kind === 'literal') return checkedScalar(scope, node.at, node.value);
  if (node.kind === 'list') return listOf(scope, node);
  if (node.kind === 'template')
    return templateConstant(scope, node.at, scope.template(node.name, node.at), 0);
  const value = operandOf(scope, node);
  if (!isLiteral(value)) throw scope.fail(node.at, 'a list holds constants');
  return value.value;
}

function templateItems(
  scope: Scope,
  at: number,
  items: readonly TemplateValue[],
  depth: number,
): readonly Constant[] {
  if (items.length > MAX_LIST_LENGTH) throw scope.fail(at, `a list has at most ${MAX_LIST_LENGTH} items`);
  if (depth > MAX_DEPTH) throw scope.fail(at, `nested deeper than ${MAX_DEPTH} levels`);
  return items.map((item) => templateConstant(scope, at, item, depth + 1));
}

const templateConstant = (scope: Scope, at: number, value: TemplateValue, depth: number): Constant =>
  typeof value === 'object' ? templateItems(scope, at, value, depth) : checkedScalar(scope, at, value);

/**
 * `constant` as a value of `type`; undefined when no value of that type can equal it (1.5 among integers). Throws
 * `filter-invalid` when it is of another kind altogether.
 */
export function coerced(scope: Scope, at: number, constant: Constant, type: ValueType): Constant | undefined {
  if (type === 'json') return constant;
  if (typeof constant === 'object') throw scope.fail(at, `expected ${typeName(type)}, found a list`);
  const found = literalOf(constant).kind;
  if (found === type) return constant;
  if (type === 'int' && typeof constant === 'number')
    return Number.isInteger(constant) && fitsInt64(BigInt(constant)) ? BigInt(constant) : undefined;
  if (type === 'float' && typeof constant === 'bigint')
    return BigInt(Number(constant)) === constant ? Number(constant) : undefined;
  throw scope.fail(at, `expected ${typeName(type)}, found ${typeName(found)}`);
}
