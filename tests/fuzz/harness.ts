/**
 * Runs a decoder over bytes that may be anything and holds it to what every decoder promises: a value or a refusal of its kind,
 * in bounded time, with memory in proportion to the input. Inputs are valid ones that were mutated, mixtures of two, and noise.
 */
import assert from 'node:assert/strict';
import fc, { type Arbitrary } from 'fast-check';
import { mutationsOf, place } from './mutations.ts';

export interface Decoder {
  readonly name: string;
  /** Modules below src/ whose decoding it runs. */
  readonly covers: readonly string[];
  /** Valid inputs. */
  readonly corpus: readonly Uint8Array[];
  /** What its format is made of. */
  readonly words?: readonly string[];
  /** Makes checksums right again, so that what stands behind them is reached; used for half of the inputs. */
  readonly repair?: (bytes: Buffer) => Uint8Array;
  /** Decodes, and asserts whatever must hold of the result. */
  readonly decode: (bytes: Uint8Array) => unknown;
  /** Whether this may be thrown for bytes that are wrong. */
  readonly refuses: (error: unknown) => boolean;
  /** Bytes it may take for any input; beyond, memory follows the length of the input. */
  readonly baseBytes?: number;
  /** Costs so much that the short run makes fewer cases. */
  readonly isSlow?: boolean;
}

/** Far above what the largest input takes, far below what a believed count would. */
const MAX_CASE_MS = 2000;
const BASE_BYTES = 24 << 20;
const BYTES_PER_BYTE = 512;

export interface Tally {
  accepted: number;
  refused: number;
}

/** Whoever watches from another thread is told each input before it is decoded. */
export type Watch = (input: Uint8Array) => void;

/** One input. Throws when the decoder breaks its promise. */
export async function runCase(decoder: Decoder, input: Uint8Array, tally: Tally): Promise<void> {
  const before = memoryBytes();
  const startedAt = process.hrtime.bigint();
  const cpuBefore = process.cpuUsage();
  try {
    await decoder.decode(input);
    tally.accepted++;
  } catch (error) {
    if (!decoder.refuses(error))
      throw new Error(`${decoder.name}: threw what is no refusal`, { cause: error });
    tally.refused++;
  }
  // Whichever is less: a machine that is busy with something else makes everything slow.
  const { user, system } = process.cpuUsage(cpuBefore);
  const ms = Math.min(Number(process.hrtime.bigint() - startedAt) / 1e6, (user + system) / 1e3);
  assert.ok(ms < MAX_CASE_MS, `${decoder.name}: ${input.length} bytes took ${Math.round(ms)} ms`);
  const grown = memoryBytes() - before;
  const allowed = (decoder.baseBytes ?? BASE_BYTES) + BYTES_PER_BYTE * input.length;
  assert.ok(grown <= allowed, `${decoder.name}: ${input.length} bytes took ${grown} bytes of memory`);
}

/** What garbage collection gives back in between is not seen: a bound that is broken may pass, one that is kept never fails. */
function memoryBytes(): number {
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

/** Inputs of a decoder; `pool` may grow while they are drawn. */
export function inputs(
  decoder: Decoder,
  pool: readonly Uint8Array[] = decoder.corpus,
): Arbitrary<Uint8Array> {
  const words = (decoder.words ?? []).map((word) => Buffer.from(word));
  const entry = fc.nat().map((n) => Buffer.from(pool[n % pool.length] ?? new Uint8Array()));
  const mutated = fc.tuple(entry, mutationsOf(words)).map(([bytes, mutate]) => mutate(bytes));

  const spliced = fc
    .tuple(entry, entry, place, place)
    .map(([a, b, x, y]) => Buffer.concat([a.subarray(0, x * a.length), b.subarray(y * b.length)]));
  const spoken = fc
    .array(words.length === 0 ? fc.uint8Array({ maxLength: 4 }) : fc.constantFrom(...words), {
      maxLength: 60,
    })
    .map((all) => Buffer.concat(all));
  const noise = fc.uint8Array({ maxLength: 400 }).map((bytes) => Buffer.from(bytes));
  const raw = fc.oneof(
    { weight: 12, arbitrary: mutated },
    { weight: 2, arbitrary: spliced },
    { weight: words.length === 0 ? 1 : 3, arbitrary: spoken },
    { weight: 1, arbitrary: noise },
  );
  const { repair } = decoder;
  if (repair === undefined) return raw;
  return fc
    .tuple(raw, fc.boolean())
    .map(([bytes, isRepaired]) => (isRepaired ? Buffer.from(repair(bytes)) : bytes));
}

export interface FuzzOptions {
  readonly seed: number;
  readonly numRuns: number;
  readonly pool?: readonly Uint8Array[];
  readonly watch?: Watch;
}

/** Throws an error that shows the smallest input found, in base64, for `found.ts`. */
export async function fuzz(decoder: Decoder, options: FuzzOptions, tally: Tally): Promise<void> {
  const { seed, numRuns, pool, watch } = options;
  const found = await fc.check(
    fc.asyncProperty(inputs(decoder, pool), async (input) => {
      watch?.(input);
      await runCase(decoder, input, tally);
    }),
    { seed, numRuns },
  );
  if (!found.failed) return;
  const [input] = found.counterexample ?? [];
  const base64 = Buffer.from(input ?? []).toString('base64');
  throw new Error(
    `${decoder.name}, seed ${seed}: ${base64.length} characters of base64 show it:\n${base64.slice(0, 4000)}`,
    { cause: found.errorInstance },
  );
}
