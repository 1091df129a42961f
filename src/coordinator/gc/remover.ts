/**
 * The one place that deletes objects. What may be deleted is decided elsewhere, from records that are durable; this makes
 * sure that nothing outside the two trees we write is ever touched, and counts.
 */
import type { ObjectStore } from '../../storage/object-store.ts';
import { assert } from '../../support/assert.ts';
import { mapLimited } from '../../support/limiter.ts';

const DELETES_AT_ONCE = 16;
const LISTED_AT_ONCE = 1000;

/** A whole segment, or a whole collection's segments or snapshot files: never a tree that holds more than one collection. */
const REMOVABLE_PREFIX = /^(?:segments\/\d+\/(?:-?\d+\/\d+\/)?|snapshots\/\d+\/manifests\/\d+\/)$/;
const REMOVABLE_KEY = /^(?:segments\/\d+\/-?\d+\/\d+\/[^/].*|snapshots\/\d+\/(?:metadata|manifests)\/.+)$/;

export class ObjectRemover {
  readonly #store: ObjectStore;
  /** Objects deleted since the start. */
  removed = 0;

  constructor(store: ObjectStore) {
    this.#store = store;
  }

  /** Deletes in no particular order. Absent objects are no error. */
  async removeKeys(keys: readonly string[]): Promise<void> {
    await mapLimited(keys, DELETES_AT_ONCE, async (key) => {
      assert(REMOVABLE_KEY.test(key), `'${key}' is no object of ours to delete`);
      await this.#store.delete(key);
      this.removed++;
    });
  }

  /** Deletes everything below `prefix`, listed now. */
  async removeBelow(prefix: string): Promise<void> {
    assert(REMOVABLE_PREFIX.test(prefix), `'${prefix}' is no place to clear`);
    let batch: string[] = [];
    for await (const { key } of this.#store.list(prefix)) {
      batch.push(key);
      if (batch.length < LISTED_AT_ONCE) continue;
      await this.removeKeys(batch);
      batch = [];
    }
    await this.removeKeys(batch);
  }
}
