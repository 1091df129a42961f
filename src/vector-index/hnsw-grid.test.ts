import assert from 'node:assert/strict';
import { test } from 'node:test';
import { clusteredVectors } from '../../tests/vectors.ts';
import { gridBytes, gridLanes, writeGrid } from './hnsw-grid.ts';
import { Kernels, newMemory, pieceBytes } from './kernels.ts';

const OUTSIDE = 255;

/** The points of `data`, by row, with the order they were written in. */
function gridOf(data: Float32Array, dim: number, levels: Uint8Array, heights?: Float32Array) {
  const rowCount = levels.length;
  const lanes = gridLanes({ dim, metric: heights === undefined ? 'L2' : 'IP' }) ?? 0;
  const sizes = gridBytes({ rowCount, dim, metric: 'L2', params: { M: 2, efConstruction: 1 } }, lanes);
  const total = Object.values({ ...sizes, data: data.byteLength, levels: rowCount, heights: rowCount * 4 })
    .map(pieceBytes)
    .reduce((a, b) => a + b, 4096);
  const kernels = new Kernels(newMemory(total, total), { byteOffset: 64, byteLength: total - 128 });
  const layout = kernels.layout();
  const at = Object.fromEntries(
    Object.entries(sizes).map(([name, bytes]) => [name, layout.take(bytes)]),
  ) as Record<keyof typeof sizes, number>;
  const vectors = layout.take(data.byteLength);
  kernels.floats(vectors, data.length).set(data);
  const levelsAt = layout.take(rowCount);
  kernels.bytes(levelsAt, rowCount).set(levels);
  const heightsAt = layout.take(rowCount * 4);
  if (heights !== undefined) kernels.floats(heightsAt, rowCount).set(heights);
  const place = { vectors, dim, rowCount, levels, levelsAt, inverses: 0, lanes };
  const rows = writeGrid(kernels, { ...at, ...place, heights: heights === undefined ? 0 : heightsAt });
  const numbers = new Int16Array(kernels.memory.buffer, at.points, rowCount * lanes);
  const points: Int16Array[] = [];
  rows?.forEach((row, i) => {
    points[row] = numbers.slice(i * lanes, (i + 1) * lanes);
  });
  return { points, rows, lanes };
}

const squared = (a: ArrayLike<number>, b: ArrayLike<number>): number =>
  Array.from(a).reduce((sum, x, i) => sum + (x - (b[i] ?? 0)) ** 2, 0);

test('distances between points are those between rows, in one scale, for every length of rows', () => {
  for (const dim of [8, 9, 15, 16, 33, 100]) {
    const data = clusteredVectors(1500, dim, { clusters: 20, latent: 6 });
    const heights = Float32Array.from({ length: 1500 }, (_, i) => (i % 7) / 10);
    const levels = new Uint8Array(1500);
    levels[3] = OUTSIDE;
    const { points, rows } = gridOf(data, dim, levels, heights);
    assert.deepEqual(
      [...(rows ?? [])].sort((a, b) => a - b),
      [...levels.keys()],
    );
    assert.ok(points[3]?.every((x) => x === 0));
    const row = (i: number) => [...data.subarray(i * dim, (i + 1) * dim), heights[i] ?? 0];
    const ratios: number[] = [];
    for (let i = 10; i < 1000; i += 10)
      ratios.push(Math.sqrt(squared(points[i] ?? [], points[i + 401] ?? []) / squared(row(i), row(i + 401))));
    const [low, high] = [Math.min(...ratios), Math.max(...ratios)];
    assert.ok(high / low < 1.003, `dim ${dim}: a unit is ${low} to ${high}`);
    const reach = Math.sqrt(Math.max(...points.map((point) => squared(point, new Int16Array(point.length)))));
    assert.ok(reach > 16_000 && reach < 16_400, `the farthest point is ${reach} from the origin`);
  }
});

test('rows near each other stand together more often than by chance, and the first ones stand as they came', () => {
  const dim = 16;
  const rowCount = 4000;
  const data = clusteredVectors(rowCount, dim, { clusters: 40, latent: 6 });
  const { points, rows } = gridOf(data, dim, new Uint8Array(rowCount));
  assert.ok(rows !== undefined);
  assert.deepEqual([...rows.subarray(0, 1024)], [...rows.keys()].slice(0, 1024));
  const between = (order: ArrayLike<number>) => {
    let sum = 0;
    for (let i = 1025; i < rowCount; i++)
      sum += squared(points[order[i - 1] ?? 0] ?? [], points[order[i] ?? 0] ?? []);
    return sum;
  };
  assert.ok(between(rows) < between([...rows.keys()]) / 3);
});

test('rows too large or too small to be squared, and short ones, have no grid', () => {
  const levels = new Uint8Array(100);
  for (const value of [3e38, 1e-30]) {
    const data = Float32Array.from({ length: 800 }, (_, i) => value * (i % 2));
    assert.equal(gridOf(data, 8, levels).rows, undefined);
  }
  assert.equal(gridLanes({ dim: 7, metric: 'L2' }), undefined);
});
