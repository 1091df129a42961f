/** Pure: the scores of rankers. */
import { isSmallerBetter, type MetricType } from '../model/metric.ts';
import type { Boosts, Decay, Fusion } from './api.ts';

const half = (x: number): number => (2 * Math.atan(x)) / Math.PI;

/** A score from 0 to 1, the larger the better, whatever the metric. */
export function normalizedScore(metric: MetricType, score: number): number {
  if (isSmallerBetter(metric)) return 1 - half(score);
  if (metric === 'COSINE') return (1 + score) / 2;
  if (metric === 'BM25') return half(score);
  return 0.5 + half(score) / 2;
}

/** A score of which the larger is the better: distances have to be turned round, similarities stay what they are. */
export const risingScore = (metric: MetricType, score: number, isNormalized: boolean): number =>
  isNormalized || isSmallerBetter(metric) ? normalizedScore(metric, score) : score;

/** The share of a score that is left for a value of the field. Null: nothing. */
export function decayFactor(
  { curve, origin, scale, offset, decay }: Decay,
  value: number | undefined,
): number {
  if (value === undefined || Number.isNaN(value)) return 0;
  const distance = Math.max(0, Math.abs(value - origin) - offset);
  if (curve === 'linear') {
    const end = scale / (1 - decay);
    return Math.max(0, (end - distance) / end);
  }
  const steps = distance / scale;
  return decay ** (curve === 'gauss' ? steps * steps : steps);
}

/** `weights`: of the boosts that match the row. */
export function boostedScore(
  { functionMode, boostMode }: Boosts,
  score: number,
  weights: readonly number[],
): number {
  if (weights.length === 0) return score;
  const one = weights.reduce((all, weight) => (functionMode === 'sum' ? all + weight : all * weight));
  return boostMode === 'sum' ? score + one : score * one;
}

/** From 0, included, to 1: a function of its two arguments. Source: the finalizer of Stafford's mix 13 (SplitMix64). */
export function randomShare(seed: bigint, value: bigint): number {
  let x = BigInt.asUintN(64, seed * 0x9e3779b97f4a7c15n + value);
  x = BigInt.asUintN(64, (x ^ (x >> 30n)) * 0xbf58476d1ce4e5b9n);
  x = BigInt.asUintN(64, (x ^ (x >> 27n)) * 0x94d049bb133111ebn);
  x ^= x >> 31n;
  return Number(x >> 11n) / 2 ** 53;
}

/** The hits of one search, best first. */
export interface RankedList<Key> {
  readonly keys: readonly Key[];
  readonly scores: ArrayLike<number>;
  readonly metric: MetricType;
}

export interface Fused {
  readonly score: number;
  /** Where it stands first: the list and the place in it. */
  readonly list: number;
  readonly at: number;
}

/**
 * Every key of the lists once, with its score; in no order. A key counts once in a list. RRF: the sum of `1 / (k + rank)`, ranks from 1.
 * Weighted: the sum of weight times score. Decay: only the merge of the scores.
 */
export function fuse<Key>(lists: readonly RankedList<Key>[], fusion: Fusion): Fused[] {
  const fused = new Map<Key, { list: number; at: number; scores: number[] }>();
  for (const [list, { keys, scores, metric }] of lists.entries()) {
    const seen = new Set<Key>();
    for (const [at, key] of keys.entries()) {
      if (seen.has(key)) continue;
      seen.add(key);
      const score = partScore(fusion, list, { metric, score: scores[at] ?? 0, rank: at + 1 });
      const known = fused.get(key);
      if (known === undefined) fused.set(key, { list, at, scores: [score] });
      else known.scores.push(score);
    }
  }
  const merge = fusion.kind === 'decay' ? fusion.merge : 'sum';
  return Array.from(fused.values(), ({ list, at, scores }) => ({ list, at, score: merged(scores, merge) }));
}

interface Part {
  readonly metric: MetricType;
  readonly score: number;
  readonly rank: number;
}

function partScore(fusion: Fusion, list: number, { metric, score, rank }: Part): number {
  if (fusion.kind === 'rrf') return 1 / (fusion.k + rank);
  const rising = risingScore(metric, score, fusion.isNormalized);
  return fusion.kind === 'decay' ? rising : rising * (fusion.weights[list] ?? 0);
}

export function merged(scores: readonly number[], how: 'max' | 'sum' | 'avg'): number {
  if (how === 'max') return scores.reduce((best, score) => Math.max(best, score), Number.NEGATIVE_INFINITY);
  const sum = scores.reduce((all, score) => all + score, 0);
  return how === 'sum' ? sum : sum / scores.length;
}
