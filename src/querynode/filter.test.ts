import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '../support/random.ts';
import { countRows } from './bitmap.ts';
import { sliceEnd, takeSample } from './filter.ts';
import { Pacer, Turns } from './pacer.ts';

const pacer = new Pacer(new Turns(), new AbortController().signal);

test('rows that hold much are filtered in small slices, at least a word of bits at once', () => {
  const steps = (perRow: number) => (from: number, to: number) => (to - from) * perRow;
  assert.equal(sliceEnd(0, 100_000, steps(0)), 8192);
  assert.equal(sliceEnd(8192, 10_000, steps(1)), 10_000);
  assert.equal(sliceEnd(0, 100_000, steps(1024)), 1024);
  assert.equal(sliceEnd(64, 100_000, steps(65_536)), 96);
  assert.equal(sliceEnd(64, 100_000, steps(2 ** 30)), 96);
  // One heavy row among light ones.
  const oneHeavy = (from: number, to: number) => (from <= 5000 && 5000 < to ? 2 ** 30 : 0);
  assert.equal(sliceEnd(0, 8192, oneHeavy), 4096);
  assert.equal(sliceEnd(4096, 8192, oneHeavy), 4608);
});

test('a sample is that part of the rows, of those only, and not always the same', async () => {
  const all = new Uint32Array(100).fill(0b1011);
  const random = seededRandom(7);
  const samples = new Set<string>();
  const drawn = new Uint32Array(all.length * 32);
  const runs = 200;
  for (let run = 0; run < runs; run++) {
    const rows = all.slice();
    await takeSample(rows, 0.25, random, pacer);
    assert.equal(countRows(rows), 75);
    for (const [word, bits] of rows.entries()) {
      assert.equal(bits & ~(all[word] ?? 0), 0);
      for (let bit = 0; bit < 4; bit++)
        if ((bits >>> bit) & 1) drawn[word * 32 + bit] = drawn[word * 32 + bit]! + 1;
    }
    samples.add(rows.join());
  }
  assert.ok(samples.size > runs / 2);
  // 50 of 200 expected for each row, with a deviation of 6.
  for (let word = 0; word < all.length; word++)
    for (const bit of [0, 1, 3]) assert.ok(Math.abs(drawn[word * 32 + bit]! - 50) < 40, `${word} ${bit}`);
});

test('samples of many small units add up to the part asked for', async () => {
  const random = seededRandom(3);
  let total = 0;
  for (let unit = 0; unit < 2000; unit++) {
    const rows = Uint32Array.of(0b111);
    await takeSample(rows, 0.1, random, pacer);
    total += countRows(rows);
  }
  assert.ok(Math.abs(total - 600) < 120, `${total}`);
});
