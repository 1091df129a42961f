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

test('a record torn at any byte is cut, whatever stands behind the tear, and nothing that was acknowledged goes', async () => {
  const length = 32 + 20;
  for (let tear = 0; tear <= length; tear++)
    for (const garbage of [undefined, Uint8Array.from({ length: 90 }, (_, i) => (i * 37) % 251)])
      for (const hasHole of [false, true]) {
        const wal = new MemoryWal({ sync: 'manual' });
        wal.append(7n as HybridTime, [new Uint8Array(20)]).durable.catch(() => undefined);
        wal.sync();
        three(wal);
        wal.crash({ keep: 1, tear, hasHole, ...(garbage === undefined ? {} : { garbage }) });
        const again = wal.reopen();
        const whole = tear === length ? [2] : [];
        const behind = tear === length && hasHole ? [3] : [];
        assert.deepEqual(await found(again), [7, 1, ...whole, ...behind], `${tear} ${hasHole}`);
        again.append(9n as HybridTime, [new Uint8Array(3)]).durable.catch(() => undefined);
        again.sync();
        again.crash();
        assert.deepEqual(await found(again.reopen()), [7, 1, ...whole, ...behind, 9]);
      }
});

test('a truncation keeps the newest file on the disk: records of it that are on their way may still get there', async () => {
  const wal = new MemoryWal({ sync: 'manual', fileBytes: 300 });
  wal.append(1n as HybridTime, [new Uint8Array(100)]).durable.catch(() => undefined);
  wal.sync();
  wal.append(2n as HybridTime, [new Uint8Array(20)]).durable.catch(() => undefined);
  wal.append(3n as HybridTime, [new Uint8Array(100)]).durable.catch(() => undefined);
  assert.equal(wal.currentFile, 2);
  await wal.truncateBefore(2);
  wal.crash({ keep: 0, tear: 40 });
  const again = wal.reopen();
  assert.deepEqual(await found(again), [1]);
  assert.equal(again.currentFile, 1);
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
  tear: fc.oneof(fc.boolean(), fc.nat({ max: 31 })),
  hasHole: fc.boolean(),
  garbage: fc.uint8Array({ maxLength: 60 }),
});

test('crash after crash, the log holds what was acknowledged and nothing that was not appended', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(generation, { minLength: 1, maxLength: 5 }), async (generations) => {
      let wal = new MemoryWal({ sync: 'manual', fileBytes: 500 });
      let expected: number[] = [];
      let next = 1;
      for (const { steps, keep, ...left } of generations) {
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
        wal.crash({ keep, ...left });
        expected = [...expected, ...waiting.slice(0, keep)];
        wal = wal.reopen();
        assert.deepEqual(await found(wal), expected);
      }
    }),
    { numRuns: 150, seed: 10 },
  );
});
