import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { compareRows, type Direction, FirstOf, ordered, orderedPlaces } from './ordering.ts';
import { Pacer, Turns } from './pacer.ts';
import { compareScalars, type Scalar, valueKey } from './values.ts';

const direction = fc.record({ isDescending: fc.boolean(), nullsFirst: fc.boolean() });
const value: fc.Arbitrary<Scalar | undefined> = fc.option(fc.nat(3), { nil: undefined });
const row = fc.array(value, { minLength: 2, maxLength: 2 });

/** Null as the greatest or the smallest of numbers, then the numbers. */
const rank = ({ isDescending, nullsFirst }: Direction, each: Scalar | undefined): number =>
  each === undefined ? (nullsFirst ? -100 : 100) : isDescending ? -Number(each) : Number(each);

test('rows are ordered by one field after another, each rising or falling, its nulls first or last; equal ones stay in order', () => {
  fc.assert(
    fc.property(fc.array(row, { maxLength: 30 }), fc.tuple(direction, direction), (rows, directions) => {
      const naive = rows
        .map((each, at) => ({ each, at }))
        .sort(
          (a, b) =>
            rank(directions[0], a.each[0]) - rank(directions[0], b.each[0]) ||
            rank(directions[1], a.each[1]) - rank(directions[1], b.each[1]) ||
            a.at - b.at,
        )
        .map(({ at }) => at);
      const places = [...rows.keys()];
      assert.deepEqual(
        ordered(places, directions, (at) => rows[at] ?? []),
        naive,
      );
      for (const count of [0, 1, 7, 100]) {
        const first = new FirstOf(directions, count);
        for (const each of rows) first.offer(each);
        assert.deepEqual([...first.places()], naive.slice(0, count));
      }
    }),
    { seed: 4, numRuns: 200 },
  );
});

test('many rows are ordered in slices as few are at once', async () => {
  const pacer = new Pacer(new Turns(), new AbortController().signal);
  for (const count of [0, 1, 1024, 1025, 5000]) {
    const rows = Array.from({ length: count }, (_, i) => [(i * 7919) % 101, i % 3 === 0 ? undefined : i % 5]);
    const directions = [
      { isDescending: true, nullsFirst: false },
      { isDescending: false, nullsFirst: true },
    ];
    const wanted = ordered([...rows.keys()], directions, (at) => rows[at] ?? []);
    assert.deepEqual([...(await orderedPlaces(rows, directions, pacer))], wanted);
  }
});

test('numbers compare by value whatever their type, NaN is the greatest, text compares by its bytes', () => {
  const text = (each: string) => Buffer.from(each);
  assert.ok(compareScalars(2n ** 62n, 2n ** 62n + 1n) < 0);
  assert.ok(compareScalars(Number.NaN, Number.POSITIVE_INFINITY) > 0);
  assert.equal(compareScalars(Number.NaN, Number.NaN), 0);
  assert.ok(compareScalars(text('Z'), text('a')) < 0);
  assert.ok(compareScalars(text('é'), text('z')) > 0);
  assert.equal(compareRows([], [1], [2]), 0);
});

test('values that are equal have one key in a map, others have their own', () => {
  assert.equal(valueKey(-0), valueKey(0));
  assert.equal(valueKey(Buffer.from('a')), valueKey(Buffer.from('a')));
  assert.notEqual(valueKey(undefined), valueKey(Buffer.from('')));
  assert.notEqual(valueKey(1n), valueKey(2n));
});
