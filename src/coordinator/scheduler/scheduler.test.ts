import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { ManualClock, settle } from '../../../tests/heart/manual-clock.ts';
import type { DataNode, NodeTask, NodeTaskReport, NodeWork } from '../../datanode/api.ts';
import { DbError } from '../../errors/db-error.ts';
import type { NodeId, TaskId } from '../../model/ids.ts';
import { silentLog } from '../../support/log.ts';
import { seededRandom } from '../../support/random.ts';
import { Cluster } from './cluster.ts';
import { Fifo } from './fifo.ts';
import type { SchedulerLimits } from './limits.ts';
import { pickNode, reservedSlots } from './node-picker.ts';
import { TaskScheduler } from './scheduler.ts';
import type { SchedulerTask, TaskClass } from './task.ts';

const work = { kind: 'flush' } as unknown as NodeWork;
const none = { bytes: 0, files: 0 };

/** A node whose attempts end when the test says so. */
class ScriptedNode implements DataNode {
  readonly nodeId: NodeId;
  readonly slots: number;
  readonly created: NodeTask[] = [];
  readonly dropped: string[] = [];
  readonly #listeners = new Set<(report: NodeTaskReport) => void>();
  answer: ((taskId: TaskId, attempt: number) => NodeTaskReport) | undefined;

  constructor(nodeId: bigint, slots: number) {
    this.nodeId = nodeId as NodeId;
    this.slots = slots;
  }
  create(task: NodeTask): Promise<void> {
    this.created.push(task);
    return Promise.resolve();
  }
  query(taskId: TaskId, attempt: number): Promise<NodeTaskReport> {
    if (this.answer === undefined) return Promise.reject(new DbError('service-unavailable', 'no answer'));
    return Promise.resolve(this.answer(taskId, attempt));
  }
  drop(taskId: TaskId, attempt: number): Promise<void> {
    this.dropped.push(`${taskId}/${attempt}`);
    return Promise.resolve();
  }
  onReport(listener: (report: NodeTaskReport) => void): { stop(): void } {
    this.#listeners.add(listener);
    return { stop: () => this.#listeners.delete(listener) };
  }
  close(): Promise<void> {
    return Promise.resolve();
  }
  tell(report: NodeTaskReport): void {
    for (const listener of this.#listeners) listener(report);
  }
}

class RecordedTask implements SchedulerTask {
  readonly taskId: TaskId;
  readonly taskClass: TaskClass;
  readonly slots: number;
  readonly group?: bigint;
  readonly events: string[] = [];
  attempts = 0;
  verdict: 'retry' | 'done' = 'retry';

  constructor(taskId: number, taskClass: TaskClass = 'restore', slots = 1, group?: bigint) {
    this.taskId = BigInt(taskId) as TaskId;
    this.taskClass = taskClass;
    this.slots = slots;
    if (group !== undefined) this.group = group;
  }
  dispatch(nodeId: NodeId) {
    this.attempts++;
    this.events.push(`dispatch ${this.attempts} to ${nodeId}`);
    return Promise.resolve({ attempt: this.attempts, work });
  }
  progress(): void {
    this.events.push('progress');
  }
  completed(report: NodeTaskReport): Promise<void> {
    this.events.push(`completed ${report.attempt}`);
    return Promise.resolve();
  }
  failed(code: string): Promise<'retry' | 'done'> {
    this.events.push(`failed ${code}`);
    return Promise.resolve(this.verdict);
  }
}

const running: { abort: AbortController; ended: Promise<void> }[] = [];
afterEach(async () => {
  for (const { abort, ended } of running.splice(0)) {
    abort.abort(new DbError('cancelled', 'test over'));
    await ended;
  }
});

function start(nodes: readonly ScriptedNode[], limits: Partial<SchedulerLimits> = {}) {
  const clock = new ManualClock();
  const cluster = new Cluster(clock);
  for (const node of nodes) cluster.join(node);
  const scheduler = new TaskScheduler({ cluster, clock, random: seededRandom(1), log: silentLog, limits });
  const abort = new AbortController();
  running.push({ abort, ended: scheduler.run(abort.signal) });
  return { clock, cluster, scheduler };
}

const inProgress = (taskId: TaskId, attempt: number) =>
  ({ taskId, attempt, state: 'in-progress', progress: none }) as const;

const completed = (task: RecordedTask, attempt = task.attempts) =>
  ({
    taskId: task.taskId,
    attempt,
    state: 'completed',
    progress: none,
    output: { kind: 'flush', files: [], rowCount: 0 },
  }) as const;

test('a task is dispatched at once, stored as done once, and forgotten by the node', async () => {
  const node = new ScriptedNode(1n, 2);
  const { scheduler } = start([node]);
  const task = new RecordedTask(10);
  scheduler.enqueue(task);
  scheduler.enqueue(task);
  await settle();
  node.tell(completed(task));
  node.tell(completed(task));
  await settle();
  assert.deepEqual(task.events, ['dispatch 1 to 1', 'completed 1']);
  assert.deepEqual(node.dropped, ['10/1']);
  assert.equal(scheduler.size, 0);
});

test('R07: a late report of an old attempt changes nothing', async () => {
  const node = new ScriptedNode(1n, 2);
  const { scheduler, clock } = start([node]);
  const task = new RecordedTask(10);
  scheduler.enqueue(task);
  await settle();
  node.tell({ ...completed(task), state: 'failed', code: 'storage-failed', reason: 'x' });
  await settle();
  await clock.advance(2000);
  assert.equal(task.attempts, 2);
  node.tell(completed(task, 1));
  await settle();
  assert.deepEqual(task.events, ['dispatch 1 to 1', 'failed storage-failed', 'dispatch 2 to 1']);
});

test('R11: failing status queries change nothing, a lost node moves its task to another', async () => {
  const [first, second] = [new ScriptedNode(1n, 2), new ScriptedNode(2n, 2)];
  const { scheduler, clock, cluster } = start([first, second]);
  const task = new RecordedTask(10);
  scheduler.enqueue(task);
  await settle();
  await clock.advance(60_000);
  assert.deepEqual(task.events, ['dispatch 1 to 1']);
  cluster.leave(first.nodeId);
  await settle();
  await clock.advance(2000);
  assert.deepEqual(task.events, ['dispatch 1 to 1', 'failed node-not-found', 'dispatch 2 to 2']);
  first.tell(completed(task, 1));
  second.tell(completed(task, 2));
  await settle();
  assert.deepEqual(task.events.slice(3), ['completed 2']);
});

test('a node is lost when its lease runs out', async () => {
  const clock = new ManualClock();
  const cluster = new Cluster(clock);
  cluster.join(new ScriptedNode(1n, 1), 10_000);
  await clock.advance(9000);
  assert.equal(cluster.renew(1n as NodeId), true);
  await clock.advance(9000);
  cluster.expire();
  assert.equal(cluster.nodes().length, 1);
  await clock.advance(2000);
  assert.equal(cluster.renew(1n as NodeId), false);
  assert.equal(cluster.nodes().length, 0);
});

test('a wall clock that is set back or forward loses no node, finds lost ones, and delays neither tick nor retry', async () => {
  for (const skewMs of [-7_200_000, 7_200_000]) {
    const [kept, lost] = [new ScriptedNode(1n, 2), new ScriptedNode(2n, 2)];
    const { scheduler, clock, cluster } = start([]);
    cluster.join(kept, 10_000);
    cluster.join(lost, 10_000);
    const [silent, failing, moving] = [new RecordedTask(10), new RecordedTask(11), new RecordedTask(12)];
    scheduler.enqueue(silent, { nodeId: kept.nodeId, attempt: 0 });
    scheduler.enqueue(moving, { nodeId: lost.nodeId, attempt: 0 });
    scheduler.enqueue(failing);
    await settle();
    clock.skewMs = skewMs;
    for (const node of [kept, lost])
      node.tell({ ...completed(failing), state: 'failed', code: 'storage-failed', reason: 'x' });
    kept.answer = (taskId, attempt) => (taskId === 10n ? completed(silent, 0) : inProgress(taskId, attempt));
    for (let second = 0; second < 14; second++) {
      await clock.advance(1000);
      assert.equal(cluster.renew(kept.nodeId), true);
    }
    assert.deepEqual(silent.events, ['completed 0']);
    assert.equal(failing.attempts, 2);
    assert.deepEqual(moving.events, ['failed node-not-found', 'dispatch 1 to 1']);
  }
});

test('a lost report is made up for by the tick', async () => {
  const node = new ScriptedNode(1n, 1);
  const { scheduler, clock } = start([node]);
  const task = new RecordedTask(10);
  scheduler.enqueue(task);
  await settle();
  node.answer = () => completed(task);
  await clock.advance(11_000);
  assert.deepEqual(task.events, ['dispatch 1 to 1', 'completed 1']);
});

test('a running attempt found at start is asked for, and sent again when its node does not know it', async () => {
  const node = new ScriptedNode(1n, 2);
  node.answer = (taskId, attempt) => ({ taskId, attempt, state: 'unknown', progress: none });
  const { scheduler, clock } = start([node]);
  const task = new RecordedTask(10);
  task.attempts = 3;
  scheduler.enqueue(task, { nodeId: node.nodeId, attempt: 3 });
  await settle();
  await clock.advance(2000);
  assert.deepEqual(task.events, ['failed node-not-found', 'dispatch 4 to 1']);
});

test('R16: other work never takes the slots reserved for restores', async () => {
  const node = new ScriptedNode(1n, 4);
  const { scheduler } = start([node]);
  const flushes = Array.from({ length: 100 }, (_, i) => new RecordedTask(100 + i, 'flush'));
  for (const task of flushes) scheduler.enqueue(task);
  await settle();
  assert.equal(node.created.length, 3);
  const restore = new RecordedTask(10);
  scheduler.enqueue(restore);
  await settle();
  assert.deepEqual(restore.events, ['dispatch 1 to 1']);
});

test('on a node of one slot the classes take turns', async () => {
  const node = new ScriptedNode(1n, 1);
  const { scheduler } = start([node]);
  const tasks = [1, 2, 3].flatMap((i) => [
    new RecordedTask(10 + i, 'restore'),
    new RecordedTask(20 + i, 'compaction'),
  ]);
  for (const task of tasks) scheduler.enqueue(task);
  for (let i = 0; i < tasks.length; i++) {
    await settle();
    const { taskId } = node.created[i]!;
    node.tell(completed(tasks.find((t) => t.taskId === taskId)!));
  }
  assert.deepEqual(
    node.created.map(({ taskId }) => taskId / 10n),
    [1n, 2n, 1n, 2n, 1n, 2n],
  );
});

test('a cancelled task is stopped on its node and never retried', async () => {
  const node = new ScriptedNode(1n, 1);
  const { scheduler, clock } = start([node]);
  const [task, waiting] = [new RecordedTask(10), new RecordedTask(11)];
  scheduler.enqueue(task);
  scheduler.enqueue(waiting);
  await settle();
  await scheduler.cancel(waiting.taskId);
  await scheduler.cancel(task.taskId);
  assert.deepEqual(node.dropped, ['10/1']);
  node.tell({ ...completed(task), state: 'failed', code: 'cancelled', reason: 'dropped' });
  await clock.advance(60_000);
  assert.deepEqual([task.events, waiting.events, scheduler.size], [['dispatch 1 to 1'], [], 0]);
});

/** Ends what the node has been sent, one after another, and answers in which order. */
async function drain(node: ScriptedNode, tasks: readonly RecordedTask[], count: number): Promise<number[]> {
  for (let i = 0; i < count; i++) {
    await settle();
    const { taskId } = node.created[i]!;
    node.tell(completed(tasks.find((task) => task.taskId === taskId)!));
  }
  return node.created.map(({ taskId }) => Number(taskId));
}

test('a small restore is not starved by one of a hundred thousand tasks: the tasks of jobs take turns', async () => {
  const node = new ScriptedNode(1n, 1);
  const { scheduler } = start([node]);
  const large = Array.from({ length: 100_000 }, (_, i) => new RecordedTask(1000 + i, 'restore', 1, 1n));
  for (const task of large) scheduler.enqueue(task);
  await settle();
  const small = [1, 2, 3].map((i) => new RecordedTask(i, 'restore', 1, 2n));
  for (const task of small) scheduler.enqueue(task);
  assert.deepEqual([scheduler.known(1n), scheduler.known(2n)], [100_000, 3]);
  const order = await drain(node, [...small, ...large.slice(0, 20)], 8);
  assert.deepEqual(order.slice(0, 8), [1000, 1001, 1, 1002, 2, 1003, 3, 1004]);
});

test('restores hold no more nodes at once than their limits allow, over all and each by itself', async () => {
  const node = new ScriptedNode(1n, 16);
  const { scheduler } = start([node], { maxRestoreTasks: 5, maxRestoreTasksPerJob: 3 });
  const tasks = [1n, 2n].flatMap((group) =>
    Array.from({ length: 10 }, (_, i) => new RecordedTask(Number(group) * 100 + i, 'restore', 1, group)),
  );
  for (const task of tasks) scheduler.enqueue(task);
  await settle();
  assert.deepEqual(
    node.created.map(({ taskId }) => Number(taskId)),
    [100, 200, 101, 201, 102],
  );
  node.tell(completed(tasks[0]!));
  await settle();
  assert.equal(Number(node.created.at(-1)!.taskId), 202);
  assert.equal(scheduler.stats().nodes[0]?.restoreSlots, 5);
});

test('the priority of restores says who gets free slots first, and a low one keeps its reserved share', async () => {
  const orders: Record<string, number[]> = {};
  for (const restorePriority of ['high', 'normal', 'low'] as const) {
    const node = new ScriptedNode(1n, 1);
    const { scheduler } = start([node], { restorePriority });
    const tasks = [1, 2, 3].flatMap((i) => [
      new RecordedTask(20 + i, 'compaction'),
      new RecordedTask(10 + i, 'restore', 1, 1n),
    ]);
    for (const task of tasks) scheduler.enqueue(task);
    orders[restorePriority] = await drain(node, tasks, tasks.length);
  }
  assert.deepEqual(orders, {
    high: [11, 12, 13, 21, 22, 23],
    normal: [11, 21, 12, 22, 13, 23],
    low: [21, 22, 23, 11, 12, 13],
  });
  const node = new ScriptedNode(1n, 4);
  const { scheduler } = start([node], { restorePriority: 'low' });
  for (let i = 0; i < 100; i++) scheduler.enqueue(new RecordedTask(100 + i, 'flush'));
  scheduler.enqueue(new RecordedTask(1, 'restore', 1, 1n));
  await settle();
  assert.deepEqual(
    node.created.map(({ taskId }) => Number(taskId)),
    [100, 101, 102, 1],
  );
});

test('W26: under a load of compactions that fills every node a restore starts at once', async () => {
  const nodes = [new ScriptedNode(1n, 4), new ScriptedNode(2n, 4)];
  const { scheduler } = start(nodes);
  for (let i = 0; i < 10_000; i++) scheduler.enqueue(new RecordedTask(100 + i, 'compaction'));
  await settle();
  const restores = [1, 2].map((i) => new RecordedTask(i, 'restore', 1, 1n));
  for (const task of restores) scheduler.enqueue(task);
  await settle();
  assert.deepEqual(
    restores.map(({ events }) => events.length),
    [1, 1],
  );
});

test('W2: thousands of queued tasks cost nothing while idle: a pass, a tick and a report look at as many as there are nodes', async () => {
  const nodes = [new ScriptedNode(1n, 2), new ScriptedNode(2n, 2)];
  const { scheduler, clock } = start(nodes);
  let looks = 0;
  class CountedTask extends RecordedTask {
    constructor(taskId: number) {
      super(taskId, 'restore', 1, BigInt(taskId % 10));
      const { taskClass, slots, group } = this;
      const counted = <T>(value: T) => ({
        get: () => {
          looks++;
          return value;
        },
      });
      Object.defineProperties(this, {
        taskClass: counted(taskClass),
        slots: counted(slots),
        group: counted(group),
      });
    }
  }
  const tasks = Array.from({ length: 10_000 }, (_, i) => new CountedTask(1 + i));
  for (const task of tasks) scheduler.enqueue(task);
  await settle();
  assert.equal(nodes.flatMap(({ created }) => created).length, 4);
  assert.equal(scheduler.stats().waiting.restore, 9996);
  looks = 0;
  for (let i = 0; i < 10; i++) await scheduler.pass();
  assert.ok(looks <= 10 * 4, `${looks} looks in ten passes`);
  looks = 0;
  await clock.advance(60_000);
  assert.ok(looks <= 30 * 4, `${looks} looks in a minute`);
  looks = 0;
  const [first] = nodes[0]!.created;
  nodes[0]!.tell({ ...completed(tasks[Number(first!.taskId) - 1]!) });
  await settle();
  assert.ok(looks <= 60, `${looks} looks for one task that ended`);
});

test('a queue keeps its order whatever is taken out of it, and costs no search', () => {
  const queue = new Fifo<number, number>();
  for (let i = 0; i < 1000; i++) queue.push(i, i);
  for (let i = 0; i < 1000; i += 2) queue.delete(i);
  queue.push(2, 2);
  queue.push(3, 33);
  const seen: number[] = [];
  for (let first = queue.first; first !== undefined; first = queue.first) {
    seen.push(first);
    queue.delete(first);
  }
  assert.deepEqual(seen, [...Array.from({ length: 500 }, (_, i) => 2 * i + 1), 2]);
  assert.equal(queue.size, 0);
});

test('the least loaded node that fits is picked', () => {
  const load = (nodeId: bigint, slots: number, usedSlots: number, usedByOthers: number) => ({
    nodeId: nodeId as NodeId,
    slots,
    usedSlots,
    usedByOthers,
  });
  const rows: [Parameters<typeof pickNode>, bigint | undefined][] = [
    [[[load(1n, 4, 2, 0), load(2n, 4, 1, 0)], 'restore', 1, 0.25], 2n],
    [[[load(1n, 4, 1, 0), load(2n, 4, 1, 0)], 'restore', 1, 0.25], 1n],
    [[[load(1n, 4, 4, 0)], 'restore', 1, 0.25], undefined],
    [[[load(1n, 4, 3, 3)], 'flush', 1, 0.25], undefined],
    [[[load(1n, 4, 3, 2)], 'flush', 1, 0.25], 1n],
    [[[load(1n, 1, 0, 0)], 'flush', 1, 0.25], 1n],
    [[[load(1n, 4, 0, 0)], 'restore', 99, 0.25], 1n],
    [[[load(1n, 4, 1, 0)], 'restore', 99, 0.25], undefined],
    [[[], 'restore', 1, 0.25], undefined],
  ];
  for (const [args, expected] of rows) assert.equal(pickNode(...args)?.nodeId, expected);
  assert.deepEqual(
    [0, 1, 2, 4, 16].map((slots) => reservedSlots(slots, 0.25)),
    [0, 0, 1, 1, 4],
  );
});

test('while the ends of many attempts are being stored, nodes get no more work of that class, and other classes are not kept waiting', async () => {
  const node = new ScriptedNode(1n, 32);
  const { scheduler } = start([node]);
  let store: () => void = () => undefined;
  const stored = new Promise<void>((resolve) => {
    store = resolve;
  });
  const tasks = Array.from({ length: 200 }, (_, n) => new RecordedTask(n + 1));
  for (const task of tasks) {
    task.completed = () => stored;
    scheduler.enqueue(task);
  }
  const tell = async () => {
    await settle();
    for (const task of tasks) if (task.attempts > 0) node.tell(completed(task));
    await settle();
  };
  await tell();
  await tell();
  await tell();
  const taken = tasks.filter(({ attempts }) => attempts > 0).length;
  assert.equal(taken, 32);
  const flush = new RecordedTask(1000, 'flush');
  scheduler.enqueue(flush);
  await settle();
  assert.equal(flush.attempts, 1);
  store();
  for (let n = 0; n < 10; n++) await tell();
  assert.deepEqual([scheduler.size, tasks.every(({ attempts }) => attempts === 1)], [1, true]);
});
