/**
 * Coordinator, streaming node and query node in memory, behind the proxy's tests: small, but they keep rows, search them
 * exactly and know what exists. What the proxy does not reach is not there and fails by name.
 */
import assert from 'node:assert/strict';
import type {
  CollectionInfo,
  CollectionName,
  CompactionInfo,
  Coordinator,
  CreateCollection,
  CreateSnapshot,
  IndexProgress,
  ManualCompaction,
  RestoreJobInfo,
  RestoreSnapshot,
} from '../../src/coordinator/api.ts';
import { DbError } from '../../src/errors/db-error.ts';
import type { CheckedFilter } from '../../src/expr/check.ts';
import type { HybridTime } from '../../src/model/hybrid-time.ts';
import type { CompactionId, FieldId, JobId, SegmentId } from '../../src/model/ids.ts';
import type { DatabaseRecord, IndexRecord, PartitionRecord } from '../../src/model/records.ts';
import type { PrimaryKey, PrimaryKeys } from '../../src/model/rows.ts';
import type { CollectionSchema } from '../../src/model/schema.ts';
import type { Filters } from '../../src/proxy/context.ts';
import type { QueryNode, QueryRequest, SearchRequest, SearchResult } from '../../src/querynode/api.ts';
import type { StreamingNode, WritePart } from '../../src/streamingnode/api.ts';
import { batchOf, keyField, keyOf, type Row, rowsOf } from './fake-rows.ts';

interface Stored {
  info: CollectionInfo;
  isLoaded: boolean;
  rows: { readonly row: Row; readonly partitionId: bigint }[];
  indexes: IndexRecord[];
  snapshots: CreateSnapshot[];
}

const keysOf = (schema: CollectionSchema, keys: readonly PrimaryKey[]): PrimaryKeys =>
  keyField(schema).dataType === 'Int64'
    ? { type: 'Int64', values: BigInt64Array.from(keys as bigint[]) }
    : { type: 'VarChar', values: keys as string[] };

/** Filters of the tests: `key in [1, 2]`, `key == "a"`, `key > 1`. */
interface FakeFilter {
  readonly op: 'in' | '>';
  readonly keys: readonly PrimaryKey[];
}

export const fakeFilters: Filters = {
  check(text, schema) {
    const found = /^\s*(\w+)\s*(in|==|>)\s*\[?([^\]]*)\]?\s*$/.exec(text);
    const key = keyField(schema);
    if (found === null || found[1] !== key.name)
      throw new DbError('filter-invalid', `cannot parse expression: ${text}`);
    const keys = found[3]!
      .split(',')
      .filter((item) => item.trim() !== '')
      .map((item) => (key.dataType === 'Int64' ? BigInt(item.trim()) : item.trim().slice(1, -1)));
    const root: FakeFilter = { op: found[2] === '>' ? '>' : 'in', keys };
    return { fields: [key.fieldId], root } as unknown as CheckedFilter;
  },
  valuesOf: () => undefined,
  ofKeys(keys, fieldId) {
    const root: FakeFilter = { op: 'in', keys: [...keys.values] };
    return { fields: [fieldId], root } as unknown as CheckedFilter;
  },
  primaryKeysOf(filter) {
    const { op, keys } = filter.root as unknown as FakeFilter;
    if (op !== 'in') return undefined;
    if (typeof keys[0] === 'string') return { type: 'VarChar', values: keys as string[] };
    return { type: 'Int64', values: BigInt64Array.from(keys as bigint[]) };
  },
};

const matches = (filter: CheckedFilter | undefined, key: PrimaryKey): boolean => {
  if (filter === undefined) return true;
  const { op, keys } = filter.root as unknown as FakeFilter;
  return op === 'in' ? keys.includes(key) : key > keys[0]!;
};

const absent = (method: string) => () => {
  throw new Error(`the fake has no ${method}`);
};

export class FakePlanes {
  readonly collections = new Map<string, Stored>();
  readonly databases = new Map<string, DatabaseRecord>();
  readonly jobs: RestoreJobInfo[] = [];
  readonly pins = new Map<bigint, string>();
  readonly pinOwners: (string | undefined)[] = [];
  readonly compactions = new Map<
    CompactionId,
    { readonly request: ManualCompaction; readonly info: CompactionInfo }
  >();
  /** Every write, for the tests to look at. */
  readonly writes: WritePart[][] = [];
  health = { isHealthy: true, reasons: [] as string[] };
  #nextId = 1000n;
  #ts = 2n ** 60n + 1n;

  constructor() {
    this.#addDatabase('default');
  }

  #id = <Id>(): Id => this.#nextId++ as Id;
  #now = (): HybridTime => ++this.#ts as HybridTime;

  #addDatabase(name: string): void {
    this.databases.set(name, { databaseId: this.#id(), name, properties: {}, createdTs: this.#now() });
  }

  stored({ database, name }: CollectionName): Stored {
    const at = database === '' ? 'default' : database;
    if (!this.databases.has(at))
      throw new DbError('database-not-found', `database not found[database=${at}]`);
    const found = this.collections.get(`${at}/${name}`);
    if (found === undefined)
      throw new DbError('collection-not-found', `[database=${at}][collection=${name}]`);
    return found;
  }

  #byId(collectionId: bigint): Stored {
    const found = [...this.collections.values()].find(
      ({ info }) => info.collection.collectionId === collectionId,
    );
    if (found === undefined) throw new DbError('collection-not-found', String(collectionId));
    return found;
  }

  #create(request: CreateCollection, restoringJobId?: JobId) {
    const database = request.database === '' ? 'default' : request.database;
    const at = `${database}/${request.name}`;
    if (this.collections.has(at))
      throw new DbError('collection-duplicate', `duplicate collection ${request.name}`);
    const collectionId = this.#id<never>();
    const collection = {
      ...request,
      collectionId,
      databaseId: this.databases.get(database)!.databaseId,
      schema: {
        ...request.schema,
        fields: request.schema.fields.map((field, i) => ({ ...field, fieldId: (100 + i) as FieldId })),
      },
      channels: Array.from({ length: request.shardsNum }, (_, n) => `tidemark-dml_${n}_${collectionId}v${n}`),
      createdTs: this.#now(),
      load: 'none' as const,
    };
    const info = {
      collection,
      ...(restoringJobId === undefined ? {} : { restoringJobId }),
      databaseName: database,
      partitions: [this.#partition(collectionId, '_default')],
    };
    this.collections.set(at, { info, isLoaded: false, rows: [], indexes: [], snapshots: [] });
    return collection;
  }

  #partition = (collectionId: never, name: string): PartitionRecord => ({
    partitionId: this.#id(),
    collectionId,
    name,
    createdTs: this.#now(),
  });

  #asked(...names: readonly string[]): Record<string, (at: CollectionName) => Promise<void>> {
    const ask = async (at: CollectionName) => void this.stored(at);
    return Object.fromEntries(names.map((name) => [name, ask]));
  }

  #snapshot(at: CollectionName, name: string): CreateSnapshot {
    const found = this.stored(at).snapshots.find((snapshot) => snapshot.name === name);
    if (found === undefined) throw new DbError('snapshot-not-found', `snapshot not found: ${name}`);
    return found;
  }

  readonly coordinator = {
    health: () => this.health,
    allocateIds: async (count: number) => {
      const first = this.#nextId;
      this.#nextId += BigInt(count);
      return first;
    },
    timestamp: this.#now,
    createDatabase: async (name: string) => this.#addDatabase(name),
    dropDatabase: async (name: string) => {
      this.databases.delete(name);
    },
    listDatabases: () => [...this.databases.values()],
    describeDatabase: (name: string) => {
      const found = this.databases.get(name);
      if (found === undefined) throw new DbError('database-not-found', name);
      return found;
    },
    createCollection: async (request: CreateCollection) => this.#create(request),
    dropCollection: async (at: CollectionName) => {
      const { info } = this.stored(at);
      this.collections.delete(`${info.databaseName}/${info.collection.name}`);
    },
    describeCollection: (at: CollectionName) => this.stored(at).info,
    describeCollectionById: (id: bigint) => this.#byId(id).info,
    requireReady: (at: CollectionName) => {
      const { info } = this.stored(at);
      if (info.restoringJobId !== undefined)
        throw new DbError('collection-on-recovering', `job ${info.restoringJobId} is restoring it`);
      return info;
    },
    listCollections: (database: string) =>
      [...this.collections.values()]
        .map(({ info }) => info)
        .filter((info) => info.databaseName === (database || 'default')),
    /** What changes a description is asked, and nothing happens. */
    ...this.#asked('alterCollection', 'alterField', 'alterIndex', 'addField', 'truncateCollection'),
    ...this.#asked('createAlias', 'alterAlias'),
    dropAlias: async () => undefined,
    describeAlias: (_: string, name: string) => {
      throw new DbError('alias-not-found', name);
    },
    listAliases: (database: string) => {
      this.coordinator.describeDatabase(database === '' ? 'default' : database);
      return [];
    },
    alterDatabase: async (name: string) => {
      this.coordinator.describeDatabase(name === '' ? 'default' : name);
    },
    renameCollection: async (at: CollectionName, name: string, database: string) => {
      const stored = this.stored(at);
      this.collections.delete(`${stored.info.databaseName}/${at.name}`);
      stored.info = {
        ...stored.info,
        databaseName: database || 'default',
        collection: { ...stored.info.collection, name },
      };
      this.collections.set(`${database || 'default'}/${name}`, stored);
    },
    rowCount: (id: bigint, partition?: bigint) =>
      this.#byId(id).rows.filter(({ partitionId }) => partition === undefined || partitionId === partition)
        .length,
    createPartition: async (at: CollectionName, name: string) => {
      const stored = this.stored(at);
      const partition = this.#partition(stored.info.collection.collectionId as never, name);
      stored.info = { ...stored.info, partitions: [...stored.info.partitions, partition] };
    },
    dropPartition: async (at: CollectionName, name: string) => {
      const stored = this.stored(at);
      stored.info = {
        ...stored.info,
        partitions: stored.info.partitions.filter((each) => each.name !== name),
      };
    },
    load: async (at: CollectionName) => {
      const stored = this.stored(at);
      if (stored.indexes.length === 0)
        throw new DbError('index-not-found', `index not found[collection=${at.name}]`);
      stored.isLoaded = true;
    },
    release: async (at: CollectionName) => {
      this.stored(at).isLoaded = false;
    },
    loadState: (at: CollectionName) => {
      const isLoaded = this.stored(at).isLoaded;
      return { state: isLoaded ? ('loaded' as const) : ('not-load' as const), progress: isLoaded ? 100 : 0 };
    },
    createIndex: async (at: CollectionName, field: string, name: string, params: Record<string, string>) => {
      const { info, indexes } = this.stored(at);
      const { collection } = info;
      const fieldId = collection.schema.fields.find((each) => each.name === field)!.fieldId;
      indexes.push({
        indexId: this.#id(),
        collectionId: collection.collectionId,
        fieldId,
        name,
        params,
        createdTs: this.#now(),
      });
    },
    dropIndex: async (at: CollectionName) => {
      this.stored(at).indexes.length = 0;
    },
    describeIndexes: (at: CollectionName, name: string): IndexProgress[] => {
      const { indexes, info, rows } = this.stored(at);
      const found = indexes.filter((index) => name === '' || index.name === name);
      if (found.length === 0) throw new DbError('index-not-found', `index not found[collection=${at.name}]`);
      const fieldName = (id: FieldId) =>
        info.collection.schema.fields.find(({ fieldId }) => fieldId === id)!.name;
      return found.map((index) => ({
        index,
        fieldName: fieldName(index.fieldId),
        totalRows: rows.length,
        bytesByMethod: {},
        tasks: { queued: 0, running: 0, completed: 1 },
        nodes: [],
        stages: { waitingMs: 0, copyingMs: 1 },
        indexedRows: rows.length,
        state: 'finished',
      }));
    },
    flush: async (collectionId: never) => ({
      collectionId,
      sealedIds: [77n as never],
      flushedIds: [],
      sealTs: this.#now(),
    }),
    isFlushed: () => true,
    indexedSegments: (at: CollectionName) => {
      this.stored(at);
      return [];
    },
    listSegments: (at: CollectionName) => {
      const { info, rows } = this.stored(at);
      const base = {
        collectionId: info.collection.collectionId,
        partitionId: info.partitions[0]!.partitionId,
      };
      return [
        {
          ...base,
          segmentId: 77n as never,
          rowCount: rows.length,
          state: 'flushed' as const,
          level: 'L1' as const,
        },
      ];
    },
    compact: async (request: ManualCompaction) => {
      this.#byId(request.collectionId);
      const compactionId = this.#id<CompactionId>();
      const plans = [
        {
          sources: [71n, 72n] as SegmentId[],
          target: 77n as SegmentId,
          state: 'completed' as const,
          reason: '',
        },
        { sources: [73n] as SegmentId[], state: 'failed' as const, reason: 'lost' },
        { sources: [74n, 75n] as SegmentId[], state: 'executing' as const, reason: '' },
      ];
      this.compactions.set(compactionId, { request, info: { compactionId, state: 'executing', plans } });
      return { compactionId, state: 'executing' as const, plans };
    },
    compactionState: (compactionId: CompactionId) => {
      const found = this.compactions.get(compactionId);
      if (found === undefined)
        throw new DbError('compaction-not-found', `compaction not found: compactionID=${compactionId}`);
      return found.info;
    },
    createSnapshot: async (request: CreateSnapshot) => {
      const { snapshots } = this.stored(request.at);
      if (snapshots.some(({ name }) => name === request.name))
        throw new DbError(
          'parameter-invalid',
          `snapshot name ${request.name} already exists in the collection`,
        );
      snapshots.push(request);
      return this.#id<never>();
    },
    dropSnapshot: async (at: CollectionName, name: string) => {
      const stored = this.stored(at);
      if ([...this.pins.values()].includes(name))
        throw new DbError('snapshot-pinned', `unpin ${name} before dropping`);
      stored.snapshots = stored.snapshots.filter((snapshot) => snapshot.name !== name);
    },
    listSnapshots: (at: CollectionName) => this.stored(at).snapshots.map(({ name }) => name),
    describeSnapshot: (at: CollectionName, name: string) => ({
      ...this.#snapshot(at, name),
      snapshotId: 5n as never,
      collectionName: at.name,
      partitionNames: ['_default'],
      createTs: (2n ** 60n) as HybridTime,
      location: 'snapshots/1/metadata/5.json',
      segmentCount: 1,
      rowCount: 1,
      sizeBytes: 1,
    }),
    pinSnapshot: async (at: CollectionName, name: string, _ttlSeconds: number, owner?: string) => {
      this.#snapshot(at, name);
      this.pinOwners.push(owner);
      const pinId = 2n ** 62n + this.#id<bigint>();
      this.pins.set(pinId, name);
      return pinId as never;
    },
    unpinSnapshot: async (pinId: bigint) => {
      this.pins.delete(pinId);
    },
    restoreSnapshot: async ({ source, name, target }: RestoreSnapshot) => {
      this.#snapshot(source, name);
      const jobId = this.#id<never>();
      const { collection } = this.stored(source).info;
      this.#create({ ...collection, ...target }, jobId);
      const zero = {
        totalBytes: 0,
        copiedBytes: 0,
        totalFiles: 0,
        copiedFiles: 0,
        totalSegments: 0,
        totalRows: 0,
        bytesByMethod: {},
        tasks: { queued: 0, running: 0, completed: 1 },
        nodes: [],
        stages: { waitingMs: 0, copyingMs: 1 },
      };
      const job = { jobId, snapshotName: name, databaseName: 'default', collectionName: target.name };
      this.jobs.push({
        ...job,
        ...zero,
        state: 'executing',
        progress: 40,
        reason: '',
        startedAtMs: 1,
        durationMs: 1,
      });
      return jobId;
    },
    restoreState: (jobId: bigint) => {
      const job = this.jobs.find((each) => each.jobId === jobId);
      if (job === undefined) throw new DbError('job-not-found', `restore job: jobID=${jobId}`);
      return job;
    },
    listRestoreJobs: (_database: string, collection: string) =>
      this.jobs.filter((job) => collection === '' || job.collectionName === collection),
    close: absent('close'),
  } as unknown as Coordinator;

  readonly streamingNode = {
    write: async (collectionId: bigint, parts: readonly WritePart[]) => {
      const stored = this.#byId(collectionId);
      const { schema } = stored.info.collection;
      this.writes.push([...parts]);
      for (const part of parts)
        if (part.kind === 'delete') {
          const gone = new Set<PrimaryKey>(part.keys.values);
          stored.rows = stored.rows.filter(({ row }) => !gone.has(keyOf(schema, row)));
        }
      for (const part of parts)
        if (part.kind === 'insert')
          for (const row of rowsOf(part.rows)) stored.rows.push({ row, partitionId: part.partitionId });
      return this.#now();
    },
    segments: () => [],
  } as unknown as StreamingNode;

  #visible({
    collectionId,
    filter,
    partitionIds,
  }: Pick<QueryRequest, 'collectionId' | 'filter' | 'partitionIds'>): Row[] {
    const { info, rows, isLoaded } = this.#byId(collectionId);
    if (!isLoaded) throw new DbError('collection-not-loaded', `[collection=${info.collection.name}]`);
    const { schema } = info.collection;
    const key = (row: Row) => keyOf(schema, row);
    return rows
      .filter(({ partitionId }) => partitionIds === undefined || partitionIds.includes(partitionId as never))
      .map(({ row }) => row)
      .filter((row) => matches(filter, key(row)))
      .sort((a, b) => (key(a) < key(b) ? -1 : 1));
  }

  readonly queryNode = {
    query: async (request: QueryRequest) => {
      const { fields } = this.#byId(request.collectionId).info.collection.schema;
      const { offset = 0, limit = 16_384 } = request;
      const rows = this.#visible(request).slice(offset, offset + limit);
      const batch = batchOf(
        fields.filter(({ fieldId }) => request.outputFields.includes(fieldId)),
        rows,
      );
      return { ...batch, readTs: 1n as HybridTime };
    },
    count: async (request: QueryRequest) => this.#visible(request).length,
    search: async (request: SearchRequest): Promise<SearchResult> => {
      const { schema } = this.#byId(request.collectionId).info.collection;
      const { queries } = request;
      assert(queries.layout === 'vector', 'the fake searches dense vectors');
      const { dim } = queries;
      const hits = Array.from({ length: request.queryCount }, (_, q) => {
        const query = queries.values.subarray(q * dim, (q + 1) * dim);
        return this.#visible(request)
          .map((row) => {
            const vector = row.get(request.fieldId) as Float32Array;
            return { row, score: vector.reduce((sum, x, i) => sum + (x - query[i]!) ** 2, 0) };
          })
          .sort((a, b) => a.score - b.score)
          .slice(request.offset, request.topK);
      });
      const all = hits.flat();
      return {
        counts: Uint32Array.from(hits, (list) => list.length),
        readTs: 1n as HybridTime,
        keys: keysOf(
          schema,
          all.map(({ row }) => keyOf(schema, row)),
        ),
        scores: Float32Array.from(all, ({ score }) => score),
        rows: batchOf(
          schema.fields.filter(({ fieldId }) => request.outputFields.includes(fieldId)),
          all.map(({ row }) => row),
        ),
      };
    },
  } as unknown as QueryNode;
}
