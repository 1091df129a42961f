import type { DataNode, NodeTask, NodeTaskReport } from '../../src/datanode/api.ts';
import { DbError } from '../../src/errors/db-error.ts';
import type { NodeId, TaskId } from '../../src/model/ids.ts';
import type { Clock } from '../../src/support/clock.ts';
import type { Random } from '../../src/support/random.ts';
import type { Faults } from './faults.ts';

/** Chances of one report of a node. */
export interface ReportChances {
  readonly lost?: number;
  readonly late?: number;
  readonly repeated?: number;
  /** The end of an attempt is told once more much later, when others may have taken its place. */
  readonly stale?: number;
}

const never = (): AbortSignal => new AbortController().signal;
/** How long a caller waits for a node that does not answer. */
const CALL_TIMEOUT_MS = 300;
const STALE_WITHIN_MS = 8000;

/**
 * A data node behind a network: calls fail as `faults` says; reports get lost, come late, twice or out of order; commands come twice, the
 * second time late; `cut`: nothing passes.
 */
export class FaultyNode implements DataNode {
  readonly nodeId: NodeId;
  readonly slots: number;
  readonly #inner: DataNode;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #faults: Faults;
  readonly #listeners = new Set<(report: NodeTaskReport) => void>();
  reports: ReportChances = {};
  isCut = false;
  /** Rejects when the node has died: nobody waits for it any longer. */
  readonly #dead: Promise<never>;
  #die: (error: DbError) => void = () => undefined;
  /** Reports that did not arrive once and at once, and commands that arrived twice. */
  disturbed = 0;
  /** Told of a command before anything happens to it. */
  onCreate: (task: NodeTask) => void = () => undefined;

  constructor(
    inner: DataNode,
    parts: { readonly clock: Clock; readonly random: Random; readonly faults: Faults },
  ) {
    this.#inner = inner;
    this.nodeId = inner.nodeId;
    this.slots = inner.slots;
    this.#clock = parts.clock;
    this.#random = parts.random;
    this.#faults = parts.faults;
    this.#dead = new Promise((_, reject) => {
      this.#die = reject;
    });
    this.#dead.catch(() => undefined);
  }

  /** Its process is gone: calls under way fail, nothing gets through any more. */
  die(): void {
    this.isCut = true;
    this.#die(new DbError('node-not-found', `data node ${this.nodeId} has died`));
  }

  create(task: NodeTask): Promise<void> {
    this.onCreate(task);
    return this.#twice(`create ${task.work.kind}`, task.taskId, () => this.#inner.create(task));
  }

  query(taskId: TaskId, attempt: number): Promise<NodeTaskReport> {
    return this.#call('query', taskId, () => this.#inner.query(taskId, attempt));
  }

  drop(taskId: TaskId, attempt: number): Promise<void> {
    return this.#twice('drop', taskId, () => this.#inner.drop(taskId, attempt));
  }

  onReport(listener: (report: NodeTaskReport) => void): { stop(): void } {
    const deliver = (report: NodeTaskReport) => {
      if (this.#listeners.has(listener) && !this.isCut) listener(report);
    };
    this.#listeners.add(listener);
    const subscription = this.#inner.onReport((report) => this.#underway(report, deliver));
    return {
      stop: () => {
        this.#listeners.delete(listener);
        subscription.stop();
      },
    };
  }

  #underway(report: NodeTaskReport, deliver: (report: NodeTaskReport) => void): void {
    const { lost = 0, late = 0, repeated = 0, stale = 0 } = this.reports;
    const draw = this.#random.next();
    const isEnd = report.state === 'completed' || report.state === 'failed';
    if (draw < lost + late + repeated) this.disturbed++;
    if (draw >= lost + late) deliver(report);
    if (draw >= lost && draw < lost + late + repeated) void this.#later(2000).then(() => deliver(report));
    if (!isEnd || this.#random.next() >= stale) return;
    this.disturbed++;
    void this.#later(STALE_WITHIN_MS).then(() => {
      // To whoever listens then.
      if (!this.isCut) for (const listener of [...this.#listeners]) listener(report);
    });
  }

  #later(withinMs: number): Promise<void> {
    return this.#clock.sleep(1 + this.#random.below(withinMs), never());
  }

  /** A command that is answered and, now and then, arrives once more later. */
  async #twice(name: string, taskId: TaskId, work: () => Promise<void>): Promise<void> {
    await this.#call(name, taskId, work);
    if (this.#random.next() >= (this.reports.stale ?? 0)) return;
    this.disturbed++;
    void this.#later(STALE_WITHIN_MS)
      .then(() => (this.isCut ? undefined : work()))
      .catch(() => undefined);
  }

  close(): Promise<void> {
    return this.#inner.close();
  }

  async #call<T>(name: string, taskId: TaskId, work: () => Promise<T>): Promise<T> {
    if (this.isCut) {
      await this.#clock.sleep(CALL_TIMEOUT_MS, never());
      throw new DbError('node-not-found', `data node ${this.nodeId} does not answer`);
    }
    return Promise.race([this.#faults.run(name, String(taskId), work), this.#dead]);
  }
}
