import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '../../tests/heart/manual-clock.ts';
import { within } from './within.ts';

const never = new Promise<string>(() => undefined);

test('what ends in time is the answer, and nobody waits any more', async () => {
  const clock = new ManualClock();
  let told = 0;
  const late = () => `late ${++told}`;
  assert.equal(await within(clock, 100, Promise.resolve('done'), late), 'done');
  await assert.rejects(within(clock, 100, Promise.reject(new Error('broken')), late), /broken/);
  await clock.jump(100);
  assert.equal(told, 0);
});

test('what takes longer is not waited for: the caller is told, or what it wants thrown is thrown', async () => {
  const clock = new ManualClock();
  const told = within(clock, 100, never, () => 'late');
  const thrown = within(clock, 100, never, () => {
    throw new Error('too late');
  });
  const refused = assert.rejects(thrown, /too late/);
  await clock.jump(100);
  assert.equal(await told, 'late');
  await refused;
});
