import assert from 'node:assert/strict';
import { test } from 'node:test';
import { settle, until } from '../../../tests/heart/manual-clock.ts';
import { source, World } from '../../../tests/heart/world.ts';
import { isDbError } from '../../errors/db-error.ts';
import type { JobId } from '../../model/ids.ts';
import type { HistogramCounts } from '../../support/histogram.ts';
import type { RestoreJobInfo } from '../api.ts';
import { type CopyJob, copyJobs } from '../copy-segment/job.ts';

const to = (name: string) => ({ database: '', name });

test('W24: restore jobs are listed oldest first, a job under way is cancelled, and a failed one has a duration that stands', async () => {
  let world = await World.withRows(2);
  await world.create();
  const first = await world.restore('snap', to('z'));
  await world.ended(first);
  let copies = 0;
  const { memoryStore } = world.disk;
  const copy = memoryStore.copy.bind(memoryStore);
  memoryStore.copy = async (...args) => {
    copies++;
    await world.disk.clock.sleep(1000, new AbortController().signal);
    return copy(...args);
  };
  const second = await world.restore('snap', to('y'));
  await until(() => copies > 0, 'copying');
  await world.disk.clock.advance(700);
  const cancelled = world.service.cancelRestore(second);
  await settle();
  await world.disk.clock.advance(1000);
  assert.equal(await cancelled, true);
  const third = await world.restore('snap', to('x'));
  const info = await world.ended(second);
  assert.deepEqual([info.state, info.reason, info.durationMs], ['failed', 'cancelled', 700]);
  await world.ended(third);
  assert.equal(await world.service.cancelRestore(second), false);
  await assert.rejects(world.service.cancelRestore(99n as JobId), (e) => isDbError(e, 'job-not-found'));
  memoryStore.copy = copy;
  world = await world.restart();
  const listed = world.service.listRestoreJobs('', '');
  assert.deepEqual(
    listed.map(({ jobId, state }) => [jobId, state]),
    [
      [first, 'completed'],
      [second, 'failed'],
      [third, 'completed'],
    ],
  );
  assert.ok(listed.every(({ durationMs }) => durationMs >= 1));
  assert.deepEqual(world.service.restoreState(second).durationMs, 700);
  assert.deepEqual(
    world.service.listRestoreJobs('', 'y').map(({ jobId }) => jobId),
    [second],
  );
  assert.deepEqual([world.has(source), world.has(to('y')), world.has(to('z'))], [true, false, true]);
  await world.assertClean();
  await world.stop();
});

/** A physical copier that moves `bytes` of every copy per second of the world's clock. */
function slowCopies(world: World, seconds: number): void {
  const { memoryStore, clock } = world.disk;
  const copy = memoryStore.copy.bind(memoryStore);
  memoryStore.copy = async (...args) => {
    await clock.sleep(seconds * 1000, new AbortController().signal);
    return copy(...args);
  };
}

test('W14: progress moves by bytes within a task, with rate, remaining time, node and tasks; methods, stages and bytes stay when it has ended', async () => {
  const world = await World.withRows(40, { maxSegmentsPerCopyTask: 40 });
  await world.create();
  const { clock } = world.disk;
  await world.loseNode();
  const jobId = await world.restore('snap', to('slow'));
  await settle();
  const queued = world.service.restoreState(jobId);
  assert.deepEqual([queued.tasks, queued.nodes], [{ queued: 1, running: 0, completed: 0 }, []]);
  assert.deepEqual([queued.bytesPerSecond, queued.remainingMs], [undefined, undefined]);
  await clock.advance(3000);
  assert.deepEqual(world.service.restoreState(jobId).stages, { waitingMs: 3000, copyingMs: 0 });
  slowCopies(world, 1);
  world.cluster.join(world.node);
  await settle();
  const seen: RestoreJobInfo[] = [];
  for (let i = 0; i < 60; i++) {
    await clock.advance(500);
    seen.push(world.service.restoreState(jobId));
  }
  const steps = new Set(seen.map(({ progress }) => progress));
  assert.ok(steps.size > 20, `one task showed ${steps.size} steps`);
  const later = seen.filter(({ bytesPerSecond }) => bytesPerSecond !== undefined);
  assert.ok(later.length > 50);
  for (const { bytesPerSecond, remainingMs, copiedBytes, totalBytes, nodes, tasks } of later.slice(10)) {
    // 160 files, four at once, one second each.
    const expected = totalBytes / 40;
    assert.ok(Math.abs(bytesPerSecond! - expected) <= expected * 0.2, `${bytesPerSecond} for ${expected}`);
    assert.equal(remainingMs, Math.ceil(((totalBytes - copiedBytes) * 1000) / bytesPerSecond!));
    assert.deepEqual(tasks, { queued: 0, running: 1, completed: 0 });
    assert.deepEqual(
      nodes.map(({ nodeId, taskIds }) => [nodeId, taskIds.length]),
      [[world.node.nodeId, 1]],
    );
  }
  const info = await world.ended(jobId);
  assert.deepEqual([info.tasks, info.nodes], [{ queued: 0, running: 0, completed: 1 }, []]);
  assert.deepEqual(info.bytesByMethod, { 'server-side': info.totalBytes });
  assert.equal(info.stages.waitingMs, 3000);
  assert.equal(info.stages.waitingMs + info.stages.copyingMs, info.durationMs);
  assert.ok(info.stages.copyingMs >= 40_000);
  await clock.advance(60_000);
  assert.deepEqual(world.service.restoreState(jobId), info);
  const again = await world.restart();
  assert.deepEqual(again.service.restoreState(jobId), info);
  await again.stop();
});

test('progress is written to the catalog only when it changed', async () => {
  const world = await World.withRows(40, { maxSegmentsPerCopyTask: 40 });
  await world.create();
  slowCopies(world, 1);
  const stored: number[] = [];
  world.catalog.onChange((changes) => {
    for (const { table, is } of changes)
      if (table === copyJobs && (is as CopyJob | undefined)?.state === 'executing')
        stored.push((is as CopyJob & { readonly state: 'executing' }).progress);
  });
  const jobId = await world.restore('snap', to('slow'));
  await world.disk.clock.advance(12_500);
  const before = stored.length;
  const { commits } = world.disk;
  const stuck = world.service.restoreState(jobId).progress;
  await world.disk.clock.advance(400);
  assert.deepEqual([stored.length, world.disk.commits], [before, commits]);
  assert.equal(world.service.restoreState(jobId).progress, stuck);
  await world.ended(jobId);
  assert.ok(stored.length > 10);
  assert.deepEqual(stored, [...new Set(stored)], 'each value once, rising');
  await world.stop();
});

test('a failed restore keeps the bytes it had copied, and says how they came', async () => {
  const world = await World.withRows(4);
  await world.create();
  const keys = await world.disk.keys('segments/');
  await world.disk.memoryStore.delete(keys.findLast((key) => key.includes('rows'))!);
  const jobId = await world.restore('snap', to('broken'));
  const info = await world.ended(jobId);
  assert.equal(info.state, 'failed');
  assert.ok(info.copiedBytes > 0 && info.copiedBytes < info.totalBytes);
  assert.deepEqual(world.service.copySegmentStats().jobs, {
    pending: 0,
    executing: 0,
    completed: 0,
    failed: 1,
  });
  await world.stop();
});

test('latencies of jobs and tasks are counted by stage as they change their state', async () => {
  const world = await World.withRows(4);
  await world.create();
  await world.loseNode();
  const jobId = await world.restore('snap', to('slow'));
  await settle();
  await world.disk.clock.advance(2000);
  slowCopies(world, 1);
  world.cluster.join(world.node);
  await world.ended(jobId);
  const { latencies, tasks, jobs, scheduler } = world.service.copySegmentStats();
  const count = ({ counts }: HistogramCounts) => counts.reduce((sum, one) => sum + one, 0);
  const { job, task } = latencies;
  assert.deepEqual(
    [job['pending'], job['executing'], job['total']].map((stage) => count(stage!)),
    [1, 1, 1],
  );
  assert.deepEqual(
    [task['pending'], task['executing'], task['settled']].map((stage) => count(stage!)),
    [2, 2, 2],
  );
  assert.equal(task['pending']!.sumMs, 4000);
  assert.equal(task['executing']!.sumMs, 2 * 2000);
  assert.equal(job['total']!.sumMs, world.service.restoreState(jobId).durationMs);
  assert.deepEqual(tasks, { pending: 0, 'in-progress': 0, completed: 0, failed: 0 });
  assert.equal(jobs.completed, 1);
  assert.deepEqual(
    scheduler.nodes.map(({ slots, usedSlots }) => [slots, usedSlots]),
    [[4, 0]],
  );
  await world.stop();
});
