import assert from 'node:assert/strict';
import { test } from 'node:test';
import { settle, until } from '../../../tests/heart/manual-clock.ts';
import { source, target, World } from '../../../tests/heart/world.ts';
import type { Change } from '../../catalog/catalog.ts';
import { put } from '../../catalog/catalog.ts';
import { DbError, isDbError } from '../../errors/db-error.ts';
import type { JobId, TaskId } from '../../model/ids.ts';
import { pins, snapshots } from '../snapshot/record.ts';
import { collections, segments } from '../tables.ts';
import { type CopyJob, copyJobs, idAt } from './job.ts';
import { type CopyTask, copyTasks } from './task.ts';

const jobOf = (world: World, jobId: JobId): CopyJob => {
  const job = world.catalog.get(copyJobs, jobId);
  assert.ok(job, `job ${jobId}`);
  return job;
};
const isTidy = (world: World, jobId: JobId): boolean => {
  const job = world.catalog.get(copyJobs, jobId);
  return job !== undefined && 'isTidy' in job && job.isTidy;
};
const to = (name: string) => ({ database: '', name });

/** What every commit from now on changed in a table, as [was, is]. */
function follow<R extends object>(world: World, { name }: { readonly name: string }) {
  const seen: (readonly [R | undefined, R | undefined])[] = [];
  world.catalog.onChange((changes) => {
    for (const { table, was, is } of changes)
      if (table.name === name) seen.push([was as R | undefined, is as R | undefined]);
  });
  return seen;
}

/** Holds back whatever `method` of the store is asked about keys that hold `part`. */
function hold(world: World, method: 'copy' | 'get' | 'delete', part: string) {
  const store = world.disk.memoryStore;
  const real = store[method].bind(store) as (...args: unknown[]) => Promise<never>;
  let open: () => void = () => undefined;
  const gate = new Promise<void>((resolve) => {
    open = resolve;
  });
  const keys: string[] = [];
  const held = async (key: string, ...rest: unknown[]) => {
    if (key.includes(part)) {
      keys.push(key);
      await gate;
    }
    return real(key, ...rest);
  };
  store[method] = held as never;
  return { keys, open };
}

test('a small restore completes by events alone: no tick passes between its call and its end', async () => {
  const world = await World.withRows(5);
  await world.create();
  const startedMs = world.disk.clock.nowMs();
  const jobId = await world.restore();
  await until(() => isTidy(world, jobId), 'completed and tidied');
  assert.deepEqual(
    [world.service.restoreState(jobId).state, world.disk.clock.nowMs()],
    ['completed', startedMs],
  );
  assert.deepEqual(await world.content(target), await world.content(source));
  await world.stop();
});

test('an empty snapshot completes without tasks', async () => {
  const world = await World.withRows(0);
  await world.create();
  const tasks = follow(world, copyTasks);
  const jobs = follow<CopyJob>(world, copyJobs);
  const info = await world.ended(await world.restore());
  assert.deepEqual(
    [info.state, info.progress, info.totalSegments, info.totalRows, tasks],
    ['completed', 100, 0, 0, []],
  );
  assert.deepEqual(
    jobs.map(([, is]) => is?.state),
    ['pending', 'completed', 'completed'],
  );
  assert.deepEqual(await world.content(target), []);
  await world.assertClean();
  await world.stop();
});

test('R10: target segments and tasks are all there before the job executes, whichever commit between them was the last of a process', async () => {
  const expected = { segments: 0, tasks: 0 };
  for (const effect of ['before', 'after'] as const)
    for (let at = 1, hit = true; hit; at++) {
      let world = await World.withRows(260, { maxSegmentsPerCopyTask: 1 });
      await world.create();
      await world.loseNode();
      world.disk.plan({ at, kind: 'crash', effect, only: 'kv' });
      const before = world.disk.commits;
      await world.restore().catch(() => undefined);
      await settle(60);
      hit = world.disk.hit;
      if (!hit) assert.ok(world.disk.commits - before >= 5, 'the preparation is many commits');
      world = await restartWithoutNode(world);
      await settle(60);
      const [job] = world.catalog.all(copyJobs);
      if (job !== undefined) {
        assert.equal(job.state, 'executing');
        const found = world.catalog.find(segments, 'collection', job.collectionId);
        const tasks = world.catalog.find(copyTasks, 'job', job.jobId);
        assert.deepEqual(
          found.map(({ segmentId }) => segmentId).toSorted(),
          Array.from({ length: 260 }, (_, n) => idAt(job.firstSegmentId, n)).toSorted(),
        );
        assert.deepEqual(
          tasks.map(({ taskId, range, attempt }) => [taskId, range.firstSegment, attempt]).toSorted(byFirst),
          Array.from({ length: 260 }, (_, n) => [idAt(job.firstTaskId, n), n, 0]).toSorted(byFirst),
        );
        expected.segments += found.length;
        expected.tasks += tasks.length;
      }
      await world.stop();
    }
  assert.ok(expected.segments > 0 && expected.segments === expected.tasks);
});

test('W6: a job of more tasks than are written ahead goes on where its tasks end, whichever commit was the last of a process, and has each task once', async () => {
  let cuts = 0;
  for (const at of [12, 45, 90, 180]) {
    const limits = { maxSegmentsPerCopyTask: 1 };
    let world = await World.withRows(400, limits);
    await world.create();
    const before = await world.content(source);
    world.disk.plan({ at, kind: 'crash', effect: at % 4 === 0 ? 'before' : 'after', only: 'kv' });
    await world.restore();
    await until(() => world.disk.hit, 'cut off').catch(() => undefined);
    cuts += world.disk.hit ? 1 : 0;
    world = await world.restart(limits);
    const [job] = world.catalog.all(copyJobs);
    const written = job === undefined ? [] : world.catalog.find(copyTasks, 'job', job.jobId);
    const made = follow<CopyTask>(world, copyTasks);
    assert.ok(job !== undefined);
    assert.equal((await world.ended(job.jobId)).state, 'completed');
    const ids = [
      ...written.map(({ taskId }) => taskId),
      ...made.flatMap(([was, is]) => (was === undefined && is !== undefined ? [is.taskId] : [])),
    ];
    if (written.length > 0) assert.deepEqual([ids.length, new Set(ids).size], [400, 400]);
    assert.deepEqual(await world.content(target), before);
    await world.assertClean();
    await world.stop();
  }
  assert.ok(cuts >= 3, `${cuts} cuts`);
});

const byFirst = (a: readonly unknown[], b: readonly unknown[]): number =>
  (a[0] as TaskId) < (b[0] as TaskId) ? -1 : 1;

/** The same disk under a coordinator that has no data node yet. */
async function restartWithoutNode(world: World): Promise<World> {
  const restarted = await world.restart({ maxSegmentsPerCopyTask: 1 });
  restarted.cluster.leave(restarted.node.nodeId);
  return restarted;
}

test('progress is written only when it changed, and an executing job that does not move writes nothing at all', async () => {
  const world = await World.withRows(9);
  await world.create();
  const jobs = follow<CopyJob>(world, copyJobs);
  const held = hold(world, 'copy', 'stats');
  const jobId = await world.restore();
  await until(() => held.keys.length > 0, 'copying');
  await world.disk.clock.advance(5000);
  const { commits } = world.disk;
  await world.disk.clock.advance(600_000);
  assert.equal(jobOf(world, jobId).state, 'executing');
  assert.equal(world.disk.commits, commits);
  held.open();
  await world.ended(jobId);
  const shown = jobs.flatMap(([was, is]) =>
    was?.state === 'executing' && is?.state === 'executing' ? [[was.progress, is.progress] as const] : [],
  );
  assert.ok(shown.length > 0 && shown.every(([was, is]) => is > was), JSON.stringify(shown));
  await world.stop();
});

test('one commit completes a job: state, time of completion and pin together, and no target segment is written by it', async () => {
  const world = await World.withRows(5);
  await world.create();
  const ends: (readonly Change[])[] = [];
  world.catalog.onChange((changes) => {
    if (changes.some(({ is }) => (is as { state?: string } | undefined)?.state === 'completed'))
      ends.push(changes.filter(({ table }) => table !== copyTasks));
  });
  const jobId = await world.restore();
  await world.ended(jobId);
  const end = ends.find((changes) => changes.some(({ table }) => table === copyJobs));
  const job = end?.find(({ table }) => table === copyJobs)?.is as CopyJob;
  assert.equal('endedAtMs' in job && job.endedAtMs, world.service.restoreState(jobId).startedAtMs);
  assert.deepEqual(end?.map(({ table, is }) => [table.name, is === undefined]).toSorted(), [
    ['copy-job', false],
    ['pin', true],
  ]);
  assert.equal(world.service.restoreState(jobId).totalRows, 50);
  await world.stop();
});

test('a failed task fails the whole job with the reason of the task, and no open task is left', async () => {
  const world = await World.withRows(6, { maxSegmentsPerCopyTask: 1 });
  await world.create();
  const [first] = world.catalog.find(segments, 'collection', world.find(source).collectionId);
  const key = first!.files[1]!.key;
  await world.disk.memoryStore.delete(key);
  const held = hold(world, 'copy', 'rows');
  const tasks = follow<CopyTask>(world, copyTasks);
  const jobId = await world.restore();
  await until(() => held.keys.length > 0, 'copying');
  assert.equal(jobOf(world, jobId).state, 'executing');
  held.open();
  const info = await world.ended(jobId);
  const failed = tasks.flatMap(([, is]) => (is?.state === 'failed' ? [is.reason] : []));
  assert.deepEqual([info.state, failed.length], ['failed', 1]);
  assert.equal(info.reason, failed[0]);
  assert.ok(info.reason.includes(key), info.reason);
  assert.equal(world.catalog.count(copyTasks), 0);
  assert.equal(world.catalog.count(pins), 0);
  await world.stop();
});

test('the commit that fails a job frees the name and the pin: the same restore begins again at once', async () => {
  const world = await World.withRows(2);
  await world.create();
  const held = hold(world, 'copy', 'rows');
  const failed = await world.restore();
  await until(() => held.keys.length > 0, 'copying');
  const cancelled = world.service.cancelRestore(failed);
  await until(() => jobOf(world, failed).state === 'failed', 'failed');
  assert.equal(isTidy(world, failed), false);
  assert.deepEqual([world.has(target), world.catalog.count(pins)], [false, 0]);
  const again = await world.restore();
  held.open();
  await cancelled;
  assert.equal((await world.ended(again)).state, 'completed');
  assert.deepEqual(await world.content(target), await world.content(source));
  await world.assertClean();
  await world.stop();
});

test('an error that passes costs an attempt and never the job: the task is tried again, and only that task', async () => {
  const world = await World.withRows(4, { maxSegmentsPerCopyTask: 1 });
  await world.create();
  const { memoryStore } = world.disk;
  const copy = memoryStore.copy.bind(memoryStore);
  let failures = 0;
  memoryStore.copy = (...args) => {
    if (args[0].includes('rows') && failures < 3) {
      failures++;
      return Promise.reject(new DbError('storage-failed', 'the network is away'));
    }
    return copy(...args);
  };
  const tasks = follow<CopyTask>(world, copyTasks);
  const info = await world.ended(await world.restore());
  const attempts = tasks.filter(([, is]) => is?.state === 'in-progress').length;
  assert.deepEqual([info.state, failures, attempts], ['completed', 3, 4 + failures]);
  assert.deepEqual(await world.content(target), await world.content(source));
  await world.assertClean();
  await world.stop();
});

test('a job whose snapshot cannot be read for long waits alone: others complete meanwhile', async () => {
  let world = await World.withRows(2);
  await world.create('a');
  await world.create('b');
  const [first] = world.catalog.find(snapshots, 'state', 'committed');
  assert.equal(first?.name, 'a');
  // Nothing is prepared when the process ends, so that the next one has to read the snapshot again.
  const commit = world.catalog.commit.bind(world.catalog);
  world.catalog.commit = (changes) =>
    changes.some(({ is }) => (is as CopyJob | undefined)?.state === 'executing')
      ? Promise.reject(new DbError('service-unavailable', 'the process ends'))
      : commit(changes);
  const stuck = await world.restore('a', to('x'));
  await world.stop();
  assert.equal(jobOf(world, stuck).state, 'pending');
  const held = hold(world, 'get', first.metadataKey);
  world = await World.open(world.disk);
  await until(() => held.keys.length > 0, 'reading');
  const other = await world.restore('b', to('y'));
  await until(() => isTidy(world, other), 'the other completed');
  assert.equal(jobOf(world, stuck).state, 'pending');
  held.open();
  assert.equal((await world.ended(stuck)).state, 'completed');
  await world.stop();
});

test('a commit that lost a race is decided again at once, not at the next tick', async () => {
  const world = await World.withRows(1);
  await world.create();
  const [first] = world.catalog.find(segments, 'collection', world.find(source).collectionId);
  await world.disk.memoryStore.delete(first!.files[0]!.key);
  const commit = world.catalog.commit.bind(world.catalog);
  const outcomes: string[] = [];
  world.catalog.commit = async (changes) => {
    const ends = changes.some(
      ({ table, is }) => table === copyJobs && (is as CopyJob | undefined)?.state === 'failed',
    );
    if (ends && outcomes.length === 0) {
      const was = world.find(target);
      outcomes.push(await commit([put(collections, { ...was, name: 'renamed' }, was)]));
    }
    const outcome = await commit(changes);
    if (ends) outcomes.push(outcome);
    return outcome;
  };
  const jobId = await world.restore();
  await until(() => isTidy(world, jobId), 'failed and cleared');
  assert.deepEqual(outcomes.slice(0, 3), ['committed', 'stale', 'committed']);
  assert.equal(world.service.restoreState(jobId).startedAtMs, world.disk.clock.nowMs());
  assert.deepEqual([world.has(target), world.has(to('renamed'))], [false, false]);
  await world.stop();
});

test('an ended job is listed for its retention, counted from its end; then its record goes, and its target stays', async () => {
  const world = await World.withRows(1, { jobRetentionMs: 60_000 });
  await world.create();
  const jobId = await world.restore();
  await world.ended(jobId);
  const { endedAtMs } = jobOf(world, jobId) as CopyJob & { readonly state: 'completed' };
  await world.disk.clock.advance(endedAtMs + 59_999 - world.disk.clock.nowMs());
  assert.equal(jobOf(world, jobId).state, 'completed');
  await world.disk.clock.advance(2001);
  assert.deepEqual([world.catalog.count(copyJobs), world.catalog.count(copyTasks)], [0, 0]);
  assert.throws(
    () => world.service.restoreState(jobId),
    (e) => isDbError(e, 'job-not-found'),
  );
  assert.deepEqual(await world.content(target), await world.content(source));
  await world.stop();
});

test('the snapshot is read once for a job, not once for each of its tasks', async () => {
  const reads = async (maxSegmentsPerCopyTask: number): Promise<number> => {
    const world = await World.withRows(24, { maxSegmentsPerCopyTask });
    await world.create();
    let count = 0;
    const { memoryStore } = world.disk;
    for (const method of ['get', 'getRange'] as const) {
      const real = memoryStore[method].bind(memoryStore) as (...args: unknown[]) => Promise<never>;
      memoryStore[method] = ((key: string, ...rest: unknown[]) => {
        if (key.startsWith('snapshots/')) count++;
        return real(key, ...rest);
      }) as never;
    }
    const info = await world.ended(await world.restore());
    assert.equal(info.state, 'completed');
    await world.stop();
    return count;
  };
  const [oneTask, manyTasks] = [await reads(24), await reads(1)];
  assert.ok(oneTask > 0 && oneTask <= 4, `${oneTask} reads`);
  assert.equal(manyTasks, oneTask);
});

/** Counts what is looked at from now on: records of other jobs, and records of tasks. */
function countLooks(world: World, jobId: JobId) {
  const looks = { jobs: 0, tasks: 0 };
  const { catalog } = world;
  const get = catalog.get.bind(catalog) as (...args: unknown[]) => unknown;
  const find = catalog.find.bind(catalog) as (...args: unknown[]) => readonly unknown[];
  catalog.get = ((table: unknown, id: unknown) => {
    if (table === copyJobs && id !== jobId) looks.jobs++;
    if (table === copyTasks) looks.tasks++;
    return get(table, id);
  }) as never;
  catalog.find = ((table: unknown, ...rest: unknown[]) => {
    const found = find(table, ...rest);
    if (table === copyTasks) looks.tasks += found.length;
    return found;
  }) as never;
  return looks;
}

test('a pass costs what changed: when a task reports, no finished job and no waiting task is looked at', async () => {
  const looksPerTask = async (segmentCount: number): Promise<number> => {
    const world = await World.withRows(segmentCount, { maxSegmentsPerCopyTask: 1 });
    await world.create();
    for (let i = 0; i < 5; i++) await world.ended(await world.restore('snap', to(`done${i}`)));
    await world.loseNode();
    const jobId = await world.restore();
    await until(() => jobOf(world, jobId).state === 'executing', 'executing');
    await settle();
    const looks = countLooks(world, jobId);
    world.cluster.join(world.node);
    await until(() => jobOf(world, jobId).state === 'completed', 'completed');
    assert.equal(looks.jobs, 0);
    await world.stop();
    return looks.tasks / segmentCount;
  };
  const [few, many] = [await looksPerTask(20), await looksPerTask(200)];
  assert.ok(many <= few * 1.5 && many < 50, `${few} looks for each of 20 tasks, ${many} for each of 200`);
});

test('tasks that wait cost nothing: neither a tick nor a progress report looks at them', async () => {
  const world = await World.withRows(60, { maxSegmentsPerCopyTask: 1 });
  await world.create();
  const held = hold(world, 'copy', 'stats');
  const jobId = await world.restore();
  await until(() => held.keys.length >= 4, 'copying');
  await world.disk.clock.advance(10_000);
  const looks = countLooks(world, jobId);
  await world.disk.clock.advance(60_000);
  const atWork = world.node.slots;
  assert.ok(
    looks.tasks <= 60 * atWork,
    `${looks.tasks} looks at tasks in a minute in which nothing happened`,
  );
  held.open();
  await world.ended(jobId);
  await world.stop();
});

test('close: what is under way ends, nothing goes on afterwards, and the next process finishes it', async () => {
  let world = await World.withRows(6);
  await world.create();
  const jobId = await world.restore();
  await settle(2);
  await world.stop();
  const { commits } = world.disk;
  await world.disk.clock.advance(60_000);
  assert.equal(world.disk.commits, commits);
  world = await World.open(world.disk);
  assert.equal((await world.ended(jobId)).state, 'completed');
  await world.assertClean();
  await world.stop();
});
