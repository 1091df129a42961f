/** Small stand-ins for the planes around the coordinator. They keep what their doors promise, and nothing more. */

import type { Scheduler, SchedulerStats, SchedulerTask } from '../../src/coordinator/scheduler/task.ts';
import type { NodeOutput, NodeWork } from '../../src/datanode/api.ts';
import { DbError, isDbError } from '../../src/errors/db-error.ts';
import type { HybridTime } from '../../src/model/hybrid-time.ts';
import type { CollectionId, NodeId, PartitionId, SegmentId, TaskId } from '../../src/model/ids.ts';
import type { SegmentFile, SegmentLevel } from '../../src/model/records.ts';
import type { CollectionView, QueryNode } from '../../src/querynode/api.ts';
import type { LogSegment, SealResult, SegmentOpener, StreamingNode } from '../../src/streamingnode/api.ts';

interface Logged {
  readonly segmentId: SegmentId;
  readonly collectionId: CollectionId;
  readonly partitionId: PartitionId;
  readonly channel: string;
  readonly level: SegmentLevel;
  readonly rowCount: number;
  readonly ts: HybridTime;
  readonly offset: number;
}

/** What a restart finds. */
export class LogDisk {
  readonly records: Logged[] = [];
}

interface Entry {
  readonly first: Logged;
  sealed: boolean;
  readonly records: Logged[];
}

const BYTES_PER_ROW = 100;

/** A streaming node whose rows are only counted. Throws for everything it does not have. */
export class FakeStreamingNode implements StreamingNode {
  readonly #disk: LogDisk;
  readonly #opener: SegmentOpener;
  readonly #time: { next(): HybridTime };
  readonly #segments = new Map<SegmentId, Entry>();
  readonly #unused = new Map<
    string,
    { readonly segmentId: SegmentId; readonly collectionId: CollectionId }
  >();
  readonly released: SegmentId[] = [];
  readonly dropped: string[] = [];
  openedAtMs = 0;
  failure: DbError | undefined;

  constructor(disk: LogDisk, opener: SegmentOpener, time: { next(): HybridTime }) {
    this.#disk = disk;
    this.#opener = opener;
    this.#time = time;
  }

  async recover(isOpen: (segmentId: SegmentId) => boolean): Promise<HybridTime> {
    await Promise.resolve();
    let highest = 0n as HybridTime;
    for (const record of this.#disk.records) {
      if (record.ts > highest) highest = record.ts;
      if (isOpen(record.segmentId)) this.#add(record).sealed = true;
    }
    return highest;
  }

  /** Rows (or deletes) of one partition and channel; answers where they went. */
  async rows(
    collectionId: CollectionId,
    partitionId: PartitionId,
    rowCount: number,
    level: SegmentLevel = 'L1',
    channel = 'c0',
  ): Promise<SegmentId> {
    const segmentId =
      this.#openOne(collectionId, partitionId, level) ??
      (await this.open(collectionId, partitionId, level, channel));
    this.#unused.delete(`${collectionId}/${partitionId}/${level}`);
    const ts = this.#time.next();
    const offset = this.#disk.records.length;
    const record = { segmentId, collectionId, partitionId, channel, level, rowCount, ts, offset };
    this.#disk.records.push(record);
    this.#add(record);
    return segmentId;
  }

  /** Opens a segment that gets no row yet. */
  async open(
    collectionId: CollectionId,
    partitionId: PartitionId,
    level: SegmentLevel = 'L1',
    channel = 'c0',
  ): Promise<SegmentId> {
    if (this.dropped.includes(`${collectionId}`)) throw new DbError('collection-not-found', 'dropped');
    const segmentId = await this.#opener.open(collectionId, partitionId, channel, level);
    this.#unused.set(`${collectionId}/${partitionId}/${level}`, { segmentId, collectionId });
    return segmentId;
  }

  async seal(
    collectionId: CollectionId,
    only: { readonly partitionId?: PartitionId; readonly segmentId?: SegmentId } = {},
  ): Promise<SealResult> {
    const sealTs = this.#time.next();
    const meant = [...this.#segments.values()].filter(
      ({ first }) =>
        first.collectionId === collectionId &&
        (only.segmentId === undefined || only.segmentId === first.segmentId),
    );
    for (const entry of meant) entry.sealed = true;
    const empty: SegmentId[] = [];
    for (const [key, unused] of this.#unused)
      if (unused.collectionId === collectionId && only.segmentId === undefined) {
        empty.push(unused.segmentId);
        this.#unused.delete(key);
      }
    await Promise.resolve();
    return { sealTs, segments: meant.map(viewOf), empty };
  }

  segments(): readonly LogSegment[] {
    return [...this.#segments.values()].map((entry) => ({ ...viewOf(entry), openedAtMs: this.openedAtMs }));
  }

  async release(segmentIds: readonly SegmentId[]): Promise<void> {
    await Promise.resolve();
    for (const segmentId of segmentIds) {
      this.released.push(segmentId);
      this.#segments.delete(segmentId);
    }
  }

  async drop(collectionId: CollectionId, partitionId?: PartitionId): Promise<void> {
    await Promise.resolve();
    this.dropped.push(partitionId === undefined ? `${collectionId}` : `${collectionId}/${partitionId}`);
    for (const [segmentId, { first }] of this.#segments)
      if (first.collectionId === collectionId && (partitionId ?? first.partitionId) === first.partitionId)
        this.#segments.delete(segmentId);
  }

  write(): never {
    throw new Error('not part of this fake');
  }
  follow(): never {
    throw new Error('not part of this fake');
  }
  read(): never {
    throw new Error('not part of this fake');
  }
  close(): Promise<void> {
    return Promise.resolve();
  }

  #openOne(collectionId: CollectionId, partitionId: PartitionId, level: SegmentLevel): SegmentId | undefined {
    for (const [segmentId, { first, sealed }] of this.#segments)
      if (
        !sealed &&
        first.collectionId === collectionId &&
        first.partitionId === partitionId &&
        first.level === level
      )
        return segmentId;
    return this.#unused.get(`${collectionId}/${partitionId}/${level}`)?.segmentId;
  }

  #add(record: Logged): Entry {
    const entry = this.#segments.get(record.segmentId) ?? { first: record, sealed: false, records: [] };
    entry.records.push(record);
    this.#segments.set(record.segmentId, entry);
    return entry;
  }
}

const viewOf = ({ first, sealed, records }: Entry): LogSegment => {
  const rowCount = records.reduce((sum, record) => sum + record.rowCount, 0);
  return {
    segmentId: first.segmentId,
    collectionId: first.collectionId,
    partitionId: first.partitionId,
    channel: first.channel,
    level: first.level,
    sealed,
    rowCount,
    sizeBytes: rowCount * BYTES_PER_ROW,
    openedAtMs: 0,
    minTs: first.ts,
    maxTs: records.at(-1)?.ts ?? first.ts,
    positions: records.map(({ offset }) => ({ file: 0, offset, length: 1 })),
  };
};

/** Counts what a reader would see: rows of the files it was told of, and of the log segments it was not told of as files. */
export class FakeQueryNode implements QueryNode {
  readonly visibleTs = 0n as HybridTime;
  readonly views = new Map<CollectionId, CollectionView>();
  readonly calls: string[] = [];
  /** Awaited by every load and update. */
  gate: () => Promise<void> = () => Promise.resolve();
  readonly #log: FakeStreamingNode;

  constructor(log: FakeStreamingNode) {
    this.#log = log;
  }

  rowsOf(collectionId: CollectionId): number {
    const view = this.views.get(collectionId);
    if (view === undefined) throw new DbError('collection-not-loaded', `${collectionId}`);
    const inFiles = new Set(view.segments.map(({ segmentId }) => segmentId));
    const fromFiles = view.segments.filter(({ level }) => level === 'L1');
    const fromLog = this.#log
      .segments()
      .filter((s) => s.collectionId === collectionId && s.level === 'L1' && !inFiles.has(s.segmentId));
    return [...fromFiles, ...fromLog].reduce((sum, { rowCount }) => sum + rowCount, 0);
  }

  async load(view: CollectionView): Promise<void> {
    this.calls.push(`load ${view.collectionId}`);
    await this.gate();
    this.views.set(view.collectionId, view);
  }

  async update(view: CollectionView): Promise<void> {
    this.calls.push(`update ${view.collectionId}`);
    await this.gate();
    if (this.views.has(view.collectionId)) this.views.set(view.collectionId, view);
  }

  noteSchema(): void {}

  release(collectionId: CollectionId): Promise<void> {
    this.calls.push(`release ${collectionId}`);
    this.views.delete(collectionId);
    return Promise.resolve();
  }

  progress(collectionId: CollectionId): number | undefined {
    return this.views.has(collectionId) ? 100 : undefined;
  }

  search(): never {
    throw new Error('not part of this fake');
  }
  hybridSearch(): never {
    throw new Error('not part of this fake');
  }
  query(): never {
    throw new Error('not part of this fake');
  }
  aggregate(): never {
    throw new Error('not part of this fake');
  }
  count(): never {
    throw new Error('not part of this fake');
  }
  close(): Promise<void> {
    return Promise.resolve();
  }
}

/** Runs tasks when it is told to, one after another, on a data node that is a function. */
export class FakeScheduler implements Scheduler {
  readonly tasks = new Map<TaskId, SchedulerTask>();
  readonly sent: NodeWork[] = [];
  node: (work: NodeWork) => NodeOutput | Promise<NodeOutput>;

  constructor(node: FakeScheduler['node']) {
    this.node = node;
  }

  canEverTake(): boolean {
    return true;
  }

  known(group: bigint): number {
    return [...this.tasks.values()].filter((task) => task.group === group).length;
  }

  stats(): SchedulerStats {
    return { waiting: { restore: 0, flush: 0, index: 0, compaction: 0 }, nodes: [] };
  }

  enqueue(task: SchedulerTask): void {
    if (!this.tasks.has(task.taskId)) this.tasks.set(task.taskId, task);
  }

  async cancel(taskId: TaskId): Promise<void> {
    await Promise.resolve();
    this.tasks.delete(taskId);
  }

  /** One attempt of every task there is. */
  async run(): Promise<void> {
    for (const task of [...this.tasks.values()]) await this.#attempt(task);
  }

  async #attempt(task: SchedulerTask): Promise<void> {
    const order = await task.dispatch(1n as NodeId);
    if (order === undefined) {
      this.tasks.delete(task.taskId);
      return;
    }
    this.sent.push(order.work);
    const report = { taskId: task.taskId, attempt: order.attempt, progress: { bytes: 0, files: 0 } };
    let output: NodeOutput;
    try {
      output = await this.node(order.work);
    } catch (error) {
      const code = isDbError(error) ? error.code : 'internal';
      if ((await task.failed(code, String(error))) === 'done') this.tasks.delete(task.taskId);
      return;
    }
    if (!this.tasks.has(task.taskId)) return;
    try {
      await task.completed({ ...report, state: 'completed', output });
      this.tasks.delete(task.taskId);
    } catch {
      // As the scheduler does: an outcome that could not be stored is asked for again.
    }
  }
}

const file = (kind: SegmentFile['kind'], key: string): SegmentFile => ({
  kind,
  key,
  sizeBytes: 10,
  crc32: 1,
  etag: 'v1',
});

/** A data node that does its work right, over the log it reads. */
export const honestNode =
  (disk: LogDisk) =>
  (work: NodeWork): NodeOutput => {
    if (work.kind === 'flush') {
      const rowCount = work.positions
        .map(({ offset }) => disk.records[offset]?.rowCount ?? 0)
        .reduce((a, b) => a + b, 0);
      return { kind: 'flush', rowCount, files: [file('rows', `segments/${work.place.segmentId}/rows`)] };
    }
    if (work.kind === 'build-index')
      return { kind: 'build-index', file: file('index', `segments/${work.place.segmentId}/${work.buildId}`) };
    throw new DbError('internal', `no such work here: ${work.kind}`);
  };
