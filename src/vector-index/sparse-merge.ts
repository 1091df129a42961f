/** Several blocks of rows that follow one another as one, made in steps: writes go on in between. */
import { assert } from '../support/assert.ts';
import type { SparseBlock } from './sparse-block.ts';

/** What one step does, in postings and dimensions: some hundred microseconds. */
const STEP = 32_768;
/** To look for a dimension in one block costs as much as so many postings. */
const DIM_COST = 2;

/** Yields after each step; returns the block that `buildBlock` makes of the same rows. */
export function* mergingBlocks(blocks: readonly SparseBlock[]): Generator<void, SparseBlock> {
  const [first] = blocks;
  assert(first !== undefined, 'there are blocks to merge');
  const merger = new Merger(first.firstRow, blocks);
  while (merger.step()) yield;
  return merger.block();
}

class Merger {
  readonly #firstRow: number;
  readonly #blocks: readonly SparseBlock[];
  /** Of each block: the place of its next dimension, and that dimension; behind the last one infinity. */
  readonly #next: Uint32Array;
  readonly #heads: Float64Array;
  readonly #dims: Uint32Array;
  readonly #starts: Uint32Array;
  readonly #highest: Float32Array;
  readonly #lowest: Float32Array;
  readonly #rows: Uint16Array;
  readonly #values: Float32Array;
  #dimCount = 0;
  #pairCount = 0;

  constructor(firstRow: number, blocks: readonly SparseBlock[]) {
    const mostDims = blocks.reduce((sum, { dims }) => sum + dims.length, 0);
    const pairs = blocks.reduce((sum, { rows }) => sum + rows.length, 0);
    this.#firstRow = firstRow;
    this.#blocks = blocks;
    this.#next = new Uint32Array(blocks.length);
    this.#heads = Float64Array.from(blocks, ({ dims }) => dims[0] ?? Number.POSITIVE_INFINITY);
    this.#dims = new Uint32Array(mostDims);
    this.#starts = new Uint32Array(mostDims + 1);
    this.#highest = new Float32Array(mostDims);
    this.#lowest = new Float32Array(mostDims);
    this.#rows = new Uint16Array(pairs);
    this.#values = new Float32Array(pairs);
  }

  /** False: there is nothing left to do. */
  step(): boolean {
    for (let cost = 0; cost < STEP; ) {
      const dim = this.#nextDim();
      if (dim === Number.POSITIVE_INFINITY) return false;
      const before = this.#pairCount;
      this.#take(dim);
      cost += DIM_COST * this.#blocks.length + this.#pairCount - before;
    }
    return true;
  }

  block(): SparseBlock {
    const blocks = this.#blocks;
    const rowCount = blocks.reduce((sum, block) => sum + block.rowCount, 0);
    const lengths = new Float32Array(rowCount);
    for (const block of blocks) lengths.set(block.lengths, block.firstRow - this.#firstRow);
    const count = this.#dimCount;
    return {
      firstRow: this.#firstRow,
      rowCount,
      dims: this.#dims.slice(0, count),
      starts: this.#starts.slice(0, count + 1),
      rows: this.#rows,
      values: this.#values,
      highest: this.#highest.slice(0, count),
      lowest: this.#lowest.slice(0, count),
      lengths,
      totalLength: blocks.reduce((sum, { totalLength }) => sum + totalLength, 0),
      shortest: Math.min(...blocks.map(({ shortest }) => shortest)),
    };
  }

  #nextDim(): number {
    let least = Number.POSITIVE_INFINITY;
    for (let b = 0; b < this.#heads.length; b++)
      if ((this.#heads[b] as number) < least) least = this.#heads[b] as number;
    return least;
  }

  #take(dim: number): void {
    const place = this.#dimCount++;
    let high = Number.NEGATIVE_INFINITY;
    let low = Number.POSITIVE_INFINITY;
    for (let b = 0; b < this.#heads.length; b++) {
      if (this.#heads[b] !== dim) continue;
      const block = this.#blocks[b] as SparseBlock;
      const at = this.#next[b] as number;
      this.#next[b] = at + 1;
      this.#heads[b] = block.dims[at + 1] ?? Number.POSITIVE_INFINITY;
      this.#copy(block, block.starts[at] as number, block.starts[at + 1] as number);
      high = Math.max(high, block.highest[at] as number);
      low = Math.min(low, block.lowest[at] as number);
    }
    this.#dims[place] = dim;
    this.#starts[place + 1] = this.#pairCount;
    this.#highest[place] = high;
    this.#lowest[place] = low;
  }

  #copy({ firstRow, rows, values }: SparseBlock, from: number, to: number): void {
    const shift = firstRow - this.#firstRow;
    let at = this.#pairCount;
    for (let p = from; p < to; p++) {
      this.#rows[at] = (rows[p] as number) + shift;
      this.#values[at++] = values[p] as number;
    }
    this.#pairCount = at;
  }
}
