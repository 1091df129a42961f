// The version of package.json as a source: a program that bundles Tidemark has no package.json where we would look.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');
const manifest = join(root, 'package.json');

export const inputs = [manifest];
export const output = join(root, 'src/support/version.generated.ts');

export function generate() {
  const { version } = JSON.parse(readFileSync(manifest, 'utf8'));
  writeFileSync(output, `export const version = '${version}';\n`);
}
