/**
 * The terms of a text column of one segment, made when a filter first asks for them and kept as long as the segment is in memory. It takes
 * about as much memory as the text. Rows are only added: of a growing segment those that came since are analyzed. Small blocks at the
 * end are made again as one, so that many small writes make few of them.
 */
import { buildTextBlock, type TextBlock, type TextRows } from './text-block.ts';

/** Bytes of text that are analyzed at once where answers wait. */
export const BYTES_AT_ONCE = 32 << 10;

/** Makes the block of some rows, here or in a worker thread. */
export type BuildBlock = (rows: TextRows, from: number, to: number) => Promise<TextBlock>;

export class TextIndex {
  /** Of the analyzer. */
  readonly params: string;
  readonly #blocks: TextBlock[] = [];
  #extending: Promise<void> | undefined;

  constructor(params: string) {
    this.params = params;
  }

  get blocks(): readonly TextBlock[] {
    return this.#blocks;
  }

  get rowCount(): number {
    const last = this.#blocks.at(-1);
    return last === undefined ? 0 : last.firstRow + last.rowCount;
  }

  /** Takes in the rows up to `rowCount`, now. */
  extendNow(rows: TextRows, rowCount: number): void {
    while (this.rowCount < rowCount) {
      const from = this.#takeSmall(rows);
      this.#blocks.push(buildTextBlock(this.params, rows, from, endOf(rows, from, rowCount, BYTES_AT_ONCE)));
    }
  }

  /** The same, block by block with turns for others between; `blockBytes` of text each. Calls that come meanwhile wait for one another. */
  async extend(rows: TextRows, rowCount: number, blockBytes: number, build: BuildBlock): Promise<void> {
    while (this.#extending !== undefined) await this.#extending;
    this.#extending = this.#extend(rows, rowCount, blockBytes, build);
    try {
      await this.#extending;
    } finally {
      this.#extending = undefined;
    }
  }

  async #extend(rows: TextRows, rowCount: number, blockBytes: number, build: BuildBlock): Promise<void> {
    while (this.rowCount < rowCount) {
      const from = this.#smallFrom(rows);
      const had = this.rowCount;
      const block = await build(rows, from, endOf(rows, from, rowCount, blockBytes));
      // Somebody who could not wait has been here.
      if (this.rowCount !== had || this.#smallFrom(rows) !== from) continue;
      this.#takeSmall(rows);
      this.#blocks.push(block);
    }
  }

  /** Blocks at the end that are small together are made again: those goes from row `from` on. */
  #smallFrom({ offsets }: TextRows): number {
    let from = this.rowCount;
    for (let i = this.#blocks.length - 1; i >= 0; i--) {
      const { firstRow } = this.#blocks[i] as TextBlock;
      const isSmall =
        bytesOf(offsets, firstRow, this.rowCount) <= BYTES_AT_ONCE / 4 &&
        this.rowCount - firstRow <= MAX_ROWS / 4;
      if (!isSmall) break;
      from = firstRow;
    }
    return from;
  }

  #takeSmall(rows: TextRows): number {
    const from = this.#smallFrom(rows);
    while (this.rowCount > from) this.#blocks.pop();
    return from;
  }
}

/** Rows of a block, however short their texts. */
const MAX_ROWS = 65_536;

const bytesOf = (offsets: Uint32Array, from: number, to: number): number =>
  (offsets[to] as number) - (offsets[from] as number);

/** One row at least. */
function endOf({ offsets }: TextRows, from: number, rowCount: number, bytes: number): number {
  const most = (offsets[from] as number) + bytes;
  let low = from + 1;
  for (let high = Math.min(rowCount, from + MAX_ROWS); low < high; ) {
    const middle = (low + high + 1) >>> 1;
    if ((offsets[middle] as number) <= most) low = middle;
    else high = middle - 1;
  }
  return low;
}
