/** Failures of other systems, as `docs/track-record.md` lists them, against a whole server. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { put } from '../../src/catalog/catalog.ts';
import { copyJobs } from '../../src/coordinator/copy-segment/job.ts';
import type { SnapshotLimits } from '../../src/coordinator/snapshot/limits.ts';
import { segments } from '../../src/coordinator/tables.ts';
import type { HybridTime } from '../../src/model/hybrid-time.ts';
import type { SegmentId } from '../../src/model/ids.ts';
import type { CollectionSchema } from '../../src/model/schema.ts';
import { parseKey } from '../../src/storage/keys.ts';
import { fieldSchema } from '../field-schema.ts';
import { settle } from '../heart/manual-clock.ts';
import { deletesOf, insertParts, rowText, schema } from '../sim/rows.ts';
import { storedKeys } from './classes.ts';
import { collectionOf, indexed, memoryDisks, named, snapshot, until, World } from './world.ts';

const { signal } = new AbortController();
/** Nothing is kept because it is young. */
const impatient = { dropToleranceMs: 0, missingToleranceMs: 0 };

async function inWorld(
  work: (world: World) => Promise<World | undefined>,
  limits: Partial<SnapshotLimits> = {},
): Promise<void> {
  const root = await mkdtemp(join(tmpdir(), 'tidemark-reproducer-'));
  let world = await World.open(memoryDisks(join(root, 'objects')), limits);
  try {
    world = (await work(world)) ?? world;
  } finally {
    await world.close();
    await rm(root, { recursive: true });
  }
}

async function restored(world: World, of: string, name: string, to = 'restored'): Promise<string> {
  const request = { source: named(of), name, target: named(to) };
  const jobId = await world.coordinator.restoreSnapshot(request);
  await until('the restore', () => world.catalog.get(copyJobs, jobId)?.state !== 'executing');
  await until('the end of the restore', () => {
    const job = world.catalog.get(copyJobs, jobId);
    return job?.state === 'failed' || (job?.state === 'completed' && job.isTidy);
  });
  const { state, reason } = world.coordinator.restoreState(jobId);
  assert.equal(state, 'completed', reason);
  await world.coordinator.load(named(to));
  return to;
}

const keysOf = async (world: World, name: string): Promise<readonly bigint[]> =>
  [...(await world.rows(name)).keys()].sort((a, b) => (a < b ? -1 : 1));
const numbers = (from: number, count: number) => Array.from({ length: count }, (_, i) => BigInt(from + i));

test('R01: upserts over four shards while snapshots are created: each restored set is that of its moment', async () => {
  await inWorld(async (world) => {
    const collectionId = await collectionOf(world, 'words', 4);
    const { collection, partitions } = world.coordinator.requireReady(named('words'));
    const partitionId = partitions[0]?.partitionId;
    assert(partitionId !== undefined);
    const written: { readonly ts: bigint; readonly key: bigint; readonly number: number }[] = [];
    let isOver = false;
    const client = async (first: number) => {
      for (let number = first; !isOver; number += 2) {
        const rows = numbers(number % 7, 5).map((key) => ({ key, number }));
        const ts = await world.streamingNode.write(collectionId, [
          ...deletesOf(
            rows.map(({ key }) => key),
            collection.channels,
          ),
          ...insertParts(rows, collection.schema, collection.channels, partitionId),
        ]);
        for (const row of rows) written.push({ ts, ...row });
        await settle(2);
      }
    };
    const clients = [client(0), client(1)];
    const shots = ['a', 'b', 'c'];
    for (const [i, shot] of shots.entries()) {
      await until('writes', () => written.length > 20 * (i + 1));
      await snapshot(world, shot, 'words');
    }
    isOver = true;
    await Promise.all(clients);
    for (const shot of shots) {
      const { createTs } = world.coordinator.describeSnapshot(named('words'), shot);
      const expected = new Map<bigint, string>();
      const until = written.filter(({ ts }) => ts <= createTs).sort((a, b) => (a.ts < b.ts ? -1 : 1));
      for (const { key, number } of until) expected.set(key, rowText({ key, number }, '').slice(1));
      assert.ok(expected.size > 0);
      const to = await restored(world, 'words', shot, `restored_${shot}`);
      const rows = await world.rows(to);
      assert.deepEqual([...rows].sort(), [...expected].sort(), shot);
    }
    return undefined;
  });
});

for (const capture of ['acknowledged', 'flushed'] as const)
  test(`R03: a growing segment that never got a row is in no snapshot (capture: ${capture}), which restores and loads`, async () => {
    await inWorld(
      async (world) => {
        const collectionId = await collectionOf(world, 'words');
        await world.write('words', numbers(1, 8), [1n]);
        await world.flush(collectionId);
        // As when a process dies between the record of a segment and its first row.
        const [of] = world.catalog.find(segments, 'collection', collectionId);
        assert(of !== undefined);
        const empty = {
          ...of,
          segmentId: (await world.coordinator.allocateIds(1)) as SegmentId,
          state: 'growing' as const,
          rowCount: 0,
          minTs: 0n as HybridTime,
          maxTs: 0n as HybridTime,
          files: [],
          indexes: [],
        };
        await world.catalog.commitSure([put(segments, empty, undefined)]);
        await snapshot(world, 'snap', 'words');
        const report = await world.coordinator.snapshotReport({ at: named('words'), name: 'snap' });
        assert.equal(report.segmentCount, 2);
        await restored(world, 'words', 'snap');
        assert.deepEqual(await keysOf(world, 'restored'), numbers(1, 8));
        return undefined;
      },
      { capture },
    );
  });

test('R04, R08: after compaction, a new index and a collection of garbage the manifest alone knows the segments of a snapshot, and it is restored', async () => {
  await inWorld(async (world) => {
    const { coordinator, catalog } = world;
    const collectionId = await collectionOf(world, 'words');
    for (const from of [1, 101]) {
      await world.write('words', numbers(from, 8), from === 1 ? [] : [1n]);
      await world.flush(collectionId);
    }
    await indexed(world, 'words');
    await snapshot(world, 'snap', 'words');
    const old = catalog.find(segments, 'collection', collectionId).map(({ segmentId }) => segmentId);
    await coordinator.compact({ collectionId, isDeletesOnly: false });
    await until('the compaction', () => catalog.find(segments, 'state', 'dropped').length >= 2);
    await coordinator.dropIndex(named('words'), 'vec', '');
    await coordinator.createIndex(named('words'), 'vec', '', {
      index_type: 'HNSW',
      metric_type: 'IP',
      M: '4',
    });
    await indexed(world, 'words');
    await coordinator.collectGarbage(signal);
    const merged = old.filter((id) => catalog.get(segments, id)?.state !== 'flushed');
    assert.ok(merged.length >= 2);
    assert.equal((await restoredRows(world)).size, 15);
    assert.equal(coordinator.describeIndexes(named('restored'), '')[0]?.index.params['metric_type'], 'L2');
    return undefined;
  }, impatient);
});

const restoredRows = async (world: World) => world.rows(await restored(world, 'words', 'snap'));

test('R17: consistency level, time to live, mmap, partitions and properties of collection, fields and indexes are restored as they were', async () => {
  await inWorld(async (world) => {
    const { coordinator } = world;
    const fields = schema.fields.map((each) =>
      each.name === 'text'
        ? fieldSchema('text', {
            ...each,
            description: 'said',
            typeParams: { max_length: '100', 'mmap.enabled': 'true' },
          })
        : each,
    );
    await coordinator.createCollection({
      ...named('words'),
      schema: { ...schema, description: 'of words', fields },
      shardsNum: 3,
      consistencyLevel: 'Eventually',
      properties: {
        'collection.ttl.seconds': '3600',
        'collection.autocompaction.enabled': 'false',
        'mmap.enabled': 'true',
      },
    });
    await coordinator.createPartition(named('words'), 'old');
    const params = {
      index_type: 'HNSW',
      metric_type: 'COSINE',
      M: '8',
      efConstruction: '16',
      'mmap.enabled': 'false',
    };
    await coordinator.createIndex(named('words'), 'vec', 'by_meaning', params);
    await world.write('words', numbers(1, 8));
    await snapshot(world, 'snap', 'words');
    await restored(world, 'words', 'snap');
    const said = (name: string) => {
      const { collection, partitions } = coordinator.describeCollection(named(name));
      const { schema: is, shardsNum, consistencyLevel, properties } = collection;
      const [index] = coordinator.describeIndexes(named(name), '');
      return {
        ...{ is, shardsNum, consistencyLevel, properties },
        partitions: partitions.map((each) => each.name).sort(),
        index: [index?.index.name, index?.fieldName, index?.index.params],
      };
    };
    assert.deepEqual(said('restored'), said('words'));
    assert.equal(said('restored').consistencyLevel, 'Eventually');
    return undefined;
  });
});

test('R18: there are no roles; lists of snapshots and of restores show those of the database that was asked for', async () => {
  await inWorld(async (world) => {
    const { coordinator } = world;
    await coordinator.createDatabase('other', {});
    for (const database of ['default', 'other']) {
      const at = { database, name: 'words' };
      await coordinator.createCollection({
        ...at,
        schema,
        shardsNum: 1,
        consistencyLevel: 'Strong',
        properties: {},
      });
      await coordinator.createSnapshot({
        at,
        name: `of_${database}`,
        description: '',
        compactionProtectionSeconds: 0,
      });
    }
    for (const [database, name] of [
      ['other', 'of_other'],
      ['default', 'of_default'],
      ['', 'of_default'],
    ] as const) {
      assert.deepEqual(coordinator.listSnapshots({ database, name: 'words' }), [name]);
      assert.throws(() =>
        coordinator.describeSnapshot(
          { database, name: 'words' },
          name === 'of_other' ? 'of_default' : 'of_other',
        ),
      );
    }
    assert.deepEqual(
      coordinator.snapshotReports('other', '').map(({ name }) => name),
      ['of_other'],
    );
    const target = { database: 'other', name: 'again' };
    await coordinator.restoreSnapshot({
      source: { database: 'default', name: 'words' },
      name: 'of_default',
      target,
    });
    assert.deepEqual(coordinator.listRestoreJobs('default', ''), []);
    assert.equal(coordinator.listRestoreJobs('other', '').length, 1);
    await until('the restore', () => coordinator.listRestoreJobs('other', '')[0]?.state === 'completed');
    return undefined;
  });
});

test('R27: of an older and a newer snapshot, in any order of their drops, storage holds what is referenced and nothing else', async () => {
  for (const first of ['newer', 'older'] as const)
    await inWorld(async (world) => {
      const { coordinator, catalog } = world;
      const collectionId = await collectionOf(world, 'words');
      const write = async (from: number) => {
        await world.write('words', numbers(from, 8), [BigInt(from - 100)]);
        await world.flush(collectionId);
        await indexed(world, 'words');
      };
      await write(1);
      await write(101);
      await snapshot(world, 'older', 'words');
      const { compactionId } = await coordinator.compact({ collectionId, isDeletesOnly: false });
      await until('the compaction', () => coordinator.compactionState(compactionId).state === 'completed');
      await write(201);
      await snapshot(world, 'newer', 'words');
      await coordinator.dropSnapshot(named('words'), first);
      await coordinator.collectGarbage(signal);
      const other = first === 'newer' ? 'older' : 'newer';
      await restored(world, 'words', other);
      assert.equal((await keysOf(world, 'restored')).length, other === 'older' ? 15 : 22);
      await coordinator.dropCollection(named('restored'));
      await coordinator.dropSnapshot(named('words'), other);
      // A removal may go on behind its call.
      for (let i = 0; i < 3; i++) await coordinator.collectGarbage(signal);
      const live = catalog
        .find(segments, 'collection', collectionId)
        .filter(({ state }) => state === 'flushed');
      const needed = live.flatMap(({ files, indexes }) => [...files, ...indexes.map(({ file }) => file)]);
      const stored = [...(await storedKeys(world)).keys()].filter((key) => parseKey(key).kind !== 'identity');
      assert.deepEqual(stored.sort(), needed.map(({ key }) => key).sort());
      assert.equal(catalog.find(segments, 'state', 'dropped').length, 0);
      return undefined;
    }, impatient);
});

test('R28: a restored collection has ids and a moment after all before it, and writes to it are newer than every row in it', async () => {
  await inWorld(async (world) => {
    const { coordinator } = world;
    await collectionOf(world, 'words');
    await world.write('words', numbers(1, 8));
    await snapshot(world, 'snap', 'words');
    await world.write('words', numbers(11, 2), [3n]);
    const highest = await coordinator.allocateIds(1);
    const before = await coordinator.timestamp();
    const jobId = await coordinator.restoreInPlace({ at: named('words'), name: 'snap' });
    await until('the swap', () => coordinator.restoreState(jobId).state === 'completed');
    // Under the same name there is another collection: what a client has kept of the old one names an id that is not this one's.
    const { collection, partitions } = coordinator.describeCollection(named('words'));
    const own = world.catalog.find(segments, 'collection', collection.collectionId);
    const ids = [
      collection.collectionId,
      ...partitions.map(({ partitionId }) => partitionId),
      ...own.map(({ segmentId }) => segmentId),
    ];
    for (const id of ids) assert.ok(id > highest, `${id} after ${highest}`);
    assert.ok(collection.createdTs > before);
    await coordinator.load(named('words'));
    await world.write('words', [3n], [3n, 4n]);
    assert.deepEqual(
      await keysOf(world, 'words'),
      numbers(1, 8).filter((key) => key !== 4n),
    );
    await world.flush(collection.collectionId);
    await coordinator.release(named('words'));
    await coordinator.load(named('words'));
    assert.deepEqual(
      await keysOf(world, 'words'),
      numbers(1, 8).filter((key) => key !== 4n),
    );
    await coordinator.settleSwap(jobId, 'confirm');
    return undefined;
  });
});

test('R29: snapshots of one name or one collection with different schemas all restore, each with its own', async () => {
  await inWorld(async (world) => {
    const { coordinator } = world;
    await collectionOf(world, 'words');
    await world.write('words', numbers(1, 8));
    await snapshot(world, 'first', 'words');
    await coordinator.renameCollection(named('words'), 'before', '');
    const wider: CollectionSchema = {
      ...schema,
      version: 2,
      fields: [...schema.fields, fieldSchema('extra', { dataType: 'Double', nullable: true })],
    };
    await coordinator.createCollection({
      ...named('words'),
      schema: wider,
      shardsNum: 1,
      consistencyLevel: 'Strong',
      properties: {},
    });
    await snapshot(world, 'second', 'words');
    await coordinator.addField(named('words'), fieldSchema('stars', { dataType: 'Int64', nullable: true }));
    await snapshot(world, 'third', 'words');
    const shapeOf = (name: string) =>
      coordinator.describeCollection(named(name)).collection.schema.fields.map((each) => each.name);
    await restored(world, 'before', 'first', 'one');
    assert.deepEqual(await keysOf(world, 'one'), numbers(1, 8));
    for (const [name, target] of [
      ['second', 'two'],
      ['third', 'three'],
    ] as const) {
      const request = { source: named('words'), name, target: named(target) };
      const jobId = await coordinator.restoreSnapshot(request);
      await until('the restore', () => coordinator.restoreState(jobId).state === 'completed');
    }
    assert.deepEqual(
      ['one', 'two', 'three'].map((name) => shapeOf(name).length),
      [4, 5, 6],
    );
    assert.deepEqual(shapeOf('three'), shapeOf('words'));
    return undefined;
  });
});
