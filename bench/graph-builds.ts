/** What building a graph costs: by one thread and by all cores, on the sets that bench/peers compares with other databases. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeSet } from './peers/sets.ts';
import { printTable } from './report.ts';

export interface BuildResult {
  readonly processorSeconds: number;
  readonly wallSeconds: number;
  /** The most memory held until the index was there, the program itself left out. */
  readonly peakMb: number;
  readonly vectorsMb: number;
  /** recall@10 at ef 16, 32 and 64. */
  readonly recalls: readonly number[];
}

export interface GraphBuildOptions {
  /** A folder with words.json and vectors.f32, or where they are brought. */
  readonly words: string;
  readonly mostRows: number;
  readonly rounds: number;
}

/** Every build in a process of its own; of several rounds the one with the least processor time. */
export async function benchBuilds({ words, mostRows, rounds }: GraphBuildOptions): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'tidemark-graphs-'));
  const lines: (string | number)[][] = [];
  try {
    for (const [name, rows] of [
      ['clustered', 25_000],
      ['clustered', 100_000],
      ['words', 100_000],
    ] as const) {
      const options = { folder, words, small: false, say: () => undefined };
      const set = await makeSet(name, { ...options, mostRows: Math.min(rows, mostRows) });
      for (const threads of [1, availableParallelism()]) {
        const runs = Array.from({ length: rounds }, () => run(JSON.stringify(set), threads));
        const best = runs.reduce((a, b) => (b.processorSeconds < a.processorSeconds ? b : a));
        lines.push([
          `${set.rows} x ${set.dim} ${set.metric}`,
          threads,
          best.processorSeconds.toFixed(2),
          Math.min(...runs.map(({ wallSeconds }) => wallSeconds)).toFixed(2),
          ...best.recalls.map((recall) => recall.toFixed(4)),
          `${best.peakMb.toFixed(0)} (${best.vectorsMb.toFixed(0)})`,
        ]);
      }
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  console.log(
    `\nIndex builds, M 16, efConstruction 128, load ${loadavg()[0]?.toFixed(1)}; best of ${rounds}`,
  );
  const recalls = [16, 32, 64].map((ef) => `recall ef ${ef}`);
  printTable(['rows', 'threads', 'processor s', 'wall s', ...recalls, 'peak MB (vectors)'], lines);
}

const run = (set: string, threads: number): BuildResult =>
  JSON.parse(
    execFileSync(
      process.execPath,
      [join(import.meta.dirname, 'graph-build-program.js'), set, String(threads)],
      {
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    ),
  ) as BuildResult;
