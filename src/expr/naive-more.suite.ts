/**
 * More random filters that know their own answer: bits, expressions, moments, geometries, items, lists in JSON. The rules are read anew, from
 * the documentation; geometries are points and boxes, for which plain comparisons of coordinates are enough.
 */
import fc from 'fast-check';
import type { Json, Row } from './filter-rows.suite.ts';

/** undefined is unknown. */
type Truth = boolean | undefined;
interface Condition {
  readonly text: string;
  readonly holds: (row: Row) => Truth;
}

const int64 = (value: bigint): bigint => BigInt.asIntN(64, value);
const bits: Readonly<Record<string, (a: bigint, b: bigint) => bigint | undefined>> = {
  '&': (a, b) => a & b,
  '|': (a, b) => a | b,
  '^': (a, b) => a ^ b,
  '<<': (a, b) => (b < 0n || b > 63n ? undefined : int64(a * 2n ** b)),
  '>>': (a, b) => (b < 0n || b > 63n ? undefined : a >> b),
};
const orders: Readonly<Record<string, (a: bigint, b: bigint) => boolean>> = {
  '==': (a, b) => a === b,
  '!=': (a, b) => a !== b,
  '<': (a, b) => a < b,
  '>=': (a, b) => a >= b,
};
const order = fc.constantFrom(...Object.keys(orders));
const integers = fc.constantFrom<readonly [string, (row: Row) => bigint | undefined]>(
  ['id', ({ id }) => id],
  ['small', ({ small }) => small],
  ['num', ({ num }) => num ?? undefined],
  ['big', ({ big }) => big],
  ['counts[1]', ({ counts }) => counts?.[1]],
  ['color', ({ $meta }) => keyOf($meta, 'color', 'bigint')],
);

/** The value of a key when it is of a type. */
function keyOf<T extends Json>(json: Json, key: string, type: string): T | undefined {
  const value = typeof json === 'object' && json !== null ? (json as Record<string, Json>)[key] : undefined;
  return typeof value === type ? (value as T) : undefined;
}

const bitTest = fc
  .tuple(
    fc.constantFrom(...Object.keys(bits)),
    integers,
    fc.oneof(
      fc.constantFrom(0n, 1n, 2n, 5n, 40n, 63n).map((n) => [`${n}`, () => n] as const),
      integers,
    ),
    order,
    fc.constantFrom(0n, 1n, 3n, 7n, 14n, 2n ** 40n),
  )
  .map(
    ([op, [left, a], [right, b], compare, constant]): Condition => ({
      text: `${left} ${op} ${right} ${compare} ${constant}`,
      holds: (row) => {
        const [x, y] = [a(row), b(row)];
        const result = x === undefined || y === undefined ? undefined : bits[op]!(x, y);
        return result === undefined ? undefined : orders[compare]!(result, constant);
      },
    }),
  );

const texts = fc.constantFrom<readonly [string, (row: Row) => string | undefined, boolean]>(
  ['name', ({ name }) => name ?? undefined, false],
  ['tags[0]', ({ tags }) => tags[0], false],
  ['color', ({ $meta }) => keyOf<string>($meta, 'color', 'string'), true],
);
/** The same in RE2 and in JavaScript. */
const patterns = ['red', '^x', 'x$', '^.$', '[a-z]+d$', '(x|é)', '^$', 'x{2}', '[^x]', '\\\\'];
const regexTest = fc
  .tuple(texts, fc.constantFrom(...patterns), fc.boolean())
  .map(([[path, read, isJson], pattern, negated]): Condition => {
    const expression = new RegExp(pattern, 'su');
    return {
      text: `${path} ${negated ? '!~' : '=~'} r"${pattern}"`,
      holds: (row) => {
        const text = read(row);
        if (text === undefined) return isJson ? negated : undefined;
        return expression.test(text) !== negated;
      },
    };
  });

/** Postgres's months: the day stays, or becomes the last one there is. */
function laterMonths(micros: bigint, months: number): bigint {
  const milliseconds = micros >= 0n ? micros / 1000n : -((999n - micros) / 1000n);
  const rest = micros - milliseconds * 1000n;
  const date = new Date(Number(milliseconds));
  const day = date.getUTCDate();
  date.setUTCDate(1);
  date.setUTCMonth(date.getUTCMonth() + months);
  const last = new Date(date);
  last.setUTCMonth(last.getUTCMonth() + 1, 0);
  date.setUTCDate(Math.min(day, last.getUTCDate()));
  return BigInt(date.getTime()) * 1000n + rest;
}

const DAY = 86_400_000_000n;
const moments = [
  '1970-01-01T00:00:00Z',
  '2024-02-29T12:00:00.000001Z',
  '2024-03-31T00:00:00Z',
  '0001-06-01T00:00:00Z',
];
const microsOf = (text: string): bigint =>
  BigInt(Date.parse(text.replace(/\.\d+/, ''))) * 1000n + BigInt(/\.(\d{6})/.exec(text)?.[1] ?? 0);
const momentTest = fc
  .tuple(
    fc.constantFrom(...moments),
    order,
    fc.constantFrom<readonly [string, number, bigint]>(
      ['', 0, 0n],
      [" + INTERVAL 'P1M'", 1, 0n],
      [" - INTERVAL 'P1Y1MT0.000001S'", -13, -1n],
      [" + INTERVAL 'P31DT1H'", 0, 31n * DAY + DAY / 24n],
      [" - INTERVAL 'P1W'", 0, -7n * DAY],
    ),
    fc.boolean(),
  )
  .map(
    ([moment, op, [interval, months, micros], quoted]): Condition => ({
      text: `born${interval} ${op} ${quoted ? 'ISO ' : ''}'${moment}'`,
      holds: ({ born }) =>
        born === null
          ? undefined
          : orders[op]!((months === 0 ? born : laterMonths(born, months)) + micros, microsOf(moment)),
    }),
  );

type Box = readonly [number, number, number, number];
/** A point, or a box with an inside. */
const boxOf = (wkt: string): Box => {
  const numbers = (wkt.match(/-?[\d.]+/g) ?? []).map(Number);
  const [xs, ys] = [numbers.filter((_, i) => i % 2 === 0), numbers.filter((_, i) => i % 2 === 1)];
  return [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)];
};
export const places = [
  'POINT (0 0)',
  'POINT (1 1)',
  'POINT (2 1)',
  'POINT (9 9)',
  'POLYGON ((0 0, 2 0, 2 2, 0 2, 0 0))',
  'POLYGON ((2 0, 4 0, 4 2, 2 2, 2 0))',
  'POLYGON ((1 1, 3 1, 3 3, 1 3, 1 1))',
  'POLYGON ((0 0, 0 2, 2 2, 2 0, 0 0))',
  // Boxes all the same, but no longer seen as such.
  'POLYGON ((0 0, 1 0, 2 0, 2 2, 0 2, 0 0))',
  'MULTIPOLYGON (((1 1, 3 1, 3 3, 1 3, 1 1)))',
  'POLYGON ((-1 -1, 5 -1, 5 5, -1 5, -1 -1))',
];
const isPoint = (box: Box): boolean => box[0] === box[2];
const meet = (a: Box, b: Box): boolean => a[0] <= b[2] && b[0] <= a[2] && a[1] <= b[3] && b[1] <= a[3];
const insidesMeet = (a: Box, b: Box): boolean =>
  isPoint(a) && isPoint(b) ? meet(a, b) : a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3];
const isIn = (inner: Box, outer: Box): boolean =>
  outer[0] <= inner[0] && outer[1] <= inner[1] && outer[2] >= inner[2] && outer[3] >= inner[3];
const within = (a: Box, b: Box): boolean => isIn(a, b) && insidesMeet(a, b) && (!isPoint(b) || isPoint(a));
const spatial: Readonly<Record<string, (a: Box, b: Box) => boolean>> = {
  intersects: meet,
  equals: (a, b) => isIn(a, b) && isIn(b, a),
  within,
  contains: (a, b) => within(b, a),
  // Two points that meet have no boundary to do it with.
  touches: (a, b) => meet(a, b) && !insidesMeet(a, b),
  overlaps: (a, b) => !isPoint(a) && !isPoint(b) && insidesMeet(a, b) && !isIn(a, b) && !isIn(b, a),
  crosses: () => false,
};
const spatialTest = fc
  .tuple(fc.constantFrom(...Object.keys(spatial)), fc.constantFrom(...places), fc.boolean())
  .map(
    ([op, wkt, upper]): Condition => ({
      text: `${upper ? `ST_${op.toUpperCase()}` : `st_${op}`}(place, '${wkt}')`,
      holds: ({ place }) => (place === null ? undefined : spatial[op]!(boxOf(place), boxOf(wkt))),
    }),
  );

interface Item {
  readonly n: bigint;
  readonly word: string;
}
const itemTest = fc.constantFrom<readonly [string, (item: Item) => Truth]>(
  ['$[n] > 1', ({ n }) => n > 1n],
  ['$[word] == "x"', ({ word }) => word === 'x'],
  ['$[word] like "%e%" or $[n] == 7', ({ word, n }) => word.includes('e') || n === 7n],
  [
    '$[word] =~ "^.$" and not ($[n] in [0, 7])',
    ({ word, n }) => [...word].length === 1 && n !== 0n && n !== 7n,
  ],
  // Unknown for an item that is zero.
  ['7 % $[n] == 0', ({ n }) => (n === 0n ? undefined : 7n % n === 0n)],
  ['7 % $[n] == 0 and $[n] > 0', ({ n }) => (n === 0n ? false : 7n % n === 0n && n > 0n)],
);
const quantifier = fc
  .tuple(fc.constantFrom('any', 'all', 'least', 'most', 'exact'), fc.nat(3))
  .map(([mode, k]) => ({
    name: `MATCH_${mode.toUpperCase()}`,
    count: mode === 'any' || mode === 'all' ? '' : `, ${k}`,
    /** Whether that many of that many items are enough. */
    enough: (yes: number, all: number): boolean =>
      ({ any: yes > 0, all: yes === all, least: yes >= k, most: yes <= k, exact: yes === k })[mode]!,
  }));

/** As many answers as the unknown items leave possible: all alike, or unknown. */
function decided(truths: readonly Truth[], enough: (yes: number, all: number) => boolean): Truth {
  const sure = truths.filter((truth) => truth === true).length;
  const open = truths.filter((truth) => truth === undefined).length;
  const answers = Array.from({ length: open + 1 }, (_, more) => enough(sure + more, truths.length));
  return answers.every((answer) => answer === answers[0]) ? answers[0] : undefined;
}

const structTest = fc.tuple(itemTest, quantifier).map(
  ([[text, test], { name, count, enough }]): Condition => ({
    text: `${name}(parts, ${text}${count})`,
    holds: ({ parts }) => (parts === null ? undefined : decided(parts.map(test), enough)),
  }),
);
const arrayTest = fc.tuple(quantifier, fc.constantFrom(0n, 1n, 7n)).map(
  ([{ name, count, enough }, limit]): Condition => ({
    text: `${name}(counts, $ >= ${limit}${count})`,
    holds: ({ counts }) =>
      counts === null
        ? undefined
        : decided(
            counts.map((n) => n >= limit),
            enough,
          ),
  }),
);
const elementFilter = itemTest.map(
  ([text, test]): Condition => ({
    text: `element_filter(parts, ${text})`,
    holds: ({ parts }) => (parts === null ? undefined : decided(parts.map(test), (yes) => yes > 0)),
  }),
);
const structField = fc.constantFrom('x', 'red').map(
  (word): Condition => ({
    text: `array_contains(parts[word], "${word}")`,
    holds: ({ parts }) => (parts === null ? undefined : parts.some((part) => part.word === word)),
  }),
);
const structNull = fc.boolean().map(
  (negated): Condition => ({
    text: `parts is ${negated ? 'not ' : ''}null`,
    holds: ({ parts }) => (parts === null) !== negated,
  }),
);

const isNumber = (value: Json | undefined): value is bigint | number =>
  typeof value === 'bigint' || typeof value === 'number';

function same(a: Json | undefined, b: Json): boolean {
  if (Array.isArray(a) && Array.isArray(b))
    return a.length === b.length && a.every((item, i) => same(item as Json, b[i] as Json));
  // biome-ignore lint/suspicious/noDoubleEquals: 1 and 1.0 are one number, whatever their type here.
  return isNumber(a) && isNumber(b) ? a == b : a === b;
}
const listTest = fc
  .tuple(
    fc.constantFrom<readonly Json[]>([], [1n], [1n, 'x'], [0n, 1n, 7n], ['x'], [[1n, 'x']]),
    fc.boolean(),
  )
  .map(([list, negated]): Condition => {
    const text = (json: Json): string =>
      Array.isArray(json)
        ? `[${json.map((item) => text(item as Json)).join(', ')}]`
        : typeof json === 'string'
          ? `"${json}"`
          : `${json as bigint}`;
    return {
      text: `meta["list"] ${negated ? '!=' : '=='} ${text(list)}`,
      holds: ({ meta }) => {
        const value =
          typeof meta === 'object' && meta !== null ? (meta as Record<string, Json>)['list'] : undefined;
        return Array.isArray(value) ? same(value as Json, list) !== negated : undefined;
      },
    };
  });

/** One of them. */
export const moreConditions: fc.Arbitrary<Condition> = fc.oneof(
  bitTest,
  regexTest,
  momentTest,
  spatialTest,
  structTest,
  arrayTest,
  elementFilter,
  structField,
  structNull,
  listTest,
);
