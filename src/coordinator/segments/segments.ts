/** Segments as callers see them: seal, flush, list, count; and the passes that seal what is due. */
import type { Catalog } from '../../catalog/catalog.ts';
import { DbError } from '../../errors/db-error.ts';
import type { HybridTime } from '../../model/hybrid-time.ts';
import { ALL_PARTITIONS, type CollectionId, type PartitionId, type SegmentId } from '../../model/ids.ts';
import type { SegmentRecord } from '../../model/records.ts';
import type { SealResult, StreamingNode } from '../../streamingnode/api.ts';
import type { Clock } from '../../support/clock.ts';
import type { Log } from '../../support/log.ts';
import type { TimeSource } from '../allocator.ts';
import type { CollectionName, FlushResult, SegmentInfo, Segments } from '../api.ts';
import { requireCollection, requireCollectionById } from '../collections/names.ts';
import type { RestoreGate, SegmentFlusher } from '../rooms.ts';
import { partitions, segments } from '../tables.ts';
import type { Flusher } from './flusher.ts';
import type { SegmentRegistry } from './registry.ts';
import { type SealLimits, segmentsToSeal } from './seal-policy.ts';
import { isVisible } from './state.ts';

export interface SegmentRoomParts {
  readonly catalog: Catalog;
  readonly registry: SegmentRegistry;
  readonly flusher: Flusher;
  readonly streamingNode: StreamingNode;
  readonly gate: RestoreGate;
  readonly clock: Clock;
  readonly time: TimeSource;
  readonly log: Log;
  readonly limits: SealLimits;
}

export class SegmentRoom implements Segments, SegmentFlusher {
  readonly #parts: SegmentRoomParts;
  #lost: readonly SegmentId[] = [];

  constructor(parts: SegmentRoomParts) {
    this.#parts = parts;
  }

  /** After the log was replayed: what it holds is sealed and will be flushed, what never got a row is forgotten. */
  async recover(): Promise<void> {
    const { catalog, registry, flusher, streamingNode, log } = this.#parts;
    const inLog = streamingNode.segments();
    const known = new Set(inLog.map(({ segmentId }) => segmentId));
    const missing = (state: 'growing' | 'sealed') =>
      catalog.find(segments, 'state', state).filter(({ segmentId }) => !known.has(segmentId));
    this.#lost = missing('sealed').map(({ segmentId }) => segmentId);
    if (this.#lost.length > 0) log.error('sealed-segments-not-in-log', { segmentIds: this.#lost });
    await registry.removeEmpty(missing('growing').map(({ segmentId }) => segmentId));
    await flusher.adopt(inLog.filter(({ sealed }) => sealed));
  }

  /**
   * Seals what is due, and starts again what could not be started or handed over. A sealed segment is taken from what `seal` answers,
   * never from the list: there it may still lack writes on their way to the disk.
   */
  async pass(): Promise<void> {
    const { streamingNode, flusher, clock, limits, log } = this.#parts;
    // First: a log that is broken may refuse to seal.
    await flusher.pass();
    const inLog = streamingNode.segments();
    for (const { collectionId, segmentId, reason } of segmentsToSeal(inLog, clock.nowMs(), limits)) {
      log.info('segment-sealed', { collectionId, segmentId, reason });
      await this.#adopt(await streamingNode.seal(collectionId, { segmentId }));
    }
    for (const { collectionId, segmentId, sealed } of inLog)
      if (sealed && !flusher.knows(collectionId, segmentId))
        await this.#adopt(await streamingNode.seal(collectionId, { segmentId }));
  }

  async flush(collectionId: CollectionId): Promise<FlushResult> {
    const { catalog, registry } = this.#parts;
    requireCollectionById(catalog, collectionId);
    const result = await this.#parts.streamingNode.seal(collectionId);
    await this.#adopt(result);
    const sealedIds = result.segments.map(({ segmentId }) => segmentId);
    return {
      collectionId,
      sealTs: result.sealTs,
      sealedIds: sealedIds.filter((segmentId) => registry.get(segmentId)?.state === 'sealed'),
      flushedIds: this.#visible(collectionId)
        .filter(({ state, level }) => state === 'flushed' && level === 'L1')
        .map(({ segmentId }) => segmentId),
    };
  }

  async flushAll(collectionId: CollectionId): Promise<HybridTime> {
    const { catalog, flusher, streamingNode } = this.#parts;
    requireCollectionById(catalog, collectionId);
    const result = await streamingNode.seal(collectionId);
    await this.#adopt(result);
    const sealedIds = result.segments.map(({ segmentId }) => segmentId);
    await Promise.all(sealedIds.map((segmentId) => flusher.flushed(segmentId)));
    requireCollectionById(catalog, collectionId);
    this.#refuseLost(collectionId);
    // What belongs to a partition that was dropped meanwhile is not flushed any more, and not missed.
    const wanted = result.segments.filter(
      ({ partitionId }) =>
        partitionId === ALL_PARTITIONS || catalog.get(partitions, partitionId) !== undefined,
    );
    if (!this.isFlushed(wanted.map(({ segmentId }) => segmentId)))
      throw new DbError('service-unavailable', `collection ${collectionId} could not be flushed`);
    return result.sealTs;
  }

  flushedUpTo(collectionId: CollectionId): HybridTime {
    const { registry, streamingNode, time } = this.#parts;
    this.#refuseLost(collectionId);
    const firsts = streamingNode
      .segments()
      .filter((segment) => segment.collectionId === collectionId && segment.minTs > 0n)
      .filter(({ segmentId }) => registry.isOpen(segmentId))
      .map(({ minTs }) => minTs);
    const oldest = firsts.reduce<HybridTime | undefined>(
      (least, ts) => (least === undefined || ts < least ? ts : least),
      undefined,
    );
    return oldest === undefined ? time.next() : ((oldest - 1n) as HybridTime);
  }

  isFlushed(segmentIds: readonly SegmentId[]): boolean {
    return segmentIds.every((segmentId) => !this.#parts.registry.isOpen(segmentId));
  }

  listSegments(at: CollectionName): readonly SegmentInfo[] {
    const { collectionId } = requireCollection(this.#parts.catalog, at);
    const rows = this.#growingRows(collectionId);
    return this.#visible(collectionId).map((segment) => ({
      segmentId: segment.segmentId,
      collectionId,
      partitionId: segment.partitionId,
      rowCount: rows.get(segment.segmentId) ?? segment.rowCount,
      state: segment.state,
      level: segment.level,
    }));
  }

  rowCount(collectionId: CollectionId, partitionId?: PartitionId): number {
    requireCollectionById(this.#parts.catalog, collectionId);
    const rows = this.#growingRows(collectionId);
    return this.#visible(collectionId)
      .filter((s) => s.level === 'L1' && (partitionId === undefined || s.partitionId === partitionId))
      .reduce((sum, segment) => sum + (rows.get(segment.segmentId) ?? segment.rowCount), 0);
  }

  /** Sealed segments whose rows the log does not hold: acknowledged writes that were lost with it. */
  troubles(): readonly string[] {
    return this.#lost.map((segmentId) => `segment ${segmentId} is neither flushed nor in the log`);
  }

  #refuseLost(collectionId: CollectionId): void {
    const lost = this.#lost.filter((id) => this.#parts.registry.get(id)?.collectionId === collectionId);
    if (lost.length > 0)
      throw new DbError('data-integrity', `segments ${lost.join(', ')} are neither flushed nor in the log`);
  }

  async #adopt({ segments: sealed, empty }: SealResult): Promise<void> {
    await this.#parts.registry.removeEmpty(empty);
    await this.#parts.flusher.adopt(sealed);
  }

  #visible(collectionId: CollectionId): readonly SegmentRecord[] {
    const { catalog, gate } = this.#parts;
    return catalog.find(segments, 'collection', collectionId).filter((segment) => isVisible(segment, gate));
  }

  /** The catalog does not count growing rows. */
  #growingRows(collectionId: CollectionId): ReadonlyMap<SegmentId, number> {
    const growing = this.#parts.streamingNode
      .segments()
      .filter((segment) => segment.collectionId === collectionId);
    return new Map(growing.map(({ segmentId, rowCount }) => [segmentId, rowCount]));
  }
}
