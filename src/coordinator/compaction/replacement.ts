/**
 * The commits of compaction. An output has a record before a node writes for it (O5), and is nobody's until one commit makes it
 * flushed and its sources dropped: every row is in exactly one of them. What a commit is based on is looked at inside the gate
 * that captures pass, so that no segment is replaced while a snapshot takes it, or once it is protected.
 */
import { type Catalog, type Change, put } from '../../catalog/catalog.ts';
import type { HybridTime } from '../../model/hybrid-time.ts';
import { ALL_PARTITIONS, type CollectionId, type SegmentId } from '../../model/ids.ts';
import type { CollectionRecord, SegmentFile, SegmentRecord } from '../../model/records.ts';
import type { Clock } from '../../support/clock.ts';
import type { IdSource } from '../allocator.ts';
import { commitEach } from '../batches.ts';
import type { CaptureGate } from '../capture-gate.ts';
import type { SegmentProtection } from '../rooms.ts';
import { segmentMachine } from '../segments/state.ts';
import { collections, indexes, partitions, segments } from '../tables.ts';
import type { CompactionPlan } from './plan.ts';

export interface ReplacementParts {
  readonly catalog: Catalog;
  readonly ids: IdSource;
  readonly clock: Clock;
  readonly captureGate: CaptureGate;
  readonly protection: SegmentProtection;
}

export interface Written {
  readonly files: readonly SegmentFile[];
  readonly rowCount: number;
  readonly minTs: HybridTime;
  readonly maxTs: HybridTime;
}

/** `held`: a source is protected. `gone`: a source, the collection, the partition or the output is not there any more. */
export type Verdict = 'committed' | 'held' | 'gone';

const NO_TIME = 0n as HybridTime;

export class Replacement {
  readonly #parts: ReplacementParts;

  constructor(parts: ReplacementParts) {
    this.#parts = parts;
  }

  /** Registers a fresh output of the plan; undefined when the plan cannot be carried out any more. */
  async open(
    plan: CompactionPlan,
  ): Promise<{ readonly segmentId: SegmentId; readonly collection: CollectionRecord } | 'held' | 'gone'> {
    const segmentId = await this.#parts.ids.next<SegmentId>();
    for (;;) {
      const base = this.#basis(plan);
      if (typeof base === 'string') return base;
      const { channel, partitionId, kind } = plan;
      const { collectionId } = base.collection;
      const record: SegmentRecord = {
        segmentId,
        collectionId,
        partitionId,
        channel,
        level: kind === 'merge-deletes' ? 'L0' : 'L1',
        state: 'writing',
        rowCount: 0,
        minTs: NO_TIME,
        maxTs: NO_TIME,
        files: [],
        indexes: [],
      };
      const outcome = await this.#parts.catalog.commit([...base.guards, put(segments, record, undefined)]);
      if (outcome === 'committed') return { segmentId, collection: base.collection };
    }
  }

  /** What was written: only then indexes can be built for it. False: it was dropped. */
  async record(plan: CompactionPlan, segmentId: SegmentId, written: Written): Promise<boolean> {
    const applied = plan.kind === 'merge-deletes' ? {} : { deletesAppliedTs: plan.deletesAppliedTs };
    for (;;) {
      const was = this.#writing(segmentId);
      if (was === undefined) return false;
      const { files, rowCount, minTs, maxTs } = written;
      const is = { ...was, files, rowCount, minTs, maxTs, ...applied };
      if ((await this.#parts.catalog.commit([put(segments, is, was)])) === 'committed') return true;
    }
  }

  /** The one commit: sources dropped, output flushed; or dropped when nothing is left in it. */
  swap(plan: CompactionPlan, segmentId: SegmentId): Promise<Verdict> {
    return this.#parts.captureGate.replace(collectionOf(plan), async () => {
      for (;;) {
        const base = this.#basis(plan);
        if (typeof base === 'string') return base;
        const output = this.#writing(segmentId);
        if (output === undefined) return 'gone';
        const changes = [
          ...base.guards,
          ...base.sources.map((source) => this.#dropped(source)),
          ...(output.rowCount === 0 ? [this.#dropped(output)] : this.#flushed(output)),
        ];
        if ((await this.#parts.catalog.commit(changes)) === 'committed') return 'committed';
      }
    });
  }

  /** Nothing was written because no row is dead: that is known now, and the deletes may go sooner. */
  async noteApplied(segmentId: SegmentId, deletesAppliedTs: HybridTime): Promise<void> {
    await commitEach(this.#parts.catalog, [segmentId], () => {
      const was = this.#parts.catalog.get(segments, segmentId);
      if (was?.state !== 'flushed' || deletesAppliedTs <= (was.deletesAppliedTs ?? NO_TIME)) return undefined;
      return put(segments, { ...was, deletesAppliedTs }, was);
    });
  }

  /** `stillRetired` decides anew inside the gate, and again when the commit was stale. */
  retire(
    collectionId: CollectionId,
    atOnce: number,
    stillRetired: () => readonly SegmentRecord[],
  ): Promise<number> {
    return this.#parts.captureGate.replace(collectionId, async () => {
      for (;;) {
        const retired = stillRetired().slice(0, atOnce);
        if (retired.length === 0) return 0;
        const changes = retired.map((segment) => this.#dropped(segment));
        if ((await this.#parts.catalog.commit(changes)) === 'committed') return retired.length;
      }
    });
  }

  /** Outputs that will not be used. What a node wrote for them is garbage. */
  async discard(segmentIds: readonly SegmentId[]): Promise<void> {
    await commitEach(this.#parts.catalog, segmentIds, (segmentId) => {
      const was = this.#writing(segmentId);
      return was === undefined ? undefined : this.#dropped(was);
    });
  }

  /** At start: outputs of compactions that died with the process. */
  async recover(): Promise<void> {
    const left = this.#parts.catalog.find(segments, 'state', 'writing').map(({ segmentId }) => segmentId);
    await this.discard(left);
  }

  /** The records a plan stands on, as they are now. A source that got an index meanwhile is the same source. */
  #basis(plan: CompactionPlan) {
    const { catalog, protection } = this.#parts;
    const collectionId = collectionOf(plan);
    const collection = catalog.get(collections, collectionId);
    const partition = catalog.get(partitions, plan.partitionId);
    if (collection === undefined) return 'gone';
    if (plan.partitionId !== ALL_PARTITIONS && partition === undefined) return 'gone';
    const sources: SegmentRecord[] = [];
    for (const { segmentId } of plan.sources) {
      const source = catalog.get(segments, segmentId);
      if (source?.state !== 'flushed' || source.restoreJobId !== undefined) return 'gone';
      if (protection.isProtected(collectionId, segmentId)) return 'held';
      sources.push(source);
    }
    const guards: Change[] = [put(collections, collection, collection)];
    if (partition !== undefined) guards.push(put(partitions, partition, partition));
    return { collection, sources, guards };
  }

  #writing(segmentId: SegmentId): SegmentRecord | undefined {
    const record = this.#parts.catalog.get(segments, segmentId);
    return record?.state === 'writing' ? record : undefined;
  }

  /** Indexes dropped meanwhile must not leave an entry: those that stay stand in the commit. */
  #flushed(output: SegmentRecord): readonly Change[] {
    const guards: Change[] = [];
    const kept = output.indexes.filter(({ indexId }) => {
      const index = this.#parts.catalog.get(indexes, indexId);
      if (index !== undefined) guards.push(put(indexes, index, index));
      return index !== undefined;
    });
    const state = segmentMachine.next(output.state, 'flush');
    return [...guards, put(segments, { ...output, state, indexes: kept }, output)];
  }

  #dropped(segment: SegmentRecord): Change {
    const state = segmentMachine.next(segment.state, 'drop');
    return put(segments, { ...segment, state, droppedAtMs: this.#parts.clock.nowMs() }, segment);
  }
}

export const collectionOf = (plan: CompactionPlan): CollectionId =>
  (plan.sources[0] as SegmentRecord).collectionId;
