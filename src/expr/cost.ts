/** Pure: what the tests of a filter cost, so that a search can choose when to make them. Units of ten nanoseconds, measured in bench/filter-ways.ts. */
import type { FieldId } from '../model/ids.ts';
import { likeWeight } from './like.ts';
import type { ArrayField, JsonPath, Leaf, Predicate, Value } from './predicate.ts';
import { regexWeight } from './regex.ts';

/** Of one row. */
export interface TestCost {
  /** When nothing of its block has been looked at yet. */
  readonly first: number;
  /** Later, when what stays with the block has been made. */
  readonly again: number;
  /** What stays: filters with the same find it. Empty: nothing does. */
  readonly kept: readonly string[];
}

/** Bytes, or items, of a field in a row. */
type SizeOf = (fieldId: FieldId) => number;

const VALUE = 0.3;
const TEXT = 2;
const JSON_VALUE = 10;
const JSON_BYTE = 0.25;
const ITEM = 5;
const LIKE_BYTE = 0.4;
const REGEX = 20;
/** A byte, by the size of the program, up to the size from which only rare texts need more. */
const REGEX_STEP = 0.02;
const REGEX_STEPS = 40;
const GEOMETRY = 20;
const GEOMETRY_BYTE = 1;
const CALENDAR = 60;
/** A byte that an analyzer reads. */
const ANALYZED_BYTE = 4;

const fixed = (cost: number): TestCost => ({ first: cost, again: cost, kept: [] });
const sum = (costs: readonly TestCost[]): TestCost => ({
  first: costs.reduce((all, { first }) => all + first, 0),
  again: costs.reduce((all, { again }) => all + again, 0),
  kept: [...new Set(costs.flatMap(({ kept }) => kept))].sort(),
});

/** The cost of testing the predicate on a row with fields of these sizes. */
export function testCost(root: Predicate, sizeOf: SizeOf): TestCost {
  switch (root.kind) {
    case 'always':
      return fixed(0);
    case 'not':
      return testCost(root.item, sizeOf);
    case 'and':
    case 'or':
      return sum(root.items.map((item) => testCost(item, sizeOf)));
    default:
      return leafCost(root, sizeOf);
  }
}

function leafCost(leaf: Leaf, sizeOf: SizeOf): TestCost {
  switch (leaf.kind) {
    case 'compare':
      return sum([valueCost(leaf.left, sizeOf), valueCost(leaf.right, sizeOf)]);
    case 'in':
    case 'same':
      return valueCost(leaf.value, sizeOf);
    case 'like':
      return patternCost(leaf.value, sizeOf, LIKE_BYTE * likeWeight(leaf.pattern));
    case 'regex': {
      const perByte = REGEX_STEP * Math.min(REGEX_STEPS, regexWeight(leaf.pattern));
      return sum([fixed(REGEX), patternCost(leaf.value, sizeOf, perByte)]);
    }
    case 'geometry':
      return fixed(GEOMETRY + GEOMETRY_BYTE * sizeOf(leaf.fieldId));
    case 'items': {
      const { first } = testCost(leaf.item, () => 1);
      return fixed((ITEM + first) * sizeOf(leaf.fieldId));
    }
    case 'contains':
      return sum([arrayCost(leaf.array, sizeOf), fixed(leaf.list.length)]);
    case 'match':
      return {
        first: ANALYZED_BYTE * sizeOf(leaf.fieldId),
        again: VALUE,
        kept: [`match/${leaf.fieldId}`],
      };
    case 'null':
      return leaf.value.kind === 'json' ? valueCost(leaf.value, sizeOf) : fixed(VALUE);
  }
}

const patternCost = (value: Value, sizeOf: SizeOf, perByte: number): TestCost =>
  sum([valueCost(value, sizeOf), fixed(perByte * (value.kind === 'field' ? sizeOf(value.fieldId) : 8))]);

const arrayCost = (array: ArrayField | JsonPath, sizeOf: SizeOf): TestCost =>
  array.kind === 'json' ? valueCost(array, sizeOf) : fixed(ITEM * sizeOf(array.fieldId));

function valueCost(value: Value, sizeOf: SizeOf): TestCost {
  switch (value.kind) {
    case 'field':
      return value.type === 'text' ? fixed(TEXT) : fixed(VALUE);
    case 'element':
      return fixed(TEXT);
    case 'json':
      return {
        first: JSON_VALUE + JSON_BYTE * sizeOf(value.fieldId),
        again: TEXT,
        kept: [`json/${value.fieldId}/${value.keys.join('/')}${value.asNumber === true ? '/number' : ''}`],
      };
    case 'length':
      return value.of.kind === 'json' ? valueCost(value.of, sizeOf) : fixed(VALUE);
    case 'arithmetic':
      return sum([valueCost(value.left, sizeOf), valueCost(value.right, sizeOf), fixed(VALUE)]);
    case 'moved':
      return sum([valueCost(value.of, sizeOf), fixed(value.months === 0 ? VALUE : CALENDAR)]);
    default:
      return fixed(0);
  }
}
