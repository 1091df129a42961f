/**
 * Tests whose worst rows take longer than an event loop may be held: what is quick is answered at once, the rest stays open until a worker
 * has answered it for the rows that pass all other tests.
 */
import { type Answer, OPEN, UNKNOWN } from './answer.ts';

/** Item `i` is `data.subarray(offsets[i], offsets[i + 1])`. */
export interface Batch {
  readonly data: Uint8Array;
  readonly offsets: Uint32Array;
}
/** Answers a batch, item by item. */
export type Ask = (batch: Batch, signal?: AbortSignal) => Promise<Uint8Array>;

export interface OpenTest {
  /** Undefined: null. */
  read(row: number): Uint8Array | undefined;
  /** Undefined: not quickly. */
  decide(bytes: Uint8Array): Answer | undefined;
  readonly ask: Ask;
}

/** Not looked at. */
const UNSEEN = 4;
/** Rows and bytes that go to a worker at once. */
const BATCH_ROWS = 4096;
const BATCH_BYTES = 2 ** 20;

/** One such test over the rows of one block. */
export class OpenAnswers {
  readonly #answers: Uint8Array;
  readonly #test: OpenTest;

  constructor(rowCount: number, test: OpenTest) {
    this.#answers = new Uint8Array(rowCount).fill(UNSEEN);
    this.#test = test;
  }

  answer(row: number): Answer | typeof OPEN {
    const known = this.#answers[row];
    if (known !== UNSEEN) return known as Answer | typeof OPEN;
    const bytes = this.#test.read(row);
    const found = bytes === undefined ? UNKNOWN : (this.#test.decide(bytes) ?? OPEN);
    this.#answers[row] = found;
    return found;
  }

  isOpen(row: number): boolean {
    return this.#answers[row] === OPEN;
  }

  /** Has the open rows among these answered. */
  async settle(rows: readonly number[], signal?: AbortSignal): Promise<void> {
    const open = rows.filter((row) => this.isOpen(row));
    for (let from = 0; from < open.length; ) {
      const answers = await this.#test.ask(this.#batch(open, from), signal);
      for (const answer of answers) this.#answers[open[from++] as number] = answer;
    }
  }

  #batch(rows: readonly number[], from: number): Batch {
    const parts: Uint8Array[] = [];
    let bytes = 0;
    for (let i = from; i < rows.length && parts.length < BATCH_ROWS && bytes < BATCH_BYTES; i++) {
      const part = this.#test.read(rows[i] as number) ?? new Uint8Array(0);
      parts.push(part);
      bytes += part.length;
    }
    const offsets = new Uint32Array(parts.length + 1);
    const data = new Uint8Array(bytes);
    for (const [i, part] of parts.entries()) {
      data.set(part, offsets[i]);
      offsets[i + 1] = (offsets[i] as number) + part.length;
    }
    return { data, offsets };
  }
}
