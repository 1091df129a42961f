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
}

const never = (): AbortSignal => new AbortController().signal;
/** How long a caller waits for a node that does not answer. */
const CALL_TIMEOUT_MS = 300;

/** A data node behind a network: calls fail as `faults` says, reports get lost, come late or twice; `cut`: nothing passes. */
export class FaultyNode implements DataNode {
  readonly nodeId: NodeId;
  readonly slots: number;
  readonly #inner: DataNode;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #faults: Faults;
  reports: ReportChances = {};
  isCut = false;
  lost = 0;

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
  }

  create(task: NodeTask): Promise<void> {
    return this.#call('create', task.taskId, () => this.#inner.create(task));
  }

  query(taskId: TaskId, attempt: number): Promise<NodeTaskReport> {
    return this.#call('query', taskId, () => this.#inner.query(taskId, attempt));
  }

  drop(taskId: TaskId, attempt: number): Promise<void> {
    return this.#call('drop', taskId, () => this.#inner.drop(taskId, attempt));
  }

  onReport(listener: (report: NodeTaskReport) => void): { stop(): void } {
    let isStopped = false;
    const deliver = (report: NodeTaskReport) => {
      if (!isStopped && !this.isCut) listener(report);
    };
    const subscription = this.#inner.onReport((report) => {
      const { lost = 0, late = 0, repeated = 0 } = this.reports;
      const draw = this.#random.next();
      if (draw < lost + late + repeated) this.lost++;
      if (draw < lost) return;
      if (draw >= lost + late) deliver(report);
      if (draw < lost + late + repeated)
        void this.#clock.sleep(1 + this.#random.below(2000), never()).then(() => deliver(report));
    });
    return {
      stop: () => {
        isStopped = true;
        subscription.stop();
      },
    };
  }

  close(): Promise<void> {
    return this.#inner.close();
  }

  async #call<T>(name: string, taskId: TaskId, work: () => Promise<T>): Promise<T> {
    if (this.isCut) {
      await this.#clock.sleep(CALL_TIMEOUT_MS, never());
      throw new DbError('node-not-found', `data node ${this.nodeId} does not answer`);
    }
    return this.#faults.run(name, String(taskId), work);
  }
}
