import assert from 'node:assert/strict';
import { test } from 'node:test';
import { settle, until } from '../../../tests/heart/manual-clock.ts';
import { source, target, World } from '../../../tests/heart/world.ts';
import { put } from '../../catalog/catalog.ts';
import { isDbError } from '../../errors/db-error.ts';
import type { CollectionId, DatabaseId, JobId, PartitionId } from '../../model/ids.ts';
import type { RestoreJobInfo } from '../api.ts';
import { copyJobs } from '../copy-segment/job.ts';
import { copyTasks } from '../copy-segment/task.ts';
import { pins } from '../snapshot/record.ts';
import { collections, databases, indexes, partitions, segments } from '../tables.ts';

const stateOf = (record: object | undefined) => (record as { readonly state?: string } | undefined)?.state;

test('a restored collection holds exactly what the snapshot holds, and looks like its source', async () => {
  const world = await World.withRows(5);
  await world.create();
  const jobId = await world.restore();
  assert.equal(world.has(target), true);
  const info = await world.ended(jobId);
  assert.deepEqual(
    [info.state, info.progress, info.totalRows, info.totalSegments, info.copiedBytes, info.copiedFiles],
    ['completed', 100, 50, 5, info.totalBytes, 20],
  );
  assert.deepEqual(await world.content(target), await world.content(source));
  const [from, to] = [world.find(source), world.find(target)];
  for (const key of ['schema', 'shardsNum', 'consistencyLevel', 'properties'] as const)
    assert.deepEqual(to[key], from[key]);
  assert.deepEqual([to.load, to.restoreJobId], ['none', undefined]);
  const named = (id: CollectionId) => ({
    partitions: world.catalog.find(partitions, 'collection', id).map(({ name }) => name),
    indexes: world.catalog
      .find(indexes, 'collection', id)
      .map(({ name, params, fieldId }) => ({ name, params, fieldId })),
  });
  assert.deepEqual(named(to.collectionId), named(from.collectionId));
  await world.assertClean();
  await world.stop();
});

test('R09: restore, drop the restored, restore again: every id is fresh and the source is untouched', async () => {
  const world = await World.withRows(3);
  await world.create();
  const before = await world.content(source);
  const seen = new Set<bigint>();
  for (let i = 0; i < 3; i++) {
    await world.ended(await world.restore());
    const { collectionId } = world.find(target);
    const found = world.catalog.find(segments, 'collection', collectionId);
    const ids = found.flatMap((s) => [s.segmentId, ...s.indexes.map(({ buildId }) => buildId)]);
    for (const id of [collectionId, ...ids]) assert.equal(seen.has(id), false);
    for (const id of [collectionId, ...ids]) seen.add(id);
    const own = world.catalog.find(indexes, 'collection', collectionId).map(({ indexId }) => indexId);
    for (const segment of found)
      assert.deepEqual(
        segment.indexes.map(({ indexId }) => indexId),
        own,
      );
    assert.deepEqual(await world.content(target), before);
    await world.dropCollection(target);
    await world.disk.clock.jump(4 * 3_600_000);
    await world.service.collector.pass();
    await world.assertClean();
  }
  assert.deepEqual(await world.content(source), before);
  await world.stop();
});

test('a snapshot of a restored collection restores to the same', async () => {
  const world = await World.withRows(3);
  await world.create();
  await world.ended(await world.restore());
  const at = { at: target, name: 'again', description: '', compactionProtectionSeconds: 0 };
  await world.service.createSnapshot(at);
  const third = { database: '', name: 'third' };
  await world.ended(await world.service.restoreSnapshot({ source: target, name: 'again', target: third }));
  assert.deepEqual(await world.content(third), await world.content(source));
  await world.stop();
});

test('R12: of two restores to one target exactly one wins and the other gets duplicate collection, whatever the database is called', async () => {
  const world = await World.withRows(2);
  await world.create();
  const outcomes = await Promise.allSettled([
    world.restore('snap', { database: '', name: 'x' }),
    world.restore('snap', { database: 'default', name: 'x' }),
    world.restore('snap', { database: '', name: 'x' }),
  ]);
  const won = outcomes.filter((o) => o.status === 'fulfilled');
  for (const o of outcomes)
    if (o.status === 'rejected') {
      assert.ok(isDbError(o.reason, 'collection-duplicate'), `${o.reason}`);
      assert.match(o.reason.message, /^duplicate collection: 'x'/);
    }
  assert.equal(won.length, 1);
  await world.ended(won[0]!.value);
  assert.equal(world.catalog.count(copyJobs), 1);
  await world.assertClean();
  await world.stop();
});

test('R12: restores of different snapshots to one target: exactly one wins', async () => {
  const world = await World.withRows(2);
  await world.create('a');
  await world.create('b');
  const outcomes = await Promise.allSettled([world.restore('a'), world.restore('b')]);
  assert.deepEqual(outcomes.map(({ status }) => status).sort(), ['fulfilled', 'rejected']);
  assert.equal(world.catalog.find(collections, 'name', `1/${target.name}`).length, 1);
  for (const { jobId } of world.service.listRestoreJobs('', '')) await world.ended(jobId);
  await world.assertClean();
  await world.stop();
});

test('jobs are listed by the database and name of their target, oldest first', async () => {
  const world = await World.withRows(1);
  const createdTs = world.time.next();
  await world.catalog.commitSure([
    put(databases, { databaseId: 2n as DatabaseId, name: 'db2', properties: {}, createdTs }, undefined),
  ]);
  await world.create();
  const first = await world.restore('snap', { database: 'db2', name: 'x' });
  const second = await world.restore();
  const listed = (database: string, name: string) =>
    world.service.listRestoreJobs(database, name).map(({ jobId }) => jobId);
  assert.deepEqual(listed('', ''), [first, second]);
  assert.deepEqual(listed('db2', ''), [first]);
  assert.deepEqual(listed('default', ''), [second]);
  assert.deepEqual(listed('', 'x'), [first]);
  assert.deepEqual(listed('default', 'x'), []);
  await world.ended(first);
  await world.ended(second);
  await world.stop();
});

/** Holds back copies whose source key holds `part` until `open` is called. */
function holdCopies(world: World, part: string): { open(): void; held: () => number } {
  const { memoryStore } = world.disk;
  const copy = memoryStore.copy.bind(memoryStore);
  let waiting = 0;
  let open: () => void = () => undefined;
  const gate = new Promise<void>((resolve) => {
    open = resolve;
  });
  memoryStore.copy = async (from, to, options) => {
    if (from.includes(part)) {
      waiting++;
      await gate;
    }
    return copy(from, to, options);
  };
  return { open, held: () => waiting };
}

test('R19: progress never goes back, not over a restart, and is 100 exactly when completed', async () => {
  let world = await World.withRows(9);
  await world.create();
  const seen: RestoreJobInfo[] = [];
  const hold = holdCopies(world, 'stats');
  const jobId = await world.restore();
  const look = () => seen.push(world.service.restoreState(jobId));
  look();
  for (let i = 0; i < 40; i++) {
    await settle(1);
    await world.disk.clock.advance(100);
    look();
  }
  assert.ok(seen.at(-1)!.progress > 0);
  hold.open();
  world = await world.restart();
  for (let i = 0; i < 200 && seen.at(-1)!.state !== 'completed'; i++) {
    await settle(1);
    await world.disk.clock.advance(50);
    look();
  }
  for (const [i, info] of seen.entries()) {
    assert.ok(info.progress >= (seen[i - 1]?.progress ?? 0), seen.map((s) => s.progress).join());
    assert.equal(info.progress === 100, info.state === 'completed');
    assert.ok(info.startedAtMs > 0 && info.durationMs > 0);
  }
  assert.equal(seen.at(-1)!.state, 'completed');
  const ended = seen.at(-1)!.durationMs;
  await world.disk.clock.advance(10_000);
  assert.equal(world.service.restoreState(jobId).durationMs, ended);
  await world.stop();
});

test('R05: nothing of a target is visible before its job is completed, then all of it is, in one commit', async () => {
  const world = await World.withRows(5);
  await world.create();
  const counts: number[] = [];
  world.catalog.onChange(() => {
    const [collection] = world.catalog.find(collections, 'name', `1/${target.name}`);
    if (collection === undefined) return;
    const visible = world.catalog
      .find(segments, 'collection', collection.collectionId)
      .filter((s) => s.restoreJobId === undefined || world.service.gate.isCompleted(s.restoreJobId));
    counts.push(visible.length);
  });
  await world.ended(await world.restore());
  assert.deepEqual([...new Set(counts)], [0, 5]);
  await world.stop();
});

async function damaged(kind: string, damage: (world: World, key: string) => Promise<unknown>) {
  const world = await World.withRows(6);
  await world.create();
  const { collectionId } = world.find(source);
  const keys = (await world.disk.keys('segments/')).filter((key) => key.includes(kind));
  await damage(world, keys.at(-1)!);
  const hold = holdCopies(world, keys.at(-1)!);
  const jobId = await world.restore();
  await until(
    () => world.catalog.find(copyTasks, 'jobState', `${jobId}/completed`).length === 2,
    'others done',
  );
  hold.open();
  return { world, jobId, key: keys.at(-1)!, collectionId };
}

test('R06, R14: one missing or damaged object fails the restore with its name, and nothing is left of it', async () => {
  const damages = [
    (world: World, key: string) => world.disk.memoryStore.delete(key),
    (world: World, key: string) => world.disk.memoryStore.put(key, new Uint8Array(3)),
    async (world: World, key: string) => {
      const bytes = await world.disk.memoryStore.get(key);
      bytes[0] = (bytes[0] as number) ^ 1;
      await world.disk.memoryStore.put(key, bytes);
    },
  ];
  for (const kind of ['rows.parquet', 'stats.bin', 'deletes.parquet', '.index'])
    for (const damage of damages) {
      const { world, jobId, key } = await damaged(kind, damage);
      const info = await world.ended(jobId);
      assert.equal(info.state, 'failed');
      assert.ok(info.reason.includes(key), info.reason);
      assert.deepEqual([info.databaseName, info.collectionName], ['default', target.name]);
      assert.equal(world.has(target), false);
      assert.deepEqual([world.catalog.count(pins), world.catalog.count(copyTasks)], [0, 0]);
      await world.disk.memoryStore.delete(key);
      await assert.rejects(world.assertClean(), /is named but missing/);
      await world.service.dropSnapshot(source, 'snap');
      await world.dropCollection(source);
      await world.disk.clock.jump(4 * 3_600_000);
      await world.service.collector.pass();
      assert.deepEqual(await world.disk.keys(), []);
      await world.stop();
    }
});

test('a damaged manifest is found before anything is made', async () => {
  const world = await World.withRows(2);
  await world.create();
  const [key] = (await world.disk.keys('snapshots/')).filter((k) => k.endsWith('.avro'));
  await world.disk.memoryStore.put(key!, new Uint8Array(5));
  await assert.rejects(world.restore(), (e) => isDbError(e, 'data-integrity') && e.message.includes(key!));
  assert.deepEqual(
    [world.has(target), world.catalog.count(copyJobs), world.catalog.count(pins)],
    [false, 0, 0],
  );
  await world.assertClean();
  await world.stop();
});

async function copying(segmentCount = 4): Promise<{ world: World; jobId: JobId; hold: { open(): void } }> {
  const world = await World.withRows(segmentCount);
  await world.create();
  const hold = holdCopies(world, 'rows');
  const jobId = await world.restore();
  await until(() => hold.held() > 0, 'copying');
  return { world, jobId, hold };
}

test('R25: a running restore keeps its snapshot from being dropped', async () => {
  const { world, jobId, hold } = await copying();
  await assert.rejects(world.service.dropSnapshot(source, 'snap'), (e) => isDbError(e, 'snapshot-pinned'));
  const [pin] = world.catalog.all(pins);
  await world.service.unpinSnapshot(pin!.pinId);
  await assert.rejects(world.service.dropSnapshot(source, 'snap'), (e) => isDbError(e, 'snapshot-pinned'));
  hold.open();
  await world.ended(jobId);
  await world.service.dropSnapshot(source, 'snap');
  assert.equal(world.has(target), true);
  await world.stop();
});

test('W20: the pin of a restore has no end in time: it holds while the job waits for days, and goes in the commit that ends the job', async () => {
  const world = await World.withRows(2);
  await world.create();
  await world.loseNode();
  const jobId = await world.restore();
  const refused = () =>
    assert.rejects(world.service.dropSnapshot(source, 'snap'), (e) => isDbError(e, 'snapshot-pinned'));
  assert.deepEqual(
    [...world.catalog.all(pins)].map(({ owner, expiresAtMs }) => [owner, expiresAtMs]),
    [[{ kind: 'restore', jobId }, undefined]],
  );
  await world.disk.clock.jump(5 * 86_400_000);
  await world.service.collector.pass();
  await refused();
  let together: boolean | undefined;
  world.catalog.onChange((changes) => {
    const isEnd = changes.some(({ table, is }) => table === copyJobs && stateOf(is) === 'completed');
    if (isEnd) together ??= changes.some(({ table, is }) => table === pins && is === undefined);
  });
  world.cluster.join(world.node);
  assert.equal((await world.ended(jobId)).state, 'completed');
  assert.equal(together, true);
  await world.service.dropSnapshot(source, 'snap');
  await world.stop();
});

test('W24: jobs are listed oldest first, ended ones included; a failed and a cancelled one say how long they took, and keep it', async () => {
  const { world, jobId, hold } = await copying();
  await world.disk.clock.jump(90_000);
  const cancelled = world.service.cancelRestore(jobId, 'not needed');
  hold.open();
  await cancelled;
  const [segment] = world.catalog.find(segments, 'collection', world.find(source).collectionId);
  await world.disk.memoryStore.delete(segment!.files[0]!.key);
  const failing = await world.restore('snap', { database: '', name: 'another' });
  await world.ended(failing);
  const ended = world.service.listRestoreJobs('', '');
  assert.deepEqual(
    ended.map((info) => [info.jobId, info.state]),
    [
      [jobId, 'failed'],
      [failing, 'failed'],
    ],
  );
  const [first, second] = ended;
  assert.ok(first!.durationMs >= 90_000 && second!.durationMs >= 1);
  await world.disk.clock.jump(600_000);
  assert.deepEqual(
    world.service.listRestoreJobs('', '').map(({ durationMs }) => durationMs),
    ended.map(({ durationMs }) => durationMs),
  );
  await world.stop();
});

test('R25: the source is dropped while it is read: the restore ends, then the snapshot goes', async () => {
  const { world, jobId, hold } = await copying();
  const before = await world.content(source);
  await world.dropCollection(source);
  await world.disk.clock.jump(4 * 3_600_000);
  await world.service.collector.pass();
  hold.open();
  const info = await world.ended(jobId);
  assert.deepEqual([info.state, await world.content(target)], ['completed', before]);
  await settle();
  await world.disk.clock.jump(4 * 3_600_000);
  await world.service.collector.pass();
  assert.deepEqual(await world.disk.keys('snapshots/'), []);
  await world.assertClean();
  await world.stop();
});

test('dropping the target ends the job, and nothing is left', async () => {
  const { world, jobId, hold } = await copying();
  const dropped = world.dropCollection(target);
  hold.open();
  await dropped;
  const info = await world.ended(jobId);
  assert.deepEqual([info.state, info.reason], ['failed', 'the target collection was dropped']);
  await world.assertClean();
  await world.ended(await world.restore());
  await world.stop();
});

test('a cancelled restore leaves nothing, and says so', async () => {
  const { world, jobId, hold } = await copying();
  const cancelled = world.service.cancelRestore(jobId, 'not needed');
  hold.open();
  assert.equal(await cancelled, true);
  const info = await world.ended(jobId);
  assert.deepEqual([info.state, info.reason, world.has(target)], ['failed', 'not needed', false]);
  assert.equal(await world.service.cancelRestore(jobId), false);
  await world.assertClean();
  await world.stop();
});

test('a restore cancelled while its targets are being written leaves none of them', async () => {
  const world = await World.withRows(400);
  await world.create();
  for (const batch of [1, 2, 3]) {
    let cancelled: Promise<boolean> | undefined;
    let seen = 0;
    world.catalog.onChange((changes) => {
      const isBatch = changes.some(({ is }) => is !== undefined && 'segmentId' in is && 'restoreJobId' in is);
      if (!isBatch || cancelled !== undefined || ++seen < batch) return;
      cancelled = world.service.cancelRestore(world.service.listRestoreJobs('', '').at(-1)!.jobId);
    });
    const jobId = await world.restore();
    const info = await world.ended(jobId);
    assert.deepEqual([info.state, await cancelled], ['failed', true]);
    await settle();
    await world.assertClean();
  }
  await world.stop();
});

test('R07, R11: a lost node costs an attempt, and its late report changes nothing', async () => {
  const { world, jobId, hold } = await copying();
  world.cluster.leave(world.node.nodeId);
  await settle();
  await world.disk.clock.advance(3000);
  hold.open();
  await settle();
  assert.equal(world.catalog.find(copyTasks, 'jobState', `${jobId}/completed`).length, 0);
  world.cluster.join(world.node);
  const info = await world.ended(jobId);
  assert.equal(info.state, 'completed');
  assert.deepEqual(await world.content(target), await world.content(source));
  await world.assertClean();
  await world.stop();
});

test('time without progress ends a restore, time in the queue does not', async () => {
  const { world, jobId, hold } = await copying();
  await world.disk.clock.jump(86_400_000 - 60_000);
  assert.equal(world.service.restoreState(jobId).state, 'executing');
  await world.disk.clock.jump(120_000);
  assert.match(world.service.restoreState(jobId).reason, /^timeout/);
  hold.open();
  await world.ended(jobId);
  await world.assertClean();
  await world.loseNode();
  const queued = await world.restore();
  await world.disk.clock.jump(3 * 86_400_000);
  assert.equal(world.service.restoreState(queued).state, 'executing');
  world.cluster.join(world.node);
  assert.equal((await world.ended(queued)).state, 'completed');
  await world.stop();
});

test('an ended job is listed for its retention, then unknown; its target stays', async () => {
  const world = await World.withRows(1);
  await world.create();
  const jobId = await world.restore();
  await world.ended(jobId);
  await world.disk.clock.jump(10_800_000 - 60_000);
  assert.equal(world.service.restoreState(jobId).state, 'completed');
  await world.disk.clock.jump(120_000);
  assert.throws(
    () => world.service.restoreState(jobId),
    (e) => isDbError(e, 'job-not-found'),
  );
  assert.deepEqual(await world.content(target), await world.content(source));
  await world.stop();
});

test('a snapshot with more partitions than a commit can hold restores, and a lost race leaves none of them', async () => {
  const world = await World.withRows(1);
  const { collectionId } = world.find(source);
  for (let i = 0; i < 300; i++)
    await world.catalog.commitSure([
      put(
        partitions,
        {
          partitionId: await world.ids.next<PartitionId>(),
          collectionId,
          name: `p${i}`,
          createdTs: world.time.next(),
        },
        undefined,
      ),
    ]);
  await world.create();
  const outcomes = await Promise.allSettled([world.restore(), world.restore()]);
  const won = outcomes.find((o) => o.status === 'fulfilled');
  await world.ended(won!.value);
  assert.equal(world.catalog.find(partitions, 'collection', world.find(target).collectionId).length, 302);
  assert.equal(world.catalog.count(partitions), 604);
  await world.assertClean();
  await world.stop();
});

test('a restore of more segments than a commit, a manifest or a task can hold', async () => {
  const world = await World.withRows(0, { maxSegmentsPerCopyTask: 100 });
  const [partition] = world.catalog.find(partitions, 'collection', world.find(source).collectionId);
  for (let i = 0; i < 1100; i++) await world.addSegment(world.find(source), partition!.partitionId, `${i}`);
  await world.create();
  const info = await world.ended(await world.restore());
  assert.deepEqual([info.state, info.totalSegments], ['completed', 1100]);
  assert.deepEqual(await world.content(target), await world.content(source));
  await world.assertClean();
  await world.stop();
});

test('a restore whose snapshot is dropped while it is read says so, and blames no object', async () => {
  const world = await World.withRows(3);
  await world.create();
  const { memoryStore } = world.disk;
  const get = memoryStore.get.bind(memoryStore);
  memoryStore.get = async (key) => {
    if (key.endsWith('.avro')) await world.service.dropSnapshot(source, 'snap');
    return get(key);
  };
  await assert.rejects(world.restore(), (error) => isDbError(error, 'snapshot-not-found'));
  assert.equal(world.has(target), false);
  await world.assertClean();
  await world.stop();
});
