import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { HybridTime } from '../model/hybrid-time.ts';
import type { CollectionId } from '../model/ids.ts';
import type { AppliedWrite } from '../streamingnode/api.ts';
import { WriteQueue } from './write-queue.ts';

const MIB = 2 ** 20;
const writeAt = (ts: bigint): AppliedWrite => ({
  collectionId: 1n as CollectionId,
  ts: ts as HybridTime,
  parts: [],
  segmentIds: [],
});

function world(bytes: number) {
  const applied: bigint[] = [];
  const ends: (() => void)[] = [];
  const queue = new WriteQueue({
    isSmall: () => false,
    sizeOf: () => bytes,
    now: () => undefined,
    sliced: ({ ts }) =>
      new Promise((resolve) => {
        ends.push(() => {
          applied.push(ts);
          resolve();
        });
      }),
    onError: (error) => {
      throw error;
    },
  });
  const end = async () => {
    ends.shift()?.();
    for (let i = 0; i < 10; i++) await Promise.resolve();
  };
  return { queue, applied, end };
}

test('writers are held back while more waits than 64 MiB, until what they wait for is applied', async () => {
  const { queue, applied, end } = world(30 * MIB);
  for (const ts of [1n, 2n]) {
    queue.write(writeAt(ts));
    assert.equal(queue.backlog(), undefined);
  }
  queue.write(writeAt(3n));
  let isFree = false;
  const waiting = queue.backlog()?.then(() => {
    isFree = true;
  });
  assert.ok(waiting);
  await end();
  assert.equal(queue.backlog(), undefined, 'there is room again for others');
  await end();
  assert.ok(!isFree);
  await end();
  await waiting;
  assert.deepEqual(applied, [1n, 2n, 3n]);
});

test('a queue that is closed holds nobody back', async () => {
  const { queue, end } = world(100 * MIB);
  queue.write(writeAt(1n));
  queue.write(writeAt(2n));
  const waiting = queue.backlog();
  assert.ok(waiting);
  queue.close();
  await end();
  await waiting;
  assert.equal(queue.backlog(), undefined);
});
