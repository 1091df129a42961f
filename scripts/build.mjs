// Builds dist/: generated sources, then TypeScript. `npm run build`.
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, readdirSync, statSync, utimesSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');
const at = (path) => join(root, path);
const modified = (path) => (existsSync(path) ? statSync(path).mtimeMs : 0);
const newest = (path) => {
  const stat = statSync(path);
  if (!stat.isDirectory()) return /\.(test|suite)\.ts$/.test(path) ? 0 : stat.mtimeMs;
  return Math.max(0, ...readdirSync(path).map((name) => newest(join(path, name))));
};

/** Runs a command from the project's root; ends this process with its status when it fails. */
export function run(command, args, options = {}) {
  const { status, error } = spawnSync(command, args, {
    cwd: root,
    stdio: 'inherit',
    shell: process.platform === 'win32',
    ...options,
  });
  if (error) console.error(`tidemark: cannot run ${command}: ${error.message}`);
  if (status !== 0) process.exit(status ?? 1);
}

/**
 * npm install, to the versions of the lock file, when node_modules is missing or older than it. Not `npm ci`: that refuses a registry
 * which lacks the binaries of some other platform.
 */
export function installMissing() {
  if (modified(at('node_modules/.package-lock.json')) >= modified(at('package-lock.json'))) return;
  console.error('tidemark: installing dependencies ...');
  run('npm', ['install', '--no-save', '--no-fund', '--no-audit', '--loglevel=error'], {
    stdio: ['ignore', 2, 2],
  });
  utimesSync(at('node_modules/.package-lock.json'), new Date(), new Date());
}

/** Compiles with the given project file; only what has changed. */
export async function compile(project) {
  const { generateStale } = await import('./generate.mjs');
  await generateStale();
  run(process.execPath, [at('node_modules/typescript/bin/tsc'), '-p', at(project)]);
}

/** Builds dist/ when a source is newer than the last build. */
export async function buildStale() {
  const inputs = ['src', 'wasm', 'package.json', 'tsconfig.json', 'tsconfig.build.json']
    .map(at)
    .filter(existsSync);
  if (
    modified(at('dist/main.js')) > 0 &&
    modified(at('dist/.tsbuildinfo')) >= Math.max(...inputs.map(newest))
  )
    return;
  console.error('tidemark: building ...');
  await compile('tsconfig.build.json');
  chmodSync(at('dist/main.js'), 0o755);
}

if (process.argv[1] === import.meta.filename) {
  installMissing();
  await buildStale();
}
