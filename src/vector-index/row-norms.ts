import { assert } from '../support/assert.ts';
import type { Block, VectorArena } from './arena.ts';

/**
 * 1 / |row| of the rows in a block, four bytes a row in the same memory: a COSINE scan that is given them need not sum squares.
 * Each is computed once, so a row must not change after `extendTo` has passed it.
 */
export class RowNorms {
  readonly #arena: VectorArena;
  readonly #vectors: Block;
  readonly #dim: number;
  readonly #block: Block;
  #rows = 0;

  /** Throws `resource-exhausted` when the memory of `vectors` is full. */
  constructor(arena: VectorArena, vectors: Block, dim: number) {
    this.#arena = arena;
    this.#vectors = vectors;
    this.#dim = dim;
    this.#block = arena.allocateBeside(vectors, Math.floor(vectors.byteLength / (dim * 4)) * 4);
  }

  /** For `ScanInput.normsOffset`. */
  get offset(): number {
    return this.#block.byteOffset;
  }

  /** Rows [0, rows) have theirs. */
  get rows(): number {
    return this.#rows;
  }

  /** On this thread: about as long as a scan of the rows that are new. */
  extendTo(rows: number): void {
    const from = this.#rows;
    if (rows <= from) return;
    assert(rows * 4 <= this.#block.byteLength, 'the block holds the rows');
    // The kernel needs no scratch, but an area is never empty.
    const { run } = this.#arena.kernels(this.#vectors, 1);
    const firstVector = this.#vectors.byteOffset + from * this.#dim * 4;
    run.writeInverseNorms(firstVector, this.#dim, rows - from, this.offset + from * 4);
    this.#rows = rows;
  }

  free(): void {
    this.#arena.free(this.#block);
  }
}
