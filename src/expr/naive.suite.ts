/**
 * Random filters that know their own answer: each piece carries its text and a plain reading of the rules, one row at a time, in
 * three values. Nothing here is shared with the evaluators but JavaScript itself.
 */
import fc from 'fast-check';
import type { Json, Row } from './filter-rows.suite.ts';
import { moreConditions } from './naive-more.suite.ts';

/** undefined is unknown. */
export type Truth = boolean | undefined;
type Cell = bigint | number | string | boolean | undefined;

export interface Condition {
  readonly text: string;
  readonly holds: (row: Row) => Truth;
}
interface Operand {
  readonly text: string;
  readonly type: 'int' | 'float' | 'json' | 'text' | 'bool';
  readonly isConstant: boolean;
  readonly read: (row: Row) => Cell;
}

const operand = (
  text: string,
  type: Operand['type'],
  read: (row: Row) => unknown,
  isConstant = false,
): Operand => ({ text, type, isConstant, read: (row) => (read(row) ?? undefined) as Cell });

const isScalar = (value: Json | undefined): boolean =>
  value !== undefined && (value === null || typeof value !== 'object');

function at(json: Json | undefined, ...keys: readonly (string | number)[]): Json | undefined {
  let value = json;
  for (const key of keys) {
    if (typeof value !== 'object' || value === null || Array.isArray(value) !== (typeof key === 'number'))
      return undefined;
    value = (value as Record<string | number, Json>)[key];
  }
  return value;
}
const paths: readonly { readonly text: string; readonly get: (row: Row) => Json | undefined }[] = [
  { text: 'meta["a"]', get: ({ meta }) => at(meta, 'a') },
  { text: 'meta["s"]', get: ({ meta }) => at(meta, 's') },
  { text: 'meta["list"]', get: ({ meta }) => at(meta, 'list') },
  { text: 'meta["list"][1]', get: ({ meta }) => at(meta, 'list', 1) },
  { text: 'color', get: ({ $meta }) => at($meta, 'color') },
  { text: '$meta["deep"]["x"]', get: ({ $meta }) => at($meta, 'deep', 'x') },
];

export const jsonArb: fc.Arbitrary<Json> = fc.oneof(
  { maxDepth: 1 },
  fc.constantFrom<Json>(
    null,
    true,
    false,
    0n,
    1n,
    7n,
    -3n,
    2n ** 53n + 1n,
    2n ** 62n,
    0.5,
    1,
    -2.5,
    'x',
    'red',
    'a"b\\',
    'é多',
  ),
  fc.array(fc.constantFrom<Json>(0n, 1n, 7n, 1, 'x', 'red', true, null, [1n, 'x']), { maxLength: 4 }),
);

const integers = [
  '0',
  '1',
  '7',
  '-3',
  '100',
  '-128',
  '9007199254740993',
  '9223372036854775807',
  '-9223372036854775808',
  '4611686018427387904',
];
const doubles = ['0.5', '1.0', '-2.5', '1e3', '9007199254740992.0', '0.1', '1e19'];
const words = ['', 'x', 'red', 'Red', 'é多', 'a"b\\', '\u{ffff}', '\u{10000}', 'xx'];
const quoted = (word: string): string => JSON.stringify(word);

const intConstant = fc
  .constantFrom(...integers)
  .map((text) => operand(text.startsWith('-') ? `(${text})` : text, 'int', () => BigInt(text), true));
const floatConstant = fc
  .constantFrom(...doubles)
  .map((text) => operand(text.startsWith('-') ? `(${text})` : text, 'float', () => Number(text), true));
const textConstant = fc.constantFrom(...words).map((word) => operand(quoted(word), 'text', () => word, true));
const boolConstant = fc.boolean().map((value) => operand(`${value}`, 'bool', () => value, true));

const intField = fc.constantFrom(
  ...(['id', 'small', 'num', 'big'] as const).map((name) => operand(name, 'int', (row) => row[name])),
  operand('counts[0]', 'int', ({ counts }) => counts?.[0]),
  operand('counts[2]', 'int', ({ counts }) => counts?.[2]),
  operand('array_length(tags)', 'int', ({ tags }) => BigInt(tags.length)),
  operand('array_length(meta["list"])', 'int', ({ meta }) => {
    const list = at(meta, 'list');
    return Array.isArray(list) ? BigInt(list.length) : undefined;
  }),
);
const floatField = fc.constantFrom(
  operand('score', 'float', ({ score }) => (score === null ? undefined : Math.fround(score))),
  operand('price', 'float', ({ price }) => price),
);
const textField = fc.constantFrom(
  operand('name', 'text', ({ name }) => name),
  operand('tags[0]', 'text', ({ tags }) => tags[0]),
);
const boolField = fc.constant(operand('flag', 'bool', ({ flag }) => flag));
const jsonField = fc.constantFrom(...paths).map(({ text, get }) =>
  operand(text, 'json', (row) => {
    const value = get(row);
    return isScalar(value) ? value : undefined;
  }),
);

const isNumber = (cell: Cell): cell is bigint | number =>
  typeof cell === 'bigint' || typeof cell === 'number';

const wholeOps: Readonly<Record<string, (a: bigint, b: bigint) => bigint | undefined>> = {
  '+': (a, b) => a + b,
  '-': (a, b) => a - b,
  '*': (a, b) => a * b,
  '/': (a, b) => (b === 0n ? undefined : a / b),
  '%': (a, b) => (b === 0n ? undefined : a % b),
};
const doubleOps: Readonly<Record<string, (a: number, b: number) => number | undefined>> = {
  '+': (a, b) => a + b,
  '-': (a, b) => a - b,
  '*': (a, b) => a * b,
  '/': (a, b) => (b === 0 ? undefined : a / b),
  '**': (a, b) => a ** b,
};

function compute(op: string, a: Cell, b: Cell): Cell {
  if (!isNumber(a) || !isNumber(b)) return undefined;
  if (typeof a !== 'bigint' || typeof b !== 'bigint' || op === '**')
    return doubleOps[op]?.(Number(a), Number(b));
  const exact = wholeOps[op]?.(a, b);
  return exact === undefined ? undefined : BigInt.asIntN(64, exact);
}

const zeros = new Set(['0', '0.0']);

function arithmetic(op: string, left: Operand, right: Operand): Operand {
  const types = [left.type, right.type];
  const hasFloat = types.includes('float');
  // What the checker refuses becomes a sum.
  const refused = (op === '%' && hasFloat) || ((op === '/' || op === '%') && zeros.has(right.text));
  const used = refused ? '+' : op;
  const type = types.includes('json') ? 'json' : hasFloat || used === '**' ? 'float' : 'int';
  return operand(`(${left.text} ${used} ${right.text})`, type, (row) =>
    compute(used, left.read(row), right.read(row)),
  );
}

const rowNumber = fc.oneof(intField, floatField, jsonField);
const anyNumber = fc.oneof(
  { weight: 3, arbitrary: rowNumber },
  { weight: 2, arbitrary: intConstant },
  floatConstant,
);
const arithmeticOps = fc.constantFrom('+', '-', '*', '/', '%', '**');
const numeric: fc.Arbitrary<Operand> = fc.letrec<{ sum: Operand; number: Operand }>((tie) => ({
  // At least one side comes from the row: constants fold, and may be refused for overflowing.
  sum: fc
    .tuple(arithmeticOps, rowNumber, tie('number'), fc.boolean())
    .map(([op, left, right, swap]) => (swap ? arithmetic(op, right, left) : arithmetic(op, left, right))),
  number: fc.oneof({ depthSize: 'small', withCrossShrink: true }, anyNumber, tie('sum')),
})).number;

const codePoints = (text: string): number[] => [...text].map((character) => character.codePointAt(0) ?? 0);

function order(a: string, b: string): number {
  const [x, y] = [codePoints(a), codePoints(b)];
  const i = x.findIndex((code, k) => code !== y[k]);
  return i < 0 ? x.length - y.length : i >= y.length ? 1 : x[i]! - y[i]!;
}

function compared(op: string, a: Cell, b: Cell): Truth {
  if (typeof a === 'boolean' && typeof b === 'boolean') return (a === b) === (op === '==');
  if (typeof a === 'string' && typeof b === 'string') return compared(op, order(a, b), 0);
  if (!isNumber(a) || !isNumber(b)) return undefined;
  const [less, more] = [a < b, a > b];
  // biome-ignore lint/suspicious/noDoubleEquals: a bigint and a number of the same value.
  const same = a == b;
  return { '==': same, '!=': !same, '<': less, '<=': less || same, '>': more, '>=': more || same }[op];
}

const orders = fc.constantFrom('==', '!=', '<', '<=', '>', '>=');
const compare = (
  left: fc.Arbitrary<Operand>,
  right: fc.Arbitrary<Operand>,
  ops: fc.Arbitrary<string> = orders,
) =>
  fc.tuple(ops, left, right).map(
    ([op, a, b]): Condition => ({
      text: `${a.text} ${op} ${b.text}`,
      holds: (row) => compared(op, a.read(row), b.read(row)),
    }),
  );

/** Values that are often equal, so that a wrong digit shows. */
const smallConstant = fc.integer({ min: -4, max: 8 }).map((value) => {
  const text = value < 0 ? `(${value})` : `${value}`;
  return operand(text, 'int', () => BigInt(value), true);
});
const smallSum = fc
  .tuple(arithmeticOps, fc.oneof(intField, jsonField), smallConstant)
  .map(([op, left, right]) => arithmetic(op, left, right));

const range = fc.tuple(numeric, rowNumber, numeric, fc.boolean()).map(
  ([low, middle, high, strict]): Condition => ({
    text: `${low.text} ${strict ? '<' : '<='} ${middle.text} < ${high.text}`,
    holds: (row) => {
      const ends = [
        compared(strict ? '<' : '<=', low.read(row), middle.read(row)),
        compared('<', middle.read(row), high.read(row)),
      ];
      return ends.includes(false) ? false : ends.includes(undefined) ? undefined : true;
    },
  }),
);

const kindOf = (cell: Cell): string => (isNumber(cell) ? 'number' : typeof cell);

const member = (value: fc.Arbitrary<Operand>, items: fc.Arbitrary<Operand>) =>
  fc.tuple(value, fc.array(items, { maxLength: 9 }), fc.boolean()).map(
    ([tested, list, negated]): Condition => ({
      text: `${tested.text} ${negated ? 'not in' : 'in'} [${list.map(({ text }) => text).join(', ')}]`,
      holds: (row) => {
        const cell = tested.read(row);
        if (cell === undefined) return undefined;
        const constants = list.map((item) => item.read(row));
        if (constants.some((constant) => compared('==', cell, constant))) return !negated;
        const stranger = tested.type === 'json' && list.length > 0;
        return stranger && !constants.some((constant) => kindOf(constant) === kindOf(cell))
          ? undefined
          : negated;
      },
    }),
  );

const like = fc
  .tuple(
    fc.oneof(textField, jsonField),
    fc.array(fc.constantFrom('%', '_', 'x', 'red', 'é', '\\\\', '"'), { maxLength: 4 }),
  )
  .map(([value, parts]): Condition => {
    const source = parts.map((part) => (part === '%' ? '.*' : part === '_' ? '.' : part));
    const pattern = new RegExp(`^${source.join('')}$`, 'su');
    return {
      text: `${value.text} like ${quoted(parts.join(''))}`,
      holds: (row) => {
        const cell = value.read(row);
        return typeof cell === 'string' ? pattern.test(cell) : undefined;
      },
    };
  });

const hollow = (value: Json | undefined): boolean =>
  value === undefined || (typeof value === 'object' && value !== null && Object.values(value).every(hollow));

const nulls = fc.oneof(
  fc.tuple(fc.constantFrom('num', 'big', 'score', 'name', 'counts', 'meta', 'flag'), fc.boolean()).map(
    ([name, negated]): Condition => ({
      text: `${name} is ${negated ? 'not ' : ''}null`,
      holds: (row) => (row[name as keyof Row] === null) !== negated,
    }),
  ),
  fc.tuple(fc.constantFrom(...paths), fc.constantFrom('is null', 'is not null', 'exists')).map(
    ([{ text, get }, test]): Condition => ({
      text: test === 'exists' ? `exists ${text}` : `${text} ${test}`,
      holds: (row) => {
        const value = get(row);
        return (value === null || hollow(value)) === (test === 'is null');
      },
    }),
  ),
);

const contains = fc
  .tuple(
    fc.oneof(
      fc.tuple(fc.constant('tags'), fc.array(textConstant, { maxLength: 3 })),
      fc.tuple(fc.constant('counts'), fc.array(fc.oneof(intConstant, floatConstant), { maxLength: 3 })),
      fc.tuple(
        fc.constant('meta["list"]'),
        fc.array(fc.oneof(intConstant, floatConstant, textConstant, boolConstant), { maxLength: 3 }),
      ),
    ),
    fc.constantFrom('json_contains', 'ARRAY_CONTAINS_ANY', 'array_contains_all'),
  )
  .map(([[array, constants], name]): Condition => {
    const [first] = constants;
    const single = name === 'json_contains' && first !== undefined;
    const all = name === 'array_contains_all';
    const wanted = single ? [first] : constants;
    const list = `[${wanted.map(({ text }) => text).join(', ')}]`;
    return {
      text: `${single ? name : all ? name : 'array_contains_any'}(${array}, ${single ? first.text : list})`,
      holds: (row) => {
        const items = array === 'meta["list"]' ? at(row.meta, 'list') : row[array as 'tags' | 'counts'];
        if (!Array.isArray(items)) return undefined;
        const found = wanted.map(({ read }) =>
          items.some((item) => compared('==', item as Cell, read(row)) === true),
        );
        return all ? found.every(Boolean) : found.some(Boolean);
      },
    };
  });

const leaf: fc.Arbitrary<Condition> = fc.oneof(
  { weight: 3, arbitrary: compare(numeric, numeric) },
  { weight: 2, arbitrary: compare(smallSum, smallConstant) },
  compare(smallSum, smallSum),
  compare(fc.oneof(textField, jsonField), fc.oneof(textConstant, textField, jsonField)),
  compare(textConstant, textField),
  compare(fc.oneof(boolField, jsonField), boolConstant, fc.constantFrom('==', '!=')),
  range,
  member(intField, fc.oneof(intConstant, floatConstant)),
  member(floatField, fc.oneof(intConstant, floatConstant)),
  member(textField, textConstant),
  member(jsonField, fc.oneof(intConstant, floatConstant, textConstant, boolConstant)),
  like,
  nulls,
  contains,
  { weight: 6, arbitrary: moreConditions },
);

const not = (truth: Truth): Truth => (truth === undefined ? undefined : !truth);

const conditions: fc.Arbitrary<Condition> = fc.letrec<{ condition: Condition }>((tie) => ({
  condition: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    leaf,
    fc
      .tuple(
        fc.constantFrom('and', 'or', '&&', '||'),
        fc.array(tie('condition'), { minLength: 2, maxLength: 3 }),
      )
      .map(([word, items]): Condition => {
        const decides = word === 'or' || word === '||';
        return {
          text: items.map(({ text }) => `(${text})`).join(` ${word} `),
          holds: (row) => {
            const truths = items.map(({ holds }) => holds(row));
            return truths.includes(decides) ? decides : truths.includes(undefined) ? undefined : !decides;
          },
        };
      }),
    tie('condition').map(
      (item): Condition => ({ text: `not (${item.text})`, holds: (row) => not(item.holds(row)) }),
    ),
  ),
})).condition;

/** Well-typed filters of any depth; a failure shows their text. */
export const conditionArb: fc.Arbitrary<Condition> = conditions.map((condition) => ({
  ...condition,
  [fc.toStringMethod]: () => condition.text,
}));
