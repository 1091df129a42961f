import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type AgePause, type Expiry, expiredRanges, expiryOf, pausedAges } from './expiry.ts';
import { type HybridTime, hybridTime, physicalMs } from './hybrid-time.ts';

const at = (ms: number, counter = 0): HybridTime => hybridTime(ms, counter);
const isExpired = (expiry: Expiry, ts: HybridTime, nowMs: number): boolean =>
  expiredRanges(expiry, nowMs).some(({ after, upTo }) => after < ts && ts <= upTo);

test('a time to live above 0 lets rows expire; none, 0 and -1 do not', () => {
  const of = (seconds?: string) =>
    expiryOf({ properties: seconds === undefined ? {} : { 'collection.ttl.seconds': seconds } });
  assert.deepEqual(
    [of(), of('0'), of('-1'), of('2')],
    [undefined, undefined, undefined, { ttlMs: 2000, pauses: [] }],
  );
});

test('a row expires in the millisecond in which its age reaches the time to live', () => {
  const expiry = { ttlMs: 1000, pauses: [] };
  for (const counter of [0, 7, 2 ** 18 - 1]) {
    assert.equal(isExpired(expiry, at(5000, counter), 5999), false);
    assert.equal(isExpired(expiry, at(5000, counter), 6000), true);
  }
  assert.deepEqual(expiredRanges(expiry, 500), []);
});

test('ranges say of every row what its age, without the pauses, says', () => {
  const pause = fc.tuple(fc.integer({ min: 1, max: 500 }), fc.integer({ min: 0, max: 300 }));
  fc.assert(
    fc.property(
      fc.array(pause, { maxLength: 5 }),
      fc.integer({ min: 0, max: 600 }),
      fc.integer({ min: 0, max: 1500 }),
      fc.integer({ min: 1, max: 400 }),
      (steps, bornMs, nowMs, ttlMs) => {
        // As restores make them: each lies after the one before, and older rows have paused for all of them.
        const pauses: AgePause[] = [];
        let upToMs = 0;
        for (const [step, ms] of steps) {
          upToMs += step;
          for (const [i, each] of pauses.entries()) pauses[i] = { ...each, ms: each.ms + ms };
          pauses.push({ upTo: at(upToMs), ms });
        }
        const ts = at(bornMs, 3);
        const paused = pauses.find(({ upTo }) => ts <= upTo)?.ms ?? 0;
        assert.equal(isExpired({ ttlMs, pauses }, ts, nowMs), nowMs - bornMs - paused >= ttlMs);
      },
    ),
    { numRuns: 2000 },
  );
});

test('what was visible at the snapshot is visible at its restore, whenever that is, and lives as long as it would have', () => {
  const ttlMs = 1000;
  const [snapshotMs, restoredMs] = [5000, 900_000];
  const pauses = pausedAges([], at(snapshotMs), at(restoredMs), restoredMs);
  for (const bornMs of [3000, 4000, 4001, 4999, 5000])
    for (const laterMs of [0, 1, 500, 999, 1000])
      assert.equal(
        isExpired({ ttlMs, pauses }, at(bornMs), restoredMs + laterMs),
        isExpired({ ttlMs, pauses: [] }, at(bornMs), snapshotMs + laterMs),
      );
  assert.equal(isExpired({ ttlMs, pauses }, at(restoredMs + 5), restoredMs + 1005), true);
  const again = pausedAges(pauses, at(restoredMs + 100), at(2_000_000), 2_000_000);
  assert.equal(isExpired({ ttlMs, pauses: again }, at(4500), 2_000_000), false);
  assert.equal(isExpired({ ttlMs, pauses: again }, at(4500), 2_000_400), true);
});

test('the list of pauses is bounded, and what is folded together lives longer, not shorter', () => {
  let pauses: readonly AgePause[] = [];
  for (let n = 1; n <= 200; n++) pauses = pausedAges(pauses, at(n * 100 - 50), at(n * 100), n * 100);
  assert.equal(pauses.length, 64);
  assert.equal(pauses[0]?.ms, 200 * 50);
  for (const [i, { upTo, ms }] of pauses.entries()) {
    const before = pauses[i - 1];
    assert.ok(before === undefined || (before.upTo < upTo && before.ms >= ms));
    assert.ok(physicalMs(upTo) > 0);
  }
});
