import assert from 'node:assert/strict';
import { test } from 'node:test';
import { settle, until } from '../../../tests/heart/manual-clock.ts';
import { source, World } from '../../../tests/heart/world.ts';
import { isDbError } from '../../errors/db-error.ts';
import type { JobId } from '../../model/ids.ts';

const to = (name: string) => ({ database: '', name });

test('W24: restore jobs are listed oldest first, a job under way is cancelled, and a failed one has a duration that stands', async () => {
  let world = await World.withRows(2);
  await world.create();
  const first = await world.restore('snap', to('z'));
  await world.ended(first);
  let copies = 0;
  const { memoryStore } = world.disk;
  const copy = memoryStore.copy.bind(memoryStore);
  memoryStore.copy = async (...args) => {
    copies++;
    await world.disk.clock.sleep(1000, new AbortController().signal);
    return copy(...args);
  };
  const second = await world.restore('snap', to('y'));
  await until(() => copies > 0, 'copying');
  await world.disk.clock.advance(700);
  const cancelled = world.service.cancelRestore(second);
  await settle();
  await world.disk.clock.advance(1000);
  assert.equal(await cancelled, true);
  const third = await world.restore('snap', to('x'));
  const info = await world.ended(second);
  assert.deepEqual([info.state, info.reason, info.durationMs], ['failed', 'cancelled', 700]);
  await world.ended(third);
  assert.equal(await world.service.cancelRestore(second), false);
  await assert.rejects(world.service.cancelRestore(99n as JobId), (e) => isDbError(e, 'job-not-found'));
  memoryStore.copy = copy;
  world = await world.restart();
  const listed = world.service.listRestoreJobs('', '');
  assert.deepEqual(
    listed.map(({ jobId, state }) => [jobId, state]),
    [
      [first, 'completed'],
      [second, 'failed'],
      [third, 'completed'],
    ],
  );
  assert.ok(listed.every(({ durationMs }) => durationMs >= 1));
  assert.deepEqual(world.service.restoreState(second).durationMs, 700);
  assert.deepEqual(
    world.service.listRestoreJobs('', 'y').map(({ jobId }) => jobId),
    [second],
  );
  assert.deepEqual([world.has(source), world.has(to('y')), world.has(to('z'))], [true, false, true]);
  await world.assertClean();
  await world.stop();
});
