/** In-place restores and drills over memory adapters: exact, of one piece at every commit, and gone when they are to go, whatever crashes or races. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CollectionName, RestoreJobInfo } from '../../src/coordinator/api.ts';
import { copyJobs } from '../../src/coordinator/copy-segment/job.ts';
import { snapshots } from '../../src/coordinator/snapshot/record.ts';
import { collections, partitions, segments } from '../../src/coordinator/tables.ts';
import { DbError, isDbError } from '../../src/errors/db-error.ts';
import type { JobId } from '../../src/model/ids.ts';
import type { Fault } from './disk.ts';
import { settle } from './manual-clock.ts';
import { source, target, World } from './world.ts';

const HOUR = 3_600_000;
const snap = { at: source, name: 'snap' };
const keptOf = (jobId: JobId): CollectionName => ({ database: '', name: `words_before_${jobId}` });

/** A snapshot of three segments, then a fourth that is in the collection only. */
async function prepared() {
  const world = await World.withRows(3);
  await world.create();
  const then = await world.content(source);
  const [partition] = world.catalog.find(partitions, 'collection', world.find(source).collectionId);
  await world.addSegment(world.find(source), partition!.partitionId, 'later');
  const now = await world.content(source);
  assert.notDeepEqual(then, now);
  await settle();
  return { world, then, now };
}

const purposeOf = (info: RestoreJobInfo) => {
  assert.ok(info.purpose !== undefined);
  return info.purpose;
};
const stageOf = (world: World, jobId: JobId) => purposeOf(world.service.restoreState(jobId)).stage;

/** Names of all collections. */
const names = (world: World) => [...world.catalog.all(collections)].map(({ name }) => name).sort();

async function refuses(call: Promise<unknown>, words: RegExp, code = 'parameter-invalid'): Promise<void> {
  await assert.rejects(call, (error) => {
    assert.ok(isDbError(error) && error.code === code, `${error}`);
    assert.match(error.message, words);
    return true;
  });
}

/** Holds back every copy until `open` is called. */
function holdCopies(world: World): () => void {
  const { memoryStore } = world.disk;
  const copy = memoryStore.copy.bind(memoryStore);
  let open: () => void = () => undefined;
  const gate = new Promise<void>((resolve) => {
    open = resolve;
  });
  memoryStore.copy = async (...args) => {
    await gate;
    return copy(...args);
  };
  return open;
}

test('an in-place restore gives the name to exactly the rows of the snapshot, in one commit, and keeps the old collection', async () => {
  const { world, then, now } = await prepared();
  const old = world.find(source).collectionId;
  const seen = new Set<bigint>();
  world.catalog.onChange(() => {
    const { collectionId } = world.find(source);
    seen.add(collectionId);
    const visible = world.catalog
      .find(segments, 'collection', collectionId)
      .filter((s) => s.restoreJobId === undefined || world.service.gate.isCompleted(s.restoreJobId));
    // The old one whole, or the restored one whole.
    assert.equal(visible.length, collectionId === old ? 4 : 3);
  });
  const jobId = await world.service.restoreInPlace(snap);
  const info = await world.ended(jobId);
  assert.deepEqual([info.state, info.progress, info.collectionName], ['completed', 100, 'words']);
  const kept = keptOf(jobId);
  assert.deepEqual(info.purpose, {
    kind: 'in-place',
    stage: 'swapped',
    name: 'words',
    keptName: kept.name,
    keptSnapshots: 1,
  });
  assert.deepEqual(await world.content(source), then);
  assert.deepEqual(await world.content(kept), now);
  assert.equal(world.find(kept).collectionId, old);
  assert.equal(seen.size, 2);
  assert.deepEqual(world.service.listSnapshots(kept), ['snap']);
  assert.deepEqual(world.service.listSnapshots(source), []);
  await world.assertClean();
  await world.stop();
});

test('confirm drops the old collection with its unpinned snapshots, and may be repeated', async () => {
  const { world, then } = await prepared();
  const jobId = await world.service.restoreInPlace(snap);
  await world.ended(jobId);
  await world.service.settleSwap(jobId, 'confirm');
  await world.service.settleSwap(jobId, 'confirm');
  assert.equal(stageOf(world, jobId), 'confirmed');
  assert.deepEqual(names(world), ['words']);
  assert.equal(world.catalog.count(snapshots), 0);
  assert.deepEqual(await world.content(source), then);
  await refuses(
    world.service.settleSwap(jobId, 'revert'),
    /cannot be reverted: its old collection was given up/,
  );
  await world.disk.clock.jump(4 * HOUR);
  await world.service.collector.pass();
  await world.assertClean();
  await refuses(world.service.settleSwap(jobId, 'confirm'), /not found/, 'job-not-found');
  await world.stop();
});

test('revert gives the old collection its name back, drops the restored one, and may be repeated', async () => {
  const { world, now } = await prepared();
  const jobId = await world.service.restoreInPlace(snap);
  await world.ended(jobId);
  const { collectionId } = world.find(source);
  await world.service.settleSwap(jobId, 'revert');
  await world.service.settleSwap(jobId, 'revert');
  assert.equal(stageOf(world, jobId), 'reverted');
  assert.deepEqual(names(world), ['words']);
  assert.deepEqual(await world.content(source), now);
  assert.deepEqual(world.service.listSnapshots(source), ['snap']);
  assert.equal(world.catalog.get(collections, collectionId), undefined);
  await refuses(world.service.settleSwap(jobId, 'confirm'), /cannot be confirmed: .* has its name back/);
  await world.disk.clock.jump(HOUR);
  const again = await world.service.restoreInPlace(snap);
  assert.equal((await world.ended(again)).state, 'completed');
  await world.disk.clock.jump(4 * HOUR);
  await world.service.collector.pass();
  await world.assertClean();
  await world.stop();
});

test('a swap that nobody has settled is not forgotten; one whose old collection was dropped is settled', async () => {
  const { world } = await prepared();
  const jobId = await world.service.restoreInPlace(snap);
  await world.ended(jobId);
  await world.disk.clock.jump(100 * HOUR);
  assert.equal(stageOf(world, jobId), 'swapped');
  await world.dropCollection(keptOf(jobId));
  await world.disk.clock.jump(10_000);
  assert.throws(
    () => world.service.restoreState(jobId),
    (e) => isDbError(e, 'job-not-found'),
  );
  await world.stop();
});

test('an old collection that was renamed meanwhile is its owner’s: confirm leaves it', async () => {
  const { world, now } = await prepared();
  const jobId = await world.service.restoreInPlace(snap);
  await world.ended(jobId);
  await world.renameCollection(keptOf(jobId), 'mine');
  await world.service.settleSwap(jobId, 'confirm');
  assert.deepEqual(names(world), ['mine', 'words']);
  assert.deepEqual(await world.content({ database: '', name: 'mine' }), now);
  await world.stop();
});

test('revert with another collection under the name is refused; without one the old collection takes it', async () => {
  const { world, now } = await prepared();
  const jobId = await world.service.restoreInPlace(snap);
  await world.ended(jobId);
  await world.renameCollection(source, 'restored');
  await world.addCollection('words', 1);
  await refuses(world.service.settleSwap(jobId, 'revert'), /another collection is called 'words' now/);
  await world.dropCollection(source);
  await world.service.settleSwap(jobId, 'revert');
  assert.deepEqual(names(world), ['restored', 'words']);
  assert.deepEqual(await world.content(source), now);
  await world.stop();
});

test('a loaded collection is replaced by one that is loaded: first the load, then the swap', async () => {
  const { world, then } = await prepared();
  await world.setLoad(source, 'loaded');
  let tries = 0;
  world.loads.onLoad = async () => {
    assert.equal(world.find(source).load, 'loaded');
    if (++tries < 3) throw new DbError('resource-exhausted', 'no memory');
    await Promise.resolve();
  };
  const jobId = await world.service.restoreInPlace(snap);
  for (let i = 0; i < 40 && tries < 1; i++) await settle(1);
  await settle();
  const waiting = world.service.restoreState(jobId);
  assert.deepEqual([waiting.state, waiting.progress < 100], ['executing', true]);
  assert.deepEqual(
    [purposeOf(waiting).stage, (purposeOf(waiting) as { trouble?: string }).trouble],
    ['swapping', 'no memory'],
  );
  assert.equal((await world.content(source)).length, 4, 'nothing is lost');
  assert.equal((await world.ended(jobId)).state, 'completed');
  assert.equal(tries, 3);
  assert.equal(world.find(source).load, 'loaded');
  assert.deepEqual(await world.content(source), then);
  assert.equal(world.loads.isLoadedAhead(world.find(source).collectionId), true);
  await world.setLoad(keptOf(jobId), 'none');
  world.loads.onLoad = () => Promise.reject(new DbError('resource-exhausted', 'no memory'));
  await refuses(world.service.settleSwap(jobId, 'revert'), /no memory/, 'resource-exhausted');
  assert.equal(stageOf(world, jobId), 'swapped');
  world.loads.onLoad = () => Promise.resolve();
  await world.service.settleSwap(jobId, 'revert');
  assert.equal(world.find(source).load, 'loaded', 'readers of the name find it loaded');
  await world.stop();
});

test('a load that can never succeed fails the restore with its reason; one that fails for a day runs into the timeout', async () => {
  for (const [code, words] of [
    ['index-not-found', /there is no vector index/],
    ['resource-exhausted', /^timeout/],
  ] as const) {
    const { world, now } = await prepared();
    await world.setLoad(source, 'loaded');
    world.loads.onLoad = () => Promise.reject(new DbError(code, 'there is no vector index'));
    const jobId = await world.service.restoreInPlace(snap);
    await settle();
    if (code === 'resource-exhausted') await world.disk.clock.jump(25 * HOUR);
    const info = await world.ended(jobId);
    assert.equal(info.state, 'failed');
    assert.match(info.reason, words);
    assert.deepEqual(names(world), ['words']);
    assert.deepEqual(await world.content(source), now);
    await world.assertClean();
    await world.stop();
  }
});

test('a collection that is released or loaded while its restore is about to swap is replaced as it is then', async () => {
  for (const [first, then] of [
    ['loaded', 'none'],
    ['none', 'loaded'],
  ] as const) {
    const { world } = await prepared();
    await world.setLoad(source, first);
    const open = holdCopies(world);
    world.loads.onLoad = () => (first === 'loaded' ? world.setLoad(source, then) : Promise.resolve());
    const jobId = await world.service.restoreInPlace(snap);
    if (first === 'none') await world.setLoad(source, then);
    open();
    await world.ended(jobId);
    const { collectionId, load } = world.find(source);
    assert.deepEqual([load, world.loads.isLoadedAhead(collectionId)], [then, then === 'loaded']);
    await world.stop();
  }
});

test('a source renamed meanwhile fails the in-place restore, and what was restored aside goes', async () => {
  const { world, now } = await prepared();
  const open = holdCopies(world);
  const jobId = await world.service.restoreInPlace(snap);
  await world.renameCollection(source, 'other');
  open();
  const info = await world.ended(jobId);
  assert.equal(info.state, 'failed');
  assert.match(info.reason, /not swapped: 'words' was renamed to 'other'/);
  assert.deepEqual(names(world), ['other']);
  assert.deepEqual(await world.content({ database: '', name: 'other' }), now);
  await refuses(world.service.settleSwap(jobId, 'revert'), /it has failed/);
  await world.assertClean();
  await world.stop();
});

test('a source dropped meanwhile leaves the name to the restored collection, unless somebody else took it', async () => {
  const free = await prepared();
  let open = holdCopies(free.world);
  let jobId = await free.world.service.restoreInPlace(snap);
  await free.world.dropCollection(source);
  open();
  assert.equal((await free.world.ended(jobId)).state, 'completed');
  assert.deepEqual(await free.world.content(source), free.then);
  assert.deepEqual([names(free.world), stageOf(free.world, jobId)], [['words'], 'confirmed']);
  await free.world.stop();

  const taken = await prepared();
  open = holdCopies(taken.world);
  jobId = await taken.world.service.restoreInPlace(snap);
  await taken.world.dropCollection(source);
  const other = await taken.world.addCollection('words', 1);
  open();
  assert.match((await taken.world.ended(jobId)).reason, /another collection has its name now/);
  assert.equal(taken.world.find(source).collectionId, other.collectionId);
  assert.deepEqual(names(taken.world), ['words']);
  await taken.world.stop();
});

test('a name that is taken is not the old collection’s: it is kept under the next one', async () => {
  const { world, now } = await prepared();
  const open = holdCopies(world);
  const jobId = await world.service.restoreInPlace(snap);
  await world.addCollection(keptOf(jobId).name, 1);
  open();
  const { purpose } = await world.ended(jobId);
  assert.equal(purpose?.kind === 'in-place' && purpose.keptName, `words_before_${jobId}_2`);
  assert.deepEqual(await world.content({ database: '', name: `words_before_${jobId}_2` }), now);
  await world.stop();
});

test('of two in-place restores of one collection one wins; a restore of the same snapshot goes on beside it', async () => {
  const { world, then } = await prepared();
  const outcomes = await Promise.allSettled([
    world.service.restoreInPlace(snap),
    world.service.restoreInPlace(snap),
    world.restore(),
    world.service.drillRestore(snap),
  ]);
  assert.deepEqual(
    outcomes
      .slice(0, 2)
      .map(({ status }) => status)
      .sort(),
    ['fulfilled', 'rejected'],
  );
  for (const { jobId } of world.service.listRestoreJobs('', ''))
    assert.equal((await world.ended(jobId)).state, 'completed');
  assert.deepEqual(await world.content(target), then);
  assert.deepEqual(await world.content(source), then);
  const [swapped] = [...world.catalog.all(copyJobs)].filter(({ purpose }) => purpose?.kind === 'in-place');
  const again = { at: keptOf(swapped!.jobId), name: 'snap' };
  await refuses(world.service.restoreInPlace(again), /confirm or revert it first/, 'collection-duplicate');
  await world.assertClean();
  await world.stop();
});

test('a cancel before the swap takes everything aside away, and so does a drop of what is restored aside', async () => {
  for (const how of ['cancel', 'drop'] as const)
    for (const start of ['restoreInPlace', 'drillRestore'] as const) {
      const { world, now } = await prepared();
      const open = holdCopies(world);
      const jobId = await world.service[start](snap);
      for (let i = 0; i < 5; i++) await settle(1);
      assert.deepEqual(names(world), ['words', `words#${jobId}`]);
      const aside = { database: '', name: `words#${jobId}` };
      const gone =
        how === 'drop' ? world.dropCollection(aside) : world.service.cancelRestore(jobId).then(assert.ok);
      open();
      await gone;
      const info = await world.ended(jobId);
      assert.deepEqual([info.state, info.collectionName], ['failed', 'words']);
      assert.deepEqual(names(world), ['words']);
      assert.deepEqual(await world.content(source), now);
      await world.assertClean();
      await world.stop();
    }
});

test('a drill restores aside, compares every segment, drops the copy and tells what it has seen', async () => {
  const { world, now } = await prepared();
  const modes = new Set<string>();
  const { memoryStore } = world.disk;
  const copy = memoryStore.copy.bind(memoryStore);
  memoryStore.copy = (from, to, options) => {
    modes.add(options.mode);
    return copy(from, to, options);
  };
  let wasVisible = false;
  world.catalog.onChange(() => {
    for (const { restoreJobId } of world.catalog.all(segments))
      if (restoreJobId !== undefined && world.service.gate.isCompleted(restoreJobId)) wasVisible = true;
  });
  const jobId = await world.service.drillRestore(snap);
  const info = await world.ended(jobId);
  assert.deepEqual([info.state, info.collectionName, info.progress], ['completed', 'words', 100]);
  assert.deepEqual(info.purpose, {
    kind: 'drill',
    stage: 'compared',
    outcome: { isSame: true, segments: 3, rows: 30, deletes: 0, differences: [] },
  });
  assert.deepEqual([[...modes], wasVisible], [['physical'], false]);
  assert.deepEqual(names(world), ['words']);
  assert.deepEqual(await world.content(source), now);
  await world.assertClean();
  await world.disk.clock.jump(4 * HOUR);
  assert.throws(
    () => world.service.restoreState(jobId),
    (e) => isDbError(e, 'job-not-found'),
  );
  await world.stop();
});

for (const part of ['rows', 'stats', 'index'])
  test(`a drill whose copy differs in its ${part} fails loudly, names what differs, and leaves nothing`, async () => {
    const { world } = await prepared();
    const { memoryStore } = world.disk;
    const copy = memoryStore.copy.bind(memoryStore);
    memoryStore.copy = async (from, to, options) => {
      const result = await copy(from, to, options);
      if (to.includes(part)) {
        const bytes = await memoryStore.get(to);
        bytes[bytes.length - 1] = 42;
        await memoryStore.delete(to);
        await memoryStore.put(to, bytes);
      }
      return result;
    };
    const jobId = await world.service.drillRestore(snap);
    const info = await world.ended(jobId);
    assert.equal(info.state, 'failed');
    assert.match(
      info.reason,
      /^the restored copy differs from the snapshot: segment \d+ and its copy .*, and 2 more$/,
    );
    const purpose = purposeOf(info);
    assert.ok(purpose.kind === 'drill' && purpose.outcome?.isSame === false);
    assert.equal(purpose.outcome.differences.length, 3);
    assert.deepEqual(names(world), ['words']);
    await world.assertClean();
    await world.stop();
  });

test('what was loaded ahead is released when the restore is cancelled before its swap', async () => {
  const { world } = await prepared();
  await world.setLoad(source, 'loaded');
  let jobId: JobId | undefined;
  let cancelled: Promise<boolean> | undefined;
  world.loads.onLoad = async (collectionId) => {
    world.loads.ahead.add(collectionId);
    cancelled ??= world.service.cancelRestore(jobId!);
    await settle();
  };
  jobId = await world.service.restoreInPlace(snap);
  assert.equal((await world.ended(jobId)).state, 'failed');
  assert.equal(await cancelled, true);
  assert.equal(world.loads.ahead.size, 0);
  assert.deepEqual(names(world), ['words']);
  await world.assertClean();
  await world.stop();
});

test('a collection dropped while its snapshot is in a drill: the drill ends, then the snapshot goes', async () => {
  const { world } = await prepared();
  const open = holdCopies(world);
  const jobId = await world.service.drillRestore(snap);
  await world.dropCollection(source);
  open();
  assert.equal((await world.ended(jobId)).state, 'completed');
  await settle();
  assert.deepEqual(names(world), []);
  assert.equal(world.catalog.count(snapshots), 0);
  await world.stop();
});

test('a drill of a damaged snapshot fails with what is damaged as its outcome', async () => {
  const { world } = await prepared();
  const [key] = await world.disk.keys(`segments/${world.find(source).collectionId}`);
  await world.disk.memoryStore.delete(key!);
  const info = await world.ended(await world.service.drillRestore(snap));
  assert.equal(info.state, 'failed');
  assert.ok(info.reason.includes(key!), info.reason);
  const differences = [info.reason];
  const outcome = { isSame: false, segments: 0, rows: 0, deletes: 0, differences };
  assert.deepEqual(info.purpose, { kind: 'drill', stage: 'compared', outcome });
  assert.deepEqual(names(world), ['words']);
  await world.stop();
});

test('a store that fails while a drill compares is asked again; one that goes on failing ends the drill', async () => {
  const cases = ['rows', 'stats', '.index'].flatMap((kind) =>
    [5, Number.POSITIVE_INFINITY].map((failures) => [kind, failures] as const),
  );
  for (const [kind, failures] of cases) {
    const { world } = await prepared();
    let left = failures;
    const { memoryStore } = world.disk;
    const get = memoryStore.get.bind(memoryStore);
    const getRange = memoryStore.getRange.bind(memoryStore);
    const fails = (key: string): boolean =>
      key.includes(kind) && !key.includes(`/${world.find(source).collectionId}/`) && left-- > 0;
    const down = () => Promise.reject(new DbError('storage-failed', 'down'));
    memoryStore.get = (key) => (fails(key) ? down() : get(key));
    memoryStore.getRange = (key, ...of) => (fails(key) ? down() : getRange(key, ...of));
    const jobId = await world.service.drillRestore(snap);
    await settle();
    assert.equal(stageOf(world, jobId), 'comparing');
    for (let i = 0; i < 40; i++) await world.disk.clock.jump(60_000);
    const info = await world.ended(jobId);
    assert.deepEqual([info.state, info.reason], failures === 5 ? ['completed', ''] : ['failed', 'down']);
    await world.assertClean();
    await world.stop();
  }
});

async function everyCommit(
  effect: Fault['effect'],
  act: (fault: Fault) => Promise<boolean>,
): Promise<number> {
  for (let at = 1; at < 100; at++) if (!(await act({ kind: 'crash', effect, only: 'kv', at }))) return at - 1;
  throw new Error('the fault strikes for ever');
}

for (const effect of ['before', 'after'] as const) {
  test(`crash ${effect} any commit of an in-place restore: the name has the old rows or the new, and in the end the new`, async () => {
    const faults = await everyCommit(effect, async (fault) => {
      const first = await prepared();
      const { then, now } = first;
      let { world } = first;
      await world.setLoad(source, 'loaded');
      world.disk.plan(fault);
      let jobId = await world.service.restoreInPlace(snap).catch(() => undefined);
      if (jobId !== undefined) await world.ended(jobId).catch(() => undefined);
      const { hit } = world.disk;
      world = await world.restart();
      const content = await world.content(source);
      assert.ok([then.length, now.length].includes(content.length));
      jobId = [...world.catalog.all(copyJobs)][0]?.jobId ?? (await world.service.restoreInPlace(snap));
      assert.equal((await world.ended(jobId)).state, 'completed');
      assert.deepEqual(await world.content(source), then);
      assert.deepEqual(await world.content(keptOf(jobId)), now);
      assert.deepEqual([world.find(source).load, stageOf(world, jobId)], ['loaded', 'swapped']);
      await world.assertClean();
      await world.stop();
      return hit;
    });
    assert.ok(faults >= 6, `${faults} commits`);
  });

  for (const decision of ['confirm', 'revert'] as const)
    test(`crash ${effect} any commit of a ${decision}: all of it or none, and it can be repeated`, async () => {
      const faults = await everyCommit(effect, async (fault) => {
        const first = await prepared();
        let { world } = first;
        const jobId = await world.service.restoreInPlace(snap);
        await world.ended(jobId);
        world.disk.plan(fault);
        await world.service.settleSwap(jobId, decision).catch(() => undefined);
        const { hit } = world.disk;
        world = await world.restart();
        const isDone = stageOf(world, jobId) !== 'swapped';
        assert.deepEqual(names(world), isDone ? ['words'] : ['words', keptOf(jobId).name]);
        await world.service.settleSwap(jobId, decision);
        assert.deepEqual(await world.content(source), decision === 'confirm' ? first.then : first.now);
        assert.deepEqual(names(world), ['words']);
        await world.stop();
        return hit;
      });
      assert.ok(faults >= 2, `${faults} commits`);
    });

  for (const isSame of [true, false])
    test(`crash ${effect} any commit of a drill that ${isSame ? 'finds nothing' : 'finds a difference'}: it ends with its outcome and leaves nothing`, async () => {
      const faults = await everyCommit(effect, async (fault) => {
        const first = await prepared();
        let { world } = first;
        const { memoryStore } = world.disk;
        const copy = memoryStore.copy.bind(memoryStore);
        memoryStore.copy = async (from, to, options) => {
          const result = await copy(from, to, options);
          if (!isSame && to.includes('rows')) {
            await memoryStore.delete(to);
            await memoryStore.put(to, new TextEncoder().encode('others'));
          }
          return result;
        };
        world.disk.plan(fault);
        let jobId = await world.service.drillRestore(snap).catch(() => undefined);
        if (jobId !== undefined) await world.ended(jobId).catch(() => undefined);
        const { hit } = world.disk;
        world = await world.restart();
        jobId = [...world.catalog.all(copyJobs)][0]?.jobId ?? (await world.service.drillRestore(snap));
        const info = await world.ended(jobId);
        const purpose = purposeOf(info);
        assert.ok(purpose.kind === 'drill' && purpose.outcome !== undefined);
        assert.deepEqual([purpose.outcome.isSame, info.state], [isSame, isSame ? 'completed' : 'failed']);
        assert.deepEqual(names(world), ['words']);
        await world.assertClean();
        await world.stop();
        return hit;
      });
      assert.ok(faults >= 6, `${faults} commits`);
    });
}
