/** Hits of several queries, and how partial ones become one answer. */

import type { MetricType } from '../model/metric.ts';
import { assert } from '../support/assert.ts';
import { compareScores } from './metric.ts';

/** Queries one after another, best first, `counts[q]` hits for query `q`; equal scores in row order. */
export interface TopK {
  readonly counts: Uint32Array;
  readonly rows: Uint32Array;
  readonly scores: Float32Array;
}

export interface MergedTopK extends TopK {
  /** Which of the merged parts each hit is from. */
  readonly parts: Uint32Array;
}

/** Best `k` per query over `parts` of the same queries (slices of one segment, or segments). Equal scores keep the order of the parts. */
export function mergeTopK(metric: MetricType, k: number, parts: readonly TopK[]): MergedTopK {
  const queryCount = parts[0]?.counts.length ?? 0;
  assert(
    parts.every((part) => part.counts.length === queryCount),
    'parts answer the same queries',
  );
  const counts = new Uint32Array(queryCount);
  for (let q = 0; q < queryCount; q++)
    counts[q] = Math.min(
      k,
      parts.reduce((sum, part) => sum + (part.counts[q] ?? 0), 0),
    );
  const total = counts.reduce((sum, count) => sum + count, 0);
  const merged = {
    counts,
    rows: new Uint32Array(total),
    scores: new Float32Array(total),
    parts: new Uint32Array(total),
  };
  const next = new Uint32Array(parts.length);
  const ends = new Uint32Array(parts.length);
  let at = 0;
  for (let q = 0; q < queryCount; q++) {
    parts.forEach((part, p) => {
      next[p] = ends[p] ?? 0;
      ends[p] = (next[p] ?? 0) + (part.counts[q] ?? 0);
    });
    for (let i = 0; i < (counts[q] ?? 0); i++) takeBest(metric, parts, next, ends, merged, at++);
  }
  return merged;
}

/** Moves the best of the parts' heads to `merged[at]`. Linear in the parts: there are few, and hits are fewer still. */
function takeBest(
  metric: MetricType,
  parts: readonly TopK[],
  next: Uint32Array,
  ends: Uint32Array,
  merged: MergedTopK,
  at: number,
): void {
  let best = -1;
  let bestScore = 0;
  for (let p = 0; p < parts.length; p++) {
    const head = next[p] ?? 0;
    if (head >= (ends[p] ?? 0)) continue;
    const score = parts[p]?.scores[head] ?? 0;
    if (best === -1 || compareScores(metric, score, bestScore) < 0) {
      best = p;
      bestScore = score;
    }
  }
  const head = next[best] ?? 0;
  merged.rows[at] = parts[best]?.rows[head] ?? 0;
  merged.scores[at] = bestScore;
  merged.parts[at] = best;
  next[best] = head + 1;
}
