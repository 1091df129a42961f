// Makes the generated sources: each `scripts/generate-*.mjs` exports `inputs`, `output` and `generate()`.
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const here = import.meta.dirname;
const newest = (path) => {
  const stat = statSync(path);
  if (!stat.isDirectory()) return stat.mtimeMs;
  return Math.max(stat.mtimeMs, ...readdirSync(path).map((name) => newest(join(path, name))));
};

/** Runs every generator whose output is missing or older than its inputs. */
export async function generateStale() {
  for (const name of readdirSync(here).filter((file) => /^generate-.*\.mjs$/.test(file))) {
    const { inputs, output, generate } = await import(pathToFileURL(join(here, name)).href);
    const needed = [join(here, name), ...inputs].map(newest);
    if (!existsSync(output) || statSync(output).mtimeMs < Math.max(...needed)) await generate();
  }
}
