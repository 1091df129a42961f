/** A coordinator's heart over memory adapters: catalog, scheduler, one data node, snapshots and restores; no rows, only their files. */
import assert from 'node:assert/strict';
import { Catalog, put, remove } from '../../src/catalog/catalog.ts';
import { IdSource, TimeSource } from '../../src/coordinator/allocator.ts';
import type { CollectionName, RestoreJobInfo } from '../../src/coordinator/api.ts';
import { CaptureGate } from '../../src/coordinator/capture-gate.ts';
import { requireRoom } from '../../src/coordinator/collections/names.ts';
import { copyJobs } from '../../src/coordinator/copy-segment/job.ts';
import { copyTasks } from '../../src/coordinator/copy-segment/task.ts';
import type { AheadLoads } from '../../src/coordinator/rooms.ts';
import { Cluster } from '../../src/coordinator/scheduler/cluster.ts';
import { TaskScheduler } from '../../src/coordinator/scheduler/scheduler.ts';
import type { SnapshotLimits } from '../../src/coordinator/snapshot/limits.ts';
import { pins, snapshots } from '../../src/coordinator/snapshot/record.ts';
import { SnapshotService, snapshotTables } from '../../src/coordinator/snapshot-service.ts';
import {
  collections,
  coreTables,
  databases,
  indexes,
  partitions,
  segments,
} from '../../src/coordinator/tables.ts';
import { copySegmentExecutor } from '../../src/datanode/copy-segment/executor.ts';
import { LocalDataNode } from '../../src/datanode/datanode.ts';
import { DbError } from '../../src/errors/db-error.ts';
import type { HybridTime } from '../../src/model/hybrid-time.ts';
import type {
  BuildId,
  CollectionId,
  DatabaseId,
  FieldId,
  IndexId,
  JobId,
  NodeId,
  PartitionId,
  SegmentId,
} from '../../src/model/ids.ts';
import type { CollectionRecord, SegmentFile, SegmentRecord } from '../../src/model/records.ts';
import { checkObjectTasks, WorkerObjectChecker } from '../../src/storage/check-object.ts';
import { deletesKey, indexKey, rowsKey, statsKey } from '../../src/storage/keys.ts';
import { inlineWorkers } from '../../src/support/inline-workers.ts';
import { silentLog } from '../../src/support/log.ts';
import { seededRandom } from '../../src/support/random.ts';
import { Disk } from './disk.ts';
import { settle } from './manual-clock.ts';

export const source: CollectionName = { database: '', name: 'words' };
export const target: CollectionName = { database: '', name: 'words_restored' };
const VECTOR = 101 as FieldId;

/** Readers of collections: loaded is what the catalog says is, and what was loaded ahead. */
class FakeLoads implements AheadLoads {
  readonly #world: World;
  readonly ahead = new Set<CollectionId>();
  /** Runs inside each load. */
  onLoad: (collectionId: CollectionId) => Promise<void> = () => Promise.resolve();

  constructor(world: World) {
    this.#world = world;
  }
  async loadAhead(collectionId: CollectionId): Promise<void> {
    await this.onLoad(collectionId);
    if (this.#world.catalog.get(collections, collectionId) === undefined)
      throw new DbError('collection-not-found', 'gone');
    this.ahead.add(collectionId);
  }
  isLoadedAhead(collectionId: CollectionId): boolean {
    return this.ahead.has(collectionId);
  }
  dropAhead(collectionId: CollectionId): Promise<void> {
    this.ahead.delete(collectionId);
    return Promise.resolve();
  }
  async load(at: CollectionName): Promise<void> {
    await this.onLoad(this.#world.find(at).collectionId);
    await this.#world.setLoad(at, 'loaded');
  }
}

export class World {
  readonly disk: Disk;
  readonly catalog: Catalog;
  readonly ids: IdSource;
  readonly time: TimeSource;
  readonly service: SnapshotService;
  readonly scheduler: TaskScheduler;
  readonly cluster: Cluster;
  readonly node: LocalDataNode;
  readonly #stop = new AbortController();
  #running: Promise<unknown> = Promise.resolve();
  /** Runs inside flushAll, before T is taken. */
  onFlush: (collectionId: CollectionId) => Promise<void> = () => Promise.resolve();
  flushedUpTo: () => HybridTime = () => this.time.next();
  readonly captureGate = new CaptureGate();
  /** Segments of which an index is being built. */
  readonly building = new Set<SegmentId>();
  /** Other names of collections. */
  readonly aliases = new Map<string, string>();
  readonly loads = new FakeLoads(this);

  private constructor(disk: Disk, catalog: Catalog, time: TimeSource, limits: Partial<SnapshotLimits>) {
    this.disk = disk;
    this.catalog = catalog;
    this.time = time;
    time.observe(catalog.recoveredHighWater);
    this.ids = new IdSource(catalog);
    const { clock } = disk;
    const random = seededRandom(7);
    const store = disk.store();
    this.cluster = new Cluster(clock);
    this.scheduler = new TaskScheduler({ cluster: this.cluster, clock, random, log: silentLog });
    this.node = new LocalDataNode({
      nodeId: 1n as NodeId,
      slots: 4,
      log: silentLog,
      executors: { 'copy-segment': copySegmentExecutor(store, { filesAtOnce: 4 }) },
    });
    this.cluster.join(this.node);
    this.service = new SnapshotService({
      catalog,
      store,
      ids: this.ids,
      time,
      clock,
      random,
      scheduler: this.scheduler,
      checker: new WorkerObjectChecker(inlineWorkers(checkObjectTasks(store))),
      fingerprints: {
        of: async ({ key }) => {
          const bytes = await store.get(key);
          return { rowCount: 10, digest: new TextDecoder().decode(bytes) };
        },
      },
      loads: this.loads,
      drops: { finishCollection: (collectionId) => this.finishDrop(collectionId) },
      log: silentLog,
      limits: { maxSegmentsPerCopyTask: 2, ...limits },
      flusher: {
        flushAll: async (collectionId) => {
          await this.onFlush(collectionId);
          return this.time.next();
        },
        flushedUpTo: () => this.flushedUpTo(),
      },
      captureGate: this.captureGate,
      builds: { isBuilding: (segmentId) => this.building.has(segmentId) },
      resolve: {
        requireDatabase: (name) => {
          const [found] = catalog.find(databases, 'name', name === '' ? 'default' : name);
          if (found === undefined) throw new DbError('database-not-found', `database '${name}'`);
          return found;
        },
        requireCollection: (at) => this.find({ ...at, name: this.aliases.get(at.name) ?? at.name }),
        checkCollectionName: () => undefined,
        requireRoom: (database) => requireRoom(catalog, database, { maxCollectionsPerDatabase: 65_536 }),
      },
    });
  }

  /** Opens, recovers and starts the loops. */
  static async open(disk: Disk, limits: Partial<SnapshotLimits> = {}): Promise<World> {
    const time = new TimeSource(disk.clock);
    const tables = [...coreTables, ...snapshotTables];
    const catalog = await Catalog.open({ kv: disk.kv(), tables, highWater: () => time.last });
    const world = new World(disk, catalog, time, limits);
    await world.service.identify();
    await world.service.recover();
    const { signal } = world.#stop;
    world.#running = Promise.all([world.scheduler.run(signal), world.service.run(signal)]);
    return world;
  }

  /** A world with one collection of `segmentCount` segments in one of two partitions, with one index. */
  static async withRows(segmentCount: number, limits: Partial<SnapshotLimits> = {}): Promise<World> {
    const world = await World.open(new Disk(), limits);
    await world.addCollection(source.name, segmentCount);
    return world;
  }

  /** As a crash or a stop: nothing of this world goes on. */
  async stop(): Promise<void> {
    this.#stop.abort(new DbError('cancelled', 'world over'));
    await this.node.close();
    await this.#running;
  }

  /** The same disk under new processes, faults over. */
  async restart(limits: Partial<SnapshotLimits> = {}): Promise<World> {
    await this.stop();
    this.disk.plan(undefined);
    return World.open(this.disk, limits);
  }

  find(at: CollectionName): CollectionRecord {
    const [database] = this.catalog.find(databases, 'name', at.database === '' ? 'default' : at.database);
    const [found] = this.catalog.find(collections, 'name', `${database?.databaseId}/${at.name}`);
    if (found === undefined)
      throw new DbError('collection-not-found', `can't find collection: collection not found[${at.name}]`);
    return found;
  }

  has(at: CollectionName): boolean {
    return this.catalog.find(collections, 'name', `1/${at.name}`).length > 0;
  }

  async addCollection(name: string, segmentCount: number): Promise<CollectionRecord> {
    const createdTs = this.time.next();
    if (this.catalog.count(databases) === 0)
      await this.catalog.commitSure([
        put(
          databases,
          { databaseId: 1n as DatabaseId, name: 'default', properties: {}, createdTs },
          undefined,
        ),
      ]);
    const collectionId = await this.ids.next<CollectionId>();
    const collection: CollectionRecord = {
      collectionId,
      databaseId: 1n as DatabaseId,
      name,
      schema: {
        description: 'of words',
        enableDynamicField: false,
        version: 1,
        fields: [
          {
            fieldId: VECTOR,
            name: 'vector',
            description: '',
            dataType: 'FloatVector',
            dim: 4,
            isPrimaryKey: false,
            autoId: false,
            nullable: false,
            isDynamic: false,
            typeParams: { dim: '4' },
          },
        ],
      },
      shardsNum: 2,
      channels: [0, 1].map((n) => `tidemark-dml_${n}_${collectionId}v${n}`),
      consistencyLevel: 'Session',
      properties: { 'collection.ttl.seconds': '60' },
      createdTs,
      load: 'none',
    };
    const partitionIds = [await this.ids.next<PartitionId>(), await this.ids.next<PartitionId>()];
    const indexId = await this.ids.next<IndexId>();
    await this.catalog.commitSure([
      put(collections, collection, undefined),
      ...partitionIds.map((partitionId, i) =>
        put(partitions, { partitionId, collectionId, name: ['_default', 'old'][i]!, createdTs }, undefined),
      ),
      put(
        indexes,
        { indexId, collectionId, fieldId: VECTOR, name: 'vector', params: { index_type: 'HNSW' }, createdTs },
        undefined,
      ),
    ]);
    for (let i = 0; i < segmentCount; i++)
      await this.addSegment(collection, partitionIds[i % 2]!, `${name} ${i}`, indexId);
    return collection;
  }

  /** A flushed segment with rows, statistics, deletes and an index, each file holding `text`. */
  async addSegment(
    { collectionId, channels }: CollectionRecord,
    partitionId: PartitionId,
    text: string,
    indexId?: IndexId,
  ): Promise<SegmentRecord> {
    const segmentId = await this.ids.next<SegmentId>();
    const place = { collectionId, partitionId, segmentId };
    const write = async (kind: SegmentFile['kind'], key: string): Promise<SegmentFile> => {
      const bytes = new TextEncoder().encode(`${kind} of ${text}`);
      return { kind, key, sizeBytes: bytes.length, ...(await this.disk.memoryStore.put(key, bytes)) };
    };
    const buildId = await this.ids.next<BuildId>();
    const ts = this.time.next();
    const record: SegmentRecord = {
      ...place,
      channel: channels[Number(segmentId % 2n)]!,
      level: 'L1',
      state: 'flushed',
      rowCount: 10,
      minTs: ts,
      maxTs: ts,
      files: [
        await write('rows', rowsKey(place)),
        await write('stats', statsKey(place)),
        await write('deletes', deletesKey(place)),
      ],
      indexes:
        indexId === undefined
          ? []
          : [
              {
                indexId,
                buildId,
                fieldId: VECTOR,
                kind: 'HNSW',
                file: await write('index', indexKey(place, VECTOR, buildId)),
              },
            ],
    };
    await this.catalog.commitSure([put(segments, record, undefined)]);
    return record;
  }

  /** As the collections' room does it: record first, then segments dropped, then everything that hangs on it. */
  async dropCollection(at: CollectionName): Promise<void> {
    const collection = this.find(at);
    const { collectionId } = collection;
    await this.catalog.commitSure([remove(collections, collection)]);
    await this.finishDrop(collectionId);
  }

  /** Repeatable. */
  async finishDrop(collectionId: CollectionId): Promise<void> {
    for (const { segmentId } of this.catalog.find(segments, 'collection', collectionId)) {
      const was = this.catalog.get(segments, segmentId);
      if (was === undefined || was.state === 'dropped') continue;
      await this.catalog.commit([
        put(segments, { ...was, state: 'dropped', droppedAtMs: this.disk.clock.nowMs() }, was),
      ]);
    }
    await this.service.collectionDropped(collectionId);
    for (const table of [indexes, partitions])
      for (const record of this.catalog.find(table as typeof indexes, 'collection', collectionId))
        await this.catalog.commitSure([remove(table as typeof indexes, record)]);
  }

  async setLoad(at: CollectionName, load: CollectionRecord['load']): Promise<void> {
    for (;;) {
      const was = this.find(at);
      if ((await this.catalog.commit([put(collections, { ...was, load }, was)])) === 'committed') return;
    }
  }

  async renameCollection(at: CollectionName, name: string): Promise<void> {
    for (;;) {
      const was = this.find(at);
      if ((await this.catalog.commit([put(collections, { ...was, name }, was)])) === 'committed') return;
    }
  }

  create(name = 'snap') {
    return this.service.createSnapshot({ at: source, name, description: '', compactionProtectionSeconds: 0 });
  }

  restore(name = 'snap', to = target) {
    return this.service.restoreSnapshot({ source, name, target: to });
  }

  /** No node works until one joins, and restores are admitted all the same: as when it is lost right after an admission. */
  async loseNode(): Promise<void> {
    this.scheduler.canEverTake = () => true;
    this.cluster.leave(this.node.nodeId);
    await settle();
  }

  /** Lets things run, time included, until the job has ended and was tidied. */
  async ended(jobId: JobId): Promise<RestoreJobInfo> {
    for (let i = 0; i < 2000; i++) {
      const job = this.catalog.get(copyJobs, jobId);
      if (job === undefined) throw new Error(`job ${jobId} is gone`);
      if ((job.state === 'completed' || job.state === 'failed') && job.isTidy)
        return this.service.restoreState(jobId);
      if (this.disk.isDead) throw new Error('the disk is dead');
      await settle(3);
      if (i > 20) await this.disk.clock.advance(500);
    }
    throw new Error(`job ${jobId} does not end: ${JSON.stringify(this.service.restoreState(jobId).state)}`);
  }

  /** What the visible segments of a collection hold: the content of all their files, segment by segment. */
  async content(at: CollectionName): Promise<string[]> {
    const { collectionId } = this.find(at);
    const visible = this.catalog
      .find(segments, 'collection', collectionId)
      .filter((s) => s.state === 'flushed')
      .filter((s) => s.restoreJobId === undefined || this.service.gate.isCompleted(s.restoreJobId));
    const texts = visible.map(async (segment) => {
      const files = [...segment.files, ...segment.indexes.map(({ file }) => file)];
      const parts = files.map(async ({ key }) =>
        new TextDecoder().decode(await this.disk.memoryStore.get(key)),
      );
      const partition = this.catalog.get(partitions, segment.partitionId)?.name;
      return `${partition} ${segment.rowCount} ${segment.minTs}: ${(await Promise.all(parts)).join(', ')}`;
    });
    return (await Promise.all(texts)).sort();
  }

  /** Storage is what is referenced; the catalog holds nothing half done. */
  async assertClean(): Promise<void> {
    const { catalog } = this;
    const named = new Set<string>();
    for (const segment of catalog.all(segments))
      for (const file of [...segment.files, ...segment.indexes.map((index) => index.file)])
        named.add(file.key);
    const all = await this.disk.keys();
    for (const key of named) assert.ok(all.includes(key), `'${key}' is named but missing`);
    for (const record of catalog.all(snapshots)) {
      assert.equal(record.state, 'committed');
      named.add(record.metadataKey);
      for (let n = 0; n < record.manifestCount; n++)
        named.add(`snapshots/${record.collectionId}/manifests/${record.snapshotId}/${n}.avro`);
    }
    assert.deepEqual(
      all.filter((key) => !named.has(key)),
      [],
      'objects nothing names',
    );
    for (const table of [partitions, indexes])
      for (const record of catalog.all(table as typeof partitions))
        assert.notEqual(catalog.get(collections, record.collectionId), undefined, `orphan in ${table.name}`);
    for (const segment of catalog.all(segments))
      if (segment.state !== 'dropped') {
        assert.notEqual(catalog.get(collections, segment.collectionId), undefined, 'orphan segment');
        assert.equal(segment.restoreJobId, undefined);
      }
    for (const job of catalog.all(copyJobs)) assert.ok(job.state === 'completed' || job.state === 'failed');
    assert.equal(catalog.count(copyTasks), 0);
    for (const pin of catalog.all(pins)) assert.equal(pin.owner.kind, 'user');
  }
}
