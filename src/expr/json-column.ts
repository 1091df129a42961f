/** One path of a JSON column, decoded once: a kind, a number and a text code per row, and the items of arrays. */
import type { BytesColumn } from '../model/rows.ts';
import { parseJson } from '../support/json.ts';
import { spelledNumber } from './cast-texts.ts';
import { fitsInt64 } from './fold.ts';
import {
  eachItem,
  findPath,
  OPEN_ARRAY,
  OPEN_OBJECT,
  type PathStep,
  skipValue,
  stepsOf,
  unescaped,
} from './json-scan.ts';
import { TextDictionary } from './text.ts';

/** Missing, null, or in a row without a value. */
export const ABSENT = 0;
/** Written with a point or an exponent, or beyond Int64. */
export const DOUBLE = 1;
/** An integer that a Double holds exactly. */
export const INTEGER = 2;
/** Any other Int64. */
export const WIDE = 3;
export const TEXT = 4;
export const FALSE = 5;
export const TRUE = 6;
/** An array or object; its text code names the bytes as written. */
export const ARRAY = 7;
export const OBJECT = 8;

const QUOTE = 0x22;
const MINUS = 0x2d;
const LETTER_T = 0x74;
const LETTER_F = 0x66;

/** Values one after another. */
export class JsonValues {
  kinds: Uint8Array;
  numbers: Float64Array;
  codes: Uint32Array;
  readonly wide = new Map<number, bigint>();
  readonly texts = new TextDictionary();
  length = 0;

  constructor(capacity: number) {
    this.kinds = new Uint8Array(capacity);
    this.numbers = new Float64Array(capacity);
    this.codes = new Uint32Array(capacity);
  }

  pushAbsent(): void {
    this.#reserve();
    this.length++;
  }

  pushDouble(value: number): void {
    this.#reserve();
    this.kinds[this.length] = DOUBLE;
    this.numbers[this.length++] = value;
  }

  /** Appends the value that stands in `data[start, end)`. */
  push(data: Uint8Array, start: number, end: number): void {
    this.#reserve();
    const at = this.length++;
    const first = data[start] as number;
    if (first === QUOTE) {
      const text = unescaped(data, start, end);
      this.kinds[at] = TEXT;
      this.codes[at] = this.texts.intern(text, 0, text.length);
    } else if (first === OPEN_ARRAY || first === OPEN_OBJECT) {
      this.kinds[at] = first === OPEN_ARRAY ? ARRAY : OBJECT;
      this.codes[at] = this.texts.intern(data, start, end);
    } else if (first === LETTER_T) this.kinds[at] = TRUE;
    else if (first === LETTER_F) this.kinds[at] = FALSE;
    else this.#pushNumber(at, data, start, end);
  }

  #pushNumber(at: number, data: Uint8Array, start: number, end: number): void {
    const negative = data[start] === MINUS;
    const digits = negative ? start + 1 : start;
    let value = 0;
    let i = digits;
    for (; i < end && i - digits < 15; i++) {
      const digit = (data[i] as number) - 0x30;
      if (digit < 0 || digit > 9) break;
      value = value * 10 + digit;
    }
    if (i === end && i > digits) {
      this.kinds[at] = INTEGER;
      this.numbers[at] = negative ? -value : value;
    } else
      this.#pushLongNumber(
        at,
        Buffer.from(data.buffer, data.byteOffset + start, end - start).toString('latin1'),
      );
  }

  #pushLongNumber(at: number, text: string): void {
    const value = Number(text);
    // Not null, but no number either: bytes that should not be here count as missing.
    if (text === '' || Number.isNaN(value)) return;
    this.numbers[at] = value;
    this.kinds[at] = DOUBLE;
    if (!/^-?\d{1,19}$/.test(text)) return;
    const exact = BigInt(text);
    if (Number.isSafeInteger(value)) this.kinds[at] = INTEGER;
    else if (fitsInt64(exact)) {
      this.kinds[at] = WIDE;
      this.wide.set(at, exact);
    }
  }

  #reserve(): void {
    if (this.length < this.kinds.length) return;
    const capacity = Math.max(64, this.length * 2);
    const { kinds, numbers, codes } = this;
    this.kinds = new Uint8Array(capacity);
    this.kinds.set(kinds);
    this.numbers = new Float64Array(capacity);
    this.numbers.set(numbers);
    this.codes = new Uint32Array(capacity);
    this.codes.set(codes);
  }
}

/** Reads rows from the front, as far as they are asked for: a slice of a block costs a slice of the work. */
export class JsonPathColumn {
  readonly values: JsonValues;
  readonly #column: BytesColumn;
  readonly #steps: readonly PathStep[];
  readonly #asNumber: boolean;

  constructor(column: BytesColumn, rowCount: number, keys: readonly (string | number)[], asNumber = false) {
    this.#column = column;
    this.#steps = stepsOf(keys);
    this.#asNumber = asNumber;
    this.values = new JsonValues(rowCount);
  }

  prepare(to: number): boolean {
    const { values } = this;
    if (values.length >= to) return false;
    for (let row = values.length; row < to; row++)
      pushJson(values, this.#column, row, this.#steps, this.#asNumber);
    return true;
  }
}

/** Appends what stands at a path of the document of a row. `asNumber`: a text that spells a number as that number. */
export function pushJson(
  values: JsonValues,
  { data, valid, offsets }: BytesColumn,
  row: number,
  steps: readonly PathStep[],
  asNumber = false,
): void {
  const end = offsets[row + 1] as number;
  const start = valid?.[row] === 0 ? -1 : findPath(data, offsets[row] as number, end, steps);
  if (start < 0) {
    values.pushAbsent();
    return;
  }
  const behind = skipValue(data, start, end);
  const isCast = asNumber && data[start] === QUOTE;
  const spelled = isCast ? spelledNumber(unescaped(data, start, behind)) : undefined;
  if (spelled === undefined) values.push(data, start, behind);
  else values.pushDouble(spelled);
}

/** The items of the arrays at one path, flat: those of row `i` are `values[offsets[i], offsets[i + 1])`. */
export class JsonItemsColumn {
  readonly values = new JsonValues(64);
  readonly offsets: Uint32Array;
  /** 1 when the row has an array there. */
  readonly isArray: Uint8Array;
  readonly #path: JsonPathColumn;
  #rows = 0;

  constructor(path: JsonPathColumn, rowCount: number) {
    this.#path = path;
    this.offsets = new Uint32Array(rowCount + 1);
    this.isArray = new Uint8Array(rowCount);
  }

  prepare(to: number): boolean {
    this.#path.prepare(to);
    if (this.#rows >= to) return false;
    const { kinds, codes, texts } = this.#path.values;
    for (; this.#rows < to; this.#rows++) {
      const row = this.#rows;
      if (kinds[row] === ARRAY) {
        this.isArray[row] = 1;
        const code = codes[row] as number;
        const { data, offsets } = texts;
        eachItem(data, offsets[code] as number, offsets[code + 1] as number, (start, end) =>
          this.values.push(data, start, end),
        );
      }
      this.offsets[row + 1] = this.values.length;
    }
    return true;
  }
}

/** Whether a container holds no scalar at any depth: Milvus takes such a value for a missing one. */
export function isHollow(json: string): boolean {
  const open: unknown[] = [parsed(json)];
  for (let value = open.pop(); value !== undefined; value = open.pop()) {
    if (typeof value !== 'object' || value === null) return false;
    for (const inner of Object.values(value)) open.push(inner);
  }
  return true;
}

/** The parsed text; undefined when it is none. */
export function parsed(json: string): unknown {
  try {
    return parseJson(json);
  } catch {
    return undefined;
  }
}
