/**
 * Tidemark beside `@lancedb/lancedb` and `@zvec/zvec`, on the same rows and queries, each in a process of its own, one after another.
 * The peers are no dependencies: `npm install --no-save @lancedb/lancedb @zvec/zvec apache-arrow@18.1.0` brings them.
 * `--lines ingest,search,filter,text` (scripts/bench.mjs fills this in), `--small` (some thousand rows, to try it),
 * `--rows N` (at most so many of each), `--sets words,clustered`, `--systems zvec,embedded` (parts of names), `--rounds 3` of questions, `--repeats 1` of everything,
 * `--words DIR` (a folder with words.json and vectors.f32 as demo/words.ts keeps them).
 */
import { type ChildProcess, fork } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { lstat, readdir, rm } from 'node:fs/promises';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type SpawnedServer, spawnServer } from '../../demo/server.ts';
import { heading } from '../report.ts';
import type { Job, Outcome } from './program.ts';
import { makeSet, type SetOptions, type VectorSet } from './sets.ts';
import { BASE, COLUMNS, middle, printBuild, printFilters, printSearch, type Result } from './tables.ts';
import { makeTexts, type TextSet } from './texts.ts';

const { values: flags } = parseArgs({
  options: {
    lines: { type: 'string', default: 'ingest,search,filter,text' },
    small: { type: 'boolean', default: false },
    rows: { type: 'string', default: '' },
    sets: { type: 'string', default: 'words,clustered' },
    systems: { type: 'string', default: '' },
    rounds: { type: 'string', default: '3' },
    repeats: { type: 'string', default: '1' },
    words: { type: 'string', default: join(import.meta.dirname, '../../../.cache/words') },
  },
  // The other benches of the same command have flags of their own.
  strict: false,
}) as { values: { [name: string]: string } & { small: boolean } };
const list = (text = ''): string[] => text.split(',').filter((part) => part !== '');
const lines = list(flags['lines']);
const wanted = list(flags['systems']);
const isWanted = (system: string) =>
  wanted.length === 0 || wanted.some((part) => system.toLowerCase().includes(part.toLowerCase()));

const SERVER = 'Tidemark server';
const vectorSystems = [COLUMNS, BASE, SERVER, 'LanceDB HNSW_SQ', 'LanceDB IVF_PQ', 'zvec HNSW'].filter(
  isWanted,
);
const textSystems = [COLUMNS, BASE, SERVER, 'LanceDB FTS', 'zvec FTS'].filter(isWanted);

const root = mkdtempSync(join(tmpdir(), 'tidemark-bench-'));
// Sockets and whatever else the systems put aside go with the rest.
process.env['TMPDIR'] = join(root, 'tmp');
mkdirSync(join(root, 'tmp'));
const running = new Set<ChildProcess | SpawnedServer>();
const say = (text: string): void => console.error(text);

let cutOff = false;
function cut(): void {
  if (cutOff) return;
  cutOff = true;
  for (const one of running) void one.kill('SIGKILL');
}
process.on('SIGINT', cut);
process.on('SIGTERM', cut);

try {
  const mostRows = Number(flags['rows'] || (flags.small ? 5000 : Number.POSITIVE_INFINITY));
  const options: SetOptions = {
    folder: root,
    words: flags['words'] ?? '',
    small: flags.small,
    mostRows,
    say,
  };
  if (lines.some((line) => line !== 'text'))
    for (const name of list(flags['sets'])) {
      if (cutOff) break;
      await compareVectors(await makeSet(name, options));
    }
  if (lines.includes('text') && !cutOff) await compareTexts(await makeTexts(options));
} finally {
  rmSync(root, { recursive: true, force: true });
}
if (cutOff) {
  say('cut off; the tables have what was measured until then');
  process.exit(130);
}

async function compareVectors(set: VectorSet): Promise<void> {
  const { results, missing, notes } = await compare(vectorSystems, set);
  if (results.length + missing.length === 0) return;
  head(`Tidemark and its peers, ${set.name}`, set, { missing, notes });
  if (lines.includes('ingest')) printBuild(results, missing);
  if (lines.includes('search')) printSearch(results);
  if (lines.includes('filter')) printFilters(results, 'rows kept', 'recall@10');
  await rm(set.vectorsFile);
}

async function compareTexts(set: TextSet): Promise<void> {
  const { results, missing, notes } = await compare(textSystems, set);
  if (results.length + missing.length === 0) return;
  head('Tidemark and its peers, full text', set, { missing, notes });
  printBuild(results, missing);
  printFilters(results, 'terms', 'of the best 10');
}

function head(
  title: string,
  { source }: { readonly source: string },
  { missing, notes }: Pick<Compared, 'missing' | 'notes'>,
): void {
  heading(title);
  console.log(`${source}. "speed": times as fast as ${BASE}.`);
  for (const [system, why] of missing) console.log(`${system}: ${why}.`);
  console.log(`Load of the machine meanwhile: ${notes.join('; ')}.\n`);
}

interface Compared {
  readonly results: readonly Result[];
  /** Systems, and why they are not in the tables. */
  readonly missing: readonly (readonly [string, string])[];
  readonly notes: readonly string[];
}

async function compare(systems: readonly string[], set: VectorSet | TextSet): Promise<Compared> {
  const all = new Map<string, (Outcome & { diskMb: number })[]>();
  const missing = new Map<string, string>();
  const notes: string[] = [];
  for (let repeat = 0; repeat < Number(flags['repeats']); repeat++)
    for (const system of systems) {
      if (cutOff || missing.has(system)) continue;
      const outcome = await measure(system, set);
      if (typeof outcome === 'string') missing.set(system, outcome);
      else if (outcome !== undefined) all.set(system, [...(all.get(system) ?? []), outcome]);
      notes.push(`${system} ${(loadavg()[0] ?? 0).toFixed(1)}`);
    }
  const results = [...all].map(([system, outcomes]) => ({ system, outcome: middle(outcomes) }));
  for (const { system, outcome } of results) console.log(`${system}: ${outcome.about}.`);
  return { results, missing: [...missing], notes };
}

/** Why not, when a system could not be measured; undefined when it was cut off. */
async function measure(
  system: string,
  set: VectorSet | TextSet,
): Promise<(Outcome & { diskMb: number }) | string | undefined> {
  const dir = mkdtempSync(join(root, 'data-'));
  const started = performance.now();
  const server = system === SERVER ? await spawnServer(dir) : undefined;
  if (server) running.add(server);
  try {
    const job: Job = {
      system,
      dir,
      server: server && { address: server.address, pid: server.pid },
      set,
      lines,
      rounds: Number(flags['rounds']),
      roundMs: flags.small ? 150 : 3000,
    };
    const told = await child(job);
    if (told === undefined) return undefined;
    if ('missing' in told) return 'not installed';
    if ('failed' in told) {
      say(`${system}: ${told.failed}`);
      process.exitCode = 1;
      return 'failed';
    }
    await server?.stop();
    say(`${set.name}: ${system} done in ${((performance.now() - started) / 1000).toFixed(0)} s`);
    return { ...told.outcome, diskMb: (await bytesIn(dir)) / 1e6 };
  } finally {
    if (server) {
      await server.kill();
      running.delete(server);
    }
    rmSync(dir, { recursive: true, force: true });
  }
}

type Told = { readonly outcome: Outcome } | { readonly missing: string } | { readonly failed: string };

async function child(job: Job): Promise<Told | undefined> {
  const process = fork(join(import.meta.dirname, 'program.js'), [JSON.stringify(job)]);
  running.add(process);
  let told: Told | undefined;
  process.on('message', (message) => {
    told = message as Told;
  });
  const code = await new Promise<number | null>((resolve) => process.once('exit', resolve));
  running.delete(process);
  if (cutOff) return undefined;
  return told ?? { failed: `ended with code ${code} and said nothing` };
}

/** What the files take on the disk, holes left out. */
async function bytesIn(dir: string): Promise<number> {
  let sum = 0;
  for (const entry of await readdir(dir, { withFileTypes: true })) {
    const path = join(dir, entry.name);
    sum += entry.isDirectory() ? await bytesIn(path) : (await lstat(path)).blocks * 512;
  }
  return sum;
}
