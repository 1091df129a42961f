import assert from 'node:assert/strict';
import { test } from 'node:test';
import { source, target, World } from '../../../tests/heart/world.ts';
import { isDbError } from '../../errors/db-error.ts';

test('a restored collection holds exactly what the snapshot holds', async () => {
  const world = await World.withRows(5);
  await world.create();
  const jobId = await world.restore();
  const info = await world.ended(jobId);
  assert.deepEqual([info.state, info.progress, info.totalRows], ['completed', 100, 50]);
  assert.deepEqual(await world.content(target), await world.content(source));
  await world.assertClean();
  await world.stop();
});

test('the target exists at once', async () => {
  const world = await World.withRows(1);
  await world.create();
  await world.restore();
  assert.equal(world.has(target), true);
  await assert.rejects(world.restore(), (e) => isDbError(e, 'collection-duplicate'));
  await world.stop();
});
