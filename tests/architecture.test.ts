import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { test } from 'node:test';
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

test('every room on the map and every room on the map exists', () => {
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
    from === 'worker' ||
    !(doors as readonly Room[]).includes(to) ||
    target === `${to}/api.ts`;
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
