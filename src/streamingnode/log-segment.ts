import { batchSizeBytes, keysSizeBytes } from '../model/columns.ts';
import { type HybridTime, physicalMs } from '../model/hybrid-time.ts';
import type { CollectionId, PartitionId, SegmentId } from '../model/ids.ts';
import type { SegmentLevel } from '../model/records.ts';
import { assert } from '../support/assert.ts';
import type { WritePart } from '../wal/message.ts';
import type { WalPosition } from '../wal/wal.ts';
import type { LogSegment } from './api.ts';

export const levelOf = (part: WritePart): SegmentLevel => (part.kind === 'insert' ? 'L1' : 'L0');

/** Rows of an insert, keys of a delete. */
export const rowsOf = (part: WritePart): number =>
  part.kind === 'insert' ? part.rows.rowCount : part.keys.values.length;

export const sizeOf = (part: WritePart): number =>
  part.kind === 'insert' ? batchSizeBytes(part.rows) : keysSizeBytes(part.keys);

interface SegmentPlace {
  readonly segmentId: SegmentId;
  readonly collectionId: CollectionId;
  readonly partitionId: PartitionId;
  readonly channel: string;
  readonly level: SegmentLevel;
  readonly openedAtMs: number;
}

/**
 * A segment while its content stands only in the log. It counts what is durable: writes on their way are known by where
 * they go (`assign`) and counted when they arrive (`add`).
 */
export class SegmentInLog {
  readonly place: SegmentPlace;
  sealed = false;
  #assignedParts = 0;
  #addedParts = 0;
  #rowCount = 0;
  #sizeBytes = 0;
  #minTs = 0n as HybridTime;
  #maxTs = 0n as HybridTime;
  readonly #positions: WalPosition[] = [];
  /** The last `view`, as long as nothing has changed. */
  #view: LogSegment | undefined;

  constructor(place: SegmentPlace) {
    this.place = place;
  }

  /** A write of time `ts` is on its way here. */
  assign(ts: HybridTime): void {
    assert(!this.sealed, 'a sealed segment takes no more writes');
    this.#assignedParts++;
    if (this.#minTs !== 0n) return;
    this.#minTs = ts;
    this.#view = undefined;
  }

  /** Whether any write was ever sent here. */
  get isUsed(): boolean {
    return this.#assignedParts > 0;
  }

  /** Whether writes were sent here that have not arrived: they are on their way, were refused, or nobody knows. */
  get lacksWrites(): boolean {
    return this.#addedParts < this.#assignedParts;
  }

  /** The oldest log file it needs. */
  get firstFile(): number | undefined {
    return this.#positions[0]?.file;
  }

  /** A durable write. Writes arrive in log order. */
  add(ts: HybridTime, position: WalPosition, part: WritePart): void {
    assert(ts >= this.#maxTs, 'writes arrive in log order');
    if (this.#rowCount === 0) this.#minTs = ts;
    this.#addedParts++;
    this.#maxTs = ts;
    this.#rowCount += rowsOf(part);
    this.#sizeBytes += sizeOf(part);
    if (this.#positions.at(-1) !== position) this.#positions.push(position);
    this.#view = undefined;
  }

  view(): LogSegment {
    if (this.#view === undefined || this.#view.sealed !== this.sealed)
      this.#view = {
        ...this.place,
        sealed: this.sealed,
        rowCount: this.#rowCount,
        sizeBytes: this.#sizeBytes,
        minTs: this.#minTs,
        maxTs: this.#maxTs,
        positions: this.#positions.slice(),
      };
    return this.#view;
  }
}

/** A segment found in the log at start: nothing is added to it any more. */
export function recoveredSegment(
  segmentId: SegmentId,
  collectionId: CollectionId,
  ts: HybridTime,
  part: WritePart,
): SegmentInLog {
  const { partitionId, channel } = part;
  const segment = new SegmentInLog({
    segmentId,
    collectionId,
    partitionId,
    channel,
    level: levelOf(part),
    openedAtMs: physicalMs(ts),
  });
  segment.sealed = true;
  return segment;
}
