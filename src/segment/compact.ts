/**
 * Segments become one segment: rows without those that deletes kill, or deletes without those that newer ones make needless. Runs in
 * a worker thread; repeatable: same input, same bytes. Every byte an output is made of was checked against its record, and so was
 * every byte behind the answer that no row dies: whoever hears it may forget the deletes.
 */
import { DbError } from '../errors/db-error.ts';
import type { TimeRange } from '../model/expiry.ts';
import type { HybridTime } from '../model/hybrid-time.ts';
import type { CollectionId, PartitionId, SegmentId } from '../model/ids.ts';
import type { SegmentFile } from '../model/records.ts';
import type { CollectionSchema, FieldSchema } from '../model/schema.ts';
import { deletesKey, rowsKey, statsKey } from '../storage/keys.ts';
import type { ObjectStore } from '../storage/object-store.ts';
import { assert, present } from '../support/assert.ts';
import { mapLimited } from '../support/limiter.ts';
import type { WorkerTasks } from '../support/workers.ts';
import { fileOf, type Planner, putFile, readChecked, readUnchecked } from './checked-file.ts';
import { asKeys, type DeleteColumns, encodePickedDeletes } from './deletes-file.ts';
import { compareKeys, keyList, keysOfColumn } from './key-column.ts';
import { loadDeletes, loadSegment } from './load.ts';
import {
  firstOfEachKey,
  type KeyedTimes,
  killedRows,
  mergeByTime,
  newestDeletes,
  timeRange,
  withExpired,
} from './merge.ts';
import { pickScalars, sourceOf } from './pick-rows.ts';
import { encodePickedRows, planField, planTimestamps, type RowSource, readRowsMeta } from './rows-file.ts';
import type { Runs } from './runs.ts';
import { decodeStats, encodeStats, keyRange, type SegmentStats } from './stats.ts';

export const COMPACT_SEGMENTS = 'compact-segments';
export const COMPACT_DELETES = 'compact-deletes';

interface Place {
  readonly collectionId: CollectionId;
  readonly partitionId: PartitionId;
  readonly segmentId: SegmentId;
}

interface Source {
  readonly rowCount: number;
  readonly files: readonly SegmentFile[];
}

export interface CompactInput {
  readonly place: Place;
  readonly schema: CollectionSchema;
  /** L1, at least one. */
  readonly sources: readonly Source[];
  /** L0. */
  readonly deletes: readonly Source[];
  /** With one source: when fewer rows than this would go, nothing is written. */
  readonly minKilled: number;
  /** Rows of these timestamps go, too. */
  readonly expired?: readonly TimeRange[];
}

export interface Compacted {
  /** Rows, stats; deletes for deletes; nothing when no row is left. */
  readonly files: readonly SegmentFile[];
  readonly rowCount: number;
  /** Of the first and the last row; of the sources' when none is left. */
  readonly minTs: HybridTime;
  readonly maxTs: HybridTime;
}

export interface CompactResult {
  /** 0 is proven by checksums; a higher number without `segment` is not. */
  readonly killed: number;
  /** Absent: nothing was written. */
  readonly segment?: Compacted;
}

export interface CompactDeletesInput {
  readonly place: Place;
  /** L0, at least one. */
  readonly sources: readonly Source[];
}

export interface CompactDeletesResult {
  readonly segment: Compacted;
}

/** Sources read at once: one is decoded while the bytes of the next come. */
const SOURCES_AT_ONCE = 2;

/**
 * The worker's tasks `compact-segments` (`CompactInput` to `CompactResult`) and `compact-deletes` (`CompactDeletesInput` to
 * `CompactDeletesResult`).
 */
export function compactTasks({ store }: { readonly store: ObjectStore }): WorkerTasks {
  return {
    [COMPACT_SEGMENTS]: async (input: CompactInput) => ({
      output: await compactSegments(store, input),
      transfer: [],
    }),
    [COMPACT_DELETES]: async (input: CompactDeletesInput) => ({
      output: await compactDeletes(store, input),
      transfer: [],
    }),
  };
}

async function compactSegments(
  store: ObjectStore,
  { place, schema, sources, deletes, minKilled, expired = [] }: CompactInput,
): Promise<CompactResult> {
  const [first] = sources;
  assert(first !== undefined, 'a compaction has sources');
  const keyField = present(
    schema.fields.find(({ isPrimaryKey }) => isPrimaryKey),
    'the primary key field',
  );
  const deleted = (await readDeletes(store, deletes, keyField.dataType)).map(keyed);
  const least = sources.length === 1 ? minKilled : 0;
  // What has expired is told by timestamps alone, and a plan to remove it is made when it is much.
  if (least > 0 && expired.length === 0) {
    const killed = await countKilled(store, first, keyField, deleted);
    if (killed < least) return { killed };
  }
  const newest = newestDeletes(deleted);
  const rows = await mapLimited(sources, SOURCES_AT_ONCE, (source) => readRows(store, source, schema));
  const kills = rows.map((each) =>
    withExpired(killedRows(keysAndTimes(each, keyField), newest), each.timestamps, expired),
  );
  const killed = kills.reduce((sum, { count }) => sum + count, 0);
  // The count before was made of bytes without a checksum: this one counts.
  if (killed < least) return { killed };
  const timestamps = rows.map((each) => each.timestamps);
  const runs = mergeByTime(timestamps, kills);
  if (runs.rowCount === 0) return { killed, segment: { files: [], rowCount: 0, ...spanOf(timestamps) } };
  return { killed, segment: await writeRows(store, { place, schema, keyField, rows, runs }) };
}

/** The deletes of L0 segments, all with keys of one type: the one given, else that of the first. */
async function readDeletes(
  store: ObjectStore,
  sources: readonly Source[],
  keyType?: FieldSchema['dataType'],
): Promise<DeleteColumns[]> {
  const deletes = await mapLimited(sources, SOURCES_AT_ONCE, ({ files }) => loadDeletes(store, files));
  const wanted = keyType ?? deletes[0]?.keys.type;
  for (const [i, { keys, timestamps }] of deletes.entries()) {
    const { files, rowCount } = sourceOf(sources, i);
    const file = fileOf(files, 'deletes');
    checkCount(file, timestamps.length, rowCount);
    if (keys.type !== wanted) throw damaged(file, `its keys are ${keys.type}, not ${wanted}`);
  }
  return deletes;
}

const damaged = ({ key }: SegmentFile, what: string): DbError =>
  new DbError('data-integrity', `object '${key}': ${what}`);

function checkCount(file: SegmentFile, count: number, expected: number): void {
  if (count !== expected) throw damaged(file, `it holds ${count} rows instead of ${expected}`);
}

const keyed = ({ keys, timestamps }: DeleteColumns): KeyedTimes => ({ keys: keysOfColumn(keys), timestamps });

const keyColumnOf = (columns: RowSource['columns'], { fieldId }: FieldSchema) =>
  asKeys(present(columns.get(fieldId), 'the column of keys'));

function keysAndTimes(
  { columns, timestamps }: Pick<RowSource, 'columns' | 'timestamps'>,
  keyField: FieldSchema,
): KeyedTimes {
  return { keys: keysOfColumn(keyColumnOf(columns, keyField)), timestamps };
}

/**
 * How many rows die, from as few bytes as can tell. Without the whole file its checksum is unknown; that does while rows die, for
 * then the segment and the deletes both stay. That none dies is proven.
 */
async function countKilled(
  store: ObjectStore,
  { files, rowCount }: Source,
  keyField: FieldSchema,
  deletes: readonly KeyedTimes[],
): Promise<number> {
  if (deletes.length === 0) return 0;
  const stats = await readStats(store, fileOf(files, 'stats'), rowCount, keyField);
  const bounds = keyList(boundsOf(stats)).column;
  const near = newestDeletes(
    deletes,
    (keys, at, ts) =>
      ts > stats.minTs && compareKeys(keys, at, bounds, 0) >= 0 && compareKeys(keys, at, bounds, 1) <= 0,
  );
  if (near.size === 0) return 0;
  const file = fileOf(files, 'rows');
  const countWith = async (read: typeof readChecked): Promise<number> => {
    const rows = await read(store, file, keysPlanner(keyField));
    checkCount(file, rows.timestamps.length, rowCount);
    return killedRows(rows, near).count;
  };
  const killed = await countWith(readUnchecked);
  return killed > 0 ? killed : await countWith(readChecked);
}

async function readStats(
  store: ObjectStore,
  file: SegmentFile,
  rowCount: number,
  { dataType }: FieldSchema,
): Promise<SegmentStats> {
  const stats = await readChecked(store, file, ({ sizeBytes }) => {
    const into = new Uint8Array(sizeBytes);
    return { fetches: [{ offset: 0, into }], decode: () => decodeStats(into) };
  });
  checkCount(file, stats.rowCount, rowCount);
  if (boundsOf(stats).type !== dataType) throw damaged(file, `its keys are not ${dataType}`);
  return stats;
}

function boundsOf({ minKey, maxKey }: SegmentStats) {
  return typeof minKey === 'bigint' && typeof maxKey === 'bigint'
    ? ({ type: 'Int64', values: BigInt64Array.of(minKey, maxKey) } as const)
    : ({ type: 'VarChar', values: [String(minKey), String(maxKey)] } as const);
}

/** Keys and timestamps of a rows file. */
const keysPlanner =
  (keyField: FieldSchema): Planner<KeyedTimes> =>
  async (reader) => {
    const meta = await readRowsMeta(reader);
    const keys = planField(meta, keyField);
    const timestamps = planTimestamps(meta);
    return {
      fetches: [...timestamps.fetches, ...keys.fetches],
      decode: () => ({ keys: keysOfColumn(asKeys(keys.decode())), timestamps: timestamps.decode() }),
    };
  };

async function readRows(
  store: ObjectStore,
  { files, rowCount }: Source,
  { fields, functions }: CollectionSchema,
): Promise<RowSource> {
  const { timestamps, columns } = await loadSegment(store, { files, fields, functions, vectors: [] });
  checkCount(fileOf(files, 'rows'), timestamps.length, rowCount);
  return { rowCount, timestamps, columns };
}

/** First and last timestamp of all rows. */
function spanOf(sources: readonly BigInt64Array[]): Pick<Compacted, 'minTs' | 'maxTs'> {
  const none = sources.map(({ length }) => ({ count: 0, dead: new Uint8Array(length) }));
  return timeRange(sources, mergeByTime(sources, none));
}

interface RowsToWrite {
  readonly place: Place;
  readonly schema: CollectionSchema;
  readonly keyField: FieldSchema;
  readonly rows: readonly RowSource[];
  readonly runs: Runs;
}

async function writeRows(
  store: ObjectStore,
  { place, schema, keyField, rows, runs }: RowsToWrite,
): Promise<Compacted> {
  const range = timeRange(
    rows.map(({ timestamps }) => timestamps),
    runs,
  );
  const keys = rows.map(({ columns }) => keyColumnOf(columns, keyField));
  const stats = encodeStats({ rowCount: runs.rowCount, ...range, ...keyRange(pickScalars(keys, runs)) });
  const bytes = encodePickedRows(schema.fields, rows, runs);
  const files = [
    await putFile(store, 'rows', rowsKey(place), bytes),
    await putFile(store, 'stats', statsKey(place), stats),
  ];
  return { files, rowCount: runs.rowCount, ...range };
}

async function compactDeletes(
  store: ObjectStore,
  { place, sources }: CompactDeletesInput,
): Promise<CompactDeletesResult> {
  assert(sources.length > 0, 'a compaction has sources');
  const columns = await readDeletes(store, sources);
  const deletes = columns.map(keyed);
  const newest = newestDeletes(deletes);
  const timestamps = deletes.map((each) => each.timestamps);
  const newestRuns = mergeByTime(
    timestamps,
    deletes.map((each) => killedRows(each, newest)),
  );
  // One key may have been deleted several times at its newest timestamp.
  const runs = newestRuns.rowCount === newest.size ? newestRuns : firstOfEachKey(deletes, newestRuns);
  const bytes = encodePickedDeletes(columns, runs);
  const file = await putFile(store, 'deletes', deletesKey(place), bytes);
  return { segment: { files: [file], rowCount: runs.rowCount, ...timeRange(timestamps, runs) } };
}
