import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isDbError } from '../errors/db-error.ts';
import type { HybridTime } from '../model/hybrid-time.ts';
import { MemoryWal } from './memory.ts';
import { replayed, walSuite } from './wal.suite.ts';

walSuite('memory log', () => {
  let wal = new MemoryWal({ fileBytes: 1000 });
  return Promise.resolve({
    wal,
    async reopen() {
      await wal.close();
      wal = wal.reopen();
      return wal;
    },
    damage: async (position, byte) => wal.damage(position, byte),
    cutTail: async (bytes) => wal.cutTail(bytes),
    dispose: () => wal.close(),
  });
});

const three = (wal: MemoryWal) => {
  const appended = [1, 2, 3].map((n) => wal.append(BigInt(n) as HybridTime, [new Uint8Array(20).fill(n)]));
  for (const { durable } of appended) durable.catch(() => undefined);
  return appended.map(({ position }) => position);
};
const found = async (wal: MemoryWal) => (await replayed(wal)).map(({ ts }) => Number(ts));

test('of what was not durable a crash keeps what it is told to', async () => {
  for (const [keep, tear, expected] of [
    [0, false, []],
    [0, true, []],
    [1, true, [1]],
    [2, false, [1, 2]],
    [3, true, [1, 2, 3]],
  ] as const) {
    const wal = new MemoryWal({ sync: 'manual' });
    three(wal);
    wal.crash({ keep, tear });
    assert.deepEqual(await found(wal.reopen()), expected);
  }
});

test('a hole in records that were written together but never synced is a torn end, not damage', async () => {
  const wal = new MemoryWal({ sync: 'manual' });
  const [, second] = three(wal);
  wal.crash({ keep: 3 });
  wal.damage(second!, 35);
  assert.deepEqual(await found(wal.reopen()), [1]);
});

test('a log that fails rejects what is not durable and everything after it', async () => {
  const wal = new MemoryWal({ sync: 'manual' });
  await Promise.resolve();
  const kept = wal.append(1n as HybridTime, []);
  wal.sync();
  await kept.durable;
  const lost = wal.append(2n as HybridTime, []);
  wal.failAppends('storage-full');
  const isFull = (error: unknown) => isDbError(error, 'storage-full');
  await assert.rejects(lost.durable, isFull);
  await assert.rejects(wal.append(3n as HybridTime, []).durable, isFull);
  assert.deepEqual(await found(wal.reopen()), [1]);
});

const generation = fc.record({
  /** Lengths of payloads; 0 stands for a sync. */
  steps: fc.array(fc.nat({ max: 120 }), { maxLength: 15 }),
  keep: fc.nat({ max: 6 }),
  tear: fc.boolean(),
});

test('crash after crash, the log holds what was acknowledged and nothing that was not appended', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(generation, { minLength: 1, maxLength: 5 }), async (generations) => {
      let wal = new MemoryWal({ sync: 'manual', fileBytes: 500 });
      let expected: number[] = [];
      let next = 1;
      for (const { steps, keep, tear } of generations) {
        let waiting: number[] = [];
        for (const length of steps) {
          if (length === 0) {
            wal.sync();
            expected.push(...waiting);
            waiting = [];
            continue;
          }
          wal.append(BigInt(next) as HybridTime, [new Uint8Array(length).fill(next)]);
          waiting.push(next++);
        }
        wal.crash({ keep, tear });
        expected = [...expected, ...waiting.slice(0, keep)];
        wal = wal.reopen();
        assert.deepEqual(await found(wal), expected);
      }
    }),
    { numRuns: 150, seed: 10 },
  );
});
