import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { DbError } from '../errors/db-error.ts';
import type { Clock } from '../support/clock.ts';
import { toJson } from '../support/json.ts';

const CHUNK_LENGTH = 16 * 1024;
/** A client that takes nothing for this long is given up: what it asks for may hold a snapshot. */
const STALL_MS = 60_000;

/**
 * One JSON value a line into an HTTP answer, no faster than the client takes them. Lines that come in one turn of the event loop
 * go out together; one that comes alone goes out at once.
 */
export class LineSink {
  readonly #response: ServerResponse;
  readonly #clock: Clock;
  #pending = '';
  #scheduled: NodeJS.Immediate | undefined;

  constructor(response: ServerResponse, clock: Clock) {
    this.#response = response;
    this.#clock = clock;
  }

  get isStarted(): boolean {
    return this.#response.headersSent;
  }

  /** A stream without lines is an answer, too. */
  start(): void {
    if (!this.isStarted) this.#response.writeHead(200, { 'content-type': 'application/x-ndjson' });
  }

  /** Throws `cancelled` when the client is gone or takes nothing. */
  async push(value: unknown): Promise<void> {
    const response = this.#response;
    this.start();
    this.#pending += `${toJson(value)}\n`;
    this.#scheduled ??= setImmediate(() => this.#flush());
    if (this.#pending.length >= CHUNK_LENGTH) {
      this.#flush();
      // Whoever makes the lines may never wait: others want the event loop, too.
      await new Promise((resolve) => setImmediate(resolve));
    }
    if (response.writableNeedDrain && !response.destroyed) await this.#drained();
    if (response.destroyed) throw new DbError('cancelled', 'the client is gone');
  }

  end(): void {
    this.#flush();
    this.#response.end();
  }

  #flush(): void {
    clearImmediate(this.#scheduled);
    this.#scheduled = undefined;
    if (this.#pending !== '' && !this.#response.destroyed) this.#response.write(this.#pending);
    this.#pending = '';
  }

  async #drained(): Promise<void> {
    const waiting = new AbortController();
    const { signal } = waiting;
    try {
      await Promise.race([
        once(this.#response, 'drain', { signal }),
        once(this.#response, 'close', { signal }),
        this.#clock.sleep(STALL_MS, signal).then(() => void this.#response.destroy()),
      ]);
    } finally {
      waiting.abort();
    }
  }
}
