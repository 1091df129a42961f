/** The streaming node over one log. What it promises stands in `api.ts`. */
import { DbError } from '../errors/db-error.ts';
import type { HybridTime } from '../model/hybrid-time.ts';
import type { CollectionId, PartitionId, SegmentId } from '../model/ids.ts';
import { assert } from '../support/assert.ts';
import { ByteBudget } from '../support/byte-budget.ts';
import type { Clock } from '../support/clock.ts';
import { mapLimited } from '../support/limiter.ts';
import { type Log, silentLog } from '../support/log.ts';
import { type AppliedWrite, decodeWrite, encodeWrite, type WritePart } from '../wal/message.ts';
import type { Wal, WalPosition } from '../wal/wal.ts';
import type { Follower, LogSegment, SealResult, SegmentOpener, StreamingNode } from './api.ts';
import { recoveredSegment, rowsOf, type SegmentInLog, sizeOf } from './log-segment.ts';
import { OpenSegments, slotOf } from './open-segments.ts';
import { Pipeline, type Taken } from './pipeline.ts';

export interface StreamingNodeOptions {
  /** Stays the caller's: closed after this node. */
  readonly wal: Wal;
  readonly opener: SegmentOpener;
  readonly time: { next(): HybridTime; observe(ts: bigint): void };
  /** Of writes of nothing, which leave no trace in the log. Absent: `time`. */
  readonly timestamps?: { next(): Promise<HybridTime> };
  readonly clock: Clock;
  readonly log?: Log;
  /** Bytes of columns in writes not yet acknowledged; further writes wait. */
  readonly maxInFlightBytes?: number;
}

const MAX_IN_FLIGHT_BYTES = 256 << 20;
/** One write is one log record: well below what a record can hold. */
const MAX_WRITE_BYTES = 512 << 20;
/** Log records read at once by `read`, and segments of one write opened at once. */
const FAN_OUT = 8;

export class LogStreamingNode implements StreamingNode {
  readonly #wal: Wal;
  readonly #time: StreamingNodeOptions['time'];
  readonly #timestamps: NonNullable<StreamingNodeOptions['timestamps']>;
  readonly #open: OpenSegments;
  readonly #pipeline: Pipeline;
  readonly #budget: ByteBudget;
  /** Every segment that holds something, or may come to, until it is released. */
  readonly #segments = new Map<SegmentId, SegmentInLog>();
  readonly #followers = new Map<CollectionId, Set<Follower>>();
  /** Dropped collections and `{collection}/{partition}`s. Ids are never used again. */
  readonly #dropped = new Set<CollectionId | string>();
  #keptFrom = 0;
  #isClosed = false;

  constructor(options: StreamingNodeOptions) {
    this.#wal = options.wal;
    this.#time = options.time;
    this.#timestamps = options.timestamps ?? { next: () => Promise.resolve(options.time.next()) };
    this.#open = new OpenSegments(options.opener, options.clock);
    this.#budget = new ByteBudget(options.maxInFlightBytes ?? MAX_IN_FLIGHT_BYTES);
    this.#pipeline = new Pipeline(
      (write, position) => this.#apply(write, position),
      options.log ?? silentLog,
    );
  }

  get failure(): DbError | undefined {
    return this.#pipeline.failure ?? this.#pipeline.refusal;
  }

  async recover(isOpen: (segmentId: SegmentId) => boolean): Promise<HybridTime> {
    let highest = 0n as HybridTime;
    for await (const { position, ts, payload } of this.#wal.replay()) {
      const write = decodeWrite(payload);
      if (write.ts !== ts)
        throw new DbError('data-integrity', `log record of ${ts} holds a write of ${write.ts}`);
      if (ts > highest) highest = ts;
      write.parts.forEach((part, index) => {
        const segmentId = write.segmentIds[index] as SegmentId;
        if (isOpen(segmentId)) this.#recovered(segmentId, write, part).add(ts, position, part);
      });
    }
    this.#time.observe(highest);
    await this.#truncate();
    return highest;
  }

  #recovered(segmentId: SegmentId, { collectionId, ts }: AppliedWrite, part: WritePart): SegmentInLog {
    const segment = this.#segments.get(segmentId) ?? recoveredSegment(segmentId, collectionId, ts, part);
    this.#segments.set(segmentId, segment);
    return segment;
  }

  async write(collectionId: CollectionId, allParts: readonly WritePart[]): Promise<HybridTime> {
    const parts = allParts.filter((part) => rowsOf(part) > 0);
    this.#checkWritable(collectionId, parts);
    if (parts.length === 0) return this.#timestamps.next();
    const sizeBytes = parts.reduce((sum, part) => sum + sizeOf(part), 0);
    if (sizeBytes > MAX_WRITE_BYTES)
      throw new DbError('parameter-too-large', `a write of ${sizeBytes} bytes, more than ${MAX_WRITE_BYTES}`);
    return this.#budget.run(sizeBytes, () => this.#write(collectionId, parts));
  }

  async #write(collectionId: CollectionId, parts: readonly WritePart[]): Promise<HybridTime> {
    const slots = parts.map((part) => slotOf(collectionId, part));
    for (;;) {
      this.#checkWritable(collectionId, parts);
      const segments = slots.map((slot) => this.#open.get(slot));
      if (segments.every((segment) => segment !== undefined))
        return this.#append(collectionId, parts, segments);
      await mapLimited(slots, FAN_OUT, (slot) =>
        this.#open.ensure(slot, (s) => this.#isDropped(s.collectionId, s.partitionId)),
      );
    }
  }

  /** Timestamp, segments and place in the log in one step: no `await` before `#pipeline.add`. */
  async #append(
    collectionId: CollectionId,
    parts: readonly WritePart[],
    segments: readonly SegmentInLog[],
  ): Promise<HybridTime> {
    const ts = this.#time.next();
    const segmentIds = segments.map((segment) => segment.place.segmentId);
    const write: AppliedWrite = { collectionId, ts, parts, segmentIds };
    const { position, durable } = this.#wal.append(ts, encodeWrite(write));
    for (const segment of segments) {
      segment.assign(ts);
      this.#segments.set(segment.place.segmentId, segment);
    }
    await (await this.#pipeline.add(write, position, durable)).backlog;
    return ts;
  }

  #apply(write: AppliedWrite, position: WalPosition): Taken {
    write.parts.forEach((part, index) => {
      this.#segments.get(write.segmentIds[index] as SegmentId)?.add(write.ts, position, part);
    });
    const waits: Promise<void>[] = [];
    for (const follower of this.#followers.get(write.collectionId) ?? []) {
      follower.applied(write);
      const wait = follower.backlog?.();
      if (wait !== undefined) waits.push(wait);
    }
    return { backlog: waits.length === 0 ? undefined : Promise.all(waits).then(() => undefined) };
  }

  #isDropped(collectionId: CollectionId, partitionId: PartitionId): boolean {
    return this.#dropped.has(collectionId) || this.#dropped.has(`${collectionId}/${partitionId}`);
  }

  #checkWritable(collectionId: CollectionId, parts: readonly WritePart[]): void {
    if (this.#isClosed) throw new DbError('service-unavailable', 'the streaming node is closed');
    if (this.#pipeline.failure !== undefined) throw this.#pipeline.failure;
    if (this.#dropped.has(collectionId))
      throw new DbError('collection-not-found', `collection ${collectionId} was dropped`);
    for (const { partitionId } of parts)
      if (this.#isDropped(collectionId, partitionId))
        throw new DbError(
          'collection-not-found',
          `partition ${partitionId} of collection ${collectionId} was dropped`,
        );
  }

  async seal(
    collectionId: CollectionId,
    only: { readonly partitionId?: PartitionId; readonly segmentId?: SegmentId } = {},
  ): Promise<SealResult> {
    const isMeant = ({ place }: SegmentInLog): boolean =>
      place.collectionId === collectionId &&
      (only.partitionId === undefined || only.partitionId === place.partitionId) &&
      (only.segmentId === undefined || only.segmentId === place.segmentId);
    const sealTs = this.#time.next();
    const sealedNow = this.#open.take(isMeant);
    for (const segment of sealedNow) segment.sealed = true;
    await this.#pipeline.settled();
    this.#refuseUnknown(isMeant);
    const isEmpty = (segment: SegmentInLog) => segment.view().rowCount === 0;
    const empty = sealedNow.filter(isEmpty).map(({ place }) => place.segmentId);
    for (const segmentId of empty) this.#segments.delete(segmentId);
    const segments = [...this.#segments.values()]
      .filter((segment) => isMeant(segment) && segment.sealed && !isEmpty(segment))
      .filter((segment) => segment.view().minTs <= sealTs)
      .map((segment) => segment.view());
    return { sealTs, segments, empty };
  }

  /**
   * A write that failed with the log may stand there all the same, and comes back whole at the next start only if none of its segments
   * has been flushed without it, or forgotten.
   */
  #refuseUnknown(isMeant: (segment: SegmentInLog) => boolean): void {
    const { failure } = this.#pipeline;
    if (failure === undefined) return;
    for (const segment of this.#segments.values()) if (isMeant(segment) && segment.lacksWrites) throw failure;
  }

  segments(): readonly LogSegment[] {
    const unused = [...this.#open.values()].filter((segment) => !segment.isUsed);
    return [...this.#segments.values(), ...unused].map((segment) => segment.view());
  }

  async release(segmentIds: readonly SegmentId[]): Promise<void> {
    for (const segmentId of segmentIds) {
      const segment = this.#segments.get(segmentId);
      assert(segment === undefined || segment.sealed, `segment ${segmentId} is still open`);
      this.#segments.delete(segmentId);
    }
    await this.#truncate();
  }

  async drop(collectionId: CollectionId, partitionId?: PartitionId): Promise<void> {
    this.#dropped.add(partitionId === undefined ? collectionId : `${collectionId}/${partitionId}`);
    const isGone = ({ place }: SegmentInLog): boolean =>
      this.#isDropped(place.collectionId, place.partitionId);
    this.#open.take(isGone);
    for (const [segmentId, segment] of this.#segments) if (isGone(segment)) this.#segments.delete(segmentId);
    await this.#truncate();
  }

  /** Lets go of the log files that hold nothing of any segment and nothing under way. */
  async #truncate(): Promise<void> {
    let needed = this.#pipeline.firstFile ?? this.#wal.currentFile;
    for (const { firstFile } of this.#segments.values())
      if (firstFile !== undefined && firstFile < needed) needed = firstFile;
    if (needed <= this.#keptFrom) return;
    this.#keptFrom = needed;
    await this.#wal.truncateBefore(needed);
  }

  follow(
    collectionId: CollectionId,
    follower: Follower,
  ): { readonly segments: readonly LogSegment[]; stop(): void } {
    const followers = this.#followers.get(collectionId) ?? new Set();
    followers.add(follower);
    this.#followers.set(collectionId, followers);
    const segments = [...this.#segments.values()]
      .filter((segment) => segment.place.collectionId === collectionId)
      .map((segment) => segment.view())
      .filter((view) => view.rowCount > 0);
    return {
      segments,
      stop: () => {
        followers.delete(follower);
        if (followers.size === 0 && this.#followers.get(collectionId) === followers)
          this.#followers.delete(collectionId);
      },
    };
  }

  read(positions: readonly WalPosition[]): Promise<readonly AppliedWrite[]> {
    return mapLimited(positions, FAN_OUT, async (position) => decodeWrite(await this.#wal.read(position)));
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#pipeline.settled();
  }
}
