/**
 * Growing columns of values as they come off the wire, packed or one by one: floats by copying bytes, integers without making
 * bigints, text without making strings. Little-endian machines only, like every platform Node runs on that we support.
 */
import type { FixedValues } from '../../model/rows.ts';
import { BYTES, FIXED32, FIXED64, malformed, VARINT, type WireReader } from './reader.ts';

/** The packed lists of `ScalarField` and `FloatArray`. `timestamptz`: microseconds since 1970 UTC. */
export type FixedKind = 'bool' | 'int' | 'long' | 'float' | 'double' | 'timestamptz';

interface FixedSpec {
  readonly width: number;
  readonly wireType: number;
  readonly make: (buffer: ArrayBuffer, length: number) => FixedValues;
}

const specs: Readonly<Record<FixedKind, FixedSpec>> = {
  bool: { width: 1, wireType: VARINT, make: (buffer, length) => new Uint8Array(buffer, 0, length) },
  int: { width: 4, wireType: VARINT, make: (buffer, length) => new Int32Array(buffer, 0, length) },
  long: { width: 8, wireType: VARINT, make: (buffer, length) => new BigInt64Array(buffer, 0, length) },
  timestamptz: { width: 8, wireType: VARINT, make: (buffer, length) => new BigInt64Array(buffer, 0, length) },
  float: { width: 4, wireType: FIXED32, make: (buffer, length) => new Float32Array(buffer, 0, length) },
  double: { width: 8, wireType: FIXED64, make: (buffer, length) => new Float64Array(buffer, 0, length) },
};

export class FixedList {
  readonly kind: FixedKind;
  length = 0;
  readonly #spec: FixedSpec;
  #buffer = new ArrayBuffer(0);
  #bytes = new Uint8Array(this.#buffer);
  #words = new Int32Array(this.#buffer);

  constructor(kind: FixedKind) {
    this.kind = kind;
    this.#spec = specs[kind];
  }

  /** Reads the field the reader stands on: a packed list or one value. */
  read(reader: WireReader): void {
    const { wireType, width } = this.#spec;
    if (reader.wireType !== BYTES) {
      if (reader.wireType !== wireType) throw malformed(`a ${this.kind} has wire type ${reader.wireType}`);
      const start = reader.pos;
      reader.skip();
      this.#append(reader.bytes, start, reader.pos);
      return;
    }
    const outer = reader.enter();
    const { pos, end, bytes } = reader;
    if (wireType === VARINT) {
      if (end > pos && (bytes[end - 1] as number) >= 128)
        throw malformed('a packed list ends inside a number');
    } else if ((end - pos) % width !== 0) throw malformed(`a packed list of ${this.kind} has a wrong length`);
    this.#append(bytes, pos, end);
    reader.leave(outer);
  }

  /** The values, as the typed array of the kind. */
  finish(): FixedValues {
    return this.#spec.make(this.#buffer, this.length);
  }

  #append(bytes: Uint8Array, start: number, end: number): void {
    const { wireType, width } = this.#spec;
    if (wireType !== VARINT) {
      this.#reserve((end - start) / width);
      this.#bytes.set(bytes.subarray(start, end), this.length * width);
      this.length += (end - start) / width;
      return;
    }
    this.#reserve(countVarints(bytes, start, end));
    if (width === 8) this.#readLongs(bytes, start, end);
    else if (this.kind === 'int') this.#readInts(bytes, start, end);
    else this.#readBools(bytes, start, end);
  }

  #reserve(more: number): void {
    const needed = (this.length + more) * this.#spec.width;
    if (needed <= this.#buffer.byteLength) return;
    const size = Math.max(needed, this.length === 0 ? 0 : this.#buffer.byteLength * 2);
    const buffer = new ArrayBuffer(Math.ceil(size / 8) * 8);
    new Uint8Array(buffer).set(this.#bytes.subarray(0, this.length * this.#spec.width));
    this.#buffer = buffer;
    this.#bytes = new Uint8Array(buffer);
    this.#words = new Int32Array(buffer);
  }

  #readBools(bytes: Uint8Array, start: number, end: number): void {
    for (let pos = start; pos < end; pos++) {
      let byte = bytes[pos] as number;
      let isSet = byte & 127;
      while (byte >= 128) {
        byte = bytes[++pos] as number;
        isSet |= byte & 127;
      }
      this.#bytes[this.length++] = isSet === 0 ? 0 : 1;
    }
  }

  #readInts(bytes: Uint8Array, start: number, end: number): void {
    for (let pos = start; pos < end; ) {
      let byte = bytes[pos++] as number;
      let value = byte & 127;
      for (let shift = 7; byte >= 128; shift += 7) {
        if (shift > 63) throw malformed('a number is too long');
        byte = bytes[pos++] as number;
        if (shift < 32) value |= (byte & 127) << shift;
      }
      this.#words[this.length++] = value;
    }
  }

  /** Two 32-bit halves each: no bigint is made. */
  #readLongs(bytes: Uint8Array, start: number, end: number): void {
    const words = this.#words;
    let at = this.length * 2;
    for (let pos = start; pos < end; ) {
      let byte = bytes[pos++] as number;
      let low = byte & 127;
      let high = 0;
      for (let shift = 7; byte >= 128; shift += 7) {
        if (shift > 63) throw malformed('a number is too long');
        byte = bytes[pos++] as number;
        const bits = byte & 127;
        if (shift < 28) low |= bits << shift;
        else if (shift === 28) {
          low |= bits << 28;
          high = bits >>> 4;
        } else high |= bits << (shift - 32);
      }
      words[at++] = low;
      words[at++] = high;
    }
    this.length = at / 2;
  }
}

function countVarints(bytes: Uint8Array, start: number, end: number): number {
  let count = 0;
  for (let pos = start; pos < end; pos++) if ((bytes[pos] as number) < 128) count++;
  return count;
}

/** Texts one after another with their offsets, as a `BytesColumn` holds them. */
export class BytesList {
  length = 0;
  #offsets = new Uint32Array(16);
  #data = new Uint8Array(0);
  #size = 0;

  get sizeBytes(): number {
    return this.#size;
  }

  /** Room for this many more bytes: the size of the message the values stand in. */
  reserve(more: number): void {
    if (this.#size + more <= this.#data.length) return;
    const data = new Uint8Array(Math.max(this.#size + more, this.#size === 0 ? 0 : this.#data.length * 2));
    data.set(this.#data.subarray(0, this.#size));
    this.#data = data;
  }

  read(reader: WireReader): void {
    const outer = reader.enter();
    const { bytes, pos, end } = reader;
    this.reserve(end - pos);
    if (end - pos > 48) this.#data.set(bytes.subarray(pos, end), this.#size);
    else for (let from = pos, to = this.#size; from < end; ) this.#data[to++] = bytes[from++] as number;
    this.#size += end - pos;
    if (this.length + 2 > this.#offsets.length) {
      const offsets = new Uint32Array(this.#offsets.length * 2);
      offsets.set(this.#offsets);
      this.#offsets = offsets;
    }
    this.#offsets[++this.length] = this.#size;
    reader.leave(outer);
  }

  finish(): { readonly offsets: Uint32Array; readonly data: Uint8Array } {
    return {
      offsets: this.#offsets.slice(0, this.length + 1),
      data: this.#size === this.#data.length ? this.#data : this.#data.slice(0, this.#size),
    };
  }
}
