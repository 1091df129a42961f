import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { DbError, isDbError } from '../errors/db-error.ts';
import { parseFilter } from './parse.ts';
import type { Syntax } from './syntax.ts';

/** The tree in one line, every operator in front of what it takes. */
function shown(node: Syntax): string {
  switch (node.kind) {
    case 'literal':
      return typeof node.value === 'string' ? JSON.stringify(node.value) : `${node.value}`;
    case 'list':
      return `[${node.items.map(shown).join(' ')}]`;
    case 'name':
      return `${node.name}${node.keys.map((key) => `.${key}`).join('')}`;
    case 'template':
      return `{${node.name}}`;
    case 'negate':
      return `(neg ${shown(node.value)})`;
    case 'arithmetic':
    case 'compare':
      return `(${node.op} ${shown(node.left)} ${shown(node.right)})`;
    case 'in':
      return `(in ${shown(node.value)} ${shown(node.list)})`;
    case 'like':
    case 'regex':
      return `(${node.kind} ${shown(node.value)} ${shown(node.pattern)})`;
    case 'item':
      return node.name === undefined ? '$' : `$.${node.name}`;
    case 'moment':
    case 'interval':
      return `(${node.kind} ${node.text})`;
    case 'named':
      return `(${node.name}= ${shown(node.value)})`;
    case 'null':
    case 'exists':
    case 'not':
      return `(${node.kind} ${shown(node.value)})`;
    case 'and':
    case 'or':
      return `(${node.kind} ${node.items.map(shown).join(' ')})`;
    case 'call':
      return `(${node.name}${node.args.map((arg) => ` ${shown(arg)}`).join('')})`;
  }
}

const sentences: readonly (readonly [text: string, tree: string])[] = [
  ['TEXT_MATCH(t, "a b", minimum_should_match = 2)', '(TEXT_MATCH t "a b" (minimum_should_match= 2))'],
  ['phrase_match(t, "a b", 1) and c', '(and (phrase_match t "a b" 1) c)'],
  ['a == 1', '(== a 1)'],
  ['a != 1 and b < 2 or c >= 3', '(or (and (!= a 1) (< b 2)) (>= c 3))'],
  ['a == 1 or b == 2 or c == 3', '(or (== a 1) (== b 2) (== c 3))'],
  ['a==1&&b==2||!c', '(or (and (== a 1) (== b 2)) (not c))'],
  ['A AND B OR NOT C', '(or (and A B) (not C))'],
  ['not a == 1 and b == 2', '(and (not (== a 1)) (== b 2))'],
  ['NOT color == "green"', '(not (== color "green"))'],
  ['not (a == 1 and b == 2)', '(not (and (== a 1) (== b 2)))'],
  ['1 < a < 5', '(and (< 1 a) (< a 5))'],
  ['5 >= a > 1', '(and (>= 5 a) (> a 1))'],
  ['a + 1 < b * 2 == true', '(== (< (+ a 1) (* b 2)) true)'],
  ['a + b * c - d % 2 > 0', '(> (- (+ a (* b c)) (% d 2)) 0)'],
  ['a * 2 ** 3 ** 2 == 1', '(== (* a (** (** 2 3) 2)) 1)'],
  ['-a ** 2 == -1', '(== (** (neg a) 2) (neg 1))'],
  ['a - -1 == +2', '(== (- a (neg 1)) 2)'],
  ['a in [1, 2.5, -3,]', '(in a [1 2.5 (neg 3)])'],
  ['a not in ["x"]', '(not (in a ["x"]))'],
  ['a NOT IN {values}', '(not (in a {values}))'],
  ['a in []', '(in a [])'],
  ['a & 4 == 4', '(== (& a 4) 4)'],
  ['a | b ^ c & d << 1 + 2 > 0', '(> (| a (^ b (& c (<< d (+ 1 2))))) 0)'],
  ['a >> 1 << 2 == 0', '(== (<< (>> a 1) 2) 0)'],
  ['name =~ "^a" and name !~ "b$"', '(and (regex name "^a") (not (regex name "b$")))'],
  ['name not like "x%"', '(not (like name "x%"))'],
  [String.raw`name =~ r"\d+\.\"json"`, String.raw`(regex name "\\d+\\.\\\"json")`],
  ["t >= ISO '2025-01-01T00:00:00Z'", '(>= t (moment 2025-01-01T00:00:00Z))'],
  ["t + INTERVAL 'P1D' < iso '2025-01-01'", '(< (+ t (interval P1D)) (moment 2025-01-01))'],
  ['ISO == 1 and interval == 2', '(and (== ISO 1) (== interval 2))'],
  ['array_contains(chunks[text], "x")', '(array_contains chunks[text] "x")'],
  ['chunks[text][0] == "x"', '(== chunks[text].0 "x")'],
  ['MATCH_LEAST(chunks, $[n] > 1, 3)', '(MATCH_LEAST chunks (> $.n 1) 3)'],
  ['match_most(tags, $ == "x", threshold = 2)', '(match_most tags (== $ "x") (threshold= 2))'],
  ['name like "Prod%"', '(like name "Prod%")'],
  ["name LIKE '%x'", '(like name "%x")'],
  ['a is null', '(null a)'],
  ['a IS NOT NULL and b', '(and (not (null a)) b)'],
  ['exists meta["a"]', '(exists meta.a)'],
  ['not exists $meta["a"]', '(not (exists $meta.a))'],
  ['meta["a"]["b"][0] == 1', '(== meta.a.b.0 1)'],
  ["meta['it\\'s'] == 'a\"b'", '(== meta.it\'s "a\\"b")'],
  ['json_contains(meta["a"], 1)', '(json_contains meta.a 1)'],
  ['ARRAY_CONTAINS_ALL(tags, ["a", "b"])', '(ARRAY_CONTAINS_ALL tags ["a" "b"])'],
  ['array_length(tags) == 3', '(== (array_length tags) 3)'],
  ['age > {age} AND city IN {city}', '(and (> age {age}) (in city {city}))'],
  ['s == "tab\\t \\u0041\\x42 \\\\ \\/"', '(== s "tab\\t AB \\\\ /")'],
  ['s like "100\\%" or s like "100\\\\%"', '(or (like s "100\\\\%") (like s "100\\\\%"))'],
  ['s == "多多"', '(== s "多多")'],
  ['a == 0x1F or a == 0b101 or a == 0o17', '(or (== a 31) (== a 5) (== a 15))'],
  ['a == 1e3 or a == .5 or a == 2. or a == 1.5E-2', '(or (== a 1000) (== a 0.5) (== a 2) (== a 0.015))'],
  ['a == 9223372036854775807', '(== a 9223372036854775807)'],
  ['a == True or a == FALSE', '(or (== a true) (== a false))'],
  ['  \n a\t==\r\n1 ', '(== a 1)'],
  ['ina == 1 and notb == 2', '(and (== ina 1) (== notb 2))'],
];

describe('the filter language', () => {
  for (const [text, tree] of sentences)
    test(`${JSON.stringify(text)} is read as ${tree}`, () =>
      assert.equal(shown(parseFilter(text).root), tree));
});

const refused = (text: string): string => {
  try {
    parseFilter(text);
  } catch (error) {
    assert.ok(isDbError(error, 'filter-invalid'), String(error));
    assert.ok(error.message.length < 200, 'the message does not repeat the input');
    return error.message;
  }
  return assert.fail('accepted');
};

const refusals: readonly (readonly [text: string, message: RegExp])[] = [
  ['', /^filter at offset 0: expected a field, a value or '\(', found the end$/],
  ['a == ', /^filter at offset 5: expected a field.*found the end/],
  ['a = 1', /^filter at offset 2: expected an operator or the end, found '=' \(equality is written '=='\)/],
  ['a == 1 b', /^filter at offset 7: expected an operator or the end, found 'b'/],
  ['(a == 1', /^filter at offset 7: expected '\)', found the end/],
  ['a ==\n 1 and\n  ]', /^filter at offset 14 \(line 3, column 3\): expected a field/],
  ['a in 5', /expected a list '\[…\]' or a template '\{…\}', found '5'/],
  ['a in [1, 2', /expected ',' or '\]', found the end/],
  ['a in [1 2]', /offset 8: expected ',' or '\]', found '2'/],
  ['a is 5', /expected 'null' or 'not null', found '5'/],
  ['a is not 5', /expected 'null', found '5'/],
  ['1 < a > 5', /offset 6: a range continues with '<' or '<=', not '>'/],
  ['1 < a < 5 < 9', /a range has two ends/],
  ['s == "abc', /offset 5: the string that starts here has no closing "/],
  ['s == "a\\q"', /'\\q' is not an escape/],
  ['s == "\\u12"', /'\\u' is not an escape/],
  ['a == 12abc', /'12a' is not a number/],
  ['a == 007', /without leading zeros/],
  ['a == 1e999', /too large for a Double/],
  ['a == 123456789012345678901', /does not fit Int64/],
  ['цвет == 1', /unexpected character 'ц'; write names outside ASCII as \$meta/],
  ['meta[1.5] == 1', /expected a key in quotes or an index, found '1.5'/],
  ['meta[-1] == 1', /expected a key in quotes or an index, found '-'/],
  ['a == {1}', /expected the name of a template variable/],
  ['and', /expected a field, a value or '\(', found 'and'/],
  ['a == @', /unexpected character '@'/],
];

describe('a filter that is no filter is refused with the place', () => {
  for (const [text, message] of refusals)
    test(JSON.stringify(text), () => assert.match(refused(text), message));
});

describe('hostile filters are refused, whatever their size', () => {
  const many = 10_000;
  const deep: Readonly<Record<string, string>> = {
    'nested parentheses': `${'('.repeat(many)}a == 1${')'.repeat(many)}`,
    'open parentheses': '('.repeat(1_000_000),
    'nested lists': `a in ${'['.repeat(many)}`,
    'a chain of not': `${'not '.repeat(many)}a`,
    'a chain of minus': `a == ${'-'.repeat(many)}1`,
    'a chain of plus signs': `a == ${'+'.repeat(many)}1`,
    'a long sum': `a == 1${' + 1'.repeat(many)}`,
    'a chain of powers': `a == 2${' ** 2'.repeat(many)}`,
    'a chain of equalities': `a${' == a'.repeat(many)}`,
    'nested calls': 'array_length('.repeat(many),
    'a path of many keys': `a${'[0]'.repeat(many)} == 1`,
    'sums inside sums': `${'('.repeat(300)}a${`${' + 1'.repeat(300)})`.repeat(300)} == 1`,
  };
  for (const [name, text] of Object.entries(deep))
    test(name, () => assert.match(refused(text), /nested deeper than 400 levels/));

  test('an integer of a million digits', () =>
    assert.match(refused(`a == ${'9'.repeat(1_000_000)}`), /does not fit/));
  test('a list of a million items', () =>
    assert.match(refused(`a in [${'1,'.repeat(1_000_000)}1]`), /at most 500000/));
  test('a million conditions', () =>
    assert.match(refused(`a${' or a==1'.repeat(900_000)}`), /more than 16384/));
  test('a text of nine megabytes', () => assert.match(refused(' '.repeat(9 * 2 ** 20)), /at most 8388608/));
  test('a word of a megabyte', () => assert.match(refused(`a == ${'x'.repeat(2 ** 20)} y`), /found 'y'/));
});

test('a string of a megabyte and a list of many keys are ordinary filters', () => {
  assert.equal(parseFilter(`a == "${'x'.repeat(2 ** 20)}"`).root.kind, 'compare');
  assert.equal(parseFilter(`a in [${'123456789,'.repeat(200_000)}]`).root.kind, 'in');
});

test('any text is a tree or a DbError', () => {
  const words = [
    'a',
    'not',
    'in',
    '(',
    ')',
    '[',
    ']',
    '{',
    '}',
    '"',
    "'",
    '\\',
    '1',
    '.5',
    '<',
    '==',
    'and',
    ',',
    'like',
    'is',
    'null',
    '-',
    '**',
    '$meta',
    '0x',
    'é',
    '\n',
  ];
  const text = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.array(fc.constantFrom(...words), { maxLength: 40 }).map((parts) => parts.join(' ')),
    fc.array(fc.constantFrom(...words), { maxLength: 40 }).map((parts) => parts.join('')),
  );
  fc.assert(
    fc.property(text, (filter) => {
      try {
        parseFilter(filter);
      } catch (error) {
        assert.ok(
          error instanceof DbError && ['filter-invalid', 'unimplemented'].includes(error.code),
          String(error),
        );
      }
    }),
    { numRuns: 3000, seed: 20 },
  );
});
