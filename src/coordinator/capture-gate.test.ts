import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import type { CollectionId } from '../model/ids.ts';
import { CaptureGate } from './capture-gate.ts';

const [one, two] = [1n as CollectionId, 2n as CollectionId];

/** Work that begins when it is let in and ends when it is told to. */
class Steps {
  readonly begun: string[] = [];
  readonly #ends = new Map<string, () => void>();

  work = (name: string) => (): Promise<void> => {
    this.begun.push(name);
    return new Promise((resolve) => this.#ends.set(name, resolve));
  };

  async end(name: string): Promise<void> {
    this.#ends.get(name)?.();
    await setImmediate();
  }
}

test('captures of one collection run side by side', async () => {
  const [gate, steps] = [new CaptureGate(), new Steps()];
  void gate.capture(one, steps.work('a'));
  void gate.capture(one, steps.work('b'));
  await setImmediate();
  assert.deepEqual(steps.begun, ['a', 'b']);
});

test('a replacement waits for the captures of its collection, also for those that came later', async () => {
  const [gate, steps] = [new CaptureGate(), new Steps()];
  void gate.capture(one, steps.work('capture'));
  void gate.replace(one, steps.work('replace'));
  void gate.capture(one, steps.work('later'));
  await setImmediate();
  assert.deepEqual(steps.begun, ['capture', 'later']);
  await steps.end('capture');
  assert.deepEqual(steps.begun, ['capture', 'later']);
  await steps.end('later');
  assert.deepEqual(steps.begun, ['capture', 'later', 'replace']);
});

test('a capture waits for a replacement under way, replacements wait for each other', async () => {
  const [gate, steps] = [new CaptureGate(), new Steps()];
  void gate.replace(one, steps.work('first'));
  void gate.replace(one, steps.work('second'));
  void gate.capture(one, steps.work('capture'));
  await setImmediate();
  assert.deepEqual(steps.begun, ['first']);
  await steps.end('first');
  assert.deepEqual(steps.begun, ['first', 'capture']);
  await steps.end('capture');
  assert.deepEqual(steps.begun, ['first', 'capture', 'second']);
});

test('a capture of one collection keeps nobody of another waiting', async () => {
  const [gate, steps] = [new CaptureGate(), new Steps()];
  void gate.capture(one, steps.work('capture of one'));
  void gate.replace(two, steps.work('replace of two'));
  await setImmediate();
  assert.deepEqual(steps.begun, ['capture of one', 'replace of two']);
});

test('work that fails lets the next one in', async () => {
  const [gate, steps] = [new CaptureGate(), new Steps()];
  const failing = gate.replace(one, () => Promise.reject(new Error('no')));
  void gate.capture(one, steps.work('next'));
  await assert.rejects(failing, /no/);
  await setImmediate();
  assert.deepEqual(steps.begun, ['next']);
});
