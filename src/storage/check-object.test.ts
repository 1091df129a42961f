import assert from 'node:assert/strict';
import { mkdtemp, rm, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { DbError } from '../errors/db-error.ts';
import { crc32 } from '../support/crc32.ts';
import { systemClock } from '../support/system-clock.ts';
import { ThreadWorkers } from '../support/system-workers.ts';
import { checkParts, type ObjectPart, WorkerObjectChecker } from './check-object.ts';
import { LocalStore } from './local.ts';
import { MemoryStore } from './memory.ts';

const noise = (length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => (i * 7919) >> 3);
const whole = (key: string, bytes: Uint8Array): ObjectPart => ({
  key,
  sizeBytes: bytes.length,
  offset: 0,
  length: bytes.length,
  crc32: 0,
});

test('an object is summed up whole, or part after part, with the same result', async () => {
  const store = new MemoryStore(() => 0);
  const bytes = noise(5_000_001);
  await store.put('a', bytes);
  await store.put('empty', new Uint8Array());
  assert.deepEqual(await checkParts(store, [whole('a', bytes), whole('empty', new Uint8Array())]), [
    { kind: 'read', crc32: crc32(bytes) },
    { kind: 'read', crc32: 0 },
  ]);
  let sum = 0;
  for (let offset = 0; offset < bytes.length; offset += 1_700_000) {
    const length = Math.min(1_700_000, bytes.length - offset);
    const [found] = await checkParts(store, [{ ...whole('a', bytes), offset, length, crc32: sum }]);
    assert.equal(found?.kind, 'read');
    sum = found.crc32;
  }
  assert.equal(sum, crc32(bytes));
});

test('what is wrong with one object is its finding, and the others are still looked at', async () => {
  const store = new MemoryStore(() => 0);
  for (const key of ['short', 'long', 'right', 'sick']) await store.put(key, noise(10));
  const read = store.getRange.bind(store);
  store.getRange = (key, offset, length) =>
    key === 'sick' ? Promise.reject(new DbError('storage-failed', 'EIO')) : read(key, offset, length);
  const part = (key: string, sizeBytes: number) => ({
    key,
    sizeBytes,
    offset: 0,
    length: sizeBytes,
    crc32: 0,
  });
  const found = await checkParts(store, [
    part('none', 10),
    part('short', 11),
    part('long', 9),
    part('sick', 10),
    { ...part('sick', 10), length: 0 },
    part('right', 10),
  ]);
  assert.deepEqual(
    found.map(({ kind }) => kind),
    ['missing', 'short', 'long', 'unreadable', 'read', 'read'],
  );
});

test('worker threads sum up the objects of a directory, and end soon when they are told to', async () => {
  const root = await mkdtemp(join(tmpdir(), 'tidemark-check-'));
  const [objects, wal] = [join(root, 'objects'), join(root, 'wal')];
  const store = await LocalStore.open(objects);
  const workers = new ThreadWorkers({
    script: new URL('../worker.js', import.meta.url),
    workerData: { objects, wal },
    maxThreads: 1,
    maxQueued: 10,
    idleMs: 1000,
    clock: systemClock,
  });
  try {
    const bytes = noise(3_000_000);
    const { crc32: sum } = await store.put('segments/1/rows', bytes);
    const checker = new WorkerObjectChecker(workers);
    const part = whole('segments/1/rows', bytes);
    const { signal } = new AbortController();
    assert.deepEqual(await checker.check([part], signal), [{ kind: 'read', crc32: sum }]);
    await truncate(join(objects, 'segments/1/rows'), 2_999_999);
    assert.equal((await checker.check([part], signal))[0]?.kind, 'short');
    const stop = new AbortController();
    const checking = checker.check(new Array<ObjectPart>(10_000).fill(part), stop.signal);
    stop.abort(new DbError('cancelled', 'enough'));
    await assert.rejects(checking, /enough/);
  } finally {
    await workers.close();
    await store.close();
    await rm(root, { recursive: true });
  }
});
