import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { decoders } from './decoders.ts';
import { found } from './found.ts';
import { type Decoder, fuzz, runCase } from './harness.ts';

const RUNS = 250;
const SLOW_RUNS = 20;
const decoderOf = (name: string): Decoder => {
  const decoder = decoders.find((each) => each.name === name);
  assert.ok(decoder !== undefined, name);
  return decoder;
};

for (const decoder of decoders)
  test(`fuzz: any bytes are read or refused by the decoder of ${decoder.name}, in bounded time and memory`, async () => {
    const tally = { accepted: 0, refused: 0 };
    await fuzz(decoder, { seed: 1, numRuns: decoder.isSlow === true ? SLOW_RUNS : RUNS }, tally);
    const whole = { accepted: 0, refused: 0 };
    for (const input of decoder.corpus) await runCase(decoder, input, whole);
    assert.ok(whole.accepted > 0, 'no valid input is accepted');
  });

for (const { decoder, did, input } of found)
  test(`found by fuzzing ${decoder}: ${did}`, () =>
    runCase(decoderOf(decoder), input, { accepted: 0, refused: 0 }));

const root = join(import.meta.dirname, '../../../src');
/** What a module that decodes bytes or text does, one way or another. */
const signs = [
  /\bparseJson\(/,
  /\.(?:getUint|getInt|getBigInt|getBigUint|getFloat)\d+\(/,
  /\.read(?:UInt|Int|BigInt|BigUInt|Float|Double)\d*(?:LE|BE)\(/,
  /\bfatal: true\b/,
  /export (?:async )?(?:function\*?|const|class) (?:decode|parse)[A-Z]/,
  /\.unpack\(|\bparse\(text\)|\bURLSearchParams\(text\)|deserializeTCompactProtocol\(reader\)/,
];
/** Modules that look like decoders and are none, with the reason. */
const others: ReadonlyMap<string, string> = new Map([
  ['support/json.ts', 'the wrapper itself'],
  ['support/system-random.ts', 'random bytes'],
  ['proxy/wire/field-data-encode.ts', 'writes what was checked when it came'],
  ['embedded/column-values.ts', 'reads rows whose JSON was checked when it came'],
  ['cli/admin-client.ts', 'reads the own server; JSON only, and every error is a ServerError'],
]);

test('every module that decodes bytes from outside is run by a decoder of the list, and none is named in vain', () => {
  const modules = readdirSync(root, { recursive: true, encoding: 'utf8' }).filter(
    (name) => name.endsWith('.ts') && !/\.(test|suite|generated)\.ts$/.test(name),
  );
  const decoding = modules.filter((name) => {
    const text = readFileSync(join(root, name), 'utf8');
    return signs.some((sign) => sign.test(text));
  });
  const covered = new Set(decoders.flatMap(({ covers }) => covers));
  assert.ok(decoding.length > 20);
  assert.deepEqual(
    decoding.filter((name) => !covered.has(name) && !others.has(name)),
    [],
  );
  assert.deepEqual(
    [...covered].filter((name) => !modules.includes(name)),
    [],
  );
  assert.deepEqual(
    [...others.keys()].filter((name) => !decoding.includes(name)),
    [],
  );
});
