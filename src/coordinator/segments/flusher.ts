/**
 * From sealed to flushed to released. A sealed segment stays in the log until its files are committed to the catalog and no reader
 * reads it there any more: only then the log may forget it. A flush that fails is tried again for ever.
 */
import type { Catalog } from '../../catalog/catalog.ts';
import type { FlushOutput, NodeOutput, NodeWork } from '../../datanode/api.ts';
import { type ErrorName, errorCodes } from '../../errors/codes.ts';
import { DbError, isDbError, messageOf } from '../../errors/db-error.ts';
import { ALL_PARTITIONS, type CollectionId, type SegmentId, type TaskId } from '../../model/ids.ts';
import type { LogSegment, StreamingNode } from '../../streamingnode/api.ts';
import { mapLimited } from '../../support/limiter.ts';
import type { Log } from '../../support/log.ts';
import type { IdSource } from '../allocator.ts';
import { MemoryTask } from '../scheduler/memory-task.ts';
import type { Scheduler } from '../scheduler/task.ts';
import { collections, partitions } from '../tables.ts';
import type { SegmentRegistry } from './registry.ts';

export interface FlusherParts {
  readonly catalog: Catalog;
  readonly ids: IdSource;
  readonly registry: SegmentRegistry;
  readonly streamingNode: StreamingNode;
  readonly scheduler: Scheduler;
  readonly log: Log;
  /** Resolves when no reader of the collection reads from the log what the catalog has in files now. */
  readonly offer: (collectionId: CollectionId) => Promise<void>;
  /** Told that the log has let go of segments. */
  readonly released: (collectionId: CollectionId) => void;
}

interface Waiter {
  resolve(): void;
  reject(error: DbError): void;
}

interface Flush {
  readonly segment: LogSegment;
  /** Undefined: no task runs for it; `pass` starts one. */
  taskId: TaskId | undefined;
  failures: number;
  /** What the last attempt said, while it has not succeeded. */
  trouble: string | undefined;
  readonly waiters: Set<Waiter>;
}

/** Callers that wait for a flush are told of a passing failure only when it does not pass. */
const FAILURES_BEFORE_WAITERS_HEAR = 3;
const AT_ONCE = 16;

export class Flusher {
  readonly #parts: FlusherParts;
  readonly #flushes = new Map<SegmentId, Flush>();
  /** Flushed segments that the log has not been told to forget. */
  readonly #unreleased = new Map<CollectionId, Set<SegmentId>>();
  readonly #releasing = new Map<CollectionId, Promise<void>>();
  #isClosed = false;

  constructor(parts: FlusherParts) {
    this.#parts = parts;
  }

  /** Whether the segment is on its way: being flushed, or flushed and waiting to be released. */
  knows(collectionId: CollectionId, segmentId: SegmentId): boolean {
    return this.#flushes.has(segmentId) || this.#unreleased.get(collectionId)?.has(segmentId) === true;
  }

  /** Makes the catalog and the queue agree with the log: every segment the log has sealed becomes flushed. Repeatable. */
  async adopt(sealed: readonly LogSegment[]): Promise<void> {
    const fresh = sealed.filter(({ collectionId, segmentId }) => !this.knows(collectionId, segmentId));
    if (fresh.length === 0) return;
    await this.#parts.registry.seal(fresh);
    for (const segment of fresh) {
      const state = this.#parts.registry.get(segment.segmentId)?.state;
      if (state === 'sealed') await this.#start(segment);
      else this.#handOver(segment);
    }
  }

  /** Resolves when the segment is flushed or dropped; rejects when its flush does not get on. */
  flushed(segmentId: SegmentId): Promise<void> {
    const flush = this.#flushes.get(segmentId);
    if (flush === undefined) return Promise.resolve();
    if (this.#isClosed) return Promise.reject(closing());
    return new Promise((resolve, reject) => flush.waiters.add({ resolve, reject }));
  }

  async cancel(segmentIds: readonly SegmentId[]): Promise<void> {
    const flushes = segmentIds.map((id) => this.#flushes.get(id)).filter((flush) => flush !== undefined);
    for (const flush of flushes) this.#end(flush);
    await mapLimited(flushes, AT_ONCE, async ({ taskId }) => {
      if (taskId !== undefined) await this.#parts.scheduler.cancel(taskId);
    });
  }

  /** Starts and hands over again what could not be. */
  async pass(): Promise<void> {
    for (const flush of this.#flushes.values()) if (flush.taskId === undefined) await this.#enqueue(flush);
    await mapLimited([...this.#unreleased.keys()], AT_ONCE, (collectionId) => this.#release(collectionId));
  }

  /** Resolves when no handover is under way. */
  async settled(): Promise<void> {
    while (this.#releasing.size > 0) await Promise.all(this.#releasing.values());
  }

  /** Flushes that have failed and are being tried again. */
  troubles(): readonly string[] {
    return [...this.#flushes.values()].flatMap(({ segment, trouble }) =>
      trouble === undefined ? [] : [`flush of segment ${segment.segmentId}: ${trouble}`],
    );
  }

  /** Callers that wait are sent away. Flushes and handovers that do not end now are done after the next start. */
  close(): void {
    this.#isClosed = true;
    for (const { waiters } of this.#flushes.values()) {
      for (const waiter of waiters) waiter.reject(closing());
      waiters.clear();
    }
  }

  async #start(segment: LogSegment): Promise<void> {
    const { segmentId } = segment;
    if (this.#flushes.has(segmentId)) return;
    const flush: Flush = {
      segment,
      taskId: undefined,
      failures: 0,
      trouble: undefined,
      waiters: new Set(),
    };
    this.#flushes.set(segmentId, flush);
    await this.#enqueue(flush);
  }

  async #enqueue(flush: Flush): Promise<void> {
    const taskId = await this.#parts.ids.next<TaskId>();
    if (this.#flushes.get(flush.segment.segmentId) !== flush || flush.taskId !== undefined) return;
    flush.taskId = taskId;
    this.#parts.scheduler.enqueue(
      new MemoryTask(taskId, 'flush', {
        work: () => this.#work(flush),
        finish: (output) => this.#finish(flush, output),
        fail: (code, reason) => this.#fail(flush, code, reason),
      }),
    );
  }

  #work(flush: Flush): NodeWork | undefined {
    const { segmentId, collectionId, partitionId, level, positions } = flush.segment;
    const collection = this.#parts.catalog.get(collections, collectionId);
    if (collection === undefined || this.#parts.registry.get(segmentId)?.state !== 'sealed') {
      this.#end(flush);
      return undefined;
    }
    const place = { collectionId, partitionId, segmentId };
    return { kind: 'flush', place, level, schema: collection.schema, positions };
  }

  /** What it throws is a failed attempt to the scheduler: the flush is sent again after a back-off. */
  async #finish(flush: Flush, output: NodeOutput): Promise<void> {
    const { segment } = flush;
    if (this.#flushes.get(segment.segmentId) !== flush) return;
    try {
      const files = checked(output, segment);
      const isFlushed = await this.#parts.registry.flushed(segment.segmentId, files);
      this.#end(flush);
      if (isFlushed) this.#handOver(segment);
    } catch (error) {
      this.#fail(flush, isDbError(error) ? error.code : 'internal', messageOf(error));
      throw error;
    }
  }

  #fail(flush: Flush, code: ErrorName, reason: string): 'retry' | 'done' {
    const { segment } = flush;
    if (this.#flushes.get(segment.segmentId) !== flush) return 'done';
    if (!this.#isWanted(segment)) {
      // Dropped meanwhile, and its rows may be gone from the log: nobody waits for them any more.
      this.#end(flush);
      return 'done';
    }
    flush.failures++;
    flush.trouble = `${code}: ${reason}`;
    this.#parts.log.error('flush-failed', { segmentId: segment.segmentId, code, reason });
    if (!errorCodes[code].retriable || flush.failures >= FAILURES_BEFORE_WAITERS_HEAR) {
      const error = new DbError(code, `segment ${segment.segmentId} is not flushed: ${reason}`);
      for (const waiter of flush.waiters) waiter.reject(error);
      flush.waiters.clear();
    }
    return 'retry';
  }

  #isWanted({ collectionId, partitionId }: LogSegment): boolean {
    const { catalog } = this.#parts;
    if (catalog.get(collections, collectionId) === undefined) return false;
    return partitionId === ALL_PARTITIONS || catalog.get(partitions, partitionId) !== undefined;
  }

  #end(flush: Flush): void {
    this.#flushes.delete(flush.segment.segmentId);
    for (const waiter of flush.waiters) waiter.resolve();
    flush.waiters.clear();
  }

  #handOver({ collectionId, segmentId }: LogSegment): void {
    const waiting = this.#unreleased.get(collectionId) ?? new Set();
    this.#unreleased.set(collectionId, waiting.add(segmentId));
    void this.#release(collectionId);
  }

  /** Never rejects. One at a time per collection: what arrives meanwhile is taken by the same run. */
  #release(collectionId: CollectionId): Promise<void> {
    const running = this.#releasing.get(collectionId);
    if (running !== undefined) return running;
    const release = this.#releaseAll(collectionId)
      .catch((error: unknown) => {
        if (!this.#isClosed) this.#parts.log.error('handover-failed', { collectionId, error });
      })
      .finally(() => this.#releasing.delete(collectionId));
    this.#releasing.set(collectionId, release);
    return release;
  }

  async #releaseAll(collectionId: CollectionId): Promise<void> {
    const waiting = this.#unreleased.get(collectionId) ?? new Set<SegmentId>();
    while (waiting.size > 0) {
      const segmentIds = [...waiting];
      await this.#parts.offer(collectionId);
      await this.#parts.streamingNode.release(segmentIds);
      for (const segmentId of segmentIds) waiting.delete(segmentId);
      this.#parts.released(collectionId);
    }
    this.#unreleased.delete(collectionId);
  }
}

/** A node may be wrong: rows it did not write must not be taken out of the log. */
function checked(output: NodeOutput, { segmentId, rowCount }: LogSegment): FlushOutput {
  if (output.kind !== 'flush') throw new DbError('internal', `a flush was answered with ${output.kind}`);
  if (output.rowCount !== rowCount)
    throw new DbError(
      'data-integrity',
      `segment ${segmentId} has ${rowCount} rows in the log, ${output.rowCount} in its files`,
    );
  return output;
}

const closing = (): DbError =>
  new DbError('service-unavailable', 'the server is stopping; the flush goes on after its restart');
