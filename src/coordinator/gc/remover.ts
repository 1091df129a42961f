/**
 * The one place that deletes objects. What may be deleted is decided elsewhere, from records that are durable; this makes
 * sure that the store is ours and the key one that we write, and counts.
 */
import { parseKey } from '../../storage/keys.ts';
import type { ObjectStore } from '../../storage/object-store.ts';
import { assert } from '../../support/assert.ts';
import { mapLimited } from '../../support/limiter.ts';

const DELETES_AT_ONCE = 16;
const LISTED_AT_ONCE = 1000;

/** A collection's segments, or a snapshot's manifests: never a tree that holds more than one collection. */
const REMOVABLE_PREFIX = /^(?:segments\/\d+\/|snapshots\/\d+\/manifests\/\d+\/)$/;

/** Whether an object may be deleted at all. */
export function isRemovable(key: string): boolean {
  const { kind } = parseKey(key);
  return kind !== 'foreign' && kind !== 'identity';
}

export class ObjectRemover {
  readonly #store: ObjectStore;
  readonly #identity: { require(): Promise<void> };
  /** Objects and temporaries deleted since the start. */
  removed = 0;

  constructor(store: ObjectStore, identity: { require(): Promise<void> }) {
    this.#store = store;
    this.#identity = identity;
  }

  /** Absent objects are no error. Throws `store-mismatch` while it is not known that the store is this catalog's. */
  async remove(key: string): Promise<void> {
    assert(isRemovable(key), `'${key}' is no object of ours to delete`);
    await this.#identity.require();
    await this.#store.delete(key);
    this.removed++;
  }

  async removeTemporary(name: string): Promise<void> {
    await this.#identity.require();
    await this.#store.deleteTemporary(name);
    this.removed++;
  }

  /** As `remove`, in no particular order. Throws the signal's reason when it aborts between two of them. */
  async removeKeys(keys: readonly string[], signal?: AbortSignal): Promise<void> {
    await mapLimited(keys, DELETES_AT_ONCE, async (key) => {
      signal?.throwIfAborted();
      await this.remove(key);
    });
  }

  /** Deletes everything of ours below `prefix`, listed now. */
  async removeBelow(prefix: string, signal?: AbortSignal): Promise<void> {
    assert(REMOVABLE_PREFIX.test(prefix), `'${prefix}' is no place to clear`);
    let batch: string[] = [];
    for await (const { key } of this.#store.list(prefix)) {
      if (isRemovable(key)) batch.push(key);
      if (batch.length < LISTED_AT_ONCE) continue;
      await this.removeKeys(batch, signal);
      batch = [];
    }
    await this.removeKeys(batch, signal);
  }
}
