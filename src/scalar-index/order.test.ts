import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { keysOfIntegers, keysOfNumbers, orderOf } from './order.ts';

const stable = <T>(values: readonly T[], compare: (a: T, b: T) => number): number[] =>
  values.map((_, i) => i).sort((a, b) => compare(values[a] as T, values[b] as T) || a - b);

test('integers of 64 bits are put in order, equal ones as they came', () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n), fc.bigInt(-3n, 3n))), (values) => {
      const expected = stable(values, (a, b) => (a < b ? -1 : a > b ? 1 : 0));
      assert.deepEqual([...orderOf(keysOfIntegers(BigInt64Array.from(values)))], expected);
    }),
    { seed: 1 },
  );
});

test('numbers are put in order, infinite ones at the ends and both zeros as one', () => {
  const special = fc.constantFrom(0, -0, 1, -1, Number.MIN_VALUE, Infinity, -Infinity, 0.1, -0.1);
  fc.assert(
    fc.property(fc.array(fc.oneof(fc.double({ noNaN: true }), special)), (values) => {
      const expected = stable(values, (a, b) => (a < b ? -1 : a > b ? 1 : 0));
      assert.deepEqual([...orderOf(keysOfNumbers(Float64Array.from(values)))], expected);
    }),
    { seed: 1 },
  );
});
