import assert from 'node:assert/strict';
import { test } from 'node:test';
import { settle, until } from '../../../tests/heart/manual-clock.ts';
import { source, target, World } from '../../../tests/heart/world.ts';
import type { CopySegmentOutput, CopySegmentWork, NodeTaskReport } from '../../datanode/api.ts';
import { copySegmentExecutor } from '../../datanode/copy-segment/executor.ts';
import { isDbError } from '../../errors/db-error.ts';
import type { NodeId, SegmentId } from '../../model/ids.ts';
import { present } from '../../support/assert.ts';
import { TurnBudget } from '../../support/turn-budget.ts';
import { defaultSnapshotLimits, type SnapshotLimits } from '../snapshot/limits.ts';
import { segments } from '../tables.ts';
import { CopyTaskDispatch } from './dispatch.ts';
import { CopyMeta } from './meta.ts';
import { SnapshotSource } from './source.ts';
import { type CopyTask, copyTasks } from './task.ts';

const NODE = 5n as NodeId;
const OTHER = 6n as NodeId;
const progress = { bytes: 0, files: 0 };

/** A job of one task that no scheduler drives, and the task as the scheduler would see it. */
async function one(limits: Partial<SnapshotLimits> = {}) {
  const world = await World.withRows(2);
  await world.create();
  await world.loseNode();
  const jobId = await world.restore();
  await until(() => world.catalog.count(copyTasks) === 1, 'prepared');
  await settle();
  const { catalog, disk } = world;
  const first = present([...catalog.all(copyTasks)][0], 'the task');
  const dispatch = new CopyTaskDispatch(first, {
    catalog,
    meta: new CopyMeta(catalog, disk.clock),
    source: new SnapshotSource(catalog, disk.store(), 4),
    limits: { ...defaultSnapshotLimits, ...limits },
    clock: disk.clock,
    turns: new TurnBudget(64),
  });
  const task = (): CopyTask => present(catalog.get(copyTasks, first.taskId), 'the task');
  const sent = async (nodeId = NODE) => present(await dispatch.dispatch(nodeId), 'an order');
  const execute = copySegmentExecutor(disk.store(), { filesAtOnce: 4 });
  const run = (work: CopySegmentWork): Promise<CopySegmentOutput> =>
    execute(work, { signal: new AbortController().signal, progress: () => undefined });
  const done = (attempt: number, output: CopySegmentOutput): NodeTaskReport & { state: 'completed' } => ({
    taskId: first.taskId,
    attempt,
    state: 'completed',
    progress,
    output,
  });
  return { world, jobId, dispatch, task, sent, run, done };
}

test('an attempt and its node are stored before the command can be sent; when they cannot be stored, nothing is', async () => {
  const { world, dispatch, task, sent } = await one();
  const { attempt, work } = await sent();
  assert.deepEqual([attempt, work.kind], [1, 'copy-segment']);
  const stored = task();
  assert.deepEqual(
    [stored.state, stored.attempt, stored.state === 'in-progress' && stored.nodeId],
    ['in-progress', 1, NODE],
  );
  world.disk.plan({ at: 1, kind: 'crash', effect: 'before', only: 'kv' });
  await assert.rejects(dispatch.dispatch(OTHER), (e) => isDbError(e));
  assert.deepEqual(task(), stored);
  await world.stop();
});

test('attempts only grow: a lost node, a failure and a repeated dispatch each take the next number', async () => {
  const { world, dispatch, task, sent } = await one();
  const seen = [(await sent(NODE)).attempt, (await sent(OTHER)).attempt];
  assert.equal(await dispatch.failed('node-not-found', 'the node is lost'), 'retry');
  assert.deepEqual([task().state, task().attempt], ['pending', 2]);
  assert.equal(await dispatch.failed('node-not-found', 'told again'), 'retry');
  seen.push((await sent(NODE)).attempt);
  assert.deepEqual(seen, [1, 2, 3]);
  await world.stop();
});

test('a result is one commit, files into the target segments and the task completed; told again it changes nothing', async () => {
  const { world, dispatch, task, sent, run, done } = await one();
  const { attempt, work } = await sent();
  const report = done(attempt, await run(work as CopySegmentWork));
  const commits: string[][] = [];
  world.catalog.onChange((changes) => commits.push(changes.map(({ table }) => table.name).toSorted()));
  await dispatch.completed(report);
  await dispatch.completed(report);
  await settle();
  assert.deepEqual(commits[0], ['copy-task', 'segment', 'segment']);
  assert.equal(commits.filter((names) => names.includes('segment') && names.includes('copy-task')).length, 1);
  assert.equal(world.catalog.get(copyTasks, report.taskId)?.state ?? 'removed', 'removed');
  assert.deepEqual(await world.content(target), await world.content(source));
  assert.throws(() => task());
  await world.stop();
});

test('R07: a report of an attempt that is not the running one changes nothing', async () => {
  const { world, dispatch, task, sent, run, done } = await one();
  const { work } = await sent();
  const output = await run(work as CopySegmentWork);
  await sent(OTHER);
  const before = task();
  await dispatch.completed(done(1, output));
  await dispatch.completed(done(3, output));
  assert.deepEqual(task(), before);
  for (const segment of world.catalog.find(segments, 'collection', world.find(target).collectionId))
    assert.deepEqual(segment.files, []);
  await world.stop();
});

test('R14: a report that names other segments, keys, sizes or checksums than those of the source is not believed', async () => {
  const { world, dispatch, task, sent, run, done } = await one();
  const { attempt, work } = await sent();
  const output = await run(work as CopySegmentWork);
  const [head, ...rest] = output.segments;
  const [file, ...files] = present(head, 'a segment').files;
  const withFile = (change: object) => [
    { ...present(head, 'a segment'), files: [{ ...present(file, 'a file'), ...change }, ...files] },
    ...rest,
  ];
  const wrong: readonly CopySegmentOutput['segments'][] = [
    [],
    rest,
    [...output.segments].reverse(),
    [{ ...present(head, 'a segment'), segmentId: 1n as SegmentId }, ...rest],
    [{ ...present(head, 'a segment'), files }, ...rest],
    [{ ...present(head, 'a segment'), indexes: [] }, ...rest],
    withFile({ key: present((work as CopySegmentWork).sources[0], 'a source').files[0]?.key }),
    withFile({ sizeBytes: 1 }),
    withFile({ crc32: 1 }),
    withFile({ kind: 'stats' }),
  ];
  const before = task();
  for (const segmentsOf of wrong)
    await assert.rejects(dispatch.completed(done(attempt, { ...output, segments: segmentsOf })), (e) =>
      isDbError(e, 'data-integrity'),
    );
  assert.deepEqual(task(), before);
  await dispatch.completed(done(attempt, output));
  await until(() => world.service.gate.isCompleted(world.find(target).restoreJobId ?? (0n as never)), 'done');
  await world.stop();
});

test('what passes puts a task back for another node; a missing or damaged object, or the last attempt, fails it with code and reason', async () => {
  const { world, dispatch, task, sent } = await one({ maxCopyAttempts: 3 });
  await sent();
  assert.equal(await dispatch.failed('storage-failed', 'away'), 'retry');
  assert.equal(task().state, 'pending');
  await sent();
  assert.equal(await dispatch.failed('storage-full', 'full'), 'retry');
  await sent();
  world.catalog.onChange((changes) => {
    const failed = changes.find(({ is }) => (is as CopyTask | undefined)?.state === 'failed')?.is as CopyTask;
    if (failed !== undefined && 'code' in failed) seen.push([failed.code, failed.reason]);
  });
  const seen: string[][] = [];
  assert.equal(await dispatch.failed('storage-failed', 'away for good'), 'done');
  assert.deepEqual(seen, [['storage-failed', 'away for good']]);
  await world.stop();

  const other = await one();
  await other.sent();
  assert.equal(await other.dispatch.failed('object-not-found', "object 'k' is missing"), 'done');
  await until(() => other.world.service.restoreState(other.jobId).state === 'failed', 'failed');
  assert.equal(other.world.service.restoreState(other.jobId).reason, "object 'k' is missing");
  await other.world.stop();
});

test('attempts that end without a usable result are counted too: the task fails instead of going on for ever', async () => {
  const { world, jobId, dispatch, sent } = await one({ maxCopyAttempts: 2 });
  await sent();
  await sent();
  assert.equal(await dispatch.dispatch(NODE), undefined);
  const info = await world.ended(jobId);
  assert.deepEqual([info.state, info.reason], ['failed', 'no attempt of 2 brought a usable result']);
  await world.assertClean();
  await world.stop();
});

test('a manifest that is gone when a task is dispatched fails the task and its job, and is named', async () => {
  const { world, jobId, dispatch } = await one();
  const [key] = (await world.disk.keys('snapshots/')).filter((k) => k.endsWith('.avro'));
  await world.disk.memoryStore.delete(present(key, 'a manifest'));
  assert.equal(await dispatch.dispatch(NODE), undefined);
  const info = await world.ended(jobId);
  assert.equal(info.state, 'failed');
  assert.ok(info.reason.includes(present(key, 'a manifest')), info.reason);
  await world.stop();
});

test('nothing of a job that has ended is dispatched, and what is told of it changes nothing', async () => {
  const { world, jobId, dispatch, sent, run, done } = await one();
  const { attempt, work } = await sent();
  const output = await run(work as CopySegmentWork);
  assert.equal(await world.service.cancelRestore(jobId), true);
  const { commits } = world.disk;
  assert.equal(await dispatch.dispatch(NODE), undefined);
  assert.equal(await dispatch.failed('storage-failed', 'x'), 'done');
  await dispatch.completed(done(attempt, output));
  assert.deepEqual([world.disk.commits, world.catalog.count(copyTasks)], [commits, 0]);
  await world.assertClean();
  await world.stop();
});

test('a task takes slots by what it has to copy: at least one, more when it is large, never more than its share of a node', async () => {
  const slotsOf = async (limits: Partial<SnapshotLimits>): Promise<number> => {
    const { world, dispatch } = await one(limits);
    await world.stop();
    return dispatch.slots;
  };
  assert.equal(await slotsOf({}), 1);
  const [small, large] = [
    await slotsOf({ bytesPerSlot: 100, maxSlotsPerCopyTask: 64 }),
    await slotsOf({ bytesPerSlot: 50, maxSlotsPerCopyTask: 64 }),
  ];
  assert.ok(small > 1 && large > small, `${small}, ${large}`);
  assert.equal(await slotsOf({ bytesPerSlot: 1, maxSlotsPerCopyTask: 4 }), 4);
});
