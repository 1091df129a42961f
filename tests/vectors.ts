/** Vectors for tests and benches, and the slow, obvious search that everything is compared with. */

import type { VectorColumn } from '../src/model/rows.ts';
import { type Random, seededRandom } from '../src/support/random.ts';
import type { Metric } from '../src/vector-index/metric.ts';

/** A standard normal number. */
export const gauss = (random: Random): number =>
  Math.sqrt(-2 * Math.log(1 - random.next())) * Math.cos(2 * Math.PI * random.next());

/** Embedding-like data: clusters in a latent space of few dimensions, mapped into `dim`, plus a little noise. Iid noise would judge no index. */
export function clusteredVectors(
  rowCount: number,
  dim: number,
  {
    seed = 1,
    clusters = 300,
    latent = 24,
    offset = 0,
  }: { seed?: number; clusters?: number; latent?: number; offset?: number } = {},
): Float32Array {
  const shape = seededRandom(seed);
  const map = Float32Array.from({ length: latent * dim }, () => gauss(shape) / Math.sqrt(latent));
  const centres = Float32Array.from({ length: clusters * latent }, () => gauss(shape));
  const random = seededRandom(seed * 7919 + offset + 1);
  const vectors = new Float32Array(rowCount * dim);
  const point = new Float32Array(latent);
  for (let row = 0; row < rowCount; row++) {
    const centre = random.below(clusters) * latent;
    for (let i = 0; i < latent; i++) point[i] = (centres[centre + i] ?? 0) + 0.35 * gauss(random);
    for (let d = 0; d < dim; d++) {
      let sum = 0.02 * (random.next() - 0.5);
      for (let i = 0; i < latent; i++) sum += (point[i] ?? 0) * (map[i * dim + d] ?? 0);
      vectors[row * dim + d] = sum;
    }
  }
  return vectors;
}

/** The score of two vectors in double precision. */
export function slowScore(metric: Metric, a: Float32Array, b: Float32Array): number {
  let dot = 0;
  let distance = 0;
  let normA = 0;
  let normB = 0;
  a.forEach((x, i) => {
    const y = b[i] ?? 0;
    dot += x * y;
    distance += (x - y) ** 2;
    normA += x * x;
    normB += y * y;
  });
  if (metric === 'L2') return distance;
  if (metric === 'IP') return dot;
  return normA === 0 || normB === 0 ? 0 : dot / Math.sqrt(normA * normB);
}

/** All allowed rows with finite or not finite scores, best first, NaN left out. */
export function slowSearch(
  metric: Metric,
  vectors: Float32Array,
  dim: number,
  query: Float32Array,
  keep: (row: number) => boolean = () => true,
): { row: number; score: number }[] {
  const hits: { row: number; score: number }[] = [];
  for (let row = 0; row < vectors.length / dim; row++)
    if (keep(row))
      hits.push({ row, score: slowScore(metric, vectors.subarray(row * dim, (row + 1) * dim), query) });
  return hits
    .filter(({ score }) => !Number.isNaN(score))
    .sort((a, b) => (metric === 'L2' ? a.score - b.score : b.score - a.score) || a.row - b.row);
}

/** Queries of a search for floats. */
export const floatQueries = (dim: number, values: ArrayLike<number>): VectorColumn => ({
  layout: 'vector',
  type: 'FloatVector',
  dim,
  values: Float32Array.from(values),
});

/** Bits of the rows that `keep` names. */
export function bitmapOf(rowCount: number, keep: (row: number) => boolean): Uint32Array {
  const bits = new Uint32Array(Math.ceil(rowCount / 32));
  for (let row = 0; row < rowCount; row++)
    if (keep(row)) bits[row >>> 5] = (bits[row >>> 5] ?? 0) | (1 << (row & 31));
  return bits;
}
