/** Answers leaves of filters without looking at every row. An answer is exactly what testing each row would give. */
import { isSamePlace } from '../expr/cast-texts.ts';
import { mirrored } from '../expr/fold.ts';
import { likePrefix, likeTest, likeWeight } from '../expr/like.ts';
import type { Constant, JsonPath, Leaf, Scalar, Value } from '../expr/predicate.ts';
import type { CompareOp } from '../expr/syntax.ts';
import { allRows, without, wordsFor } from './bits.ts';
import { Boxes } from './boxes.ts';
import { buffersOf, type ScalarIndexData, type SortedIndexData } from './definition.ts';
import type { Paced } from './paced.ts';
import { addRun, type Run } from './postings.ts';
import { bound, findKey, keyCount, prefixEnd, runOf, type Wanted, wantedOf } from './search-keys.ts';

export interface IndexAnswer {
  readonly rows: Uint32Array;
  /** False: other rows do not pass, but of these each has to be tested. */
  readonly isExact: boolean;
}

/** An index of one segment. */
export class ScalarIndex {
  readonly bytes: number;
  readonly #data: ScalarIndexData;
  readonly #boxes: Boxes | undefined;

  constructor(data: ScalarIndexData) {
    this.#data = data;
    this.#boxes = data.kind === 'boxes' ? new Boxes(data) : undefined;
    this.bytes = buffersOf(data).reduce((sum, { byteLength }) => sum + byteLength, 0);
  }

  /** The rows of which the leaf is true, or, negated, false: not those of which it is unknown. Undefined: not a leaf for this index. */
  async answer(leaf: Leaf, negated: boolean, paced: Paced): Promise<IndexAnswer | undefined> {
    const data = this.#data;
    if (data.kind === 'none') return undefined;
    if (leaf.kind === 'null') {
      if (!isNullTestOf(data, leaf.value)) return undefined;
      const { nulls } = data;
      return { rows: negated ? without(allRows(rowCountOf(data)), nulls) : nulls, isExact: true };
    }
    if (data.kind === 'boxes') return this.#candidates(data.fieldId, leaf, negated, paced);
    const rows = await trueRows(data, leaf, paced);
    if (rows === undefined) return undefined;
    return { rows: negated ? without(data.known, rows) : rows, isExact: true };
  }

  async #candidates(fieldId: number, leaf: Leaf, negated: boolean, paced: Paced) {
    if (leaf.kind !== 'geometry' || leaf.fieldId !== fieldId || negated) return undefined;
    const rows = await this.#boxes?.candidates(leaf, paced);
    return rows && { rows, isExact: false };
  }
}

const rowCountOf = (data: Exclude<ScalarIndexData, { kind: 'none' }>): number =>
  data.kind === 'boxes' ? data.rowCount : data.postings.rowCount;

function isNullTestOf(
  data: Exclude<ScalarIndexData, { kind: 'none' }>,
  value: Extract<Leaf, { kind: 'null' }>['value'],
): boolean {
  const path = data.kind === 'sorted' ? data.path : undefined;
  if (value.kind === 'column') return path === undefined && value.fieldId === data.fieldId;
  return path !== undefined && isSamePlace(path, value);
}

/** And read alike. */
const isSamePath = (a: JsonPath, b: JsonPath): boolean => isSamePlace(a, b) && a.asNumber === b.asNumber;

/** Whether it is the value, or the array, that is indexed. */
function isIndexed(
  { fieldId, path }: SortedIndexData,
  value: Value | Extract<Leaf, { kind: 'contains' }>['array'],
): boolean {
  if (value.kind === 'json') return path !== undefined && isSamePath(path, value);
  return (
    (value.kind === 'field' || value.kind === 'array') && path === undefined && value.fieldId === fieldId
  );
}

function trueRows(
  data: SortedIndexData,
  leaf: Leaf,
  paced: Paced,
): Promise<Uint32Array | undefined> | undefined {
  if (leaf.kind === 'contains')
    return data.ofItems && isIndexed(data, leaf.array) ? containing(data, leaf, paced) : undefined;
  if (data.ofItems) return undefined;
  if (leaf.kind === 'compare') return comparing(data, leaf, paced);
  if (leaf.kind === 'in') return isIndexed(data, leaf.value) ? among(data, leaf.list, paced) : undefined;
  if (leaf.kind === 'like') return isIndexed(data, leaf.value) ? like(data, leaf.pattern, paced) : undefined;
  return undefined;
}

async function comparing(
  data: SortedIndexData,
  { op, left, right }: Extract<Leaf, { kind: 'compare' }>,
  paced: Paced,
): Promise<Uint32Array | undefined> {
  if (isIndexed(data, right) && 'value' in left) return compared(data, mirrored[op], left.value, paced);
  if (isIndexed(data, left) && 'value' in right) return compared(data, op, right.value, paced);
  return undefined;
}

async function compared(
  data: SortedIndexData,
  op: CompareOp,
  constant: Scalar,
  paced: Paced,
): Promise<Uint32Array | undefined> {
  const { keys, known } = data;
  const wanted = wantedOf(keys, constant);
  if (wanted === undefined || (keys.kind === 'bool' && op !== '==' && op !== '!=')) return undefined;
  if (op === '!=') return without(known, await rowsOf(data, [equal(data, wanted)], paced));
  return rowsOf(data, [rangeOf(data, op, wanted)], paced);
}

function rangeOf(data: SortedIndexData, op: Exclude<CompareOp, '!='>, wanted: Wanted): Run {
  const { keys } = data;
  switch (op) {
    case '==':
      return equal(data, wanted);
    case '<':
      return runOf(keys, 0, bound(keys, wanted, false));
    case '<=':
      return runOf(keys, 0, bound(keys, wanted, true));
    case '>':
      return runOf(keys, bound(keys, wanted, true), keyCount(keys));
    case '>=':
      return runOf(keys, bound(keys, wanted, false), keyCount(keys));
  }
}

const NOWHERE: Run = { from: 0, to: 0 };

function equal({ keys }: SortedIndexData, wanted: Wanted): Run {
  const key = findKey(keys, wanted);
  return key < 0 ? NOWHERE : runOf(keys, key, key + 1);
}

async function rowsOf(
  { postings }: SortedIndexData,
  runs: readonly Run[],
  paced: Paced,
): Promise<Uint32Array<ArrayBuffer>> {
  const words = new Uint32Array(wordsFor(postings.rowCount));
  for (const run of runs) {
    // A list may have very many runs of one row: no promise for each.
    const pause = run.to > run.from ? addRun(postings, run, words, paced) : undefined;
    if (pause !== undefined) await pause;
  }
  return words;
}

const SEARCHES_PER_PAUSE = 64;
const COST_PER_SEARCH = 300;
/** Longer lists are looked up faster row by row. */
const MAX_LIST_SHARE = 0.1;
const MIN_LIST = 64;

/** The runs of the constants, each once; undefined when one is not of the type of the keys, or they are too many. */
async function runsOf(
  data: SortedIndexData,
  constants: readonly Constant[],
  paced: Paced,
): Promise<readonly Run[] | undefined> {
  if (constants.length > Math.max(MIN_LIST, data.postings.rowCount * MAX_LIST_SHARE)) return undefined;
  const runs = new Map<number, Run>();
  for (const [i, constant] of constants.entries()) {
    const wanted = typeof constant === 'object' ? undefined : wantedOf(data.keys, constant);
    if (wanted === undefined) return undefined;
    const run = equal(data, wanted);
    runs.set(run === NOWHERE ? -1 : run.from, run);
    if (i % SEARCHES_PER_PAUSE === 0) await paced(SEARCHES_PER_PAUSE * COST_PER_SEARCH);
  }
  return [...runs.values()];
}

async function among(
  data: SortedIndexData,
  list: readonly Scalar[],
  paced: Paced,
): Promise<Uint32Array | undefined> {
  // Of an empty list every scalar at a JSON path is known not to be in it, whatever its type.
  if (list.length === 0 && data.path !== undefined) return undefined;
  const runs = await runsOf(data, list, paced);
  return runs && rowsOf(data, runs, paced);
}

async function containing(
  data: SortedIndexData,
  { mode, list }: Extract<Leaf, { kind: 'contains' }>,
  paced: Paced,
): Promise<Uint32Array | undefined> {
  const runs = await runsOf(data, list, paced);
  if (runs === undefined || mode === 'any') return runs && rowsOf(data, runs, paced);
  const all = data.known.slice();
  for (const run of runs) {
    const some = await rowsOf(data, [run], paced);
    for (let i = 0; i < all.length; i++) all[i] = (all[i] as number) & (some[i] as number);
  }
  return all;
}

/** Testing more keys than this share of the rows is not worth it when other parts of the filter may leave few rows to test. */
const MAX_KEYS_SHARE = 0.25;
const COST_PER_KEY = 20;
const STEPS_PER_UNIT = 4;
const UNITS_PER_PAUSE = 10_000;

async function like(data: SortedIndexData, pattern: string, paced: Paced): Promise<Uint32Array | undefined> {
  const { keys, postings } = data;
  if (keys.kind !== 'text') return undefined;
  const { prefix, rest } = likePrefix(pattern);
  if (rest === 'nothing') return rowsOf(data, [equal(data, prefix)], paced);
  const first = bound(keys, prefix, false);
  const end = Math.max(first, prefixEnd(keys, prefix));
  if (rest === 'anything') return rowsOf(data, [runOf(keys, first, end)], paced);
  if (end - first > postings.rowCount * MAX_KEYS_SHARE) return undefined;
  const test = likeTest(pattern);
  const weight = likeWeight(pattern);
  const runs: Run[] = [];
  let units = 0;
  for (let key = first; key < end; key++) {
    const [from = 0, to = 0] = [keys.offsets[key], keys.offsets[key + 1]];
    if (test(keys.data, from, to)) runs.push(runOf(keys, key, key + 1));
    units += COST_PER_KEY + ((to - from) * weight) / STEPS_PER_UNIT;
    if (units < UNITS_PER_PAUSE) continue;
    await paced(units);
    units = 0;
  }
  return rowsOf(data, runs, paced);
}
