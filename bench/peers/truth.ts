/** Worker thread: the exact answers of a set, by a scan of every row; some of them are found again by the obvious loop in double precision. */
import { readFileSync, writeFileSync } from 'node:fs';
import { workerData } from 'node:worker_threads';
import { floatsOf, VectorArena } from '../../src/vector-index/arena.ts';
import { scanScratchBytes, scanTopK } from '../../src/vector-index/flat.ts';
import { RowNorms } from '../../src/vector-index/row-norms.ts';
import { slowScore } from '../../tests/vectors.ts';
import { type Answers, BELOW, K, numberOf, type VectorSet } from './sets.ts';

const set = workerData as VectorSet;
const { rows, dim, metric, queries } = set;
const floats = (file: string): Float32Array => {
  const bytes = readFileSync(file);
  return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
};
const held = floats(set.queriesFile);
const arena = new VectorArena({ maxBytes: 2 ** 31 });
const block = arena.allocate(rows * dim * 4);
const vectors = floatsOf(block);
vectors.set(floats(set.vectorsFile));
const norms = new RowNorms(arena, block, dim);
norms.extendTo(rows);

function answers(below?: number): number[][] {
  const allowed = below === undefined ? undefined : new Uint32Array(Math.ceil(rows / 32));
  if (allowed !== undefined && below !== undefined)
    for (let row = 0; row < rows; row++)
      if (numberOf(row) < below) allowed[row >> 5] = (allowed[row >> 5] ?? 0) | (1 << (row & 31));
  const input = {
    vectorsOffset: block.byteOffset,
    normsOffset: norms.offset,
    dim,
    metric,
    from: 0,
    to: rows,
    k: K,
    queryCount: queries,
    queries: held,
    allowed,
  };
  const found = scanTopK(arena.kernels(block, scanScratchBytes(input)), input);
  let at = 0;
  return Array.from(found.counts, (count) => {
    at += count;
    return [...found.rows.subarray(at - count, at)];
  });
}

/** Throws unless the obvious loop gives a query the same scores. */
function check(query: number, found: readonly number[], below = Number.POSITIVE_INFINITY): void {
  const vector = held.subarray(query * dim, (query + 1) * dim);
  const score = (row: number) => slowScore(metric, vector, vectors.subarray(row * dim, (row + 1) * dim));
  const sign = metric === 'L2' ? 1 : -1;
  const all: number[] = [];
  for (let row = 0; row < rows; row++) if (numberOf(row) < below) all.push(sign * score(row));
  all.sort((a, b) => a - b);
  found.forEach((row, i) => {
    const want = all[i] ?? Number.NaN;
    if (!(Math.abs(sign * score(row) - want) <= 1e-4 * Math.max(1, Math.abs(want))))
      throw new Error(
        `query ${query}: the exact scan says row ${row} is number ${i}, the obvious loop does not`,
      );
  });
}

const truth: Answers = {
  all: answers(),
  below: Object.fromEntries(BELOW.map((below) => [below, answers(below)])),
};
for (const query of [0, Math.floor(queries / 2), queries - 1]) {
  check(query, truth.all[query] ?? []);
  check(query, truth.below[BELOW[1]]?.[query] ?? [], BELOW[1]);
}
writeFileSync(set.truthFile, JSON.stringify(truth));
