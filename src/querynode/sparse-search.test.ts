import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { bitmapOf } from '../../tests/vectors.ts';
import { type Random, seededRandom } from '../support/random.ts';
import { buildBlock, buildBlocks, SparseIndex } from '../vector-index/sparse.ts';
import type { SparseRows } from '../vector-index/sparse-rows.ts';
import type { Bm25, SparseScorer } from '../vector-index/sparse-scores.ts';
import { Pacer, Turns } from './pacer.ts';
import { type SparseRequest, searchSparse } from './sparse-search.ts';

const pacer = new Pacer(new Turns(), new AbortController().signal);
type Vector = ReadonlyMap<number, number>;

function columnOf(vectors: readonly Vector[]): SparseRows {
  const pairs = vectors.flatMap((vector) => [...vector]);
  const data = new DataView(new ArrayBuffer(pairs.length * 8));
  pairs.forEach(([dim, value], i) => {
    data.setUint32(8 * i, dim, true);
    data.setFloat32(8 * i + 4, value, true);
  });
  const offsets = new Uint32Array(vectors.length + 1);
  vectors.forEach((vector, i) => {
    offsets[i + 1] = offsets[i]! + 8 * vector.size;
  });
  return { offsets, data: new Uint8Array(data.buffer) };
}

function randomVector(random: Random, dims: number, most: number): Vector {
  const chosen = new Set(Array.from({ length: random.below(most + 1) }, () => random.below(dims) ** 2 * 7));
  return new Map([...chosen].sort((a, b) => a - b).map((dim) => [dim, Math.fround(random.next() * 3 - 0.5)]));
}

/** What each dimension adds, in the order and with the rounding of the server. */
function slowScore(row: Vector, query: Vector, scorer: SparseScorer): number {
  let sum = 0;
  const length = Math.fround([...row.values()].reduce((total, value) => total + value, 0));
  for (const [dim, weight] of query) {
    const value = row.get(dim);
    if (value === undefined) continue;
    const share = scorer === undefined ? value : bm25(value, length, scorer);
    sum = Math.fround(sum + weight * share);
  }
  return sum;
}

const bm25 = (frequency: number, length: number, { k1, b, averageLength }: Bm25): number =>
  (frequency * (k1 + 1)) / (frequency + k1 * (1 - b) + ((k1 * b) / averageLength) * length);

interface Asked extends Pick<SparseRequest, 'k' | 'radius' | 'rangeFilter' | 'scorer'> {
  readonly keep: (row: number) => boolean;
  readonly rowCount: number;
}

async function check(
  index: SparseIndex,
  vectors: readonly Vector[],
  queries: readonly Vector[],
  asked: Asked,
) {
  const { keep, rowCount, k, radius = -1e9, rangeFilter = 1e9, scorer } = asked;
  const kept = Array.from({ length: rowCount }, (_, row) => row).filter(keep);
  const found = await searchSparse(index, columnOf(vectors), {
    ...asked,
    queries: columnOf(queries),
    queryCount: queries.length,
    allowed: bitmapOf(vectors.length, (row) => row < rowCount && keep(row)),
    allowedCount: kept.length,
    pacer,
  });
  const expected = queries.map((query) =>
    kept
      .map((row) => ({ row, score: slowScore(vectors[row]!, query, scorer) }))
      .filter(({ score }) => score !== 0 && score > radius && score <= rangeFilter)
      .sort((a, b) => b.score - a.score || a.row - b.row)
      .slice(0, k),
  );
  assert.deepEqual(
    [...found.counts],
    expected.map((hits) => hits.length),
  );
  assert.deepEqual(
    [...found.rows],
    expected.flatMap((hits) => hits.map(({ row }) => row)),
  );
  assert.deepEqual(
    [...found.scores],
    expected.flatMap((hits) => hits.map(({ score }) => score)),
  );
}

/** Blocks of odd sizes over the first rows; the rest is scored row by row. */
function blocksOver(rows: SparseRows, ends: readonly number[]): SparseIndex {
  return new SparseIndex(ends.map((end, i) => buildBlock(rows, ends[i - 1] ?? 0, end)));
}

test('posting lists give the rows and the very scores of a plain reading, however rows lie in blocks, for any filter, range, limit and scorer', () =>
  fc.assert(
    fc.asyncProperty(
      fc.nat(),
      fc.array(fc.nat({ max: 80 }), { maxLength: 4 }),
      fc.integer({ min: 1, max: 30 }),
      fc.constantFrom(1, 2, 7, 90),
      fc.option(fc.double({ min: -1, max: 2, noNaN: true }), { nil: undefined }),
      fc.constantFrom<SparseScorer>(undefined, { k1: 1.2, b: 0.75, averageLength: 4 }),
      async (seed, cuts, k, every, radius, scorer) => {
        const random = seededRandom(seed);
        const vectors = Array.from({ length: 100 }, () => randomVector(random, 20, 8));
        // Frequencies are not negative.
        const rows = vectors.map((vector) =>
          scorer === undefined ? vector : new Map([...vector].map(([dim, value]) => [dim, Math.abs(value)])),
        );
        const queries = [...Array.from({ length: 2 }, () => randomVector(random, 20, 12)), new Map()];
        const ends = [...new Set(cuts)].sort((a, b) => a - b).filter((end) => end > 0);
        const index = blocksOver(columnOf(rows), ends);
        const keep = (row: number) => row % every === 0;
        const range = radius === undefined ? {} : { radius, rangeFilter: radius + 1.5 };
        await check(index, rows, queries, { keep, k, rowCount: 95, scorer, ...range });
      },
    ),
    { numRuns: 150, includeErrorInReport: true },
  ));

test('a segment of many blocks, a growing one that is cut into blocks as it grows, and no blocks at all give one answer', async () => {
  const random = seededRandom(5);
  const vectors = Array.from({ length: 40_000 }, () => randomVector(random, 3000, 8));
  const rows = columnOf(vectors);
  const queries = [randomVector(random, 3000, 300), randomVector(random, 30, 30)];
  const flushed = new SparseIndex(buildBlocks(rows, vectors.length));
  assert.equal(flushed.blocks.length, 2);
  const growing = new SparseIndex();
  for (let rowCount = 0; rowCount <= vectors.length; rowCount += 250) growing.extend(rows, rowCount);
  assert.equal(growing.blocks.length, Math.floor(rows.data.length / 8 / 65_536));
  for (const index of [flushed, growing, new SparseIndex()])
    for (const [keep, k] of [
      [() => true, 10],
      [(row: number) => row % 1000 === 1, 100],
      [(row: number) => row > 39_900, 5],
    ] as const)
      await check(index, vectors, queries, { keep, k, rowCount: vectors.length });
  const dims = Uint32Array.of(0, 7, 28, 63);
  const counted = [...dims].map((dim) => vectors.filter((vector) => vector.has(dim)).length);
  const length = vectors.reduce(
    (total, vector) => total + Math.fround([...vector.values()].reduce((sum, value) => sum + value, 0)),
    0,
  );
  for (const index of [flushed, growing, new SparseIndex()]) {
    assert.deepEqual([...index.frequencies(dims, rows, vectors.length)], counted);
    assert.equal(index.totalLength(rows, vectors.length), length);
  }
});

test('rows written after a read began are not in its answer, though posting lists have them', async () => {
  const vectors = Array.from({ length: 10 }, (_, row) => new Map([[3, row + 1]]));
  const index = blocksOver(columnOf(vectors), [10]);
  await check(index, vectors, [new Map([[3, 1]])], { keep: () => true, k: 3, rowCount: 4 });
});

test('bytes that begin anywhere in memory are read', async () => {
  const vectors = [new Map([[1, 2]]), new Map([[1, 3]])];
  const { offsets, data } = columnOf(vectors);
  const shifted = new Uint8Array(data.length + 1);
  shifted.set(data, 1);
  const rows = { offsets, data: shifted.subarray(1) };
  assert.deepEqual(buildBlock(rows, 0, 2), buildBlock({ offsets, data }, 0, 2));
});
