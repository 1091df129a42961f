import assert from 'node:assert/strict';
import { test } from 'node:test';
import { source, World } from '../../../tests/heart/world.ts';
import { type Change, remove } from '../../catalog/catalog.ts';
import { isDbError } from '../../errors/db-error.ts';
import type { Random } from '../../support/random.ts';
import { collections } from '../tables.ts';
import { freesSnapshot, Pins } from './pins.ts';
import { pins, snapshots } from './record.ts';

test('pins have random positive 63-bit ids', async () => {
  const world = await World.withRows(1);
  await world.create();
  const ids = new Set<bigint>();
  for (let i = 0; i < 64; i++) ids.add(await world.service.pinSnapshot(source, 'snap', 0));
  assert.equal(ids.size, 64);
  for (const id of ids) assert.ok(id > 0n && id < 2n ** 63n);
  const large = [...ids].filter((id) => id >= 2n ** 62n).length;
  assert.ok(large > 10 && large < 54, `${large} in the upper half`);
  await world.stop();
});

test('pins are listed with owner, snapshot, collection and times, oldest first, and survive a restart', async () => {
  let world = await World.withRows(1);
  const snapshotId = await world.create();
  const { clock } = world.disk;
  const createdAtMs = clock.nowMs();
  const first = await world.service.pinSnapshot(source, 'snap', 60, 'ada');
  await clock.advance(1000);
  const second = await world.service.pinSnapshot(source, 'snap', 0);
  const common = { snapshotId, snapshotName: 'snap', databaseName: 'default', collectionName: 'words' };
  const expected = [
    { pinId: first, ...common, owner: 'ada', createdAtMs, expiresAtMs: createdAtMs + 60_000 },
    { pinId: second, ...common, owner: 'user', createdAtMs: createdAtMs + 1000 },
  ];
  assert.deepEqual(world.service.listPins(), expected);
  world = await world.restart();
  assert.deepEqual(world.service.listPins(), expected);
  assert.equal(world.service.snapshotStats().pins, 2);
  await world.stop();
});

test('a pin never takes the id of another one', async () => {
  const world = await World.withRows(1);
  await world.create();
  const pinId = await world.service.pinSnapshot(source, 'snap', 0);
  const drawn = [pinId, pinId, 77n];
  const random = { positiveInt64: () => drawn.shift() ?? 0n } as unknown as Random;
  const [snapshot] = world.catalog.all(snapshots);
  const pinning = new Pins(world.catalog, world.disk.clock, random).pinning(snapshot!, { kind: 'user' }, 0);
  assert.equal(pinning.pinId, 77n);
  await world.stop();
});

test('the end of a pin frees a snapshot that has outlived its collection, and no other change does', async () => {
  const world = await World.withRows(1);
  await world.create();
  await world.service.pinSnapshot(source, 'snap', 0);
  const { catalog } = world;
  const [pin] = catalog.all(pins);
  const [snapshot] = catalog.all(snapshots);
  const ended = { table: pins, was: pin, is: undefined } as Change;
  assert.equal(freesSnapshot(catalog, ended), false);
  await catalog.commitSure([remove(collections, world.find(source))]);
  assert.equal(freesSnapshot(catalog, ended), true);
  assert.equal(freesSnapshot(catalog, { table: pins, was: undefined, is: pin } as Change), false);
  assert.equal(freesSnapshot(catalog, { table: pins, was: pin, is: pin } as Change), false);
  assert.equal(freesSnapshot(catalog, { table: snapshots, was: snapshot, is: undefined } as Change), false);
  const ofNone = { ...pin, snapshotId: 12_345n };
  assert.equal(freesSnapshot(catalog, { ...ended, was: ofNone } as Change), false);
  await world.stop();
});

test('a pin whose time is over is invisible at once, and forgotten later', async () => {
  const world = await World.withRows(1);
  await world.create();
  await world.service.pinSnapshot(source, 'snap', 60);
  await world.disk.clock.jump(60_000);
  assert.equal(world.service.listPins().length, 1);
  await world.service.collector.pass();
  assert.equal(world.catalog.count(pins), 1);
  await world.disk.clock.jump(1);
  assert.deepEqual([world.service.listPins(), world.service.snapshotStats().pins], [[], 0]);
  assert.equal(world.catalog.count(pins), 1);
  await world.service.collector.pass();
  assert.equal(world.catalog.count(pins), 0);
  await world.service.dropSnapshot(source, 'snap');
  await world.stop();
});

test('drop is refused with active pins, code 2601, until the last one is released; releasing twice, and dropping twice, is no error', async () => {
  const world = await World.withRows(1);
  await world.create();
  const ids = [
    await world.service.pinSnapshot(source, 'snap', 0),
    await world.service.pinSnapshot(source, 'snap', 0),
  ];
  for (const id of ids) {
    await assert.rejects(
      world.service.dropSnapshot(source, 'snap'),
      (e) => isDbError(e, 'snapshot-pinned') && e.message.includes('active pins exist'),
    );
    await world.service.unpinSnapshot(id);
    await world.service.unpinSnapshot(id);
  }
  await world.service.dropSnapshot(source, 'snap');
  await world.service.dropSnapshot(source, 'snap');
  assert.equal(world.catalog.count(snapshots), 0);
  await world.assertClean();
  await world.stop();
});

test('a drop of the collection takes its snapshots along; a pinned one outlives it and goes when the pin ends', async () => {
  for (const how of ['release', 'time'] as const) {
    const world = await World.withRows(2);
    await world.create('free');
    await world.create('held');
    const pinId = await world.service.pinSnapshot(source, 'held', how === 'time' ? 3600 : 0);
    await world.dropCollection(source);
    assert.deepEqual(
      [...world.catalog.all(snapshots)].map(({ name, state }) => [name, state]),
      [['held', 'committed']],
    );
    if (how === 'release') await world.service.unpinSnapshot(pinId);
    await world.disk.clock.jump(4 * 3_600_000);
    await world.service.collector.pass();
    assert.deepEqual([world.catalog.count(snapshots), world.catalog.count(pins)], [0, 0]);
    assert.deepEqual(await world.disk.keys(), []);
    await world.stop();
  }
});
