import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { AvroWriter, writeBytes, writeLong } from './avro-bytes.ts';

const written = (write: (to: AvroWriter) => void): Uint8Array => {
  const to = new AvroWriter();
  write(to);
  return Uint8Array.from(to.written);
};

test('the fast writer of longs, counts and texts gives the bytes of the plain one', () => {
  const limits = [0n, 1n, 63n, 64n, 2n ** 52n - 1n, 2n ** 52n, 2n ** 53n, 2n ** 62n, 2n ** 63n - 1n];
  for (const value of limits.flatMap((limit) => [limit, -limit, -limit - 1n]))
    assert.deepEqual(
      written((to) => to.long(value)),
      writeLong(value),
      `${value}`,
    );
  fc.assert(
    fc.property(
      fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
      fc.integer({ min: 0, max: 62 }),
      (wide, by) => {
        const value = wide >> BigInt(by);
        assert.deepEqual(
          written((to) => to.long(value)),
          writeLong(value),
        );
      },
    ),
    { seed: 1, numRuns: 2000 },
  );
  fc.assert(
    fc.property(fc.nat({ max: 2 ** 31 - 1 }), fc.nat({ max: 2 ** 21 - 1 }), (low, high) => {
      const value = high * 2 ** 31 + low;
      assert.deepEqual(
        written((to) => to.count(value)),
        writeLong(BigInt(value)),
      );
    }),
    { seed: 2, numRuns: 1000 },
  );
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      assert.deepEqual(
        written((to) => to.text(text)),
        Uint8Array.from(writeBytes(Buffer.from(text))),
      );
    }),
    { seed: 3, numRuns: 500 },
  );
});

test('the bytes of the writer grow with what is written', () => {
  const texts = Array.from({ length: 50 }, (_, i) => `${i}`.repeat(2000));
  const bytes = written((to) => to.array(texts, (text) => to.text(text)));
  const expected = [writeLong(50n), ...texts.map((text) => writeBytes(Buffer.from(text))), writeLong(0n)];
  assert.deepEqual(bytes, Uint8Array.from(Buffer.concat(expected)));
});
