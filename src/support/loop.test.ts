import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock, settle } from '../../tests/heart/manual-clock.ts';
import { DbError } from '../errors/db-error.ts';
import { runLoop } from './loop.ts';
import { Signal } from './signal.ts';

/** A loop of 1,000 ms over a clock that counts the timers it is asked for. */
function loop() {
  const clock = new ManualClock();
  const seen = { passes: [] as number[], timers: 0, errors: 0 };
  const sleep = clock.sleep.bind(clock);
  clock.sleep = (...of) => {
    seen.timers++;
    return sleep(...of);
  };
  const [wake, stop] = [new Signal(), new AbortController()];
  const startMs = clock.nowMs();
  const over = runLoop({
    pass: () => {
      seen.passes.push(clock.nowMs() - startMs);
      return Promise.resolve();
    },
    wake,
    fallbackMs: 1000,
    clock,
    signal: stop.signal,
    onError: () => seen.errors++,
  });
  return { clock, seen, wake, stop, over };
}

test('W1: a loop that is woken a thousand times makes one timer, and its safety net counts from the last pass', async () => {
  const { clock, seen, wake, stop, over } = loop();
  await settle(2);
  await clock.advance(600);
  for (let n = 0; n < 1000; n++) {
    wake.set();
    await settle(1);
  }
  assert.deepEqual([seen.passes.length, seen.timers], [1001, 1]);
  await clock.advance(999);
  assert.equal(seen.passes.length, 1001);
  await clock.advance(1);
  assert.deepEqual([seen.passes.length, seen.passes.at(-1)], [1002, 1600]);
  stop.abort();
  await over;
});

test('W1: an idle loop takes one pass for each tick; when it is stopped no timer is left', async () => {
  const { clock, seen, stop, over } = loop();
  await settle(2);
  await clock.advance(5000);
  assert.deepEqual(seen.passes, [0, 1000, 2000, 3000, 4000, 5000]);
  stop.abort();
  await over;
  await clock.advance(5000);
  assert.deepEqual([seen.passes.length, seen.errors], [6, 0]);
});

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
