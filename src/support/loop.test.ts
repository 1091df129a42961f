import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock, settle } from '../../tests/heart/manual-clock.ts';
import { DbError } from '../errors/db-error.ts';
import { runLoop } from './loop.ts';
import { Signal } from './signal.ts';

test('a pass that fails and has woken its own loop does not take the event loop for itself, and is tried again', async () => {
  const clock = new ManualClock();
  const [wake, stop, errors] = [new Signal(), new AbortController(), [] as unknown[]];
  let passes = 0;
  const ended = runLoop({
    // As when nothing can be written any more: no pass gets as far as anything that takes time. Bounded, or a red test would never end.
    pass: () => {
      if (++passes < 1000) wake.set();
      return Promise.reject(new DbError('service-unavailable', 'the catalog'));
    },
    wake,
    fallbackMs: 60_000,
    clock,
    signal: stop.signal,
    onError: (error) => errors.push(error),
  });
  await settle();
  assert.equal(passes, 1);
  await clock.advance(1000);
  assert.ok(passes > 2 && passes <= 11, `${passes} passes in a second`);
  assert.equal(errors.length, passes);
  stop.abort(new DbError('cancelled', 'test over'));
  await ended;
});
