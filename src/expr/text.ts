/**
 * Text as UTF-8 bytes: order, tests, and a dictionary of the distinct texts of a column. Bytes order as code points do, which
 * UTF-16 strings do not.
 */
const encoder = new TextEncoder();
export const utf8 = (text: string): Uint8Array => encoder.encode(text);

/** A yes or no about `data.subarray(start, end)`. */
export type TextTest = (data: Uint8Array, start: number, end: number) => boolean;

/** Below, at or above 0; by bytes. */
export function compareBytes(
  a: Uint8Array,
  b: Uint8Array,
  bStart = 0,
  bEnd = b.length,
  aStart = 0,
  aEnd = a.length,
): number {
  const shared = Math.min(aEnd - aStart, bEnd - bStart);
  for (let i = 0; i < shared; i++) {
    const difference = (a[aStart + i] as number) - (b[bStart + i] as number);
    if (difference !== 0) return difference;
  }
  return aEnd - aStart - (bEnd - bStart);
}

/** Whether `data.subarray(start, end)` is `wanted`. */
export function equalBytes(data: Uint8Array, start: number, end: number, wanted: Uint8Array): boolean {
  if (end - start !== wanted.length) return false;
  for (let i = 0; i < wanted.length; i++) if (data[start + i] !== wanted[i]) return false;
  return true;
}

/** The same order for strings. */
export const compareText = (a: string, b: string): number => compareBytes(utf8(a), utf8(b));

/** Whether the bytes are one of `texts`. */
export function memberTest(texts: readonly string[]): TextTest {
  const index = new TextIndex(texts);
  return (data, start, end) => index.find(data, start, end) >= 0;
}

const MAX_FEW = 8;

/** Finds which of some given texts a run of bytes is. The engine's own string hash is seeded, so nobody can make it slow. */
export class TextIndex {
  readonly #positions = new Map<string, number>();
  /** Compared one by one, when they are few: looking up makes a string of every text. */
  readonly #few: readonly Uint8Array[] | undefined;

  constructor(texts: readonly string[]) {
    this.#few = texts.length <= MAX_FEW ? texts.map(utf8) : undefined;
    for (const [position, text] of texts.entries()) {
      const key = Buffer.from(utf8(text)).toString('latin1');
      if (!this.#positions.has(key)) this.#positions.set(key, position);
    }
  }

  /** The position in the list given; -1 when it is not there. */
  find(data: Uint8Array, start: number, end: number): number {
    const few = this.#few;
    if (few !== undefined) {
      for (let i = 0; i < few.length; i++) if (equalBytes(data, start, end, few[i] as Uint8Array)) return i;
      return -1;
    }
    return this.#positions.get(latin1(data, start, end)) ?? -1;
  }
}

const latin1 = (data: Uint8Array, start: number, end: number): string =>
  Buffer.from(data.buffer, data.byteOffset + start, end - start).toString('latin1');

/** A hostile column can make hashes collide; past this many steps a text simply gets a second code. */
const MAX_PROBES = 32;

/** Distinct texts, numbered in order of arrival. The same text may have several codes, different texts never share one. */
export class TextDictionary {
  #slots = new Int32Array(64).fill(-1);
  #hashes = new Uint32Array(32);
  /** Entry `i` is `data.subarray(offsets[i], offsets[i + 1])`. */
  offsets = new Uint32Array(33);
  data = new Uint8Array(256);
  size = 0;

  intern(data: Uint8Array, start: number, end: number): number {
    const hash = hashOf(data, start, end);
    const mask = this.#slots.length - 1;
    let slot = hash & mask;
    for (let probes = 0; probes < MAX_PROBES; probes++) {
      const code = this.#slots[slot] ?? -1;
      if (code < 0) return this.#add(data, start, end, hash, slot);
      if (this.#hashes[code] === hash && this.#equals(code, data, start, end)) return code;
      slot = (slot + 1) & mask;
    }
    return this.#add(data, start, end, hash, -1);
  }

  #equals(code: number, data: Uint8Array, start: number, end: number): boolean {
    const from = this.offsets[code] as number;
    const length = end - start;
    if ((this.offsets[code + 1] as number) - from !== length) return false;
    for (let i = 0; i < length; i++) if (this.data[from + i] !== data[start + i]) return false;
    return true;
  }

  #add(data: Uint8Array, start: number, end: number, hash: number, slot: number): number {
    const code = this.size++;
    if (code === this.#hashes.length) {
      this.#hashes = grown(this.#hashes, code * 2);
      this.offsets = grown(this.offsets, code * 2 + 1);
    }
    const from = this.offsets[code] as number;
    const to = from + end - start;
    if (to > this.data.length) this.data = grown(this.data, Math.max(to, this.data.length * 2));
    // Short copies by hand: a call of set costs more than the bytes.
    for (let i = start; i < end; i++) this.data[from + i - start] = data[i] as number;
    this.#hashes[code] = hash;
    this.offsets[code + 1] = to;
    if (slot >= 0) this.#slots[slot] = code;
    if (this.size * 2 > this.#slots.length) this.#rehash();
    return code;
  }

  #rehash(): void {
    const slots = new Int32Array(this.#slots.length * 2).fill(-1);
    const mask = slots.length - 1;
    for (let code = 0; code < this.size; code++) {
      let slot = (this.#hashes[code] as number) & mask;
      let probes = 0;
      for (; probes < MAX_PROBES && slots[slot] !== -1; probes++) slot = (slot + 1) & mask;
      if (probes < MAX_PROBES) slots[slot] = code;
    }
    this.#slots = slots;
  }
}

/** FNV-1a with a final mix (Fowler, Noll, Vo; mix of MurmurHash3). */
function hashOf(data: Uint8Array, start: number, end: number): number {
  let hash = 0x811c9dc5;
  for (let i = start; i < end; i++) hash = Math.imul(hash ^ (data[i] as number), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  return (hash ^ (hash >>> 13)) >>> 0;
}

function grown<T extends Uint8Array | Uint32Array>(array: T, length: number): T {
  const larger = new (array.constructor as new (length: number) => T)(length);
  larger.set(array);
  return larger;
}
