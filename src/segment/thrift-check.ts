/**
 * Looks over Thrift's compact form before hyparquet reads it: that reader believes the lengths of lists, follows nesting as deep as it
 * goes, and adds up numbers of any length, so that some bytes of a damaged footer could take all memory or all time. Source: the Thrift
 * compact protocol specification.
 */
import { damaged } from './damage.ts';

/** A Parquet footer needs seven: file, row group list, row group, column list, column, its metadata, its statistics. */
const MAX_DEPTH = 16;
const MAX_VARINT_BYTES = 10;

const STOP = 0;
const TRUE = 1;
const FALSE = 2;
const BYTE = 3;
const DOUBLE = 7;
const BINARY = 8;
const LIST = 9;
const STRUCT = 12;
const numbers: ReadonlySet<number> = new Set([4, 5, 6]);

/** Throws `data-integrity` unless `bytes` begin with a struct that ends in them, with lists and texts that have room in them. */
export function checkThrift(bytes: Uint8Array): void {
  new Walk(bytes).struct(0);
}

class Walk {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  struct(depth: number): void {
    if (depth > MAX_DEPTH) throw damaged('Thrift is nested too deeply');
    for (let head = this.#byte(); (head & 0x0f) !== STOP; head = this.#byte()) {
      // Fields are numbered by their distance from the one before; a distance of 0 means that the number follows.
      if (head >> 4 === 0) this.#varint();
      const type = head & 0x0f;
      if (type !== TRUE && type !== FALSE) this.#value(type, depth);
    }
  }

  #value(type: number, depth: number): void {
    if (numbers.has(type)) this.#varint();
    else if (type === BYTE || type === TRUE || type === FALSE) this.#skip(1);
    else if (type === DOUBLE) this.#skip(8);
    else if (type === BINARY) this.#skip(this.#varint());
    else if (type === LIST) this.#list(depth + 1);
    else if (type === STRUCT) this.struct(depth + 1);
    else throw damaged(`Thrift of type ${type}`);
  }

  /** Every item takes a byte at least. */
  #list(depth: number): void {
    if (depth > MAX_DEPTH) throw damaged('Thrift is nested too deeply');
    const head = this.#byte();
    const size = head >> 4 === 0x0f ? this.#varint() : head >> 4;
    if (size > this.#bytes.length - this.#at) throw damaged(`a Thrift list of ${size} items`);
    for (let left = size; left > 0; left--) this.#value(head & 0x0f, depth);
  }

  #byte(): number {
    const byte = this.#bytes[this.#at++];
    if (byte === undefined) throw damaged('Thrift is cut off');
    return byte;
  }

  #varint(): number {
    let value = 0;
    for (let i = 0; i < MAX_VARINT_BYTES; i++) {
      const byte = this.#byte();
      value += (byte & 0x7f) * 2 ** (7 * i);
      if (byte < 0x80) return value;
    }
    throw damaged('a Thrift number is too long');
  }

  #skip(length: number): void {
    if (length > this.#bytes.length - this.#at) throw damaged('Thrift is cut off');
    this.#at += length;
  }
}
