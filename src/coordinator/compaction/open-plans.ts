/** The plans under way, by the segments they touch; and what earlier ones taught about segments, as long as those live. In memory only. */
import type { SegmentId, TaskId } from '../../model/ids.ts';
import type { CompactionPlan } from './plan.ts';
import { collectionOf } from './replacement.ts';

/** One plan on its way from its start to its end. */
export interface OpenPlan {
  readonly plan: CompactionPlan;
  /** Undefined: not handed to the scheduler yet. */
  taskId: TaskId | undefined;
  /** Told once, at the end. */
  readonly onEnd: (end: PlanEnd) => void;
  /** The record of the running attempt's output. */
  output: SegmentId | undefined;
  failures: number;
}

export type PlanEnd =
  | { readonly state: 'completed'; readonly target?: SegmentId }
  | { readonly state: 'failed'; readonly reason: string };

interface Failure {
  readonly reason: string;
  readonly retryAtMs: number;
  readonly name: string;
}

export class OpenPlans {
  readonly #plans = new Set<OpenPlan>();
  readonly #sources = new Set<SegmentId>();
  /** How many open plans read the deletes of a segment. */
  readonly #readers = new Map<SegmentId, number>();
  readonly #examined = new Map<SegmentId, number>();
  readonly #failures = new Map<SegmentId, Failure>();

  get size(): number {
    return this.#plans.size;
  }

  add(open: OpenPlan): void {
    this.#plans.add(open);
    this.hold(open.plan.sources.map(({ segmentId }) => segmentId));
    for (const segmentId of readBy(open.plan))
      this.#readers.set(segmentId, (this.#readers.get(segmentId) ?? 0) + 1);
  }

  has(open: OpenPlan): boolean {
    return this.#plans.has(open);
  }

  delete(open: OpenPlan): void {
    if (!this.#plans.delete(open)) return;
    this.letGo(open.plan.sources.map(({ segmentId }) => segmentId));
    for (const segmentId of readBy(open.plan)) {
      const readers = (this.#readers.get(segmentId) ?? 0) - 1;
      if (readers > 0) this.#readers.set(segmentId, readers);
      else this.#readers.delete(segmentId);
    }
  }

  hold(segmentIds: readonly SegmentId[]): void {
    for (const segmentId of segmentIds) this.#sources.add(segmentId);
  }

  letGo(segmentIds: readonly SegmentId[]): void {
    for (const segmentId of segmentIds) this.#sources.delete(segmentId);
  }

  isSource(segmentId: SegmentId): boolean {
    return this.#sources.has(segmentId);
  }

  isRead(segmentId: SegmentId): boolean {
    return this.#readers.has(segmentId);
  }

  /** Plans with one of these as source or output. */
  touching(segmentIds: readonly SegmentId[]): readonly OpenPlan[] {
    const meant = new Set(segmentIds);
    return [...this.#plans].filter(
      ({ plan, output }) =>
        (output !== undefined && meant.has(output)) || plan.sources.some((s) => meant.has(s.segmentId)),
    );
  }

  /** Deletes with which the segment was found not worth rewriting. */
  examinedWith(segmentId: SegmentId): number {
    return this.#examined.get(segmentId) ?? 0;
  }

  noteExamined(segmentId: SegmentId, unapplied: number): void {
    this.#examined.set(segmentId, unapplied);
    this.#failures.delete(segmentId);
  }

  noteFailed({ plan }: OpenPlan, reason: string, retryAtMs: number): void {
    const ids = plan.sources.map(({ segmentId }) => segmentId);
    const name = `compaction (${plan.kind}) of collection ${collectionOf(plan)}, segments ${ids.join(', ')}`;
    for (const segmentId of ids) this.#failures.set(segmentId, { reason, retryAtMs, name });
  }

  isResting(segmentId: SegmentId, nowMs: number): boolean {
    return nowMs < (this.#failures.get(segmentId)?.retryAtMs ?? 0);
  }

  /** The segment is gone, or was compacted: what was learned of it is of no use. */
  forget(segmentId: SegmentId): void {
    this.#examined.delete(segmentId);
    this.#failures.delete(segmentId);
  }

  /** Failures of segments that rest, or are tried again: of those that no plan wants any more nobody knows whether it has passed. */
  troubles(nowMs: number): readonly string[] {
    const open = [...this.#failures].filter(
      ([segmentId]) => this.isResting(segmentId, nowMs) || this.isSource(segmentId),
    );
    return [...new Set(open.map(([, { name, reason }]) => `${name}: ${reason}`))];
  }
}

const readBy = (plan: CompactionPlan): readonly SegmentId[] =>
  plan.kind === 'merge-deletes' ? [] : plan.deletes.map(({ segmentId }) => segmentId);
