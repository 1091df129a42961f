import assert from 'node:assert/strict';
import { test } from 'node:test';
import { until } from '../../../tests/heart/manual-clock.ts';
import { source, target, World } from '../../../tests/heart/world.ts';
import { put } from '../../catalog/catalog.ts';
import { ALL_PARTITIONS, type PartitionId } from '../../model/ids.ts';
import type { CollectionRecord } from '../../model/records.ts';
import { copyJobs } from '../copy-segment/job.ts';
import { partitions, segments } from '../tables.ts';

/** Partitions by name. */
const idsOf = (world: World, { collectionId }: CollectionRecord): Map<string, PartitionId> =>
  new Map(
    world.catalog
      .find(partitions, 'collection', collectionId)
      .map(({ name, partitionId }) => [name, partitionId]),
  );

async function addPartition(world: World, name: string): Promise<PartitionId> {
  const { collectionId } = world.find(source);
  const partitionId = await world.ids.next<PartitionId>();
  const createdTs = world.time.next();
  await world.catalog.commitSure([
    put(partitions, { partitionId, collectionId, name, createdTs }, undefined),
  ]);
  return partitionId;
}

/** A flushed segment of deletes. */
async function addDeletes(world: World, partitionId: PartitionId, text: string): Promise<void> {
  const was = await world.addSegment(world.find(source), partitionId, text);
  await world.catalog.commitSure([put(segments, { ...was, level: 'L0' }, was)]);
}

const restoreOf = (world: World, names: readonly string[], name = target.name) =>
  world.service.restoreSnapshot({
    source,
    name: 'snap',
    target: { database: '', name },
    partitions: names,
  });

/** Content of a collection, of these partitions and of deletes over all partitions. */
const contentOf = async (world: World, names: readonly string[]): Promise<readonly string[]> =>
  (await world.content(source)).filter((line) =>
    [...names, 'undefined'].some((name) => line.startsWith(`${name} `)),
  );

/** Four partitions with rows and deletes, and deletes over all of them. */
async function partitioned(): Promise<World> {
  const world = await World.withRows(6);
  const { collectionId } = world.find(source);
  const [index] = world.catalog.find(segments, 'collection', collectionId)[0]!.indexes;
  for (const name of ['a', 'b']) {
    const partitionId = await addPartition(world, name);
    await world.addSegment(world.find(source), partitionId, `rows of ${name}`, index!.indexId);
    await addDeletes(world, partitionId, `deletes of ${name}`);
  }
  await addDeletes(world, ALL_PARTITIONS, 'deletes of all');
  await world.create();
  return world;
}

test('restore of chosen partitions: their rows and deletes, and deletes over all partitions, nothing else', async () => {
  const world = await partitioned();
  for (const [i, names] of [
    ['a'],
    ['b', 'old'],
    ['_default'],
    ['old', 'b', 'a', '_default', 'a'],
  ].entries()) {
    const at = { database: '', name: `t${i}` };
    const info = await world.ended(await restoreOf(world, names, at.name));
    const expected = await contentOf(world, names);
    assert.equal(info.state, 'completed');
    assert.deepEqual(await world.content(at), expected, names.join());
    assert.deepEqual([info.totalSegments, info.copiedFiles], [expected.length, info.totalFiles]);
    assert.equal(info.totalRows, 10 * expected.filter((line) => !line.includes('rows of deletes')).length);
    const made = [...idsOf(world, world.find(at)).keys()].sort();
    assert.deepEqual(made, [...new Set(['_default', ...names])].sort(), '_default is always made');
  }
  await world.assertClean();
  await world.stop();
});

test('ids of a restore of chosen partitions are counted over the selected segments only, and builds are its own', async () => {
  const world = await partitioned();
  const jobId = await restoreOf(world, ['b', 'old']);
  await world.ended(jobId);
  const job = world.catalog.get(copyJobs, jobId)!;
  const made = world.catalog.find(segments, 'collection', world.find(target).collectionId);
  assert.deepEqual(
    made.map(({ segmentId }) => Number(segmentId - job.firstSegmentId)).sort((x, y) => x - y),
    Array.from({ length: job.segmentCount }, (_, i) => i),
  );
  const builds = made.flatMap(({ indexes }) =>
    indexes.map(({ buildId }) => Number(buildId - job.firstBuildId)),
  );
  assert.deepEqual(
    builds.sort((x, y) => x - y),
    builds.map((_, i) => i),
  );
  assert.equal(builds.length, 4);
  await world.stop();
});

test('a restore of chosen partitions survives restarts, over many manifests', async () => {
  let world = await World.withRows(0, { maxSegmentsPerCopyTask: 60 });
  const [[, first], [, second]] = [...idsOf(world, world.find(source))] as [
    [string, PartitionId],
    [string, PartitionId],
  ];
  for (let i = 0; i < 1100; i++)
    await world.addSegment(world.find(source), i % 3 === 0 ? second : first, `${i}`);
  await world.create();
  await world.loseNode();
  const queued = await restoreOf(world, ['old']);
  await until(() => world.catalog.get(copyJobs, queued)?.state === 'executing', 'executing');
  assert.equal(world.service.restoreState(queued).tasks.queued, 7);
  world.cluster.join(world.node);
  const pending = await restoreOf(world, ['old'], 'other');
  world = await world.restart({ maxSegmentsPerCopyTask: 7 });
  const expected = only('old')(await world.content(source));
  for (const [jobId, name] of [
    [queued, target.name],
    [pending, 'other'],
  ] as const) {
    const info = await world.ended(jobId);
    assert.deepEqual([info.state, info.totalSegments, info.totalRows], ['completed', 367, 3670]);
    assert.deepEqual(await world.content({ database: '', name }), expected);
  }
  await world.assertClean();
  await world.stop();
});

const only = (name: string) => (lines: readonly string[]) =>
  lines.filter((line) => line.startsWith(`${name} `));

test('a failed restore of chosen partitions leaves nothing', async () => {
  const world = await partitioned();
  const partitionId = idsOf(world, world.find(source)).get('a');
  const lost = world.catalog
    .find(segments, 'collection', world.find(source).collectionId)
    .find((segment) => segment.partitionId === partitionId && segment.level === 'L1');
  const { key } = lost!.files[0]!;
  const bytes = await world.disk.memoryStore.get(key);
  await world.disk.memoryStore.delete(key);
  const failed = await world.ended(await restoreOf(world, ['a']));
  assert.equal(failed.state, 'failed');
  assert.ok(failed.reason.includes(key));
  const sound = await world.ended(await restoreOf(world, ['b']));
  assert.equal(sound.state, 'completed');
  await world.disk.memoryStore.put(key, bytes);
  await world.assertClean();
  await world.stop();
});
