import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isDbError } from '../errors/db-error.ts';
import { decodeRecord, encodeRecord } from './codec.ts';

const int64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
const leaf = fc.oneof(
  int64,
  fc.integer(),
  fc.maxSafeInteger(),
  fc.double({ noNaN: true }).map((n) => n + 0),
  fc.string({ unit: 'grapheme' }),
  fc.boolean(),
  fc.constant(null),
  fc.uint8Array(),
);
const { record } = fc.letrec((tie) => ({
  value: fc.oneof({ maxDepth: 3 }, leaf, fc.array(tie('value')), tie('record')),
  record: fc.dictionary(
    fc.string().filter((key) => key !== '__proto__'),
    tie('value'),
    { noNullPrototype: true },
  ),
}));

const plain = (value: unknown): unknown => {
  if (value instanceof Uint8Array) return { bytes: [...value] };
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, of]) => [key, plain(of)]));
};

test('a record comes back as it was, bigint as bigint and number as number', () => {
  fc.assert(
    fc.property(record, (value) => {
      assert.deepEqual(plain(decodeRecord(1, encodeRecord(1, value), 'x')), plain(value));
    }),
    {
      seed: 7,
      numRuns: 300,
      examples: [[{ id: 5n, count: 5, big: 2 ** 53 - 1, low: -1n, none: -(2 ** 40) }]],
    },
  );
});

test('a bigint beyond 64 bits is not cut', () => {
  for (const id of [2n ** 63n, 2n ** 64n, -(2n ** 63n) - 1n, 10n ** 30n])
    assert.deepEqual(decodeRecord(1, encodeRecord(1, { id }), 'x'), { id });
});

test('any bytes are a record or a data error, never anything else', () => {
  const survives = (bytes: Uint8Array) => {
    try {
      decodeRecord(1, bytes, 'key');
    } catch (error) {
      assert.ok(isDbError(error, 'data-integrity') && error.message.startsWith('key:'), String(error));
    }
  };
  fc.assert(fc.property(fc.uint8Array({ maxLength: 60 }), survives), { seed: 7, numRuns: 500 });
  const good = encodeRecord(1, { id: 77n, name: 'abc', list: [1, 2, 3] });
  for (let cut = 0; cut < good.length; cut++) {
    assert.throws(
      () => decodeRecord(1, good.slice(0, cut), 'key'),
      (error) => isDbError(error, 'data-integrity'),
    );
    for (let bit = 0; bit < 8; bit++) survives(good.map((byte, i) => (i === cut ? byte ^ (1 << bit) : byte)));
  }
});

test('a record of a newer version is refused and says so', () => {
  const bytes = encodeRecord(3, { a: 1 });
  assert.deepEqual(decodeRecord(3, bytes, 'key'), { a: 1 });
  assert.throws(() => decodeRecord(2, bytes, 'key'), /newer Tidemark \(record version 3, known 2\)/);
});
