/** The deletes of one collection: by channel, from the log and from the L0 segments of the applied view. */
import type { HybridTime } from '../model/hybrid-time.ts';
import type { PartitionId, SegmentId } from '../model/ids.ts';
import type { SegmentRecord } from '../model/records.ts';
import { DeleteMap } from '../segment/delete-map.ts';
import type { KeyList } from '../segment/key-column.ts';
import type { LogDeletes } from './log-contents.ts';
import type { Pacer } from './pacer.ts';
import { prunable, remainingDeletes } from './prune.ts';
import type { Unit } from './unit.ts';
import type { SegmentsDiff } from './view-diff.ts';

export const COST_PER_LOOKUP = 15;

/** Where deletes reach, and who finds the units there. */
interface Reach {
  readonly channel: string;
  readonly partitionId: PartitionId;
  /** Asked when the deletes are known to every unit that comes later. */
  units(): readonly Unit[];
}

export class CollectionDeletes {
  readonly #maps = new Map<string, DeleteMap>();
  /** L0 segments of the applied view. */
  readonly #files = new Map<SegmentId, SegmentRecord>();

  /** Deletes held, every key counted once per channel and partition scope. */
  get count(): number {
    let count = 0;
    for (const map of this.#maps.values()) count += map.size;
    return count;
  }

  of(channel: string): DeleteMap {
    let map = this.#maps.get(channel);
    if (map === undefined) {
      map = new DeleteMap();
      this.#maps.set(channel, map);
    }
    return map;
  }

  hasFile(segmentId: SegmentId): boolean {
    return this.#files.has(segmentId);
  }

  /** A view is applied. */
  swap({ gone, fresh }: SegmentsDiff): void {
    for (const { segmentId } of gone) this.#files.delete(segmentId);
    for (const record of fresh) if (record.level === 'L0') this.#files.set(record.segmentId, record);
  }

  apply({ channel, partitionId, units }: Reach, { column, count }: KeyList, ts: HybridTime): void {
    const map = this.of(channel);
    for (let at = 0; at < count; at++) map.put(partitionId, column, at, ts);
    for (const unit of units()) for (let at = 0; at < count; at++) unit.kill(column, at, ts, true);
  }

  /** `apply` in slices. */
  async applySliced(reach: Reach, { column, count }: KeyList, ts: HybridTime, pacer: Pacer): Promise<void> {
    const map = this.of(reach.channel);
    await inSlices(count, pacer, (at) => map.put(reach.partitionId, column, at, ts));
    for (const unit of reach.units()) await inSlices(count, pacer, (at) => unit.kill(column, at, ts, true));
  }

  /**
   * Deletes of files. Those that were known have killed already, or whoever brought them is about to: a merged L0 segment costs no
   * more than looking at it.
   */
  async learn(
    reach: Reach,
    { column, count }: KeyList,
    timestamps: BigInt64Array,
    pacer: Pacer,
  ): Promise<void> {
    const map = this.of(reach.channel);
    const news: number[] = [];
    await inSlices(count, pacer, (at) => {
      if (map.put(reach.partitionId, column, at, (timestamps[at] ?? 0n) as HybridTime)) news.push(at);
    });
    if (news.length === 0) return;
    for (const unit of reach.units())
      await inSlices(news.length, pacer, (i) => {
        const at = news[i] ?? 0;
        unit.kill(column, at, timestamps[at] ?? 0n);
      });
  }

  /**
   * Forgets deletes that no row still to be loaded can need: neither the applied view nor the log has them any more. No view may be
   * on its way: what it has brought of deletes so far stands in no applied view. What goes is decided before the first wait: deletes
   * that come meanwhile stay.
   */
  async prune(log: Iterable<LogDeletes>, pacer: Pacer): Promise<void> {
    const remaining = remainingDeletes(this.#files.values(), log);
    const scopes = [...this.#maps].flatMap(([channel, map]) =>
      prunable(channel, map.scopes(), remaining).map((scope) => ({ map, ...scope })),
    );
    for (const { map, partitionId, before } of scopes)
      for (const keys of map.prune(partitionId, before)) await pacer.spend(keys * COST_PER_LOOKUP);
  }

  clear(): void {
    this.#maps.clear();
    this.#files.clear();
  }
}

async function inSlices(count: number, pacer: Pacer, visit: (at: number) => void): Promise<void> {
  const { deleteKeys } = pacer.slices;
  for (let from = 0; from < count; from += deleteKeys) {
    const to = Math.min(count, from + deleteKeys);
    for (let at = from; at < to; at++) visit(at);
    await pacer.spend((to - from) * COST_PER_LOOKUP);
  }
}
