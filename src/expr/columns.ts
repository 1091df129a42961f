/**
 * What a filter reads from one immutable block of rows, in the form it is fastest to test. Everything derived from a column is
 * kept in the block's cache, so that the next filter finds it ready.
 */
import type { FieldId } from '../model/ids.ts';
import type { BytesColumn, Column, FixedColumn, FixedValues, ListColumn } from '../model/rows.ts';
import { assert } from '../support/assert.ts';
import { JsonItemsColumn, JsonPathColumn } from './json-column.ts';
import type { JsonPath } from './predicate.ts';
import { TextDictionary } from './text.ts';

/** Rows to filter. */
export interface FilterSource {
  readonly rowCount: number;
  column(fieldId: FieldId): Column;
  /** Belongs to this immutable block of rows and lives as long as it: derived columns are kept here between filters. */
  readonly cache: Map<string, unknown>;
}

/** Integers. Unless `isWide`, all are exact as numbers and lie in `[min, max]`. */
export interface IntegerView {
  readonly values: FixedValues;
  readonly min: number;
  readonly max: number;
  /** The values are a `BigInt64Array`, because some do not fit a Double. */
  readonly isWide: boolean;
}

/** Rows looked at to see whether texts repeat. */
const SAMPLE_ROWS = 1024;

/** Texts of a column as codes of a dictionary, coded from the front as far as they are asked for. */
export class CodedText {
  readonly codes: Uint32Array;
  readonly dictionary = new TextDictionary();
  readonly #column: BytesColumn;
  #rows = 0;

  constructor(column: BytesColumn) {
    this.#column = column;
    this.codes = new Uint32Array(column.offsets.length - 1);
  }

  prepare(to: number): boolean {
    if (this.#rows >= to) return false;
    const { data, offsets } = this.#column;
    for (; this.#rows < to; this.#rows++)
      this.codes[this.#rows] = this.dictionary.intern(
        data,
        offsets[this.#rows] as number,
        offsets[this.#rows + 1] as number,
      );
    return true;
  }
}

/** The columns of one block, decoded on demand. */
export class Columns {
  readonly #source: FilterSource;

  constructor(source: FilterSource) {
    this.#source = source;
  }

  valid(fieldId: FieldId): Uint8Array | undefined {
    return this.#source.column(fieldId).valid;
  }

  fixed(fieldId: FieldId): FixedColumn {
    const column = this.#source.column(fieldId);
    assert(column.layout === 'fixed', `field ${fieldId} is not a column of fixed width`);
    return column;
  }

  bytes(fieldId: FieldId): BytesColumn {
    const column = this.#source.column(fieldId);
    assert(column.layout === 'bytes', `field ${fieldId} is not a column of bytes`);
    return column;
  }

  list(fieldId: FieldId): ListColumn {
    const column = this.#source.column(fieldId);
    assert(column.layout === 'list', `field ${fieldId} is not a column of arrays`);
    return column;
  }

  integers(fieldId: FieldId): IntegerView {
    return this.cached(`integers/${fieldId}`, () => integerView(this.fixed(fieldId)));
  }

  /** Items of an integer Array. */
  itemIntegers(fieldId: FieldId): IntegerView {
    return this.cached(`item-integers/${fieldId}`, () => {
      const { items } = this.list(fieldId);
      assert(items.layout === 'fixed', `the items of field ${fieldId} are not of fixed width`);
      return integerView(items);
    });
  }

  /** Undefined when texts hardly repeat: then the bytes are tested as they are. */
  codedText(fieldId: FieldId): CodedText | undefined {
    return this.cached(`text/${fieldId}`, () => {
      const column = this.bytes(fieldId);
      return repeats(column) ? new CodedText(column) : undefined;
    });
  }

  json({ fieldId, keys, asNumber }: JsonPath): JsonPathColumn {
    return this.cached(
      `json/${fieldId}/${JSON.stringify(keys)}${asNumber === true ? '/number' : ''}`,
      () => new JsonPathColumn(this.bytes(fieldId), this.#source.rowCount, keys, asNumber),
    );
  }

  jsonItems(path: JsonPath): JsonItemsColumn {
    return this.cached(
      `json-items/${path.fieldId}/${JSON.stringify(path.keys)}`,
      () => new JsonItemsColumn(this.json(path), this.#source.rowCount),
    );
  }

  /** The items of a list as rows of their own: `itemsOf` makes the column of the items of one. */
  items(fieldId: FieldId, count: number, itemsOf: (column: Column, count: number) => Column): FilterSource {
    return this.cached(`items/${fieldId}/${count}`, () => {
      const source = this.#source;
      return {
        rowCount: count,
        column: (inner: FieldId) => itemsOf(source.column(inner), count),
        cache: new Map<string, unknown>(),
      };
    });
  }

  get rowCount(): number {
    return this.#source.rowCount;
  }

  /** What is derived once for the block, and kept with it. */
  cached<T>(key: string, make: () => T): T {
    const { cache } = this.#source;
    if (!cache.has(key)) cache.set(key, make());
    return cache.get(key) as T;
  }
}

function repeats(column: BytesColumn): boolean {
  const rows = Math.min(SAMPLE_ROWS, column.offsets.length - 1);
  const sample = new TextDictionary();
  for (let row = 0; row < rows; row++)
    sample.intern(column.data, column.offsets[row] as number, column.offsets[row + 1] as number);
  return sample.size * 2 < rows;
}

function integerView({ values }: FixedColumn): IntegerView {
  if (values instanceof BigInt64Array) return narrowed(values);
  const bound = 2 ** (8 * values.BYTES_PER_ELEMENT - 1);
  return { values, min: -bound, max: bound - 1, isWide: false };
}

/** Numbers instead of bigints where nothing is lost: arithmetic on them is many times faster. */
function narrowed(values: BigInt64Array): IntegerView {
  // Halves, low one first as on every platform Node runs on: reading them is much cheaper than a bigint for every row.
  const words = new Int32Array(values.buffer, values.byteOffset, values.length * 2);
  let minHigh = 0;
  let maxHigh = 0;
  let is32Bit = true;
  for (let i = 0; i < words.length; i += 2) {
    const high = words[i + 1] as number;
    minHigh = Math.min(minHigh, high);
    maxHigh = Math.max(maxHigh, high);
    if (high !== (words[i] as number) >> 31) is32Bit = false;
  }
  const isSafe = minHigh >= -(2 ** 21) && maxHigh < 2 ** 21;
  if (!isSafe) return { values, min: Number.NEGATIVE_INFINITY, max: Number.POSITIVE_INFINITY, isWide: true };
  const narrow = is32Bit ? new Int32Array(values.length) : new Float64Array(values.length);
  let min = 0;
  let max = 0;
  for (let i = 0; i < narrow.length; i++) {
    const value = (words[2 * i + 1] as number) * 2 ** 32 + ((words[2 * i] as number) >>> 0);
    narrow[i] = value;
    min = Math.min(min, value);
    max = Math.max(max, value);
  }
  return { values: narrow, min, max, isWide: false };
}
