/**
 * Exact scans of bit vectors, posting lists of sparse vectors, lists of vectors: what a search of one segment costs.
 * Run: `node .build/bench/vector-types.bench.js [--rows N]`.
 */
import { parseArgs } from 'node:util';
import type { ListColumn } from '../src/model/rows.ts';
import { widen } from '../src/model/vector-floats.ts';
import { ArenaEngine } from '../src/querynode/arena-engine.ts';
import { Pacer, Turns } from '../src/querynode/pacer.ts';
import { searchSparse } from '../src/querynode/sparse-search.ts';
import { seededRandom } from '../src/support/random.ts';
import { VectorArena } from '../src/vector-index/arena.ts';
import { scanScratchBytes, scanTopK } from '../src/vector-index/flat.ts';
import { SparseIndex } from '../src/vector-index/sparse.ts';
import { buildBlocks } from '../src/vector-index/sparse-block.ts';
import { BlockTerms } from '../src/vector-index/sparse-bounds.ts';
import { type SparseRows, termsOf } from '../src/vector-index/sparse-rows.ts';
import { addScores } from '../src/vector-index/sparse-scores.ts';
import { bitmapOf } from '../tests/vectors.ts';

const { values: flags } = parseArgs({ options: { rows: { type: 'string' } } });
const rowCount = Number(flags.rows ?? 100_000);
const k = 10;
const arena = new VectorArena({ maxBytes: 2 ** 31 });
const pacer = new Pacer(new Turns(), new AbortController().signal);
const random = seededRandom(3);

const print = (text: string) => process.stdout.write(`${text}\n`);
const row = (...cells: (string | number)[]) => print(cells.map((cell) => String(cell).padStart(16)).join(''));
const median = (numbers: readonly number[]): number =>
  [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? Number.NaN;

async function medianMs(runs: number, work: (run: number) => unknown): Promise<number> {
  const times: number[] = [];
  for (let run = 0; run < runs; run++) {
    const start = performance.now();
    await work(run);
    times.push(performance.now() - start);
  }
  return median(times);
}

async function benchBits(): Promise<void> {
  print('\nExact scan of bits, one thread (medians of 15)');
  row('rows x bits', 'metric', 'ms/query', 'GB/s');
  for (const dim of [128, 768, 4096]) {
    const block = arena.allocate((rowCount * dim) / 8);
    const bytes = new Uint8Array(block.memory.buffer, block.byteOffset, block.byteLength);
    for (let i = 0; i < bytes.length; i++) bytes[i] = random.below(256);
    for (const metric of ['HAMMING', 'JACCARD', 'MHJACCARD'] as const) {
      const input = {
        vectorsOffset: block.byteOffset,
        dim,
        metric,
        from: 0,
        to: rowCount,
        k,
        queryCount: 1,
        queries: bytes.slice(0, dim / 8),
      };
      const kernels = arena.kernels(block, scanScratchBytes(input));
      const ms = await medianMs(15, () => scanTopK(kernels, input));
      row(`${rowCount}x${dim}`, metric, ms.toFixed(2), (block.byteLength / ms / 1e6).toFixed(1));
    }
    arena.free(block);
  }
}

/** As a learned sparse encoder gives them: dimensions by Zipf's law over a vocabulary, weights of a skewed distribution. */
function sparseRows(count: number, pairs: number, vocabulary: number): SparseRows {
  const offsets = new Uint32Array(count + 1);
  const words = new Uint32Array(2 * count * pairs);
  const floats = new Float32Array(words.buffer);
  const spread = Math.log(vocabulary);
  let at = 0;
  for (let each = 0; each < count; each++) {
    const dims = new Set<number>();
    for (let i = 0; i < pairs; i++) dims.add(Math.floor(Math.exp(random.next() * spread)) - 1);
    for (const dim of [...dims].sort((a, b) => a - b)) {
      words[2 * at] = dim;
      // What stands in many rows weighs little, as idf makes it.
      floats[2 * at + 1] = (0.2 + -Math.log(1 - random.next())) * (Math.log(dim + 2) / spread);
      at++;
    }
    offsets[each + 1] = at * 8;
  }
  return { offsets, data: new Uint8Array(words.buffer, 0, at * 8) };
}

async function benchSparse(): Promise<void> {
  print('\nSparse vectors, IP, one thread (medians of 50 queries)');
  row('rows', 'pairs a row', 'query pairs', 'way', 'ms/query', 'postings');
  const rows = sparseRows(rowCount, 150, 30_000);
  const start = performance.now();
  const blocks = buildBlocks(rows, rowCount);
  print(`built in ${(performance.now() - start).toFixed(0)} ms`);
  const index = new SparseIndex(blocks);
  const all = bitmapOf(rowCount, () => true);
  const few = bitmapOf(rowCount, (each) => each % 1000 === 0);
  for (const pairs of [8, 40]) {
    const queries = sparseRows(50, pairs, 30_000);
    const queryOf = (run: number): SparseRows => ({
      offsets: Uint32Array.of(queries.offsets[run] ?? 0, queries.offsets[run + 1] ?? 0),
      data: queries.data,
    });
    let postings = 0;
    const sums = new Float32Array(65_536);
    const plain = await medianMs(50, (run) => {
      const terms = termsOf(queryOf(run), 0);
      for (const block of blocks) {
        const found = new BlockTerms(terms.dims.length);
        found.fill(block, terms, undefined);
        postings += found.postings;
        addScores(block, found, sums, undefined);
        sums.fill(0);
      }
    });
    const cells = [rowCount, (rows.data.length / 8 / rowCount).toFixed(0), pairs];
    row(...cells, 'sums only', plain.toFixed(2), Math.round(postings / 50));
    for (const [way, allowed, allowedCount] of [
      ['search', all, rowCount],
      ['1 of 1000 rows', few, Math.ceil(rowCount / 1000)],
    ] as const) {
      const request = { queryCount: 1, rowCount, allowed, allowedCount, k, pacer };
      const ms = await medianMs(50, (run) =>
        searchSparse(index, rows, { ...request, queries: queryOf(run) }),
      );
      row(...cells, way, ms.toFixed(2), '');
    }
  }
}

async function benchLists(): Promise<void> {
  const dim = 128;
  const perRow = 32;
  const count = Math.min(rowCount, 5000);
  print(
    `\nEmbedding lists: ${count} rows of ${perRow} vectors of ${dim}, queries of 32 vectors (medians of 5)`,
  );
  row('type', 'metric', 'ms/query');
  const items = Int8Array.from({ length: count * perRow * dim }, () => random.below(255) - 127);
  const offsets = Uint32Array.from({ length: count + 1 }, (_, i) => i * perRow);
  const floats = new Float32Array(items.length);
  widen('Int8Vector', items, floats);
  const engine = new ArenaEngine({ arena });
  for (const [type, values] of [
    ['FloatVector', floats],
    ['Int8Vector', items],
  ] as const)
    for (const metric of ['MAX_SIM_COSINE', 'MAX_SIM_IP'] as const) {
      const column: ListColumn = {
        layout: 'list',
        type: 'ArrayOfVector',
        offsets,
        items: { layout: 'vector', type, dim, values },
      };
      const queries: ListColumn = {
        ...column,
        offsets: Uint32Array.of(0, 32),
        items: { layout: 'vector', type, dim, values: values.slice(0, 32 * dim) },
      };
      const request = { metric, queries, queryCount: 1, rowCount: count, allowedCount: count, k, pacer };
      row(type, metric, (await medianMs(5, () => engine.scanLists(column, request))).toFixed(1));
    }
}

async function benchWiden(): Promise<void> {
  print('\nNumbers of other types to floats when they are loaded: millions a second');
  const count = 10_000_000;
  const floats = new Float32Array(count);
  for (const [type, values] of [
    ['Float16Vector', Uint16Array.from({ length: count }, () => random.below(0x7c00))],
    ['BFloat16Vector', Uint16Array.from({ length: count }, () => random.below(0x7f80))],
    ['Int8Vector', new Int8Array(count).fill(7)],
  ] as const) {
    const ms = await medianMs(5, () => widen(type, values, floats));
    row(type, (count / ms / 1000).toFixed(0));
  }
}

await benchBits();
await benchSparse();
await benchLists();
await benchWiden();
