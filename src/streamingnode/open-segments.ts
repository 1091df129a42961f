import type { CollectionId, PartitionId } from '../model/ids.ts';
import type { SegmentLevel } from '../model/records.ts';
import type { Clock } from '../support/clock.ts';
import type { WritePart } from '../wal/message.ts';
import type { SegmentOpener } from './api.ts';
import { levelOf, SegmentInLog } from './log-segment.ts';

/** Where a part goes: one open segment per level, channel and partition of a collection. */
export interface Slot {
  readonly collectionId: CollectionId;
  readonly partitionId: PartitionId;
  readonly channel: string;
  readonly level: SegmentLevel;
}

export const slotOf = (collectionId: CollectionId, part: WritePart): Slot => ({
  collectionId,
  partitionId: part.partitionId,
  channel: part.channel,
  level: levelOf(part),
});

const keyOf = ({ collectionId, partitionId, channel, level }: Slot): string =>
  `${collectionId}/${partitionId}/${level}/${channel}`;

/** The segments that take writes, and those the control plane is about to open. At most one per slot. */
export class OpenSegments {
  readonly #opener: SegmentOpener;
  readonly #clock: Clock;
  readonly #open = new Map<string, SegmentInLog>();
  readonly #opening = new Map<string, Promise<void>>();

  constructor(opener: SegmentOpener, clock: Clock) {
    this.#opener = opener;
    this.#clock = clock;
  }

  get(slot: Slot): SegmentInLog | undefined {
    return this.#open.get(keyOf(slot));
  }

  /** Resolves once a segment was opened in the slot. It may be sealed again by then: look. */
  ensure(slot: Slot, isDropped: (slot: Slot) => boolean): Promise<void> {
    const key = keyOf(slot);
    if (this.#open.has(key)) return Promise.resolve();
    const running = this.#opening.get(key);
    if (running !== undefined) return running;
    const opening = this.#openOne(key, slot, isDropped).finally(() => this.#opening.delete(key));
    this.#opening.set(key, opening);
    return opening;
  }

  async #openOne(key: string, slot: Slot, isDropped: (slot: Slot) => boolean): Promise<void> {
    const { collectionId, partitionId, channel, level } = slot;
    const segmentId = await this.#opener.open(collectionId, partitionId, channel, level);
    if (isDropped(slot)) return;
    this.#open.set(key, new SegmentInLog({ segmentId, ...slot, openedAtMs: this.#clock.nowMs() }));
  }

  /** Takes the segments that `wanted` names out: they get no more writes. */
  take(wanted: (segment: SegmentInLog) => boolean): readonly SegmentInLog[] {
    const taken: SegmentInLog[] = [];
    for (const [key, segment] of this.#open)
      if (wanted(segment)) {
        this.#open.delete(key);
        taken.push(segment);
      }
    return taken;
  }

  values(): Iterable<SegmentInLog> {
    return this.#open.values();
  }
}
