/** Flushed segments in real files and a catalog that compacts them, as plainly as can be said, around a query node. */
import assert from 'node:assert/strict';
import type { HybridTime } from '../src/model/hybrid-time.ts';
import { ALL_PARTITIONS, type FieldId, type PartitionId, type SegmentId } from '../src/model/ids.ts';
import type { FileKind, SegmentFile, SegmentRecord } from '../src/model/records.ts';
import type { PrimaryKeys, RowBatch } from '../src/model/rows.ts';
import type { CollectionSchema } from '../src/model/schema.ts';
import type { SegmentFiles } from '../src/querynode/loader.ts';
import type { VectorBlock } from '../src/querynode/vectors.ts';
import { type Deletes, encodeDeletes } from '../src/segment/deletes-file.ts';
import { LOAD_DELETES, LOAD_SEGMENT, type LoadedSegment, loadTasks } from '../src/segment/load.ts';
import { encodeRows } from '../src/segment/rows-file.ts';
import { MemoryStore } from '../src/storage/memory.ts';
import {
  batchOf,
  collectionId,
  keysOf,
  type PlainLog,
  type Row,
  rowsOfBatch,
  VECTOR,
} from './query-world.ts';

type KeyType = 'Int64' | 'VarChar';
interface StampedRow extends Row {
  readonly ts: bigint;
}
interface StampedDelete {
  readonly key: number;
  readonly ts: bigint;
}

const keyNumber = (key: bigint | string): number => Number(String(key).replace('k', ''));

/** Rows of one timestamp after another, as a flush writes them. */
function byTs<T extends { readonly ts: bigint }>(all: readonly T[]): { ts: HybridTime; of: T[] }[] {
  const groups: { ts: HybridTime; of: T[] }[] = [];
  for (const each of all) {
    const last = groups.at(-1);
    if (last?.ts === each.ts) last.of.push(each);
    else groups.push({ ts: each.ts as HybridTime, of: [each] });
  }
  return groups;
}

/** Files written by the real encoders and read by the real tasks. */
export class EncodedFiles implements SegmentFiles {
  readonly store = new MemoryStore(() => 0);
  readonly schema: CollectionSchema;
  readonly type: KeyType;
  /** Awaited before one segment is read. */
  readonly gates = new Map<SegmentId, Promise<void>>();
  /** Segments in the order in which they were read. */
  readonly reads: SegmentId[] = [];
  readonly #tasks = loadTasks({ store: this.store });

  constructor(type: KeyType, schema: CollectionSchema) {
    this.type = type;
    this.schema = schema;
  }

  async rows(
    { segmentId, files }: SegmentRecord,
    { fields }: CollectionSchema,
    vectors: ReadonlyMap<FieldId, VectorBlock>,
  ) {
    await this.#opened(segmentId);
    const targets = [...vectors].map(([fieldId, { values }]) => ({
      fieldId,
      buffer: values.buffer,
      byteOffset: values.byteOffset,
    }));
    const loaded = await this.#run<LoadedSegment>(LOAD_SEGMENT, { files, fields, vectors: targets });
    const columns = new Map(loaded.columns);
    for (const [fieldId, { values }] of vectors) {
      const { dim } = fields.find((field) => field.fieldId === fieldId)!;
      columns.set(fieldId, { layout: 'vector', type: 'FloatVector', dim: dim!, values });
    }
    return { batch: { rowCount: loaded.rowCount, columns }, timestamps: loaded.timestamps };
  }

  async deletes({ segmentId, files }: SegmentRecord): Promise<Deletes> {
    await this.#opened(segmentId);
    return this.#run<Deletes>(LOAD_DELETES, { files });
  }

  graph(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  async readRows({ files }: SegmentRecord): Promise<StampedRow[]> {
    const { rowCount, columns, timestamps } = await this.#run<LoadedSegment>(LOAD_SEGMENT, {
      files,
      fields: this.schema.fields,
      vectors: [],
    });
    assert(columns.has(VECTOR));
    return rowsOfBatch({ rowCount, columns }).map((row, i) => ({ ...row, ts: timestamps[i]! }));
  }

  async readDeletes({ files }: SegmentRecord): Promise<StampedDelete[]> {
    const { keys, timestamps } = await this.#run<Deletes>(LOAD_DELETES, { files });
    return Array.from(keys.values as Iterable<bigint | string>, (key, i) => ({
      key: keyNumber(key),
      ts: timestamps[i]!,
    }));
  }

  async writeRows(segmentId: SegmentId, rows: readonly StampedRow[]): Promise<SegmentFile> {
    const written = byTs(rows).map(({ ts, of }) => ({ ts, rows: batchOf(this.type, of) }));
    return this.#put('rows', segmentId, encodeRows(this.schema.fields, written));
  }

  async writeDeletes(segmentId: SegmentId, deletes: readonly StampedDelete[]): Promise<SegmentFile> {
    const written = byTs(deletes).map(({ ts, of }) => ({
      ts,
      keys: keysOf(
        this.type,
        of.map(({ key }) => key),
      ),
    }));
    return this.#put('deletes', segmentId, encodeDeletes(written));
  }

  /** Files are read at different speeds. */
  async #opened(segmentId: SegmentId): Promise<void> {
    this.reads.push(segmentId);
    await this.gates.get(segmentId);
    for (let i = 0; i < Number(segmentId % 5n); i++)
      await new Promise<void>((resolve) => {
        setImmediate(resolve);
      });
  }

  async #put(kind: FileKind, segmentId: SegmentId, bytes: Uint8Array): Promise<SegmentFile> {
    const key = `${kind}/${segmentId}`;
    return { kind, key, sizeBytes: bytes.length, ...(await this.store.put(key, bytes)) };
  }

  async #run<Output>(task: string, input: unknown): Promise<Output> {
    return (await this.#tasks[task]!(input as never)).output as Output;
  }
}

/** Rows without those that a delete kills. */
const survivors = (rows: readonly StampedRow[], deletes: readonly StampedDelete[]): StampedRow[] =>
  rows.filter(({ key, ts }) => !deletes.some((each) => each.key === key && each.ts > ts));

interface Pending {
  readonly sources: readonly SegmentRecord[];
  readonly output: SegmentRecord | undefined;
}

const reaches = (
  deletes: SegmentRecord,
  { channel, partitionId }: { channel: string; partitionId: PartitionId },
) =>
  deletes.channel === channel &&
  (deletes.partitionId === ALL_PARTITIONS || deletes.partitionId === partitionId);

/** The catalog's half: flushed segments, and what compaction makes of them. */
export class Compactions {
  /** Flushed segments, as the catalog has them. */
  records: readonly SegmentRecord[] = [];
  readonly #log: PlainLog;
  readonly #files: EncodedFiles;
  readonly #pending: Pending[] = [];
  #nextId = 1_000_000n;

  constructor(log: PlainLog, files: EncodedFiles) {
    this.#log = log;
    this.#files = files;
  }

  async flush(choice: number): Promise<boolean> {
    const waiting = this.#log.unflushed;
    const segmentId = waiting[choice % waiting.length];
    if (segmentId === undefined) return false;
    const { level, partitionId, channel } = this.#log.held.get(segmentId)!.segment;
    const { rows, deletes } = this.#contents(segmentId);
    const file =
      level === 'L1'
        ? await this.#files.writeRows(segmentId, rows)
        : await this.#files.writeDeletes(segmentId, deletes);
    this.#log.seal(segmentId);
    this.#commit(
      [],
      recordOf({ segmentId, partitionId, channel, level }, level === 'L1' ? rows : deletes, [file]),
    );
    return true;
  }

  /** Merges some flushed segments of one place without their dead rows; the commit may come later. */
  async compact(choice: number, isCommitted: boolean): Promise<boolean> {
    const all = this.records.filter(({ level }) => level === 'L1');
    const first = all[choice % all.length];
    if (first === undefined) return false;
    const busy = new Set(this.#pending.flatMap(({ sources }) => sources));
    const sources = all
      .filter(
        (each) => each.channel === first.channel && each.partitionId === first.partitionId && !busy.has(each),
      )
      .slice(0, 1 + (choice % 4));
    if (sources.length === 0) return false;
    const deletes = await this.#deletesOn(first);
    const rows = (await Promise.all(sources.map((each) => this.#files.readRows(each)))).flat();
    const alive = survivors(rows, deletes).sort((a, b) => Number(a.ts - b.ts));
    const { partitionId, channel } = first;
    const segmentId = this.#newId();
    const output =
      alive.length === 0
        ? undefined
        : recordOf({ segmentId, partitionId, channel, level: 'L1' }, alive, [
            await this.#files.writeRows(segmentId, alive),
          ]);
    this.#pending.push({ sources, output });
    return isCommitted ? this.commit() : false;
  }

  /** The oldest compaction whose output is written. */
  commit(): boolean {
    const done = this.#pending.shift();
    if (done !== undefined) this.#commit(done.sources, done.output);
    return done !== undefined;
  }

  /** L0 segments of one place become one. */
  async mergeDeletes(choice: number): Promise<boolean> {
    const all = this.records.filter(({ level }) => level === 'L0');
    const first = all[choice % all.length];
    const sources = all.filter(
      (each) => each.channel === first?.channel && each.partitionId === first.partitionId,
    );
    if (first === undefined || sources.length < 2) return false;
    const newest = new Map<number, bigint>();
    for (const { key, ts } of (
      await Promise.all(sources.map((each) => this.#files.readDeletes(each)))
    ).flat())
      if ((newest.get(key) ?? 0n) < ts) newest.set(key, ts);
    const merged = [...newest].map(([key, ts]) => ({ key, ts })).sort((a, b) => Number(a.ts - b.ts));
    const segmentId = this.#newId();
    const { partitionId, channel } = first;
    const place = { segmentId, partitionId, channel, level: 'L0' } as const;
    this.#commit(sources, recordOf(place, merged, [await this.#files.writeDeletes(segmentId, merged)]));
    return true;
  }

  /** L0 segments that kill no row of a live segment go. */
  async retire(): Promise<boolean> {
    const gone: SegmentRecord[] = [];
    for (const record of this.records)
      if (record.level === 'L0') {
        const deletes = await this.#files.readDeletes(record);
        const rows = await this.#liveRows(record);
        if (survivors(rows, deletes).length === rows.length) gone.push(record);
      }
    this.#commit(gone, undefined);
    return gone.length > 0;
  }

  #commit(sources: readonly SegmentRecord[], output: SegmentRecord | undefined): void {
    this.records = [...this.records.filter((each) => !sources.includes(each)), ...(output ? [output] : [])];
  }

  #newId(): SegmentId {
    return this.#nextId++ as SegmentId;
  }

  async #deletesOn(place: SegmentRecord): Promise<StampedDelete[]> {
    const covering = this.records.filter((each) => each.level === 'L0' && reaches(each, place));
    return (await Promise.all(covering.map((each) => this.#files.readDeletes(each)))).flat();
  }

  /** Rows of segments that live, in files and in the log, where the deletes reach. */
  async #liveRows(deletes: SegmentRecord): Promise<StampedRow[]> {
    const flushed = this.records.filter((each) => each.level === 'L1' && reaches(deletes, each));
    const inLog = this.#log.unflushed.filter((id) => reaches(deletes, this.#log.held.get(id)!.segment));
    return [
      ...(await Promise.all(flushed.map((each) => this.#files.readRows(each)))).flat(),
      ...inLog.flatMap((id) => this.#contents(id).rows),
    ];
  }

  /** What the log has of a segment. */
  #contents(segmentId: SegmentId): { readonly rows: StampedRow[]; readonly deletes: StampedDelete[] } {
    const rows: StampedRow[] = [];
    const deletes: StampedDelete[] = [];
    const stamped = (batch: RowBatch, ts: bigint) => rowsOfBatch(batch).map((row) => ({ ...row, ts }));
    const keys = ({ values }: PrimaryKeys, ts: bigint) =>
      Array.from(values as Iterable<bigint | string>, (key) => ({ key: keyNumber(key), ts }));
    for (const { parts, segmentIds, ts } of this.#log.writes)
      for (const [i, part] of parts.entries()) {
        if (segmentIds[i] !== segmentId) continue;
        if (part.kind === 'insert') rows.push(...stamped(part.rows, ts));
        else deletes.push(...keys(part.keys, ts));
      }
    return { rows, deletes };
  }
}

function recordOf(
  place: Pick<SegmentRecord, 'segmentId' | 'partitionId' | 'channel' | 'level'>,
  contents: readonly { readonly ts: bigint }[],
  files: readonly SegmentFile[],
): SegmentRecord {
  return {
    ...place,
    collectionId,
    state: 'flushed',
    rowCount: contents.length,
    minTs: contents[0]!.ts as HybridTime,
    maxTs: contents.at(-1)!.ts as HybridTime,
    files,
    indexes: [],
  };
}
