import { DbError } from '../errors/db-error.ts';
import { fixedArrays, vectorArrays } from '../model/columns.ts';
import type { FixedColumn, FixedType, VectorValues } from '../model/rows.ts';
import type { VectorType } from '../model/schema.ts';
import { ALIGNMENT } from './pieces.ts';

const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** The payload is not what `encodeWrite` has written. */
export const damaged = (what: string): DbError => new DbError('data-integrity', `log record: ${what}`);

/** Bounds-checked reader. Arrays are views of the payload: it must stay as it is while they are in use. */
export class Cursor {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #offset = 0;

  constructor(payload: Uint8Array) {
    this.#bytes = payload.byteOffset % ALIGNMENT === 0 ? payload : new Uint8Array(payload);
    this.#view = new DataView(this.#bytes.buffer, this.#bytes.byteOffset, this.#bytes.length);
  }

  uint32(): number {
    return this.#view.getUint32(this.#take(4), true);
  }

  int64(): bigint {
    return this.#view.getBigInt64(this.#take(8), true);
  }

  /** Where `length` bytes of an array stand in the buffer. */
  #array(length: number): number {
    const at = this.#bytes.byteOffset + this.#take(length);
    this.#take((ALIGNMENT - (this.#offset % ALIGNMENT)) % ALIGNMENT);
    return at;
  }

  bytes(length: number): Uint8Array {
    return new Uint8Array(this.#bytes.buffer, this.#array(length), length);
  }

  flags(length: number, what: string): Uint8Array {
    const flags = this.bytes(length);
    if (flags.some((flag) => flag > 1)) throw damaged(`${what} that is neither 0 nor 1`);
    return flags;
  }

  fixed(type: FixedType, length: number): FixedColumn['values'] {
    if (type === 'Bool') return this.flags(length, 'a Bool');
    const Values = fixedArrays[type];
    return new Values(this.#bytes.buffer, this.#array(length * Values.BYTES_PER_ELEMENT), length);
  }

  vectors(type: VectorType, length: number): VectorValues {
    const Values = vectorArrays[type];
    return new Values(this.#bytes.buffer, this.#array(length * Values.BYTES_PER_ELEMENT), length);
  }

  offsets(count: number): Uint32Array {
    const offsets = new Uint32Array(this.#bytes.buffer, this.#array((count + 1) * 4), count + 1);
    if (offsets[0] !== 0) throw damaged('offsets do not start at 0');
    for (let i = 1; i <= count; i++)
      if ((offsets[i] as number) < (offsets[i - 1] as number)) throw damaged('offsets go backwards');
    return offsets;
  }

  text(bytes: Uint8Array): string {
    try {
      return strictUtf8.decode(bytes);
    } catch (error) {
      throw new DbError('data-integrity', 'log record: text that is not UTF-8', { cause: error });
    }
  }

  end(): void {
    if (this.#offset !== this.#bytes.length)
      throw damaged(`${this.#bytes.length - this.#offset} bytes too many`);
  }

  #take(length: number): number {
    const at = this.#offset;
    if (length > this.#bytes.length - at)
      throw damaged(`ends at byte ${this.#bytes.length}, needs ${at + length}`);
    this.#offset = at + length;
    return at;
  }
}
