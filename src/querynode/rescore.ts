/** Scores that change after the search: boosts by filter, decays by a field. */
import { assert } from '../support/assert.ts';
import type { Boost, Boosts, Decay, SearchRequest } from './api.ts';
import { type FilterSource, type ReadyFilter, readyFilter, rowSource, settledSlice } from './filter.ts';
import type { Selection } from './order.ts';
import { boostedScore, decayFactor, randomShare, risingScore } from './rank.ts';
import type { ReadContext } from './reads.ts';
import { type Hit, seenKey } from './reduce.ts';
import { prepareMatches } from './text-matches.ts';
import { requireField, type UnitView } from './unit.ts';
import { type Scalar, valueReader } from './values.ts';
import type { NearestRows } from './vectors.ts';

const COST_PER_WORD = 300;
const COST_PER_HIT = 60;

interface ReadyBoost extends Boost {
  readonly ready: ReadyFilter | undefined;
}

export type Boosting = (selection: Selection, found: NearestRows) => Promise<NearestRows>;

/** Boosts for the candidates of one unit after another. */
export function boosting(context: ReadContext, boosts: Boosts, isLargerBetter: boolean): Boosting {
  const { filters, schema, workers } = context;
  const ready = boosts.boosts.map(
    (boost): ReadyBoost => ({
      ...boost,
      ready: boost.filter === undefined ? undefined : readyFilter(filters, boost.filter, schema, workers),
    }),
  );
  return async ({ view }, found) => {
    const weightsOf: ((row: number) => number | undefined)[] = [];
    for (const boost of ready) weightsOf.push(await weights(context, view, found.rows, boost));
    const scores = new Float32Array(found.rows.length);
    for (const [i, row] of found.rows.entries()) {
      const matching = weightsOf.map((weight) => weight(row)).filter((weight) => weight !== undefined);
      scores[i] = boostedScore(boosts, found.scores[i] ?? 0, matching);
    }
    await context.pacer.spend(scores.length * COST_PER_HIT);
    return resorted({ ...found, scores }, isLargerBetter);
  };
}

/** The weight of a row; undefined when it does not match. */
async function weights(
  context: ReadContext,
  view: UnitView,
  rows: Uint32Array,
  boost: ReadyBoost,
): Promise<(row: number) => number | undefined> {
  const matching = boost.ready === undefined ? undefined : await matches(context, view, rows, boost.ready);
  const share = boost.random === undefined ? undefined : randomOf(context, view, boost.random);
  return (row) => {
    if (matching !== undefined && (((matching[row >>> 5] ?? 0) >>> (row & 31)) & 1) === 0) return undefined;
    return share === undefined ? boost.weight : boost.weight * share(row);
  };
}

/** Of the rows those that match: only the words they stand in are looked at. */
async function matches(
  { pacer, workers }: ReadContext,
  view: UnitView,
  rows: Uint32Array,
  ready: ReadyFilter,
): Promise<Uint32Array> {
  const bits = new Uint32Array(view.live.length);
  if (ready.kind === 'keys') {
    for (let at = 0; at < ready.keys.count; at++)
      for (const row of view.unit.rowsOf(ready.keys.column, at))
        bits[row >>> 5] = (bits[row >>> 5] ?? 0) | (1 << (row & 31));
    return bits;
  }
  const source: FilterSource = rowSource(view, ready.schema);
  await prepareMatches(ready.filter.matches ?? [], view.unit, source, { pacer, workers });
  const within = new Uint32Array(view.live.length);
  const words = new Set<number>();
  for (const row of rows) {
    words.add(row >>> 5);
    within[row >>> 5] = (within[row >>> 5] ?? 0) | (1 << (row & 31));
  }
  const parts = { compiled: ready.compiled, source, within, rows: bits, pacer };
  for (const word of words)
    await settledSlice(parts, word * 32, Math.min(view.rowCount, word * 32 + 32), COST_PER_WORD);
  return bits;
}

function randomOf(
  { schema }: ReadContext,
  { unit }: UnitView,
  { seed, fieldId }: NonNullable<Boost['random']>,
): (row: number) => number {
  const { keys } = unit;
  if (fieldId === undefined) return (row) => randomShare(seed, numberOf(seenKey(keys, row)));
  const read = valueReader(unit, requireField(schema, fieldId));
  return (row) => {
    const value = read(row);
    assert(!(value instanceof Uint8Array), 'chance is drawn from numbers');
    return randomShare(seed, value === undefined ? 0n : numberOf(value));
  };
}

/** Any number: equal ones for equal values. */
function numberOf(value: string | number | bigint): bigint {
  if (typeof value === 'bigint') return value;
  if (typeof value === 'number') return intBits(value);
  let hash = 0xcbf29ce484222325n;
  for (let i = 0; i < value.length; i++)
    hash = BigInt.asUintN(64, (hash ^ BigInt(value.charCodeAt(i))) * 0x100000001b3n);
  return hash;
}

const intBits = (value: number): bigint =>
  Number.isSafeInteger(value) ? BigInt(value) : (new BigUint64Array(Float64Array.of(value).buffer)[0] ?? 0n);

/** The hits of each query, best first by their new scores. */
function resorted(found: NearestRows, isLargerBetter: boolean): NearestRows {
  const sign = isLargerBetter ? -1 : 1;
  const { counts, rows, scores, elements } = found;
  const order = Uint32Array.from(rows, (_, i) => i);
  let from = 0;
  for (const count of counts) {
    order.subarray(from, from + count).sort((a, b) => sign * ((scores[a] ?? 0) - (scores[b] ?? 0)) || a - b);
    from += count;
  }
  return {
    counts,
    rows: order.map((i) => rows[i] ?? 0),
    scores: Float32Array.from(order, (i) => scores[i] ?? 0),
    ...(elements === undefined ? {} : { elements: order.map((i) => elements[i] ?? 0) }),
  };
}

/** The factor of a hit. */
export function decayOf(context: ReadContext, decay: Decay): (hit: Hit) => number {
  const field = requireField(context.schema, decay.fieldId);
  const readers = context.views.map(({ unit }) => valueReader(unit, field));
  return ({ unit, row }) => decayFactor(decay, plainNumber(readers[unit]?.(row)));
}

function plainNumber(value: Scalar | undefined): number | undefined {
  assert(!(value instanceof Uint8Array), 'a decay needs a numeric field');
  return value === undefined ? undefined : Number(value);
}

/** The hits by their scores times the factors, the largest first; of equal ones the one that was nearer. */
export function decayed(
  context: ReadContext,
  decays: readonly Decay[],
  metric: SearchRequest['metric'],
  hits: readonly Hit[],
): readonly Hit[] {
  const [first] = decays;
  if (first === undefined) return hits;
  const factors = decays.map((decay) => decayOf(context, decay));
  return hits
    .map((hit) => {
      const rising = risingScore(metric, hit.score, first.isNormalized);
      return { ...hit, score: factors.reduce((score, factor) => score * factor(hit), rising) };
    })
    .sort((a, b) => b.score - a.score);
}
