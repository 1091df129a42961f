/**
 * MinHash signatures of texts: the share of equal elements of two signatures estimates the Jaccard similarity of the texts' shingles.
 * They are stored with the rows: what a text becomes under given rules may never change. docs/design/0021-minhash.md.
 */
import { hash } from 'node:crypto';
import { createRequire } from 'node:module';
import { DbError } from '../errors/db-error.ts';
import type { FieldSchema, FunctionSchema } from '../model/schema.ts';

/** Bits of an element of a signature. */
export const ELEMENT_BITS = 32;
/** Tokens, or characters, of a shingle. */
const MAX_SHINGLE_SIZE = 256;
const DEFAULT_SHINGLE_SIZE = 3;
const DEFAULT_SEED = 1234n;

export interface MinHashRules {
  readonly numHashes: number;
  readonly shingleSize: number;
  readonly hashFunction: HashFunction;
  /** `word`: tokens of the field's analyzer. `char`: code points. */
  readonly tokenLevel: 'word' | 'char';
  /** 32 bits. */
  readonly seed: number;
}

/** Pieces of a text in a row: piece `i` is `bytes` from `starts[i]` up to `ends[i]`. */
export interface Pieces {
  readonly bytes: Uint8Array;
  readonly starts: Uint32Array;
  readonly ends: Uint32Array;
}

type HashFunction = 'xxhash' | 'sha1';
const hashNames: ReadonlyMap<string, HashFunction> = new Map([
  ['xxhash', 'xxhash'],
  ['xxhash64', 'xxhash'],
  ['sha1', 'sha1'],
]);
const levelNames: ReadonlyMap<string, 'word' | 'char'> = new Map([
  ['word', 'word'],
  ['char', 'char'],
  ['character', 'char'],
]);

/** Parameters as a client gave them; their names in any case. Throws `parameter-invalid`. */
export function minHashRules(
  { name, params }: Pick<FunctionSchema, 'name' | 'params'>,
  { name: outputName, dim = 0 }: Pick<FieldSchema, 'name' | 'dim'>,
): MinHashRules {
  const invalid = (what: string): DbError =>
    new DbError('parameter-invalid', `${what}, MinHash function ${name}`);
  const given = new Map(Object.entries(params).map(([key, value]) => [key.toLowerCase(), value]));
  const integer = (param: string, pattern: RegExp): bigint | undefined => {
    const text = given.get(param);
    if (text !== undefined && !pattern.test(text))
      throw invalid(`${param} is an integer in its range, not ${text.slice(0, 30)}`);
    return text === undefined ? undefined : BigInt(text);
  };
  const choice = <T>(param: string, names: ReadonlyMap<string, T>, fallback: T): T => {
    const text = given.get(param);
    const found = text === undefined ? fallback : names.get(text.toLowerCase());
    if (found === undefined)
      throw invalid(`${param} is one of ${[...names.keys()].join(', ')}, not ${text?.slice(0, 30)}`);
    return found;
  };
  for (const key of given.keys())
    if (!paramNames.has(key)) throw invalid(`unknown parameter ${key.slice(0, 50)}`);
  if (dim === 0 || dim % ELEMENT_BITS !== 0)
    throw invalid(
      `the dimension of output field ${outputName} must be a multiple of ${ELEMENT_BITS}: ${dim}`,
    );
  const numHashes = Number(integer('num_hashes', /^\d{1,9}$/) ?? dim / ELEMENT_BITS);
  if (numHashes * ELEMENT_BITS !== dim)
    throw invalid(
      `the dimension of output field ${outputName} must be ${ELEMENT_BITS} * num_hashes: ${dim}, num_hashes ${numHashes}`,
    );
  const shingleSize = Number(integer('shingle_size', /^\d{1,9}$/) ?? DEFAULT_SHINGLE_SIZE);
  if (shingleSize < 1 || shingleSize > MAX_SHINGLE_SIZE)
    throw invalid(`shingle_size should be in range [1, ${MAX_SHINGLE_SIZE}]: ${shingleSize}`);
  const seed = integer('seed', /^-?\d{1,20}$/) ?? DEFAULT_SEED;
  return {
    numHashes,
    shingleSize,
    hashFunction: choice('hash_function', hashNames, 'xxhash'),
    tokenLevel: choice('token_level', levelNames, 'word'),
    seed: Number(BigInt.asUintN(32, seed ^ (seed >> 32n))),
  };
}

const paramNames = new Set(['num_hashes', 'shingle_size', 'hash_function', 'token_level', 'seed']);

/** Writes the signature of the text into `signature`, `numHashes` long. A text without pieces has all bits set. */
export function signatureInto(signature: Uint32Array, pieces: Pieces, rules: MinHashRules): void {
  sketch(signature, distinct(shingleHashes(pieces, rules)), rules.seed);
}

/** A text with fewer pieces than a shingle has is one shingle. */
function shingleHashes(
  { bytes, starts, ends }: Pieces,
  { shingleSize, hashFunction }: MinHashRules,
): Uint32Array {
  if (starts.length === 0) return new Uint32Array(0);
  const last = Math.max(0, starts.length - shingleSize);
  const hashes = new Uint32Array(last + 1);
  const hashOf = hashers[hashFunction]();
  for (let i = 0; i <= last; i++) {
    const end = ends[Math.min(i + shingleSize, ends.length) - 1];
    hashes[i] = hashOf(bytes.subarray(starts[i], end));
  }
  return hashes;
}

/** Two of 64,000 shingles share 32 bits once in two texts, which changes an estimate by a hundred thousandth. */
const hashers: Readonly<Record<HashFunction, () => (bytes: Uint8Array) => number>> = {
  xxhash() {
    const { xxh64 } = xxhash();
    const whole = new BigUint64Array(1);
    const low = new Uint32Array(whole.buffer);
    return (bytes) => {
      whole[0] = xxh64(bytes);
      return low[0] as number;
    };
  },
  sha1: () => (bytes) => hash('sha1', bytes, 'buffer').readUInt32LE(0),
};

let library: typeof import('@node-rs/xxhash') | undefined;

/** Throws `unimplemented` on a platform that the package has no binary for. */
function xxhash(): typeof import('@node-rs/xxhash') {
  try {
    library ??= createRequire(import.meta.url)('@node-rs/xxhash') as typeof import('@node-rs/xxhash');
    return library;
  } catch (cause) {
    throw new DbError('unimplemented', 'hash_function xxhash is not served on this platform: take sha1', {
      cause,
    });
  }
}

/** Rising, each once. `all` is put in order. */
function distinct(all: Uint32Array): Uint32Array {
  all.sort();
  let size = 0;
  for (let i = 0; i < all.length; i++)
    if (i === 0 || all[i] !== all[size - 1]) all[size++] = all[i] as number;
  return all.subarray(0, size);
}

/**
 * A fast similarity sketch (Dahlgaard, Knudsen, Thorup, 2017): every round throws each hash into one element, an element keeps the
 * least of the first round that reaches it. Estimates as well as `numHashes` permutations do, and takes
 * `hashes + numHashes * log(numHashes)` steps, not `hashes * numHashes`. After `numHashes` rounds what is left takes from all hashes.
 */
function sketch(signature: Uint32Array, hashes: Uint32Array, seed: number): void {
  const size = signature.length;
  signature.fill(0xffff_ffff);
  if (hashes.length === 0) return;
  const reached = new Uint32Array(size);
  let open = size;
  for (let round = 1; open > 0; round++) {
    const fixed = round > size ? round - size - 1 : undefined;
    if (fixed !== undefined && reached[fixed] !== 0) continue;
    const salt = mix(seed + Math.imul(round, 0x9e37_79b9));
    open -= throwAll({ signature, reached, hashes }, round, salt, fixed);
  }
}

interface Thrown {
  readonly signature: Uint32Array;
  /** The round that reached each element, from 1 on. */
  readonly reached: Uint32Array;
  readonly hashes: Uint32Array;
}

/** One round, into one element where it is fixed. Answers how many elements it was the first to reach. */
function throwAll(
  { signature, reached, hashes }: Thrown,
  round: number,
  salt: number,
  fixed: number | undefined,
): number {
  let fresh = 0;
  for (let i = 0; i < hashes.length; i++) {
    const drawn = mix((hashes[i] as number) ^ salt);
    const at = fixed ?? Math.floor((drawn / 0x1_0000_0000) * signature.length);
    if (reached[at] === 0) {
      reached[at] = round;
      fresh++;
    } else if (reached[at] !== round) continue;
    const value = mix(drawn ^ 0x6a09_e667);
    if (value < (signature[at] as number)) signature[at] = value;
  }
  return fresh;
}

/** The final mix of MurmurHash3: every bit of 32 changes every other. */
function mix(bits: number): number {
  let mixed = bits;
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85eb_ca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2_ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}
