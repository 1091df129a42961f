import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { Disk } from '../../../tests/heart/disk.ts';
import { ManualClock, settle } from '../../../tests/heart/manual-clock.ts';
import { source, World } from '../../../tests/heart/world.ts';
import { Catalog, put } from '../../catalog/catalog.ts';
import type { Kv } from '../../catalog/kv.ts';
import { MemoryKv } from '../../catalog/memory.ts';
import { DbError, isDbError, messageOf } from '../../errors/db-error.ts';
import { IDENTITY_KEY } from '../../storage/keys.ts';
import { LocalStore } from '../../storage/local.ts';
import { MemoryStore } from '../../storage/memory.ts';
import type { ObjectStore } from '../../storage/object-store.ts';
import { silentLog } from '../../support/log.ts';
import { seededRandom } from '../../support/random.ts';
import { snapshotTables } from '../snapshot-service.ts';
import { coreTables, idLeases } from '../tables.ts';
import { decideIdentity, decodeMarker, encodeMarker, StoreIdentity, storeIdentities } from './identity.ts';
import { ObjectRemover } from './remover.ts';

const bytes = Uint8Array.of(1);
const KEY = 'segments/1/2/3/rows.parquet';
const never = () => new AbortController().signal;
const mismatch = (error: unknown) => isDbError(error, 'store-mismatch');

/** Disks that outlive processes. */
interface Disks {
  readonly kv: Kv;
  readonly store: ObjectStore;
}

async function start({ kv, store }: Disks, seed = 1) {
  const catalog = await Catalog.open({ kv, tables: [...coreTables, ...snapshotTables], highWater: () => 1n });
  const clock = new ManualClock();
  const identity = new StoreIdentity({ catalog, store, clock, random: seededRandom(seed), log: silentLog });
  await identity.open();
  await identity.verify().catch(() => undefined);
  return { catalog, identity, remover: new ObjectRemover(store, identity) };
}

const useCatalog = (catalog: Catalog) =>
  catalog.commitSure([put(idLeases, { nextId: 5n }, catalog.get(idLeases, 'global'))]);

const kinds: readonly (readonly [string, () => Promise<ObjectStore & AsyncDisposable>])[] = [
  [
    'memory',
    async () => Object.assign(new MemoryStore(() => 0), { [Symbol.asyncDispose]: () => Promise.resolve() }),
  ],
  [
    'local',
    async () => {
      const root = await mkdtemp(join(tmpdir(), 'tidemark-identity-'));
      const store = await LocalStore.open(root);
      const dispose = async () => {
        await store.close();
        await rm(root, { recursive: true });
      };
      return Object.assign(store, { [Symbol.asyncDispose]: dispose });
    },
  ],
];

for (const [kind, open] of kinds)
  describe(`store identity on ${kind}`, () => {
    test('a new catalog takes an empty store, and knows it again', async () => {
      await using store = await open();
      const disks = { kv: new MemoryKv(), store };
      const first = await start(disks);
      assert.deepEqual(first.identity.troubles(), []);
      const second = await start(disks, 2);
      const { storeId, state } = second.catalog.get(storeIdentities, 'store')!;
      assert.equal(state, 'owned');
      assert.deepEqual(decodeMarker(await store.get(IDENTITY_KEY)), { is: 'present', storeId });
      await store.put(KEY, bytes);
      await second.remover.remove(KEY);
      assert.equal(await store.stat(KEY), undefined);
    });

    test('once the outcome of a catalog write is unknown nothing is deleted: what was stored may need what seems to be garbage', async () => {
      await using store = await open();
      const kv = new MemoryKv();
      const { catalog, remover } = await start({ kv, store });
      await store.put(KEY, bytes);
      const commit = kv.commit.bind(kv);
      kv.commit = async (...at) => {
        await commit(...at);
        throw new DbError('storage-failed', 'EIO');
      };
      const isUnknown = (error: unknown) =>
        isDbError(error, 'service-unavailable') && error.message.includes('unknown outcome');
      await assert.rejects(useCatalog(catalog), isUnknown);
      await assert.rejects(remover.remove(KEY), isUnknown);
      await assert.rejects(remover.removeBelow('segments/1/'), isUnknown);
      await assert.rejects(remover.removeTemporary('w-1/1'), isUnknown);
      assert.ok(await store.stat(KEY));
      kv.commit = commit;
      const { remover: next } = await start({ kv, store }, 2);
      await next.remove(KEY);
      assert.equal(await store.stat(KEY), undefined);
    });

    test('R26: a new catalog refuses to start over objects that are there already, as often as it is tried', async () => {
      await using store = await open();
      await store.put(KEY, bytes);
      const disks = { kv: new MemoryKv(), store };
      for (let i = 0; i < 2; i++)
        await assert.rejects(start(disks), (error) => {
          assert.ok(mismatch(error));
          assert.match(messageOf(error), /the catalog is new, but the store holds objects already, as 'segm/);
          assert.match(messageOf(error), /Its ids would begin again and overwrite .*Start with the catalog/);
          return true;
        });
      assert.ok(await store.stat(KEY));
      assert.equal(await store.stat(IDENTITY_KEY), undefined);
      // Cleared away by whoever wants to begin anew, it starts.
      await store.delete(KEY);
      assert.deepEqual((await start(disks)).identity.troubles(), []);
    });

    test('R26: a new catalog refuses to start over the marked store of another one', async () => {
      await using store = await open();
      await start({ kv: new MemoryKv(), store }, 1);
      const marker = await store.get(IDENTITY_KEY);
      await assert.rejects(start({ kv: new MemoryKv(), store }, 2), mismatch);
      assert.deepEqual(await store.get(IDENTITY_KEY), marker);
    });

    test('R26: a used catalog over the store of another one starts and deletes nothing', async () => {
      await using store = await open();
      await start({ kv: new MemoryKv(), store }, 1);
      await store.put(KEY, bytes);
      const kv = new MemoryKv();
      await start({ kv, store: new MemoryStore(() => 0) }, 2);
      const { identity, remover } = await start({ kv, store });
      assert.match(identity.troubles()[0] ?? '', /this is store \d+.*Nothing is deleted/);
      await assert.rejects(remover.remove(KEY), mismatch);
      await assert.rejects(remover.removeBelow('segments/1/'), mismatch);
      await assert.rejects(remover.removeTemporary('w-1'), mismatch);
      assert.ok(await store.stat(KEY));
    });

    test('a catalog of before there were identities takes the store it has', async () => {
      await using store = await open();
      await store.put(KEY, bytes);
      const kv = new MemoryKv();
      const old = await Catalog.open({ kv, tables: coreTables, highWater: () => 1n });
      await useCatalog(old);
      const { identity } = await start({ kv, store });
      assert.deepEqual(identity.troubles(), []);
      assert.ok(await store.stat(IDENTITY_KEY));
    });

    test('a marker that is gone, damaged or newer is a mismatch, until it is back', async () => {
      await using store = await open();
      const kv = new MemoryKv();
      const { identity, remover, catalog } = await start({ kv, store });
      await useCatalog(catalog);
      const marker = await store.get(IDENTITY_KEY);
      const text = (value: string) => new TextEncoder().encode(value);
      for (const wrong of [undefined, text('{'), text('{"format":1}'), text('{"format":2,"storeId":"1"}')]) {
        if (wrong === undefined) await store.delete(IDENTITY_KEY);
        else await store.put(IDENTITY_KEY, wrong);
        await assert.rejects(identity.verify(), mismatch);
        await assert.rejects(remover.remove(KEY), mismatch);
        const restarted = await start({ kv, store });
        assert.equal(restarted.identity.troubles().length, 1);
        await assert.rejects(restarted.remover.remove(KEY), mismatch);
        await store.put(IDENTITY_KEY, marker);
        await restarted.remover.remove(KEY);
        assert.deepEqual(restarted.identity.troubles(), []);
        // Fenced off as a catalog by the restart; of the store it needs to know no more.
        await identity.verify();
      }
    });
  });

test('what a record and a marker say together', () => {
  const record = { storeId: 5n, state: 'owned', mustBeEmpty: true } as const;
  const claiming = { ...record, state: 'claiming' } as const;
  const absent = { is: 'absent' } as const;
  const kind = (...input: Parameters<typeof decideIdentity>) => decideIdentity(...input).kind;
  assert.equal(kind(record, { is: 'present', storeId: 5n }, undefined), 'match');
  assert.equal(kind(record, { is: 'present', storeId: 6n }, undefined), 'mismatch');
  assert.equal(kind(record, absent, undefined), 'mismatch');
  assert.equal(kind(claiming, absent, undefined), 'claim');
  assert.equal(kind(claiming, absent, KEY), 'mismatch');
  assert.equal(kind({ ...claiming, mustBeEmpty: false }, absent, KEY), 'claim');
  assert.equal(kind(claiming, { is: 'present', storeId: 5n }, KEY), 'match');
  assert.equal(kind(claiming, { is: 'present', storeId: 6n }, undefined), 'mismatch');
  assert.equal(kind(claiming, { is: 'unreadable', why: 'is damaged' }, undefined), 'mismatch');
  assert.deepEqual(decodeMarker(encodeMarker(5n)), { is: 'present', storeId: 5n });
});

test('a marker says whose the store is, or why it cannot be told', () => {
  const said = (text: string) => decodeMarker(new TextEncoder().encode(text));
  const damaged = { is: 'unreadable', why: 'is damaged' } as const;
  for (const text of [
    '',
    'null',
    '{}',
    '{"format":1}',
    '{"storeId":"5"}',
    '{"format":0,"storeId":"5"}',
    '{"format":"2","storeId":"5"}',
    '{"format":1,"storeId":5}',
    '{"format":1,"storeId":["5"]}',
    '{"format":1,"storeId":"0"}',
    '{"format":1,"storeId":"-5"}',
    '{"format":1,"storeId":" 5"}',
    '{"format":1,"storeId":"5 "}',
    '{"format":1,"storeId":"12345678901234567890"}',
  ])
    assert.deepEqual(said(text), damaged, text);
  // JSON, but for one byte that is no UTF-8.
  const almost = new TextEncoder().encode('{"format":1,"storeId":"5","x":"?"}');
  assert.equal(decodeMarker(almost).is, 'present');
  assert.deepEqual(decodeMarker(almost.map((byte) => (byte === 0x3f ? 0xff : byte))), damaged);
  assert.deepEqual(said('{"format":2,"storeId":"5"}'), {
    is: 'unreadable',
    why: 'has format 2, written by a newer Tidemark',
  });
  assert.deepEqual(said('{"format":1,"storeId":"1234567890123456789"}'), {
    is: 'present',
    storeId: 1_234_567_890_123_456_789n,
  });
});

test('a mismatch says what each side is', () => {
  const record = { storeId: 5n, state: 'owned', mustBeEmpty: true } as const;
  const why = (...input: Parameters<typeof decideIdentity>) => {
    const finding = decideIdentity(...input);
    return finding.kind === 'mismatch' ? finding.why : finding.kind;
  };
  const other = { is: 'present', storeId: 6n } as const;
  assert.equal(why(record, other, undefined), 'the catalog belongs to store 5, this is store 6');
  assert.equal(
    why({ ...record, state: 'claiming' }, other, undefined),
    'the catalog is new, this is store 6',
  );
  assert.equal(
    why(record, { is: 'absent' }, undefined),
    `the catalog belongs to store 5, this one has no object '${IDENTITY_KEY}'`,
  );
  assert.equal(
    why(record, { is: 'unreadable', why: 'is damaged' }, undefined),
    `the object '${IDENTITY_KEY}' is damaged`,
  );
});

test('a catalog of before there were identities starts over a store that fails, and takes it when it answers', async () => {
  const store = new MemoryStore(() => 0);
  const read = store.get.bind(store);
  const kv = new MemoryKv();
  await useCatalog(await Catalog.open({ kv, tables: coreTables, highWater: () => 1n }));
  store.get = () => Promise.reject(new DbError('storage-failed', 'EIO'));
  const { identity, remover } = await start({ kv, store });
  assert.match(identity.troubles().join(), /EIO/);
  assert.equal(await identity.isOverNow(), false);
  await assert.rejects(remover.remove(KEY), (error) => isDbError(error, 'storage-failed'));
  store.get = read;
  assert.equal(await identity.isOverNow(), true);
  assert.deepEqual(identity.troubles(), []);
  assert.equal(await identity.isOverNow(), false);
  assert.ok(await store.stat(IDENTITY_KEY));
  await remover.remove(KEY);
});

test('what is no answer of a store, but a bug of ours, is not taken for trouble with the store', async () => {
  const store = new MemoryStore(() => 0);
  const kv = new MemoryKv();
  await useCatalog(await Catalog.open({ kv, tables: coreTables, highWater: () => 1n }));
  const read = store.get.bind(store);
  store.get = () => Promise.reject(new TypeError('bug'));
  await assert.rejects(start({ kv, store }), TypeError);
  store.get = read;
  const { identity } = await start({ kv, store });
  await store.delete(IDENTITY_KEY);
  await assert.rejects(identity.verify(), mismatch);
  store.get = () => Promise.reject(new TypeError('bug'));
  await assert.rejects(identity.isOverNow(), TypeError);
});

test('a store that was found right is not looked at for each delete, and stays right when it does not answer for once', async () => {
  const store = new MemoryStore(() => 0);
  const { identity, remover } = await start({ kv: new MemoryKv(), store });
  const { put: write } = store;
  store.put = () => Promise.reject(new DbError('storage-failed', 'EIO'));
  await identity.verify();
  store.put = write;
  store.get = () => Promise.reject(new DbError('storage-failed', 'EIO'));
  await store.put(KEY, bytes);
  await remover.remove(KEY);
  assert.equal(await store.stat(KEY), undefined);
  await assert.rejects(identity.verify(), (error) => isDbError(error, 'storage-failed'));
  assert.deepEqual(identity.troubles(), []);
  await remover.remove(KEY);
});

test('trouble with the store is logged when it begins and when it changes', async () => {
  const logged: unknown[] = [];
  const log = { ...silentLog, error: (_event: string, fields?: object) => void logged.push(fields) };
  const store = new MemoryStore(() => 0);
  const kv = new MemoryKv();
  await start({ kv, store });
  await store.delete(IDENTITY_KEY);
  const catalog = await Catalog.open({ kv, tables: [...coreTables, ...snapshotTables], highWater: () => 1n });
  const parts = { catalog, store, clock: new ManualClock(), random: seededRandom(1), log };
  const identity = new StoreIdentity(parts);
  for (let i = 0; i < 3; i++) await assert.rejects(identity.verify(), mismatch);
  assert.equal(logged.length, 1);
  await store.put(IDENTITY_KEY, Uint8Array.of(0));
  await assert.rejects(identity.verify(), mismatch);
  assert.equal(logged.length, 2);
  assert.match(identity.troubles().join(), /^catalog and object store do not belong together: the object/);
});

for (const effect of ['before', 'after'] as const)
  test(`a crash ${effect} any write of the first start is no mismatch`, async () => {
    for (let at = 1; ; at++) {
      const disk = new Disk();
      disk.plan({ at, kind: 'crash', effect });
      await start({ kv: disk.kv(), store: disk.store() }).catch(() => undefined);
      const { hit } = disk;
      disk.plan(undefined);
      const { identity, catalog } = await start({ kv: disk.kv(), store: disk.store() }, 2);
      assert.deepEqual(identity.troubles(), []);
      assert.equal(catalog.get(storeIdentities, 'store')?.state, 'owned');
      if (!hit) {
        assert.ok(at > 4);
        return;
      }
    }
  });

test('with the wrong store the server starts and serves, deletes nothing, says so in health, and goes on when the right one is back', async () => {
  let world = await World.withRows(2);
  await world.create();
  const marker = await world.disk.memoryStore.get(IDENTITY_KEY);
  await world.disk.memoryStore.delete(IDENTITY_KEY);
  world = await world.restart();
  await world.create('more');
  assert.match(world.service.troubles().join(), /Nothing is deleted/);
  const signal = new AbortController().signal;
  await assert.rejects(world.service.collectGarbage(signal), mismatch);
  await assert.rejects(async () => {
    for await (const _ of world.service.planGarbage(signal)) assert.fail('planned');
  }, mismatch);
  const before = await world.disk.keys();
  await world.service.dropSnapshot(source, 'snap');
  assert.deepEqual(world.service.listSnapshots(source), ['more']);
  assert.deepEqual(await world.disk.keys(), before);
  await world.disk.memoryStore.put(IDENTITY_KEY, marker);
  await world.service.collectGarbage(signal);
  assert.deepEqual(world.service.troubles(), []);
  await world.assertClean();
  await world.stop();
});

test('no start and no stop waits for a store that hangs; a drop hears of it', async () => {
  let world = await World.withRows(1);
  await world.create();
  const { memoryStore, clock } = world.disk;
  const read = memoryStore.get.bind(memoryStore);
  memoryStore.get = () => new Promise(() => undefined);
  world = await world.restart();
  let isDropped = false;
  const drop = world.service.dropSnapshot(source, 'snap').then(() => {
    isDropped = true;
  });
  await settle();
  assert.equal(isDropped, false);
  await clock.advance(30_000);
  await drop;
  assert.match(world.service.troubles().join(), /does not answer: no answer within 30000 ms/);
  const pass = assert.rejects(world.service.collectGarbage(never()), (error) =>
    isDbError(error, 'storage-failed'),
  );
  await settle();
  await world.stop();
  await clock.advance(30_000);
  await pass;
  memoryStore.get = read;
  world = await World.open(world.disk);
  await settle();
  assert.deepEqual(world.service.troubles(), []);
  await world.assertClean();
  await world.stop();
});

test('a store that does not answer for a while is healthy again soon after it does, and garbage is collected', async () => {
  let world = await World.withRows(1);
  await world.create();
  await world.disk.memoryStore.put('segments/1/2/999/rows.parquet', bytes);
  const { memoryStore, clock } = world.disk;
  const read = memoryStore.get.bind(memoryStore);
  memoryStore.get = () => Promise.reject(new DbError('storage-failed', 'EIO'));
  world = await world.restart({ missingToleranceMs: 0 });
  await settle();
  assert.match(world.service.troubles().join(), /nothing is deleted: the object store does not answer: EIO/);
  memoryStore.get = read;
  await clock.advance(60_000);
  await settle();
  assert.deepEqual(world.service.troubles(), []);
  await world.assertClean();
  await world.stop();
});
