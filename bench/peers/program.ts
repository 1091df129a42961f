/** A process of its own for one system and one set: does the work, sends an Outcome to its parent, ends. Argument: a Job as JSON. */
import { closeSync, openSync, readFileSync, readSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { ask, type Measured, measured, warm } from './asking.ts';
import { lanceTexts, lanceVectors } from './lancedb.ts';
import { type Answers, BELOW, K, NUMBERS, numberOf, type VectorSet } from './sets.ts';
import { BATCH, type Knob, NotInstalled, type TextSystem, type VectorSystem } from './system.ts';
import { COLUMNS } from './tables.ts';
import type { TextQueries, TextSet } from './texts.ts';
import { tidemarkTexts, tidemarkVectors, type Way } from './tidemark.ts';
import { zvecTexts, zvecVectors } from './zvec.ts';

export interface Job {
  readonly system: string;
  readonly dir: string;
  /** Of a server that does the work. */
  readonly server?: { readonly address: string; readonly pid: number } | undefined;
  readonly set: VectorSet | TextSet;
  readonly lines: readonly string[];
  readonly rounds: number;
  /** No round is longer. */
  readonly roundMs: number;
}

export interface Filtered extends Measured {
  readonly kept: string;
}

export interface Outcome {
  readonly about: string;
  readonly rows: number;
  readonly insertMs: number;
  readonly indexMs: number;
  readonly buildPeakMb: number;
  readonly searchPeakMb: number;
  readonly search: readonly Measured[];
  readonly filters: readonly Filtered[];
}

const LANES = 8;

const job = JSON.parse(process.argv[2] ?? '') as Job;
const pid = job.server?.pid ?? process.pid;

async function peakMb(): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  return Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1] ?? Number.NaN) / 1024;
}
/** The peak counts from now, where the system can do that. */
const resetPeak = () => writeFile(`/proc/${pid}/clear_refs`, '5').catch(() => undefined);

const way = (): Way => {
  if (job.server !== undefined) return { kind: 'server', address: job.server.address };
  return { kind: job.system === COLUMNS ? 'columns' : 'client' };
};

const openVectors = (set: VectorSet): Promise<VectorSystem> => {
  const { system, dir } = job;
  if (system.startsWith('Tidemark')) return tidemarkVectors(dir, set, way());
  if (system.startsWith('zvec')) return zvecVectors(dir, set);
  return lanceVectors(dir, set, system.endsWith('PQ') ? 'ivfPq' : 'hnswSq');
};
const openTexts = (): Promise<TextSystem> => {
  const { system, dir } = job;
  if (system.startsWith('Tidemark')) return tidemarkTexts(dir, way());
  return system.startsWith('zvec') ? zvecTexts(dir) : lanceTexts(dir);
};

/** Reads the rows as they are needed: the input is no part of what a system takes. */
async function insertVectors(system: VectorSystem, { vectorsFile, rows, dim }: VectorSet): Promise<void> {
  const file = openSync(vectorsFile, 'r');
  for (let first = 0; first < rows; first += BATCH) {
    const count = Math.min(BATCH, rows - first);
    const vectors = new Float32Array(count * dim);
    readSync(file, vectors, 0, vectors.byteLength, first * dim * 4);
    const numbers = BigInt64Array.from({ length: count }, (_, i) => BigInt(numberOf(first + i)));
    await system.insert(first, vectors, numbers);
  }
  closeSync(file);
}

async function insertTexts(system: TextSystem, { textsFile }: TextSet): Promise<void> {
  const texts = readFileSync(textsFile, 'utf8').split('\n');
  for (let first = 0; first < texts.length; first += BATCH)
    await system.insert(first, texts.slice(first, first + BATCH));
}

async function timedBuild(
  system: { flush(): Promise<void>; index(): Promise<void> },
  insert: () => Promise<void>,
): Promise<{ insertMs: number; indexMs: number; buildPeakMb: number }> {
  const started = performance.now();
  await insert();
  await system.flush();
  const inserted = performance.now();
  await system.index();
  const indexMs = performance.now() - inserted;
  return { insertMs: inserted - started, indexMs, buildPeakMb: await peakMb() };
}

async function runVectors(set: VectorSet): Promise<Outcome> {
  const system = await openVectors(set);
  const built = await timedBuild(system, () => insertVectors(system, set));
  await resetPeak();
  const bytes = readFileSync(set.queriesFile);
  const floats = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
  const queries = Array.from({ length: set.queries }, (_, i) =>
    floats.subarray(i * set.dim, (i + 1) * set.dim),
  );
  const truth = JSON.parse(readFileSync(set.truthFile, 'utf8')) as Answers;
  const { rounds, roundMs, lines } = job;
  const measure = (answers: Answers['all'], count: number, tune: number, below?: number) => {
    const search = (query: number, knob: Knob, lane: number) =>
      system.search(queries[query] as Float32Array, K, knob, lane, below);
    const first = system.ladders[0]?.[3] ?? {};
    return warm((query, lane) => search(query, first, lane), set.queries, roundMs).then(() =>
      measured({
        search,
        answers: answers.slice(0, count),
        tune,
        ladders: system.ladders,
        lanes: LANES,
        rounds,
        roundMs,
      }),
    );
  };
  const search = lines.includes('search') ? [await measure(truth.all, set.queries, 200)] : [];
  const filters: Filtered[] = [];
  if (lines.includes('filter'))
    for (const below of BELOW) {
      const answers = truth.below[below] ?? [];
      filters.push({
        kept: `${(below / NUMBERS) * 100} %`,
        ...(await measure(answers, Math.min(200, set.queries), 100, below)),
      });
    }
  const searchPeakMb = await peakMb();
  await system.close();
  return { about: system.about, rows: set.rows, ...built, searchPeakMb, search, filters };
}

async function runTexts(set: TextSet): Promise<Outcome> {
  const system = await openTexts();
  const built = await timedBuild(system, () => insertTexts(system, set));
  await resetPeak();
  const filters: Filtered[] = [];
  const asked = JSON.parse(readFileSync(set.queriesFile, 'utf8')) as readonly TextQueries[];
  for (const { terms, queries, answers } of asked) {
    const search = (query: number, _knob: Knob, lane: number) => system.search(queries[query] ?? '', K, lane);
    await warm((query, lane) => search(query, {}, lane), queries.length, job.roundMs);
    const single = await ask({ search, answers, knob: {}, lanes: 1, ...job });
    const many = await ask({ search, answers, knob: {}, lanes: LANES, ...job });
    filters.push({ kept: String(terms), knob: '', recall: single.recall, single, many });
  }
  const searchPeakMb = await peakMb();
  await system.close();
  return { about: system.about, rows: set.rows, ...built, searchPeakMb, search: [], filters };
}

process.once('disconnect', () => process.exit(1));
try {
  const outcome = 'textsFile' in job.set ? await runTexts(job.set) : await runVectors(job.set);
  process.send?.({ outcome });
} catch (error) {
  if (error instanceof NotInstalled) process.send?.({ missing: error.message });
  else process.send?.({ failed: String((error as Error).stack) });
}
process.disconnect();
// The peers' threads need not be waited for.
setTimeout(() => process.exit(0), 1000).unref();
