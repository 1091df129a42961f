/**
 * Finds one path in the bytes of a JSON text without building the document. Stored JSON was checked when it came in; bytes that
 * are no JSON after all give "missing", never an endless loop or a read outside the text. Of repeated keys the first counts.
 */
import { parseJson } from '../support/json.ts';
import { utf8 } from './text.ts';

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const COLON = 0x3a;
export const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;
export const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

/** A key in UTF-8, or an index of an array. */
export type PathStep = Uint8Array | number;

/** Keys in the form they are compared in. */
export const stepsOf = (keys: readonly (string | number)[]): readonly PathStep[] =>
  keys.map((key) => (typeof key === 'string' ? utf8(key) : key));

/** Where the value at `steps` starts in `data[start, end)`; -1 when there is none. */
export function findPath(data: Uint8Array, start: number, end: number, steps: readonly PathStep[]): number {
  let at = skipSpace(data, start, end);
  for (const step of steps) {
    if (at < 0 || at >= end) return -1;
    at = typeof step === 'number' ? findItem(data, at, end, step) : findKey(data, at, end, step);
  }
  return at < end ? at : -1;
}

function findItem(data: Uint8Array, start: number, end: number, index: number): number {
  if (data[start] !== OPEN_ARRAY) return -1;
  let at = skipSpace(data, start + 1, end);
  if (data[at] === CLOSE_ARRAY) return -1;
  for (let i = 0; at < end; i++) {
    if (i === index) return at;
    at = nextItem(data, at, end);
    if (at < 0) return -1;
  }
  return -1;
}

/** Start of the item behind the one at `at`; -1 at the end of the array or object. */
function nextItem(data: Uint8Array, at: number, end: number): number {
  const behind = skipSpace(data, skipValue(data, at, end), end);
  return data[behind] === COMMA && behind < end ? skipSpace(data, behind + 1, end) : -1;
}

function findKey(data: Uint8Array, start: number, end: number, key: Uint8Array): number {
  if (data[start] !== OPEN_OBJECT) return -1;
  let at = skipSpace(data, start + 1, end);
  while (at >= 0 && at < end && data[at] === QUOTE) {
    const behind = skipString(data, at, end);
    const colon = skipSpace(data, behind, end);
    if (data[colon] !== COLON) return -1;
    const value = skipSpace(data, colon + 1, end);
    if (isKey(data, at + 1, behind - 1, key)) return value;
    at = nextItem(data, value, end);
  }
  return -1;
}

function isKey(data: Uint8Array, start: number, end: number, key: Uint8Array): boolean {
  let plain = end - start === key.length;
  for (let i = start; i < end; i++) {
    if (data[i] === BACKSLASH) return sameBytes(unescaped(data, start - 1, end + 1), key);
    if (plain && data[i] !== key[i - start]) plain = false;
  }
  return plain;
}

const sameBytes = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;

/** The text of a string literal that stands in `data[start, end)`, quotes included. */
export function unescaped(data: Uint8Array, start: number, end: number): Uint8Array {
  const inner = data.subarray(start + 1, end - 1);
  if (!inner.includes(BACKSLASH)) return inner;
  try {
    const text = parseJson(Buffer.from(data.buffer, data.byteOffset + start, end - start).toString());
    return utf8(typeof text === 'string' ? text : '');
  } catch {
    return inner;
  }
}

/** Starts and ends of the items of the array at `start`. */
export function eachItem(
  data: Uint8Array,
  start: number,
  end: number,
  visit: (itemStart: number, itemEnd: number) => void,
): void {
  let at = skipSpace(data, start + 1, end);
  if (data[at] === CLOSE_ARRAY) return;
  while (at >= 0 && at < end) {
    visit(at, skipValue(data, at, end));
    at = nextItem(data, at, end);
  }
}

/** The offset behind the value at `at`; never beyond `end`. */
export function skipValue(data: Uint8Array, at: number, end: number): number {
  const first = data[at];
  if (first === QUOTE) return skipString(data, at, end);
  if (first === OPEN_ARRAY || first === OPEN_OBJECT) return skipContainer(data, at, end);
  let behind = at;
  while (behind < end && !endsScalar(data[behind] as number)) behind++;
  return behind;
}

const endsScalar = (byte: number): boolean =>
  byte === COMMA || byte === CLOSE_ARRAY || byte === CLOSE_OBJECT || byte <= 0x20;

/** Counts brackets instead of recursing: depth is the writer's choice. */
function skipContainer(data: Uint8Array, start: number, end: number): number {
  let depth = 0;
  for (let at = start; at < end; ) {
    const byte = data[at];
    if (byte === QUOTE) {
      at = skipString(data, at, end);
      continue;
    }
    at++;
    if (byte === OPEN_ARRAY || byte === OPEN_OBJECT) depth++;
    else if ((byte === CLOSE_ARRAY || byte === CLOSE_OBJECT) && --depth === 0) return at;
  }
  return end;
}

function skipString(data: Uint8Array, start: number, end: number): number {
  for (let at = start + 1; at < end; at++) {
    const byte = data[at];
    if (byte === QUOTE) return at + 1;
    if (byte === BACKSLASH) at++;
  }
  return end;
}

function skipSpace(data: Uint8Array, start: number, end: number): number {
  let at = start;
  while (at < end && (data[at] as number) <= 0x20) at++;
  return at;
}
