import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { ErrorName } from '../../errors/codes.ts';
import { decide, type JobDecision, type JobView } from './decide.ts';
import { type CopyJob, isOpen, isUnsettled } from './job.ts';
import { copyJobMachine, copyTaskMachine, swapMachine } from './state.ts';
import { isFinal, isPermanent } from './task.ts';

const limits = { jobTimeoutMs: 1000, jobRetentionMs: 5000, progressIntervalMs: 100 };
const MAX_ATTEMPTS = 3;
/** The clock of the model moves by this with every round. */
const ROUND_MS = 200;

const moment = fc.oneof(fc.nat(20_000), fc.constantFrom(0, 999, 1000, 5000, 2 ** 45));
const purpose = fc.constantFrom<CopyJob['purpose']>(
  undefined,
  { kind: 'drill' },
  { kind: 'in-place', stage: 'copying', name: 'a', keptName: 'b' },
  { kind: 'in-place', stage: 'swapped', name: 'a', keptName: 'b' },
  { kind: 'in-place', stage: 'confirmed', name: 'a', keptName: 'b' },
);
const anyJob = fc
  .record({
    state: fc.constantFrom('pending', 'executing', 'completed', 'failed'),
    segmentCount: fc.nat(5),
    taskCount: fc.nat(3),
    totalBytes: fc.oneof(fc.nat(500), fc.constantFrom(0, Number.MAX_SAFE_INTEGER)),
    progress: fc.nat(99),
    endedAtMs: moment,
    isTidy: fc.boolean(),
    reason: fc.constant('x'),
    purpose,
  })
  .map(
    ({ purpose: of, ...job }) =>
      ({ ...job, ...(of === undefined ? {} : { purpose: of }) }) as unknown as CopyJob,
  );
const anyView: fc.Arbitrary<JobView> = fc.record({
  job: anyJob,
  tally: fc.record({
    tasks: fc.record({
      pending: fc.nat(3),
      'in-progress': fc.nat(3),
      completed: fc.nat(3),
      failed: fc.nat(3),
    }),
    waitingSegments: fc.oneof(fc.nat(300), fc.constantFrom(0, 128, 129)),
    copiedBytes: fc.oneof(fc.nat(600), fc.constant(Number.MAX_SAFE_INTEGER)),
    copiedFiles: fc.nat(10),
    movedAtMs: moment,
  }),
  hasTarget: fc.boolean(),
  hasSource: fc.boolean(),
  failure: fc.option(fc.constant('a task failed'), { nil: undefined }),
  nowMs: moment,
  uptimeMs: moment,
  progressStoredAtMs: moment,
});

/** What may be decided in each state. */
const possible: Readonly<Record<CopyJob['state'], readonly JobDecision['kind'][]>> = {
  pending: ['prepare', 'complete', 'finish', 'fail'],
  executing: ['wait', 'progress', 'plan', 'complete', 'finish', 'fail'],
  completed: ['wait', 'tidy', 'settle', 'forget'],
  failed: ['wait', 'tidy', 'settle', 'forget'],
};

test('decide is total: any view has one decision that its state allows, and the same again', () => {
  fc.assert(
    fc.property(anyView, (view) => {
      const decision = decide(view, limits);
      assert.deepEqual(decide(view, limits), decision);
      const { job, tally } = view;
      assert.ok(possible[job.state].includes(decision.kind), `${job.state}: ${decision.kind}`);
      const isCopied =
        job.state === 'pending' ? job.segmentCount === 0 : tally.tasks.completed === job.taskCount;
      if (decision.kind === 'complete' || decision.kind === 'finish') {
        assert.ok(isCopied && view.hasTarget && (job.state === 'pending' || view.failure === undefined));
        assert.equal(decision.kind === 'complete', job.purpose === undefined);
      }
      if (isOpen(job) && !view.hasTarget) assert.equal(decision.kind, 'fail');
      if (decision.kind === 'plan')
        assert.ok(!isCopied && Object.values(tally.tasks).reduce((sum, n) => sum + n) < job.taskCount);
      // Never back, never 100 before the end.
      if (decision.kind === 'progress' && job.state === 'executing')
        assert.ok(decision.progress > job.progress && decision.progress <= 99);
      if (decision.kind === 'forget') {
        assert.ok(!isOpen(job) && job.isTidy && !isUnsettled(job));
        assert.ok(view.nowMs >= job.endedAtMs + limits.jobRetentionMs);
      }
    }),
    { seed: 1, numRuns: 5000 },
  );
});

type TaskState = keyof typeof copyTaskMachine.table;

/** One job and its tasks, moved by the product's rules alone; the model below knows only what must hold. */
class Job {
  state: CopyJob['state'] = 'pending';
  isTidy = false;
  isForgotten = false;
  progress = 0;
  nowMs = 0;
  endedAtMs = 0;
  movedAtMs = 0;
  hasTarget = true;
  tasks: { state: TaskState; attempt: number }[] = [];
  readonly history: string[] = ['pending'];
  readonly taskCount: number;

  constructor(taskCount: number) {
    this.taskCount = taskCount;
  }

  #count(state: TaskState): number {
    return this.tasks.filter((task) => task.state === state).length;
  }

  view(): JobView {
    const job = {
      state: this.state,
      segmentCount: this.taskCount,
      taskCount: this.taskCount,
      totalBytes: 10 * this.taskCount,
      progress: this.progress,
      endedAtMs: this.endedAtMs,
      isTidy: this.isTidy,
    } as unknown as CopyJob;
    return {
      job,
      tally: {
        tasks: {
          pending: this.#count('pending'),
          'in-progress': this.#count('in-progress'),
          completed: this.#count('completed'),
          failed: this.#count('failed'),
        },
        waitingSegments: this.#count('pending'),
        copiedBytes: 10 * this.#count('completed'),
        copiedFiles: 0,
        movedAtMs: this.movedAtMs,
      },
      hasTarget: this.hasTarget,
      hasSource: true,
      failure: this.#count('failed') > 0 ? 'a task failed' : undefined,
      nowMs: this.nowMs,
      uptimeMs: this.nowMs,
      progressStoredAtMs: 0,
    };
  }

  /** A pass of the checker; false: it decided to wait. */
  check(): boolean {
    const decision = decide(this.view(), limits);
    switch (decision.kind) {
      case 'wait':
        return false;
      case 'prepare':
        this.#plan();
        this.#become(copyJobMachine.next(this.state as 'pending', 'execute'));
        return true;
      case 'plan':
        this.#plan();
        return true;
      case 'progress':
        assert.ok(decision.progress > this.progress);
        this.progress = decision.progress;
        return true;
      case 'complete':
      case 'finish':
        this.#end('complete');
        return true;
      case 'fail':
        this.#end('fail');
        return true;
      case 'tidy':
        this.isTidy = true;
        if (this.state === 'failed') this.tasks = [];
        return true;
      case 'forget':
        this.isForgotten = true;
        return true;
      case 'settle':
        throw new Error('nothing to settle');
    }
  }

  /** One more task, as if a slice were one. */
  #plan(): void {
    assert.ok(this.tasks.length < this.taskCount);
    this.tasks.push({ state: 'pending', attempt: 0 });
  }

  #end(event: 'complete' | 'fail'): void {
    this.endedAtMs = this.nowMs;
    this.#become(copyJobMachine.next(this.state, event));
  }

  #become(state: CopyJob['state']): void {
    this.state = state;
    this.history.push(state);
  }

  dispatch(n: number): void {
    const task = this.tasks[n];
    if (this.state !== 'executing' || task?.state !== 'pending') return;
    task.state = copyTaskMachine.next(task.state, 'dispatch');
    task.attempt++;
    if (this.#count('in-progress') === 1) this.movedAtMs = this.nowMs;
  }

  /** As the dispatcher takes a report; of an old attempt nothing comes of it. */
  report(n: number, attempt: number, outcome: 'completed' | ErrorName): void {
    const task = this.tasks[n];
    if (this.state !== 'executing' || task?.state !== 'in-progress' || task.attempt !== attempt) return;
    if (outcome === 'completed') this.movedAtMs = this.nowMs;
    task.state = copyTaskMachine.next(
      task.state,
      outcome === 'completed' ? 'complete' : isFinal(outcome, attempt, MAX_ATTEMPTS) ? 'fail' : 'requeue',
    );
  }
}

/** What was true before a step. */
interface Model {
  attempts: number[];
  states: TaskState[];
  state: CopyJob['state'];
  ends: number;
}

const codes = ['storage-failed', 'node-not-found', 'object-not-found', 'internal', 'data-integrity'] as const;

class Step implements fc.Command<Model, Job> {
  readonly #name: string;
  readonly #run: (job: Job) => void;

  constructor(name: string, run: (job: Job) => void) {
    this.#name = name;
    this.#run = run;
  }

  check = () => true;

  run(model: Model, job: Job): void {
    this.#run(job);
    for (const [n, task] of job.tasks.entries()) {
      assert.ok(task.attempt >= (model.attempts[n] ?? 0), 'an attempt never goes down (I4)');
      assert.ok(task.attempt <= MAX_ATTEMPTS, 'attempts are bounded');
      const was = model.states[n];
      if (was === 'completed' || was === 'failed') assert.equal(task.state, was, 'an ended task stays');
    }
    if (model.state === 'completed' || model.state === 'failed')
      assert.equal(job.state, model.state, 'an ended job stays');
    assert.ok(
      job.history.filter((state) => state === 'completed' || state === 'failed').length <= 1,
      'it ends once',
    );
    if (job.state === 'completed')
      assert.ok(
        job.tasks.every(({ state }) => state === 'completed'),
        'whole or not at all',
      );
    model.attempts = job.tasks.map(({ attempt }) => attempt);
    model.states = job.tasks.map(({ state }) => state);
    model.state = job.state;
  }

  toString = () => this.#name;
}

const taskNumber = fc.nat(4);
const steps = [
  fc.constant(new Step('check', (job) => void job.check())),
  taskNumber.map((n) => new Step(`dispatch ${n}`, (job) => job.dispatch(n))),
  fc
    .tuple(
      taskNumber,
      fc.integer({ min: 0, max: MAX_ATTEMPTS }),
      fc.constantFrom('completed' as const, ...codes),
    )
    .map(
      ([n, attempt, outcome]) =>
        new Step(`report ${n}.${attempt} ${outcome}`, (job) => job.report(n, attempt, outcome)),
    ),
  fc.constantFrom(50, 400, 1200).map(
    (ms) =>
      new Step(`${ms} ms pass`, (job) => {
        job.nowMs += ms;
      }),
  ),
  fc.constant(
    new Step('drop target', (job) => {
      job.hasTarget = false;
    }),
  ),
];

test('any sequence of events from the start: attempts only grow, ended stays ended, and with no more faults every job ends and is forgotten', () => {
  const ends = { completed: 0, failed: 0 };
  fc.assert(
    fc.property(fc.nat(5), fc.commands(steps, { maxCommands: 60, size: 'max' }), (taskCount, commands) => {
      const job = new Job(taskCount);
      const model: Model = { attempts: [], states: [], state: 'pending', ends: 0 };
      fc.modelRun(() => ({ model, real: job }), commands);
      // From here on nodes do what they are told.
      const last = new Step('nothing', () => undefined);
      for (let round = 0; !job.isForgotten; round++) {
        assert.ok(round < 60, `it does not end: ${job.state}`);
        while (job.check() && !job.isForgotten);
        for (const [n, { attempt }] of job.tasks.entries()) job.report(n, attempt, 'completed');
        for (const n of job.tasks.keys()) job.dispatch(n);
        job.nowMs += ROUND_MS;
        last.run(model, job);
      }
      ends[job.state as 'completed' | 'failed']++;
    }),
    { seed: 2, numRuns: 1000 },
  );
  assert.ok(ends.completed > 20 && ends.failed > 20, JSON.stringify(ends));
});

test('an error is final when it cannot be helped or no attempt is left, and never otherwise', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...codes),
      fc.nat(10),
      fc.integer({ min: 1, max: 10 }),
      (code, attempt, most) => {
        assert.equal(isFinal(code, attempt, most), isPermanent(code) || attempt >= most);
        if (isFinal(code, attempt, most)) assert.ok(isFinal(code, attempt + 1, most));
      },
    ),
    { seed: 3 },
  );
});

test('whatever is asked of the machines of jobs, tasks and swaps: a known state or a refusal, and no way out of an end', () => {
  for (const machine of [copyJobMachine, copyTaskMachine, swapMachine] as readonly {
    readonly table: Readonly<Record<string, Readonly<Record<string, string | null>>>>;
  }[]) {
    const states = Object.keys(machine.table);
    const events = Object.keys(machine.table[states[0] as string] ?? {});
    fc.assert(
      fc.property(
        fc.constantFrom(...states),
        fc.array(fc.constantFrom(...events), { maxLength: 12 }),
        (start, asked) => {
          let state = start;
          for (const event of asked) {
            const to = machine.table[state]?.[event];
            assert.ok(to === null || (to !== undefined && states.includes(to)));
            const isEnd = Object.values(machine.table[state] ?? {}).every((next) => next === null);
            if (isEnd) assert.equal(to, null);
            state = to ?? state;
          }
        },
      ),
      { seed: 4 },
    );
  }
});
