/** Sees plans through: a node writes the output, its indexes are built while nobody sees it, one commit replaces the sources. */
import type { NodeOutput, NodeWork } from '../../datanode/api.ts';
import { type ErrorName, errorCodes } from '../../errors/codes.ts';
import { type DbError, isDbError, messageOf } from '../../errors/db-error.ts';
import type { SegmentId, TaskId } from '../../model/ids.ts';
import type { SegmentRecord } from '../../model/records.ts';
import { mapLimited } from '../../support/limiter.ts';
import type { Log } from '../../support/log.ts';
import type { CompactionStats } from '../api.ts';
import type { OutputIndexes } from '../rooms.ts';
import { MemoryTask } from '../scheduler/memory-task.ts';
import type { Scheduler } from '../scheduler/task.ts';
import type { CompactionLimits } from './limits.ts';
import { type OpenPlan, OpenPlans, type PlanEnd } from './open-plans.ts';
import { checkedOutput, workOf } from './output.ts';
import type { CompactionPlan } from './plan.ts';
import { collectionOf, Replacement, type ReplacementParts, type Verdict } from './replacement.ts';

export interface RunnerParts extends ReplacementParts {
  readonly scheduler: Scheduler;
  readonly outputIndexes: OutputIndexes;
  readonly log: Log;
  readonly limits: CompactionLimits;
}

const AT_ONCE = 16;
const reasons: Readonly<Record<Exclude<Verdict, 'committed'>, string>> = {
  held: 'a segment is protected by a snapshot',
  gone: 'a segment, its partition or its collection was dropped meanwhile',
};

export class PlanRunner {
  readonly open = new OpenPlans();
  readonly replacement: Replacement;
  readonly #parts: RunnerParts;
  readonly #closing = new AbortController();
  /** Hand-overs under way; none rejects. */
  readonly #handingOver = new Set<Promise<void>>();
  /** Outputs nobody will use, whose records are still to be dropped. */
  readonly #unused = new Set<SegmentId>();
  #completed = 0;
  #failed = 0;
  #rowsRemoved = 0;

  constructor(parts: RunnerParts) {
    this.#parts = parts;
    this.replacement = new Replacement(parts);
  }

  get isClosed(): boolean {
    return this.#closing.signal.aborted;
  }

  get stats(): CompactionStats {
    const [running, completed, failed] = [this.open.size, this.#completed, this.#failed];
    return { running, completed, failed, rowsRemoved: this.#rowsRemoved };
  }

  /** The sources count as taken when this returns; resolves when the plan waits for a node. `onEnd` is called once. */
  async start(plan: CompactionPlan, onEnd: (end: PlanEnd) => void): Promise<void> {
    const open: OpenPlan = { plan, onEnd, taskId: undefined, output: undefined, failures: 0 };
    this.open.add(open);
    try {
      const taskId = await this.#parts.ids.next<TaskId>();
      if (!this.open.has(open)) return;
      open.taskId = taskId;
      this.#parts.scheduler.enqueue(
        new MemoryTask(taskId, 'compaction', {
          work: () => this.#work(open),
          finish: (output) => this.#finish(open, output),
          fail: (code, reason) => this.#fail(open, code, reason),
        }),
      );
    } catch (error) {
      // Its sources rest, as after any failure: looked at again at once, it would fail again at once, for as long as the catalog does.
      this.#giveUp(open, `${codeOf(error)}: ${messageOf(error)}`);
      throw error;
    }
  }

  /** Ends what reads or writes these segments; resolves when no node works on it. */
  async cancel(segmentIds: readonly SegmentId[]): Promise<void> {
    const ended = this.open.touching(segmentIds);
    for (const open of ended) this.#end(open, { state: 'failed', reason: reasons.gone });
    await mapLimited(ended, AT_ONCE, async ({ taskId }) => {
      if (taskId !== undefined) await this.#parts.scheduler.cancel(taskId);
    });
  }

  /** Drops the records of outputs that nobody will use. */
  async tidy(): Promise<void> {
    const unused = [...this.#unused];
    await this.replacement.discard(unused);
    for (const segmentId of unused) this.#unused.delete(segmentId);
  }

  /** What is not committed now is given up; the next start takes it back. */
  close(): void {
    this.#closing.abort();
  }

  /** Resolves when no hand-over is under way. */
  async settled(): Promise<void> {
    while (this.#handingOver.size > 0) await Promise.all(this.#handingOver);
  }

  async #work(open: OpenPlan): Promise<NodeWork | undefined> {
    this.#giveUpOutput(open);
    await this.tidy();
    if (this.isClosed || !this.open.has(open)) return undefined;
    const opened = await this.replacement.open(open.plan);
    if (typeof opened === 'string') {
      this.#end(open, { state: 'failed', reason: reasons[opened] });
      return undefined;
    }
    open.output = opened.segmentId;
    if (this.open.has(open)) return workOf(open.plan, opened.segmentId, opened.collection);
    this.#giveUpOutput(open);
    return undefined;
  }

  /** What it throws is a failed attempt to the scheduler: the plan is carried out again, into another segment. */
  async #finish(open: OpenPlan, output: NodeOutput): Promise<void> {
    const { plan, output: segmentId } = open;
    if (!this.open.has(open) || segmentId === undefined) return;
    try {
      const { killed, written } = checkedOutput(plan, output);
      if (written === undefined) await this.#leaveAsIs(open, killed);
      else if (written.rowCount === 0 || (await this.replacement.record(plan, segmentId, written)))
        this.#track(this.#handOver(open, segmentId, killed, written.rowCount));
      else this.#end(open, { state: 'failed', reason: reasons.gone });
    } catch (error) {
      if (this.#fail(open, codeOf(error), messageOf(error)) === 'retry') throw error;
    }
  }

  /** Too few rows are dead. */
  async #leaveAsIs(open: OpenPlan, killed: number): Promise<void> {
    const { plan } = open;
    if (plan.kind === 'merge-deletes') return;
    for (const { segmentId } of plan.sources) {
      this.open.noteExamined(segmentId, plan.unapplied);
      if (killed === 0) await this.replacement.noteApplied(segmentId, plan.deletesAppliedTs);
    }
    this.#end(open, { state: 'completed' });
  }

  async #handOver(open: OpenPlan, segmentId: SegmentId, killed: number, rowCount: number): Promise<void> {
    const { signal } = this.#closing;
    try {
      if (rowCount > 0) await this.#parts.outputIndexes.buildAll(segmentId, signal);
      if (signal.aborted || !this.open.has(open)) return;
      const verdict = await this.replacement.swap(open.plan, segmentId);
      if (verdict === 'committed') this.#succeed(open, killed, rowCount > 0 ? segmentId : undefined);
      else this.#end(open, { state: 'failed', reason: reasons[verdict] });
    } catch (error) {
      this.#giveUp(open, `${codeOf(error)}: ${messageOf(error)}`);
    }
  }

  #succeed(open: OpenPlan, killed: number, target: SegmentId | undefined): void {
    open.output = undefined;
    this.#rowsRemoved += killed;
    const { plan } = open;
    this.#parts.log.info('compacted', {
      kind: plan.kind,
      collectionId: collectionOf(plan),
      sources: plan.sources.map(({ segmentId }: SegmentRecord) => segmentId),
      target,
      killed,
    });
    this.#end(open, target === undefined ? { state: 'completed' } : { state: 'completed', target });
  }

  #fail(open: OpenPlan, code: ErrorName, reason: string): 'retry' | 'done' {
    if (!this.open.has(open)) return 'done';
    this.#giveUpOutput(open);
    open.failures++;
    if (errorCodes[code].retriable && open.failures < this.#parts.limits.maxAttempts) return 'retry';
    this.#giveUp(open, `${code}: ${reason}`);
    return 'done';
  }

  #giveUp(open: OpenPlan, reason: string): void {
    const { clock, limits, log } = this.#parts;
    if (!this.open.has(open) || this.isClosed) return;
    this.open.noteFailed(open, reason, clock.monotonicMs() + limits.retryAfterMs);
    log.error('compaction-failed', { collectionId: collectionOf(open.plan), reason });
    this.#end(open, { state: 'failed', reason });
  }

  #end(open: OpenPlan, end: PlanEnd): void {
    if (!this.open.has(open)) return;
    this.open.delete(open);
    this.#giveUpOutput(open);
    if (end.state === 'completed') this.#completed++;
    else this.#failed++;
    open.onEnd(end);
  }

  #giveUpOutput(open: OpenPlan): void {
    if (open.output !== undefined) this.#unused.add(open.output);
    open.output = undefined;
  }

  #track(work: Promise<void>): void {
    const tracked = work.finally(() => this.#handingOver.delete(tracked));
    this.#handingOver.add(tracked);
  }
}

const codeOf = (error: unknown): DbError['code'] => (isDbError(error) ? error.code : 'internal');
