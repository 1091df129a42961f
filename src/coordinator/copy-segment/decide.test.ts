import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SnapshotId } from '../../model/ids.ts';
import { decide, type JobDecision, type JobView, progressOf } from './decide.ts';
import { type CopyJob, groupIntoTasks, idAt } from './job.ts';
import { copyJobMachine, copyTaskMachine } from './state.ts';
import { isFinal } from './task.ts';

const limits = { jobTimeoutMs: 1000, jobRetentionMs: 5000, progressIntervalMs: 100 };
const base = { segmentCount: 4, taskCount: 2, totalBytes: 200 } as unknown as CopyJob;
const job = (state: object): CopyJob => ({ ...base, ...state }) as CopyJob;
const pending = job({ state: 'pending' });
const executing = job({ state: 'executing', progress: 10 });
const large = job({
  state: 'executing',
  progress: 10,
  segmentCount: 1000,
  taskCount: 1000,
  totalBytes: 100_000,
});
const ended = { endedAtMs: 10_000, reason: 'x', progress: 10 };

/** Tasks as [pending, in-progress, completed, failed]. */
const view = (
  of: CopyJob,
  tasks: readonly [number, number, number, number],
  more: Partial<JobView> & { copiedBytes?: number; movedAtMs?: number; waitingSegments?: number } = {},
): JobView => ({
  job: of,
  tally: {
    tasks: { pending: tasks[0], 'in-progress': tasks[1], completed: tasks[2], failed: tasks[3] },
    waitingSegments: more.waitingSegments ?? tasks[0],
    copiedBytes: more.copiedBytes ?? 0,
    copiedFiles: 0,
    movedAtMs: more.movedAtMs ?? 10_000,
  },
  hasTarget: true,
  hasSource: true,
  failure: undefined,
  nowMs: 10_000,
  uptimeMs: more.nowMs ?? 10_000,
  progressStoredAtMs: 0,
  ...more,
});

const drill = { kind: 'drill' };
const swap = (stage: string) => ({ kind: 'in-place', stage, name: 'a', keptName: 'b' });
const gone = { kind: 'fail', reason: 'the target collection was dropped' } as const;
const rows: readonly [string, JobView, JobDecision][] = [
  ['a new job is prepared', view(pending, [0, 0, 0, 0]), { kind: 'prepare' }],
  ['a half prepared job is prepared again', view(pending, [1, 0, 0, 0]), { kind: 'prepare' }],
  [
    'a job without segments completes without tasks',
    view(job({ state: 'pending', segmentCount: 0, taskCount: 0 }), [0, 0, 0, 0]),
    { kind: 'complete' },
  ],
  [
    'of a large job the next tasks are planned when few wait for a node',
    view(large, [128, 16, 300, 0], { progressStoredAtMs: 10_000 }),
    { kind: 'plan' },
  ],
  [
    'as many tasks wait as are planned ahead, by their segments',
    view(large, [5, 16, 300, 0], { waitingSegments: 129, progressStoredAtMs: 10_000 }),
    { kind: 'wait' },
  ],
  [
    'progress that is due is stored before more is planned',
    view(large, [0, 0, 300, 0], { copiedBytes: 30_000 }),
    { kind: 'progress', progress: 30 },
  ],
  [
    'all tasks that are planned are completed, and that is not all of them',
    view(large, [0, 0, 300, 0], { progressStoredAtMs: 10_000 }),
    { kind: 'plan' },
  ],
  ['a target dropped before the start', view(pending, [0, 0, 0, 0], { hasTarget: false }), gone],
  [
    'a drill without segments has its comparison still to come',
    view(job({ state: 'pending', segmentCount: 0, taskCount: 0, purpose: drill }), [0, 0, 0, 0]),
    { kind: 'finish' },
  ],
  [
    'all is copied for a purpose',
    view(job({ state: 'executing', progress: 99, purpose: swap('copying') }), [0, 0, 2, 0]),
    { kind: 'finish' },
  ],
  [
    'all is copied, and what it is for does not get on',
    view(job({ state: 'executing', progress: 99, purpose: drill }), [0, 0, 2, 0], { movedAtMs: 9000 }),
    { kind: 'fail', reason: 'timeout: no progress for 1000 ms' },
  ],
  [
    'a swap that nobody has settled is not forgotten',
    view(job({ state: 'completed', ...ended, isTidy: true, purpose: swap('swapped') }), [0, 0, 0, 0], {
      nowMs: 1e9,
    }),
    { kind: 'wait' },
  ],
  [
    'a swap whose old collection is gone is settled',
    view(job({ state: 'completed', ...ended, isTidy: true, purpose: swap('swapped') }), [0, 0, 0, 0], {
      hasSource: false,
    }),
    { kind: 'settle' },
  ],
  [
    'a settled swap is forgotten as any restore',
    view(job({ state: 'completed', ...ended, isTidy: true, purpose: swap('reverted') }), [0, 0, 0, 0], {
      nowMs: 1e9,
    }),
    { kind: 'forget' },
  ],
  ['tasks in the queue', view(executing, [2, 0, 0, 0]), { kind: 'wait' }],
  ['a task at work', view(executing, [1, 1, 0, 0]), { kind: 'wait' }],
  [
    'bytes were copied',
    view(executing, [1, 1, 0, 0], { copiedBytes: 50 }),
    { kind: 'progress', progress: 25 },
  ],
  [
    'progress that was stored a moment ago waits',
    view(executing, [1, 1, 0, 0], { copiedBytes: 50, progressStoredAtMs: 9950 }),
    { kind: 'wait' },
  ],
  [
    'progress is stored again when it is due',
    view(executing, [1, 1, 0, 0], { copiedBytes: 50, progressStoredAtMs: 9900 }),
    { kind: 'progress', progress: 25 },
  ],
  [
    'an attempt that begins anew does not take progress back',
    view(executing, [1, 1, 0, 0], { copiedBytes: 2 }),
    { kind: 'wait' },
  ],
  [
    'everything copied, not yet stored: 99',
    view(executing, [0, 1, 1, 0], { copiedBytes: 200 }),
    { kind: 'progress', progress: 99 },
  ],
  ['all tasks completed', view(executing, [0, 0, 2, 0], { copiedBytes: 200 }), { kind: 'complete' }],
  [
    'a restore finished in its last moment is completed, not timed out',
    view(executing, [0, 0, 2, 0], { movedAtMs: 0 }),
    { kind: 'complete' },
  ],
  [
    'a failed task fails the job with its own reason',
    view(executing, [0, 0, 1, 1], { failure: "object 'k' is missing" }),
    { kind: 'fail', reason: "object 'k' is missing" },
  ],
  ['the target is gone', view(executing, [0, 0, 2, 0], { hasTarget: false }), gone],
  [
    'no progress for the timeout while a node works',
    view(executing, [0, 1, 1, 0], { movedAtMs: 9000 }),
    { kind: 'fail', reason: 'timeout: no progress for 1000 ms' },
  ],
  ['just before the timeout', view(executing, [0, 1, 1, 0], { movedAtMs: 9001 }), { kind: 'wait' }],
  ['time in the queue does not count', view(executing, [1, 0, 1, 0], { movedAtMs: 0 }), { kind: 'wait' }],
  [
    'a completed job is tidied first',
    view(job({ state: 'completed', isTidy: false, ...ended }), [0, 0, 2, 0], { nowMs: 99_000 }),
    { kind: 'tidy' },
  ],
  [
    'a failed job is cleared first',
    view(job({ state: 'failed', isTidy: false, ...ended }), [1, 1, 0, 0], {
      nowMs: 99_000,
      hasTarget: false,
    }),
    { kind: 'tidy' },
  ],
  [
    'an ended job is kept for its retention',
    view(job({ state: 'failed', isTidy: true, ...ended }), [0, 0, 0, 0], { nowMs: 14_999 }),
    { kind: 'wait' },
  ],
  [
    'then it is forgotten',
    view(job({ state: 'completed', isTidy: true, ...ended }), [0, 0, 0, 0], { nowMs: 15_000 }),
    { kind: 'forget' },
  ],
];
for (const [name, given, expected] of rows)
  test(`decide: ${name}`, () => assert.deepEqual(decide(given, limits), expected));

test('progress without bytes is 0 until the job is completed', () => {
  assert.equal(progressOf(job({ totalBytes: 0 }), view(executing, [0, 0, 0, 0]).tally), 0);
});

test('ended jobs and tasks never move again', () => {
  for (const [machine, terminal] of [
    [copyJobMachine, ['completed', 'failed']],
    [copyTaskMachine, ['completed', 'failed']],
  ] as const)
    for (const state of Object.keys(machine.table))
      assert.equal(machine.isTerminal(state as never), (terminal as readonly string[]).includes(state));
  assert.throws(() => copyJobMachine.next('failed', 'complete'));
  assert.throws(() => copyTaskMachine.next('completed', 'fail'));
});

test('segments are cut into tasks by count, bytes and files, in order, none left out', () => {
  const sizes = [5, 5, 5, 100, 1, 1, 1, 1].map((bytes) => ({ bytes, files: 2 }));
  const cut = (maxSegments: number, maxBytes: number, maxFiles: number) =>
    groupIntoTasks(sizes, { maxSegments, maxBytes, maxFiles }).map((r) => [r.firstSegment, r.segmentCount]);
  assert.deepEqual(cut(100, 1000, 1000), [[0, 8]]);
  assert.deepEqual(cut(3, 1000, 1000), [
    [0, 3],
    [3, 3],
    [6, 2],
  ]);
  assert.deepEqual(cut(100, 10, 1000), [
    [0, 2],
    [2, 1],
    [3, 1],
    [4, 4],
  ]);
  assert.deepEqual(cut(100, 1000, 4), [
    [0, 2],
    [2, 2],
    [4, 2],
    [6, 2],
  ]);
  assert.deepEqual(groupIntoTasks([], { maxSegments: 1, maxBytes: 1, maxFiles: 1 }), []);
  assert.equal(idAt(5n as SnapshotId, 3), 8n);
});

test('missing and damaged objects end a task at once, the rest after its attempts', () => {
  assert.deepEqual(
    (['object-not-found', 'data-integrity', 'storage-failed', 'node-not-found', 'storage-full'] as const).map(
      (code) => [isFinal(code, 1, 10), isFinal(code, 10, 10)],
    ),
    [
      [true, true],
      [true, true],
      [false, true],
      [false, true],
      [false, true],
    ],
  );
});
