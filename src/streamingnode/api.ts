/**
 * DOOR of the streaming node: owns the log and the order of writes on every virtual channel. A write takes its timestamp, its
 * growing segments and its place in the log in one synchronous step, so that a seal at T splits all writes exactly: those
 * with ts <= T are in the sealed segments, later ones are not. Rows are not kept here: the log is the buffer. Flush
 * reads the log again by position; query nodes keep the rows of loaded collections.
 */
import type { DbError } from '../errors/db-error.ts';
import type { HybridTime } from '../model/hybrid-time.ts';
import type { CollectionId, PartitionId, SegmentId } from '../model/ids.ts';
import type { SegmentLevel } from '../model/records.ts';
import type { AppliedWrite, WritePart } from '../wal/message.ts';
import type { WalPosition } from '../wal/wal.ts';

export type { AppliedWrite, WritePart };

/** A segment whose rows (L1) or deletes (L0) stand only in the log: growing, or sealed and not yet flushed. */
export interface LogSegment {
  readonly segmentId: SegmentId;
  readonly collectionId: CollectionId;
  readonly partitionId: PartitionId;
  readonly channel: string;
  readonly level: SegmentLevel;
  readonly sealed: boolean;
  /** Rows (L1) or deletes (L0). */
  readonly rowCount: number;
  /** Bytes of the columns in memory form. */
  readonly sizeBytes: number;
  readonly openedAtMs: number;
  /** Of the first write, even while it is on its way to the disk; 0: there was none. */
  readonly minTs: HybridTime;
  /** Of the last durable write; 0: there is none. */
  readonly maxTs: HybridTime;
  /** Every log record that holds something of this segment, in order. */
  readonly positions: readonly WalPosition[];
}

export interface SealResult {
  /** Every write with ts <= sealTs is in a sealed or flushed segment and durable; every later one has a higher ts. */
  readonly sealTs: HybridTime;
  /** Segments sealed and not yet released, by this call or earlier ones. Segments without rows are not in it: they are forgotten. */
  readonly segments: readonly LogSegment[];
  /** Open segments that never got a row. */
  readonly empty: readonly SegmentId[];
}

export interface Follower {
  /** Called in log order once a write is durable, before it is acknowledged. Synchronous; must not throw. */
  applied(write: AppliedWrite): void;
  /**
   * Asked after each `applied`. A promise: too much waits here, and the acknowledgement of that write waits for it, so that the
   * bound of bytes in flight holds writers back. Must not reject. Later writes are applied none the less.
   */
  backlog?(): Promise<void> | undefined;
}

/** What the streaming node asks of the control plane. */
export interface SegmentOpener {
  /** Registers a growing segment in the catalog; resolves once that is durable. */
  open(
    collectionId: CollectionId,
    partitionId: PartitionId,
    channel: string,
    level: SegmentLevel,
  ): Promise<SegmentId>;
}

export interface StreamingNode {
  /**
   * Why writes are refused: the log could not be written. `storage-full`, `resource-exhausted`: the next write is tried anew; anything
   * else: until a restart. Reads go on.
   */
  readonly failure: DbError | undefined;
  /**
   * Replays the log once, before anything else. `isOpen` says whether the catalog knows the segment as growing or sealed; all
   * other records are skipped. Resolves with the highest timestamp seen, 0 when the log is empty. Recovered segments
   * are sealed: new writes open new ones.
   */
  recover(isOpen: (segmentId: SegmentId) => boolean): Promise<HybridTime>;
  /** Resolves when the write is durable and every follower has seen it. `parts` may be empty (then only a timestamp is taken). */
  write(collectionId: CollectionId, parts: readonly WritePart[]): Promise<HybridTime>;
  /**
   * Seals every open segment of the collection (or of one partition, or of one segment) at one timestamp and waits until all of it is
   * durable. Throws `failure` when one of them may hold part of a write of which nobody knows whether the log has it.
   */
  seal(
    collectionId: CollectionId,
    only?: { readonly partitionId?: PartitionId; readonly segmentId?: SegmentId },
  ): Promise<SealResult>;
  /** Open and sealed segments, for the seal policy and for recovery. */
  segments(): readonly LogSegment[];
  /** The segment is flushed or dropped: forget it and truncate the log where nothing needs it any more. */
  release(segmentIds: readonly SegmentId[]): Promise<void>;
  /** Forgets every segment of a dropped collection or partition; writes to it reject with `collection-not-found` from now on. */
  drop(collectionId: CollectionId, partitionId?: PartitionId): Promise<void>;
  /**
   * From this call on, `follower` sees every write of the collection. What was written before stands in the segments
   * returned, to be read with `read`; both are taken in one step, nothing is missed or seen twice.
   */
  follow(
    collectionId: CollectionId,
    follower: Follower,
  ): { readonly segments: readonly LogSegment[]; stop(): void };
  /** The writes at these positions, in order. */
  read(positions: readonly WalPosition[]): Promise<readonly AppliedWrite[]>;
  close(): Promise<void>;
}
