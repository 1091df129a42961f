/**
 * A data directory with one collection of any number of flushed segments. Their records are written into the catalog as a flush and an
 * index build would; the objects they name are few: every segment names the same ones, which exist. Creating a snapshot reads records only.
 */

import { put } from '../src/catalog/catalog.ts';
import { LmdbKv } from '../src/catalog/lmdb.ts';
import { DEFAULT_DATABASE_ID } from '../src/coordinator/collections/names.ts';
import { type Foundations, openFoundations } from '../src/coordinator/compose.ts';
import { snapshotTables } from '../src/coordinator/snapshot-service.ts';
import { collections, databases, indexes, partitions, segments } from '../src/coordinator/tables.ts';
import type { BuildId, CollectionId, FieldId, IndexId, PartitionId, SegmentId } from '../src/model/ids.ts';
import type { FileKind, SegmentFile, SegmentRecord } from '../src/model/records.ts';
import type { FieldSchema } from '../src/model/schema.ts';
import { openDataDir } from '../src/storage/data-dir.ts';
import { indexKey, rowsKey, statsKey } from '../src/storage/keys.ts';
import { LocalStore } from '../src/storage/local.ts';
import type { ObjectStore } from '../src/storage/object-store.ts';
import { systemClock } from '../src/support/system-clock.ts';
import { fieldSchema } from '../tests/field-schema.ts';

const VECTOR = 101 as FieldId;
/** Full segments, which no compaction wants to merge. */
const ROWS_BYTES = 480 * 2 ** 20;
const PER_COMMIT = 120;
const COMMITS_AT_ONCE = 8;

const field = (fieldId: number, name: string, of: Partial<FieldSchema>): FieldSchema =>
  fieldSchema(name, { fieldId: fieldId as FieldId, ...of });

/** How the segments are written. */
export interface ManySegments {
  readonly count: number;
  readonly dim: number;
  /** What the records say of the rows file. */
  readonly rowsBytes?: number;
  /** Every segment has small files of its own, which can be copied. */
  readonly hasOwnFiles?: boolean;
}

/** Collection `many` with the fields `id` and `vector`, one partition and one index. */
export async function manySegments(
  path: string,
  count: number,
  dim: number,
  hasOwnFiles = false,
): Promise<void> {
  const dir = await openDataDir(path);
  const store = await LocalStore.open(dir.objects);
  const kv = await LmdbKv.open(dir.catalog);
  const foundations = await openFoundations(kv, systemClock, snapshotTables);
  await writeManySegments(foundations, store, { count, dim, hasOwnFiles });
  await foundations.catalog.close();
  await store.close();
  await dir.release();
}

/** The same into a catalog and a store that are open. */
export async function writeManySegments(
  { catalog, ids, time }: Pick<Foundations, 'catalog' | 'ids' | 'time'>,
  store: ObjectStore,
  { count, dim, rowsBytes = ROWS_BYTES, hasOwnFiles = false }: ManySegments,
): Promise<void> {
  const createdTs = time.next();
  const databaseId = DEFAULT_DATABASE_ID;
  const collectionId = await ids.next<CollectionId>();
  const partitionId = await ids.next<PartitionId>();
  const indexId = await ids.next<IndexId>();
  const channel = `tidemark-dml_0_${collectionId}v0`;
  await catalog.commitSure([
    put(databases, { databaseId, name: 'default', properties: {}, createdTs }, undefined),
    put(
      collections,
      {
        collectionId,
        databaseId,
        name: 'many',
        schema: {
          description: '',
          enableDynamicField: false,
          version: 1,
          fields: [
            field(100, 'id', { isPrimaryKey: true }),
            field(101, 'vector', { dataType: 'FloatVector', dim, typeParams: { dim: `${dim}` } }),
          ],
        },
        shardsNum: 1,
        channels: [channel],
        consistencyLevel: 'Bounded',
        properties: {},
        createdTs,
        load: 'none',
      },
      undefined,
    ),
    put(partitions, { partitionId, collectionId, name: '_default', createdTs }, undefined),
    put(
      indexes,
      { indexId, collectionId, fieldId: VECTOR, name: 'vector', params: { index_type: 'HNSW' }, createdTs },
      undefined,
    ),
  ]);
  const firstSegmentId = await ids.range<SegmentId>(count);
  const firstBuildId = await ids.range<BuildId>(count);
  const place = { collectionId, partitionId, segmentId: firstSegmentId };
  const write = async (kind: FileKind, key: string): Promise<SegmentFile> => {
    const bytes = new TextEncoder().encode(`${kind} of all segments`);
    return { kind, key, sizeBytes: bytes.length, ...(await store.put(key, bytes)) };
  };
  const files = [await write('rows', rowsKey(place)), await write('stats', statsKey(place))];
  const file = await write('index', indexKey(place, VECTOR, firstBuildId));
  const segment = (n: number): SegmentRecord => ({
    segmentId: (firstSegmentId + BigInt(n)) as SegmentId,
    collectionId,
    partitionId,
    channel,
    level: 'L1',
    state: 'flushed',
    rowCount: 2000,
    minTs: createdTs,
    maxTs: createdTs,
    // Values of their own, as records read from files have.
    files: files.map((one) => (one.kind === 'rows' ? { ...one, sizeBytes: rowsBytes } : { ...one })),
    indexes: [
      {
        indexId,
        buildId: (firstBuildId + BigInt(n)) as BuildId,
        fieldId: VECTOR,
        kind: 'HNSW',
        file: { ...file },
      },
    ],
  });
  const withOwnFiles = async (record: SegmentRecord): Promise<SegmentRecord> => {
    const own = await Promise.all([write('rows', rowsKey(record)), write('stats', statsKey(record))]);
    const built = record.indexes.map(async (index) => ({
      ...index,
      file: await write('index', indexKey(record, VECTOR, index.buildId)),
    }));
    return { ...record, files: own, indexes: await Promise.all(built) };
  };
  for (let at = 0; at < count; at += PER_COMMIT * COMMITS_AT_ONCE) {
    const commits: Promise<void>[] = [];
    for (let from = at; from < Math.min(count, at + PER_COMMIT * COMMITS_AT_ONCE); from += PER_COMMIT) {
      const to = Math.min(count, from + PER_COMMIT);
      const plain = Array.from({ length: to - from }, (_, i) => segment(from + i));
      const records = hasOwnFiles ? await Promise.all(plain.map(withOwnFiles)) : plain;
      commits.push(catalog.commitSure(records.map((record) => put(segments, record, undefined))));
    }
    await Promise.all(commits);
  }
}
