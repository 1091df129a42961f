import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { encodeStatusText, frameMessage, MessageReader, timeoutMs } from './grpc-frames.ts';
import { CallRefused, grpcStatus } from './transport.ts';

const refusedWith = (status: number) => (error: unknown) =>
  error instanceof CallRefused && error.grpcStatus === status;

test('a message comes back whole however its bytes are cut into chunks', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), fc.array(fc.nat(20)), (body, cuts) => {
      const framed = Buffer.concat(frameMessage(body));
      let admitted = -1;
      const reader = new MessageReader((length) => {
        admitted = length;
      });
      let at = 0;
      for (const cut of [...cuts, framed.length]) {
        reader.push(framed.subarray(at, at + cut));
        at += cut;
      }
      const message = reader.finish();
      assert.deepEqual(Buffer.from(message.body), Buffer.from(body));
      assert.deepEqual([message.isCompressed, admitted], [false, body.length]);
    }),
  );
});

test('a message owns its memory, so that it can be handed to another thread', () => {
  const reader = new MessageReader(() => undefined);
  for (const piece of frameMessage(new Uint8Array(10))) reader.push(piece);
  assert.equal(reader.finish().body.buffer.byteLength, 10);
});

test('a request that is cut off, empty, or goes on behind its message is refused', () => {
  const framed = Buffer.concat(frameMessage(Uint8Array.of(1, 2, 3)));
  const reader = () => new MessageReader(() => undefined);
  for (const length of [0, 3, 5, 7]) {
    const cut = reader();
    cut.push(framed.subarray(0, length));
    assert.throws(() => cut.finish(), refusedWith(grpcStatus.internal));
  }
  const twice = reader();
  assert.throws(() => twice.push(Buffer.concat([framed, framed])), refusedWith(grpcStatus.unimplemented));
});

test('no memory is taken for a message that is not admitted', () => {
  const reader = new MessageReader(() => {
    throw new CallRefused(grpcStatus.resourceExhausted, 'too large');
  });
  const prefix = Uint8Array.of(0, 0xff, 0xff, 0xff, 0xff);
  assert.throws(() => reader.push(prefix), refusedWith(grpcStatus.resourceExhausted));
});

test('status texts are percent-encoded as gRPC wants them', () => {
  assert.equal(encodeStatusText('50% of é\n'), '50%25 of %C3%A9%0A');
});

test('timeouts are read in every unit, and nothing else passes', () => {
  const read = ['1H', '2M', '3S', '4m', '5u', '1500000n'].map(timeoutMs);
  assert.deepEqual(read, [3_600_000, 120_000, 3000, 4, 1, 2]);
  assert.equal(timeoutMs(undefined), undefined);
  assert.equal(timeoutMs('99999999H'), 2 ** 31 - 1);
  for (const bad of ['', '5', '-1S', '123456789S', '1x'])
    assert.throws(() => timeoutMs(bad), refusedWith(grpcStatus.internal));
});
