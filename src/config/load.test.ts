import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isDbError } from '../errors/db-error.ts';
import { type ConfigSources, loadConfig } from './load.ts';
import { optionEntries, options } from './options.ts';

const load = (sources: Partial<ConfigSources>) => loadConfig({ environment: {}, flags: {}, ...sources });

test('without sources every option has its default', () => {
  const config = load({});
  for (const { name } of optionEntries) assert.equal(config[name], options[name].value);
});

test('a flag beats the environment, which beats the file, which beats the default', () => {
  const file = { proxy: { port: 1 } };
  const environment = { TIDEMARK_PROXY_PORT: '2' };
  assert.equal(load({ file })['proxy.port'], 1);
  assert.equal(load({ file: { 'proxy.port': 1 } })['proxy.port'], 1);
  assert.equal(load({ file, environment })['proxy.port'], 2);
  assert.equal(load({ file, environment, flags: { port: '3' } })['proxy.port'], 3);
  assert.equal(load({ file, environment, flags: { 'proxy.port': '4' } })['proxy.port'], 4);
});

for (const [what, sources, words] of [
  ['a number out of range', { flags: { port: '70000' } }, /--port: '70000' is not a number from 0 to 65535/],
  ['text for a number', { environment: { TIDEMARK_PROXY_PORT: 'x' } }, /TIDEMARK_PROXY_PORT/],
  ['an empty number', { flags: { port: '' } }, /--port/],
  ['a word outside the list', { flags: { 'log-level': 'loud' } }, /not one of debug, info/],
  ['an empty path', { flags: { data: '' } }, /--data: is empty/],
  [
    'an unknown key in the file',
    { file: { proxy: { prot: 1 } }, fileName: 't.yaml' },
    /t\.yaml: unknown option 'proxy\.prot'/,
  ],
] as const)
  test(`${what} is refused and named`, () => {
    assert.throws(
      () => load(sources),
      (error) => isDbError(error, 'parameter-invalid') && words.test(error.message),
    );
  });

test('names of environment variables and flags are unique', () => {
  const names = optionEntries.flatMap(({ environment, option }) => [environment, option.flag ?? environment]);
  const unique = new Set(names);
  assert.equal(unique.size, optionEntries.length + optionEntries.filter(({ option }) => option.flag).length);
});
