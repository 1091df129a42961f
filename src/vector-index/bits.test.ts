import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bitmapOf } from '../../tests/vectors.ts';
import { isDbError } from '../errors/db-error.ts';
import type { BinaryMetric } from '../model/metric.ts';
import { seededRandom } from '../support/random.ts';
import { bytesOf, VectorArena } from './arena.ts';
import { type ScanInput, scanScratchBytes, scanTopK } from './flat.ts';
import { mergeTopK, type TopK } from './top-k.ts';

const random = seededRandom(11);
/** Rows of few patterns, so that distances repeat and ties are decided. */
const randomBits = (rows: number, bytes: number): Uint8Array =>
  Uint8Array.from({ length: rows * bytes }, () => (random.below(3) === 0 ? random.below(256) : 0x5a));

type Input = Omit<ScanInput, 'vectorsOffset' | 'queryCount'>;

/** Scans rows that stand between bytes that are not theirs. */
function scan(rows: Uint8Array, input: Input): TopK {
  const arena = new VectorArena({ maxBytes: 64 * 1024 * 1024 });
  const block = arena.allocate(rows.length + 64);
  bytesOf(block).fill(0xff);
  bytesOf(block).set(rows);
  const queryCount = input.queries.length / (input.dim / 8);
  const whole = { ...input, vectorsOffset: block.byteOffset, queryCount };
  return scanTopK(arena.kernels(block, scanScratchBytes(whole)), whole);
}

const ones = (value: number): number => value.toString(2).replaceAll('0', '').length;

function slowDistance(metric: BinaryMetric, a: Uint8Array, b: Uint8Array, elementBytes: number): number {
  const sum = (of: (x: number, y: number) => number) => a.reduce((total, x, i) => total + of(x, b[i]!), 0);
  if (metric === 'HAMMING') return sum((x, y) => ones(x ^ y));
  if (metric === 'JACCARD') {
    const either = sum((x, y) => ones(x | y));
    return either === 0 ? 1 : Math.fround((either - sum((x, y) => ones(x & y))) / either);
  }
  let different = 0;
  for (let at = 0; at < a.length; at += elementBytes)
    if (Buffer.compare(a.subarray(at, at + elementBytes), b.subarray(at, at + elementBytes)) !== 0)
      different++;
  return Math.fround(different / (a.length / elementBytes));
}

function slowSearch(
  rows: Uint8Array,
  query: Uint8Array,
  { metric, from, to, k, allowed, elementBits = 32, ...range }: Input,
) {
  const bytes = query.length;
  const { radius = Number.POSITIVE_INFINITY, rangeFilter = Number.NEGATIVE_INFINITY } = range;
  const hits: { row: number; score: number }[] = [];
  for (let row = from; row < to; row++) {
    if (allowed !== undefined && ((allowed[row >>> 5]! >>> (row & 31)) & 1) === 0) continue;
    const each = rows.subarray(row * bytes, (row + 1) * bytes);
    hits.push({ row, score: slowDistance(metric as BinaryMetric, each, query, elementBits / 8) });
  }
  return hits
    .filter(({ score }) => score < radius && score >= rangeFilter)
    .sort((a, b) => a.score - b.score || a.row - b.row)
    .slice(0, k);
}

function assertSame(rows: Uint8Array, input: Input): void {
  const bytes = input.dim / 8;
  const found = scan(rows, input);
  const expected = Array.from({ length: input.queries.length / bytes }, (_, q) =>
    slowSearch(rows, (input.queries as Uint8Array).subarray(q * bytes, (q + 1) * bytes), input),
  );
  const where = `${input.metric} ${input.dim} bits, rows ${input.from} to ${input.to}`;
  assert.deepEqual(
    [...found.counts],
    expected.map((hits) => hits.length),
    where,
  );
  assert.deepEqual(
    [...found.rows],
    expected.flat().map(({ row }) => row),
    where,
  );
  assert.deepEqual(
    [...found.scores],
    expected.flat().map(({ score }) => score),
    where,
  );
}

test('bits of every length are compared exactly by every metric: filters, row ranges, several queries, range search, ties by row', () => {
  const cases = [
    ['HAMMING', undefined],
    ['JACCARD', undefined],
    ['MHJACCARD', 8],
    ['MHJACCARD', 16],
    ['MHJACCARD', 32],
    ['MHJACCARD', 64],
  ] as const;
  for (const bytes of [1, 2, 7, 8, 15, 16, 17, 24, 31, 32, 40, 100, 128])
    for (const [metric, elementBits] of cases) {
      if (elementBits !== undefined && (bytes * 8) % elementBits !== 0) continue;
      const rows = randomBits(101, bytes);
      const base = {
        metric,
        elementBits,
        dim: bytes * 8,
        queries: randomBits(2, bytes),
        from: 0,
        to: 101,
        k: 9,
      };
      assertSame(rows, base);
      assertSame(rows, { ...base, from: 33, to: 97, k: 200 });
      for (const every of [1, 3, 40])
        assertSame(rows, { ...base, from: 5, allowed: bitmapOf(101, (row) => row % every === 1 % every) });
      const [near, far] = metric === 'HAMMING' ? [bytes, 4 * bytes] : [0.1, 0.8];
      assertSame(rows, { ...base, radius: far, rangeFilter: near, k: 50 });
      assertSame(rows, { ...base, radius: 0 });
    }
});

test('two vectors without bits are as far from each other as JACCARD goes, and an empty signature is no error', () => {
  const found = scan(new Uint8Array(8), {
    metric: 'JACCARD',
    dim: 32,
    queries: new Uint8Array(4),
    from: 0,
    to: 2,
    k: 2,
  });
  assert.deepEqual([...found.scores], [1, 1]);
});

test('the longest vectors are counted to the last bit', () => {
  const bytes = 32_768;
  const rows = new Uint8Array(2 * bytes).fill(0xff, bytes);
  for (const [metric, expected] of [
    ['HAMMING', [0, 8 * bytes]],
    ['JACCARD', [1, 1]],
  ] as const) {
    const found = scan(rows, {
      metric,
      dim: 8 * bytes,
      queries: new Uint8Array(bytes),
      from: 0,
      to: 2,
      k: 2,
    });
    assert.deepEqual([...found.scores], expected);
  }
});

test('the answer does not depend on how the rows are cut into slices', () => {
  const rows = randomBits(1000, 9);
  const base = { metric: 'HAMMING', dim: 72, queries: randomBits(20, 9), k: 12 } as const;
  const whole = scan(rows, { ...base, from: 0, to: 1000 });
  const cut = [0, 1, 32, 500, 999].map((from, i, all) =>
    scan(rows, { ...base, from, to: all[i + 1] ?? 1000 }),
  );
  const { counts, rows: found, scores } = mergeTopK('HAMMING', 12, cut);
  assert.deepEqual({ counts, rows: found, scores }, whole);
});

test('queries that are no bits, and signatures that do not consist of elements, are refused', () => {
  const rows = randomBits(3, 3);
  const base = { dim: 24, from: 0, to: 3, k: 2 } as const;
  for (const input of [
    { ...base, metric: 'HAMMING', queries: new Float32Array(24) },
    { ...base, metric: 'L2', queries: new Uint8Array(3) },
    { ...base, metric: 'MHJACCARD', queries: new Uint8Array(3) },
    { ...base, metric: 'MHJACCARD', elementBits: 24, queries: new Uint8Array(3) },
  ] as const)
    assert.throws(
      () => scan(rows, input),
      (error) => isDbError(error, 'parameter-invalid'),
    );
});
