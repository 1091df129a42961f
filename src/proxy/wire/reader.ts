/** Reads protobuf's wire form from bytes that may be anything. Every fault is `parameter-invalid`; nothing reads outside. */
import { DbError } from '../../errors/db-error.ts';

export const malformed = (what: string): DbError =>
  new DbError('parameter-invalid', `the request is malformed: ${what}`);

export const VARINT = 0;
export const FIXED64 = 1;
export const BYTES = 2;
export const FIXED32 = 5;

/** A place in the bytes, up to `end`. Messages inside are read by moving `end` in and out with `enter` and `leave`. */
export class WireReader {
  readonly bytes: Uint8Array;
  pos: number;
  end: number;
  /** Set by `next`. */
  field = 0;
  wireType = 0;

  constructor(bytes: Uint8Array, pos = 0, end = bytes.length) {
    this.bytes = bytes;
    this.pos = pos;
    this.end = end;
  }

  /** Moves to the next field; false at the end of the message. */
  next(): boolean {
    if (this.pos >= this.end) return false;
    const tag = this.uint32();
    this.field = tag >>> 3;
    this.wireType = tag & 7;
    if (this.field === 0) throw malformed('field number 0');
    return true;
  }

  /** A varint's low 32 bits, unsigned. */
  uint32(): number {
    let value = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      if (this.pos >= this.end) throw malformed('it ends inside a number');
      const byte = this.bytes[this.pos++] as number;
      if (shift < 32) value |= (byte & 127) << shift;
      if (byte < 128) return value >>> 0;
    }
    throw malformed('a number is too long');
  }

  /** Enters a nested message, string or packed list; returns the end of the surrounding one, for `leave`. */
  enter(): number {
    if (this.wireType !== BYTES) throw malformed(`field ${this.field} has wire type ${this.wireType}`);
    const length = this.uint32();
    if (length > this.end - this.pos) throw malformed('it ends inside a field');
    const outer = this.end;
    this.end = this.pos + length;
    return outer;
  }

  leave(outer: number): void {
    this.pos = this.end;
    this.end = outer;
  }

  /** The bytes of a length-delimited field: a view. */
  view(): Uint8Array {
    const outer = this.enter();
    const view = this.bytes.subarray(this.pos, this.end);
    this.leave(outer);
    return view;
  }

  string(): string {
    const view = this.view();
    return Buffer.from(view.buffer, view.byteOffset, view.length).toString('utf8');
  }

  number(): number {
    if (this.wireType !== VARINT) throw malformed(`field ${this.field} has wire type ${this.wireType}`);
    return this.uint32();
  }

  skip(): void {
    if (this.wireType === VARINT) this.uint32();
    else if (this.wireType === BYTES) this.leave(this.enter());
    else if (this.wireType === FIXED32) this.#advance(4);
    else if (this.wireType === FIXED64) this.#advance(8);
    else throw malformed(`wire type ${this.wireType}`);
  }

  #advance(count: number): void {
    if (count > this.end - this.pos) throw malformed('it ends inside a field');
    this.pos += count;
  }
}
