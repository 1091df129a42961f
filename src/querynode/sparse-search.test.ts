import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { bitmapOf } from '../../tests/vectors.ts';
import { type Random, seededRandom } from '../support/random.ts';
import { SparseIndex } from '../vector-index/sparse.ts';
import { buildBlock, buildBlocks } from '../vector-index/sparse-block.ts';
import type { Bm25, SparseScorer } from '../vector-index/sparse-bounds.ts';
import type { SparseRows } from '../vector-index/sparse-rows.ts';
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

/** Blocks of odd sizes over the first rows; the rest is behind them. */
function blocksOver(rows: SparseRows, ends: readonly number[]): SparseIndex {
  const index = new SparseIndex(ends.map((end, i) => buildBlock(rows, ends[i - 1] ?? 0, end)));
  index.extend(rows, rows.offsets.length - 1);
  return index;
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

test('postings that are passed over because they cannot be good enough change no answer: common and rare terms, several blocks, known maxima, another average length', () =>
  fc.assert(
    fc.asyncProperty(fc.nat(), fc.boolean(), async (seed, isBm25) => {
      const random = seededRandom(seed);
      const shares = Array.from({ length: 8 }, (_, dim) => 2 ** -(dim * (0.5 + random.next())));
      const vectors = Array.from({ length: 6000 }, () => {
        const pairs: [number, number][] = [];
        for (const [dim, share] of shares.entries())
          if (random.next() < share) pairs.push([dim * 5, 1 + random.below(1 + random.below(9))]);
        return new Map(
          isBm25 ? pairs : pairs.map(([dim, value]) => [dim, Math.fround(value - random.next())]),
        );
      });
      const index = blocksOver(columnOf(vectors), [1500, 1600, 4500]);
      const weights = () => Math.fround((random.next() - (isBm25 ? 0 : 0.2)) * 10 ** random.below(3));
      const queries = Array.from({ length: 6 }, (_, i) => {
        const dims = [...shares.keys()].filter(() => random.below(4) <= i % 3);
        return new Map(dims.map((dim) => [dim * 5, weights()]));
      });
      const keep = random.below(2) === 0 ? () => true : (row: number) => row % 7 !== 3;
      const k = 1 + random.below(20);
      for (const averageLength of [8, 8, 8.5, 7.5, 20])
        await check(index, vectors, queries, {
          keep,
          k,
          rowCount: vectors.length - random.below(2) * 700,
          scorer: isBm25 ? { k1: 1.2, b: 0.75, averageLength } : undefined,
        });
    }),
    { numRuns: 6, includeErrorInReport: true },
  ));

test('a flushed segment, a growing one whose blocks are merged as it grows, and one that got all of its rows at once give one answer', async () => {
  const random = seededRandom(5);
  const vectors = Array.from({ length: 40_000 }, () => randomVector(random, 3000, 8));
  const rows = columnOf(vectors);
  const queries = [randomVector(random, 3000, 300), randomVector(random, 30, 30)];
  const flushed = new SparseIndex(buildBlocks(rows, vectors.length));
  assert.equal(flushed.blocks.length, 1);
  const growing = new SparseIndex();
  for (let rowCount = 0; rowCount <= vectors.length; rowCount += 250) growing.extend(rows, rowCount);
  const atOnce = new SparseIndex();
  atOnce.extend(rows, vectors.length);
  for (const index of [flushed, growing, atOnce])
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
  for (const index of [flushed, growing, atOnce]) {
    const counts = new Float64Array(dims.length);
    index.addFrequencies(dims, vectors.length, counts, 0);
    assert.deepEqual([...counts], counted);
    assert.equal(index.totalLength(vectors.length), length);
  }
});

test('blocks of a growing segment are merged as it grows, few are left, one when it is full, and they are those of the rows together', () => {
  const random = seededRandom(6);
  const vectors = Array.from({ length: 60_000 }, () => randomVector(random, 400, 14));
  const rows = columnOf(vectors);
  const growing = new SparseIndex();
  let most = 0;
  for (let rowCount = 0; rowCount <= vectors.length; rowCount += 100) {
    growing.extend(rows, rowCount);
    most = Math.max(most, growing.blocks.length);
  }
  const checkBlocks = () => {
    let row = 0;
    for (const block of growing.blocks) {
      assert.equal(block.firstRow, row);
      row += block.rowCount;
      assert.deepEqual(block, buildBlock(rows, block.firstRow, row));
    }
    assert.equal(growing.tail.firstRow, row);
    assert.equal(row + growing.tail.rowCount, vectors.length);
  };
  assert.ok(rows.data.length / 8 > 22 * 16_384);
  assert.ok(most >= 8 && most <= 12, `${most} blocks`);
  checkBlocks();
  growing.finish(rows);
  assert.equal(growing.tail.rowCount, 0);
  let steps = 0;
  while (growing.advance()) steps++;
  assert.ok(steps > 5 && steps < 60, `${steps} steps`);
  assert.equal(growing.blocks.length, 1);
  checkBlocks();
});

/** Numbers that meet in one place of the tail's table. */
function colliding(count: number): number[] {
  const found: number[] = [];
  for (let dim = 0; found.length < count; dim++) {
    const mixed = Math.imul(dim ^ (dim >>> 15), 0x9e3779b1);
    if (((mixed ^ (mixed >>> 15)) & 0xffff) === 0) found.push(dim);
  }
  return found;
}

test('dimensions chosen to meet in one place of a table cost little, and are found', async () => {
  const dims = colliding(400);
  const vectors = Array.from({ length: 50 }, (_, row) => {
    const some = dims.slice((row * 8) % 300, ((row * 8) % 300) + (row === 20 ? 100 : 6));
    return new Map(some.map((dim) => [dim, row + 1]));
  });
  const rows = columnOf(vectors);
  const index = new SparseIndex();
  for (let rowCount = 0; rowCount <= vectors.length; rowCount++) index.extend(rows, rowCount);
  assert.ok(index.blocks.length > 0);
  const queries = [0, 5, 20, 49].map((row) => vectors[row]!);
  await check(index, vectors, queries, { keep: () => true, k: 60, rowCount: vectors.length });
});

test('a row of more values than a block of a growing segment has is a block by itself', async () => {
  const wide = new Map(Array.from({ length: 70_000 }, (_, dim) => [dim, 1] as const));
  const vectors = [new Map([[3, 2]]), wide, new Map([[3, 4]])];
  const rows = columnOf(vectors);
  const index = new SparseIndex();
  for (let rowCount = 0; rowCount <= vectors.length; rowCount++) index.extend(rows, rowCount);
  await check(index, vectors, [new Map([[3, 1]]), wide], { keep: () => true, k: 5, rowCount: 3 });
});

test('rows written after a read began are not in its answer, though posting lists have them', async () => {
  const vectors = Array.from({ length: 10 }, (_, row) => new Map([[3, row + 1]]));
  for (const ends of [[10], [2], []]) {
    const index = blocksOver(columnOf(vectors), ends);
    await check(index, vectors, [new Map([[3, 1]])], { keep: () => true, k: 3, rowCount: 4 });
    const counts = new Float64Array(1);
    index.addFrequencies(Uint32Array.of(3), 4, counts, 0);
    assert.deepEqual([...counts], [4]);
    assert.equal(index.totalLength(4), 10);
  }
});

test('rows that come while a search waits, and the blocks that are made of them and merged, change nothing of its answer', async () => {
  const random = seededRandom(8);
  const vectors = Array.from({ length: 24_000 }, () => randomVector(random, 60, 14));
  const rows = columnOf(vectors);
  const queries = columnOf([randomVector(random, 60, 30), randomVector(random, 60, 12), new Map([[7, 1]])]);
  // Waits after every block, and after every term of a wide query's tail.
  const patient = new Pacer(new Turns({ turnUnits: 1 }), new AbortController().signal);
  const asked = { queries, queryCount: 3, k: 50 };
  let rowCount = 4000;
  const index = new SparseIndex();
  index.extend(rows, rowCount);
  let changes = 0;
  for (; rowCount < 22_000; rowCount += 1700) {
    const seen = {
      rowCount,
      allowed: bitmapOf(vectors.length, (row) => row < rowCount),
      allowedCount: rowCount,
    };
    const still = new SparseIndex();
    still.extend(rows, rowCount);
    const { blocks, tail } = index;
    const searched = searchSparse(index, rows, { ...asked, ...seen, pacer: patient });
    for (let more = rowCount + 100; more <= rowCount + 1700; more += 100) {
      index.extend(rows, more);
      await new Promise((resolve) => {
        setImmediate(resolve);
      });
    }
    if (index.tail !== tail && index.blocks !== blocks) changes++;
    assert.deepEqual(await searched, await searchSparse(still, rows, { ...asked, ...seen, pacer }));
  }
  assert.ok(changes > 5, `${changes}`);
  index.finish(rows);
  while (index.advance());
  assert.ok(index.blocks.length < 3);
});

test('what is too much for one slice, by postings or by terms of the query, is summed in several and gives the same', async () => {
  const [rowCount, perRow] = [24_000, 50];
  const words = new Uint32Array(2 * rowCount * perRow);
  const floats = new Float32Array(words.buffer);
  for (let i = 0; i < rowCount * perRow; i++) {
    // Every row has the first dimensions, and some of its own.
    const place = i % perRow;
    words[2 * i] = place < 46 ? place : 100 + ((i * 7919) % 9000) * perRow + place;
    floats[2 * i + 1] = 1 + ((i * 31) % 17);
  }
  const offsets = Uint32Array.from({ length: rowCount + 1 }, (_, row) => row * perRow * 8);
  const rows = { offsets, data: new Uint8Array(words.buffer) };
  const query = (dims: readonly number[]) => new Map(dims.map((dim) => [dim, 1 + (dim % 3)]));
  const common = Array.from({ length: 50 }, (_, dim) => dim);
  const wide = [...common, ...Array.from({ length: 8000 }, (_, i) => 100 + i * 57)];
  const queries = columnOf([query(common), query(wide)]);
  const request = {
    queries,
    queryCount: 2,
    rowCount,
    allowed: bitmapOf(rowCount, () => true),
    allowedCount: rowCount,
    k: 30,
    scorer: { k1: 1.2, b: 0.75, averageLength: 400 },
  };
  const one = new SparseIndex(buildBlocks(rows, rowCount));
  assert.deepEqual([one.blocks.length, one.blocks[0]!.rows.length > 2 ** 20], [1, true]);
  const small = blocksOver(
    rows,
    Array.from({ length: 11 }, (_, i) => (i + 1) * 2160),
  );
  assert.ok(small.tail.rowCount > 200);
  const slices = async (index: SparseIndex) => {
    let spent = 0;
    const counting = Object.create(pacer, {
      spend: { value: () => void spent++ },
    }) as Pacer;
    return { found: await searchSparse(index, rows, { ...request, pacer: counting }), spent };
  };
  const [whole, parts] = [await slices(one), await slices(small)];
  assert.deepEqual(whole.found, parts.found);
  assert.ok(whole.spent > 8 && parts.spent > 2 * 12, `${whole.spent} and ${parts.spent} slices`);
});

test('bytes that begin anywhere in memory are read', async () => {
  const vectors = [new Map([[1, 2]]), new Map([[1, 3]])];
  const { offsets, data } = columnOf(vectors);
  const shifted = new Uint8Array(data.length + 1);
  shifted.set(data, 1);
  const rows = { offsets, data: shifted.subarray(1) };
  assert.deepEqual(buildBlock(rows, 0, 2), buildBlock({ offsets, data }, 0, 2));
});
