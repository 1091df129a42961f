import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fieldSchema } from '../../../tests/field-schema.ts';
import { source, target, World } from '../../../tests/heart/world.ts';
import { put, remove } from '../../catalog/catalog.ts';
import { isDbError } from '../../errors/db-error.ts';
import type { FieldId, SegmentId, SnapshotId } from '../../model/ids.ts';
import type { FieldSchema } from '../../model/schema.ts';
import { snapshotManifestKey } from '../../storage/keys.ts';
import type { SnapshotAt } from '../admin-api.ts';
import { collections, indexes, partitions, segments } from '../tables.ts';
import { compareDefinitions } from './definition.ts';
import { compareSegments } from './diff.ts';

const at = (name: string): SnapshotAt => ({ at: source, name });
const { signal } = new AbortController();

test('diff of two snapshots shows segments, rows, bytes and schema that were added and removed', async () => {
  const world = await World.withRows(3);
  await world.create('before');
  const was = world.find(source);
  const [a] = world.catalog.find(segments, 'collection', was.collectionId);
  const [, old] = world.catalog.find(partitions, 'collection', was.collectionId);
  await world.catalog.commitSure([put(segments, { ...a!, state: 'dropped', droppedAtMs: 0 }, a)]);
  const added = await world.addSegment(was, old!.partitionId, 'new');
  const title: FieldSchema = {
    ...was.schema.fields[0]!,
    fieldId: 102 as FieldId,
    name: 'title',
    dataType: 'VarChar',
    maxLength: 20,
    nullable: true,
    typeParams: {},
  };
  const { dim: _, ...text } = title;
  const [index] = world.catalog.find(indexes, 'collection', was.collectionId);
  await world.catalog.commitSure([
    put(
      collections,
      {
        ...was,
        schema: { ...was.schema, fields: [...was.schema.fields, text] },
        properties: { 'collection.ttl.seconds': '90' },
      },
      was,
    ),
    put(indexes, { ...index!, params: { index_type: 'HNSW', metric_type: 'IP' } }, index),
  ]);
  await world.create('after');
  const diff = await world.service.diffSnapshots(at('before'), at('after'), signal);
  const size = (segment: typeof added) =>
    [...segment.files, ...segment.indexes.map(({ file }) => file)].reduce((sum, f) => sum + f.sizeBytes, 0);
  const row = (segment: typeof added, partitionName: string) => ({
    segmentId: segment.segmentId,
    partitionName,
    level: 'L1',
    rowCount: 10,
    sizeBytes: size(segment),
  });
  assert.deepEqual(diff.segments, { added: [row(added, 'old')], removed: [row(a!, '_default')], common: 2 });
  assert.deepEqual(
    [diff.addedRows, diff.removedRows, diff.addedBytes, diff.removedBytes],
    [10, 10, size(added), size(a!)],
  );
  assert.deepEqual(diff.definition, [
    { what: "field 'title'", is: 'type VarChar, max_length 20, nullable yes' },
    { what: "index 'vector' on 'vector': metric_type", is: 'IP' },
    { what: "property 'collection.ttl.seconds'", was: '60', is: '90' },
  ]);
  assert.deepEqual([diff.from.name, diff.to.name, diff.to.rowCount], ['before', 'after', 30]);
  const back = await world.service.diffSnapshots(at('after'), at('before'), signal);
  assert.deepEqual(
    [back.segments.added, back.segments.removed],
    [diff.segments.removed, diff.segments.added],
  );
  const same = await world.service.diffSnapshots(at('after'), at('after'), signal);
  assert.deepEqual([same.segments.common, same.addedRows, same.definition], [3, 0, []]);
  await world.stop();
});

test('diff of snapshots of two collections tells rows and definition, and every segment as another', async () => {
  const world = await World.withRows(2);
  await world.create();
  await world.ended(await world.restore());
  await world.service.createSnapshot({
    at: target,
    name: 'copy',
    description: '',
    compactionProtectionSeconds: 0,
  });
  const diff = await world.service.diffSnapshots(at('snap'), { at: target, name: 'copy' }, signal);
  assert.deepEqual(
    [diff.segments.added.length, diff.segments.removed.length, diff.segments.common, diff.definition],
    [2, 2, 0, []],
  );
  assert.deepEqual([diff.addedRows, diff.addedBytes], [diff.removedRows, diff.removedBytes]);
  await world.stop();
});

test('diff reads only the manifests of what was added or removed', async () => {
  const world = await World.withRows(1);
  const collection = world.find(source);
  const [first] = world.catalog.find(segments, 'collection', collection.collectionId);
  for (let i = 0; i < 520; i++) await world.addSegment(collection, first!.partitionId, `x${i}`);
  await world.create('before');
  await world.addSegment(collection, first!.partitionId, 'last');
  await world.create('after');
  const read: string[] = [];
  const { memoryStore } = world.disk;
  const inner = memoryStore.get.bind(memoryStore);
  memoryStore.get = (key) => {
    read.push(key);
    return inner(key);
  };
  const { segments: found } = await world.service.diffSnapshots(at('before'), at('after'), signal);
  assert.deepEqual([found.added.length, found.removed.length, found.common], [1, 0, 521]);
  assert.deepEqual(
    read.filter((key) => key.endsWith('.avro')).map((key) => key.slice(key.lastIndexOf('/'))),
    ['/1.avro'],
  );
  await world.stop();
});

test('diff says which object cannot be read, what does not exist, and when a snapshot was dropped', async () => {
  const world = await World.withRows(1);
  const snapshotId: SnapshotId = await world.create('before');
  await assert.rejects(world.service.diffSnapshots(at('before'), at('none'), signal), (e) =>
    isDbError(e, 'snapshot-not-found'),
  );
  const collection = world.find(source);
  const [only] = world.catalog.find(segments, 'collection', collection.collectionId);
  await world.catalog.commitSure([remove(segments, only!)]);
  await world.create('after');
  const key = snapshotManifestKey(collection.collectionId, snapshotId, 0);
  await world.disk.memoryStore.delete(key);
  await assert.rejects(
    world.service.diffSnapshots(at('before'), at('after'), signal),
    (e) => isDbError(e, 'object-not-found') && e.message.includes(key),
  );
  const inner = world.disk.memoryStore.get.bind(world.disk.memoryStore);
  world.disk.memoryStore.get = async (read) => {
    if (read.endsWith('.avro')) await world.service.dropSnapshot(source, 'before');
    return inner(read);
  };
  await assert.rejects(world.service.diffSnapshots(at('before'), at('after'), signal), (e) =>
    isDbError(e, 'snapshot-not-found'),
  );
  await assert.rejects(
    world.service.diffSnapshots(at('after'), at('after'), AbortSignal.abort(new Error('enough'))),
    /enough/,
  );
  await world.stop();
});

test('segments are compared by id, and others have their turn meanwhile', async () => {
  const ids = (...numbers: number[]) => numbers.map((n) => BigInt(n) as SegmentId);
  assert.deepEqual(await compareSegments(ids(1, 2, 3, 5), ids(0, 2, 4, 5, 6)), {
    added: [0, 2, 4],
    removed: [0, 2],
    common: 2,
  });
  const many = Array.from({ length: 50_000 }, (_, i) => BigInt(i) as SegmentId);
  let turns = 0;
  const turn = () => {
    turns++;
    timer = setImmediate(turn);
  };
  let timer = setImmediate(turn);
  assert.deepEqual(await compareSegments(many, many.slice(1)), { added: [], removed: [0], common: 49_999 });
  clearImmediate(timer);
  assert.ok(turns > 50);
});

test('every part of a definition that differs is one line', () => {
  const field = (name: string, more: Partial<FieldSchema> = {}): FieldSchema =>
    fieldSchema(name, { fieldId: 100 as FieldId, ...more });
  const definition = (
    fields: readonly FieldSchema[],
    more: { shardsNum?: number; description?: string; dynamic?: boolean; name?: string } = {},
  ) => ({
    snapshot: { snapshotId: 1n, collectionId: 2n, name: 's', description: '', createTs: 0n } as never,
    collection: {
      name: more.name ?? 'words',
      schema: {
        description: more.description ?? '',
        fields,
        enableDynamicField: more.dynamic ?? false,
        version: 1,
      },
      shardsNum: more.shardsNum ?? 1,
      channels: [],
      consistencyLevel: more.dynamic ? ('Strong' as const) : ('Bounded' as const),
      properties: {},
    },
    partitions: [],
    indexes: [],
  });
  const lines = (was: Parameters<typeof definition>, is: Parameters<typeof definition>) =>
    compareDefinitions(definition(...was), definition(...is)).map((one) => [one.what, one.was, one.is]);
  assert.deepEqual(lines([[]], [[], { shardsNum: 2, description: 'new', dynamic: true, name: 'renamed' }]), [
    ['collection name', 'words', 'renamed'],
    ['collection description', '', 'new'],
    ['dynamic field', 'off', 'on'],
    ['shards', '1', '2'],
    ['consistency level', 'Bounded', 'Strong'],
  ]);
  const changes: [
    Partial<FieldSchema>,
    Partial<FieldSchema>,
    [string, string | undefined, string | undefined],
  ][] = [
    [{}, { dataType: 'Int32' }, ['type', 'Int64', 'Int32']],
    [{}, { nullable: true }, ['nullable', undefined, 'yes']],
    [{ defaultValue: 1n }, { defaultValue: '1' }, ['default', '1', '"1"']],
    [{ defaultValue: 0 }, { defaultValue: -0 }, ['default', '0', '-0']],
    [{ defaultValue: false }, {}, ['default', 'false', undefined]],
    [{ dim: 4, typeParams: { dim: '4' } }, { dim: 8, typeParams: { dim: '8' } }, ['dim', '4', '8']],
    [{ maxLength: 4 }, { maxLength: 8 }, ['max_length', '4', '8']],
    [{ maxCapacity: 4 }, { maxCapacity: 8 }, ['max_capacity', '4', '8']],
    [{ elementType: 'Int8' }, { elementType: 'VarChar' }, ['element type', 'Int8', 'VarChar']],
    [{}, { description: 'x' }, ['description', undefined, '"x"']],
    [{}, { isPrimaryKey: true }, ['primary key', undefined, 'yes']],
    [{}, { autoId: true }, ['auto id', undefined, 'yes']],
    [{}, { typeParams: { 'mmap.enabled': 'true' } }, ['parameter mmap.enabled', undefined, 'true']],
  ];
  for (const [was, is, [what, before, after]] of changes)
    assert.deepEqual(lines([[field('f', was)]], [[field('f', is)]]), [[`field 'f': ${what}`, before, after]]);
  assert.deepEqual(lines([[field('gone')]], [[field('new', { isPrimaryKey: true })]]), [
    ["field 'gone'", 'type Int64', undefined],
    ["field 'new'", undefined, 'type Int64, primary key yes'],
  ]);
});
