import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { test } from 'node:test';
import { optionEntries } from '../src/config/options.ts';
import { errorCodes } from '../src/errors/codes.ts';
import { service } from '../src/proxy/service.ts';
import { parseJson } from '../src/support/json.ts';
import { doors, layers } from './layers.ts';

type Room = keyof typeof layers;

const root = join(import.meta.dirname, '../../src');
const files = readdirSync(root, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'));
const roomOf = (file: string): Room => file.replace(/(\/.*|\.ts)$/, '') as Room;
const importsOf = (file: string): string[] =>
  [...readFileSync(join(root, file), 'utf8').matchAll(/^(?:import|export)\b[^;]*?from '(\.[^']+)'/gms)].map(
    (match) => relative(root, join(root, dirname(file), match[1] ?? '')),
  );
const crossings = files
  .filter((file) => !file.endsWith('.test.ts'))
  .flatMap((file) =>
    importsOf(file).map((target) => ({ file, target, from: roomOf(file), to: roomOf(target) })),
  )
  .filter(({ from, to }) => from !== to);

test('the check reads real imports', () => assert.ok(crossings.length > 50));

test('every folder is a room on the map, and every room on the map exists', () => {
  assert.deepEqual(new Set(files.map(roomOf)), new Set(Object.keys(layers)));
});

test('rooms import only what the map allows', () => {
  const allows = (from: Room, to: Room) =>
    layers[from] === '*' || (layers[from] as readonly Room[]).includes(to);
  assert.deepEqual(
    crossings.filter(({ from, to }) => !allows(from, to)),
    [],
  );
});

test('planes are entered by their door', () => {
  const passes = (from: Room, to: Room, target: string) =>
    from === 'server' ||
    from === 'server-limits' ||
    from === 'worker' ||
    !(doors as readonly Room[]).includes(to) ||
    target === `${to}/api.ts` ||
    target === `${to}/admin-api.ts`;
  assert.deepEqual(
    crossings.filter(({ from, to, target }) => !passes(from, to, target)),
    [],
  );
});

test('product files stay under 400 lines', () => {
  const long = files
    .filter((file) => !/\.(test|suite|generated)\.ts$/.test(file))
    .map((file) => ({ file, lines: readFileSync(join(root, file), 'utf8').split('\n').length - 1 }))
    .filter(({ lines }) => lines > 400);
  assert.deepEqual(long, []);
});

const project = join(root, '..');
const read = (path: string): string => readFileSync(join(project, path), 'utf8');
/** What the first cells of a document's tables name in backquotes. */
const firstCells = (path: string): ReadonlySet<string> =>
  new Set(
    [...read(path).matchAll(/^\| (`[^|]*) \|/gm)].flatMap(([, cell]) =>
      [...(cell ?? '').matchAll(/`([^`]+)`/g)].map((name) => name[1] ?? ''),
    ),
  );
const missingIn = (document: string, names: readonly string[]): readonly string[] => {
  assert.ok(names.length > 5);
  const known = firstCells(document);
  return names.filter((name) => !known.has(name));
};

test('every served RPC, every option and every error stands in its document', () => {
  assert.deepEqual(missingIn('docs/compatibility.md', Object.keys(service)), []);
  assert.deepEqual(
    missingIn(
      'docs/configuration.md',
      optionEntries.map(({ name }) => name),
    ),
    [],
  );
  assert.deepEqual(missingIn('docs/errors.md', Object.keys(errorCodes)), []);
});

test('objects are deleted in one place: nothing outside storage calls the delete of a store but the remover', () => {
  const calls = /\b\w*store\??\.(?:delete|deleteTemporary)\(|\.deleteTemporary\(/gi;
  const callers = files
    .filter((file) => !/\.(test|suite)\.ts$/.test(file) && roomOf(file) !== 'storage')
    .flatMap((file) => (read(`src/${file}`).match(calls) ?? []).map(() => file));
  assert.deepEqual(callers, ['coordinator/gc/remover.ts', 'coordinator/gc/remover.ts']);
});

test('every option is read by the composition root', () => {
  const roots = ['server.ts', 'server-limits.ts', 'cli/commands/serve.ts'];
  const text = roots.map((file) => readFileSync(join(root, file), 'utf8')).join('');
  assert.deepEqual(
    optionEntries.map(({ name }) => name).filter((name) => !text.includes(`config['${name}']`)),
    [],
  );
});

test('every package has a line in docs/dependencies.md, and every line a package', () => {
  const { dependencies, devDependencies } = parseJson(read('package.json')) as Record<
    'dependencies' | 'devDependencies',
    Record<string, string>
  >;
  const packages = [...Object.keys(dependencies), ...Object.keys(devDependencies)].sort();
  assert.deepEqual([...firstCells('docs/dependencies.md')].sort(), packages);
});

test('every rule, invariant, failure and weakness that code cites is stated in its document', () => {
  const stated = new Set([
    ...[...read('docs/track-record.md').matchAll(/^\| (R\d+) \|/gm)].map(([, n]) => n),
    ...[...read('ARCHITECTURE.md').matchAll(/^- \*\*([OIR]\d+)\*\*/gm)].map(([, n]) => n),
    ...[...read('docs/weaknesses.md').matchAll(/^\| (W\d+) \||\*\*(W\d+)\*\*/gm)].map(([, n, m]) => n ?? m),
  ]);
  const sources = ['src', 'tests'].flatMap((folder) =>
    readdirSync(join(project, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts'))
      .map((name) => join(folder, name)),
  );
  const cited = sources.flatMap((file) =>
    [...read(file).matchAll(/\b(?:[OI]\d|R\d\d|W\d{1,2})\b/g)].map(([number]) => ({ file, number })),
  );
  assert.ok(cited.length > 20);
  assert.deepEqual(
    cited.filter(({ number }) => !stated.has(number)),
    [],
  );
});

test('every file that a document names exists', () => {
  const documents = [
    'ARCHITECTURE.md',
    'CONTRIBUTING.md',
    'CHANGELOG.md',
    'docs/formats.md',
    'docs/seeds.md',
    'docs/weaknesses.md',
    'docs/track-record.md',
    'docs/corruption.md',
  ].concat(readdirSync(join(project, 'docs/design')).map((name) => `docs/design/${name}`));
  const named = documents.flatMap((document) =>
    [...read(document).matchAll(/`((?:src|tests|docs|changelog|scripts)\/[\w./-]+)`/g)].map((match) => ({
      document,
      path: match[1] ?? '',
    })),
  );
  assert.ok(named.length > 20);
  assert.deepEqual(
    named.filter(({ path }) => !existsSync(join(project, path))),
    [],
  );
});

/** The titles of a file's tests, those made from rows too: what stands in place of `${…}` must be a text, or texts, of that file. */
function hasTest(path: string, name: string): boolean {
  if (!existsSync(join(project, path))) return false;
  const text = read(path);
  if (["test('", "inDirectory('", "inDirectory(\n  '"].some((call) => text.includes(`${call}${name}'`)))
    return true;
  const quoted = (part: string) => text.includes(`'${part}'`);
  return [...text.matchAll(/test\(`([^`]+)`/g)].some(([, title = '']) => {
    const pattern = title
      .split(/\$\{[^}]*\}/)
      .map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
      .join('(.+)');
    const filled = new RegExp(`^${pattern}$`).exec(name)?.slice(1);
    return filled?.every((part) => quoted(part) || part.split(' ').every(quoted)) === true;
  });
}

/** `path`: "name"; "name" … of a text, as path and name. */
const testsNamedIn = (text: string): readonly { readonly path: string; readonly name: string }[] =>
  [...text.matchAll(/`([^`]+\.test\.ts)`: ((?:"[^"]+"(?:; )?)+)/g)].flatMap(([, path = '', names = '']) =>
    [...names.matchAll(/"([^"]+)"/g)].map(([, name = '']) => ({ path, name })),
  );

test('every weakness has its row in docs/weaknesses.md, and every test named there exists', () => {
  const rows = [...read('docs/weaknesses.md').matchAll(/^\| (W\d+) \|(.*)\|$/gm)];
  const told = [...read('docs/weaknesses.md').matchAll(/\*\*(W\d+)\*\*/g)];
  const known = [...rows, ...told].map(([, number]) => number);
  assert.deepEqual(
    Array.from({ length: 30 }, (_, n) => `W${n + 1}`).filter((number) => !known.includes(number)),
    [],
  );
  const named = rows.flatMap(([, number, cells = '']) => {
    const found = testsNamedIn(cells.split(' | ').at(-1) ?? '');
    assert.ok(found.length > 0, `${number} names no test`);
    return found;
  });
  assert.deepEqual(
    named.filter(({ path, name }) => !hasTest(path, name)),
    [],
  );
});

test('every weakness of restores has a test that states its absence by its number', () => {
  const stated = new Set([...read('docs/weaknesses.md').matchAll(/"(W\d+): /g)].map(([, number]) => number));
  const ofRestores = [...Array.from({ length: 15 }, (_, n) => n + 1), 20, 23, 26, 29].map((n) => `W${n}`);
  assert.deepEqual(
    ofRestores.filter((number) => !stated.has(number)),
    [],
  );
});

test('docs/track-record.md has a row for R01 to R30, for W1 to W30 and for bugs of our own, and every test named there exists', () => {
  const rows = [...read('docs/track-record.md').matchAll(/^\| (?!Command|What \||---|\|)(.*) \|$/gm)]
    .map(([, row = '']) => row.split(' | '))
    .filter(([first = '']) => !first.startsWith('`npm'));
  const ids = rows.map(([first]) => first);
  const expected = (letter: string, digits: number) =>
    Array.from({ length: 30 }, (_, n) => `${letter}${String(n + 1).padStart(digits, '0')}`);
  assert.deepEqual(
    [...expected('R', 2), ...expected('W', 1)].filter((id) => !ids.includes(id)),
    [],
  );
  assert.ok(rows.length > 60 + 40, `${rows.length} rows`);
  for (const row of rows) {
    const last = row.at(-1) ?? '';
    const tests = testsNamedIn(last);
    assert.ok(tests.length > 0 || /`npm run \w+/.test(last), `no command: ${row[0]}`);
    for (const { path, name } of tests) assert.ok(hasTest(path, name), `${row[0]}: ${path}: ${name}`);
    const id = row[0] ?? '';
    // `npm test -- --name R07` must find something.
    if (/^R\d\d$/.test(id))
      assert.ok(
        tests.some(({ name }) => name.includes(id)),
        `no test is named ${id}`,
      );
  }
});

test('every planted bug stands in docs/planted-bugs.md with the check that caught it', () => {
  const told = [...read('docs/planted-bugs.md').matchAll(/^\| `(\w+)` \|/gm)].map(([, name]) => name);
  const sources = ['rows', 'jobs', 'asides', 'kept']
    .map((part) => read(`tests/sim/plants-${part}.ts`))
    .join('');
  const planted = [...sources.matchAll(/^ {4}name: '(\w+)',$/gm)].map(([, name]) => name);
  assert.ok(planted.length > 90);
  assert.deepEqual(
    planted.filter((name) => !told.includes(name)),
    [],
  );
});

test('every duty of the seeds has in docs/seeds.md a room that exists and a test that exists', () => {
  const rows = [...read('docs/seeds.md').matchAll(/^\| (?!Duty|---)(.*) \|$/gm)].map(([, row = '']) =>
    row.split(' | '),
  );
  assert.ok(rows.length > 50);
  for (const [duty = '', room = '', shownBy = '', ...rest] of rows) {
    assert.equal(rest.length, 1, duty);
    const files = [...room.matchAll(/`([\w./-]+\.ts)`/g)].map(([, file = '']) => file);
    assert.ok(files.length > 0, `no room for: ${duty}`);
    for (const file of files) assert.ok(existsSync(join(project, file)), `${file}: ${duty}`);
    const text = files.map(read).join('');
    for (const [, name = ''] of room.matchAll(/`(\w+)`/g))
      assert.match(text, new RegExp(`\\b${name}\\b`), `${name}: ${duty}`);
    const tests = testsNamedIn(shownBy);
    assert.ok(tests.length > 0, `no test for: ${duty}`);
    for (const { path, name } of tests) assert.ok(hasTest(path, name), `${path}: ${name}`);
  }
});
