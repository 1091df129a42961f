/**
 * The rows and deletes of one collection in memory. Invariants: every row that is flushed in the applied view or stands in the
 * log is in exactly one unit; a row lives unless a delete known here kills it. What changes the set of units is synchronous,
 * and so is what a reader takes: it sees whole writes and whole handovers.
 */

import { batchSizeBytes } from '../model/columns.ts';
import type { HybridTime } from '../model/hybrid-time.ts';
import { ALL_PARTITIONS, type FieldId, type PartitionId, type SegmentId } from '../model/ids.ts';
import type { SegmentRecord } from '../model/records.ts';
import type { CollectionSchema } from '../model/schema.ts';
import { type KeyList, keyList } from '../segment/key-column.ts';
import type { AppliedWrite, LogSegment, WritePart } from '../streamingnode/api.ts';
import { assert, present } from '../support/assert.ts';
import { absentBytes, lacksOutput } from '../text/function-rows.ts';
import type { CollectionView } from './api.ts';
import { COST_PER_LOOKUP, CollectionDeletes } from './collection-deletes.ts';
import { Ghosts } from './ghosts.ts';
import { GrowingSegment } from './growing.ts';
import { LogContents } from './log-contents.ts';
import type { Pacer } from './pacer.ts';
import type { SealedSegment, Swap } from './swap.ts';
import type { Unit, UnitView } from './unit.ts';
import type { VectorEngine } from './vectors.ts';
import { WriteQueue } from './write-queue.ts';

type InsertPart = Extract<WritePart, { kind: 'insert' }>;

/** Of a key that is to be deleted. */
const BYTES_PER_KEY = 32;
/** Bytes taken over in the time of one unit of the pacer. */
const INSERT_BYTES_PER_UNIT = 16;

/** Analyzing text costs so many times what copying it does. */
const ANALYSIS_COST = 16;

export class CollectionRows {
  #view: CollectionView;
  readonly #engine: VectorEngine;
  readonly #sealed = new Map<SegmentId, SealedSegment>();
  readonly #growing = new Map<SegmentId, GrowingSegment>();
  readonly #deletes = new CollectionDeletes();
  /** Deleted rows that readers of earlier moments may still ask for. */
  readonly ghosts: Ghosts;
  /** Units that are being prepared: not read yet, but deletes reach them. */
  readonly #preparing = new Set<Unit>();
  readonly #inLog = new LogContents();
  readonly #queue: WriteQueue;
  /** Partitions that a view or a write has named. */
  readonly #partitions: Set<PartitionId>;
  /** Partitions that were dropped: what still waits to be written to them is nobody's. */
  readonly #dropped = new Set<PartitionId>();
  /** Something of theirs may stand here. */
  #hasDropped = false;
  #fault: unknown;
  #newestTs = 0n as HybridTime;
  #isReleased = false;
  /** Of the schema whose functions have written into every segment. */
  #filledVersion = -1;

  constructor(view: CollectionView, engine: VectorEngine, pacer: Pacer) {
    this.#view = { ...view, segments: [] };
    this.#engine = engine;
    this.ghosts = new Ghosts(engine);
    this.#partitions = new Set(view.partitionIds);
    this.#queue = new WriteQueue({
      now: (write) => this.#applyNow(write),
      sliced: (write) => this.#applySliced(write, pacer),
      sizeOf: ({ parts }) => parts.reduce((sum, part) => sum + partBytes(part), 0),
      isSmall: (write) =>
        this.#lookups(write) <= pacer.slices.lookupsAtOnce &&
        insertedBytes(write) <= pacer.slices.insertBytes,
      onError: (error) => {
        this.#fault ??= error;
      },
    });
  }

  get schema(): CollectionSchema {
    return this.#view.schema;
  }

  noteSchema(schema: CollectionSchema): void {
    if (schema.version >= this.schema.version) this.#view = { ...this.#view, schema };
  }

  get view(): CollectionView {
    return this.#view;
  }

  /** Timestamp of the first write that waits; undefined when all are applied. */
  get backlogTs(): HybridTime | undefined {
    return this.#queue.firstTs;
  }

  sealed(segmentId: SegmentId): SealedSegment | undefined {
    return this.#sealed.get(segmentId);
  }

  /** Whether the segment was loaded before the view's schema had a function: its rows lack what that makes of them. */
  lacksOutput({ segmentId }: SegmentRecord, { schema }: CollectionView): boolean {
    const unit = this.#sealed.get(segmentId)?.unit;
    return unit !== undefined && lacksOutput(schema, (fieldId) => unit.column(fieldId) !== undefined);
  }

  /** Segments but `except` that are to be loaded again for the view's functions. Looked for once per change of the schema. */
  withoutOutputs(view: CollectionView, except: ReadonlySet<SegmentRecord>): readonly SegmentRecord[] {
    const { functions, version } = view.schema;
    if (functions === undefined || version === this.#filledVersion) return [];
    return view.segments.filter((record) => !except.has(record) && this.lacksOutput(record, view));
  }

  /** From files, or because the log was followed from their beginning. */
  knowsDeletes(segmentId: SegmentId): boolean {
    return this.#deletes.hasFile(segmentId) || this.#inLog.holdsDeletes(segmentId);
  }

  /** A segment whose writes will be read from the log, from the first one on. */
  expect(segment: LogSegment): void {
    this.#inLog.expect(segment);
  }

  /** Segments of the log as it is known here that the catalog does not have there. To be asked at the moment of the view. */
  handedOver({ unflushed }: CollectionView): readonly SegmentId[] {
    return this.#inLog.goneFrom(unflushed);
  }

  get deletes(): CollectionDeletes {
    return this.#deletes;
  }

  /** A write of the log. Small ones are visible when it returns, others when they are through; reads keep the order. */
  apply(write: AppliedWrite): void {
    for (const part of write.parts) if (part.kind === 'insert') this.#partitions.add(part.partitionId);
    if (write.ts > this.#newestTs) this.#newestTs = write.ts;
    this.#inLog.add(write);
    this.#queue.write(write);
  }

  /** Of the writes that came by the log; a `read` from now on sees them all. */
  get newestTs(): HybridTime {
    return this.#newestTs;
  }

  /** Undefined while writes may go on; otherwise resolves when what waits is applied. */
  backlog(): Promise<void> | undefined {
    return this.#queue.backlog();
  }

  /** Resolves when every write so far is applied. */
  settled(): Promise<void> {
    return this.#queue.settled();
  }

  /**
   * What is visible now, or as soon as the writes are applied that came before this call. To be released. `withDead`: also units whose
   * rows have all been deleted, and what is left of units that have gone.
   */
  read(partitionIds: readonly PartitionId[] | undefined, withDead = false): Promise<UnitView[]> {
    return this.#queue.read(() => this.#views(partitionIds, withDead));
  }

  /** Live rows, as `read` would see them. */
  count(partitionIds: readonly PartitionId[] | undefined): Promise<number> {
    return this.#queue.read(() => {
      let count = 0;
      for (const unit of this.#readable(partitionIds)) count += unit.liveCount;
      return count;
    });
  }

  /** Makes a loaded unit ready for `swap`: its keys can be found, its deletes are applied and keep being applied. */
  async prepare(unit: Unit, pacer: Pacer): Promise<void> {
    this.#preparing.add(unit);
    await unit.revealAll(this.#deletes.of(unit.place.channel), pacer);
  }

  /** Deletes of an L0 segment's file. */
  learnDeletes(record: SegmentRecord, keys: KeyList, timestamps: BigInt64Array, pacer: Pacer): Promise<void> {
    return this.#deletes.learn(this.#reach(record), keys, timestamps, pacer);
  }

  /** Forgets deletes that nothing needs any more. No view may be on its way. */
  async prune(pacer: Pacer): Promise<void> {
    try {
      await this.#deletes.prune(this.#inLog.deletes, pacer);
    } catch (error) {
      this.#fault ??= error;
    }
  }

  /** Frees what has gone but for the deleted rows that somebody may ask for. */
  async settleGhosts(pacer: Pacer): Promise<void> {
    if (this.ghosts.isEmpty) return;
    try {
      await this.settled();
      await this.ghosts.settle(this.schema, pacer);
    } catch (error) {
      if (!pacer.signal.aborted) this.#fault ??= error;
    }
  }

  /**
   * `partitionIds` are the catalog's at the moment of the call: every partition known here that is not among them was dropped, also
   * one that came and went between two views. One that is younger than the call is not known yet.
   */
  noteDropped(partitionIds: readonly PartitionId[]): void {
    const kept = new Set(partitionIds);
    for (const id of this.#partitions)
      if (!kept.has(id)) {
        this.#partitions.delete(id);
        this.#dropped.add(id);
        this.#hasDropped = true;
      }
    for (const id of partitionIds) this.#partitions.add(id);
  }

  /** What stands in dropped partitions goes now. */
  removeDropped(): void {
    if (!this.#hasDropped) return;
    this.#hasDropped = false;
    this.ghosts.forget(this.#dropped);
    for (const [segmentId, { unit }] of this.#sealed)
      if (this.#dropped.has(unit.place.partitionId)) {
        this.#sealed.delete(segmentId);
        unit.release();
      }
    for (const { place } of [...this.#growing.values()])
      if (this.#dropped.has(place.partitionId)) this.#dropGrowing(place.segmentId);
  }

  /** The handover: one synchronous step. */
  swap({ view, plan, handedOver, loaded, reindexed }: Swap): void {
    for (const { segmentId } of plan.gone) {
      const gone = this.#sealed.get(segmentId);
      if (gone !== undefined) this.ghosts.leave(gone.unit);
      this.#sealed.delete(segmentId);
    }
    this.#deletes.swap(plan);
    for (const segmentId of handedOver) {
      this.#inLog.forget(segmentId);
      this.#growing.get(segmentId)?.leave((unit) => this.ghosts.leave(unit));
      this.#growing.delete(segmentId);
    }
    for (const segment of loaded) {
      const { segmentId } = segment.record;
      this.#preparing.delete(segment.unit);
      this.#hasDropped ||= this.#dropped.has(segment.record.partitionId);
      const before = this.#sealed.get(segmentId);
      if (before !== undefined && before.unit !== segment.unit) this.ghosts.leave(before.unit);
      this.#sealed.set(segmentId, segment);
    }
    for (const { record, indexes, scalarIndexes } of reindexed) {
      const unit = this.#sealed.get(record.segmentId)?.unit;
      assert(unit !== undefined, 'a segment with new indexes stays');
      unit.setIndexes(indexes);
      unit.setScalarIndexes(scalarIndexes);
      this.#sealed.set(record.segmentId, { record, unit });
    }
    this.removeDropped();
    const { schema } = this;
    this.#filledVersion = view.schema.version;
    this.#view = view;
    // It may have become another while the view was on its way.
    this.noteSchema(schema);
  }

  /** A prepared unit that will not be used after all. */
  discard(unit: Unit): void {
    this.#preparing.delete(unit);
    unit.release();
  }

  release(): void {
    this.#isReleased = true;
    this.#queue.close();
    for (const { unit } of this.#sealed.values()) unit.release();
    for (const segment of this.#growing.values()) segment.release();
    this.#sealed.clear();
    this.#growing.clear();
    this.#deletes.clear();
    this.ghosts.release();
  }

  #views(partitionIds: readonly PartitionId[] | undefined, withDead: boolean): UnitView[] {
    const views: UnitView[] = [];
    for (const unit of this.#readable(partitionIds))
      if (withDead || unit.liveCount > 0) views.push(unit.view());
    if (withDead) views.push(...this.ghosts.views(partitionIds && new Set(partitionIds)));
    return views;
  }

  *#readable(partitionIds: readonly PartitionId[] | undefined): Generator<Unit> {
    if (this.#fault !== undefined) throw this.#fault;
    const only = partitionIds === undefined ? undefined : new Set(partitionIds);
    for (const unit of this.#units()) if (only === undefined || only.has(unit.place.partitionId)) yield unit;
  }

  *#units(): Generator<Unit> {
    for (const { unit } of this.#sealed.values()) yield unit;
    for (const segment of this.#growing.values()) yield* segment.units;
  }

  /** Units a delete can reach, those in preparation and those that have just gone included. */
  #unitsIn(channel: string, partitionId: PartitionId): Unit[] {
    const reaches = ({ place }: Unit) =>
      place.channel === channel && (partitionId === ALL_PARTITIONS || place.partitionId === partitionId);
    return [...this.#units(), ...this.#preparing, ...this.ghosts.reachable].filter(reaches);
  }

  #reach({ channel, partitionId }: { readonly channel: string; readonly partitionId: PartitionId }) {
    return { channel, partitionId, units: () => this.#unitsIn(channel, partitionId) };
  }

  #dropGrowing(segmentId: SegmentId): void {
    this.#growing.get(segmentId)?.release();
    this.#growing.delete(segmentId);
  }

  #lookups(write: AppliedWrite): number {
    let lookups = 0;
    for (const part of write.parts)
      if (part.kind === 'delete')
        lookups += part.keys.values.length * (1 + this.#unitsIn(part.channel, part.partitionId).length);
    return lookups;
  }

  #applyNow(write: AppliedWrite): void {
    for (const part of write.parts)
      if (part.kind === 'delete') this.#deletes.apply(this.#reach(part), keyList(part.keys), write.ts);
    this.#insertAll(write);
  }

  async #applySliced(write: AppliedWrite, pacer: Pacer): Promise<void> {
    for (const part of write.parts)
      if (part.kind === 'delete')
        await this.#deletes.applySliced(this.#reach(part), keyList(part.keys), write.ts, pacer);
    for (const [i, part] of write.parts.entries())
      if (part.kind === 'insert')
        await this.#insertSliced(part, present(write.segmentIds[i], 'segment'), write.ts, pacer);
  }

  /** Nobody reads between the slices: reads wait behind the write, and so do handovers of what was written before them. */
  async #insertSliced(part: InsertPart, segmentId: SegmentId, ts: HybridTime, pacer: Pacer): Promise<void> {
    const { rowCount } = part.rows;
    const has = (fieldId: FieldId): boolean => part.rows.columns.has(fieldId);
    const bytesPerRow = Math.max(1, batchSizeBytes(part.rows) / rowCount) + absentBytes(this.schema, has);
    const { insertRows, insertBytes } = pacer.slices;
    const isOlder = lacksOutput(this.schema, has);
    const bytesAtOnce = isOlder ? insertBytes / ANALYSIS_COST : insertBytes;
    const step = Math.max(1, Math.min(insertRows, Math.floor(bytesAtOnce / bytesPerRow)));
    for (let first = 0; first < rowCount && !this.#isReleased; first += step) {
      const end = Math.min(rowCount, first + step);
      this.#insert(part, segmentId, ts, { first, end });
      const bytes = (end - first) * bytesPerRow;
      const cost = isOlder ? bytes * ANALYSIS_COST : bytes;
      await pacer.spend(cost / INSERT_BYTES_PER_UNIT + (end - first) * COST_PER_LOOKUP);
    }
  }

  #insertAll({ parts, segmentIds, ts }: AppliedWrite): void {
    if (this.#isReleased) return;
    for (const [i, part] of parts.entries()) {
      const segmentId = segmentIds[i];
      assert(segmentId !== undefined, 'a part of a write has no segment');
      if (part.kind === 'insert') this.#insert(part, segmentId, ts);
    }
  }

  #insert(
    part: InsertPart,
    segmentId: SegmentId,
    ts: HybridTime,
    range?: { readonly first: number; readonly end: number },
  ): void {
    // A flushed segment holds all its rows in its files, wherever compaction has taken them since.
    if (!this.#inLog.holdsRows(segmentId) || this.#dropped.has(part.partitionId)) return;
    let segment = this.#growing.get(segmentId);
    if (segment === undefined) {
      const { partitionId, channel } = part;
      segment = new GrowingSegment({ segmentId, partitionId, channel }, this.#engine);
      this.#growing.set(segmentId, segment);
    }
    segment.append(this.#view.schema, part.rows, ts, this.#deletes.of(part.channel), range);
  }
}

const insertedBytes = ({ parts }: AppliedWrite): number =>
  parts.reduce((sum, part) => sum + (part.kind === 'insert' ? batchSizeBytes(part.rows) : 0), 0);

/** About what a part takes in memory. */
const partBytes = (part: WritePart): number =>
  part.kind === 'insert' ? batchSizeBytes(part.rows) : part.keys.values.length * BYTES_PER_KEY;
