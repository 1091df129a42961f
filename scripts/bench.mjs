// `npm run bench -- snapshot restore ingest search`: runs the named benches one after another; without names, all of them.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { buildStale, compile, installMissing, run } from './build.mjs';

const folder = join(import.meta.dirname, '../bench');
const all = readdirSync(folder).flatMap((file) => /^(.+)\.bench\.ts$/.exec(file)?.[1] ?? []);
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
for (const name of names.length > 0 ? names : all)
  run(process.execPath, [`.build/bench/${name}.bench.js`, ...flags]);
