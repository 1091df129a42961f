/** A small world around a query node for its tests: a log, files and vector memory that keep everything in plain arrays. */

import assert from 'node:assert/strict';
import type { ErrorName } from '../src/errors/codes.ts';
import { DbError } from '../src/errors/db-error.ts';
import type { CheckedFilter } from '../src/expr/check.ts';
import type { HybridTime } from '../src/model/hybrid-time.ts';
import type { ALL_PARTITIONS, CollectionId, FieldId, PartitionId, SegmentId } from '../src/model/ids.ts';
import type { IndexRecord, SegmentRecord } from '../src/model/records.ts';
import type { Column, PrimaryKeys, RowBatch } from '../src/model/rows.ts';
import type { CollectionSchema, FieldSchema } from '../src/model/schema.ts';
import type { CollectionView } from '../src/querynode/api.ts';
import type { Filters } from '../src/querynode/filter.ts';
import type { SegmentFiles } from '../src/querynode/loader.ts';
import type {
  GraphIndex,
  NearestRequest,
  NearestRows,
  VectorBlock,
  VectorEngine,
} from '../src/querynode/vectors.ts';
import type {
  AppliedWrite,
  Follower,
  LogSegment,
  StreamingNode,
  WritePart,
} from '../src/streamingnode/api.ts';
import type { WalPosition } from '../src/wal/wal.ts';
import { fieldSchema } from './field-schema.ts';

export const PK = 100 as FieldId;
export const TAG = 101 as FieldId;
export const TEXT = 102 as FieldId;
export const LIST = 103 as FieldId;
export const VECTOR = 104 as FieldId;
export const DIM = 3;
export const collectionId = 7n as CollectionId;
export const partitions: readonly PartitionId[] = [11n as PartitionId, 12n as PartitionId];
export const channels = ['dml_0', 'dml_1'];

const field = (fieldId: FieldId, name: string, rest: Partial<FieldSchema>): FieldSchema =>
  fieldSchema(name, { fieldId, ...rest });

export const schemaOf = (keyType: 'Int64' | 'VarChar'): CollectionSchema => ({
  description: '',
  fields: [
    field(PK, 'pk', { dataType: keyType, isPrimaryKey: true }),
    field(TAG, 'tag', { dataType: 'Int32' }),
    field(TEXT, 'text', { dataType: 'VarChar', maxLength: 100, nullable: true }),
    field(LIST, 'list', { dataType: 'Array', elementType: 'VarChar', maxCapacity: 9 }),
    field(VECTOR, 'vector', { dataType: 'FloatVector', dim: DIM }),
  ],
  enableDynamicField: false,
  version: 0,
});

export interface Row {
  readonly key: number;
  readonly tag: number;
}

export const textOf = ({ key, tag }: Row): string | null => (tag % 3 === 0 ? null : `text ${key} ${tag}`);
export const listOf = ({ tag }: Row): string[] => Array.from({ length: tag % 3 }, (_, i) => `${tag}.${i}`);
export const keyName = (key: number): string => `k${String(key).padStart(5, '0')}`;

const bytesColumn = (texts: readonly (string | null)[], type: 'VarChar' | 'JSON' = 'VarChar') => {
  const parts = texts.map((text) => Buffer.from(text ?? ''));
  const offsets = new Uint32Array(parts.length + 1);
  parts.forEach((part, i) => {
    offsets[i + 1] = offsets[i]! + part.length;
  });
  return { layout: 'bytes', type, offsets, data: new Uint8Array(Buffer.concat(parts)) } as const;
};

export const keysOf = (type: 'Int64' | 'VarChar', keys: readonly number[]): PrimaryKeys =>
  type === 'Int64' ? { type, values: BigInt64Array.from(keys, BigInt) } : { type, values: keys.map(keyName) };

/** The first float of a row's vector is its tag: tags are unique, so are distances. */
export function batchOf(type: 'Int64' | 'VarChar', rows: readonly Row[]): RowBatch {
  const keys = rows.map(({ key }) => key);
  const lists = rows.map(listOf);
  const offsets = new Uint32Array(rows.length + 1);
  lists.forEach((list, i) => {
    offsets[i + 1] = offsets[i]! + list.length;
  });
  const vectors = new Float32Array(rows.length * DIM);
  for (const [i, { tag, key }] of rows.entries()) vectors.set([tag, key % 5, 1], i * DIM);
  const columns = new Map<FieldId, Column>([
    [
      PK,
      type === 'Int64'
        ? { layout: 'fixed', type: 'Int64', values: BigInt64Array.from(keys, BigInt) }
        : bytesColumn(keys.map(keyName)),
    ],
    [TAG, { layout: 'fixed', type: 'Int32', values: Int32Array.from(rows, ({ tag }) => tag) }],
    [
      TEXT,
      {
        ...bytesColumn(rows.map(textOf)),
        valid: Uint8Array.from(rows, (row) => (textOf(row) === null ? 0 : 1)),
      },
    ],
    [LIST, { layout: 'list', type: 'Array', offsets, items: bytesColumn(lists.flat()) }],
    [VECTOR, { layout: 'vector', type: 'FloatVector', dim: DIM, values: vectors }],
  ]);
  return { rowCount: rows.length, columns };
}

const decoder = new TextDecoder();

/** Rows of a batch in plain form; what a column does not have is undefined. */
export function plainRows({ rowCount, columns }: RowBatch): Record<number, unknown>[] {
  return Array.from({ length: rowCount }, (_, row) =>
    Object.fromEntries([...columns].map(([fieldId, column]) => [fieldId, plainValue(column, row)])),
  );
}

export function plainValue(column: Column, row: number): unknown {
  if (column.valid !== undefined && column.valid[row] !== 1) return null;
  switch (column.layout) {
    case 'fixed':
      return Number(column.values[row]);
    case 'bytes':
      return decoder.decode(column.data.subarray(column.offsets[row], column.offsets[row + 1]));
    case 'vector':
      return [...column.values.subarray(row * column.dim, (row + 1) * column.dim)];
    case 'list': {
      const items: unknown[] = [];
      for (let i = column.offsets[row]!; i < column.offsets[row + 1]!; i++)
        items.push(plainValue(column.items, i));
      return items;
    }
  }
}

export const plainOf = (type: 'Int64' | 'VarChar', row: Row): Record<number, unknown> => ({
  [PK]: type === 'Int64' ? row.key : keyName(row.key),
  [TAG]: row.tag,
  [TEXT]: textOf(row),
  [LIST]: listOf(row),
  [VECTOR]: [row.tag, row.key % 5, 1],
});

function scoreOf(metric: NearestRequest['metric'], row: Float32Array, query: Float32Array): number {
  let score = 0;
  for (const [d, value] of row.entries()) {
    assert(!Number.isNaN(value), 'a reader meets no freed vector');
    score += metric === 'L2' ? (value - query[d]!) ** 2 : value * query[d]!;
  }
  return score;
}

/** Counts what it gives; a block that was freed reads as NaN. */
export class PlainEngine implements VectorEngine {
  blocks = 0;
  floats = 0;
  limit = Number.POSITIVE_INFINITY;
  scans = 0;

  reserve(bytes: number): { free(): void } {
    const floats = bytes / 4;
    if (this.floats + floats > this.limit) throw new DbError('resource-exhausted', 'no memory for indexes');
    this.floats += floats;
    return {
      free: () => {
        this.floats -= floats;
      },
    };
  }

  allocate(floats: number): VectorBlock {
    if (this.floats + floats > this.limit) throw new DbError('resource-exhausted', 'no memory for vectors');
    const values = new Float32Array(new SharedArrayBuffer(floats * 4)).fill(7);
    this.blocks++;
    this.floats += floats;
    let isFree = false;
    const free = () => {
      assert(!isFree, 'a block is freed once');
      isFree = true;
      values.fill(Number.NaN);
      this.blocks--;
      this.floats -= floats;
    };
    return { values, free };
  }

  async scanLists(): Promise<NearestRows> {
    throw new DbError('unimplemented', 'lists of vectors in tests');
  }

  async scanItems(): Promise<NearestRows> {
    throw new DbError('unimplemented', 'lists of vectors in tests');
  }

  async scan({ values }: VectorBlock, request: NearestRequest): Promise<NearestRows> {
    this.scans++;
    await new Promise<void>((resolve) => {
      setImmediate(resolve);
    });
    const { dim, queries, queryCount, rowCount, allowed, k, metric } = request;
    assert(queries instanceof Float32Array);
    const sign = metric === 'L2' ? 1 : -1;
    const isIn = (score: number) =>
      (request.radius === undefined || sign * score < sign * request.radius) &&
      (request.rangeFilter === undefined || sign * score >= sign * request.rangeFilter);
    const hits = Array.from({ length: queryCount }, (_, q) => {
      const query = queries.subarray(q * dim, (q + 1) * dim);
      const all: { row: number; score: number }[] = [];
      for (let row = 0; row < rowCount; row++) {
        if (allowed !== undefined && ((allowed[row >>> 5]! >>> (row & 31)) & 1) === 0) continue;
        const score = scoreOf(metric, values.subarray(row * dim, (row + 1) * dim), query);
        if (isIn(score)) all.push({ row, score });
      }
      return all.sort((a, b) => sign * (a.score - b.score)).slice(0, k);
    });
    return {
      counts: Uint32Array.from(hits, (list) => list.length),
      rows: Uint32Array.from(hits.flat(), ({ row }) => row),
      scores: Float32Array.from(hits.flat(), ({ score }) => score),
    };
  }
}

/** `root` is a predicate over plain values, so that tests need no parser. */
export const filterBy = (fieldId: FieldId, test: (value: unknown) => boolean): CheckedFilter =>
  ({ fields: [fieldId], root: test }) as unknown as CheckedFilter;

/** Rows by key, and nothing else. */
export const filterKeys = (keys: PrimaryKeys): CheckedFilter =>
  ({ fields: [PK], root: keys }) as unknown as CheckedFilter;

export const plainFilters: Filters = {
  compile: ({ fields, root }) => ({
    evaluate({ column }, from, to, out) {
      const source = column(fields[0]!);
      const test = root as unknown as (value: unknown) => boolean;
      for (let row = from; row < to; row++)
        if (test(plainValue(source, row))) out[row >>> 5] = out[row >>> 5]! | (1 << (row & 31));
      return { isDecoded: false };
    },
  }),
  primaryKeys: ({ root }) => (typeof root === 'function' ? undefined : (root as unknown as PrimaryKeys)),
};

/** Flushed segments, by id. */
export class PlainFiles implements SegmentFiles {
  readonly engine: PlainEngine;
  readonly stored = new Map<SegmentId, { batch: RowBatch; timestamps: BigInt64Array; keys?: PrimaryKeys }>();
  /** Awaited before every read. */
  gate: Promise<void> = Promise.resolve();
  /** Awaited before one segment is read. */
  readonly gates = new Map<SegmentId, Promise<void>>();
  readonly failing = new Set<SegmentId>();
  /** What failing segments fail with. */
  failure: ErrorName = 'data-integrity';
  reads = 0;

  constructor(engine: PlainEngine) {
    this.engine = engine;
  }

  async #stored({ segmentId }: SegmentRecord) {
    this.reads++;
    await this.gate;
    await this.gates.get(segmentId);
    await new Promise<void>((resolve) => {
      setImmediate(resolve);
    });
    const stored = this.stored.get(segmentId);
    if (stored === undefined || this.failing.has(segmentId))
      throw new DbError(this.failure, `segment ${segmentId} cannot be read`);
    return stored;
  }

  async rows(record: SegmentRecord, _: CollectionSchema, vectors: ReadonlyMap<FieldId, VectorBlock>) {
    const { batch, timestamps } = await this.#stored(record);
    const columns = new Map(batch.columns);
    for (const [fieldId, block] of vectors) {
      const column = columns.get(fieldId);
      assert(column?.layout === 'vector');
      block.values.set(column.values);
      columns.set(fieldId, { ...column, values: block.values });
    }
    return { batch: { ...batch, columns }, timestamps };
  }

  async deletes(record: SegmentRecord) {
    const { keys, timestamps } = await this.#stored(record);
    assert(keys !== undefined);
    return { keys, timestamps };
  }

  graphs = 0;
  async graph(_: unknown, vectors: VectorBlock, shape: { rowCount: number; dim: number }) {
    await this.gate;
    this.graphs++;
    const { engine } = this;
    const graph: GraphIndex = {
      metric: 'L2',
      search: (request) => {
        assert.equal(request.rowCount, shape.rowCount);
        return engine.scan(vectors, request);
      },
    };
    return {
      graph,
      free: () => {
        this.graphs--;
      },
    };
  }
}

interface Segment {
  readonly segment: Omit<LogSegment, 'positions' | 'rowCount'>;
  readonly positions: WalPosition[];
  isFlushed: boolean;
}

/** A log in an array. Segments are opened per channel, partition and level; `seal` closes them. */
export class PlainLog {
  readonly writes: AppliedWrite[] = [];
  readonly open = new Map<string, Segment>();
  readonly held = new Map<SegmentId, Segment>();
  readonly followers = new Set<Follower>();
  #nextSegment = 1000n;
  #ts = 1n << 20n;
  gate: Promise<void> = Promise.resolve();

  node(): StreamingNode {
    return {
      follow: (_: CollectionId, follower: Follower) => {
        this.followers.add(follower);
        const segments = [...this.held.values()].map(({ segment, positions }) => ({
          ...segment,
          rowCount: 1,
          positions: [...positions],
        }));
        return { segments, stop: () => this.followers.delete(follower) };
      },
      read: async (positions: readonly WalPosition[]) => {
        await this.gate;
        return positions.map(({ offset }) => this.writes[offset]!);
      },
    } as unknown as StreamingNode;
  }

  write(parts: readonly WritePart[]): HybridTime {
    const ts = this.#ts++ as HybridTime;
    const position = { file: 1, offset: this.writes.length, length: 100 };
    const segmentIds = parts.map(({ kind, channel, partitionId }) => {
      const place = `${kind} ${channel} ${partitionId}`;
      let segment = this.open.get(place);
      if (segment === undefined) {
        segment = this.#newSegment(kind, channel, partitionId, ts);
        this.open.set(place, segment);
        this.held.set(segment.segment.segmentId, segment);
      }
      if (segment.positions.at(-1) !== position) segment.positions.push(position);
      return segment.segment.segmentId;
    });
    const write = { collectionId, ts, parts, segmentIds };
    this.writes.push(write);
    for (const follower of this.followers) follower.applied(write);
    return ts;
  }

  #newSegment(kind: WritePart['kind'], channel: string, partitionId: PartitionId, ts: HybridTime): Segment {
    return {
      isFlushed: false,
      segment: {
        segmentId: this.#nextSegment++ as SegmentId,
        collectionId,
        partitionId,
        channel,
        level: kind === 'insert' ? 'L1' : 'L0',
        sealed: false,
        sizeBytes: 0,
        openedAtMs: 0,
        minTs: ts,
        maxTs: ts,
      },
      positions: [],
    };
  }

  /** It takes no more writes, and the catalog has it as flushed. */
  seal(segmentId: SegmentId): void {
    const held = this.held.get(segmentId)!;
    held.isFlushed = true;
    for (const [place, segment] of this.open) if (segment === held) this.open.delete(place);
  }

  /** Writes a held segment to files and says what the catalog then knows of it. It stays held until `release`. */
  flush(
    segmentId: SegmentId,
    files: PlainFiles,
    type: 'Int64' | 'VarChar',
    rowsOf: (batch: RowBatch) => Row[],
  ): SegmentRecord {
    const held = this.held.get(segmentId)!;
    this.seal(segmentId);
    const rows: Row[] = [];
    const keys: number[] = [];
    const timestamps: bigint[] = [];
    for (const { offset } of held.positions) {
      const write = this.writes[offset]!;
      write.parts.forEach((part, i) => {
        if (write.segmentIds[i] !== segmentId) return;
        const before = rows.length + keys.length;
        if (part.kind === 'insert') rows.push(...rowsOf(part.rows));
        else
          keys.push(
            ...Array.from(part.keys.values as Iterable<bigint | string>, (key) =>
              Number(String(key).replace('k', '')),
            ),
          );
        for (let n = before; n < rows.length + keys.length; n++) timestamps.push(write.ts);
      });
    }
    files.stored.set(segmentId, {
      batch: batchOf(type, rows),
      keys: keysOf(type, keys),
      timestamps: BigInt64Array.from(timestamps),
    });
    const { partitionId, channel, level } = held.segment;
    return {
      segmentId,
      collectionId,
      partitionId,
      channel,
      level,
      state: 'flushed',
      rowCount: timestamps.length,
      minTs: timestamps[0] as HybridTime,
      maxTs: timestamps.at(-1) as HybridTime,
      files: [],
      indexes: [],
    };
  }

  /** What the catalog has as growing or sealed. */
  get unflushed(): SegmentId[] {
    return [...this.held].flatMap(([segmentId, { isFlushed }]) => (isFlushed ? [] : [segmentId]));
  }

  release(segmentId: SegmentId): void {
    this.held.delete(segmentId);
  }
}

export const rowsOfBatch = ({ rowCount, columns }: RowBatch): Row[] =>
  Array.from({ length: rowCount }, (_, i) => ({
    key: Number(String(plainValue(columns.get(PK)!, i)).replace('k', '')),
    tag: plainValue(columns.get(TAG)!, i) as number,
  }));

const l2Index = { indexId: 1n, params: { metric_type: 'L2' } } as unknown as IndexRecord;

export const viewOf = (
  schema: CollectionSchema,
  segments: readonly SegmentRecord[],
  partitionIds: readonly PartitionId[] = partitions,
  unflushed: readonly SegmentId[] = [],
): CollectionView => ({
  collectionId,
  schema,
  channels,
  partitionIds,
  segments,
  unflushed,
  indexes: [l2Index],
});

export const channelOf = (key: number): string => channels[key % channels.length]!;

/** Parts of an insert, one per channel. */
export function insertParts(
  type: 'Int64' | 'VarChar',
  partitionId: PartitionId,
  rows: readonly Row[],
): WritePart[] {
  return channels.flatMap((channel) => {
    const own = rows.filter(({ key }) => channelOf(key) === channel);
    return own.length === 0
      ? []
      : [{ kind: 'insert', channel, partitionId, rows: batchOf(type, own) } as const];
  });
}

export function deleteParts(
  type: 'Int64' | 'VarChar',
  partitionId: PartitionId | typeof ALL_PARTITIONS,
  keys: readonly number[],
): WritePart[] {
  return channels.flatMap((channel) => {
    const own = keys.filter((key) => channelOf(key) === channel);
    return own.length === 0
      ? []
      : [{ kind: 'delete', channel, partitionId, keys: keysOf(type, own) } as const];
  });
}
