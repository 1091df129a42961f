/**
 * What a table should hold, kept beside it: how many records, and a sum over keys and values. A record that has gone, come back, or
 * come under another key, by damage of the storage below, shows as a difference; which one it is cannot be told.
 */
import { crc32 } from '../support/crc32.ts';

/** Records, and the sum of their checksums modulo 2^32. */
export type Account = readonly [count: number, sum: number];

export class TableAccount {
  readonly #sums = new Map<string, number>();
  #sum = 0;

  get now(): Account {
    return [this.#sums.size, this.#sum];
  }

  /** `value` undefined: the record goes. Answers how to take it back. */
  set(key: string, value: Uint8Array | undefined): () => void {
    const before = this.#sums.get(key);
    const after = value === undefined ? undefined : crc32(value, crc32(utf8.encode(key)));
    this.#put(key, after);
    return () => this.#put(key, before);
  }

  #put(key: string, sum: number | undefined): void {
    this.#sum = (this.#sum - (this.#sums.get(key) ?? 0) + (sum ?? 0)) >>> 0;
    if (sum === undefined) this.#sums.delete(key);
    else this.#sums.set(key, sum);
  }
}

const utf8 = new TextEncoder();
