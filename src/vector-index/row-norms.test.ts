import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bitmapOf, clusteredVectors } from '../../tests/vectors.ts';
import { floatsOf, VectorArena } from './arena.ts';
import { scanScratchBytes, scanTopK } from './flat.ts';
import { RowNorms } from './row-norms.ts';

test('a COSINE scan with kept norms gives the very rows and scores of one that sums them', () => {
  for (const dim of [1, 3, 4, 7, 8, 12, 15, 16, 24, 33, 100, 129]) {
    const rowCount = 2001;
    const arena = new VectorArena({ maxBytes: 64 * 1024 * 1024 });
    const block = arena.allocate(rowCount * dim * 4);
    const values = floatsOf(block);
    values.set(clusteredVectors(rowCount, dim, { latent: 6 }));
    for (const row of [0, 700, 2000]) values.fill(0, row * dim, (row + 1) * dim);
    for (const [row, odd] of [1e-30, 1e25, Number.NaN, Number.POSITIVE_INFINITY].entries())
      values.fill(odd, (40 + row) * dim, (41 + row) * dim);
    const norms = new RowNorms(arena, block, dim);
    for (const rows of [1, 1, 0, 64, rowCount]) norms.extendTo(rows);
    assert.equal(norms.rows, rowCount);
    const queries = clusteredVectors(3, dim, { latent: 6, offset: 1 });
    for (const allowed of [undefined, bitmapOf(rowCount, (row) => row % 7 === 0)])
      for (const [from, to] of [
        [0, rowCount],
        [31, 1990],
        [2000, 2001],
      ] as const) {
        const shape = { dim, metric: 'COSINE' as const, from, to, queries, queryCount: 3, k: 3000, allowed };
        const input = { ...shape, vectorsOffset: block.byteOffset };
        const kernels = arena.kernels(block, scanScratchBytes(input));
        const summed = scanTopK(kernels, input);
        assert.deepEqual(scanTopK(kernels, { ...input, normsOffset: norms.offset }), summed);
        assert.ok(allowed !== undefined || (summed.counts[0] ?? 0) >= to - from - 4);
      }
    norms.free();
    arena.free(block);
    assert.equal(arena.usedBytes, 0);
  }
});

test('a norm is one over the length of its row', () => {
  const arena = new VectorArena({ maxBytes: 1024 * 1024 });
  const block = arena.allocate(2 * 4 * 4);
  floatsOf(block).set([1, 0, 0, 0, 0, 3, 0, 4]);
  const norms = new RowNorms(arena, block, 4);
  norms.extendTo(2);
  assert.deepEqual([...new Float32Array(block.memory.buffer, norms.offset, 2)], [1, Math.fround(0.2)]);
});
