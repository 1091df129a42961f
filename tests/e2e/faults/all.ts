/** The scenarios, each once, in a process of their own. Arguments narrow them by file name. */
import { readdir } from 'node:fs/promises';
import { endWhenSilent } from '../../end.ts';

const wanted = process.argv.slice(2);
endWhenSilent();
const files = (await readdir(import.meta.dirname)).filter((name) => name.endsWith('.scenario.js')).sort();
for (const file of files)
  if (wanted.length === 0 || wanted.some((part) => file.includes(part))) await import(`./${file}`);
