/** The tests of a filter, tied to one block of rows. Each answers false, true or unknown. */
import type { FieldId } from '../model/ids.ts';
import { unreachable } from '../support/assert.ts';
import { type Answer, NO, type RowTest, UNKNOWN, YES } from './answer.ts';
import { containsLeaf } from './contains.ts';
import { compareNumbers, compareOrder, mirrored, numberKey } from './fold.ts';
import { ABSENT, ARRAY, isHollow, OBJECT, TEXT } from './json-column.ts';
import { likeTest } from './like.ts';
import { matchTest } from './match-leaf.ts';
import type { JsonPath, Leaf, Literal, Scalar, Value } from './predicate.ts';
import type { CompareOp } from './syntax.ts';
import { compareBytes, equalBytes, memberTest, type TextDictionary, type TextTest, utf8 } from './text.ts';
import { type Binder, type RowScalar, readerOf } from './values.ts';

/** A test tied to a block. */
export interface BoundLeaf {
  readonly test: RowTest;
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

  prepare(_to: number): void {
    const { data, offsets, size } = this.#dictionary;
    if (size > this.hits.length) {
      const larger = new Uint8Array(Math.max(size, this.hits.length * 2));
      larger.set(this.hits);
      this.hits = larger;
    }
    for (; this.#tested < size; this.#tested++)
      if (this.#test(data, offsets[this.#tested] as number, offsets[this.#tested + 1] as number))
        this.hits[this.#tested] = 1;
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
    case 'contains':
      return { test: containsLeaf(binder, leaf) };
    case 'match':
      return { test: matchTest(binder, leaf) };
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
