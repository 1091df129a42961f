// `npm run bench -- snapshot restore ingest search`: runs the named benches one after another; without names, all of them.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { buildStale, compile, installMissing, run } from './build.mjs';

const folder = join(import.meta.dirname, '../bench');
const all = readdirSync(folder).flatMap((file) => /^(.+)\.bench\.ts$/.exec(file)?.[1] ?? []);
const args = process.argv.slice(2);
const names = args.filter((arg) => !arg.startsWith('--'));
const unknown = names.filter((name) => !all.includes(name));
if (unknown.length > 0) {
  console.error(`no bench named ${unknown.join(', ')}; there are ${all.join(', ')}`);
  process.exit(2);
}
installMissing();
await buildStale();
await compile('tsconfig.test.json');
for (const name of names.length > 0 ? names : all)
  run(process.execPath, [`.build/bench/${name}.bench.js`, ...args.filter((arg) => arg.startsWith('--'))]);
