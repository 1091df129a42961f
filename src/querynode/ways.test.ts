import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chooseWay, type Progress, type Situation } from './ways.ts';

/** 100,000 rows of 64 floats with a graph, ten wanted, a filter of half a microsecond. */
const usual: Situation = {
  rows: 100_000,
  pass: 0.5,
  k: 10,
  width: 64,
  queryCount: 1,
  vectorCost: 4,
  scanCost: 50,
  testCost: 100,
  maxCandidates: 16_384,
};
const scanned = { width: undefined };

// biome-ignore format: read down the columns.
const choices: readonly (readonly [string, Partial<Situation>, Progress | undefined, number | undefined])[] = [
  ['half pass: twice as many as a walk keeps', {}, undefined, 128],
  ['a tenth passes: ten times as many', { pass: 0.1 }, undefined, 640],
  ['one in a hundred passes', { pass: 0.01 }, undefined, 6400],
  ['one in a thousand: more than a search is asked for', { pass: 0.001 }, undefined, undefined],
  ['so many that a walk would hold up others', { pass: 0.01, maxCandidates: 5000 }, undefined, undefined],
  ['nothing passed of the sample', { pass: 0 }, undefined, undefined],
  ['a cheap filter is tested first: the sample alone costs half as much', { scanCost: 0.3, testCost: 30 }, { candidates: 0, spent: 512 * 30 }, undefined],
  ['decoded by now, and few pass', { scanCost: 2, pass: 0.01 }, undefined, undefined],
  ['decoded by now, and most pass', { scanCost: 2, pass: 0.9 }, undefined, 72],
  ['a thousand queries share the tests of all rows', { queryCount: 1000 }, undefined, undefined],
  ['few rows: half of them would be candidates', { rows: 250 }, undefined, undefined],
  ['a scan needs no width, only those that pass, and some more', scanned, undefined, 38],
  ['a scan, one in a hundred', { ...scanned, pass: 0.01 }, undefined, 1508],
  ['a scan of dear vectors, filter as dear', { ...scanned, vectorCost: 100, pass: 0.1 }, undefined, undefined],
  ['too few passed: four times as many', { pass: 0.25 }, { candidates: 128, spent: 10_000 }, 512],
  ['far fewer passed than was thought', { pass: 0.05 }, { candidates: 128, spent: 10_000 }, 1280],
  ['what was spent is as much as the filter costs', {}, { candidates: 128, spent: 4_900_000 }, undefined],
  ['the next step is more than half of the rows', {}, { candidates: 13_000, spent: 10_000 }, undefined],
];

for (const [name, change, progress, candidates] of choices)
  test(`the way of a search with a filter: ${name}`, () => {
    const way = chooseWay({ ...usual, ...change }, progress);
    assert.deepEqual(
      way,
      candidates === undefined ? { kind: 'pre-filter' } : { kind: 'over-fetch', candidates },
    );
  });

test('whatever a search over-fetches in vain, it ends, and costs at most twice what the filter first would have', () => {
  let situation = { ...usual };
  let progress: Progress = { candidates: 0, spent: 0 };
  for (let round = 0; ; round++) {
    assert.ok(round < 8, 'it ends');
    const way = chooseWay(situation, progress);
    if (way.kind === 'pre-filter') break;
    progress = { candidates: way.candidates, spent: progress.spent + way.candidates * 150 };
    situation = { ...situation, pass: situation.pass / 2 };
  }
  assert.ok(progress.spent <= usual.rows * usual.scanCost, `${progress.spent}`);
});
