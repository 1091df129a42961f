/** Failures of other systems, as `docs/track-record.md` lists them, in the coordinator's heart. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { copyJobs } from '../../src/coordinator/copy-segment/job.ts';
import { copyTasks } from '../../src/coordinator/copy-segment/task.ts';
import { isDbError } from '../../src/errors/db-error.ts';
import type { JobId } from '../../src/model/ids.ts';
import { settle, until } from './manual-clock.ts';
import { source, target, World } from './world.ts';

test('R15: a catalog that stalls for a minute inside a restore call leaves no orphan: the job goes on, and a second call is refused at once', async () => {
  for (let at = 1; at <= 3; at++) {
    const world = await World.withRows(3);
    await world.create();
    const { memoryKv } = world.disk;
    const commit = memoryKv.commit.bind(memoryKv);
    let letGo: () => void = () => undefined;
    const stalled = new Promise<void>((resolve) => {
      letGo = resolve;
    });
    let commits = 0;
    memoryKv.commit = async (...of) => {
      if (++commits === at) await stalled;
      return commit(...of);
    };
    const call = world.restore();
    await until(() => commits >= at, 'the commit that stalls');
    await world.disk.clock.advance(60_000);
    letGo();
    const jobId = await call;
    await assert.rejects(world.restore(), (e) => isDbError(e, 'collection-duplicate'));
    assert.equal((await world.ended(jobId)).state, 'completed');
    assert.deepEqual(await world.content(target), await world.content(source));
    assert.equal(world.catalog.count(copyJobs), 1);
    await world.assertClean();
    await world.stop();
  }
});

test('R20: whoever asked for a restore may go: the job goes on, and the call made again is told so instead of beginning another', async () => {
  const world = await World.withRows(3);
  await world.create();
  // The answer is lost: nobody awaits it.
  const lost = world.restore();
  lost.catch(() => undefined);
  await until(() => world.catalog.count(copyJobs) === 1, 'the job');
  await assert.rejects(world.restore(), (e) => isDbError(e, 'collection-duplicate'));
  const [job] = world.service.listRestoreJobs('', target.name);
  assert.equal((await world.ended(job?.jobId ?? (0n as JobId))).state, 'completed');
  assert.equal(world.catalog.count(copyJobs), 1);
  await world.assertClean();
  await world.stop();
});

test('R22: a restore cut off at 10, 50 and 90 % copies after the restart no more than what was left and what was under way', async () => {
  const SEGMENTS = 20;
  const FILES_OF_SEGMENT = 4;
  for (const percent of [10, 50, 90]) {
    let world = await World.withRows(SEGMENTS, { maxSegmentsPerCopyTask: 1 });
    await world.create();
    const { memoryStore } = world.disk;
    const copy = memoryStore.copy.bind(memoryStore);
    let written = 0;
    memoryStore.copy = async (...of) => {
      const result = await copy(...of);
      if (result.method !== 'present') written++;
      return result;
    };
    let kept = 0;
    world.catalog.onChange(() => {
      const done = [...world.catalog.all(copyTasks)].filter(({ state }) => state === 'completed').length;
      if (kept > 0 || done < (SEGMENTS * percent) / 100) return;
      kept = done;
      world.disk.plan({ at: 1, kind: 'crash', effect: 'before' });
    });
    const jobId = await world.restore();
    await until(() => world.disk.isDead, `${percent} %`);
    world = await world.restart();
    written = 0;
    assert.equal((await world.ended(jobId)).state, 'completed');
    assert.deepEqual(await world.content(target), await world.content(source));
    const left = (SEGMENTS - kept) * FILES_OF_SEGMENT;
    assert.ok(
      written <= left,
      `${written} files written after the restart, ${left} were not known to be there`,
    );
    await world.assertClean();
    await world.stop();
  }
});

test('R23: a cancel after each single commit of a restore leaves nothing, and the name is free', async () => {
  let isOver = false;
  let cancelled = 0;
  for (let at = 1; !isOver; at++) {
    const world = await World.withRows(4, { maxSegmentsPerCopyTask: 1 });
    await world.create();
    let commits = 0;
    let cancelling: Promise<boolean> | undefined;
    world.catalog.onChange(() => {
      const [job] = world.catalog.all(copyJobs);
      if (job === undefined || ++commits !== at) return;
      cancelling = world.service.cancelRestore(job.jobId);
    });
    const info = await world.ended(await world.restore());
    isOver = cancelling === undefined;
    if ((await cancelling) === true) {
      cancelled++;
      assert.deepEqual([info.state, info.reason], ['failed', 'cancelled']);
      assert.equal(world.has(target), false);
      await settle();
      await world.assertClean();
      assert.equal((await world.ended(await world.restore())).state, 'completed');
    } else assert.equal(info.state, 'completed');
    assert.deepEqual(await world.content(target), await world.content(source));
    await world.assertClean();
    await world.stop();
  }
  assert.ok(cancelled >= 6, `${cancelled} moments`);
});
