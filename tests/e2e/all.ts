/** Every end-to-end test: the built server in a process of its own, the official client against it. */
import { readdir } from 'node:fs/promises';
import { endWhenSilent } from '../end.ts';

const wanted = process.argv.slice(2);
endWhenSilent();
const files = (await readdir(import.meta.dirname)).filter((name) => name.endsWith('.test.js')).sort();
for (const file of files)
  if (wanted.length === 0 || wanted.some((part) => file.includes(part))) await import(`./${file}`);
