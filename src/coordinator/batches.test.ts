import assert from 'node:assert/strict';
import { test } from 'node:test';
import { asked, named, startWorld } from '../../tests/control/world.ts';
import { MAX_CHANGES_PER_COMMIT, put } from '../catalog/catalog.ts';
import type { PartitionId } from '../model/ids.ts';
import { commitEach } from './batches.ts';
import { partitions } from './tables.ts';

test('more changes than a commit holds are all made, also those that were raced', async () => {
  const { coordinator, foundations } = await startWorld();
  const { catalog } = foundations;
  const { collectionId } = await coordinator.createCollection(asked('books'));
  const ids = Array.from({ length: MAX_CHANGES_PER_COMMIT * 2 + 3 }, (_, n) => BigInt(n + 1) as PartitionId);
  const { createdTs } = coordinator.describeCollection(named('books')).collection;
  await commitEach(catalog, ids, (partitionId) =>
    put(partitions, { partitionId, collectionId, name: 'a', createdTs }, undefined),
  );
  const renamed = (partitionId: PartitionId, name: string) => {
    const was = catalog.get(partitions, partitionId);
    assert.ok(was);
    return was.name.startsWith('b') ? undefined : put(partitions, { ...was, name }, was);
  };
  const raced = renamed(ids[5] as PartitionId, 'raced');
  assert.ok(raced);
  await Promise.all([
    catalog.commitSure([raced]),
    commitEach(catalog, ids, (partitionId) => renamed(partitionId, 'b')),
  ]);
  assert.ok(ids.every((partitionId) => catalog.get(partitions, partitionId)?.name === 'b'));
  await coordinator.close();
});
