/** The primitives of Avro's container framing, with every length checked. Source: Apache Avro 1.11 specification. */

const MAX_VARINT_BYTES = 10;

/** A 64-bit integer, zig-zag, 7 bits a byte. */
export function writeLong(value: bigint): Uint8Array {
  let rest = BigInt.asUintN(64, (value << 1n) ^ (value >> 63n));
  const bytes: number[] = [];
  while (rest > 0x7fn) {
    bytes.push(Number(rest & 0x7fn) | 0x80);
    rest >>= 7n;
  }
  return Uint8Array.from([...bytes, Number(rest)]);
}

/** A length, then the bytes. */
export const writeBytes = (bytes: Uint8Array): Uint8Array =>
  Buffer.concat([writeLong(BigInt(bytes.length)), bytes]);

/** Reads forward and throws at the first length that does not fit. */
export class AvroCursor {
  readonly #buffer: Buffer;
  #offset = 0;
  #low = 0;
  #middle = 0;
  #high = 0;

  constructor(bytes: Uint8Array) {
    this.#buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get atEnd(): boolean {
    return this.#offset === this.#buffer.length;
  }

  take(length: number): Buffer {
    const end = this.#offset + length;
    if (length < 0 || end > this.#buffer.length) throw new Error('cut off');
    const taken = this.#buffer.subarray(this.#offset, end);
    this.#offset = end;
    return taken;
  }

  /** Throws unless it is a safe integer. */
  long(): number {
    this.#varint();
    // Zig-zag: the lowest bit is the sign. Below 2^52 everything stays a number.
    if (this.#high === 0 && this.#middle < 2 ** 24) {
      const raw = this.#middle * 2 ** 28 + this.#low;
      return raw % 2 === 0 ? raw / 2 : -(raw + 1) / 2;
    }
    const value = Number(this.#signed());
    if (!Number.isSafeInteger(value)) throw new Error('a number is too large');
    return value;
  }

  int64(): bigint {
    this.#varint();
    return this.#signed();
  }

  bytes(): Buffer {
    return this.take(this.long());
  }

  /** UTF-8. Throws for bytes that are none. */
  text(): string {
    const bytes = this.bytes();
    const text = bytes.toString();
    if (text.includes('\ufffd') && !Buffer.from(text).equals(bytes)) throw new Error('text is not UTF-8');
    return text;
  }

  #signed(): bigint {
    const raw = (BigInt(this.#high) << 56n) | (BigInt(this.#middle) << 28n) | BigInt(this.#low);
    return (raw >> 1n) ^ -(raw & 1n);
  }

  /** The next number, unsigned: 28 bits, 28 more, and the last 8. */
  #varint(): void {
    let [low, middle, high] = [0, 0, 0];
    for (let i = 0; i < MAX_VARINT_BYTES; i++) {
      const byte = this.#buffer[this.#offset++];
      if (byte === undefined) throw new Error('cut off');
      const bits = byte & 0x7f;
      if (i < 4) low |= bits << (7 * i);
      else if (i < 8) middle |= bits << (7 * (i - 4));
      else high |= bits << (7 * (i - 8));
      if (byte >= 0x80) continue;
      if (high > 0xff) break;
      [this.#low, this.#middle, this.#high] = [low, middle, high];
      return;
    }
    throw new Error('a number is too large');
  }
}

const FIRST_BYTES = 64 * 1024;
/** Characters. */
const MAX_SHORT_TEXT = 256;

/** Appends primitives to bytes that grow. What a thousand segments cost: no object per value. */
export class AvroWriter {
  #bytes = Buffer.allocUnsafe(FIRST_BYTES);
  #length = 0;
  readonly #wide = new DataView(new ArrayBuffer(8));

  /** What was written: a view, valid until the next write. */
  get written(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }

  /** Forgets what was written; the first `length` bytes are left to whoever takes `written`. */
  restart(length: number): void {
    this.#length = 0;
    this.#room(length);
    this.#length = length;
  }

  /** Bytes as they are. */
  raw(bytes: Uint8Array): void {
    this.#room(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  /** A 64-bit integer. */
  long(value: bigint): void {
    this.#wide.setBigInt64(0, value, true);
    const low = this.#wide.getInt32(0, true);
    const high = this.#wide.getInt32(4, true);
    const sign = high >> 31;
    this.#varint(((high << 1) | (low >>> 31)) ^ sign, (low << 1) ^ sign);
  }

  /** An integer from 0 to 2^52. */
  count(value: number): void {
    // Zig-zag doubles it.
    const rest = value * 2;
    this.#varint((rest / 2 ** 32) | 0, rest | 0);
  }

  text(value: string): void {
    if (value.length <= MAX_SHORT_TEXT && this.#ascii(value)) return;
    const length = Buffer.byteLength(value);
    this.count(length);
    this.#room(length);
    this.#bytes.write(value, this.#length, length, 'utf8');
    this.#length += length;
  }

  /** Keys and names are short and ASCII: faster here than in two calls out of JavaScript. False: they are not, and nothing was written. */
  #ascii(value: string): boolean {
    const start = this.#length;
    this.#room(MAX_VARINT_BYTES + MAX_SHORT_TEXT);
    this.count(value.length);
    const bytes = this.#bytes;
    let at = this.#length;
    for (let i = 0; i < value.length; i++) {
      const code = value.charCodeAt(i);
      if (code >= 0x80) {
        this.#length = start;
        return false;
      }
      bytes[at++] = code;
    }
    this.#length = at;
    return true;
  }

  /** Seven bits a byte of the unsigned 64-bit number whose halves these are. */
  #varint(high: number, low: number): void {
    this.#room(MAX_VARINT_BYTES);
    const bytes = this.#bytes;
    let [upper, lower, at] = [high, low, this.#length];
    while (upper !== 0 || lower >>> 7 !== 0) {
      bytes[at++] = (lower & 0x7f) | 0x80;
      lower = (lower >>> 7) | (upper << 25);
      upper >>>= 7;
    }
    bytes[at++] = lower;
    this.#length = at;
  }

  /** One block of all items, then the end of the array. */
  array<T>(items: readonly T[], write: (item: T) => void): void {
    if (items.length > 0) this.count(items.length);
    for (const item of items) write(item);
    this.count(0);
  }

  #room(length: number): void {
    if (this.#length + length <= this.#bytes.length) return;
    const grown = Buffer.allocUnsafe(Math.max(2 * this.#bytes.length, this.#length + length));
    this.written.copy(grown);
    this.#bytes = grown;
  }
}
