/**
 * The posting lists of one unit: blocks, which never change, and behind them the rows of a growing segment that are in none yet. Blocks of
 * a growing segment are merged as they become many, a step with each write.
 */
import { BLOCK_PAIRS, buildBlock, MAX_BLOCK_ROWS, type SparseBlock } from './sparse-block.ts';
import { mergingBlocks } from './sparse-merge.ts';
import { find, PAIR_BYTES, type SparseRows } from './sparse-rows.ts';
import { SparseTail } from './sparse-tail.ts';

/** Pairs of a growing segment that make a block: less than a millisecond of work. */
const GROWING_PAIRS = 16_384;
/** Blocks of about one size that are merged. */
const MERGED = 8;
/** Steps of a merge with a write, and one more for so many pairs that it brings: a merge ends before the next one is due. */
const PAIRS_PER_STEP = 4096;

interface Merging {
  readonly blocks: readonly SparseBlock[];
  readonly steps: Generator<void, SparseBlock>;
}

/** What a reader takes at once: all rows of the unit are in one of the blocks or in the tail. */
export interface SparseParts {
  readonly blocks: readonly SparseBlock[];
  readonly tail: SparseTail;
}

export class SparseIndex {
  #blocks: readonly SparseBlock[];
  #tail: SparseTail;
  #merging: Merging | undefined;
  #isFinished = false;

  constructor(blocks: readonly SparseBlock[] = []) {
    this.#blocks = blocks;
    const last = blocks.at(-1);
    this.#tail = new SparseTail(last === undefined ? 0 : last.firstRow + last.rowCount);
  }

  /** Replaced, never changed. */
  get blocks(): readonly SparseBlock[] {
    return this.#blocks;
  }

  /** Holds all rows behind the blocks. */
  get tail(): SparseTail {
    return this.#tail;
  }

  /** Takes rows up to `rowCount`. */
  extend(rows: SparseRows, rowCount: number): void {
    const { offsets } = rows;
    const known = this.#tail.firstRow + this.#tail.rowCount;
    const pairs = ((offsets[rowCount] ?? 0) - (offsets[known] ?? 0)) / PAIR_BYTES;
    while (this.#tail.firstRow + this.#tail.rowCount < rowCount) {
      const from = this.#tail.firstRow;
      const to = growingEnd(rows, from, rowCount);
      if (to < rowCount || isFull(rows, from, to)) this.#cut(rows, to);
      else {
        this.#tail.extend(rows, rowCount);
        const end = this.#tail.firstRow + this.#tail.rowCount;
        if (end < rowCount) this.#cut(rows, Math.max(end, from + 1));
      }
    }
    for (let steps = 1 + Math.floor(pairs / PAIRS_PER_STEP); steps > 0 && this.advance(); ) steps--;
  }

  /** No more rows will come: all that are there go into as few blocks as can be, by `advance`. */
  finish(rows: SparseRows): void {
    this.#isFinished = true;
    if (this.#tail.rowCount > 0) this.#cut(rows, this.#tail.firstRow + this.#tail.rowCount);
  }

  /** Goes on with the merging of blocks. False: there is nothing to do. */
  advance(): boolean {
    this.#merging ??= this.#isFinished ? remainingOf(this.#blocks) : dueOf(this.#blocks);
    if (this.#merging === undefined) return false;
    const { blocks, steps } = this.#merging;
    const { done, value } = steps.next();
    if (done !== true) return true;
    const from = this.#blocks.indexOf(blocks[0] as SparseBlock);
    this.#blocks = [...this.#blocks.slice(0, from), value, ...this.#blocks.slice(from + blocks.length)];
    this.#merging = undefined;
    return true;
  }

  /** The sum of all values of the first `rowCount` rows. For BM25's average length. */
  totalLength(rowCount: number): number {
    let total = 0;
    for (const block of this.#blocks) {
      const rows = rowCount - block.firstRow;
      total += rows >= block.rowCount ? block.totalLength : firstLengths(block, rows);
    }
    return total + this.#tail.totalLength(rowCount - this.#tail.firstRow);
  }

  /** Adds to `counts`, from `at` on, how many of the first `rowCount` rows have each of the dimensions. For BM25's idf. */
  addFrequencies(dims: Uint32Array, rowCount: number, counts: Float64Array, at: number): void {
    for (const block of this.#blocks)
      for (let i = 0; i < dims.length; i++) {
        const place = find(block.dims, dims[i] as number);
        if (place >= 0) counts[at + i] = (counts[at + i] as number) + rowsWith(block, place, rowCount);
      }
    const inTail = rowCount - this.#tail.firstRow;
    if (inTail <= 0) return;
    for (let i = 0; i < dims.length; i++)
      counts[at + i] = (counts[at + i] as number) + this.#tail.frequency(dims[i] as number, inTail);
  }

  #cut(rows: SparseRows, to: number): void {
    this.#blocks = [...this.#blocks, buildBlock(rows, this.#tail.firstRow, to)];
    this.#tail = new SparseTail(to);
  }
}

const isFull = ({ offsets }: SparseRows, from: number, to: number): boolean =>
  (offsets[to] ?? 0) - (offsets[from] ?? 0) >= GROWING_PAIRS * PAIR_BYTES || to - from >= MAX_BLOCK_ROWS;

/** Behind the row that makes the rows from `from` on worth a block, but not behind `rowCount`. */
function growingEnd({ offsets }: SparseRows, from: number, rowCount: number): number {
  const most = (offsets[from] ?? 0) + GROWING_PAIRS * PAIR_BYTES;
  let to = Math.min(rowCount, from + MAX_BLOCK_ROWS);
  while (to > from + 1 && (offsets[to - 1] ?? 0) >= most) to--;
  return to;
}

/** Grows by one when the pairs are so many times as many as are merged. */
const levelOf = ({ rows }: SparseBlock): number =>
  Math.floor(Math.log2(rows.length + 1) / Math.log2(MERGED) + 0.1);

/** The last run of blocks of one size that is long enough, those behind a larger one taken for as large. */
function dueOf(blocks: readonly SparseBlock[]): Merging | undefined {
  for (let end = blocks.length, level = 0; end > 0; ) {
    level = Math.max(level, levelOf(blocks[end - 1] as SparseBlock));
    let from = end - 1;
    while (from > 0 && levelOf(blocks[from - 1] as SparseBlock) <= level) from--;
    const due = blocks.slice(from, from + MERGED);
    if (end - from >= MERGED && isMergeable(due)) return { blocks: due, steps: mergingBlocks(due) };
    end = from;
  }
  return undefined;
}

/** The first blocks that fit into one. */
function remainingOf(blocks: readonly SparseBlock[]): Merging | undefined {
  for (let from = 0; from < blocks.length; from++) {
    let end = from + 1;
    while (end < blocks.length && isMergeable(blocks.slice(from, end + 1))) end++;
    const due = blocks.slice(from, end);
    if (due.length > 1) return { blocks: due, steps: mergingBlocks(due) };
  }
  return undefined;
}

const isMergeable = (blocks: readonly SparseBlock[]): boolean =>
  blocks.reduce((sum, { rows }) => sum + rows.length, 0) <= BLOCK_PAIRS &&
  blocks.reduce((sum, { rowCount }) => sum + rowCount, 0) <= MAX_BLOCK_ROWS;

/** Of a reader that began before the block was full. */
function firstLengths({ lengths }: SparseBlock, rows: number): number {
  let total = 0;
  for (let i = 0; i < rows; i++) total += lengths[i] as number;
  return total;
}

/** How many of the first `rowCount` rows of the unit have the dimension. */
function rowsWith(
  { firstRow, rowCount: own, rows, starts }: SparseBlock,
  place: number,
  rowCount: number,
): number {
  const start = starts[place] as number;
  let end = starts[place + 1] as number;
  if (firstRow + own > rowCount)
    while (end > start && firstRow + (rows[end - 1] as number) >= rowCount) end--;
  return end - start;
}
