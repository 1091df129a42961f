import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Deaths } from './deaths.ts';

test('the rows that died after a moment are told, of many the last', () => {
  const deaths = new Deaths();
  assert.deepEqual([...deaths.after(0n)], []);
  for (let i = 0; i < 100; i++) deaths.add(i, BigInt(i >> 1));
  assert.deepEqual([...deaths.after(47n)], [96, 97, 98, 99]);
  assert.deepEqual([...deaths.after(49n)], []);
  assert.equal(deaths.after(-1n).length, 100);
  deaths.add(7, 3n);
  assert.equal(deaths.after(-1n).length, 100);
  for (let i = 100; i < 100_000; i++) deaths.add(i, BigInt(i));
  const last = deaths.after(0n);
  assert.ok(last.length >= 8000 && last.length <= 16_384, `${last.length}`);
  assert.deepEqual(
    [...last],
    Array.from({ length: last.length }, (_, i) => 100_000 - last.length + i),
  );
});
