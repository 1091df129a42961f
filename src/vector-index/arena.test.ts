import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isDbError } from '../errors/db-error.ts';
import { type Block, bytesOf, floatsOf, VectorArena } from './arena.ts';

const PAGE = 65_536;
const small = { maxBytes: 40 * PAGE, memoryBytes: 16 * PAGE, growBytes: PAGE };

const exhausted = (error: unknown): boolean => isDbError(error, 'resource-exhausted');

type Step =
  | { readonly kind: 'allocate'; readonly sizes: readonly number[] }
  | { readonly kind: 'beside' | 'kernels'; readonly at: number; readonly size: number }
  | { readonly kind: 'free'; readonly at: number };

/** The arena with the blocks in use, each filled with a mark of its own. */
class Model {
  readonly arena = new VectorArena(small);
  readonly live: { readonly block: Block; readonly mark: number }[] = [];
  #mark = 0;

  add(block: Block): void {
    assert.equal(block.byteOffset % 64, 0);
    assert.ok(
      block.byteOffset + block.byteLength + 16 <= block.memory.buffer.byteLength,
      'kernels may read behind',
    );
    this.#mark = (this.#mark % 255) + 1;
    bytesOf(block).fill(this.#mark);
    this.live.push({ block, mark: this.#mark });
  }

  run(step: Step): void {
    if (step.kind === 'allocate') {
      const group = this.arena.allocateGroup(step.sizes);
      assert.equal(new Set(group.map(({ memoryId }) => memoryId)).size, 1);
      for (const block of group) this.add(block);
      return;
    }
    const chosen = this.live[step.at % Math.max(this.live.length, 1)];
    if (chosen === undefined) return;
    if (step.kind === 'beside') {
      const block = this.arena.allocateBeside(chosen.block, step.size);
      assert.equal(block.memory, chosen.block.memory);
      this.add(block);
    } else if (step.kind === 'kernels') {
      const { scratch, memory } = this.arena.kernels(chosen.block, step.size);
      new Uint8Array(memory.buffer, scratch.byteOffset, scratch.byteLength).fill(0);
    } else {
      this.arena.free(chosen.block);
      this.live.splice(this.live.indexOf(chosen), 1);
    }
  }

  check(): void {
    for (const { block, mark } of this.live)
      assert.ok(
        Buffer.from(bytesOf(block)).equals(Buffer.alloc(block.byteLength, mark)),
        'a block keeps its bytes',
      );
    assert.ok(this.arena.committedBytes <= small.maxBytes + 3 * 16 * PAGE);
  }
}

test('blocks never overlap, keep their bytes, and everything freed can be allocated again', () => {
  const size = fc.integer({ min: 0, max: 2 * PAGE });
  const step: fc.Arbitrary<Step> = fc.oneof(
    fc.record({
      kind: fc.constant('allocate' as const),
      sizes: fc.array(size, { minLength: 1, maxLength: 3 }),
    }),
    fc.record({ kind: fc.constantFrom('beside' as const, 'kernels' as const), at: fc.nat(), size }),
    fc.record({ kind: fc.constant('free' as const), at: fc.nat() }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const model = new Model();
      for (const next of steps) {
        try {
          model.run(next);
        } catch (error) {
          if (!exhausted(error)) throw error;
        }
        model.check();
      }
      for (const { block } of model.live) model.arena.free(block);
      assert.equal(model.arena.usedBytes, 0);
      assert.equal(model.arena.committedBytes, 0);
      model.arena.allocate(13 * PAGE);
    }),
    { seed: 20, numRuns: 40 },
  );
});

test('memory is taken in steps, and no more than the limit', () => {
  const arena = new VectorArena(small);
  const first = arena.allocate(100);
  assert.ok(arena.committedBytes <= 2 * PAGE);
  const blocks = [first];
  assert.throws(() => {
    for (;;) blocks.push(arena.allocate(PAGE));
  }, exhausted);
  assert.ok(arena.committedBytes <= small.maxBytes);
  assert.ok(blocks.length >= 30, `${blocks.length} blocks fit`);
  arena.free(blocks[5] as Block);
  const again = arena.allocate(PAGE);
  assert.equal(again.byteOffset, blocks[5]?.byteOffset);
});

test('a block larger than a memory gets one of its own, scratch has room even in a full memory', () => {
  const arena = new VectorArena(small);
  const large = arena.allocate(20 * PAGE);
  assert.equal(floatsOf(large).length, (20 * PAGE) / 4);
  assert.throws(() => arena.allocateBeside(large, 10 * PAGE), exhausted);
  const scratch = arena.allocateScratch(large, PAGE);
  assert.equal(scratch.memory, large.memory);
  arena.free(scratch);
  assert.throws(() => arena.allocate(64 * PAGE), exhausted);
  arena.free(large);
  assert.equal(arena.committedBytes, 0);
});
