/** The tests of a filter, tied to one block of rows. Each answers false, true or unknown. */
import type { FieldId } from '../model/ids.ts';
import { unreachable } from '../support/assert.ts';
import { type Answer, NO, type RowTest, UNKNOWN, YES } from './answer.ts';
import { containsLeaf, sameLeaf } from './contains.ts';
import { compareNumbers, compareOrder, mirrored, numberKey } from './fold.ts';
import { boxTest } from './geometry-leaf.ts';
import { itemsTest } from './items-leaf.ts';
import { ABSENT, ARRAY, isHollow, OBJECT, TEXT } from './json-column.ts';
import { likeTest } from './like.ts';
import { matchTest } from './match-leaf.ts';
import { OpenAnswers, type OpenTest } from './open-answers.ts';
import type { GeometryTest, JsonPath, Leaf, Literal, Scalar, Value } from './predicate.ts';
import { MAX_STEPS_AT_ONCE, regexTest, regexWeight } from './regex.ts';
import type { CompareOp } from './syntax.ts';
import { compareBytes, equalBytes, memberTest, type TextDictionary, type TextTest, utf8 } from './text.ts';
import { type Binder, fieldReader, type RowScalar, readerOf } from './values.ts';

/** A test tied to a block. */
export interface BoundLeaf {
  readonly test: RowTest;
  /** Present when answers may stay open. */
  readonly open?: OpenAnswers;
  /** A test of dictionary codes, for generated code: row `i` passes when `table.hits[codes[i]]` is 1. */
  readonly coded?: {
    readonly codes: Uint32Array;
    readonly table: HitTable;
    readonly valid: Uint8Array | undefined;
  };
}

/** Which entries of a dictionary pass a test; every entry is tested once. */
export class HitTable {
  hits = new Uint8Array(64);
  readonly #dictionary: TextDictionary;
  readonly #test: TextTest;
  #tested = 0;

  constructor(dictionary: TextDictionary, test: TextTest) {
    this.#dictionary = dictionary;
    this.#test = test;
  }

  prepare(_to: number): boolean {
    const { data, offsets, size } = this.#dictionary;
    if (this.#tested === size) return false;
    if (size > this.hits.length) {
      const larger = new Uint8Array(Math.max(size, this.hits.length * 2));
      larger.set(this.hits);
      this.hits = larger;
    }
    for (; this.#tested < size; this.#tested++)
      if (this.#test(data, offsets[this.#tested] as number, offsets[this.#tested + 1] as number))
        this.hits[this.#tested] = 1;
    return true;
  }
}

/** The test of `leaf` over the block of `binder`. */
export function bindLeaf(binder: Binder, leaf: Leaf): BoundLeaf {
  switch (leaf.kind) {
    case 'compare':
      return compareLeaf(binder, leaf.op, leaf.left, leaf.right);
    case 'in':
      return memberLeaf(binder, leaf.value, leaf.list);
    case 'like':
      return textLeaf(binder, leaf.value, likeTest(leaf.pattern));
    case 'regex':
      return regexLeaf(binder, leaf);
    case 'contains':
      return { test: containsLeaf(binder, leaf) };
    case 'match':
      return { test: matchTest(binder, leaf) };
    case 'same':
      return { test: sameLeaf(binder, leaf) };
    case 'items':
      return { test: itemsTest(binder, leaf) };
    case 'geometry':
      return geometryLeaf(binder, leaf);
    case 'null':
      return { test: nullTest(binder, leaf.value) };
    default:
      return unreachable(leaf);
  }
}

function compareLeaf(binder: Binder, op: CompareOp, left: Value, right: Value): BoundLeaf {
  if (right.kind === 'text') return textLeaf(binder, left, orderTest(op, right));
  if (left.kind === 'text') return textLeaf(binder, right, orderTest(mirrored[op], left));
  const a = readerOf(binder, left);
  const b = readerOf(binder, right);
  return {
    test: (row) => {
      const x = a(row);
      const y = b(row);
      return x === undefined || y === undefined ? UNKNOWN : compareScalars(op, x, y);
    },
  };
}

const answer = (yes: boolean): Answer => (yes ? YES : NO);

function compareScalars(op: CompareOp, a: RowScalar, b: RowScalar): Answer {
  if (isNumber(a) && isNumber(b)) return answer(compareNumbers(op, a, b));
  if (typeof a === 'boolean' && typeof b === 'boolean') return answer((a === b) === (op === '=='));
  if (typeof a === 'object' && typeof b === 'object') return answer(compareOrder(op, compareBytes(a, b)));
  return UNKNOWN;
}

const isNumber = (value: RowScalar): value is number | bigint =>
  typeof value === 'number' || typeof value === 'bigint';

function orderTest(op: CompareOp, { value }: Extract<Literal, { kind: 'text' }>): TextTest {
  const wanted = utf8(value);
  if (op === '==' || op === '!=') {
    const isEqual = op === '==';
    return (data, start, end) => equalBytes(data, start, end, wanted) === isEqual;
  }
  return (data, start, end) => compareOrder(op, compareBytes(data, wanted, 0, wanted.length, start, end));
}

function geometryLeaf(binder: Binder, leaf: GeometryTest): BoundLeaf {
  const { columns } = binder;
  const { op, wkb, distance } = leaf;
  const constant = {
    op,
    ...(wkb === undefined ? {} : { constant: wkb }),
    ...(distance === undefined ? {} : { distance }),
  };
  return openLeaf(binder, {
    read: fieldReader(columns, { kind: 'field', type: 'text', fieldId: leaf.fieldId }) as OpenTest['read'],
    decide: binder.once(leaf, () => boxTest(leaf)),
    ask: (batch, signal) => binder.slow.geometries({ ...constant, ...batch }, signal),
  });
}

function openLeaf(binder: Binder, test: OpenTest): BoundLeaf {
  const open = new OpenAnswers(binder.columns.rowCount, test);
  return { open, test: (row) => open.answer(row) };
}

/** As Milvus has it, what is no string at a JSON path does not match for certain, so that `!~` takes it. */
function regexLeaf(binder: Binder, leaf: Extract<Leaf, { kind: 'regex' }>): BoundLeaf {
  const { value, pattern } = leaf;
  const test = binder.once(leaf, () => regexTest(pattern));
  const bound = isLong(binder, value, regexWeight(pattern))
    ? longRegexLeaf(binder, leaf, test)
    : textLeaf(binder, value, test);
  if (value.kind !== 'json') return bound;
  const known = bound.test;
  return {
    ...bound,
    test: (row) => {
      const found = known(row);
      return found === UNKNOWN ? NO : found;
    },
  };
}

/** Whether some text of the block may take too long to be matched at once. */
function isLong({ columns, isInner }: Binder, value: Value, weight: number): boolean {
  if (isInner) return false;
  if (value.kind === 'element') {
    const { items } = columns.list(value.fieldId);
    return items.layout === 'bytes' && longestOf(items) * weight > MAX_STEPS_AT_ONCE;
  }
  if (value.kind !== 'field' && value.kind !== 'json') return false;
  return longestOf(columns.bytes(value.fieldId)) * weight > MAX_STEPS_AT_ONCE;
}

function longestOf({ offsets }: { readonly offsets: Uint32Array }): number {
  let longest = 0;
  for (let i = 1; i < offsets.length; i++)
    longest = Math.max(longest, (offsets[i] as number) - (offsets[i - 1] as number));
  return longest;
}

function longRegexLeaf(
  binder: Binder,
  { value, pattern }: Extract<Leaf, { kind: 'regex' }>,
  test: TextTest,
): BoundLeaf {
  const weight = regexWeight(pattern);
  const read = readerOf(binder, value);
  return openLeaf(binder, {
    read: (row) => {
      const text = read(row);
      return text instanceof Uint8Array ? text : undefined;
    },
    decide: (text) =>
      text.length * weight > MAX_STEPS_AT_ONCE ? undefined : answer(test(text, 0, text.length)),
    ask: (batch, signal) => binder.slow.texts({ pattern, ...batch }, signal),
  });
}

/** Tests the text of a field, an element or a JSON path; other JSON values are unknown. */
function textLeaf(binder: Binder, value: Value, test: TextTest): BoundLeaf {
  if (value.kind === 'json') {
    const { values } = binder.needs(binder.columns.json(value));
    const table = binder.needs(new HitTable(values.texts, test));
    return { test: (row) => jsonTextAnswer(values.kinds[row] as number, table, values.codes[row] as number) };
  }
  if (value.kind === 'field') return fieldTextLeaf(binder, value.fieldId, test);
  const read = readerOf(binder, value);
  return {
    test: (row) => {
      const text = read(row);
      return text instanceof Uint8Array ? answer(test(text, 0, text.length)) : UNKNOWN;
    },
  };
}

function fieldTextLeaf(binder: Binder, fieldId: FieldId, test: TextTest): BoundLeaf {
  const valid = binder.columns.valid(fieldId);
  const coded = binder.columns.codedText(fieldId);
  if (coded === undefined) {
    const { data, offsets } = binder.columns.bytes(fieldId);
    return {
      test: (row) =>
        valid?.[row] === 0 ? UNKNOWN : answer(test(data, offsets[row] as number, offsets[row + 1] as number)),
    };
  }
  const { codes, dictionary } = binder.needs(coded);
  const table = binder.needs(new HitTable(dictionary, test));
  return {
    coded: { codes, table, valid },
    test: (row) => (valid?.[row] === 0 ? UNKNOWN : (table.hits[codes[row] as number] as Answer)),
  };
}

const jsonTextAnswer = (kind: number, table: HitTable, code: number): Answer =>
  kind === TEXT ? (table.hits[code] as Answer) : UNKNOWN;

/** A list as sets, made once for all blocks. */
export interface Members {
  readonly numbers: ReadonlySet<number | bigint>;
  readonly texts: readonly string[];
  readonly isText: TextTest;
  readonly bools: ReadonlySet<boolean>;
}

/** The sets of `list`. */
export const membersOf = (binder: Binder, list: readonly Scalar[]): Members =>
  binder.once(list, () => {
    const texts: string[] = [];
    const numbers = new Set<number | bigint>();
    const bools = new Set<boolean>();
    for (const item of list) {
      if (typeof item === 'string') texts.push(item);
      else if (typeof item === 'boolean') bools.add(item);
      else numbers.add(numberKey(item));
    }
    return { numbers, texts, isText: memberTest(texts), bools };
  });

/**
 * A JSON value of a type that no item of the list has is unknown, as when it is compared with one; a list without items holds
 * nothing for certain.
 */
function memberLeaf(binder: Binder, value: Value, list: readonly Scalar[]): BoundLeaf {
  const { numbers, texts, isText, bools } = membersOf(binder, list);
  if (texts.length > 0 && texts.length === list.length) return textLeaf(binder, value, isText);
  const isTyped = !('type' in value) || value.type !== 'json' || list.length === 0;
  const read = readerOf(binder, value);
  const hit = (yes: boolean, listHasType: boolean): Answer =>
    yes ? YES : isTyped || listHasType ? NO : UNKNOWN;
  return {
    test: (row) => {
      const scalar = read(row);
      if (scalar === undefined) return UNKNOWN;
      if (typeof scalar === 'boolean') return hit(bools.has(scalar), bools.size > 0);
      if (typeof scalar === 'object') return hit(isText(scalar, 0, scalar.length), texts.length > 0);
      return hit(numbers.has(numberKey(scalar)), numbers.size > 0);
    },
  };
}

function nullTest(
  binder: Binder,
  value: { readonly kind: 'column'; readonly fieldId: FieldId } | JsonPath,
): RowTest {
  if (value.kind === 'column') {
    const valid = binder.columns.valid(value.fieldId);
    return valid === undefined ? () => NO : (row) => answer(valid[row] === 0);
  }
  const { values } = binder.needs(binder.columns.json(value));
  const hollow = binder.needs(
    new HitTable(values.texts, (data, start, end) => isHollowText(data.subarray(start, end))),
  );
  return (row) => {
    const kind = values.kinds[row];
    if (kind === ARRAY || kind === OBJECT) return hollow.hits[values.codes[row] as number] as Answer;
    return answer(kind === ABSENT);
  };
}

const isHollowText = (json: Uint8Array): boolean => {
  const first = String.fromCharCode(json[0] ?? 0);
  return (first === '[' || first === '{') && isHollow(Buffer.from(json).toString());
};
