// `npm run bench -- snapshot restore ingest search`: runs the named benches one after another; without names, all of them.
// What is measured beside other databases (`ingest search filter text`) is one run of bench/peers, so that rows are written once.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { buildStale, compile, installMissing, run } from './build.mjs';

const folder = join(import.meta.dirname, '../bench');
const alone = readdirSync(folder).flatMap((file) => /^(.+)\.bench\.ts$/.exec(file)?.[1] ?? []);
const compared = ['ingest', 'search', 'filter', 'text'];
const all = [...new Set([...alone, ...compared])];
const args = process.argv.slice(2);
// Names come first, then flags with their values: `restore --mb 300 --rounds 3`.
const firstFlag = args.findIndex((arg) => arg.startsWith('--'));
const flags = firstFlag < 0 ? [] : args.slice(firstFlag);
const names = args.slice(0, args.length - flags.length);
const unknown = names.filter((name) => !all.includes(name));
if (unknown.length > 0) {
  console.error(`no bench named ${unknown.join(', ')}; there are ${all.join(', ')}`);
  process.exit(2);
}
installMissing();
await buildStale();
await compile('tsconfig.test.json');
const chosen = names.length > 0 ? names : all;
for (const name of chosen)
  if (alone.includes(name)) run(process.execPath, [`.build/bench/${name}.bench.js`, ...flags]);
const lines = compared.filter((name) => chosen.includes(name));
if (lines.length > 0)
  run(process.execPath, ['.build/bench/peers/main.js', '--lines', lines.join(), ...flags]);
