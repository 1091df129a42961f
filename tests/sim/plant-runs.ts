/** `npm run sim -- --plants`: every planted bug, the check that catches it, and the checks that none turns red. */
import { readdirSync, readFileSync } from 'node:fs';
import { plantList } from './plant-list.ts';
import type { Planted } from './plants.ts';
import { type Run, runSeed } from './run.ts';

/** What a seed that fails for another reason than the meant one has said. */
const SHOWN = 100;
/** Jobs have to end soon: what never ends is seen early. */
const JOBS_WITHIN_MS = 20_000;

export interface Caught {
  readonly seed: number;
  readonly tried: number;
  readonly run: Run;
}

/** The first of `seeds` seeds whose meant check turns red; otherwise what the others said. */
export async function caught(planted: Planted, seeds: number): Promise<Caught | readonly string[]> {
  const { by, says, make, from = 1 } = planted;
  const others: string[] = [];
  for (let n = 0; n < seeds; n++) {
    const seed = ((from - 1 + n) % seeds) + 1;
    const run = await runSeed(seed, { plant: make(), jobsWithinMs: JOBS_WITHIN_MS });
    const { failure } = run;
    if (failure !== undefined && by.includes(failure.property) && says.test(failure.message))
      return { seed, tried: n + 1, run };
    if (failure !== undefined) others.push(`${seed}: ${failure.message.slice(0, SHOWN)}`);
  }
  return others;
}

/** A check of the simulation, by file and line. */
interface CheckSite {
  readonly at: string;
  readonly property: string;
  readonly says: string;
}

const CALL = /(?:^|[^\w.])(?:check|new Violation)\(\s*'(\w+)',/g;

/** Every check there is, from the sources. */
export function checkSites(): readonly CheckSite[] {
  const folder = 'tests/sim';
  return readdirSync(folder)
    .filter((name) => /^[\w-]+\.ts$/.test(name))
    .flatMap((name) => {
      const text = readFileSync(`${folder}/${name}`, 'utf8');
      return [...text.matchAll(CALL)].map((match) => {
        const start = match.index + match[0].search(/check|new Violation/);
        const line = text.slice(0, start).split('\n').length;
        const after = text.slice(match.index + match[0].length, match.index + match[0].length + 600);
        const says = /`([^`]*)`/.exec(after)?.[1] ?? /\)?,?\s*(\w+)/.exec(after)?.[1] ?? '';
        return {
          at: `${name}:${line}`,
          property: match[1] ?? '',
          says: says.replaceAll(/\s*\\?\n\s*/g, ' '),
        };
      });
    });
}

/** `name`: one, or several with commas between. Status to exit with: 0 when every bug was caught by the check that is meant. */
export async function plantRuns(name: string | undefined, seeds: number): Promise<number> {
  const names = name?.split(',');
  const chosen = plantList.filter((planted) => names?.includes(planted.name) ?? true);
  if (chosen.length === 0) {
    console.error(
      `no planted bug '${name}'; there are ${plantList.map((planted) => planted.name).join(', ')}`,
    );
    return 2;
  }
  const sites = checkSites();
  const red = new Map<string, string[]>();
  let missed = 0;
  for (const planted of chosen) {
    const found = await caught(planted, seeds);
    if ('seed' in found) {
      const { seed, tried, run } = found;
      const at = run.failure?.check ?? '';
      red.set(at, [...(red.get(at) ?? []), `${planted.name} (seed ${seed})`]);
      const message = run.failure?.message.split('\n')[0]?.slice(0, 150);
      console.log(`${planted.name}: caught at seed ${seed}, ${tried} tried, by ${at}: ${message}`);
      continue;
    }
    missed++;
    console.log(`${planted.name}: NOT CAUGHT in ${seeds} seeds; ${found.length} failed otherwise:`);
    for (const other of found.slice(0, 8)) console.log(`  ${other}`);
  }
  if (name !== undefined) return missed === 0 ? 0 : 1;
  const blank = sites.filter(({ at }) => !red.has(at));
  console.log('\n| property | check | turned red by |\n| --- | --- | --- |');
  for (const { at, property, says } of sites)
    console.log(`| ${property} | ${at.split(':')[0]}: ${says} | ${red.get(at)?.join(', ') ?? '-'} |`);
  console.log(
    `\n${chosen.length} planted bugs, ${missed} not caught; ${sites.length} checks, ${blank.length} that no bug turned red`,
  );
  return missed === 0 ? 0 : 1;
}
