/**
 * Memory that worker threads and WebAssembly share. Vectors and graphs of many segments live as blocks in few large memories:
 * a kernel sees exactly one memory, and every memory reserves gigabytes of address space. What belongs together (vectors,
 * their graph, scratch) must therefore lie in one memory.
 *
 * Invariants: blocks never overlap and never move; free ranges are sorted, disjoint and never adjacent; a memory without blocks is given
 * back. Memories grow in steps and never shrink, so pages are touched only when blocks need them. One thread owns the arena;
 * others open blocks from their plain description.
 */

import { DbError } from '../errors/db-error.ts';
import { assert } from '../support/assert.ts';
import { Kernels, MAX_MEMORY_BYTES, newMemory, PAGE_BYTES, SLACK_BYTES, type WasmMemory } from './kernels.ts';

/** A block as plain data: may be posted to a worker thread. */
export interface BlockRef {
  readonly memory: WasmMemory;
  readonly byteOffset: number;
  readonly byteLength: number;
}

/** A part of an arena's memory. Its content is undefined until written. */
export interface Block extends BlockRef {
  readonly memoryId: number;
}

/** The bytes of a block, in whatever thread. */
export function bytesOf(block: BlockRef): Uint8Array<SharedArrayBuffer> {
  const end = block.byteOffset + block.byteLength;
  // A thread sees the growth another thread made only when it asks.
  if (block.memory.buffer.byteLength < end) block.memory.grow(0);
  return new Uint8Array(block.memory.buffer, block.byteOffset, block.byteLength);
}

/** A block of floats, in whatever thread. */
export function floatsOf(block: BlockRef): Float32Array<SharedArrayBuffer> {
  const bytes = bytesOf(block);
  return new Float32Array(bytes.buffer, bytes.byteOffset, Math.floor(bytes.byteLength / 4));
}

export interface ArenaOptions {
  /** Bytes all memories together may take up, scratch aside. */
  readonly maxBytes: number;
  /** Size of one memory; a larger block gets a memory of its own. */
  readonly memoryBytes?: number;
  /** A memory grows by at least this. */
  readonly growBytes?: number;
}

interface Range {
  offset: number;
  length: number;
}

interface Space {
  readonly id: number;
  readonly memory: WasmMemory;
  readonly maxBytes: number;
  /** Ordinary blocks end here; behind it there is always room for scratch. */
  readonly blockLimit: number;
  committedBytes: number;
  readonly free: Range[];
  readonly blocks: Map<number, Block>;
  kernels: { readonly own: Kernels; readonly block: Block } | undefined;
}

const ALIGNMENT = 64;
const FIRST_OFFSET = 64;
const SCRATCH_RESERVE_MAX = 64 * 1024 * 1024;
const DEFAULT_MEMORY_BYTES = 2 * 1024 * 1024 * 1024;
const DEFAULT_GROW_BYTES = 8 * 1024 * 1024;
const SCRATCH_STEP = 256 * 1024;

const align = (value: number, step: number): number => Math.ceil(value / step) * step;

export class VectorArena {
  readonly #maxBytes: number;
  readonly #memoryBytes: number;
  readonly #growBytes: number;
  readonly #spaces = new Map<number, Space>();
  #nextId = 1;
  #usedBytes = 0;
  #reservedBytes = 0;

  constructor(options: ArenaOptions) {
    this.#maxBytes = options.maxBytes;
    this.#memoryBytes = Math.min(options.memoryBytes ?? DEFAULT_MEMORY_BYTES, MAX_MEMORY_BYTES);
    this.#growBytes = options.growBytes ?? DEFAULT_GROW_BYTES;
  }

  /** Bytes of blocks in use. */
  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** Bytes that lie elsewhere. */
  get reservedBytes(): number {
    return this.#reservedBytes;
  }

  /** Bytes the memories have grown to: the most they can add to the process's resident size. */
  get committedBytes(): number {
    return [...this.#spaces.values()].reduce((sum, space) => sum + space.committedBytes, 0);
  }

  /** Takes bytes that lie elsewhere out of what the memories may take up, until they are given back. Throws `resource-exhausted`. */
  reserve(bytes: number): { free(): void } {
    if (this.committedBytes + this.#reservedBytes + bytes > this.#maxBytes) throw this.#exhausted(bytes);
    this.#reservedBytes += bytes;
    return {
      free: () => {
        this.#reservedBytes -= bytes;
      },
    };
  }

  /** A block of at least `bytes`, 64-aligned. Throws `resource-exhausted`. */
  allocate(bytes: number): Block {
    const [block] = this.allocateGroup([bytes]);
    assert(block !== undefined, 'a group of one has one block');
    return block;
  }

  /** One block per size, all in the same memory. Throws `resource-exhausted`; then none is allocated. */
  allocateGroup(sizes: readonly number[]): Block[] {
    assert(
      sizes.every((size) => Number.isSafeInteger(size) && size >= 0),
      'sizes are whole bytes',
    );
    const needed = sizes.reduce((sum, size) => sum + sizeOf(size), 0);
    for (const space of this.#spaces.values()) {
      const blocks = this.#tryGroup(space, sizes);
      if (blocks !== undefined) return blocks;
    }
    const blocks = this.#tryGroup(this.#openSpace(needed), sizes);
    if (blocks !== undefined) return blocks;
    this.#closeEmpty();
    throw this.#exhausted(needed);
  }

  /** A block in the memory of `neighbour`, which is in use. Throws `resource-exhausted` when that memory is full. */
  allocateBeside(neighbour: Block, bytes: number): Block {
    const block = this.#take(this.#spaceOf(neighbour), sizeOf(bytes), bytes, false);
    if (block === undefined) throw this.#exhausted(bytes);
    return block;
  }

  /** Scratch for a task over `neighbour` in another thread; free it when the task has ended. Throws `resource-exhausted`. */
  allocateScratch(neighbour: Block, bytes: number): Block {
    const block = this.#take(this.#spaceOf(neighbour), sizeOf(bytes), bytes, true);
    if (block === undefined) throw this.#exhausted(bytes);
    return block;
  }

  /** The kernels over the memory of `neighbour` for this thread, with at least `scratchBytes` of scratch. Void after the next call. */
  kernels(neighbour: Block, scratchBytes: number): Kernels {
    const space = this.#spaceOf(neighbour);
    const old = space.kernels;
    if (old !== undefined && old.block.byteLength >= scratchBytes) return old.own;
    if (old !== undefined) {
      space.kernels = undefined;
      this.#release(space, old.block);
    }
    const block = this.#take(
      space,
      align(scratchBytes, SCRATCH_STEP),
      align(scratchBytes, SCRATCH_STEP),
      true,
    );
    if (block === undefined) throw this.#exhausted(scratchBytes);
    const own = old === undefined ? new Kernels(space.memory, block) : old.own.withScratch(block);
    space.kernels = { own, block };
    return own;
  }

  /** Gives a block back. The caller has ended every task over it. */
  free(block: Block): void {
    const space = this.#spaceOf(block);
    this.#release(space, block);
    this.#closeEmpty();
  }

  #spaceOf(block: Block): Space {
    const space = this.#spaces.get(block.memoryId);
    assert(space?.blocks.get(block.byteOffset) === block, 'the block is in use');
    return space;
  }

  #tryGroup(space: Space, sizes: readonly number[]): Block[] | undefined {
    const blocks: Block[] = [];
    for (const size of sizes) {
      const block = this.#take(space, sizeOf(size), size, false);
      if (block === undefined) {
        for (const taken of blocks) this.#release(space, taken);
        return undefined;
      }
      blocks.push(block);
    }
    return blocks;
  }

  #openSpace(needed: number): Space {
    const overhead = FIRST_OFFSET + SLACK_BYTES;
    const reserve = Math.min(SCRATCH_RESERVE_MAX, align(this.#memoryBytes / 8, PAGE_BYTES));
    const maxBytes = Math.max(this.#memoryBytes, align(needed + overhead + reserve, PAGE_BYTES));
    if (maxBytes > MAX_MEMORY_BYTES || this.committedBytes + this.#reservedBytes + needed > this.#maxBytes)
      throw this.#exhausted(needed);
    let memory: WasmMemory;
    try {
      memory = newMemory(PAGE_BYTES, maxBytes);
    } catch (cause) {
      throw new DbError('resource-exhausted', 'the system gives no more address space', { cause });
    }
    const space: Space = {
      id: this.#nextId++,
      memory,
      maxBytes: align(maxBytes, PAGE_BYTES),
      blockLimit: align(maxBytes, PAGE_BYTES) - reserve,
      committedBytes: PAGE_BYTES,
      free: [{ offset: FIRST_OFFSET, length: PAGE_BYTES - overhead }],
      blocks: new Map(),
      kernels: undefined,
    };
    this.#spaces.set(space.id, space);
    return space;
  }

  /** First fit, lowest address first; grows the memory when nothing fits. Undefined: no room. */
  #take(space: Space, size: number, bytes: number, isScratch: boolean): Block | undefined {
    const limit = isScratch ? space.maxBytes : space.blockLimit;
    let at = space.free.findIndex((range) => range.length >= size);
    if (at === -1) {
      if (!this.#grow(space, size, limit, isScratch)) return undefined;
      at = space.free.length - 1;
    }
    const range = space.free[at];
    assert(range !== undefined && range.length >= size, 'the range fits');
    if (range.offset + size > limit) return undefined;
    const block: Block = {
      memory: space.memory,
      memoryId: space.id,
      byteOffset: range.offset,
      byteLength: bytes,
    };
    range.offset += size;
    range.length -= size;
    if (range.length === 0) space.free.splice(at, 1);
    space.blocks.set(block.byteOffset, block);
    this.#usedBytes += size;
    return block;
  }

  #grow(space: Space, size: number, limit: number, isScratch: boolean): boolean {
    const end = space.committedBytes - SLACK_BYTES;
    const last = space.free.at(-1);
    const tail = last !== undefined && last.offset + last.length === end ? last : undefined;
    const needed = align(size - (tail?.length ?? 0), PAGE_BYTES);
    const budget = isScratch
      ? Number.POSITIVE_INFINITY
      : this.#maxBytes - this.committedBytes - this.#reservedBytes;
    if (needed > budget || end - (tail?.length ?? 0) + size > limit) return false;
    const room = Math.min(
      space.maxBytes - space.committedBytes,
      Math.floor(budget / PAGE_BYTES) * PAGE_BYTES,
    );
    const step = Math.max(needed, Math.min(align(this.#growBytes, PAGE_BYTES), room));
    if (space.committedBytes + step > space.maxBytes) return false;
    try {
      space.memory.grow(step / PAGE_BYTES);
    } catch {
      return false;
    }
    space.committedBytes += step;
    if (tail === undefined) space.free.push({ offset: end, length: step });
    else tail.length += step;
    return true;
  }

  #release(space: Space, block: Block): void {
    const size = sizeOf(block.byteLength);
    space.blocks.delete(block.byteOffset);
    this.#usedBytes -= size;
    const { free } = space;
    let low = 0;
    for (let high = free.length; low < high; ) {
      const middle = (low + high) >>> 1;
      if ((free[middle]?.offset ?? 0) < block.byteOffset) low = middle + 1;
      else high = middle;
    }
    const before = free[low - 1];
    const after = free[low];
    const joinsBefore = before !== undefined && before.offset + before.length === block.byteOffset;
    const joinsAfter = after !== undefined && block.byteOffset + size === after.offset;
    if (joinsBefore) {
      before.length += size + (joinsAfter ? after.length : 0);
      if (joinsAfter) free.splice(low, 1);
    } else if (joinsAfter) {
      after.offset = block.byteOffset;
      after.length += size;
    } else free.splice(low, 0, { offset: block.byteOffset, length: size });
  }

  /** Forgets memories that hold nothing but this thread's scratch; the garbage collector returns them. */
  #closeEmpty(): void {
    for (const space of this.#spaces.values()) {
      if (space.blocks.size > (space.kernels === undefined ? 0 : 1)) continue;
      if (space.kernels !== undefined) this.#release(space, space.kernels.block);
      this.#spaces.delete(space.id);
    }
  }

  #exhausted(bytes: number): DbError {
    return new DbError(
      'resource-exhausted',
      `no room for ${bytes} bytes of vectors or indexes: ${this.committedBytes + this.#reservedBytes} of ${this.#maxBytes} bytes in use`,
    );
  }
}

const sizeOf = (bytes: number): number => align(Math.max(bytes, 1), ALIGNMENT);
