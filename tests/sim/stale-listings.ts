import type { ListedObject, ObjectStore } from '../../src/storage/object-store.ts';
import type { Random } from '../../src/support/random.ts';
import { storeWith } from './plants.ts';

interface Change {
  readonly atMs: number;
  readonly was: ListedObject | undefined;
}

/**
 * Remembers of every object what it was before its last change, so that a listing can be behind, as that of an eventually consistent store:
 * each object by itself is shown as it is or as it was. The port allows it of listings alone.
 */
export class StaleListings {
  /** The same store; what is changed through it is remembered. */
  readonly store: ObjectStore;
  readonly #inner: ObjectStore;
  readonly #nowMs: () => number;
  readonly #random: Random;
  readonly #changes = new Map<string, Change>();

  constructor(inner: ObjectStore, nowMs: () => number, random: Random) {
    this.#inner = inner;
    this.#nowMs = nowMs;
    this.#random = random;
    const changing = async <T>(key: string, change: () => Promise<T>): Promise<T> => {
      const stat = await inner.stat(key);
      const result = await change();
      this.#changes.set(key, { atMs: nowMs(), was: stat === undefined ? undefined : { key, ...stat } });
      return result;
    };
    this.store = storeWith(inner, {
      put: (key, bytes) => changing(key, () => inner.put(key, bytes)),
      copy: (from, to, options) => changing(to, () => inner.copy(from, to, options)),
      delete: (key) => changing(key, () => inner.delete(key)),
    });
  }

  /** A listing in which changes of the last `lagMs` are seen or not. */
  async *list(prefix: string, lagMs: number): AsyncIterable<ListedObject> {
    const fromMs = this.#nowMs() - lagMs;
    const shown = new Map<string, ListedObject>();
    for await (const entry of this.#inner.list(prefix)) shown.set(entry.key, entry);
    for (const [key, { atMs, was }] of this.#changes) {
      if (atMs < fromMs || !key.startsWith(prefix) || this.#random.below(2) === 0) continue;
      if (was === undefined) shown.delete(key);
      else shown.set(key, was);
    }
    yield* [...shown.values()].sort((a, b) => (a.key < b.key ? -1 : 1));
  }
}
