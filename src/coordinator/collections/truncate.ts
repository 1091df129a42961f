/**
 * A truncation gives every partition another id under its name; what stood under the old ones goes as with any dropped partition, at once
 * or after a crash. So a row written before is gone for every reader with the commit, and one written after it stays. Snapshots keep what they hold.
 */
import { type Catalog, MAX_CHANGES_PER_COMMIT, put, remove } from '../../catalog/catalog.ts';
import type { CollectionId, PartitionId } from '../../model/ids.ts';
import type { PartitionRecord } from '../../model/records.ts';
import { assert } from '../../support/assert.ts';
import type { IdSource, TimeSource } from '../allocator.ts';
import type { CollectionInfo, CollectionName } from '../api.ts';
import { collections, partitions } from '../tables.ts';
import type { DropCascade } from './drop.ts';
import { claimNamesIn } from './names.ts';

export interface TruncationParts {
  readonly catalog: Catalog;
  readonly ids: IdSource;
  readonly time: TimeSource;
  readonly drops: DropCascade;
  readonly requireReady: (at: CollectionName) => CollectionInfo;
}

/** An old and a new record each, and the collection's. A collection with more partitions is truncated in several steps. */
const PARTITIONS_PER_COMMIT = (MAX_CHANGES_PER_COMMIT - 1) >> 1;

export class Truncation {
  readonly #parts: TruncationParts;

  constructor(parts: TruncationParts) {
    this.#parts = parts;
  }

  /** Resolves when nobody reads the rows any more. */
  async truncate(at: CollectionName): Promise<void> {
    const { collection, partitions: first } = this.#parts.requireReady(at);
    const { collectionId } = collection;
    const waiting = new Set(first.map(({ partitionId }) => partitionId));
    const gone: PartitionId[] = [];
    while (waiting.size > 0) {
      const batch = [...waiting].slice(0, PARTITIONS_PER_COMMIT);
      gone.push(...(await this.#replace(collectionId, batch)));
      for (const partitionId of batch) waiting.delete(partitionId);
    }
    for (const partitionId of gone) await this.#parts.drops.finishPartition(collectionId, partitionId);
  }

  async #replace(collectionId: CollectionId, batch: readonly PartitionId[]): Promise<readonly PartitionId[]> {
    const { catalog, ids, time } = this.#parts;
    const firstId = await ids.range<PartitionId>(batch.length);
    for (;;) {
      const collection = catalog.get(collections, collectionId);
      if (collection === undefined) return [];
      const old = batch
        .map((partitionId) => catalog.get(partitions, partitionId))
        .filter((record) => record !== undefined);
      const changes = old.flatMap((was, i) => {
        const partitionId = (firstId + BigInt(i)) as PartitionId;
        const is: PartitionRecord = { ...was, partitionId, createdTs: time.next() };
        return [remove(partitions, was), put(partitions, is, undefined)];
      });
      assert(changes.length < MAX_CHANGES_PER_COMMIT, 'a truncation fits its commit');
      if ((await catalog.commit([claimNamesIn(collection), ...changes])) === 'committed')
        return old.map(({ partitionId }) => partitionId);
    }
  }
}
