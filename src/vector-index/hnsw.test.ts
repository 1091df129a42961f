import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  builtGraph as built,
  Fixture,
  GRAPH_PARAMS as params,
  recallOf as recall,
} from '../../tests/graphs.ts';
import { bitmapOf, clusteredVectors } from '../../tests/vectors.ts';
import { isDbError } from '../errors/db-error.ts';
import { crc32 } from '../support/crc32.ts';
import { seededRandom } from '../support/random.ts';
import { HnswIndex, prefersScan } from './hnsw.ts';
import { buildHnsw } from './hnsw-build.ts';
import { readHnswHeader } from './hnsw-file.ts';
import type { Metric } from './metric.ts';

const metrics: readonly Metric[] = ['L2', 'IP', 'COSINE'];
const dim = 32;
const rowCount = 6000;
const data = clusteredVectors(rowCount, dim, { clusters: 60, latent: 12 });
const queries = clusteredVectors(60, dim, { clusters: 60, latent: 12, offset: 1 });

test('graph search finds at least 95 % of the nearest rows, whatever the metric and filter', async () => {
  for (const metric of metrics) {
    const { fixture, index } = await built(data, dim, metric);
    for (const every of [1, 2, 5, 10, 20, 50, 100]) {
      const random = seededRandom(every);
      const allowed = every === 1 ? undefined : bitmapOf(rowCount, () => random.below(every) === 0);
      const search = { queries, queryCount: 60, k: 10, allowed };
      const exact = fixture.exact(search);
      for (const way of [undefined, 'graph' as const]) {
        const found = index.search({ ...search, ef: 64, ...(way && { way }) });
        assert.deepEqual(found.counts, exact.counts);
        const share = recall(found, exact);
        assert.ok(share >= 0.95, `${metric} 1/${every} ${way}: recall ${share}`);
        assert.ok(
          found.rows.every((row) => allowed === undefined || ((allowed[row >>> 5] ?? 0) >>> (row & 31)) & 1),
        );
      }
    }
  }
});

test('scores are those of the exact search, to the last bit, and best first', async () => {
  for (const metric of metrics) {
    const { fixture, index } = await built(data.subarray(0, 500 * dim), dim, metric);
    const search = { queries, queryCount: 60, k: 20 };
    const exact = fixture.exact(search);
    const found = index.search({ ...search, ef: 500 });
    assert.ok(recall(found, exact) > 0.999);
    const scoreOf = new Map(
      Array.from(exact.rows, (row, i) => [`${Math.floor(i / 20)}/${row}`, exact.scores[i]]),
    );
    found.rows.forEach((row, i) => {
      const expected = scoreOf.get(`${Math.floor(i / 20)}/${row}`);
      if (expected !== undefined) assert.equal(found.scores[i], expected);
    });
  }
});

test('data that arrives sorted by cluster, and a filter far from the query, are found as well', async () => {
  const order = Array.from({ length: rowCount }, (_, row) => row).sort(
    (a, b) => (data[a * dim] ?? 0) - (data[b * dim] ?? 0),
  );
  const sorted = new Float32Array(data.length);
  order.forEach((row, i) => {
    sorted.set(data.subarray(row * dim, (row + 1) * dim), i * dim);
  });
  const { fixture, index } = await built(sorted, dim, 'L2');
  // Only rows at one end of the first coordinate, asked for from everywhere: most walks give up and scan.
  for (const allowed of [
    undefined,
    bitmapOf(rowCount, (row) => row < 1500),
    bitmapOf(rowCount, (row) => row >= 5900),
  ]) {
    const search = { queries, queryCount: 60, k: 10, allowed };
    const share = recall(index.search({ ...search, ef: 64 }), fixture.exact(search));
    assert.ok(share >= 0.95, `recall ${share}`);
  }
});

test('a range search cuts and skips by score', async () => {
  for (const metric of metrics) {
    const { fixture, index } = await built(data, dim, metric);
    const some = fixture.exact({ queries: queries.subarray(0, dim), queryCount: 1, k: 30 }).scores;
    const range = { rangeFilter: some[5] ?? 0, radius: some[15] ?? 0 };
    const search = { queries: queries.subarray(0, dim), queryCount: 1, k: 100, ...range };
    const exact = fixture.exact(search);
    assert.deepEqual(exact.scores, some.slice(5, 15));
    assert.ok(recall(index.search({ ...search, ef: 200 }), exact) >= 0.9);
  }
});

test('segments of no, one and few rows are served', async () => {
  for (const metric of metrics)
    for (const rows of [0, 1, 2, 3]) {
      const { fixture, index } = await built(data.subarray(0, rows * dim), dim, metric);
      const search = { queries: queries.subarray(0, dim), queryCount: 1, k: 5 };
      assert.deepEqual(index.search({ ...search, ef: 1 }), fixture.exact(search));
    }
});

test('identical, zero and non-finite rows are served, and spoil nothing for others', async () => {
  for (const metric of metrics) {
    const odd = data.slice(0, 3000 * dim);
    for (let row = 0; row < 3000; row += 3) odd.set(data.subarray(0, dim), row * dim);
    odd.fill(0, dim, 2 * dim);
    odd.fill(Number.NaN, 4 * dim, 4 * dim + 3);
    odd[7 * dim] = Number.POSITIVE_INFINITY;
    const { fixture, index } = await built(odd, dim, metric);
    assert.equal(index.header.hasChains, true);
    for (const k of [10, 1100]) {
      const search = { queries: Float32Array.of(...data.subarray(0, dim), ...queries), queryCount: 61, k };
      const share = recall(index.search({ ...search, ef: 64 }), fixture.exact(search));
      assert.ok(share >= 0.95, `${metric} k ${k}: recall ${share}`);
    }
  }
});

test('thousands of identical rows hide no other row', async () => {
  const vectors = data.slice(0, 4000 * dim);
  for (let row = 0; row < 4000; row++)
    if (row % 40 !== 0) vectors.set(data.subarray(dim, 2 * dim), row * dim);
  const { fixture, index } = await built(vectors, dim, 'L2');
  const search = { queries, queryCount: 60, k: 10, allowed: bitmapOf(4000, (row) => row % 2 === 0) };
  assert.ok(recall(index.search({ ...search, ef: 32 }), fixture.exact(search)) >= 0.95);
});

test('the same input gives the same bytes', () => {
  const vectors = data.subarray(0, 800 * dim);
  const build = () => buildHnsw({ vectors, dim, metric: 'COSINE', params });
  assert.ok(Buffer.from(build()).equals(build()));
});

test('a build can be stopped, and refuses parameters it cannot serve', () => {
  const vectors = data.subarray(0, 800 * dim);
  const seen: number[] = [];
  const onProgress = (rows: number) => seen.push(rows) < 4;
  assert.throws(
    () => buildHnsw({ vectors, dim, metric: 'L2', params, onProgress }),
    (error) => isDbError(error, 'cancelled'),
  );
  assert.equal(seen.length, 4);
  for (const bad of [
    { M: 1, efConstruction: 10 },
    { M: 16, efConstruction: 0 },
    { M: 4096, efConstruction: 10 },
  ])
    assert.throws(
      () => buildHnsw({ vectors, dim, metric: 'L2', params: bad }),
      (e) => isDbError(e, 'parameter-invalid'),
    );
});

test('a scan is preferred when few rows count, and not when most do', () => {
  assert.equal(prefersScan(100_000, 100_000, 64), false);
  assert.equal(prefersScan(50_000, 100_000, 64), false);
  assert.equal(prefersScan(1000, 100_000, 64), true);
  assert.equal(prefersScan(0, 100_000, 64), true);
});

const small = data.slice(0, 300 * dim);
const image = buildHnsw({ vectors: small, dim, metric: 'COSINE', params: { M: 4, efConstruction: 20 } });
const opened = (bytes: Uint8Array) => new Fixture(small, dim, 'COSINE', bytes);

test('a file with any byte changed, cut short or of another segment is refused', async () => {
  const refused = (error: unknown) => isDbError(error, 'data-integrity');
  const random = seededRandom(3);
  for (let i = 0; i < 60; i++) {
    const bytes = image.slice();
    const at = i < 56 ? i : random.below(bytes.length);
    bytes[at] = (bytes[at] ?? 0) ^ (1 << random.below(8));
    await assert.rejects(opened(bytes).open(), refused, `byte ${at}`);
  }
  for (const length of [0, 1, 15, 127, 128, 4000, image.length - 1])
    await assert.rejects(opened(image.slice(0, length)).open(), refused);
  const fixture = opened(image);
  for (const other of [{ rowCount: 299 }, { dim: 31 }, { metric: 'L2' as const }]) {
    const { rowCount: rows, dim: width, metric } = fixture;
    const expected = { rowCount: rows, dim: width, metric, ...other };
    await assert.rejects(HnswIndex.open(fixture.arena, fixture.vectors, fixture.graph, expected), refused);
  }
});

test('no file with a right checksum and wrong content makes a search trap, hang or leave the rows', async () => {
  const where = fc.integer({ min: 4, max: image.length / 4 - 1 });
  const links = fc.record({ at: fc.integer({ min: 32, max: 32 + 300 * 8 - 1 }), word: fc.nat(299) });
  const anything = fc.record({ at: where, word: fc.oneof(fc.nat(310), fc.integer(), fc.constant(-1)) });
  const changes = fc.oneof(
    fc.array(links, { minLength: 1, maxLength: 600 }),
    fc.array(anything, { minLength: 1, maxLength: 4 }),
  );
  let searched = 0;
  await fc.assert(
    fc.asyncProperty(changes, async (list) => {
      const bytes = image.slice();
      const view = new DataView(bytes.buffer);
      for (const { at, word } of list as { at: number; word: number }[]) view.setInt32(4 * at, word, true);
      view.setUint32(12, crc32(bytes.subarray(16)), true);
      const fixture = opened(bytes);
      let index: HnswIndex;
      try {
        index = await fixture.open();
      } catch (error) {
        assert.ok(isDbError(error, 'data-integrity'), String(error));
        return;
      }
      searched++;
      // Width 1 keeps the walk from giving way to a scan.
      const hits = index.search({ queries, queryCount: 60, k: 3, ef: 3 });
      for (const row of hits.rows) assert.ok(row < 300);
    }),
    { seed: 7, numRuns: 150 },
  );
  assert.ok(searched > 10, `${searched} files passed the check and were searched`);
});

test('the header of a file says how it was built', () => {
  const header = readHnswHeader(image);
  assert.deepEqual(
    [header.rowCount, header.dim, header.metric, header.M, header.efConstruction, header.hasChains],
    [300, dim, 'COSINE', 4, 20, false],
  );
});
