import assert from 'node:assert/strict';
import { test } from 'node:test';
import { settle, until } from '../../../tests/heart/manual-clock.ts';
import { source, World } from '../../../tests/heart/world.ts';
import { put } from '../../catalog/catalog.ts';
import { DbError, isDbError } from '../../errors/db-error.ts';
import type { SnapshotId } from '../../model/ids.ts';
import type { ObjectPart } from '../../storage/check-object.ts';
import { snapshotManifestKey, snapshotMetadataKey } from '../../storage/keys.ts';
import { seededRandom } from '../../support/random.ts';
import type { SnapshotAt, VerifyStep } from '../admin-api.ts';
import { segments } from '../tables.ts';
import { KnownDamage } from './damage.ts';
import { SnapshotLookup } from './lookup.ts';
import { Pins } from './pins.ts';
import { pins, snapshots } from './record.ts';
import { SnapshotVerifier } from './verify.ts';

const snap: SnapshotAt = { at: source, name: 'snap' };
type Problem = Extract<VerifyStep, { kind: 'problem' }>;
type End = Extract<VerifyStep, { kind: 'end' }>;

/** All steps of a verification, with time going on where a failing store is tried again. */
async function verify(world: World, fraction = 1, at = snap) {
  const steps: VerifyStep[] = [];
  let isOver = false;
  const reading = (async () => {
    for await (const step of world.service.verifySnapshot(at, fraction, new AbortController().signal))
      steps.push(step);
  })().finally(() => {
    isOver = true;
  });
  reading.catch(() => undefined);
  for (let turns = 0; !isOver && turns < 300; turns++) {
    await settle(2);
    if (turns > 20) await world.disk.clock.advance(100);
  }
  await reading;
  const problems = steps.filter((step): step is Problem => step.kind === 'problem');
  const end = steps.at(-1) as End;
  assert.equal(end.kind, 'end');
  assert.equal(end.problems, problems.length);
  return { steps, problems, end };
}

async function flip(world: World, key: string): Promise<void> {
  const bytes = await world.disk.memoryStore.get(key);
  bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] as number) ^ 1;
  await world.disk.memoryStore.put(key, bytes);
}
const cut = async (world: World, key: string): Promise<void> => {
  await world.disk.memoryStore.put(key, (await world.disk.memoryStore.get(key)).slice(0, -1));
};
const kinds = (problems: readonly Problem[]) =>
  problems.map(({ key, object, problem }) => [key, object, problem]).sort();

test('verify reads every object and finds nothing wrong with a whole snapshot', async () => {
  const world = await World.withRows(3);
  await world.create();
  const report = await world.service.snapshotReport(snap);
  const { problems, end } = await verify(world);
  assert.deepEqual(problems, []);
  // Metadata, a manifest, and of each segment rows, statistics, deletes and an index.
  assert.deepEqual([end.objects, end.totalObjects, report.content?.fileCount], [14, 14, 14]);
  assert.deepEqual([end.bytes, end.totalBytes], [report.sizeBytes, report.sizeBytes]);
  assert.equal(world.catalog.count(pins), 0);
  await world.stop();
});

test('verify names each missing, short, long or corrupt object with its kind and segment, and never stops at the first', async () => {
  const world = await World.withRows(3);
  await world.create();
  const [a, b, c] = world.catalog.find(segments, 'collection', world.find(source).collectionId);
  const key = (segment: typeof a, kind: string) => segment!.files.find((file) => file.kind === kind)!.key;
  const { memoryStore } = world.disk;
  await memoryStore.delete(key(a, 'rows'));
  await cut(world, key(b, 'stats'));
  await memoryStore.put(key(b, 'deletes'), new Uint8Array(1000));
  const index = c!.indexes[0]!.file.key;
  await flip(world, index);
  const { problems, end } = await verify(world);
  assert.deepEqual(
    kinds(problems),
    [
      [key(a, 'rows'), 'rows', 'missing'],
      [key(b, 'stats'), 'stats', 'short'],
      [key(b, 'deletes'), 'deletes', 'long'],
      [index, 'index', 'corrupt'],
    ].sort(),
  );
  for (const { key: named, detail, segmentId } of problems) {
    assert.ok(detail.includes(named), detail);
    assert.ok(named.includes(`/${segmentId}/`));
  }
  assert.deepEqual([end.objects, end.totalObjects], [11, 14]);
  const [shown] = world.service.snapshotReports('', '');
  assert.ok(shown?.damage?.includes('the first of 4 problems'));
  await world.stop();
});

test('verify says of metadata and manifests what is wrong with them, and looks at everything else', async () => {
  for (const [spoil, problem] of [
    [(world: World, key: string) => world.disk.memoryStore.delete(key), 'missing'],
    [cut, 'short'],
    [flip, 'corrupt'],
  ] as const) {
    const world = await World.withRows(1);
    for (let i = 0; i < 520; i++)
      await world.addSegment(
        world.find(source),
        world.catalog.find(segments, 'state', 'flushed')[0]!.partitionId,
        `x${i}`,
      );
    const snapshotId = await world.create();
    const { collectionId } = world.find(source);
    const manifest = snapshotManifestKey(collectionId, snapshotId, 0);
    await spoil(world, manifest);
    const last = world.catalog.find(segments, 'collection', collectionId).at(-1)!.files[0]!.key;
    await cut(world, last);
    const found = await verify(world);
    assert.deepEqual(
      kinds(found.problems),
      [
        [last, 'rows', 'short'],
        [manifest, 'manifest', problem],
      ].sort(),
    );
    // Metadata, two manifests, and the nine segments of the second.
    assert.deepEqual([found.end.totalObjects, found.end.objects], [3 + 27, 3 + 27 - 2]);
    const metadata = snapshotMetadataKey(collectionId, snapshotId);
    await spoil(world, metadata);
    assert.deepEqual(kinds((await verify(world)).problems), [[metadata, 'metadata', problem]]);
    await world.stop();
  }
});

test('verify of a part reads that part of the data objects, chosen by chance, and looks for every one', async () => {
  const world = await World.withRows(25);
  await world.create();
  const read = new Set<string>();
  const { memoryStore } = world.disk;
  const inner = memoryStore.getRange.bind(memoryStore);
  memoryStore.getRange = (key, offset, length) => {
    read.add(key);
    return inner(key, offset, length);
  };
  const { problems, end } = await verify(world, 0.05);
  assert.deepEqual([problems.length, end.objects, end.totalObjects, read.size], [0, 2 + 5, 102, 5]);
  assert.ok(end.bytes < end.totalBytes);
  const first = [...read];
  read.clear();
  await verify(world, 0.05);
  assert.notDeepEqual([...read], first);
  // One that is not read is still missed, and so is one byte.
  const all = world.catalog.find(segments, 'collection', world.find(source).collectionId);
  await memoryStore.delete(all[3]!.files[0]!.key);
  await cut(world, all[4]!.files[1]!.key);
  assert.deepEqual((await verify(world, 0.001)).problems.map(({ problem }) => problem).sort(), [
    'missing',
    'short',
  ]);
  for (const wrong of [0, -1, 1.01, Number.NaN])
    await assert.rejects(verify(world, wrong), (error) => isDbError(error, 'parameter-invalid'));
  await world.stop();
});

test('an object that the store fails to read is tried again, then named as unreadable', async () => {
  const world = await World.withRows(2);
  await world.create();
  const { files } = world.catalog.find(segments, 'state', 'flushed')[0]!;
  const { memoryStore } = world.disk;
  const [once, always] = [files[0]!.key, files[1]!.key];
  let failures = 0;
  const inner = memoryStore.getRange.bind(memoryStore);
  memoryStore.getRange = (key, offset, length) => {
    if (key === always || (key === once && failures++ === 0))
      return Promise.reject(new DbError('storage-failed', `object '${key}': EIO`));
    return inner(key, offset, length);
  };
  const { problems, end } = await verify(world);
  assert.deepEqual(kinds(problems), [[always, 'stats', 'unreadable']]);
  assert.deepEqual([end.objects, end.totalObjects], [9, 10]);
  await world.stop();
});

test('a store that fails for now is no damage: what was known before stays, nothing is added', async () => {
  const world = await World.withRows(2);
  await world.create();
  const shown = () => world.service.snapshotReports('', '')[0]?.damage;
  const { files } = world.catalog.find(segments, 'state', 'flushed')[0]!;
  const { memoryStore } = world.disk;
  const inner = { get: memoryStore.get.bind(memoryStore), range: memoryStore.getRange.bind(memoryStore) };
  const failing = (key: string) => Promise.reject(new DbError('storage-failed', `object '${key}': EIO`));
  const heal = () => {
    memoryStore.get = inner.get;
    memoryStore.getRange = inner.range;
  };
  memoryStore.getRange = failing;
  assert.equal((await verify(world)).problems.length, 8);
  assert.equal(shown(), undefined);
  memoryStore.get = failing;
  assert.deepEqual(
    (await verify(world)).problems.map(({ problem }) => problem),
    ['unreadable'],
  );
  assert.equal(shown(), undefined);
  heal();
  await flip(world, files[0]!.key);
  await verify(world);
  assert.match(shown() ?? '', /is not what was written/);
  memoryStore.getRange = failing;
  await verify(world);
  assert.match(shown() ?? '', /is not what was written/);
  heal();
  await flip(world, files[0]!.key);
  await verify(world);
  assert.equal(shown(), undefined);
  await world.stop();
});

test('a verification that is called off ends though the store never answers, and holds nothing', async () => {
  const world = await World.withRows(1);
  await world.create();
  const { memoryStore } = world.disk;
  const inner = memoryStore.get.bind(memoryStore);
  memoryStore.get = () => new Promise(() => undefined);
  const stop = new AbortController();
  let ended: unknown;
  const reading = (async () => {
    for await (const step of world.service.verifySnapshot(snap, 1, stop.signal)) assert.ok(step);
  })().catch((error: unknown) => {
    ended = error;
  });
  await settle();
  assert.equal(world.catalog.count(pins), 1);
  const gone = new DbError('cancelled', 'the client is gone');
  stop.abort(gone);
  await settle(20);
  assert.equal(ended, gone);
  await reading;
  assert.equal(world.catalog.count(pins), 0);
  memoryStore.get = inner;
  await world.stop();
});

test('an object that several segments list is read once', async () => {
  const world = await World.withRows(2);
  const { collectionId } = world.find(source);
  const [a, b] = world.catalog.find(segments, 'collection', collectionId);
  await world.catalog.commitSure([put(segments, { ...b!, files: [...b!.files, a!.files[0]!] }, b)]);
  await world.create();
  const read: string[] = [];
  const { memoryStore } = world.disk;
  const inner = memoryStore.getRange.bind(memoryStore);
  memoryStore.getRange = (key, offset, length) => {
    read.push(key);
    return inner(key, offset, length);
  };
  const { end } = await verify(world);
  assert.equal(read.length, new Set(read).size);
  assert.deepEqual([end.objects, end.totalObjects], [10, 10]);
  assert.equal((await world.service.snapshotReport(snap)).content?.fileCount, 10);
  await world.stop();
});

test('R25: a snapshot is not dropped while it is verified, and can be as soon as that ends or is aborted', async () => {
  for (const how of ['end', 'abort', 'break'] as const) {
    const world = await World.withRows(2);
    await world.create();
    await flip(world, world.catalog.find(segments, 'state', 'flushed')[0]!.files[0]!.key);
    const stop = new AbortController();
    const steps = world.service.verifySnapshot(snap, 1, stop.signal)[Symbol.asyncIterator]();
    assert.equal((await steps.next()).value?.kind, 'problem');
    assert.deepEqual(
      world.service.snapshotReports('', '')[0]?.pins.map(({ owner }) => owner),
      ['verification'],
    );
    await assert.rejects(
      world.service.dropSnapshot(source, 'snap'),
      (error) => isDbError(error, 'snapshot-pinned') && error.message.includes('verification'),
    );
    if (how === 'end') assert.equal((await steps.next()).value?.kind, 'end');
    if (how === 'end') assert.equal((await steps.next()).done, true);
    if (how === 'break') await steps.return?.(undefined);
    if (how === 'abort') {
      stop.abort(new DbError('cancelled', 'not needed'));
      await assert.rejects(steps.next(), /not needed/);
    }
    assert.equal(world.catalog.count(pins), 0);
    await world.service.dropSnapshot(source, 'snap');
    await world.stop();
  }
});

test('R25: a verification puts the end of its hold off as it goes on; after a crash the hold runs out', async () => {
  let world = await World.withRows(2);
  await world.create();
  const stalled: (() => void)[] = [];
  const { memoryStore } = world.disk;
  const inner = memoryStore.getRange.bind(memoryStore);
  memoryStore.getRange = async (key, offset, length) => {
    await new Promise<void>((go) => stalled.push(go));
    return inner(key, offset, length);
  };
  const steps = world.service.verifySnapshot(snap, 1, new AbortController().signal)[Symbol.asyncIterator]();
  for (let minutes = 0; minutes < 5; minutes++) {
    // Somebody follows it: a progress step comes every quarter of a second.
    for (let i = 0; i < 4; i++) {
      const next = steps.next();
      await world.disk.clock.advance(20_000);
      assert.equal((await next).value?.kind, 'progress');
    }
    await assert.rejects(world.service.dropSnapshot(source, 'snap'), (e) => isDbError(e, 'snapshot-pinned'));
  }
  memoryStore.getRange = inner;
  world = await world.restart();
  for (const go of stalled) go();
  await assert.rejects(world.service.dropSnapshot(source, 'snap'), (e) => isDbError(e, 'snapshot-pinned'));
  await world.disk.clock.advance(61_000);
  await world.service.dropSnapshot(source, 'snap');
  assert.deepEqual([world.catalog.count(snapshots), world.catalog.count(pins)], [0, 0]);
  await world.stop();
});

test('a verification that nobody followed for so long that its snapshot was dropped says that, and no problems', async () => {
  const world = await World.withRows(2);
  await world.create();
  const { key } = world.catalog.find(segments, 'state', 'flushed')[0]!.files[0]!;
  const stalled: (() => void)[] = [];
  const { memoryStore } = world.disk;
  const inner = memoryStore.getRange.bind(memoryStore);
  memoryStore.getRange = async (at, offset, length) => {
    await new Promise<void>((go) => stalled.push(go));
    return inner(at, offset, length);
  };
  const steps = world.service.verifySnapshot(snap, 1, new AbortController().signal)[Symbol.asyncIterator]();
  const first = steps.next();
  await settle();
  await world.disk.clock.advance(1000);
  assert.equal((await first).value?.kind, 'progress');
  await world.disk.clock.advance(61_000);
  await world.service.dropSnapshot(source, 'snap');
  await memoryStore.delete(key);
  memoryStore.getRange = inner;
  for (const go of stalled) go();
  await settle();
  await assert.rejects(steps.next(), (error) => isDbError(error, 'snapshot-not-found'));
  await world.stop();
});

test('an aborted verification ends soon, whatever it waits for', async () => {
  const world = await World.withRows(2);
  await world.create();
  const { memoryStore } = world.disk;
  memoryStore.get = () => Promise.reject(new DbError('storage-failed', 'EIO'));
  const stop = new AbortController();
  const steps = world.service.verifySnapshot(snap, 1, stop.signal)[Symbol.asyncIterator]();
  const next = steps.next();
  next.catch(() => undefined);
  await until(() => world.catalog.count(pins) === 1, 'pinned');
  await settle();
  stop.abort(new DbError('cancelled', 'enough'));
  await assert.rejects(next, /enough/);
  assert.equal(world.catalog.count(pins), 0);
  await world.stop();
});

test('a complete verification that finds nothing takes back what an earlier one has said', async () => {
  const world = await World.withRows(1);
  await world.create();
  const { key } = world.catalog.find(segments, 'state', 'flushed')[0]!.files[0]!;
  await flip(world, key);
  await verify(world);
  assert.ok(world.service.snapshotReports('', '')[0]?.damage?.includes(key));
  await flip(world, key);
  await verify(world, 0.5);
  assert.notEqual(world.service.snapshotReports('', '')[0]?.damage, undefined);
  await verify(world);
  assert.equal(world.service.snapshotReports('', '')[0]?.damage, undefined);
  await assert.rejects(verify(world, 1, { at: source, name: 'none' }), (e) =>
    isDbError(e, 'snapshot-not-found'),
  );
  await world.stop();
});

test('a snapshot of a newer format is named as unreadable, with the version', async () => {
  const world = await World.withRows(1);
  const snapshotId: SnapshotId = await world.create();
  const record = world.catalog.get(snapshots, snapshotId)!;
  const { memoryStore } = world.disk;
  const text = new TextDecoder().decode(await memoryStore.get(record.metadataKey));
  const newer = new TextEncoder().encode(text.replace('"format_version":1', '"format_version":9'));
  const { crc32 } = await memoryStore.put(record.metadataKey, newer);
  await world.catalog.commitSure([put(snapshots, { ...record, metadataCrc32: crc32 }, record)]);
  const { problems } = await verify(world);
  assert.deepEqual(kinds(problems), [[record.metadataKey, 'metadata', 'unreadable']]);
  assert.match(problems[0]!.detail, /format version 9 is too new.*please upgrade/);
  await world.stop();
});

test('a large object is summed up part by part, and progress steps tell how far it is', async () => {
  const world = await World.withRows(1);
  const [segment] = world.catalog.find(segments, 'state', 'flushed');
  const sizeBytes = 300 * 2 ** 20;
  const large = { ...segment!.files[0]!, sizeBytes, crc32: 10 };
  await world.catalog.commitSure([put(segments, { ...segment!, files: [large], indexes: [] }, segment)]);
  await world.create();
  const { catalog, disk } = world;
  const random = seededRandom(1);
  const lookup = new SnapshotLookup(catalog, {
    requireCollection: (at) => world.find(at),
    requireDatabase: () => assert.fail(),
    checkCollectionName: () => undefined,
    requireRoom: () => undefined,
  });
  const asked: ObjectPart[] = [];
  const verifier = new SnapshotVerifier({
    catalog,
    store: disk.store(),
    clock: disk.clock,
    random,
    pins: new Pins(catalog, disk.clock, random),
    lookup,
    damage: new KnownDamage(catalog),
    checker: {
      check: async (parts) => {
        await settle(1);
        asked.push(...parts);
        // Each part adds one to the sum.
        return parts.map((part) => ({ kind: 'read' as const, crc32: part.crc32 + 1 }));
      },
    },
  });
  const steps: VerifyStep[] = [];
  for await (const step of verifier.verify(snap, 1, new AbortController().signal)) steps.push(step);
  assert.equal(
    asked.reduce((sum, { length }) => sum + length, 0),
    sizeBytes,
  );
  for (const [i, { offset, crc32, length }] of asked.entries()) {
    assert.ok(length <= 32 * 2 ** 20);
    assert.deepEqual([offset, crc32], [i * 32 * 2 ** 20, i]);
  }
  const shown = steps.flatMap((step) => (step.kind === 'progress' ? [step.bytes] : []));
  assert.equal(shown.length, 4);
  for (const [i, bytes] of shown.entries()) assert.ok(bytes - (shown[i - 1] ?? 0) >= 64 * 2 ** 20);
  const end = steps.at(-1);
  assert.ok(end?.kind === 'end' && end.problems === 0 && end.bytes === end.totalBytes);
  await world.stop();
});
