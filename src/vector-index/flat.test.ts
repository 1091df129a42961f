import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bitmapOf, clusteredVectors, slowScore, slowSearch } from '../../tests/vectors.ts';
import { isDbError } from '../errors/db-error.ts';
import { seededRandom } from '../support/random.ts';
import { floatsOf, VectorArena } from './arena.ts';
import { type ScanInput, scanScratchBytes, scanTopK } from './flat.ts';
import type { Metric } from './metric.ts';
import { mergeTopK, type TopK } from './top-k.ts';

const metrics: readonly Metric[] = ['L2', 'IP', 'COSINE'];

/** Scans `vectors` in an arena of its own. */
function scan(vectors: Float32Array, input: Omit<ScanInput, 'vectorsOffset' | 'queryCount'>): TopK {
  const arena = new VectorArena({ maxBytes: 64 * 1024 * 1024 });
  const block = arena.allocate(vectors.byteLength);
  floatsOf(block).set(vectors);
  const whole = { ...input, vectorsOffset: block.byteOffset, queryCount: input.queries.length / input.dim };
  return scanTopK(arena.kernels(block, scanScratchBytes(whole)), whole);
}

/** The hits are the best rows by double precision, up to rows whose scores are the same within rounding. */
function assertExact(
  metric: Metric,
  vectors: Float32Array,
  dim: number,
  query: Float32Array,
  hits: TopK,
  expected: number[],
): void {
  assert.equal(hits.rows.length, expected.length);
  assert.equal(new Set(hits.rows).size, hits.rows.length);
  hits.rows.forEach((row, i) => {
    const score = slowScore(metric, vectors.subarray(row * dim, (row + 1) * dim), query);
    const tolerance = 1e-4 * Math.max(1, Math.abs(score));
    assert.ok(
      Math.abs(score - (expected[i] ?? Number.NaN)) <= tolerance,
      `${metric} hit ${i}: ${score} for ${expected[i]}`,
    );
    assert.ok(Math.abs(score - (hits.scores[i] ?? Number.NaN)) <= tolerance, `${metric} score ${i}`);
  });
}

test('an exact scan of any dimension, count and metric finds what a naive search finds', () => {
  for (const dim of [1, 2, 3, 4, 5, 7, 8, 9, 13, 16, 31, 33, 100, 129])
    for (const rowCount of [0, 1, 2, 3, 5, 66])
      for (const metric of metrics) {
        const vectors = clusteredVectors(rowCount, dim, { clusters: 5, latent: 3 });
        const query = clusteredVectors(1, dim, { clusters: 5, latent: 3, offset: 1 });
        const expected = slowSearch(metric, vectors, dim, query).slice(0, 7);
        const hits = scan(vectors, { dim, metric, from: 0, to: rowCount, queries: query, k: 7 });
        assertExact(
          metric,
          vectors,
          dim,
          query,
          hits,
          expected.map(({ score }) => score),
        );
      }
});

test('the largest dimension is scanned exactly', () => {
  const dim = 32_768;
  const vectors = clusteredVectors(9, dim, { latent: 2 });
  const query = clusteredVectors(1, dim, { latent: 2, offset: 1 });
  for (const metric of metrics) {
    const expected = slowSearch(metric, vectors, dim, query).map(({ score }) => score);
    assertExact(
      metric,
      vectors,
      dim,
      query,
      scan(vectors, { dim, metric, from: 0, to: 9, queries: query, k: 20 }),
      expected,
    );
  }
});

test('only rows in the range and in the bitmap are found, dense or sparse', () => {
  const [dim, rowCount] = [6, 5000];
  const vectors = clusteredVectors(rowCount, dim, { latent: 4 });
  const queries = clusteredVectors(3, dim, { latent: 4, offset: 1 });
  for (const metric of metrics)
    for (const every of [1, 2, 3, 17, 400, 6000])
      for (const [from, to] of [
        [0, 5000],
        [31, 4999],
        [1025, 2047],
        [77, 78],
      ] as const) {
        const random = seededRandom(every);
        const kept = new Set(
          Array.from({ length: rowCount }, (_, row) => row).filter(() => random.below(every) === 0),
        );
        const allowed = bitmapOf(rowCount, (row) => kept.has(row));
        const hits = scan(vectors, { dim, metric, from, to, queries, k: 12, allowed });
        let at = 0;
        hits.counts.forEach((count, q) => {
          const query = queries.subarray(q * dim, (q + 1) * dim);
          const expected = slowSearch(
            metric,
            vectors,
            dim,
            query,
            (row) => kept.has(row) && row >= from && row < to,
          );
          const mine = {
            counts: hits.counts,
            rows: hits.rows.slice(at, at + count),
            scores: hits.scores.slice(at, at + count),
          };
          assertExact(
            metric,
            vectors,
            dim,
            query,
            mine,
            expected.slice(0, 12).map(({ score }) => score),
          );
          at += count;
        });
      }
});

test('cutting a scan into slices, or asking many queries at once, changes neither rows nor scores', () => {
  const [dim, rowCount] = [19, 3000];
  // Rounded coordinates make many equal scores.
  const vectors = clusteredVectors(rowCount, dim, { latent: 2, clusters: 4 }).map((x) => Math.round(x));
  const queries = clusteredVectors(37, dim, { latent: 2, clusters: 4, offset: 1 });
  for (const metric of metrics) {
    const whole = scan(vectors, { dim, metric, from: 0, to: rowCount, queries, k: 50 });
    const slices = [0, 7, 512, 513, 2999].map((from, i, all) =>
      scan(vectors, { dim, metric, from, to: all[i + 1] ?? rowCount, queries, k: 50 }),
    );
    const { counts, rows, scores } = mergeTopK(metric, 50, slices);
    assert.deepEqual({ counts, rows, scores }, whole);
    const last = scan(vectors, {
      dim,
      metric,
      from: 0,
      to: rowCount,
      queries: queries.subarray(36 * dim),
      k: 50,
    });
    assert.deepEqual(last.rows, whole.rows.slice(-50));
    assert.deepEqual(last.scores, whole.scores.slice(-50));
  }
});

test('the largest k returns every row once, best first', () => {
  const vectors = clusteredVectors(17_000, 3, { latent: 3 });
  const hits = scan(vectors, {
    dim: 3,
    metric: 'L2',
    from: 0,
    to: 17_000,
    queries: vectors.slice(0, 3),
    k: 16_384,
  });
  assert.equal(hits.rows.length, 16_384);
  assert.equal(hits.rows[0], 0);
  assert.equal(new Set(hits.rows).size, 16_384);
  assert.ok(hits.scores.every((score, i) => i === 0 || score >= (hits.scores[i - 1] ?? 0)));
});

test('range bounds are half open as in Milvus', () => {
  const line = Float32Array.from([0, 1, 2, 3, 4]);
  const find = (metric: Metric, query: number, range: { radius?: number; rangeFilter?: number }) => [
    ...scan(line, { dim: 1, metric, from: 0, to: 5, queries: Float32Array.of(query), k: 5, ...range }).rows,
  ];
  assert.deepEqual(find('L2', 0, { radius: 9 }), [0, 1, 2]);
  assert.deepEqual(find('L2', 0, { radius: 9, rangeFilter: 1 }), [1, 2]);
  assert.deepEqual(find('IP', 1, { radius: 1 }), [4, 3, 2]);
  assert.deepEqual(find('IP', 1, { radius: 1, rangeFilter: 3 }), [3, 2]);
  assert.deepEqual(find('COSINE', 1, { radius: 0.5, rangeFilter: 1 }), [1, 2, 3, 4]);
  assert.throws(
    () => find('L2', 0, { radius: 1, rangeFilter: 1 }),
    (e) => isDbError(e, 'parameter-invalid'),
  );
  assert.throws(
    () => find('IP', 0, { radius: Number.NaN }),
    (e) => isDbError(e, 'parameter-invalid'),
  );
});

test('NaN and infinite values never become hits or spoil others; a zero vector has cosine 0', () => {
  const vectors = Float32Array.from([1, 0, Number.NaN, 0, Number.POSITIVE_INFINITY, 0, 0, 0, 0, 2]);
  const find = (metric: Metric) =>
    scan(vectors, { dim: 2, metric, from: 0, to: 5, queries: Float32Array.of(1, 0), k: 5 });
  assert.deepEqual([...find('L2').rows], [0, 3, 4]);
  assert.deepEqual([...find('IP').rows], [0, 3, 4]);
  const cosine = find('COSINE');
  assert.deepEqual([...cosine.rows], [0, 3, 4]);
  assert.deepEqual([...cosine.scores], [1, 0, 0]);
  for (const metric of metrics) {
    const hits = scan(vectors, {
      dim: 2,
      metric,
      from: 0,
      to: 5,
      queries: Float32Array.of(Number.NaN, 0),
      k: 5,
    });
    assert.equal(hits.rows.length, 0);
  }
});

test('a shape outside the limits is refused', () => {
  const vectors = new Float32Array(8);
  const bad = (input: object) =>
    assert.throws(
      () =>
        scan(vectors, { dim: 4, metric: 'L2', from: 0, to: 2, queries: new Float32Array(4), k: 1, ...input }),
      (error) => isDbError(error, 'parameter-invalid'),
    );
  bad({ k: 0 });
  bad({ k: 16_385 });
  bad({ dim: 32_769, queries: new Float32Array(32_769) });
  bad({ queries: new Float32Array(3) });
});
