// Compiles the AssemblyScript kernels in wasm/ to one WebAssembly module, kept as base64 in a TypeScript source.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');
const wasm = join(root, 'wasm');

export const inputs = [wasm];
export const output = join(root, 'src/vector-index/kernels.generated.ts');

/** Options that the code depends on: no runtime, no static data (instances share a memory), memory imported and shared. */
const options = [
  '--runtime=stub',
  '-O3',
  '--noAssert',
  '--converge',
  '--importMemory',
  '--sharedMemory',
  '--initialMemory=1',
  '--maximumMemory=65536',
  '--enable=simd,threads,bulk-memory',
  '--disable=mutable-globals',
];

/** Section ids of a module. A data section would be written anew by every instance over a shared memory. */
function sectionsOf(bytes) {
  const ids = [];
  let at = 8;
  while (at < bytes.length) {
    ids.push(bytes[at++]);
    let size = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++];
      size |= (byte & 0x7f) << shift;
      if (byte < 0x80) break;
    }
    at += size;
  }
  return ids;
}

export async function generate() {
  const { default: asc } = await import('assemblyscript/asc');
  const sources = new Map(readdirSync(wasm).map((name) => [name, readFileSync(join(wasm, name), 'utf8')]));
  let binary;
  const { error, stderr } = await asc.main(['main.ts', '--outFile=kernels.wasm', ...options], {
    readFile: (name) => sources.get(name) ?? null,
    writeFile: (name, contents) => {
      if (name.endsWith('.wasm')) binary = contents;
    },
    listFiles: () => [],
  });
  if (error || binary === undefined) throw new Error(`kernels: ${error?.message}\n${stderr}`);
  const sections = sectionsOf(binary);
  if (sections.includes(8) || sections.includes(11)) throw new Error('kernels: start or data section');
  const base64 = Buffer.from(binary).toString('base64');
  const text = `/** Made by scripts/generate-kernels.mjs from wasm/. */\nexport const kernelsBase64 =\n  '${base64}';\n`;
  writeFileSync(output, text);
}
