/**
 * Segment records on their way from growing to flushed. Each step is a commit based on the record that was read; a segment that was dropped
 * meanwhile stays dropped.
 */
import { type Catalog, put, remove } from '../../catalog/catalog.ts';
import type { FlushOutput } from '../../datanode/api.ts';
import { DbError } from '../../errors/db-error.ts';
import type { HybridTime } from '../../model/hybrid-time.ts';
import { ALL_PARTITIONS, type CollectionId, type PartitionId, type SegmentId } from '../../model/ids.ts';
import type { SegmentLevel, SegmentRecord } from '../../model/records.ts';
import type { LogSegment, SegmentOpener } from '../../streamingnode/api.ts';
import type { IdSource } from '../allocator.ts';
import { commitEach } from '../batches.ts';
import { collectionGone } from '../collections/names.ts';
import { collections, partitions, segments } from '../tables.ts';
import { segmentMachine } from './state.ts';

const NO_TIME = 0n as HybridTime;

export class SegmentRegistry implements SegmentOpener {
  readonly #catalog: Catalog;
  readonly #ids: IdSource;

  constructor(catalog: Catalog, ids: IdSource) {
    this.#catalog = catalog;
    this.#ids = ids;
  }

  async open(
    collectionId: CollectionId,
    partitionId: PartitionId,
    channel: string,
    level: SegmentLevel,
  ): Promise<SegmentId> {
    const segmentId = await this.#ids.next<SegmentId>();
    for (;;) {
      const guards = this.#guards(collectionId, partitionId);
      const record: SegmentRecord = {
        segmentId,
        collectionId,
        partitionId,
        channel,
        level,
        state: 'growing',
        rowCount: 0,
        minTs: NO_TIME,
        maxTs: NO_TIME,
        files: [],
        indexes: [],
      };
      const outcome = await this.#catalog.commit([...guards, put(segments, record, undefined)]);
      if (outcome === 'committed') return segmentId;
    }
  }

  get(segmentId: SegmentId): SegmentRecord | undefined {
    return this.#catalog.get(segments, segmentId);
  }

  /** Whether the log still holds what this segment is made of. */
  isOpen(segmentId: SegmentId): boolean {
    const record = this.get(segmentId);
    return record?.state === 'growing' || record?.state === 'sealed';
  }

  /**
   * As `isOpen`, asked for what the log is found to hold at a start. Throws `store-mismatch` for an id that is still to be given out: the log
   * is not this catalog's, and its rows would be taken for rows of the segment that gets the id.
   */
  isRecovered(segmentId: SegmentId): boolean {
    if (!this.#ids.mayHaveGiven(segmentId))
      throw new DbError(
        'store-mismatch',
        `catalog and log do not belong together: the log holds writes to segment ${segmentId}, an id this catalog has yet to give out. Start with the catalog that belongs to this log, or with an empty data directory`,
      );
    return this.isOpen(segmentId);
  }

  async seal(sealed: readonly LogSegment[]): Promise<void> {
    const byId = new Map(sealed.map((segment) => [segment.segmentId, segment]));
    await commitEach(this.#catalog, [...byId], ([segmentId, { rowCount, minTs, maxTs }]) => {
      const was = this.get(segmentId);
      if (was?.state !== 'growing') return undefined;
      const state = segmentMachine.next(was.state, 'seal');
      return put(segments, { ...was, state, rowCount, minTs, maxTs }, was);
    });
  }

  /** Removes records of segments that never got a row. */
  async removeEmpty(segmentIds: readonly SegmentId[]): Promise<void> {
    await commitEach(this.#catalog, segmentIds, (segmentId) => {
      const was = this.get(segmentId);
      return was?.state === 'growing' ? remove(segments, was) : undefined;
    });
  }

  /** False when the segment is not waiting for its files any more. */
  async flushed(segmentId: SegmentId, { files, rowCount }: FlushOutput): Promise<boolean> {
    for (;;) {
      const was = this.get(segmentId);
      if (was?.state !== 'sealed') return false;
      const state = segmentMachine.next(was.state, 'flush');
      const outcome = await this.#catalog.commit([put(segments, { ...was, state, files, rowCount }, was)]);
      if (outcome === 'committed') return true;
    }
  }

  /** A segment is opened only while its collection and partition exist: both records stand in the commit. */
  #guards(collectionId: CollectionId, partitionId: PartitionId) {
    const collection = this.#catalog.get(collections, collectionId);
    if (collection === undefined) throw collectionGone(collectionId);
    const guard = put(collections, collection, collection);
    if (partitionId === ALL_PARTITIONS) return [guard];
    const partition = this.#catalog.get(partitions, partitionId);
    if (partition?.collectionId !== collectionId)
      throw new DbError('partition-not-found', `partition not found[partition=${partitionId}]`);
    return [guard, put(partitions, partition, partition)];
  }
}
