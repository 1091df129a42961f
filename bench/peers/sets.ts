/** What every system is given: vectors, held-out queries, a number a row to filter by, and the right answers. Files in a folder. */
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { loadWords, syntheticWords, DIM as WORD_DIM, type Words } from '../../demo/words.ts';
import { seededRandom } from '../../src/support/random.ts';
import { clusteredVectors } from '../../tests/vectors.ts';

export const K = 10;
/** `number < below` keeps `below / NUMBERS` of the rows. */
export const NUMBERS = 1000;
export const BELOW = [500, 100, 10, 1] as const;

export interface VectorSet {
  readonly name: string;
  readonly source: string;
  readonly metric: 'COSINE' | 'L2';
  readonly dim: number;
  readonly rows: number;
  readonly queries: number;
  /** `rows * dim` floats. */
  readonly vectorsFile: string;
  readonly queriesFile: string;
  /** An `Answers`. */
  readonly truthFile: string;
}

/** Rows of the exact answers of each query, best first; without a filter, then for each of BELOW. */
export interface Answers {
  readonly all: readonly (readonly number[])[];
  readonly below: { readonly [below: number]: readonly (readonly number[])[] };
}

/** Even, and nothing to do with the order of the rows. */
export const numberOf = (row: number): number => (Math.imul(row + 1, 0x9e3779b1) >>> 8) % NUMBERS;

export interface SetOptions {
  /** Where the files go. */
  readonly folder: string;
  /** Where the words are, or are brought. */
  readonly words: string;
  /** Fewer queries, and no download. */
  readonly small: boolean;
  readonly mostRows: number;
  readonly say: (text: string) => void;
}

export async function makeSet(name: string, options: SetOptions): Promise<VectorSet> {
  const { folder, small, mostRows, say } = options;
  const queries = small ? 200 : 1000;
  const isWords = name === 'words';
  const { source, vectors, held, dim } = isWords
    ? await words(options, queries)
    : clustered(Math.min(100_000, mostRows), queries);
  const set: VectorSet = {
    name,
    source,
    metric: isWords ? 'COSINE' : 'L2',
    dim,
    rows: vectors.length / dim,
    queries,
    vectorsFile: join(folder, `${name}.vectors`),
    queriesFile: join(folder, `${name}.queries`),
    truthFile: join(folder, `${name}.truth`),
  };
  await writeFile(set.vectorsFile, new Uint8Array(vectors.buffer, vectors.byteOffset, vectors.byteLength));
  await writeFile(set.queriesFile, new Uint8Array(held.buffer, held.byteOffset, held.byteLength));
  const started = performance.now();
  await findTruth(set);
  say(`${name}: exact answers found in ${((performance.now() - started) / 1000).toFixed(1)} s`);
  return set;
}

interface Made {
  readonly source: string;
  readonly vectors: Float32Array;
  readonly held: Float32Array;
  readonly dim: number;
}

function clustered(rows: number, queries: number): Made {
  const dim = 768;
  const source = `${rows.toLocaleString('en')} x ${dim}, synthetic, clustered, seeded; L2`;
  return {
    source,
    dim,
    vectors: clusteredVectors(rows, dim),
    held: clusteredVectors(queries, dim, { offset: 1 }),
  };
}

/** The queries are drawn from all words, frequent and rare, and taken out. */
async function words({ words: cache, small, mostRows, say }: SetOptions, queries: number): Promise<Made> {
  const { source, words: list, vectors } = await wordsAtHand(cache, small, say);
  const total = Math.min(mostRows + queries, list.length);
  const random = seededRandom(11);
  const chosen = new Set<number>();
  while (chosen.size < queries) chosen.add(random.below(total));
  const held = new Float32Array(queries * WORD_DIM);
  const rest = new Float32Array((total - queries) * WORD_DIM);
  let [heldAt, restAt] = [0, 0];
  for (let word = 0; word < total; word++) {
    const vector = vectors.subarray(word * WORD_DIM, (word + 1) * WORD_DIM);
    if (chosen.has(word)) held.set(vector, heldAt++ * WORD_DIM);
    else rest.set(vector, restAt++ * WORD_DIM);
  }
  const text = `${restAt.toLocaleString('en')} x ${WORD_DIM}, ${source}; COSINE`;
  return { source: text, vectors: rest, held, dim: WORD_DIM };
}

/** All words of the package, which npm brings once; made-up ones where it cannot, and for a short try. */
export async function wordsAtHand(
  cache: string,
  small: boolean,
  say: (text: string) => void,
): Promise<Words> {
  if (small && !existsSync(join(cache, 'words.json'))) return syntheticWords(10_000);
  try {
    const all = await loadWords(cache, 1, say).then(() => wordsIn(cache));
    return await loadWords(cache, all, say);
  } catch (error) {
    say(`no real words (${(error as Error).message}); synthetic ones instead. With a copy: --words DIR`);
    return syntheticWords(340_000);
  }
}

const wordsIn = async (cache: string): Promise<number> =>
  (JSON.parse(await readFile(join(cache, 'words.json'), 'utf8')) as string[]).length;

function findTruth(set: VectorSet): Promise<void> {
  const worker = new Worker(new URL('./truth.js', import.meta.url), { workerData: set });
  return new Promise((resolve, reject) => {
    worker.once('error', reject);
    worker.once('exit', (code) =>
      code === 0 ? resolve() : reject(new Error(`the exact scan ended with ${code}`)),
    );
  });
}
