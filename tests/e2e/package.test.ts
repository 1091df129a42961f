/** What npm would publish, installed beside a program that uses it as strangers do. */
import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  cp,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  realpath,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';

const root = join(import.meta.dirname, '../../..');
const modules = join(root, 'node_modules');
const SDK = '@zilliz/milvus2-sdk-node';
const run = promisify(execFile);

/** A folder with the packed package in it, and nothing else but what it depends on and `extra`. */
class App {
  dir = '';
  #count = 0;
  readonly #children = new Set<ChildProcess>();

  async make(tarball: string, extra: readonly string[]): Promise<void> {
    this.dir = await realpath(await mkdtemp(join(tmpdir(), 'tidemark-app-')));
    const installed = join(this.dir, 'node_modules');
    await mkdir(join(installed, 'tidemark'), { recursive: true });
    await run('tar', ['-xzf', tarball, '-C', join(installed, 'tidemark'), '--strip-components=1']);
    const manifest = await readFile(join(installed, 'tidemark/package.json'), 'utf8');
    const { dependencies } = JSON.parse(manifest) as { dependencies: Record<string, string> };
    for (const name of [...Object.keys(dependencies), ...extra]) {
      await mkdir(dirname(join(installed, name)), { recursive: true });
      await symlink(join(modules, name), join(installed, name), 'junction');
    }
    await this.write('package.json', '{ "type": "module" }');
  }

  async write(name: string, text: string): Promise<string> {
    const file = join(this.dir, name);
    await writeFile(file, text);
    return file;
  }

  /** Runs a program to its end, which it must find by itself; resolves with what it printed. */
  async run(program: string, name = `program-${this.#count++}.mjs`): Promise<string> {
    const file = await this.write(name, program);
    const { stdout, stderr } = await run(process.execPath, [file], {
      timeout: 20_000,
      cwd: this.dir,
      env: clean,
    });
    assert.equal(stderr, '');
    return stdout.trim();
  }

  /** Starts a program and waits for its first line. */
  async start(program: string): Promise<{ readonly child: ChildProcess; readonly line: string }> {
    const file = await this.write(`program-${this.#count++}.mjs`, program);
    const child = spawn(process.execPath, [file], { cwd: this.dir, stdio: ['ignore', 'pipe', 'inherit'] });
    this.#children.add(child);
    const [line] = (await once(child.stdout ?? child, 'data')) as [Buffer];
    return { child, line: line.toString().trim() };
  }

  async remove(): Promise<void> {
    for (const child of this.#children) child.kill('SIGKILL');
    await rm(this.dir, { recursive: true, force: true });
  }
}

const { NODE_OPTIONS: _, ...clean } = process.env;

const openIn = (dir: string) => `import { Tidemark } from 'tidemark';
const db = await Tidemark.open({ dir: '${dir}' });
`;
const OPEN = openIn('data');
/** Also removes the socket that a killed program has left. */
const OPEN_AND_CLOSE = `${OPEN}await db.close();`;
const CREATE = `const client = await db.client();
const status = await client.createCollection({ collection_name: 'films', dimension: 4 });
if (status.error_code !== 'Success') throw new Error(status.reason);
`;

describe('the packed package', () => {
  const app = new App();
  const bare = new App();
  let tarball = '';

  before(async () => {
    const folder = await mkdtemp(join(tmpdir(), 'tidemark-pack-'));
    // Windows starts npm by its shell only.
    const shell = process.platform === 'win32';
    await run('npm', ['pack', '--offline', '--ignore-scripts', '--pack-destination', folder], {
      cwd: root,
      shell,
    });
    const [name = ''] = await readdir(folder);
    tarball = join(folder, name);
    await app.make(tarball, [SDK, '@types/node']);
    await bare.make(tarball, ['@types/node']);
  });
  after(async () => {
    await app.remove();
    await bare.remove();
    await rm(dirname(tarball), { recursive: true, force: true });
  });

  test('the package is below 700 kB, with types and without tests', async () => {
    assert.ok((await stat(tarball)).size < 700_000, `${(await stat(tarball)).size} bytes`);
    const files = await readdir(join(app.dir, 'node_modules/tidemark'), { recursive: true });
    assert.ok(files.includes(join('dist', 'index.d.ts')));
    assert.deepEqual(
      files.filter((file) => /\.(test|suite)\.|tsbuildinfo/.test(file)),
      [],
    );
  });

  test("the README's embedded program prints what the README says", async () => {
    const readme = await readFile(join(root, 'README.md'), 'utf8');
    const programs = [...readme.matchAll(/```js\n([\s\S]*?)```/g)].map(([, text = '']) => text);
    const program = programs.find((text) => text.includes("from 'tidemark'")) ?? '';
    const expected = /console\.log\(.*\/\/ (.*)/.exec(program)?.[1];
    assert.ok(expected, 'the README has no such program');
    assert.equal(await app.run(program), expected);
  });

  test('a program ends by itself after close, with nothing said on standard error', async () => {
    assert.equal(await app.run(`${OPEN}${CREATE}await db.close();\nconsole.log('closed');`), 'closed');
  });

  test('an open database keeps its process alive, and a signal ends it as it ends any program', async () => {
    const { child, line } = await app.start(`${OPEN}console.log('open');`);
    assert.equal(line, 'open');
    await new Promise((resolve) => setTimeout(resolve, 300));
    assert.equal(child.exitCode, null);
    const exited = once(child, 'exit');
    child.kill('SIGTERM');
    assert.deepEqual(await exited, [null, 'SIGTERM']);
    await app.run(OPEN_AND_CLOSE);
  });

  test('after kill -9 of the program what was acknowledged is there, and its socket is gone', async () => {
    const open = openIn('data-killed');
    const { child, line } = await app.start(`${open}${CREATE}console.log(db.address);`);
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
    const has = `console.log((await (await db.client()).hasCollection({ collection_name: 'films' })).value);`;
    assert.equal(await app.run(`${open}${has}\nawait db.close();`), 'true');
    await assert.rejects(stat(dirname(line.slice('unix:'.length))), /ENOENT/);
  });

  test('a directory that another program has open is refused with its process id; the address serves both', async () => {
    const { child, line } = await app.start(`${OPEN}console.log(db.address);`);
    const second = `import { Tidemark, TidemarkError } from 'tidemark';
try { await Tidemark.open({ dir: 'data' }); } catch (error) {
  console.log(error instanceof TidemarkError, error.code, error.message);
}
const { MilvusClient } = await import('${SDK}');
const client = new MilvusClient({ address: '${line}' });
console.log((await client.listDatabases()).status.error_code);
await client.closeConnection();`;
    const [refusal = '', asked] = (await app.run(second)).split('\n');
    assert.match(
      refusal,
      new RegExp(
        `^true parameter-invalid the data directory '.*data' is in use by process ${child.pid}\\. Stop that`,
      ),
    );
    assert.equal(asked, 'Success');
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
    await app.run(OPEN_AND_CLOSE);
  });

  test('CommonJS programs import it', async () => {
    const program = `const use = async ({ Tidemark }) => {
  const db = await Tidemark.open({ dir: 'data-cjs' });
  await db.client();
  await db.close();
  console.log('closed');
};
import('tidemark').then(use);`;
    assert.equal(await app.run(program, 'dynamic.cjs'), 'closed');
    const required = program.replace("import('tidemark').then(use)", "use(require('tidemark'))");
    if ('require_module' in process.features) assert.equal(await app.run(required, 'required.cjs'), 'closed');
  });

  test('a program that was bundled into one file finds the threads of the installed package', async () => {
    // What a bundler does to us: modules end up in another folder than their package.
    await cp(join(app.dir, 'node_modules/tidemark/dist'), join(app.dir, 'bundle'), {
      recursive: true,
      filter: (source) => !/worker\.js$/.test(source),
    });
    const program = `import { Tidemark } from './bundle/index.js';
const db = await Tidemark.open({ dir: 'data-bundle' });
${CREATE}await db.close();
console.log('closed');`;
    assert.equal(await app.run(program), 'closed');
  });

  test('without the official client everything else works, and `client` says what to install', async () => {
    const program = `${OPEN}
await db.client().catch((error) => console.log(error.name, error.code, error.message));
await db.close();`;
    assert.match(
      await bare.run(program),
      new RegExp(`parameter-missing .*not installed: npm install ${SDK}\\.`),
    );
  });

  test('types check under strict, without skipLibCheck, with the official client and without it', async () => {
    const program = `import { Tidemark, TidemarkError, type OpenOptions, type TidemarkErrorCode } from 'tidemark';
const options: OpenOptions = { dir: 'data', config: { 'proxy.port': 0, 'snapshot.capture': 'flushed' }, log: 'warn' };
await using db = await Tidemark.open(options);
const client = await db.client();
const { value } = await client.hasCollection({ collection_name: 'films' });
export const has: unknown = value;
export const code = (error: unknown): TidemarkErrorCode | undefined =>
  error instanceof TidemarkError ? error.code : undefined;
// @ts-expect-error: the value is a number
await Tidemark.open({ dir: 'data', config: { 'proxy.port': 'x' } });
// @ts-expect-error: there is no such key
await Tidemark.open({ dir: 'data', config: { 'proxy.prot': 1 } });
// @ts-expect-error: by the option 'dir'
await Tidemark.open({ dir: 'data', config: { 'localStorage.path': 'x' } });
`;
    const typed = `${program}// @ts-expect-error: a typed client
await client.noSuchCall();
`;
    assert.equal((await typeErrors(app, 'export const text: string = 1;')).length, 1);
    assert.deepEqual(await typeErrors(app, typed), []);
    assert.deepEqual(await typeErrors(bare, program), []);
  });
});

/** Errors in the program or in the package; those of other packages are theirs. */
async function typeErrors(app: App, program: string): Promise<readonly string[]> {
  await app.write('program.ts', program);
  const compilerOptions = {
    strict: true,
    exactOptionalPropertyTypes: true,
    skipLibCheck: false,
    module: 'nodenext',
    target: 'es2022',
    noEmit: true,
    types: ['node'],
  };
  await app.write('tsconfig.json', JSON.stringify({ compilerOptions, files: ['program.ts'] }));
  const tsc = join(modules, 'typescript/bin/tsc');
  const { stdout } = await run(process.execPath, [tsc, '-p', app.dir], { cwd: app.dir }).catch(
    (error: { stdout: string }) => error,
  );
  return stdout.split('\n').filter((line) => /^(program|node_modules\/tidemark)\b/.test(line));
}
