/**
 * A unit is what is searched at once: a flushed segment, or a part of a growing one. Rows are never changed or moved; what
 * changes is how many there are (only growing ones) and which of them live.
 */

import { DbError } from '../errors/db-error.ts';
import type { BuildId, FieldId, IndexId, PartitionId, SegmentId } from '../model/ids.ts';
import type { Column } from '../model/rows.ts';
import type { CollectionSchema, FieldSchema } from '../model/schema.ts';
import type { ScalarIndex } from '../scalar-index/scalar-index.ts';
import { absentColumn } from '../segment/absent-column.ts';
import type { DeleteMap } from '../segment/delete-map.ts';
import { type KeyColumn, keysOfColumn } from '../segment/key-column.ts';
import { assert, present } from '../support/assert.ts';
import { TextIndex } from '../text/text-index.ts';
import type { SparseIndex } from '../vector-index/sparse.ts';
import { LiveRows } from './bitmap.ts';
import { Deaths } from './deaths.ts';
import type { DeadRows } from './ghosts.ts';
import { KeyIndex } from './key-index.ts';
import type { Pacer } from './pacer.ts';
import type { GraphIndex, VectorBlock } from './vectors.ts';

/** Memory that is given back by hand, once. */
export interface Freeable {
  free(): void;
}

/** Memory with several holders; the last one frees it. Whoever makes it holds it. */
export class Shared {
  readonly #memory: readonly Freeable[];
  #holders = 1;

  constructor(memory: readonly Freeable[]) {
    this.#memory = memory;
  }

  retain(): void {
    assert(this.#holders > 0, 'memory is used after it was freed');
    this.#holders++;
  }

  release(): void {
    assert(this.#holders > 0, 'memory is freed twice');
    this.#holders--;
    if (this.#holders === 0) for (const block of this.#memory) block.free();
  }
}

/** Where a segment's rows belong. */
export interface UnitPlace {
  readonly segmentId: SegmentId;
  readonly partitionId: PartitionId;
  readonly channel: string;
}

/** A graph index of a vector field and the memory it stands in. */
export interface UnitIndex {
  readonly buildId: BuildId;
  readonly graph: GraphIndex;
  readonly memory: Shared;
}

/** The structure of an index of a scalar field, and the memory it counts for. */
export interface UnitScalarIndex {
  readonly indexId: IndexId;
  readonly index: ScalarIndex;
  readonly memory: Shared;
}

/** By definition. */
export type ScalarIndexes = ReadonlyMap<IndexId, UnitScalarIndex>;

export interface UnitParts {
  readonly place: UnitPlace;
  readonly schema: CollectionSchema;
  readonly capacity: number;
  /** Columns of `capacity` rows, or writers of such. */
  readonly columns: ReadonlyMap<FieldId, { readonly column: Column }>;
  readonly timestamps: BigInt64Array;
  /** Vectors by field: `capacity * dim` floats. */
  readonly vectors: ReadonlyMap<FieldId, VectorBlock>;
  /** Posting lists by field of sparse vectors. */
  readonly sparse?: ReadonlyMap<FieldId, SparseIndex>;
  /** Its rows stand only in the log. */
  readonly isGrowing?: boolean;
}

/** What a reader sees of a unit: rows and deletes that arrive later do not change it. To be released. */
export interface UnitView {
  readonly unit: Unit;
  readonly rowCount: number;
  readonly live: Uint32Array;
  readonly liveCount: number;
  readonly indexes: ReadonlyMap<FieldId, UnitIndex>;
  /** Over all of its rows. */
  readonly scalarIndexes: ScalarIndexes;
  /** Of the newest of its rows; 0: it has none. */
  readonly newestTs: bigint;
  /** Of a unit that has gone: all there is of it to see, for readers of a time before those died. */
  readonly dead?: DeadRows;
  release(): void;
}

/** The primary key of a schema. */
export const keyFieldOf = ({ fields }: CollectionSchema): FieldSchema =>
  present(
    fields.find(({ isPrimaryKey }) => isPrimaryKey),
    'the primary key field',
  );

export function requireField({ fields }: CollectionSchema, fieldId: FieldId): FieldSchema {
  const field = fields.find((each) => each.fieldId === fieldId);
  if (field === undefined) throw new DbError('parameter-invalid', `the collection has no field ${fieldId}`);
  return field;
}

const memoryOf = (indexes: ReadonlyMap<unknown, { readonly memory: Shared }>): Shared[] =>
  [...indexes.values()].map(({ memory }) => memory);

/** Releases what is in `were` and not in `are`. */
export function letGo<T extends { readonly memory: Shared }>(
  were: ReadonlyMap<unknown, T>,
  are: ReadonlyMap<unknown, T> | undefined,
): void {
  const kept = new Set(are?.values());
  for (const index of were.values()) if (!kept.has(index)) index.memory.release();
}

/** Opens one after the other. Those that stand in `were` stay their owner's; when one fails the others are released. */
export async function openEach<Item, Key, T extends { readonly memory: Shared }>(
  items: Iterable<Item>,
  were: ReadonlyMap<Key, T>,
  signal: AbortSignal,
  open: (item: Item) => Promise<readonly [Key, T | undefined]>,
): Promise<ReadonlyMap<Key, T>> {
  const opened = new Map<Key, T>();
  try {
    for (const item of items) {
      signal.throwIfAborted();
      const [key, index] = await open(item);
      if (index !== undefined) opened.set(key, index);
    }
    return opened;
  } catch (error) {
    letGo(opened, were);
    throw error;
  }
}

/** Derived columns kept for filters. */
const MAX_DERIVED = 64;
const ROWS_PER_LOOK = 65_536;
const COST_PER_KEY = 12;

export class Unit {
  readonly place: UnitPlace;
  readonly capacity: number;
  readonly isGrowing: boolean;
  readonly vectors: ReadonlyMap<FieldId, VectorBlock>;
  readonly sparse: ReadonlyMap<FieldId, SparseIndex>;
  readonly #keyField: FieldId;
  readonly #columns: UnitParts['columns'];
  readonly #timestamps: BigInt64Array;
  readonly #memory: Shared;
  readonly #live: LiveRows;
  readonly #keyIndex: KeyIndex;
  readonly #deaths = new Deaths();
  readonly #defaults = new Map<FieldId, Column>();
  readonly #texts = new Map<FieldId, TextIndex>();
  #cache = { rowCount: 0, derived: new Map<string, unknown>() };
  #keyColumn: Column | undefined;
  #keys: KeyColumn | undefined;
  #indexes: ReadonlyMap<FieldId, UnitIndex> = new Map();
  #scalarIndexes: ScalarIndexes = new Map();
  #rowCount = 0;
  #newestTs = 0n;
  /** So many rows are known to stand in the order of time, unless they do not. */
  #ordered = 0;
  #isInOrder = true;

  constructor(parts: UnitParts) {
    this.place = parts.place;
    this.capacity = parts.capacity;
    this.isGrowing = parts.isGrowing ?? false;
    this.vectors = parts.vectors;
    this.sparse = parts.sparse ?? new Map();
    this.#keyField = keyFieldOf(parts.schema).fieldId;
    this.#columns = parts.columns;
    this.#timestamps = parts.timestamps;
    this.#memory = new Shared([...parts.vectors.values()]);
    this.#live = new LiveRows(parts.capacity);
    this.#keyIndex = new KeyIndex(parts.capacity);
  }

  get rowCount(): number {
    return this.#rowCount;
  }

  get liveCount(): number {
    return this.#live.count;
  }

  get keys(): KeyColumn {
    const column = this.column(this.#keyField);
    assert(column !== undefined, `segment ${this.place.segmentId} has no key column`);
    if (this.#keys === undefined || column !== this.#keyColumn) {
      this.#keyColumn = column;
      this.#keys = keysOfColumn(column);
    }
    return this.#keys;
  }

  /** Rows beyond `rowCount` are not to be read. Undefined when the field is younger than the segment. */
  column(fieldId: FieldId): Column | undefined {
    return this.#columns.get(fieldId)?.column;
  }

  /** What every row of the unit reads of a field that is younger. Undefined: null, or the field is not. */
  defaultOf(field: FieldSchema): Column | undefined {
    if (field.defaultValue === undefined) return undefined;
    const known = this.#defaults.get(field.fieldId);
    if (known !== undefined) return known;
    const column = absentColumn(field, this.capacity);
    this.#defaults.set(field.fieldId, column);
    return column;
  }

  /** The terms of a text column, as far as they are known; it grows with the rows. */
  textIndex(fieldId: FieldId, params: string): TextIndex {
    const known = this.#texts.get(fieldId);
    if (known?.params === params) return known;
    const index = new TextIndex(params);
    this.#texts.set(fieldId, index);
    return index;
  }

  /** Where what is derived from the first `rowCount` rows may be kept. */
  cacheFor(rowCount: number): Map<string, unknown> {
    if (this.#cache.rowCount !== rowCount || this.#cache.derived.size > MAX_DERIVED)
      this.#cache = { rowCount, derived: new Map() };
    return this.#cache.derived;
  }

  /** Whether the first rows stand in the order of time. Each row is looked at once; `paced` is told how many were, from time to time. */
  async isInTimeOrder(
    rowCount: number,
    paced: (rows: number) => Promise<void> | undefined,
  ): Promise<boolean> {
    while (this.#isInOrder && this.#ordered < rowCount) {
      const from = this.#ordered;
      const to = Math.min(rowCount, from + ROWS_PER_LOOK);
      for (let row = Math.max(1, from); row < to; row++)
        if (this.timestampAt(row) < this.timestampAt(row - 1)) this.#isInOrder = false;
      this.#ordered = to;
      await paced(to - from);
    }
    return this.#isInOrder;
  }

  timestampAt(row: number): bigint {
    return this.#timestamps[row] ?? 0n;
  }

  /** The rows up to `to`, already written, become visible unless `deletes` kill them. */
  reveal(to: number, deletes: DeleteMap): void {
    const { keys } = this;
    const from = this.#rowCount;
    this.#live.setRange(from, to);
    this.#rowCount = to;
    for (let row = from; row < to; row++) {
      this.#add(keys, row);
      this.#judge(row, keys, deletes);
    }
  }

  /**
   * `reveal` in slices, for a unit that nobody reads yet and that is written completely. Deletes that come meanwhile must be
   * both in `deletes` and given to `kill`.
   */
  async revealAll(deletes: DeleteMap, pacer: Pacer): Promise<void> {
    const { keys } = this;
    this.#live.setRange(0, this.capacity);
    this.#rowCount = this.capacity;
    await this.#inSlices(pacer, (row) => this.#add(keys, row));
    if (deletes.size > this.capacity) await this.#inSlices(pacer, (row) => this.#judge(row, keys, deletes));
    else
      for (const slice of deletes.covering(this.place.partitionId)) {
        slice.visit((deleted, at, ts) => this.kill(deleted, at, ts));
        await pacer.spend(slice.count * COST_PER_KEY);
      }
  }

  /** Rows with key `at` of `keys` that are older than `ts` die. `isNews`: nobody may have read a time after it yet. */
  kill(keys: KeyColumn, at: number, ts: bigint, isNews = false): void {
    let row = this.#keyIndex.find(this.keys, keys, at);
    while (row >= 0) {
      if (this.timestampAt(row) < ts && this.#live.has(row)) {
        this.#live.clear(row);
        if (isNews) this.#deaths.add(row, ts);
      }
      row = this.#keyIndex.older(row);
    }
  }

  /** Rows that died after `ts` while the unit was read, as far as they are known: the last ones are. */
  diedAfter(ts: bigint): Uint32Array {
    return this.#deaths.after(ts);
  }

  /** The same, and when they died. */
  deadAfter(ts: bigint): DeadRows {
    return { rows: this.#deaths.after(ts), times: this.#deaths.timesAfter(ts) };
  }

  /** Rows that carry key `at` of `keys`, newest first. */
  *rowsOf(keys: KeyColumn, at: number): Generator<number> {
    let row = this.#keyIndex.find(this.keys, keys, at);
    while (row >= 0) {
      yield row;
      row = this.#keyIndex.older(row);
    }
  }

  get indexes(): ReadonlyMap<FieldId, UnitIndex> {
    return this.#indexes;
  }

  /** Takes over the hold on the new indexes; those that are gone are let go. Readers keep what they have. */
  setIndexes(indexes: ReadonlyMap<FieldId, UnitIndex>): void {
    letGo(this.#indexes, indexes);
    this.#indexes = indexes;
  }

  get scalarIndexes(): ScalarIndexes {
    return this.#scalarIndexes;
  }

  /** As `setIndexes`. */
  setScalarIndexes(indexes: ScalarIndexes): void {
    letGo(this.#scalarIndexes, indexes);
    this.#scalarIndexes = indexes;
  }

  view(): UnitView {
    const indexes = this.#indexes;
    const scalarIndexes = this.#scalarIndexes;
    const held = [this.#memory, ...memoryOf(indexes), ...memoryOf(scalarIndexes)];
    for (const memory of held) memory.retain();
    return {
      unit: this,
      rowCount: this.#rowCount,
      live: this.#live.share(),
      liveCount: this.#live.count,
      indexes,
      scalarIndexes,
      newestTs: this.#newestTs,
      release: () => {
        for (const memory of held) memory.release();
      },
    };
  }

  /** The owner lets go. */
  release(): void {
    this.setIndexes(new Map());
    this.setScalarIndexes(new Map());
    this.#memory.release();
  }

  #add(keys: KeyColumn, row: number): void {
    this.#keyIndex.add(keys, row);
    const ts = this.timestampAt(row);
    if (ts > this.#newestTs) this.#newestTs = ts;
  }

  #judge(row: number, keys: KeyColumn, deletes: DeleteMap): void {
    const ts = this.timestampAt(row);
    if (ts < deletes.maxTs && ts < deletes.get(this.place.partitionId, keys, row)) this.#live.clear(row);
  }

  async #inSlices(pacer: Pacer, visit: (row: number) => void): Promise<void> {
    const { prepareRows } = pacer.slices;
    for (let from = 0; from < this.capacity; from += prepareRows) {
      const to = Math.min(this.capacity, from + prepareRows);
      for (let row = from; row < to; row++) visit(row);
      await pacer.spend((to - from) * COST_PER_KEY);
    }
  }
}
