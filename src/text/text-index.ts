/**
 * The terms of a text column of one segment, made when a filter first asks for them and kept as long as the segment is in memory. It takes
 * about as much memory as the text. Rows are only added: of a growing segment those that came since are analyzed. Small blocks at the
 * end are made again as one, so that many small writes make few of them.
 */
import { buildTextBlock, type TextBlock, type TextRows } from './text-block.ts';

/** Bytes of text that are analyzed at once where answers wait. */
export const BYTES_AT_ONCE = 16 << 10;

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
      const { from, to } = this.#next(rows, rowCount, BYTES_AT_ONCE);
      this.#put(buildTextBlock(this.params, rows, from, to));
    }
  }

  /** The same, block by block with turns for others between; `blockBytes` of text each. Calls that come meanwhile wait for one another. */
  async extend(rows: TextRows, rowCount: number, blockBytes: number, build: BuildBlock): Promise<void> {
    while (this.#extending !== undefined) await this.#extending.catch(() => undefined);
    this.#extending = this.#extend(rows, rowCount, blockBytes, build);
    try {
      await this.#extending;
    } finally {
      this.#extending = undefined;
    }
  }

  async #extend(rows: TextRows, rowCount: number, blockBytes: number, build: BuildBlock): Promise<void> {
    while (this.rowCount < rowCount) {
      const had = this.rowCount;
      const { from, to } = this.#next(rows, rowCount, blockBytes);
      const block = await build(rows, from, to);
      // Unless somebody who could not wait has been here.
      if (this.rowCount === had) this.#put(block);
    }
  }

  /** Rows of the next block: new ones, and those of blocks at the end that are no larger and small together with them. */
  #next(
    rows: TextRows,
    rowCount: number,
    blockBytes: number,
  ): { readonly from: number; readonly to: number } {
    let from = this.rowCount;
    const to = endOf(rows, from, rowCount, blockBytes);
    for (let i = this.#blocks.length - 1; i >= 0; i--) {
      const { firstRow } = this.#blocks[i] as TextBlock;
      const isLarger = weightOf(rows, firstRow, from) > weightOf(rows, from, to);
      if (isLarger || weightOf(rows, firstRow, to) > MAX_REMADE) break;
      from = firstRow;
    }
    return { from, to };
  }

  #put(block: TextBlock): void {
    while ((this.#blocks.at(-1)?.firstRow ?? -1) >= block.firstRow) this.#blocks.pop();
    this.#blocks.push(block);
  }
}

/** What is made again at most: a millisecond or two of work. */
const MAX_REMADE = BYTES_AT_ONCE;
/** A row without text costs as much as so many bytes. */
const ROW_WEIGHT = 8;

const weightOf = ({ offsets }: TextRows, from: number, to: number): number =>
  (offsets[to] as number) - (offsets[from] as number) + (to - from) * ROW_WEIGHT;

/** Rows of a block, however short their texts. */
const MAX_ROWS = 65_536;

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
