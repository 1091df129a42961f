/** Rows that are not in the graph: identical to an earlier one, whose chain leads to them, or not finite. */

import { NO_ROW } from './hnsw-file.ts';
import type { Kernels } from './kernels.ts';

export interface Chained {
  /** As drawn; 255 for rows that are not in the graph. */
  readonly levels: Uint8Array;
  /** The next identical row of each, or NO_ROW. */
  readonly chains: Uint32Array;
  readonly duplicates: number;
}

const slotCountOf = (rowCount: number): number => 2 ** Math.ceil(Math.log2(rowCount * 2 + 2));

/** Scratch that `chainRows` takes. */
export const chainScratchBytes = (rowCount: number): number => slotCountOf(rowCount) * 4 + rowCount * 5 + 128;

/** Compares the rows of `dim` floats at `vectors` by their bytes. */
export function chainRows(kernels: Kernels, vectors: number, dim: number, drawn: Uint8Array): Chained {
  const rowCount = drawn.length;
  const scratch = kernels.layout();
  const slotCount = slotCountOf(rowCount);
  const slots = scratch.take(slotCount * 4);
  const chains = scratch.take(rowCount * 4);
  const levelsAt = scratch.take(rowCount);
  kernels.words(slots, slotCount).fill(NO_ROW);
  const levels = kernels.bytes(levelsAt, rowCount);
  levels.set(drawn);
  const duplicates = kernels.run.chainDuplicates(
    vectors,
    dim,
    rowCount,
    levelsAt,
    chains,
    slots,
    slotCount - 1,
  );
  return { levels: levels.slice(), chains: kernels.words(chains, rowCount).slice(), duplicates };
}
