/**
 * What follows the drop of a collection or partition. The removal of its record has made it true; here the rest goes, in steps
 * that can be repeated: a failure is tried again by `pass`, a crash is found by `recover`. The partitions of a collection go
 * last, so that until then they show that its drop is not finished.
 */
import { type Catalog, put, remove } from '../../catalog/catalog.ts';
import { ALL_PARTITIONS, type CollectionId, type PartitionId, type SegmentId } from '../../model/ids.ts';
import type { SegmentRecord } from '../../model/records.ts';
import type { StreamingNode } from '../../streamingnode/api.ts';
import type { Clock } from '../../support/clock.ts';
import type { Log } from '../../support/log.ts';
import { commitEach } from '../batches.ts';
import { segmentMachine } from '../segments/state.ts';
import { collections, indexes, partitions, segments } from '../tables.ts';

/** The rooms that hold something of a dropped collection. Every step may be repeated. */
export interface DropHooks {
  /** Nobody can read it any more. */
  release(collectionId: CollectionId): Promise<void>;
  /** Readers use what the catalog holds now. */
  publish(collectionId: CollectionId): Promise<void>;
  /** Flushes, index builds and compactions of these segments end; resolves when no node works on them. */
  cancelWork(segmentIds: readonly SegmentId[]): Promise<void>;
  /** Its snapshots and the restore jobs that fill it. */
  collectionDropped(collectionId: CollectionId): Promise<void>;
}

interface Dropped {
  readonly collectionId: CollectionId;
  /** Absent: the whole collection. */
  readonly partitionId?: PartitionId;
}

export class DropCascade {
  readonly #catalog: Catalog;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #streamingNode: StreamingNode;
  readonly #hooks: DropHooks;
  /** Drops that are not finished, by name; the promise while one is being worked on. */
  readonly #open = new Map<string, { readonly dropped: Dropped; running: Promise<boolean> | undefined }>();

  constructor(
    catalog: Catalog,
    clock: Clock,
    log: Log,
    parts: { readonly streamingNode: StreamingNode; readonly hooks: DropHooks },
  ) {
    this.#catalog = catalog;
    this.#clock = clock;
    this.#log = log;
    this.#streamingNode = parts.streamingNode;
    this.#hooks = parts.hooks;
  }

  /** Resolves when the drop is finished, or has failed for now: the collection is gone either way, and `pass` tries again. */
  async finishCollection(collectionId: CollectionId): Promise<void> {
    await this.#finish({ collectionId });
  }

  async finishPartition(collectionId: CollectionId, partitionId: PartitionId): Promise<void> {
    await this.#finish({ collectionId, partitionId });
  }

  /** Drops that wait for `pass`. */
  get unfinished(): number {
    return this.#open.size;
  }

  /** Finishes what a crash left half done. Run once, after the log was replayed. */
  async recover(): Promise<void> {
    for (const dropped of this.#leftovers()) await this.#finish(dropped);
  }

  async pass(): Promise<void> {
    for (const { dropped } of [...this.#open.values()]) await this.#finish(dropped);
  }

  #leftovers(): readonly Dropped[] {
    const found = new Map<string, Dropped>();
    const note = (dropped: Dropped) => found.set(nameOf(dropped), dropped);
    const isGone = (id: CollectionId) => this.#catalog.get(collections, id) === undefined;
    for (const { collectionId } of this.#catalog.all(partitions))
      if (isGone(collectionId)) note({ collectionId });
    for (const { collectionId } of this.#catalog.all(indexes))
      if (isGone(collectionId)) note({ collectionId });
    for (const { collectionId, partitionId, state } of this.#catalog.all(segments)) {
      if (state === 'dropped') continue;
      if (isGone(collectionId)) note({ collectionId });
      else if (partitionId !== ALL_PARTITIONS && this.#catalog.get(partitions, partitionId) === undefined)
        note({ collectionId, partitionId });
    }
    return [...found.values()];
  }

  async #finish(dropped: Dropped): Promise<boolean> {
    const name = nameOf(dropped);
    const entry = this.#open.get(name) ?? { dropped, running: undefined };
    this.#open.set(name, entry);
    entry.running ??= this.#attempt(dropped).finally(() => {
      entry.running = undefined;
    });
    const isDone = await entry.running;
    if (isDone) this.#open.delete(name);
    return isDone;
  }

  async #attempt(dropped: Dropped): Promise<boolean> {
    try {
      if (dropped.partitionId === undefined) await this.#dropAll(dropped.collectionId);
      else await this.#dropPartition(dropped.collectionId, dropped.partitionId);
      return true;
    } catch (error) {
      this.#log.error('drop-not-finished', { ...dropped, error });
      return false;
    }
  }

  async #dropAll(collectionId: CollectionId): Promise<void> {
    await this.#hooks.release(collectionId);
    await this.#streamingNode.drop(collectionId);
    await this.#dropSegments(this.#catalog.find(segments, 'collection', collectionId));
    const indexIds = this.#catalog.find(indexes, 'collection', collectionId).map((index) => index.indexId);
    await commitEach(this.#catalog, indexIds, (indexId) => {
      const was = this.#catalog.get(indexes, indexId);
      return was === undefined ? undefined : remove(indexes, was);
    });
    await this.#hooks.collectionDropped(collectionId);
    const partitionIds = this.#catalog.find(partitions, 'collection', collectionId).map((p) => p.partitionId);
    await commitEach(this.#catalog, partitionIds, (partitionId) => {
      const was = this.#catalog.get(partitions, partitionId);
      return was === undefined ? undefined : remove(partitions, was);
    });
  }

  async #dropPartition(collectionId: CollectionId, partitionId: PartitionId): Promise<void> {
    await this.#streamingNode.drop(collectionId, partitionId);
    const ofCollection = this.#catalog.find(segments, 'collection', collectionId);
    await this.#dropSegments(ofCollection.filter((segment) => segment.partitionId === partitionId));
    await this.#hooks.publish(collectionId);
  }

  async #dropSegments(of: readonly SegmentRecord[]): Promise<void> {
    const segmentIds = of.filter(({ state }) => state !== 'dropped').map(({ segmentId }) => segmentId);
    await commitEach(this.#catalog, segmentIds, (segmentId) => {
      const was = this.#catalog.get(segments, segmentId);
      if (was === undefined || was.state === 'dropped') return undefined;
      const state = segmentMachine.next(was.state, 'drop');
      return put(segments, { ...was, state, droppedAtMs: this.#clock.nowMs() }, was);
    });
    await this.#hooks.cancelWork(of.map(({ segmentId }) => segmentId));
  }
}

const nameOf = ({ collectionId, partitionId }: Dropped): string => `${collectionId}/${partitionId ?? ''}`;
