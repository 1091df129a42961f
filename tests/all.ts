/**
 * Every unit and simulation test in one process: no start-up cost per file, and no test may lean on global state.
 * Arguments narrow the run to files whose path holds one of them.
 */
import { readdir } from 'node:fs/promises';
import { endWhenSilent } from './end.ts';

const wanted = process.argv.slice(2);
endWhenSilent();
process.on('warning', (warning) => {
  throw warning;
});

for (const root of ['src', 'tests']) {
  const files = await readdir(new URL(`../${root}/`, import.meta.url), { recursive: true });
  for (const file of files.filter((name) => name.endsWith('.test.js') && !name.startsWith('e2e/')).sort())
    if (wanted.length === 0 || wanted.some((part) => `${root}/${file}`.includes(part)))
      await import(`../${root}/${file}`);
}
