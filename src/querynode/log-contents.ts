/**
 * What stands in the log of a collection and in no applied view: segments whose rows are taken from the log, and deletes that no
 * file has. A segment leaves when a view shows it in files, or does not know it any more: compacted, retired, dropped.
 */
import type { PartitionId, SegmentId } from '../model/ids.ts';
import type { AppliedWrite, LogSegment } from '../streamingnode/api.ts';

/** Deletes of one L0 segment of the log. */
export interface LogDeletes {
  readonly channel: string;
  readonly partitionId: PartitionId;
  /** None is older. */
  readonly minTs: bigint;
  /** Deletes seen. */
  count: number;
}

export class LogContents {
  readonly #rows = new Set<SegmentId>();
  readonly #deletes = new Map<SegmentId, LogDeletes>();

  /** Its writes will be read from the log, from the first one on. */
  expect({ segmentId, level, channel, partitionId, minTs }: LogSegment): void {
    if (level === 'L1') this.#rows.add(segmentId);
    else this.#deletes.set(segmentId, { channel, partitionId, minTs, count: 0 });
  }

  add({ parts, segmentIds, ts }: AppliedWrite): void {
    for (const [i, part] of parts.entries()) {
      const segmentId = segmentIds[i];
      if (segmentId === undefined) continue;
      if (part.kind === 'insert') {
        this.#rows.add(segmentId);
        continue;
      }
      const { channel, partitionId } = part;
      const deletes = this.#deletes.get(segmentId) ?? { channel, partitionId, minTs: ts, count: 0 };
      deletes.count += part.keys.values.length;
      this.#deletes.set(segmentId, deletes);
    }
  }

  holdsRows(segmentId: SegmentId): boolean {
    return this.#rows.has(segmentId);
  }

  holdsDeletes(segmentId: SegmentId): boolean {
    return this.#deletes.has(segmentId);
  }

  get deletes(): Iterable<LogDeletes> {
    return this.#deletes.values();
  }

  /** Segments here that the catalog does not have in the log. `unflushed` is the catalog's at the moment of the call. */
  goneFrom(unflushed: readonly SegmentId[]): readonly SegmentId[] {
    const still = new Set(unflushed);
    return [...this.#rows, ...this.#deletes.keys()].filter((segmentId) => !still.has(segmentId));
  }

  forget(segmentId: SegmentId): void {
    this.#rows.delete(segmentId);
    this.#deletes.delete(segmentId);
  }
}
