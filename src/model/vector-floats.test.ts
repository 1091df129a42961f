import assert from 'node:assert/strict';
import { test } from 'node:test';
import { narrow, widen } from './vector-floats.ts';

test('every finite half float and bfloat16, -0 and the smallest included, becomes its float and the same bits again', () => {
  const bits = Uint16Array.from({ length: 0x10000 }, (_, i) => i);
  const floats = new Float32Array(bits.length);
  const again = new Uint16Array(bits.length);
  for (const [type, mask] of [
    ['Float16Vector', 0x7c00],
    ['BFloat16Vector', 0x7f80],
  ] as const) {
    widen(type, bits, floats);
    narrow(type, floats, again);
    for (const [i, value] of bits.entries())
      if ((value & mask) !== mask) assert.equal(again[i], value, `${type} ${value}`);
  }
  widen('Float16Vector', Uint16Array.of(0x3c00, 0xc000, 1, 0x7bff, 0x8000), floats);
  assert.deepEqual([...floats.subarray(0, 5)], [1, -2, 2 ** -24, 65_504, -0]);
  widen('BFloat16Vector', Uint16Array.of(0x3f80, 0xc040), floats);
  assert.deepEqual([...floats.subarray(0, 2)], [1, -3]);
});

test('every 8-bit integer becomes its float and the same byte again', () => {
  const bytes = Int8Array.from({ length: 256 }, (_, i) => i - 128);
  const floats = new Float32Array(256);
  const again = new Int8Array(256);
  widen('Int8Vector', bytes, floats);
  narrow('Int8Vector', floats, again);
  assert.deepEqual(again, bytes);
  assert.equal(floats[0], -128);
});
