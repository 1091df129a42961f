import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decoders } from './decoders.ts';
import { runCase } from './harness.ts';

const MiB = 1 << 20;
const filter = decoders.find(({ name }) => name === 'filter');

/** Name, filter, whether it is answered. */
const hostile: readonly (readonly [string, string, boolean])[] = [
  ['10,000 nested parentheses', `${'('.repeat(10_000)}id == 1${')'.repeat(10_000)}`, false],
  ['a million parentheses that nobody closes', '('.repeat(1_000_000), false],
  ['100,000 times not', `${'not '.repeat(100_000)}flag`, false],
  ['a million signs', `${'-'.repeat(1_000_000)}1 == id`, false],
  ['a sum of 200,000 terms', `id == ${'1+'.repeat(200_000)}1`, false],
  ['400 nested lists', `json_contains_any(meta["list"], ${'['.repeat(400)}${']'.repeat(400)})`, false],
  ['300 nested lists', `json_contains_any(meta["list"], ${'['.repeat(300)}${']'.repeat(300)})`, true],
  ['a path of 100,000 keys', `meta${'["a"]'.repeat(100_000)} == 1`, false],
  ['a megabyte of text', `name == "${'x'.repeat(MiB)}"`, true],
  ['a megabyte of escapes', `name == "${'\\\\'.repeat(MiB / 2)}"`, true],
  ['a megabyte of digits', `id == ${'9'.repeat(MiB)}`, false],
  ['a megabyte of hexadecimal zeros', `id == 0x${'0'.repeat(MiB)}7`, true],
  ['a megabyte of decimals', `price == 0.${'1'.repeat(MiB)}`, true],
  ['a megabyte of exponent', `price == 1e${'9'.repeat(MiB)}`, false],
  ['a name of a megabyte', `${'x'.repeat(MiB)} == 1`, true],
  ['a megabyte of empty lines', `${'\n'.repeat(MiB)}(`, false],
  ['nine megabytes', `id == 1${' '.repeat(9 * MiB)}`, false],
  ['a list of 100,000 keys', `id in [${Array.from({ length: 100_000 }, (_, i) => i).join(',')}]`, true],
  ['16,000 alternatives', `id == 1${' or id == 1'.repeat(16_000)}`, true],
  ['17,000 alternatives', `id == 1${' or id == 1'.repeat(17_000)}`, false],
  ['a pattern of 20,000 pieces', `name like "${'%a'.repeat(20_000)}%"`, true],
  ['a pattern that makes backtracking matchers explode', `name like "${'%a'.repeat(40)}%b"`, true],
  ['a pattern with a million places', `name like "${'_'.repeat(1_000_000)}"`, true],
  ['a pattern with a million places between percent signs', `name like "%${'_'.repeat(1_000_000)}%"`, false],
  ['a pattern of letters and places by turns', `name like "${'a_'.repeat(30_000)}%%%b"`, true],
  ['a text that nobody closes', `name == "${'x'.repeat(MiB)}`, false],
];
for (const [what, text, isAnswered] of hostile)
  test(`a hostile filter is refused or answered in bounded time and memory: ${what}`, async () => {
    assert.ok(filter !== undefined);
    const tally = { accepted: 0, refused: 0 };
    await runCase(filter, Buffer.from(text), tally);
    assert.equal(tally.accepted === 1, isAnswered);
  });
