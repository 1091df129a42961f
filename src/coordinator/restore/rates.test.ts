import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Catalog, put } from '../../catalog/catalog.ts';
import { MemoryKv } from '../../catalog/memory.ts';
import type { JobId } from '../../model/ids.ts';
import { type CopyJob, copyJobs } from '../copy-segment/job.ts';
import { MovingRate } from '../copy-segment/rate.ts';
import { coreTables } from '../tables.ts';
import { methodOf, RestoreRates } from './rates.ts';

const step = fc.record({
  ms: fc.oneof(fc.nat(3000), fc.constantFrom(0, 499, 500, 20_000, -100)),
  bytes: fc.oneof(fc.nat(10_000), fc.constantFrom(0, -5000)),
});

test('a moving rate is undefined or a whole number from 0 up, whatever clock and bytes do, and what steady bytes come to', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      const rate = new MovingRate();
      let [nowMs, bytes] = [1_000_000, 0];
      for (const { ms, bytes: more } of steps) {
        nowMs += ms;
        bytes = Math.max(0, bytes + more);
        rate.note(nowMs, bytes);
        const found = rate.bytesPerSecond(nowMs, bytes);
        assert.ok(found === undefined || (Number.isSafeInteger(found) && found >= 0), String(found));
      }
    }),
    { seed: 1, numRuns: 300 },
  );
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 1_000_000 }),
      fc.integer({ min: 2, max: 60 }),
      (perSecond, seconds) => {
        const rate = new MovingRate();
        for (let second = 0; second <= seconds; second++) rate.note(second * 1000, second * perSecond);
        assert.equal(rate.bytesPerSecond(seconds * 1000, seconds * perSecond), perSecond);
      },
    ),
    { seed: 2, numRuns: 100 },
  );
});

const ended = fc.record({
  totalBytes: fc.nat(1_000_000),
  totalFiles: fc.nat(100),
  ms: fc.nat(100_000),
  copyMode: fc.constantFrom('shared' as const, 'physical' as const, undefined),
  isDrill: fc.boolean(),
  isFailed: fc.boolean(),
});

test('estimates from any restores are finite, grow with what is to do, come of completed plain restores only, and are the same after a restart', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(ended, { maxLength: 8 }), async (all) => {
      const kv = new MemoryKv();
      const open = () => Catalog.open({ kv, tables: [...coreTables, copyJobs], highWater: () => 0n });
      const catalog = await open();
      const rates = new RestoreRates(catalog, 'shared');
      for (const [n, { ms, copyMode, isDrill, isFailed, ...size }] of all.entries()) {
        const createdAtMs = n * 1_000_000;
        const base = {
          ...size,
          jobId: BigInt(n + 1) as JobId,
          collectionId: 1n,
          createdAtMs,
          ...(copyMode === undefined ? {} : { copyMode }),
          ...(isDrill ? { purpose: { kind: 'drill' as const } } : {}),
        };
        const open = { ...base, state: 'executing', progress: 0 } as unknown as CopyJob;
        const over = {
          state: isFailed ? 'failed' : 'completed',
          endedAtMs: createdAtMs + ms,
          isTidy: false,
          reason: '',
          progress: 0,
        };
        const done = { ...base, ...over } as unknown as CopyJob;
        await catalog.commitSure([put(copyJobs, open, undefined)]);
        await catalog.commitSure([put(copyJobs, done, open)]);
        // Tidying counts for nothing.
        await catalog.commitSure([put(copyJobs, { ...done, isTidy: true } as CopyJob, done)]);
      }
      const again = new RestoreRates(await open(), 'shared');
      for (const mode of ['shared', 'physical'] as const)
        for (const sharing of ['hard-link', 'none'] as const) {
          const method = methodOf(mode, sharing);
          const of = (bytes: number, files: number) => rates.estimate(mode, method, { bytes, files });
          const found = of(1000, 10);
          const counted = all.filter(
            (each) =>
              !each.isFailed && !each.isDrill && each.totalFiles > 0 && (each.copyMode ?? 'shared') === mode,
          );
          if (counted.length === 0) assert.equal(found, undefined);
          if (found === undefined) continue;
          assert.ok(Number.isFinite(found) && found >= 0);
          assert.ok((of(2000, 20) ?? 0) >= found && of(0, 0) === 0);
          assert.equal(again.estimate(mode, method, { bytes: 1000, files: 10 }), found);
        }
    }),
    { seed: 3, numRuns: 60 },
  );
});
