/** Fields of chosen rows, from many units into one batch. */
import { DbError } from '../errors/db-error.ts';
import { isFixedType, vectorArrays, vectorBytes, vectorWidth } from '../model/columns.ts';
import type {
  BytesColumn,
  BytesType,
  Column,
  FixedColumn,
  FixedType,
  FixedValues,
  ListColumn,
  PrimaryKeys,
  RowBatch,
  VectorColumn,
} from '../model/rows.ts';
import { type FieldSchema, isDenseVector, type VectorType } from '../model/schema.ts';
import { type NumberValues, narrow } from '../model/vector-floats.ts';
import { assert } from '../support/assert.ts';
import { newFixed } from './column-writer.ts';
import type { Pacer } from './pacer.ts';
import type { UnitView } from './unit.ts';

/** Chosen rows in their order: row `rows[i]` of unit `units[i]`. */
export interface RowRefs {
  readonly units: Uint32Array;
  readonly rows: Uint32Array;
}

export interface GatherOptions {
  readonly pacer: Pacer;
  /** Throws `parameter-too-large` before the batch grows beyond. */
  readonly maxBytes: number;
}

const ROWS_PER_SLICE = 1024;
const COST_PER_VALUE = 8;

/** The batch holds copies: it does not depend on the views. */
export async function gatherRows(
  views: readonly UnitView[],
  refs: RowRefs,
  fields: readonly FieldSchema[],
  options: GatherOptions,
): Promise<RowBatch> {
  const gatherer = new Gatherer(views, refs, options);
  const columns = new Map<FieldSchema['fieldId'], Column>();
  for (const field of fields) columns.set(field.fieldId, await gatherer.column(field));
  return { rowCount: refs.rows.length, columns };
}

const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

export async function gatherKeys(
  views: readonly UnitView[],
  refs: RowRefs,
  keyField: FieldSchema,
  options: GatherOptions,
): Promise<PrimaryKeys> {
  return primaryKeysOf(await new Gatherer(views, refs, options).column(keyField));
}

/** A whole gathered column. */
export function primaryKeysOf(column: Column): PrimaryKeys {
  if (column.layout === 'bytes') {
    const { data, offsets } = column;
    const values = Array.from({ length: offsets.length - 1 }, (_, i) =>
      decoder.decode(data.subarray(offsets[i], offsets[i + 1])),
    );
    return { type: 'VarChar', values };
  }
  assert(
    column.layout === 'fixed' && column.values instanceof BigInt64Array,
    'a primary key is Int64 or VarChar',
  );
  return { type: 'Int64', values: column.values };
}

class Gatherer {
  readonly #views: readonly UnitView[];
  readonly #refs: RowRefs;
  readonly #count: number;
  readonly #options: GatherOptions;
  #bytes = 0;

  constructor(views: readonly UnitView[], refs: RowRefs, options: GatherOptions) {
    this.#views = views;
    this.#refs = refs;
    this.#count = refs.rows.length;
    this.#options = options;
  }

  async column(field: FieldSchema): Promise<Column> {
    const sources = this.#views.map(({ unit }) => unit.column(field.fieldId) ?? unit.defaultOf(field));
    const valid = await this.#valid(sources);
    const nulls = valid === undefined ? {} : { valid };
    const { dataType } = field;
    if (dataType === 'Array' || dataType === 'ArrayOfVector')
      return { ...(await this.#lists(dataType, field, sources)), ...nulls };
    return { ...(await this.#plain(dataType, field.dim ?? 0, sources)), ...nulls };
  }

  #plain(
    type: FixedType | BytesType | VectorType,
    dim: number,
    sources: readonly (Column | undefined)[],
  ): Promise<FixedColumn | BytesColumn | VectorColumn> {
    if (isDenseVector(type)) return this.#vectors(type, dim, sources);
    return isFixedType(type) ? this.#fixed(type, sources) : this.#bytesOf(type, sources);
  }

  /** Calls `visit` with the source, its row and the place in the batch; fields a unit does not have are left out. */
  async #each(
    sources: readonly (Column | undefined)[],
    cost: number,
    visit: (source: Column, row: number, at: number) => void,
  ): Promise<void> {
    const { units, rows } = this.#refs;
    for (let from = 0; from < this.#count; from += ROWS_PER_SLICE) {
      const to = Math.min(this.#count, from + ROWS_PER_SLICE);
      for (let at = from; at < to; at++) {
        const source = sources[units[at] ?? 0];
        if (source !== undefined) visit(source, rows[at] ?? 0, at);
      }
      const more = this.#options.pacer.spend((to - from) * cost);
      if (more !== undefined) await more;
    }
  }

  #reserve(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes > this.#options.maxBytes)
      throw new DbError(
        'parameter-too-large',
        `the answer is larger than ${this.#options.maxBytes} bytes: ask for fewer rows or fields`,
      );
  }

  async #valid(sources: readonly (Column | undefined)[]): Promise<Uint8Array | undefined> {
    if (sources.every((source) => source !== undefined && source.valid === undefined)) return undefined;
    const valid = new Uint8Array(this.#count);
    await this.#each(sources, 1, (source, row, at) => {
      valid[at] = source.valid === undefined ? 1 : (source.valid[row] ?? 0);
    });
    return valid;
  }

  async #fixed(type: FixedType, sources: readonly (Column | undefined)[]): Promise<FixedColumn> {
    this.#reserve(this.#count * 8);
    const values = newFixed(type, this.#count);
    const target = values as Uint8Array;
    await this.#each(sources, COST_PER_VALUE, (source, row, at) => {
      target[at] = fixedOf(source)[row] as number;
    });
    return { layout: 'fixed', type, values };
  }

  async #vectors(
    type: VectorType,
    dim: number,
    sources: readonly (Column | undefined)[],
  ): Promise<VectorColumn> {
    const width = vectorWidth(type, dim);
    this.#reserve(this.#count * vectorBytes(type, dim));
    const values = new vectorArrays[type](this.#count * width);
    const target = values as Uint8Array;
    await this.#each(sources, COST_PER_VALUE + width / 16, (source, row, at) => {
      assert(source.layout === 'vector', 'a vector field has vectors');
      const found = source.values.subarray(row * width, (row + 1) * width);
      if (source.type === type) target.set(found as Uint8Array, at * width);
      else {
        assert(type !== 'BinaryVector' && found instanceof Float32Array, 'numbers are kept as floats');
        narrow(type, found, values.subarray(at * width, (at + 1) * width) as NumberValues);
      }
    });
    return { layout: 'vector', type, dim, values };
  }

  async #bytesOf(type: BytesType, sources: readonly (Column | undefined)[]): Promise<BytesColumn> {
    const offsets = await this.#offsets(sources, 1, (source, row) => {
      const from = bytesOf(source);
      return (from.offsets[row + 1] ?? 0) - (from.offsets[row] ?? 0);
    });
    const data = new Uint8Array(offsets[this.#count] ?? 0);
    await this.#each(sources, 2 * COST_PER_VALUE, (source, row, at) => {
      const from = bytesOf(source);
      data.set(from.data.subarray(from.offsets[row], from.offsets[row + 1]), offsets[at]);
    });
    return { layout: 'bytes', type, offsets, data };
  }

  async #lists(
    type: ListColumn['type'],
    field: FieldSchema,
    sources: readonly (Column | undefined)[],
  ): Promise<ListColumn> {
    const offsets = await this.#offsets(sources, 8, (source, row) => {
      assert(source.layout === 'list', 'an array field has lists');
      return (source.offsets[row + 1] ?? 0) - (source.offsets[row] ?? 0);
    });
    const total = offsets[this.#count] ?? 0;
    const units = new Uint32Array(total);
    const rows = new Uint32Array(total);
    await this.#each(sources, 2 * COST_PER_VALUE, (source, row, at) => {
      assert(source.layout === 'list', 'an array field has lists');
      const first = source.offsets[row] ?? 0;
      const start = offsets[at] ?? 0;
      const end = offsets[at + 1] ?? 0;
      units.fill(this.#refs.units[at] ?? 0, start, end);
      for (let i = start; i < end; i++) rows[i] = first + i - start;
    });
    const { elementType } = field;
    assert(elementType !== undefined, `array field ${field.fieldId} has no element type`);
    const itemSources = sources.map((source) => (source?.layout === 'list' ? source.items : undefined));
    const items = new Gatherer(this.#views, { units, rows }, this.#options);
    return {
      layout: 'list',
      type,
      offsets,
      items: await items.#plain(elementType, field.dim ?? 0, itemSources),
    };
  }

  /** Ends of the rows when row `i` has as many items as `lengthOf` says. */
  async #offsets(
    sources: readonly (Column | undefined)[],
    itemBytes: number,
    lengthOf: (source: Column, row: number) => number,
  ): Promise<Uint32Array> {
    this.#reserve(this.#count * 4);
    const offsets = new Uint32Array(this.#count + 1);
    await this.#each(sources, COST_PER_VALUE, (source, row, at) => {
      offsets[at + 1] = lengthOf(source, row);
    });
    let total = 0;
    for (let i = 1; i <= this.#count; i++) {
      total += offsets[i] ?? 0;
      offsets[i] = total;
    }
    this.#reserve(total * itemBytes);
    return offsets;
  }
}

function fixedOf(source: Column): FixedValues {
  assert(source.layout === 'fixed', 'a field keeps its layout');
  return source.values;
}

function bytesOf(source: Column): BytesColumn {
  assert(source.layout === 'bytes', 'a field keeps its layout');
  return source;
}
