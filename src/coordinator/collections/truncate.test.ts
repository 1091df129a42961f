import assert from 'node:assert/strict';
import { test } from 'node:test';
import { asked, books, named, settle, startWorld } from '../../../tests/control/world.ts';
import { put } from '../../catalog/catalog.ts';
import type { PartitionId } from '../../model/ids.ts';
import { partitions, segments } from '../tables.ts';

test('a truncation keeps the names of partitions under other ids, drops every segment, and is finished after a crash at any commit', async () => {
  for (let left = 0; ; left++) {
    const world = await startWorld();
    const { collectionId, partitionId } = await books(world);
    await world.coordinator.createPartition(named('books'), 'red');
    const before = world.coordinator.describeCollection(named('books')).partitions;
    const segmentId = await world.foundations.registry.open(
      collectionId,
      partitionId,
      world.coordinator.describeCollection(named('books')).collection.channels[0] ?? '',
      'L1',
    );
    world.kv.left = left;
    const outcome = await world.coordinator.truncateCollection(named('books')).then(
      () => 'done',
      () => 'failed',
    );
    const isDone = outcome === 'done' && world.kv.left > 0;
    const again = await world.restart();
    await settle();
    const after = again.coordinator.describeCollection(named('books')).partitions;
    assert.deepEqual(after.map(({ name }) => name).sort(), ['_default', 'red']);
    const isTruncated = after.every((is) => !before.some((was) => was.partitionId === is.partitionId));
    const isAsBefore = after.every((is) => before.some((was) => was.partitionId === is.partitionId));
    assert.ok(isTruncated || isAsBefore, 'all partitions, or none');
    const segment = again.foundations.catalog.get(segments, segmentId);
    if (isTruncated) assert.ok(segment === undefined || segment.state === 'dropped');
    await again.coordinator.close();
    if (isDone) {
      assert.ok(isTruncated);
      return;
    }
  }
});

test('a collection with more partitions than one commit holds is truncated, too', async () => {
  const { coordinator, foundations } = await startWorld();
  const { collectionId } = await coordinator.createCollection(asked('books'));
  const { catalog } = foundations;
  for (let n = 0; n < 150; n++) {
    const partitionId = BigInt(1_000_000 + n) as PartitionId;
    const record = { partitionId, collectionId, name: `p${n}`, createdTs: foundations.time.next() };
    await catalog.commitSure([put(partitions, record, undefined)]);
  }
  const before = new Set(
    coordinator.describeCollection(named('books')).partitions.map(({ partitionId }) => partitionId),
  );
  await coordinator.truncateCollection(named('books'));
  const after = coordinator.describeCollection(named('books')).partitions;
  assert.equal(after.length, 151);
  assert.ok(after.every(({ partitionId }) => !before.has(partitionId)));
  await coordinator.close();
});
