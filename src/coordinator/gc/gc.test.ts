import assert from 'node:assert/strict';
import { test } from 'node:test';
import { source, World } from '../../../tests/heart/world.ts';
import { put } from '../../catalog/catalog.ts';
import type { BuildId, FieldId, JobId } from '../../model/ids.ts';
import type { SegmentRecord } from '../../model/records.ts';
import { indexKey } from '../../storage/keys.ts';
import { MemoryStore } from '../../storage/memory.ts';
import { collections, segments } from '../tables.ts';
import { isStrayIndex, planCollection } from './plan.ts';
import { ObjectRemover } from './remover.ts';

test('a dropped segment goes when it is old enough and nothing needs it', () => {
  const segment = (droppedAtMs: number | undefined) =>
    ({ droppedAtMs, indexes: [] }) as unknown as SegmentRecord;
  const rows: [number | undefined, boolean, boolean, string][] = [
    [0, false, false, 'removed'],
    [0, true, false, 'referenced'],
    [0, false, true, 'referenced'],
    [901, false, false, 'young'],
    [900, false, false, 'removed'],
    [undefined, false, false, 'young'],
  ];
  for (const [droppedAtMs, bySegment, byBuild, expected] of rows) {
    const { remove, keep } = planCollection({
      dropped: [segment(droppedAtMs)],
      isSegmentReferenced: () => bySegment,
      isBuildReferenced: () => byBuild,
      nowMs: 1000,
      dropToleranceMs: 100,
    });
    assert.equal(remove.length === 1 ? 'removed' : keep[0]?.why, expected);
  }
});

test('an index file that no segment names goes when it is old and nobody builds or needs it', () => {
  const named = { buildId: 1n as BuildId } as SegmentRecord['indexes'][number];
  const segment = { state: 'flushed', indexes: [named] } as unknown as SegmentRecord;
  const stray = {
    segment,
    buildId: 2n as BuildId,
    isBuilding: false,
    isBuildReferenced: false,
    modifiedAtMs: 900,
    nowMs: 1000,
    dropToleranceMs: 100,
  };
  assert.equal(isStrayIndex(stray), true);
  const dropped = { ...segment, state: 'dropped' as const, droppedAtMs: 900 };
  assert.equal(isStrayIndex({ ...stray, segment: dropped, buildId: 1n as BuildId }), true);
  for (const kept of [
    { buildId: 1n as BuildId },
    { segment: undefined },
    { segment: { ...segment, state: 'sealed' as const } },
    { segment: { ...segment, state: 'dropped' as const, droppedAtMs: 901 } },
    { segment: { ...segment, restoreJobId: 1n as JobId } },
    { isBuilding: true },
    { isBuildReferenced: true },
    { modifiedAtMs: 901 },
  ])
    assert.equal(isStrayIndex({ ...stray, ...kept }), false, JSON.stringify(Object.keys(kept)));
});

test('a pass takes the file of a build attempt that came to nothing, and leaves the index', async () => {
  const world = await World.withRows(1);
  const before = await world.content(source);
  const [segment] = world.catalog.find(segments, 'collection', world.find(source).collectionId);
  const key = indexKey(segment!, 101 as FieldId, 99n as BuildId);
  await world.disk.memoryStore.put(key, Uint8Array.of(1));
  await world.service.collector.pass();
  assert.ok((await world.disk.keys()).includes(key), 'young');
  await world.disk.clock.jump(10_800_000);
  await world.service.collector.pass();
  await world.assertClean();
  assert.deepEqual(await world.content(source), before);
  await world.stop();
});

test('R08: what a snapshot needs is kept while its segment is dropped, and goes with the snapshot', async () => {
  const world = await World.withRows(2);
  await world.create();
  const before = await world.content(source);
  for (const was of world.catalog.find(segments, 'collection', world.find(source).collectionId))
    await world.catalog.commitSure([put(segments, { ...was, state: 'dropped', droppedAtMs: 0 }, was)]);
  await world.service.collector.pass();
  assert.deepEqual(
    world.service.collector.plan().keep.map(({ why }) => why),
    ['referenced', 'referenced'],
  );
  const target = { database: '', name: 'back' };
  await world.ended(await world.restore('snap', target));
  assert.deepEqual(await world.content(target), before);
  await world.service.dropSnapshot(source, 'snap');
  await world.service.collector.pass();
  assert.equal(world.catalog.find(segments, 'state', 'dropped').length, 0);
  await world.assertClean();
  await world.stop();
});

test('a pass that has nothing to do writes nothing', async () => {
  const world = await World.withRows(2);
  await world.create();
  await world.ended(await world.restore());
  await world.disk.clock.jump(5000);
  const { commits } = world.disk;
  await world.service.collector.pass();
  await world.disk.clock.jump(60_000);
  await world.disk.clock.jump(60_000);
  assert.equal(world.disk.commits, commits);
  assert.equal([...world.catalog.all(collections)].length, 2);
  await world.stop();
});

test('nothing outside a segment or a snapshot can be deleted', async () => {
  const remover = new ObjectRemover(new MemoryStore(() => 0));
  for (const prefix of ['', 'segments/', 'segments/1', 'segments/1/2/', 'snapshots/1/', 'x/'])
    await assert.rejects(remover.removeBelow(prefix), prefix);
  for (const key of ['', 'segments/1/2/3/', 'segments/1/rows', 'catalog/data.mdb', 'snapshots/1'])
    await assert.rejects(remover.removeKeys([key]), key);
});
