import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { kvSuite } from '../../src/catalog/kv.suite.ts';
import { MemoryKv } from '../../src/catalog/memory.ts';
import { isDbError } from '../../src/errors/db-error.ts';
import { MemoryStore } from '../../src/storage/memory.ts';
import { objectStoreSuite } from '../../src/storage/object-store.suite.ts';
import type { Clock } from '../../src/support/clock.ts';
import { seededRandom } from '../../src/support/random.ts';
import type { FaultsOptions } from './faults.ts';
import { FaultyKv } from './faulty-kv.ts';
import { FaultyStore } from './faulty-store.ts';

const memory = () => new MemoryStore(() => 0);
const faulty = (more: FaultsOptions = {}, inner = memory()) =>
  new FaultyStore(inner, { ...more, leaveHalf: (key, half) => inner.leaveHalf(key, half) });
const bytes = Uint8Array.of(1, 2, 3, 4, 5);
const failed = (error: unknown) => isDbError(error, 'storage-failed');

const inners = new WeakMap<FaultyStore, MemoryStore>();
objectStoreSuite(
  'faulty without faults',
  () => {
    const inner = memory();
    const store = faulty({}, inner);
    inners.set(store, inner);
    return Promise.resolve(store);
  },
  async (store, name, sizeBytes) => inners.get(store)?.leaveTemporary(name, sizeBytes),
);
kvSuite('faulty without faults', () => {
  const kv = new FaultyKv(new MemoryKv());
  return Promise.resolve({ open: () => Promise.resolve(kv) });
});

describe('faults', () => {
  test('an error before the effect leaves nothing, one after it leaves everything', async () => {
    const store = faulty();
    store.faults.next({ kind: 'error-before' });
    await assert.rejects(store.put('a', bytes), failed);
    assert.equal(await store.stat('a'), undefined);
    store.faults.next({ kind: 'error-after', code: 'storage-full' });
    await assert.rejects(store.put('a', bytes), (error) => isDbError(error, 'storage-full'));
    assert.equal((await store.stat('a'))?.sizeBytes, 5);
  });

  test('every single call of a piece of work can be failed by its number', async () => {
    const work = async (kv: FaultyKv) => {
      await kv.commit([{ kind: 'put', key: 'a', value: bytes }]);
      await kv.get('a');
      await kv.range('');
    };
    const counted = new FaultyKv(new MemoryKv());
    await work(counted);
    assert.deepEqual(
      counted.faults.calls.map(({ name }) => name),
      ['commit', 'get', 'range'],
    );
    for (const { number, name } of counted.faults.calls) {
      const kv = new FaultyKv(new MemoryKv());
      kv.faults.at(number, { kind: 'error-before' });
      await assert.rejects(work(kv), failed);
      assert.equal(kv.faults.calls.at(-1)?.name, name);
      await work(kv);
    }
  });

  test('after a crash every call rejects, the running one too, until it is healed', async () => {
    const store = faulty();
    await store.put('a', bytes);
    const running = store.put('b', bytes);
    store.faults.crash();
    await assert.rejects(running, failed);
    await assert.rejects(store.stat('a'), failed);
    store.faults.heal();
    assert.equal((await store.stat('a'))?.sizeBytes, 5);
    for (const hasEffect of [true, false]) {
      const key = `crash/${hasEffect}`;
      store.faults.next({ kind: 'crash', hasEffect });
      await assert.rejects(store.put(key, bytes), failed);
      await assert.rejects(store.get('a'), failed);
      store.faults.heal();
      assert.equal((await store.stat(key)) !== undefined, hasEffect);
    }
  });

  test('a delay takes virtual time', async () => {
    const slept: number[] = [];
    const clock: Clock = {
      nowMs: () => 0,
      monotonicMs: () => 0,
      sleep: (ms) => {
        slept.push(ms);
        return Promise.resolve();
      },
    };
    const store = faulty({ clock });
    store.faults.next({ kind: 'delay', ms: 700 });
    await store.put('a', bytes);
    assert.deepEqual(slept, [700]);
    assert.equal((await store.get('a')).length, 5);
  });

  test('the same seed gives the same faults, another seed others', async () => {
    const history = async (seed: number) => {
      const chances = { errorBefore: 0.2, errorAfter: 0.2 };
      const store = faulty({ random: seededRandom(seed), chances });
      for (let i = 0; i < 60; i++) await store.put(`k/${i}`, bytes).catch(() => undefined);
      return store.faults.calls.map(({ fault }) => fault?.kind ?? 'none');
    };
    assert.deepEqual(await history(1), await history(1));
    assert.notDeepEqual(await history(1), await history(2));
    assert.deepEqual(new Set(await history(1)), new Set(['none', 'error-before', 'error-after']));
  });

  test('a listing can break off in the middle', async () => {
    const store = faulty();
    for (const key of ['a', 'b', 'c', 'd']) await store.put(key, bytes);
    const seen: string[] = [];
    store.faults.next({ kind: 'error-after' });
    await assert.rejects(async () => {
      for await (const { key } of store.list('')) seen.push(key);
    }, failed);
    assert.deepEqual(seen, ['a', 'b']);
  });

  test('damaged objects are damaged, and a copy of them is refused', async () => {
    const store = faulty();
    const { crc32, etag } = await store.put('a', bytes);
    const copy = () => store.copy('a', 'b', { sizeBytes: 5, crc32, etag, mode: 'shared' });
    await store.flip('a');
    assert.deepEqual([...(await store.get('a'))], [1, 2, 2, 4, 5]);
    await assert.rejects(copy(), (error) => isDbError(error, 'data-integrity'));
    await store.truncate('a');
    assert.equal((await store.get('a')).length, 4);
    await assert.rejects(copy(), (error) => isDbError(error, 'data-integrity'));
    await store.lose('a');
    await assert.rejects(copy(), (error) => isDbError(error, 'object-not-found'));
  });
});
