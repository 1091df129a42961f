/**
 * Bytes of a record under construction. Small things are gathered in buffers of our own, big arrays are taken as they are, so
 * that a large column goes from the request to the disk without being copied.
 */
const GATHER_BYTES = 1024;
const MAX_GATHER_BYTES = 65_536;
/** Arrays from this size on are referenced, not copied. */
const REFERENCE_FROM_BYTES = 4096;

/** Every array starts at a multiple of this, so that it can be used in place when the record is read. */
export const ALIGNMENT = 8;

/** Little-endian writer of aligned records. */
export class PieceWriter {
  readonly #pieces: Uint8Array[] = [];
  #buffer = new Uint8Array(GATHER_BYTES);
  #view = new DataView(this.#buffer.buffer);
  #start = 0;
  #end = 0;
  #flushedBytes = 0;

  uint32(value: number): void {
    this.#reserve(4);
    this.#view.setUint32(this.#end, value, true);
    this.#end += 4;
  }

  int64(value: bigint): void {
    this.#reserve(8);
    this.#view.setBigInt64(this.#end, value, true);
    this.#end += 8;
  }

  /** The array, then zeros up to the next boundary. It must not change until the record is durable. */
  array(bytes: Uint8Array): void {
    this.append(bytes);
    this.align();
  }

  /** The bytes alone; what follows may stand at any address. */
  append(bytes: Uint8Array): void {
    if (bytes.length >= REFERENCE_FROM_BYTES) {
      this.#flush();
      this.#pieces.push(bytes);
      this.#flushedBytes += bytes.length;
      return;
    }
    this.#reserve(bytes.length);
    this.#buffer.set(bytes, this.#end);
    this.#end += bytes.length;
  }

  align(): void {
    const written = this.#flushedBytes + this.#end - this.#start;
    const padding = (ALIGNMENT - (written % ALIGNMENT)) % ALIGNMENT;
    this.#reserve(padding);
    this.#end += padding;
  }

  /** The pieces, to be written one after another. */
  finish(): Uint8Array[] {
    this.#flush();
    return this.#pieces;
  }

  #reserve(length: number): void {
    if (this.#end + length <= this.#buffer.length) return;
    this.#flush();
    this.#buffer = new Uint8Array(Math.max(Math.min(2 * this.#buffer.length, MAX_GATHER_BYTES), length));
    this.#view = new DataView(this.#buffer.buffer);
    this.#start = 0;
    this.#end = 0;
  }

  #flush(): void {
    if (this.#end === this.#start) return;
    this.#pieces.push(this.#buffer.subarray(this.#start, this.#end));
    this.#flushedBytes += this.#end - this.#start;
    this.#start = this.#end;
  }
}
