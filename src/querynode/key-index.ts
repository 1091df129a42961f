/**
 * Rows of a unit by primary key: open addressing over row numbers, the keys themselves stay in their column. Rows of one key
 * hang on a chain behind the newest of them, so that a key inserted a million times costs no more than a million keys.
 */
import { compareKeys, hashKey, type KeyColumn } from '../segment/key-column.ts';

export class KeyIndex {
  /** Row + 1; 0 is empty. */
  readonly #slots: Int32Array;
  readonly #mask: number;
  readonly #capacity: number;
  /** Next older row of the same key, + 1. Made when the first key comes twice. */
  #next: Int32Array | undefined;

  constructor(capacity: number) {
    const slots = 2 ** Math.ceil(Math.log2(Math.max(8, capacity * 1.5)));
    this.#slots = new Int32Array(slots);
    this.#mask = slots - 1;
    this.#capacity = capacity;
  }

  /** `keys` is the column in which the rows added so far and `row` stand. */
  add(keys: KeyColumn, row: number): void {
    let slot = hashKey(keys, row) & this.#mask;
    for (;;) {
      const held = this.#slots[slot] ?? 0;
      if (held === 0) break;
      if (compareKeys(keys, held - 1, keys, row) === 0) {
        this.#next ??= new Int32Array(this.#capacity);
        this.#next[row] = held;
        break;
      }
      slot = (slot + 1) & this.#mask;
    }
    this.#slots[slot] = row + 1;
  }

  /** The newest row whose key is key `at` of `wanted`; -1 when there is none. */
  find(keys: KeyColumn, wanted: KeyColumn, at: number): number {
    let slot = hashKey(wanted, at) & this.#mask;
    for (;;) {
      const held = this.#slots[slot] ?? 0;
      if (held === 0) return -1;
      if (compareKeys(keys, held - 1, wanted, at) === 0) return held - 1;
      slot = (slot + 1) & this.#mask;
    }
  }

  /** The next older row of the same key; -1 after the last. */
  older(row: number): number {
    return (this.#next?.[row] ?? 0) - 1;
  }
}
