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

  /** Throws above 2^53. */
  long(): number {
    let value = 0n;
    for (let i = 0; i < MAX_VARINT_BYTES; i++) {
      const byte = this.take(1).readUInt8();
      value |= BigInt(byte & 0x7f) << BigInt(7 * i);
      if (byte >= 0x80) continue;
      const signed = Number((value >> 1n) ^ -(value & 1n));
      if (!Number.isSafeInteger(signed)) break;
      return signed;
    }
    throw new Error('a number is too large');
  }

  bytes(): Buffer {
    return this.take(this.long());
  }
}
