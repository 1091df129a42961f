import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { NodeId, TaskId } from '../../model/ids.ts';
import { Fifo } from './fifo.ts';
import { defaultSchedulerLimits, type SchedulerLimits } from './limits.ts';
import { pickNode, reservedSlots } from './node-picker.ts';
import { TaskQueues } from './queues.ts';
import { Slots } from './slots.ts';
import { type SchedulerTask, type TaskClass, taskClasses } from './task.ts';

interface Entry {
  readonly task: SchedulerTask;
  readonly readyAtMs: number;
}
const entryOf = (
  taskId: number,
  taskClass: TaskClass,
  group: bigint | undefined,
  readyAtMs: number,
): Entry => ({
  task: {
    taskId: BigInt(taskId) as TaskId,
    taskClass,
    slots: 1,
    ...(group === undefined ? {} : { group }),
  } as unknown as SchedulerTask,
  readyAtMs,
});

/** What waits and runs, as lists: slow and plain. */
interface Model {
  waiting: Entry[];
  running: Entry[];
  nowMs: number;
  nextId: number;
}
interface Real {
  readonly queues: TaskQueues<Entry>;
  readonly limits: SchedulerLimits;
}
const classOf = ({ task }: Entry): TaskClass => task.taskClass;
const groupOf = ({ task }: Entry): bigint => task.group ?? 0n;

class Step implements fc.Command<Model, Real> {
  readonly #name: string;
  readonly #run: (model: Model, real: Real) => void;

  constructor(name: string, run: (model: Model, real: Real) => void) {
    this.#name = name;
    this.#run = run;
  }

  check = () => true;

  run(model: Model, real: Real): void {
    this.#run(model, real);
    const { queues, limits } = real;
    for (const taskClass of taskClasses)
      assert.equal(
        queues.waiting(taskClass),
        model.waiting.filter((entry) => classOf(entry) === taskClass).length,
      );
    const restores = model.running.filter((entry) => classOf(entry) === 'restore');
    assert.ok(restores.length <= limits.maxRestoreTasks, 'never above the limit of all restores');
    for (const group of new Set(restores.map(groupOf)))
      assert.ok(
        restores.filter((entry) => groupOf(entry) === group).length <= limits.maxRestoreTasksPerJob,
        'nor of one',
      );
  }

  toString = () => this.#name;
}

function take(model: Model, { queues, limits }: Real, room: number): void {
  let left = room;
  const before = [...model.waiting];
  const taken = queues.take((entry) => {
    assert.ok(model.waiting.includes(entry), 'what is offered waits');
    return left-- > 0 ? 'here' : undefined;
  });
  for (const { entry } of taken) {
    // First come, first served, within a group.
    const earlier = before.find(
      (other) =>
        classOf(other) === classOf(entry) &&
        groupOf(other) === groupOf(entry) &&
        other.readyAtMs <= model.nowMs,
    );
    assert.equal(earlier, entry);
    before.splice(before.indexOf(entry), 1);
    model.waiting.splice(model.waiting.indexOf(entry), 1);
    model.running.push(entry);
  }
  assert.ok(taken.length <= room);
  if (room < 1000) return;
  // With room for all nothing stays but what a limit or a back-off holds.
  const restores = model.running.filter((entry) => classOf(entry) === 'restore');
  for (const entry of model.waiting.filter(({ readyAtMs }) => readyAtMs <= model.nowMs)) {
    const ofGroup = restores.filter((other) => groupOf(other) === groupOf(entry)).length;
    assert.ok(
      classOf(entry) === 'restore' &&
        (restores.length >= limits.maxRestoreTasks || ofGroup >= limits.maxRestoreTasksPerJob),
      'it could run and does not',
    );
  }
}

const commands = [
  fc.tuple(fc.constantFrom(...taskClasses), fc.nat(2), fc.constantFrom(0, 0, 0, 5, 20)).map(
    ([taskClass, group, laterMs]) =>
      new Step(`add ${taskClass} ${group}`, (model, { queues }) => {
        const readyAtMs = laterMs === 0 ? 0 : model.nowMs + laterMs;
        const entry = entryOf(
          model.nextId++,
          taskClass,
          taskClass === 'restore' ? BigInt(group + 1) : undefined,
          readyAtMs,
        );
        model.waiting.push(entry);
        queues.add(entry, readyAtMs);
      }),
  ),
  fc.nat(30).map(
    (n) =>
      new Step(`delete ${n}`, (model, { queues }) => {
        const [entry] = model.waiting.splice(n % Math.max(1, model.waiting.length), 1);
        if (entry === undefined) return;
        queues.delete(entry);
        queues.delete(entry);
      }),
  ),
  fc.nat(30).map(
    (n) =>
      new Step(`end ${n}`, (model, { queues }) => {
        const [entry] = model.running.splice(n % Math.max(1, model.running.length), 1);
        if (entry !== undefined) queues.ended(entry);
      }),
  ),
  fc.constantFrom(3, 10, 30).map(
    (ms) =>
      new Step(`${ms} ms`, (model, { queues }) => {
        model.nowMs += ms;
        const due = model.waiting.filter(({ readyAtMs }) => readyAtMs > 0 && readyAtMs <= model.nowMs);
        queues.wakeUntil(model.nowMs);
        // What wakes stands behind what is there, in the order of its times.
        const woken = due.filter((entry) => entry.readyAtMs > model.nowMs - ms);
        model.waiting = [
          ...model.waiting.filter((entry) => !woken.includes(entry)),
          ...woken.toSorted((a, b) => a.readyAtMs - b.readyAtMs),
        ];
        assert.ok((queues.nextReadyAtMs ?? Number.POSITIVE_INFINITY) > model.nowMs);
      }),
  ),
  fc
    .constantFrom(0, 1000, 1000)
    .map((room) => new Step(`take ${room}`, (model, real) => take(model, real, room))),
];

const limited = fc.record({
  maxRestoreTasks: fc.constantFrom(1, 3, Number.POSITIVE_INFINITY),
  maxRestoreTasksPerJob: fc.constantFrom(1, 2, Number.POSITIVE_INFINITY),
  restorePriority: fc.constantFrom('high' as const, 'normal' as const, 'low' as const),
});

test('any sequence of adding, taking, ending, removing and waiting: queues hold what a plain list holds, in its order, never above a limit', () => {
  fc.assert(
    fc.property(limited, fc.commands(commands, { maxCommands: 80, size: 'max' }), (given, steps) => {
      const limits = { ...defaultSchedulerLimits, ...given };
      fc.modelRun(
        () => ({
          model: { waiting: [], running: [], nowMs: 1, nextId: 1 },
          real: { queues: new TaskQueues<Entry>(limits), limits },
        }),
        steps,
      );
    }),
    { seed: 1, numRuns: 400 },
  );
});

test('nobody starves: with one place at a time every class gets a turn among as many as there are classes, every restore among as many as there are', () => {
  const counts = fc.record({
    flush: fc.nat(8),
    index: fc.nat(8),
    compaction: fc.nat(8),
    restores: fc.array(fc.nat(6), { maxLength: 5 }),
  });
  fc.assert(
    fc.property(counts, ({ restores, ...others }) => {
      const queues = new TaskQueues<Entry>(defaultSchedulerLimits);
      let id = 1;
      const left = new Map<string, number>();
      const add = (taskClass: TaskClass, group: bigint | undefined, count: number) => {
        for (let i = 0; i < count; i++) queues.add(entryOf(id++, taskClass, group, 0), 0);
        if (count > 0) left.set(taskClass === 'restore' ? `restore ${group}` : taskClass, count);
      };
      for (const [taskClass, count] of Object.entries(others)) add(taskClass as TaskClass, undefined, count);
      for (const [n, count] of restores.entries()) add('restore', BigInt(n + 1), count);
      const waited = new Map<string, number>();
      while (left.size > 0) {
        let room = 1;
        const [one] = queues.take(() => (room-- > 0 ? 'here' : undefined));
        assert.ok(one !== undefined);
        const own = classOf(one.entry) === 'restore' ? `restore ${groupOf(one.entry)}` : classOf(one.entry);
        // Another class waits a round at most, a restore a round for each other restore.
        for (const key of left.keys()) {
          waited.set(key, key === own ? 0 : (waited.get(key) ?? 0) + 1);
          const bound = key.startsWith('restore') ? taskClasses.length * restores.length : taskClasses.length;
          assert.ok((waited.get(key) ?? 0) <= bound, `${key} has waited for ${waited.get(key)} others`);
        }
        const rest = (left.get(own) ?? 0) - 1;
        if (rest === 0) left.delete(own);
        else left.set(own, rest);
        queues.ended(one.entry);
      }
    }),
    { seed: 2, numRuns: 300 },
  );
});

const held = fc.record({
  node: fc.nat(2),
  taskClass: fc.constantFrom(...taskClasses),
  slots: fc.integer({ min: 1, max: 20 }),
});

test('slots of a node are never given twice, the reserved share only to restores, and what is given back is free again', () => {
  const nodes = [1, 2, 16].map((slots, n) => ({ nodeId: BigInt(n + 1) as NodeId, slots }));
  fc.assert(
    fc.property(
      fc.array(fc.tuple(held, fc.boolean()), { maxLength: 40 }),
      fc.nat(100).map((percent) => percent / 100),
      (asked, share) => {
        const slots = new Slots();
        const given: { readonly nodeId: NodeId; readonly slots: number; readonly taskClass: TaskClass }[] =
          [];
        for (const [{ taskClass, slots: needed }, isEnd] of asked) {
          const [first] = given;
          if (isEnd && first !== undefined) {
            slots.release(first);
            given.shift();
          }
          const loads = slots.loads(nodes as never);
          const picked = pickNode(loads, taskClass, needed, share);
          for (const { nodeId, slots: all, usedSlots, usedByOthers } of loads) {
            const of = given.filter((one) => one.nodeId === nodeId);
            assert.equal(
              usedSlots,
              of.reduce((sum, one) => sum + one.slots, 0),
            );
            assert.ok(usedSlots <= all && usedByOthers <= all - reservedSlots(all, share));
            // Nothing waits while a whole node is free.
            if (usedSlots === 0) assert.ok(picked !== undefined);
          }
          if (picked === undefined) continue;
          const one = { nodeId: picked.nodeId, slots: picked.slots, taskClass };
          assert.ok(picked.slots >= 1 && picked.slots <= needed);
          slots.hold(one);
          given.push(one);
        }
        for (const one of given) slots.release(one);
        assert.ok(
          slots
            .loads(nodes as never)
            .every(({ usedSlots, usedByOthers }) => usedSlots === 0 && usedByOthers === 0),
        );
      },
    ),
    { seed: 3, numRuns: 500 },
  );
});

test('a queue behaves as a list without repeated keys', () => {
  const step = fc.tuple(
    fc.constantFrom('push' as const, 'delete' as const, 'delete' as const, 'push' as const),
    fc.nat(12),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300, size: 'max' }), (steps) => {
      const fifo = new Fifo<number, string>();
      let list: number[] = [];
      for (const [what, key] of steps) {
        if (what === 'push') {
          fifo.push(key, `v${key}`);
          if (!list.includes(key)) list.push(key);
        } else {
          fifo.delete(key);
          list = list.filter((each) => each !== key);
        }
        assert.equal(fifo.size, list.length);
        assert.equal(fifo.first, list[0] === undefined ? undefined : `v${list[0]}`);
        assert.equal(fifo.has(key), list.includes(key));
      }
    }),
    { seed: 4, numRuns: 100 },
  );
});
