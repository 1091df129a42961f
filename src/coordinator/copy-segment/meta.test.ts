import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ManualClock } from '../../../tests/heart/manual-clock.ts';
import { Catalog, put, remove } from '../../catalog/catalog.ts';
import { MemoryKv } from '../../catalog/memory.ts';
import type { CollectionId, JobId, NodeId, TaskId } from '../../model/ids.ts';
import { coreTables } from '../tables.ts';
import { type CopyJob, copyJobs } from './job.ts';
import { type CopyChange, CopyMeta, type JobTally } from './meta.ts';
import type { CopyTaskState } from './state.ts';
import { type CopyTask, copyTasks } from './task.ts';

const JOB = 1n as JobId;
const NODE = 9n as NodeId;

const task = (id: number, state: CopyTaskState, attempt = 0): CopyTask => {
  const base = {
    taskId: BigInt(id) as TaskId,
    jobId: JOB,
    range: { firstSegment: id, segmentCount: 1, bytes: id * 10, files: id },
    attempt,
  };
  if (state === 'in-progress') return { ...base, state, nodeId: NODE };
  if (state === 'failed') return { ...base, state, code: 'storage-failed', reason: 'x' };
  return { ...base, state };
};

async function world() {
  const kv = new MemoryKv();
  const clock = new ManualClock(1000);
  const open = () => Catalog.open({ kv, tables: [...coreTables, copyJobs, copyTasks], highWater: () => 0n });
  const catalog = await open();
  const meta = new CopyMeta(catalog, clock);
  const told: CopyChange[] = [];
  meta.onChange((_, what) => told.push(what));
  const set = async (is: CopyTask) =>
    catalog.commitSure([put(copyTasks, is, catalog.get(copyTasks, is.taskId))]);
  return { catalog, clock, meta, told, set, open };
}

const counts = ({ tasks, copiedBytes, copiedFiles }: JobTally) => ({ tasks, copiedBytes, copiedFiles });

test('tasks are counted by state as they change: the same as counting them all, and as after a restart', async () => {
  const step = fc.record({
    id: fc.integer({ min: 1, max: 5 }),
    state: fc.constantFrom<CopyTaskState | 'gone'>('pending', 'in-progress', 'completed', 'failed', 'gone'),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
      const { catalog, clock, meta, set, open } = await world();
      for (const { id, state } of steps) {
        const was = catalog.get(copyTasks, BigInt(id) as TaskId);
        if (state !== 'gone') await set(task(id, state));
        else if (was !== undefined) await catalog.commitSure([remove(copyTasks, was)]);
        const all = meta.tasksOf(JOB);
        const completed = all.filter((t) => t.state === 'completed');
        const recounted: Record<CopyTaskState, number> = {
          pending: 0,
          'in-progress': 0,
          completed: 0,
          failed: 0,
        };
        for (const t of all) recounted[t.state]++;
        assert.deepEqual(counts(meta.tally(JOB)), {
          tasks: recounted,
          copiedBytes: completed.reduce((sum, { range }) => sum + range.bytes, 0),
          copiedFiles: completed.reduce((sum, { range }) => sum + range.files, 0),
        });
      }
      const reopened = new CopyMeta(await open(), clock);
      assert.deepEqual(counts(reopened.tally(JOB)), counts(meta.tally(JOB)));
    }),
    { numRuns: 40 },
  );
});

test('what a running attempt has copied counts by bytes and files, inside a task and before it ends', async () => {
  const { meta, set } = await world();
  await set(task(5, 'completed'));
  await set(task(9, 'in-progress', 1));
  const copied = () => [meta.tally(JOB).copiedBytes, meta.tally(JOB).copiedFiles];
  assert.deepEqual(copied(), [50, 5]);
  meta.noteProgress(JOB, 9n as TaskId, { bytes: 40, files: 4 });
  assert.deepEqual(copied(), [90, 9]);
  meta.noteProgress(JOB, 9n as TaskId, { bytes: 60, files: 6 });
  assert.deepEqual(copied(), [110, 11]);
  await set(task(9, 'pending', 1));
  assert.deepEqual(copied(), [50, 5], 'an attempt that failed has copied nothing');
  await set(task(9, 'in-progress', 2));
  await set(task(9, 'completed', 2));
  assert.deepEqual(copied(), [140, 14]);
});

test('a report that says nothing new is told to nobody and is no progress', async () => {
  const { clock, meta, set, told } = await world();
  await set(task(5, 'in-progress', 1));
  told.length = 0;
  await clock.advance(100);
  meta.noteProgress(JOB, 5n as TaskId, { bytes: 10, files: 1 });
  await clock.advance(500);
  meta.noteProgress(JOB, 5n as TaskId, { bytes: 10, files: 1 });
  assert.deepEqual([told, meta.tally(JOB).movedAtMs], [['progress'], 100]);
});

test('time without progress starts anew with bytes, with a completed task, and when a first node takes up work; with nothing else', async () => {
  const { clock, meta, set } = await world();
  await set(task(1, 'pending'));
  await set(task(2, 'pending'));
  const moved = async (act: () => unknown): Promise<boolean> => {
    await clock.advance(1000);
    await act();
    return meta.tally(JOB).movedAtMs === clock.monotonicMs();
  };
  const report = (id: number, bytes: number) =>
    meta.noteProgress(JOB, BigInt(id) as TaskId, { bytes, files: 0 });
  assert.equal(await moved(() => set(task(1, 'in-progress', 1))), true, 'first node');
  assert.equal(await moved(() => set(task(2, 'in-progress', 1))), false, 'second node');
  assert.equal(await moved(() => report(1, 5)), true, 'bytes');
  assert.equal(await moved(() => report(1, 5)), false, 'the same bytes');
  assert.equal(await moved(() => set(task(2, 'pending', 1))), false, 'an attempt that failed');
  assert.equal(await moved(() => set(task(1, 'completed', 1))), true, 'a task completed');
  assert.equal(await moved(() => set(task(2, 'failed', 1))), false, 'a task failed');
});

test('a commit that touches a job and many of its tasks is told once; of a job that is gone nothing is kept', async () => {
  const { catalog, meta, told } = await world();
  const job = { jobId: JOB, collectionId: 3n as CollectionId, state: 'pending' } as CopyJob;
  await catalog.commitSure([
    put(copyJobs, job, undefined),
    ...[1, 2, 3].map((id) => put(copyTasks, task(id, 'pending'), undefined)),
  ]);
  assert.deepEqual(told, ['job']);
  for (const t of meta.tasksOf(JOB)) await catalog.commitSure([remove(copyTasks, t)]);
  told.length = 0;
  await catalog.commitSure([remove(copyJobs, job)]);
  assert.deepEqual([told, meta.job(JOB), meta.tasksOf(JOB)], [[], undefined, []]);
  assert.deepEqual(counts(meta.tally(JOB)).copiedBytes, 0);
});
