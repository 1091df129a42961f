import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock, settle } from '../../../tests/heart/manual-clock.ts';
import { Catalog, put } from '../../catalog/catalog.ts';
import { MemoryKv } from '../../catalog/memory.ts';
import { DbError } from '../../errors/db-error.ts';
import type { CollectionId, PinId, SnapshotId } from '../../model/ids.ts';
import { snapshotManifestKey, snapshotManifestsPrefix, snapshotMetadataKey } from '../../storage/keys.ts';
import { seededRandom } from '../../support/random.ts';
import { collections, coreTables } from '../tables.ts';
import { Pins } from './pins.ts';
import { pins, type SnapshotRecord, snapshots } from './record.ts';
import { SnapshotRemoval } from './removal.ts';

const collectionId = 1n as CollectionId;
const snapshotId = 2n as SnapshotId;
const metadataKey = snapshotMetadataKey(collectionId, snapshotId);

/** One snapshot with three manifests; what is done to the store and to the references is written down, and may be held up or fail. */
async function world(state: SnapshotRecord['state'], more: Partial<SnapshotRecord> = {}) {
  const tables = [...coreTables, snapshots, pins];
  const catalog = await Catalog.open({ kv: new MemoryKv(), tables, highWater: () => 0n });
  const record = {
    snapshotId,
    collectionId,
    name: 'snap',
    state,
    metadataKey,
    manifestCount: 3,
    ...more,
  } as SnapshotRecord;
  await catalog.commitSure([put(snapshots, record, undefined)]);
  const done: string[] = [];
  const warned: string[] = [];
  const clock = new ManualClock();
  const at = { work: (): Promise<void> => Promise.resolve() };
  const parts = {
    catalog,
    clock,
    pins: new Pins(catalog, clock, seededRandom(1)),
    references: { remove: () => Promise.resolve(void done.push('references')) },
    remover: {
      removeKeys: async (keys: readonly string[], signal: AbortSignal) => {
        done.push(...keys);
        await at.work();
        signal.throwIfAborted();
      },
      removeBelow: (prefix: string) => Promise.resolve(void done.push(prefix)),
    },
    log: { warn: (event: string) => void warned.push(event) },
  };
  const removal = new SnapshotRemoval(parts as unknown as ConstructorParameters<typeof SnapshotRemoval>[0]);
  return { catalog, clock, removal, record, done, warned, at, now: () => catalog.get(snapshots, snapshotId) };
}

const manifest = (n: number) => snapshotManifestKey(collectionId, snapshotId, n);
const failing = () => Promise.reject(new DbError('storage-failed', 'EIO'));

test('a drop that lost the race with a pin leaves the snapshot its references', async () => {
  const { catalog, removal, record, done, now } = await world('committed');
  await catalog.commitSure([put(snapshots, { ...record }, record)]);
  assert.equal(await removal.markDeleting(record), 'stale');
  assert.deepEqual([done, now()?.state], [[], 'committed']);
  assert.equal(await removal.markDeleting(now()!), 'committed');
  assert.deepEqual([done, now()?.state], [['references'], 'deleting']);
});

test('a deleting snapshot goes metadata first, then the manifests from the last to the first, then its pins and its record', async () => {
  const { catalog, removal, done, now } = await world('deleting');
  const pin = { pinId: 9n as PinId, snapshotId, owner: { kind: 'user' }, createdAtMs: 0 } as never;
  await catalog.commitSure([put(pins, pin, undefined)]);
  await removal.finish(snapshotId);
  assert.deepEqual(done, [metadataKey, manifest(2), manifest(1), manifest(0)]);
  assert.deepEqual([now(), catalog.count(pins)], [undefined, 0]);
});

test('of a create that did not store how many manifests there are, whatever lies below goes', async () => {
  const { removal, done, now } = await world('deleting', { metadataKey: '', manifestCount: 0 });
  await removal.finish(snapshotId);
  assert.deepEqual(done, [metadataKey, snapshotManifestsPrefix(collectionId, snapshotId)]);
  assert.equal(now(), undefined);
});

test('a removal that is asked for twice runs once; asked for again later it finds nothing to do', async () => {
  const { removal, done, at } = await world('deleting');
  let goOn: () => void = () => undefined;
  at.work = () => new Promise<void>((resolve) => (goOn = resolve));
  const both = Promise.all([removal.finish(snapshotId), removal.finish(snapshotId)]);
  await settle();
  at.work = () => Promise.resolve();
  goOn();
  await both;
  await removal.finish(snapshotId);
  assert.equal(done.filter((key) => key === metadataKey).length, 1);
});

test('of what is not deleting nothing is removed, no pin either', async () => {
  for (const state of ['pending', 'committed'] as const) {
    const { catalog, removal, done, now } = await world(state);
    const pin = { pinId: 9n as PinId, snapshotId, owner: { kind: 'user' }, createdAtMs: 0 } as never;
    await catalog.commitSure([put(pins, pin, undefined)]);
    await removal.finish(snapshotId);
    assert.deepEqual([done, now()?.state, catalog.count(pins)], [[], state, 1]);
  }
});

test('objects that cannot be deleted keep the record, and are tried again by the next round', async () => {
  const { removal, at, now, warned } = await world('deleting');
  at.work = failing;
  await removal.finish(snapshotId);
  assert.deepEqual([now()?.state, warned], ['deleting', ['snapshot-files-not-removed']]);
  at.work = () => Promise.resolve();
  await removal.pass();
  assert.deepEqual([now(), warned.length], [undefined, 1]);
});

test('whoever drops waits a short while, and what is left goes behind his back', async () => {
  const { removal, at, clock, now } = await world('deleting');
  let goOn: () => void = () => undefined;
  at.work = () => new Promise<void>((resolve) => (goOn = resolve));
  let hasAnswer = false;
  const soon = removal.finishSoon([snapshotId]).then(() => {
    hasAnswer = true;
  });
  await clock.advance(49);
  assert.equal(hasAnswer, false);
  await clock.advance(1);
  await soon;
  assert.equal(now()?.state, 'deleting');
  let isSettled = false;
  const settled = removal.settled().then(() => {
    isSettled = true;
  });
  await settle();
  assert.equal(isSettled, false);
  at.work = () => Promise.resolve();
  goOn();
  await settled;
  assert.equal(now(), undefined);
});

test('after close no further object is removed, and nobody is told of a failure', async () => {
  const { removal, done, warned, now } = await world('deleting');
  removal.close();
  await removal.finish(snapshotId);
  assert.deepEqual([done, now()?.state, warned], [[metadataKey], 'deleting', []]);
});

test('a pending snapshot is left alone while its create is at work, and taken away after it', async () => {
  const { removal, now } = await world('pending');
  await removal.keeping(snapshotId, async () => {
    assert.equal(removal.isCreating(snapshotId), true);
    await removal.pass();
    assert.equal(now()?.state, 'pending');
  });
  assert.equal(removal.isCreating(snapshotId), false);
  await removal.pass();
  assert.equal(now(), undefined);
  await assert.rejects(removal.keeping(snapshotId, failing));
  assert.equal(removal.isCreating(snapshotId), false);
});

test('a create that failed takes its pending snapshot away, and never one that was committed', async () => {
  for (const [state, left] of [
    ['pending', undefined],
    ['deleting', undefined],
    ['committed', 'committed'],
  ] as const) {
    const { removal, now, done } = await world(state);
    await removal.abandon(snapshotId);
    assert.equal(now()?.state, left);
    assert.equal(done.includes('references'), state === 'pending');
  }
  const { removal } = await world('committed');
  await removal.abandon(77n as SnapshotId);
});

test('a pending snapshot whose record changes while it is taken away goes all the same', async () => {
  const { catalog, removal, now } = await world('pending');
  const commit = catalog.commit.bind(catalog);
  let isFirst = true;
  catalog.commit = async (changes) => {
    if (isFirst) {
      isFirst = false;
      await commit([put(snapshots, { ...now()! }, now())]);
    }
    return commit(changes);
  };
  await removal.abandon(snapshotId);
  assert.equal(now(), undefined);
});

test('a failed create is told its own error, not that its leftovers could not be taken away', async () => {
  const { catalog, removal, warned, now } = await world('pending');
  catalog.commit = failing;
  await removal.abandonFailed(snapshotId);
  assert.deepEqual([warned, now()?.state], [['pending-snapshot-left'], 'pending']);
});

test('only a committed snapshot whose collection is gone and that nobody holds has outlived it', async () => {
  for (const state of ['pending', 'committed', 'deleting'] as const) {
    const { removal, record } = await world(state);
    assert.equal(removal.hasOutlived(record), state === 'committed');
  }
  const { catalog, removal, record } = await world('committed');
  const pin = { pinId: 9n as PinId, snapshotId, owner: { kind: 'user' }, createdAtMs: 0 } as never;
  await catalog.commitSure([put(pins, pin, undefined)]);
  assert.equal(removal.hasOutlived(record), false);
  await removal.dropAllOf(collectionId);
  await removal.pass();
  assert.equal(catalog.get(snapshots, snapshotId)?.state, 'committed');
  const other = await world('committed');
  const collection = { collectionId, name: 'words', databaseId: 1n } as never;
  await other.catalog.commitSure([put(collections, collection, undefined)]);
  assert.equal(other.removal.hasOutlived(other.record), false);
});

test('the drop of a collection takes its committed snapshots, and leaves one that is being created to its create', async () => {
  for (const [state, left] of [
    ['committed', undefined],
    ['pending', 'pending'],
  ] as const) {
    const { removal, now } = await world(state);
    await removal.dropAllOf(collectionId);
    assert.equal(now()?.state, left);
  }
});
