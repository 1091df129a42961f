import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bitmapOf, clusteredVectors } from '../../tests/vectors.ts';
import { VectorArena } from '../vector-index/arena.ts';
import { scanScratchBytes, scanTopK } from '../vector-index/flat.ts';
import { ArenaEngine, type ArenaVectors } from './arena-engine.ts';
import { Pacer, Turns } from './pacer.ts';
import type { NearestRequest } from './vectors.ts';

const dim = 20;
const capacity = 1000;
const data = clusteredVectors(capacity, dim, { latent: 6 });
const pacer = new Pacer(new Turns(), new AbortController().signal);

const requestOf = (rowCount: number, part: Partial<NearestRequest> = {}): NearestRequest => ({
  dim,
  metric: 'COSINE',
  queries: clusteredVectors(2, dim, { latent: 6, offset: 1 }),
  queryCount: 2,
  rowCount,
  allowedCount: rowCount,
  k: 9,
  pacer,
  ...part,
});

/** The same scan, which sums the norms in its pass. */
function summed(arena: VectorArena, { block }: ArenaVectors, request: NearestRequest) {
  const input = { ...request, vectorsOffset: block.byteOffset, from: 0, to: request.rowCount };
  return scanTopK(arena.kernels(block, scanScratchBytes(input)), input);
}

test('COSINE scans of a unit that grows find every row with its exact score, and its norms are freed with it', async () => {
  const arena = new VectorArena({ maxBytes: 64 * 1024 * 1024 });
  const engine = new ArenaEngine({ arena });
  const vectors = engine.allocate(capacity * dim);
  for (const rowCount of [1, 130, 131, capacity, 500]) {
    vectors.values.set(data.subarray(0, rowCount * dim));
    const request = requestOf(rowCount);
    const both = await Promise.all([engine.scan(vectors, request), engine.scan(vectors, request)]);
    for (const hits of both) assert.deepEqual(hits, summed(arena, vectors, request));
  }
  assert.equal(vectors.norms(dim)?.rows, capacity);
  vectors.free();
  assert.equal(arena.usedBytes, 0);
});

test('norms are not made for other metrics nor for a scan of few rows', async () => {
  const arena = new VectorArena({ maxBytes: 64 * 1024 * 1024 });
  const engine = new ArenaEngine({ arena });
  const vectors = engine.allocate(capacity * dim);
  vectors.values.set(data);
  const allowed = bitmapOf(capacity, (row) => row % 10 === 0);
  await engine.scan(vectors, requestOf(capacity, { metric: 'L2' }));
  const used = arena.usedBytes;
  const few = requestOf(capacity, { allowed, allowedCount: 100 });
  assert.deepEqual(await engine.scan(vectors, few), summed(arena, vectors, few));
  assert.equal(arena.usedBytes, used);
  vectors.free();
});

test('a full arena costs a COSINE scan its speed, not its answer', async () => {
  const arena = new VectorArena({ maxBytes: 256 * 1024, memoryBytes: 1024 * 1024, growBytes: 64 * 1024 });
  const engine = new ArenaEngine({ arena });
  const vectors = engine.allocate(capacity * dim);
  vectors.values.set(data);
  const fill: { free(): void }[] = [];
  for (let floats = 2 ** 16; floats >= 1; floats >>= 1)
    try {
      for (;;) fill.push(engine.allocate(floats));
    } catch {
      // Full for blocks of this size.
    }
  const request = requestOf(capacity);
  assert.equal(vectors.norms(dim), undefined);
  assert.deepEqual(await engine.scan(vectors, request), summed(arena, vectors, request));
  for (const block of [vectors, ...fill]) block.free();
});
