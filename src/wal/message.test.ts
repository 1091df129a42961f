import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { write } from '../../tests/arbitrary-rows.ts';
import { isDbError } from '../errors/db-error.ts';
import type { FieldId } from '../model/ids.ts';
import type { Column } from '../model/rows.ts';
import { type AppliedWrite, decodeWrite, encodeWrite } from './message.ts';

const encoded = (value: AppliedWrite): Uint8Array => new Uint8Array(Buffer.concat(encodeWrite(value)));

test('a write of any columns is decoded as it was encoded', () => {
  fc.assert(
    fc.property(write, (value) => {
      assert.deepEqual(decodeWrite(encoded(value)), value);
    }),
    { numRuns: 150, seed: 1 },
  );
});

test('a payload that stands at an odd address is decoded all the same', () => {
  fc.assert(
    fc.property(write, fc.integer({ min: 1, max: 7 }), (value, shift) => {
      const bytes = encoded(value);
      const moved = new Uint8Array(bytes.length + shift);
      moved.set(bytes, shift);
      assert.deepEqual(decodeWrite(moved.subarray(shift)), value);
    }),
    { numRuns: 30, seed: 2 },
  );
});

test('big columns are referenced, and decoded as views of the payload', () => {
  const values = new Float32Array(4096).fill(0.5);
  const vectors: Column = { layout: 'vector', type: 'FloatVector', dim: 128, values };
  const ids: Column = { layout: 'fixed', type: 'Int64', values: new BigInt64Array(32).fill(7n) };
  const value = {
    collectionId: 1n,
    ts: 2n,
    parts: [
      {
        kind: 'insert',
        channel: 'c',
        partitionId: 3n,
        rows: {
          rowCount: 32,
          columns: new Map<FieldId, Column>([
            [100 as FieldId, ids],
            [101 as FieldId, vectors],
          ]),
        },
      },
    ],
    segmentIds: [4n],
  } as unknown as AppliedWrite;
  const pieces = encodeWrite(value);
  assert.ok(pieces.some((piece) => piece.buffer === values.buffer));
  const payload = new Uint8Array(Buffer.concat(pieces));
  const part = decodeWrite(payload).parts[0]!;
  assert.ok(part.kind === 'insert');
  const decoded = part.rows.columns.get(101 as FieldId)!;
  assert.ok(decoded.layout === 'vector' && decoded.values.buffer === payload.buffer);
});

test('damaged bytes are refused as damaged, whatever they are', () => {
  const outcome = (bytes: Uint8Array): void => {
    try {
      decodeWrite(bytes);
    } catch (error) {
      assert.ok(isDbError(error, 'data-integrity'), String(error));
    }
  };
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), outcome), { numRuns: 200, seed: 3 });
  fc.assert(
    fc.property(write, fc.nat(), fc.nat({ max: 255 }), fc.nat(), (value, at, flip, cut) => {
      const bytes = encoded(value);
      bytes[at % bytes.length]! ^= flip;
      outcome(bytes);
      outcome(bytes.subarray(0, cut % bytes.length));
    }),
    { numRuns: 300, seed: 4 },
  );
});

test('a payload that is cut, or too long, or of another version is never a write', () => {
  const bytes = encoded({ collectionId: 1n, ts: 1n, parts: [], segmentIds: [] } as unknown as AppliedWrite);
  const isRefused = (value: Uint8Array) =>
    assert.throws(
      () => decodeWrite(value),
      (error) => isDbError(error, 'data-integrity'),
    );
  for (let length = 0; length < bytes.length; length++) isRefused(bytes.subarray(0, length));
  isRefused(new Uint8Array([...bytes, 0]));
  isRefused(new Uint8Array([2, ...bytes.subarray(1)]));
});
