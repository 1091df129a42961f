/** Results go to one stream, progress to the other, and only to people. */
import type { WriteStream } from 'node:tty';
import { plain } from './format.ts';

const DEFAULT_COLUMNS = 80;

export class Terminal {
  readonly #out: NodeJS.WriteStream;
  readonly #progress: WriteStream | undefined;
  #hasLine = false;

  constructor(out: NodeJS.WriteStream, err: NodeJS.WriteStream) {
    this.#out = out;
    this.#progress = err.isTTY ? err : undefined;
    // Every write hears of its own failure; what is progress may get lost.
    for (const stream of [out, err]) stream.on('error', () => undefined);
  }

  /** Resolves when it is written: nothing is lost when the process ends then, and a slow reader slows us down. */
  async print(text: string): Promise<void> {
    this.clear();
    await new Promise<void>((resolve, reject) => {
      this.#out.write(`${text}\n`, (error) => (error ? reject(error) : resolve()));
    });
  }

  /** One line of text from anywhere that the next one replaces. */
  progress(text: string): void {
    if (this.#progress === undefined) return;
    // A terminal that does not know its width says 0.
    const columns = this.#progress.columns || DEFAULT_COLUMNS;
    this.#progress.write(`\r${plain(text).slice(0, columns - 1)}\u001b[K`);
    this.#hasLine = true;
  }

  clear(): void {
    if (this.#hasLine) this.#progress?.write('\r\u001b[K');
    this.#hasLine = false;
  }
}
