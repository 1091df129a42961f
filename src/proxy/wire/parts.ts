/** Writes protobuf's wire form from the inside out: pieces with known sizes, copied once at the end. */
import type { FixedValues, VectorValues } from '../../model/rows.ts';

/** Bytes in pieces; columns stay where they are until the answer is put together. */
export interface Part {
  readonly size: number;
  readonly pieces: readonly Uint8Array[];
}

const BYTES = 2;
export const nothing: Part = { size: 0, pieces: [] };

export const part = (bytes: Uint8Array): Part => ({ size: bytes.length, pieces: [bytes] });

export const join = (...parts: readonly Part[]): Part => joinAll(parts);

/** As `join`, for lists that may be longer than a call can take arguments. */
export function joinAll(parts: readonly Part[]): Part {
  let size = 0;
  const pieces: Uint8Array[] = [];
  for (const one of parts) {
    size += one.size;
    for (const piece of one.pieces) pieces.push(piece);
  }
  return { size, pieces };
}

export const toBytes = ({ size, pieces }: Part): Uint8Array => Buffer.concat(pieces, size);

export function sizeOfVarint(value: number): number {
  let size = 1;
  for (let rest = value; rest > 127; rest = Math.floor(rest / 128)) size++;
  return size;
}

/** Writes an unsigned integer below 2^53; returns the position after it. */
export function writeVarint(to: Uint8Array, at: number, value: number): number {
  let pos = at;
  let rest = value;
  while (rest > 127) {
    to[pos++] = (rest % 128) | 128;
    rest = Math.floor(rest / 128);
  }
  to[pos++] = rest;
  return pos;
}

function header(field: number, wireType: number, value: number): Uint8Array {
  const tag = field * 8 + wireType;
  const bytes = new Uint8Array(sizeOfVarint(tag) + sizeOfVarint(value));
  writeVarint(bytes, writeVarint(bytes, 0, tag), value);
  return bytes;
}

/** A nested message, string or packed list; written even when empty. */
export const nested = (field: number, content: Part): Part =>
  join(part(header(field, BYTES, content.size)), content);

/** Left out when 0, as proto3 has it. `value` is an unsigned integer below 2^53. */
export const uint = (field: number, value: number): Part =>
  value === 0 ? nothing : part(header(field, 0, value));

export const bool = (field: number, value: boolean): Part => uint(field, value ? 1 : 0);

/** A 64-bit integer, signed or not. */
export const int64 = (field: number, value: bigint): Part =>
  value === 0n
    ? nothing
    : join(part(Uint8Array.of(field * 8)), part(packVarints(BigInt64Array.of(BigInt.asIntN(64, value)))));

export const text = (field: number, value: string): Part =>
  value === '' ? nothing : nested(field, part(Buffer.from(value)));

/** Text even when empty: an item of a repeated field. */
export const textItem = (field: number, value: string): Part => nested(field, part(Buffer.from(value)));

/** The bytes of numbers whose wire form is their memory form: floats, doubles, and bools as bytes 0 and 1. */
export const rawBytes = (values: FixedValues | VectorValues): Part =>
  part(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));

export const packed = (field: number, content: Part): Part =>
  content.size === 0 ? nothing : nested(field, content);

/** Integers as packed varints; negative ones take ten bytes, as protobuf has it. */
export function packVarints(
  values: BigInt64Array | Int8Array | Int16Array | Int32Array | Uint32Array,
): Uint8Array {
  const isWide = values instanceof BigInt64Array;
  const words = isWide ? new Uint32Array(values.buffer, values.byteOffset, values.length * 2) : undefined;
  const out = new Uint8Array(values.length * 10);
  let pos = 0;
  for (let i = 0; i < values.length; i++) {
    const value = isWide ? 0 : (values[i] as number);
    let low = words === undefined ? value >>> 0 : (words[i * 2] as number);
    let high = words === undefined ? (value < 0 ? 0xffff_ffff : 0) : (words[i * 2 + 1] as number);
    while (high !== 0 || low > 127) {
      out[pos++] = (low & 127) | 128;
      low = ((low >>> 7) | (high << 25)) >>> 0;
      high >>>= 7;
    }
    out[pos++] = low;
  }
  return out.subarray(0, pos);
}

/** Repeated strings or bytes in `field`: the items from `first` to `end` of a column of bytes. */
export function repeatedBytes(
  field: number,
  { offsets, data }: { readonly offsets: Uint32Array; readonly data: Uint8Array },
  first: number,
  end: number,
): Part {
  const tag = field * 8 + BYTES;
  let size = 0;
  for (let i = first; i < end; i++) {
    const length = (offsets[i + 1] as number) - (offsets[i] as number);
    size += 1 + sizeOfVarint(length) + length;
  }
  const out = new Uint8Array(size);
  let pos = 0;
  for (let i = first; i < end; i++) {
    const from = offsets[i] as number;
    const to = offsets[i + 1] as number;
    out[pos++] = tag;
    pos = writeVarint(out, pos, to - from);
    if (to - from > 48) out.set(data.subarray(from, to), pos);
    else for (let k = from; k < to; k++) out[pos + k - from] = data[k] as number;
    pos += to - from;
  }
  return part(out);
}

/** Repeated strings in `field`. */
export function repeatedTexts(field: number, texts: readonly string[]): Part {
  const offsets = new Uint32Array(texts.length + 1);
  for (const [i, each] of texts.entries()) offsets[i + 1] = (offsets[i] as number) + Buffer.byteLength(each);
  const data = Buffer.allocUnsafe(offsets[texts.length] as number);
  for (const [i, each] of texts.entries()) data.write(each, offsets[i] as number);
  return repeatedBytes(field, { offsets, data }, 0, texts.length);
}
