/** Create, drop, restore and cancel, cut off before and after every single write: afterwards the whole or nothing, the name free, no residue. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { copyJobs } from '../../src/coordinator/copy-segment/job.ts';
import { isDbError } from '../../src/errors/db-error.ts';
import { Disk, type Fault } from './disk.ts';
import { settle } from './manual-clock.ts';
import { source, target, World } from './world.ts';

const flavours: readonly Pick<Fault, 'kind' | 'effect'>[] = [
  { kind: 'crash', effect: 'before' },
  { kind: 'crash', effect: 'after' },
];

/** Runs `act` with the fault at the first, second, third … call until it does not strike any more. */
async function everyFault(
  flavour: Pick<Fault, 'kind' | 'effect'> & Partial<Fault>,
  act: (fault: Fault) => Promise<boolean>,
): Promise<number> {
  for (let at = 1; at < 400; at++) if (!(await act({ ...flavour, at }))) return at - 1;
  throw new Error('the fault strikes for ever');
}

async function prepared(segmentCount: number, withSnapshot: boolean): Promise<World> {
  const world = await World.withRows(segmentCount);
  if (withSnapshot) await world.create();
  await settle();
  return world;
}

for (const flavour of flavours) {
  const name = `${flavour.kind} ${flavour.effect}`;

  test(`${name} any write of a create leaves the whole snapshot or none`, async () => {
    const faults = await everyFault(flavour, async (fault) => {
      let world = await prepared(3, false);
      const before = await world.content(source);
      world.disk.plan(fault);
      const created = await world.create().then(
        () => true,
        () => false,
      );
      const { hit } = world.disk;
      world = await world.restart();
      const listed = world.service.listSnapshots(source);
      if (created) assert.deepEqual(listed, ['snap']);
      await settle();
      await world.assertClean();
      if (listed.length === 0) await world.create();
      await world.ended(await world.restore());
      assert.deepEqual(await world.content(target), before);
      await world.assertClean();
      await world.stop();
      return hit;
    });
    assert.ok(faults >= 4, `${faults} calls`);
  });

  test(`${name} any write of a drop leaves the snapshot usable or gone`, async () => {
    const faults = await everyFault(flavour, async (fault) => {
      let world = await prepared(3, true);
      world.disk.plan(fault);
      await world.service.dropSnapshot(source, 'snap').catch(() => undefined);
      const { hit } = world.disk;
      world = await world.restart();
      await settle();
      await world.assertClean();
      if (world.service.listSnapshots(source).length > 0) await world.ended(await world.restore());
      else await world.create();
      await world.service.dropSnapshot(source, 'snap');
      assert.deepEqual(await world.disk.keys('snapshots/'), []);
      await world.assertClean();
      await world.stop();
      return hit;
    });
    assert.ok(faults >= 4, `${faults} calls`);
  });

  test(`R05, R10, R30: ${name} any write of a restore: it ends completed and whole, or was never begun`, async () => {
    const faults = await everyFault(flavour, async (fault) => {
      let world = await prepared(5, true);
      const before = await world.content(source);
      world.disk.plan(fault);
      const jobId = await world.restore().catch(() => undefined);
      if (jobId !== undefined) await world.ended(jobId).catch(() => undefined);
      const { hit } = world.disk;
      world = await world.restart();
      if (jobId !== undefined) assert.ok(world.catalog.get(copyJobs, jobId), 'an answered job is durable');
      const [job] = world.catalog.all(copyJobs);
      assert.equal(world.has(target), job !== undefined);
      if (job !== undefined && job.state !== 'completed') {
        const at = { at: target, name: 'x', description: '', compactionProtectionSeconds: 0 };
        const [visible, refused] = [world.content(target), world.service.createSnapshot(at)];
        await assert.rejects(refused, (e) => isDbError(e, 'collection-on-recovering'));
        assert.deepEqual(await visible, []);
      }
      const info = await world.ended(job?.jobId ?? (await world.restore()));
      assert.equal(info.state, 'completed');
      assert.deepEqual(await world.content(target), before);
      await world.assertClean();
      await world.stop();
      return hit;
    });
    assert.ok(faults >= 20, `${faults} calls`);
  });

  test(`${name} any write of a restore of one partition leaves all of that partition, and nothing of others, or no target`, async () => {
    const faults = await everyFault(flavour, async (fault) => {
      let world = await prepared(5, true);
      const expected = (await world.content(source)).filter((line) => line.startsWith('old '));
      const start = () =>
        world.service.restoreSnapshot({
          source,
          name: 'snap',
          target,
          partitions: ['old'],
          mode: 'physical',
        });
      world.disk.plan(fault);
      const jobId = await start().catch(() => undefined);
      if (jobId !== undefined) await world.ended(jobId).catch(() => undefined);
      const { hit } = world.disk;
      world = await world.restart();
      const [job] = world.catalog.all(copyJobs);
      assert.equal(world.has(target), job !== undefined);
      const info = await world.ended(job?.jobId ?? (await start()));
      assert.deepEqual([info.state, info.totalSegments], ['completed', 2]);
      assert.deepEqual(await world.content(target), expected);
      await world.assertClean();
      await world.stop();
      return hit;
    });
    assert.ok(faults >= 20, `${faults} calls`);
  });

  test(`${name} any write of a cancel leaves nothing of the target, and its name is free`, async () => {
    const faults = await everyFault(flavour, async (fault) => {
      let world = await prepared(5, true);
      const jobId = await world.restore();
      world.disk.plan(fault);
      await world.service.cancelRestore(jobId).catch(() => undefined);
      const { hit } = world.disk;
      world = await world.restart();
      const info = await world.ended(jobId);
      if (info.state === 'failed') {
        assert.equal(world.has(target), false);
        await world.assertClean();
        await world.ended(await world.restore());
      }
      assert.equal((await world.content(target)).length, 5);
      await world.assertClean();
      await world.stop();
      return hit;
    });
    assert.ok(faults >= 4, `${faults} calls`);
  });
}

test('R10: a crash between the commits that write targets and tasks, of more than one commit can hold', async () => {
  for (const flavour of flavours) {
    const faults = await everyFault({ ...flavour, only: 'kv' }, async (fault) => {
      let world = await prepared(150, true);
      world.disk.plan(fault);
      const jobId = await world.restore().catch(() => undefined);
      if (jobId !== undefined) await world.ended(jobId).catch(() => undefined);
      const { hit } = world.disk;
      world = await world.restart({ maxSegmentsPerCopyTask: 3 });
      const [job] = world.catalog.all(copyJobs);
      const info = await world.ended(job?.jobId ?? (await world.restore()));
      assert.deepEqual([info.state, info.totalSegments], ['completed', 150]);
      assert.deepEqual(await world.content(target), await world.content(source));
      await world.assertClean();
      await world.stop();
      // The first dozen commits are those in question; what follows is covered above.
      return hit && fault.at < 12;
    });
    assert.equal(faults, 11);
  }
});

for (const effect of ['before', 'after'] as const)
  test(`a store that fails once (${effect} the effect) at any call fails a create cleanly and not a restore`, async () => {
    await everyFault({ kind: 'fail', effect, only: 'store' }, async (fault) => {
      const world = await prepared(3, false);
      world.disk.plan(fault);
      const created = await world.create().catch(() => undefined);
      const { hit } = world.disk;
      assert.equal(created === undefined, hit);
      assert.equal(world.service.listSnapshots(source).length, hit ? 0 : 1);
      world.disk.plan(undefined);
      await world.service.collector.pass();
      await world.assertClean();
      await world.stop();
      return hit;
    });
    await everyFault({ kind: 'fail', effect, only: 'store' }, async (fault) => {
      const world = await prepared(3, true);
      world.disk.plan(fault);
      const jobId = await world.restore().catch(() => undefined);
      if (jobId === undefined) assert.equal(world.has(target), false);
      const info = await world.ended(jobId ?? (await world.restore()));
      assert.equal(info.state, 'completed');
      assert.deepEqual(await world.content(target), await world.content(source));
      await world.assertClean();
      await world.stop();
      return world.disk.hit;
    });
  });

test('a catalog commit whose outcome is unknown leaves the same after the restart', async () => {
  for (const effect of ['before', 'after'] as const)
    await everyFault({ kind: 'fail', effect, only: 'kv' }, async (fault) => {
      let world = await prepared(2, false);
      world.disk.plan(fault);
      await world.create().catch(() => undefined);
      const { hit } = world.disk;
      world = await world.restart();
      await settle();
      await world.assertClean();
      if (world.service.listSnapshots(source).length === 0) await world.create();
      await world.stop();
      return hit;
    });
});

test('faults of the test are real: a disk that lost its data is noticed', async () => {
  const world = await World.open(new Disk());
  await world.addCollection(source.name, 1);
  const [key] = await world.disk.keys('segments/');
  await world.disk.memoryStore.delete(key!);
  await assert.rejects(world.assertClean());
  await world.stop();
});
