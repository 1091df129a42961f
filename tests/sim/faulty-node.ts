import type { DataNode, NodeTask, NodeTaskReport } from '../../src/datanode/api.ts';
import { DbError } from '../../src/errors/db-error.ts';
import type { NodeId, TaskId } from '../../src/model/ids.ts';
import type { Clock } from '../../src/support/clock.ts';
import type { Random } from '../../src/support/random.ts';
import type { FaultKind } from './fault-kinds.ts';
import type { Faults } from './faults.ts';
import { never } from './sim-clock.ts';

/** Chances of one message. */
export interface MessageChances {
  /** Of a report. */
  readonly lost?: number;
  readonly late?: number;
  readonly repeated?: number;
  /** The end of an attempt is told once more much later, when others may have taken its place; a command arrives twice. */
  readonly stale?: number;
  /** The caller of a command gives up, and it arrives after that. */
  readonly lateCommand?: number;
}

/** Who gives commands: one life of the coordinator. */
export interface Caller {
  readonly number: number;
  isOver(): boolean;
  /** Told of a command before anything happens to it. */
  onCreate(task: NodeTask): void;
}

interface Listener {
  readonly caller: Caller;
  heard(report: NodeTaskReport): void;
}

const unanswered = (): Promise<never> => new Promise(() => undefined);
/** How long a caller waits for a node that does not answer. */
const CALL_TIMEOUT_MS = 300;
const STALE_WITHIN_MS = 8000;
const LATE_WITHIN_MS = 2000;

/**
 * The network between a data node and its callers, which come and go: calls fail as `faults` says; reports get lost, come late, twice or
 * out of order; commands come twice, or when nobody waits for them any more. What a dead caller has sent still arrives. `isCut`: nothing passes.
 */
export class FaultyNode {
  readonly nodeId: NodeId;
  readonly #inner: DataNode;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #faults: Faults;
  readonly #tell: (kind: FaultKind) => void;
  readonly #listeners = new Set<Listener>();
  /** `task/attempt` to the number of the caller that sent it first. */
  readonly #senders = new Map<string, number>();
  #commands = { sent: 0, arrived: 0 };
  #reports = { sent: 0, arrived: 0 };
  chances: MessageChances = {};
  isCut = false;
  /** Rejects when the node has died: nobody waits for it any longer. */
  readonly #dead: Promise<never>;
  #die: (error: DbError) => void = () => undefined;

  constructor(
    inner: DataNode,
    parts: {
      readonly clock: Clock;
      readonly random: Random;
      readonly faults: Faults;
      readonly tell: (kind: FaultKind) => void;
    },
  ) {
    this.#inner = inner;
    this.nodeId = inner.nodeId;
    this.#clock = parts.clock;
    this.#random = parts.random;
    this.#faults = parts.faults;
    this.#tell = parts.tell;
    inner.onReport((report) => this.#underway(report));
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

  /** The node as one caller sees it. When the caller is over nothing is answered. */
  door(caller: Caller): DataNode {
    const answer = async <T>(work: Promise<T>): Promise<T> => {
      try {
        const result = await work;
        return caller.isOver() ? await unanswered() : result;
      } catch (error) {
        if (caller.isOver()) return await unanswered();
        throw error;
      }
    };
    return {
      nodeId: this.nodeId,
      slots: this.#inner.slots,
      create: (task) => {
        caller.onCreate(task);
        const name = `${task.taskId}/${task.attempt}`;
        if (!this.#senders.has(name)) this.#senders.set(name, caller.number);
        return answer(this.#command(`create ${task.work.kind}`, task.taskId, () => this.#inner.create(task)));
      },
      query: (taskId, attempt) =>
        answer(this.#call('query', taskId, () => this.#inner.query(taskId, attempt))),
      drop: (taskId, attempt) =>
        answer(this.#command('drop', taskId, () => this.#inner.drop(taskId, attempt))),
      onReport: (heard) => {
        const listener = { caller, heard };
        this.#listeners.add(listener);
        return { stop: () => this.#listeners.delete(listener) };
      },
      close: () => Promise.resolve(),
    };
  }

  #underway(report: NodeTaskReport): void {
    const { lost = 0, late = 0, repeated = 0, stale = 0 } = this.chances;
    const number = ++this.#reports.sent;
    const draw = this.#random.next();
    const isEnd = report.state === 'completed' || report.state === 'failed';
    if (draw < lost) this.#tell('report lost');
    else if (draw < lost + late) this.#tell('report late');
    else {
      if (draw < lost + late + repeated) this.#tell('report repeated');
      this.#deliver(report, number);
    }
    if (draw >= lost && draw < lost + late + repeated)
      void this.#later(LATE_WITHIN_MS).then(() => this.#deliver(report, number));
    if (!isEnd || this.#random.next() >= stale) return;
    this.#tell('report stale');
    void this.#later(STALE_WITHIN_MS).then(() => this.#deliver(report, number));
  }

  /** To whoever listens then. */
  #deliver(report: NodeTaskReport, number: number): void {
    if (this.isCut) return;
    if (number < this.#reports.arrived) this.#tell('report reordered');
    this.#reports.arrived = Math.max(this.#reports.arrived, number);
    const sender = this.#senders.get(`${report.taskId}/${report.attempt}`);
    for (const { caller, heard } of [...this.#listeners]) {
      if (caller.isOver()) continue;
      if (sender !== undefined && sender !== caller.number) this.#tell('report to-a-successor');
      heard(report);
    }
  }

  #later(withinMs: number): Promise<void> {
    return this.#clock.sleep(1 + this.#random.below(withinMs), never());
  }

  /** A command that is answered and, now and then, arrives once more later, or for the first time when its caller has given up. */
  async #command(name: string, taskId: TaskId, work: () => Promise<void>): Promise<void> {
    const { stale = 0, lateCommand = 0 } = this.chances;
    const number = ++this.#commands.sent;
    const arrive = () => {
      if (number < this.#commands.arrived) this.#tell('command reordered');
      this.#commands.arrived = Math.max(this.#commands.arrived, number);
      return work();
    };
    const afterAll = () => {
      void this.#later(STALE_WITHIN_MS)
        .then(() => (this.isCut ? undefined : arrive()))
        .catch(() => undefined);
    };
    if (this.#random.next() < lateCommand) {
      this.#tell('command late');
      afterAll();
      return this.#noAnswer();
    }
    await this.#call(name, taskId, arrive);
    if (this.#random.next() >= stale) return;
    this.#tell('command repeated');
    afterAll();
  }

  async #noAnswer(): Promise<never> {
    await this.#clock.sleep(CALL_TIMEOUT_MS, never());
    throw new DbError('node-not-found', `data node ${this.nodeId} does not answer`);
  }

  async #call<T>(name: string, taskId: TaskId, work: () => Promise<T>): Promise<T> {
    if (this.isCut) return this.#noAnswer();
    return Promise.race([this.#faults.run(name, String(taskId), work), this.#dead]);
  }
}
