import assert from 'node:assert/strict';
import { test } from 'node:test';
import { source, World } from '../../../tests/heart/world.ts';
import { put } from '../../catalog/catalog.ts';
import type { BuildId, FieldId } from '../../model/ids.ts';
import { IDENTITY_KEY, indexKey } from '../../storage/keys.ts';
import { MemoryStore } from '../../storage/memory.ts';
import type { GarbageVerdict } from '../admin-api.ts';
import { collections, segments } from '../tables.ts';
import { ObjectRemover } from './remover.ts';

const never = () => new AbortController().signal;

async function planned(world: World): Promise<GarbageVerdict[]> {
  const verdicts: GarbageVerdict[] = [];
  for await (const verdict of world.service.planGarbage(never())) verdicts.push(verdict);
  return verdicts;
}

test('a pass takes the file of a build attempt that came to nothing, and leaves the index', async () => {
  const world = await World.withRows(1);
  const before = await world.content(source);
  const [segment] = world.catalog.find(segments, 'collection', world.find(source).collectionId);
  const key = indexKey(segment!, 101 as FieldId, 99n as BuildId);
  await world.disk.memoryStore.put(key, Uint8Array.of(1));
  await world.service.collector.pass();
  assert.ok((await world.disk.keys()).includes(key), 'young');
  await world.disk.clock.jump(10_800_000);
  await world.service.collector.pass();
  await world.assertClean();
  assert.deepEqual(await world.content(source), before);
  await world.stop();
});

test('R08: what a snapshot needs is kept while its segment is dropped, and goes with the snapshot', async () => {
  const world = await World.withRows(2);
  await world.create();
  const before = await world.content(source);
  for (const was of world.catalog.find(segments, 'collection', world.find(source).collectionId))
    await world.catalog.commitSure([put(segments, { ...was, state: 'dropped', droppedAtMs: 0 }, was)]);
  await world.service.collector.pass();
  const kept = (await planned(world)).filter(({ key }) => key.startsWith('segments/'));
  assert.deepEqual(
    new Set(kept.map(({ verdict, reason }) => `${verdict} ${reason}`)),
    new Set(['keep snapshot']),
  );
  const target = { database: '', name: 'back' };
  await world.ended(await world.restore('snap', target));
  assert.deepEqual(await world.content(target), before);
  await world.service.dropSnapshot(source, 'snap');
  await world.service.collector.pass();
  assert.equal(world.catalog.find(segments, 'state', 'dropped').length, 0);
  await world.assertClean();
  await world.stop();
});

test('a pass that has nothing to do writes nothing', async () => {
  const world = await World.withRows(2);
  await world.create();
  await world.ended(await world.restore());
  await world.disk.clock.jump(5000);
  const { commits } = world.disk;
  await world.service.collector.pass();
  await world.disk.clock.jump(60_000);
  await world.disk.clock.jump(60_000);
  assert.equal(world.disk.commits, commits);
  assert.equal([...world.catalog.all(collections)].length, 2);
  await world.stop();
});

test('nothing outside a segment or a snapshot can be deleted', async () => {
  const remover = new ObjectRemover(new MemoryStore(() => 0), { require: () => Promise.resolve() });
  for (const prefix of [
    '',
    'segments/',
    'segments/1',
    'segments/1/2/',
    'snapshots/1/',
    'identity/',
    'x/',
    'x/segments/1/',
  ])
    await assert.rejects(remover.removeBelow(prefix), prefix);
  for (const key of [
    '',
    'segments/1/2/3/',
    'segments/1/rows',
    'catalog/data.mdb',
    'snapshots/1',
    IDENTITY_KEY,
  ])
    await assert.rejects(remover.removeKeys([key]), key);
  await assert.rejects(remover.remove('segments/1/2/3/rows.parquet.bak'));
});

test('clearing a place leaves what is not ours there, and counts what it deletes', async () => {
  const store = new MemoryStore(() => 0);
  const remover = new ObjectRemover(store, { require: () => Promise.resolve() });
  const kept = ['segments/1/notes.txt', 'segments/11/2/3/rows.parquet'];
  const gone = ['segments/1/2/3/rows.parquet', 'segments/1/2/4/rows.parquet'];
  for (const key of [...kept, ...gone]) await store.put(key, Uint8Array.of(1));
  store.leaveTemporary('w-1/1', 1);
  await remover.removeBelow('segments/1/');
  const left: string[] = [];
  for await (const { key } of store.list('')) left.push(key);
  assert.deepEqual([left, remover.removed], [kept, 2]);
  await remover.removeTemporary('w-1/1');
  assert.equal(remover.removed, 3);
});
