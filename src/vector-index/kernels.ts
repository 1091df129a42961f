/** The WebAssembly module and its instances: one compiled module per thread, one instance per memory it works on. */
import { assert } from '../support/assert.ts';
import { kernelsBase64 } from './kernels.generated.ts';

/** What we use of `WebAssembly.Memory`. A shared one may be posted to worker threads. */
export interface WasmMemory {
  readonly buffer: SharedArrayBuffer;
  grow(pages: number): number;
}

interface WasmApi {
  readonly Memory: new (descriptor: { initial: number; maximum: number; shared: true }) => WasmMemory;
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object, imports: object) => { readonly exports: unknown };
}
const { WebAssembly: wasm } = globalThis as unknown as { readonly WebAssembly: WasmApi };

/** Offsets and sizes are bytes within the memory, unsigned; see `wasm/` for what each promises. */
export interface KernelExports {
  inverseNorm(vector: number, dim: number): number;
  writeInverseNorms(vectors: number, dim: number, rowCount: number, norms: number): void;
  scan(
    metric: number,
    vectors: number,
    norms: number,
    dim: number,
    from: number,
    to: number,
    allowed: number,
    list: number,
    query: number,
    inverseQuery: number,
    heap: number,
    k: number,
    size: number,
    inner: number,
    outer: number,
  ): number;
  scanBits(
    kind: number,
    vectors: number,
    bytes: number,
    from: number,
    to: number,
    allowed: number,
    query: number,
    heap: number,
    k: number,
    size: number,
    inner: number,
    outer: number,
  ): number;
  addBestKeys(
    metric: number,
    items: number,
    norms: number,
    dim: number,
    ends: number,
    rowCount: number,
    query: number,
    inverseQuery: number,
    sums: number,
  ): void;
  addBestBitKeys(
    kind: number,
    items: number,
    bytes: number,
    ends: number,
    rowCount: number,
    query: number,
    sums: number,
  ): void;
  offerKeys(
    keys: number,
    first: number,
    count: number,
    allowed: number,
    heap: number,
    k: number,
    size: number,
    inner: number,
    outer: number,
  ): number;
  drain(heap: number, size: number, rows: number, keys: number): void;
  readPass(at: number, bytes: number): number;
  chainDuplicates(
    vectors: number,
    dim: number,
    rowCount: number,
    levels: number,
    chains: number,
    slots: number,
    slotMask: number,
  ): number;
  proposeLinks(
    table: number,
    row: number,
    first: number,
    efConstruction: number,
    chosen: number,
    proposal: number,
    blur: number,
  ): number;
  linkBack(
    table: number,
    from: number,
    to: number,
    shard: number,
    shards: number,
    sorted: number,
    chosen: number,
    slots: number,
    proposals: number,
  ): void;
  addToMean(
    vectors: number,
    dim: number,
    from: number,
    to: number,
    levels: number,
    inverses: number,
    heights: number,
    weight: number,
    mean: number,
  ): void;
  farthest(
    vectors: number,
    dim: number,
    from: number,
    to: number,
    levels: number,
    inverses: number,
    heights: number,
    mean: number,
  ): number;
  writeGrid(
    vectors: number,
    dim: number,
    from: number,
    to: number,
    rows: number,
    levels: number,
    inverses: number,
    heights: number,
    mean: number,
    reach: number,
    grid: number,
    lanes: number,
  ): void;
  nearestPivots(
    grid: number,
    lanes: number,
    from: number,
    to: number,
    pivots: number,
    count: number,
    nearests: number,
  ): void;
  searchGraph(
    table: number,
    query: number,
    inverseQuery: number,
    ef: number,
    allowed: number,
    inner: number,
    budget: number,
  ): number;
  checkGraph(table: number, from: number, to: number, upperCount: number): number;
}

export const PAGE_BYTES = 65_536;
/** A whole number of pages below 4 GiB. */
export const MAX_MEMORY_BYTES = 65_535 * PAGE_BYTES;
/** The kernels read up to this far behind a row; no block reaches closer to the end of a memory. */
export const SLACK_BYTES = 64;

/** Throws RangeError when the system has no address space left. */
export const newMemory = (initialBytes: number, maximumBytes: number): WasmMemory =>
  new wasm.Memory({
    initial: Math.ceil(initialBytes / PAGE_BYTES),
    maximum: Math.ceil(maximumBytes / PAGE_BYTES),
    shared: true,
  });

let compiled: object | undefined;
const instantiate = (memory: WasmMemory): KernelExports => {
  compiled ??= new wasm.Module(Buffer.from(kernelsBase64, 'base64'));
  return new wasm.Instance(compiled, { env: { memory } }).exports as KernelExports;
};

/** Where a thread may write while it computes. Two threads never share one. */
export interface Scratch {
  readonly byteOffset: number;
  readonly byteLength: number;
}

/** The kernels over one memory, with a scratch area of one thread. Not re-entrant. */
export class Kernels {
  readonly memory: WasmMemory;
  readonly run: KernelExports;
  readonly scratch: Scratch;

  constructor(memory: WasmMemory, scratch: Scratch, run = instantiate(memory)) {
    // A thread sees the growth another thread made only when it asks.
    if (memory.buffer.byteLength < scratch.byteOffset + scratch.byteLength) memory.grow(0);
    assert(memory.buffer.byteLength >= scratch.byteOffset + scratch.byteLength, 'scratch is in its memory');
    this.memory = memory;
    this.run = run;
    this.scratch = scratch;
  }

  /** The same instance with another scratch area. */
  withScratch(scratch: Scratch): Kernels {
    return new Kernels(this.memory, scratch, this.run);
  }

  /** Starts laying out the scratch area anew; everything handed out before is void. */
  layout(): ScratchLayout {
    return new ScratchLayout(this.scratch);
  }

  floats(byteOffset: number, length: number): Float32Array {
    return new Float32Array(this.memory.buffer, byteOffset, length);
  }

  bytes(byteOffset: number, length: number): Uint8Array {
    return new Uint8Array(this.memory.buffer, byteOffset, length);
  }

  words(byteOffset: number, length: number): Uint32Array {
    return new Uint32Array(this.memory.buffer, byteOffset, length);
  }
}

/** Hands out pieces of a scratch area, 16-aligned, with room behind each for the kernels' reads. */
export class ScratchLayout {
  #at: number;
  readonly #end: number;

  constructor(scratch: Scratch) {
    this.#at = scratch.byteOffset;
    this.#end = scratch.byteOffset + scratch.byteLength;
  }

  take(bytes: number): number {
    const at = this.#at;
    this.#at += pieceBytes(bytes);
    assert(this.#at <= this.#end, 'scratch area is large enough');
    return at;
  }
}

/** What `ScratchLayout.take(bytes)` uses up. */
export const pieceBytes = (bytes: number): number => Math.ceil((bytes + 16) / 16) * 16;
