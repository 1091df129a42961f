/**
 * Every end-to-end test: the built server in a process of its own, the official client against it.
 * Arguments narrow the run to files whose name holds one of them; `--part 2/4` takes the second of every four.
 */
import { readdir } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { endWhenSilent } from '../end.ts';

const { positionals: wanted, values } = parseArgs({
  allowPositionals: true,
  options: { part: { type: 'string', default: '1/1' } },
});
const [part = 1, parts = 1] = values.part.split('/').map(Number);
endWhenSilent();
const files = (await readdir(import.meta.dirname)).filter((name) => name.endsWith('.test.js')).sort();
for (const file of files.filter((_, i) => i % parts === part - 1))
  if (wanted.length === 0 || wanted.some((part) => file.includes(part))) await import(`./${file}`);
