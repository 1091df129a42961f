import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bitmapOf } from '../../tests/vectors.ts';
import { isSmallerBetter, type ListMetric, pairMetric } from '../model/metric.ts';
import type { ListColumn, VectorColumn } from '../model/rows.ts';
import { seededRandom } from '../support/random.ts';
import { VectorArena } from '../vector-index/arena.ts';
import { scanItems, scanLists } from './list-scans.ts';
import { Pacer, Turns } from './pacer.ts';

const pacer = new Pacer(new Turns(), new AbortController().signal);
const random = seededRandom(9);
const dim = 64;

/** Small whole numbers: sums are exact. */
const vectors = (count: number): VectorColumn => ({
  layout: 'vector',
  type: 'FloatVector',
  dim,
  values: Float32Array.from({ length: count * dim }, () => random.below(7) - 3),
});
function listsOf(lengths: readonly number[]): ListColumn {
  const offsets = new Uint32Array(lengths.length + 1);
  lengths.forEach((length, i) => {
    offsets[i + 1] = offsets[i]! + length;
  });
  return { layout: 'list', type: 'ArrayOfVector', offsets, items: vectors(offsets[lengths.length]!) };
}
const valuesOf = ({ items }: ListColumn, item: number): Float32Array =>
  (items as VectorColumn).values.subarray(item * dim, (item + 1) * dim) as Float32Array;

function pairScore(metric: 'L2' | 'IP', a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < dim; i++) sum += metric === 'L2' ? (a[i]! - b[i]!) ** 2 : a[i]! * b[i]!;
  return sum;
}

const column = listsOf(Array.from({ length: 700 }, (_, row) => (row === 300 ? 1500 : row % 5)));
const keep = (row: number) => row % 3 !== 1;
const base = { rowCount: 690, allowed: bitmapOf(700, keep), allowedCount: 460, pacer };

test('rows in many batches are compared with short and very long query lists, together and in parts, exactly', async () => {
  const arena = new VectorArena({ maxBytes: 2 ** 26 });
  const queries = listsOf([1, 150, 3, 64, 65, 2]);
  for (const metric of ['MAX_SIM_L2', 'MAX_SIM_IP'] as const satisfies readonly ListMetric[]) {
    const found = await scanLists(arena, column, { ...base, metric, queries, queryCount: 6, k: 12 });
    const pair = pairMetric[metric] as 'L2' | 'IP';
    const sign = isSmallerBetter(metric) ? 1 : -1;
    let at = 0;
    for (let q = 0; q < 6; q++) {
      const expected: { row: number; score: number }[] = [];
      for (let row = 0; row < base.rowCount; row++) {
        const [from, to] = [column.offsets[row]!, column.offsets[row + 1]!];
        if (from === to || !keep(row)) continue;
        let score = 0;
        for (let each = queries.offsets[q]!; each < queries.offsets[q + 1]!; each++) {
          let best = Number.POSITIVE_INFINITY;
          for (let item = from; item < to; item++)
            best = Math.min(best, sign * pairScore(pair, valuesOf(column, item), valuesOf(queries, each)));
          score += sign * best;
        }
        expected.push({ row, score });
      }
      expected.sort((a, b) => sign * (a.score - b.score) || a.row - b.row);
      for (const { row, score } of expected.slice(0, 12)) {
        assert.deepEqual([found.rows[at], found.scores[at]], [row, score], `${metric}, query ${q}`);
        at++;
      }
    }
    assert.equal(at, found.rows.length);
  }
  assert.equal(arena.usedBytes, 0);
});

test('single vectors are found among the items of many batches, by many queries', async () => {
  const arena = new VectorArena({ maxBytes: 2 ** 26 });
  const queries = vectors(100);
  const found = await scanItems(arena, column, {
    ...base,
    metric: 'L2',
    dim,
    queries: queries.values as Float32Array,
    queryCount: 100,
    k: 5,
  });
  for (const q of [0, 31, 63, 64, 99]) {
    const query = queries.values.subarray(q * dim, (q + 1) * dim) as Float32Array;
    const expected: { row: number; element: number; score: number }[] = [];
    for (let row = 0; row < base.rowCount; row++)
      for (let item = column.offsets[row]!; keep(row) && item < column.offsets[row + 1]!; item++)
        expected.push({
          row,
          element: item - column.offsets[row]!,
          score: pairScore('L2', valuesOf(column, item), query),
        });
    expected.sort((a, b) => a.score - b.score || a.row - b.row || a.element - b.element);
    for (const [i, { row, element, score }] of expected.slice(0, 5).entries()) {
      const at = 5 * q + i;
      assert.deepEqual([found.rows[at], found.elements?.[at], found.scores[at]], [row, element, score]);
    }
  }
  assert.equal(arena.usedBytes, 0);
});
