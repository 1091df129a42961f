import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { FaultyKv } from '../../tests/sim/faulty-kv.ts';
import { isDbError } from '../errors/db-error.ts';
import { Catalog, type Change, MAX_CHANGES_PER_COMMIT, put, remove, type TableSpec } from './catalog.ts';
import { encodeRecord } from './codec.ts';
import type { Kv, KvOp } from './kv.ts';
import { MemoryKv } from './memory.ts';

interface Item {
  readonly id: bigint;
  readonly owner: bigint;
  readonly name: string;
  readonly tag?: string;
  readonly blob?: Uint8Array;
}
const items: TableSpec<bigint, Item> = {
  name: 'item',
  version: 1,
  idOf: (record) => record.id,
  indexes: { owner: (record) => record.owner, name: (record) => record.name, tag: (record) => record.tag },
};
const notes: TableSpec<string, { readonly key: string; readonly n: number }> = {
  name: 'item-note',
  version: 1,
  idOf: (record) => record.key,
};

const item = (id: number, more: Partial<Item> = {}): Item => ({
  id: BigInt(id),
  owner: 1n,
  name: `n${id}`,
  ...more,
});
const open = (kv: Kv, highWater: () => bigint = () => 0n) =>
  Catalog.open({ kv, tables: [items, notes], highWater });
const is = (code: Parameters<typeof isDbError>[1]) => (error: unknown) => isDbError(error, code);
const commitsOf = (kv: FaultyKv) => kv.faults.calls.filter(({ name }) => name === 'commit').length;
const big = (id: number, bytes: number): Change =>
  put(items, item(id, { blob: new Uint8Array(bytes) }), undefined);
/** What another process finds. */
const reopened = async (kv: Kv) =>
  new Map([...(await open(kv)).all(items)].map((found) => [found.id, found]));

describe('catalog', () => {
  test('changes become visible together, only once they are durable, and are there after a restart', async () => {
    const kv = new FaultyKv(new MemoryKv());
    const catalog = await open(kv);
    const a = item(1);
    const changes = [put(items, a, undefined), put(notes, { key: 'x', n: 1 }, undefined)];
    const seen: (readonly Change[])[] = [];
    catalog.onChange((changed) => {
      assert.equal(catalog.count(items) + catalog.count(notes), 2);
      seen.push(changed);
    });
    const committing = catalog.commit(changes);
    assert.equal(catalog.get(items, 1n), undefined);
    assert.equal(await committing, 'committed');
    assert.equal(catalog.get(items, 1n), a);
    assert.deepEqual(seen, [changes]);
    assert.deepEqual(await reopened(kv), new Map([[1n, a]]));
  });

  test('a change based on an old record is stale and changes nothing, nor does what came with it', async () => {
    const catalog = await open(new MemoryKv());
    const first = item(1);
    const second = item(1, { name: 'new' });
    await catalog.commitSure([put(items, first, undefined)]);
    await catalog.commitSure([put(items, second, first)]);
    const stale: readonly (readonly Change[])[] = [
      [put(items, item(1, { name: 'other' }), first), put(items, item(2), undefined)],
      [put(items, item(1), undefined)],
      [remove(items, first)],
      [put(items, item(3), item(3))],
    ];
    for (const changes of stale) assert.equal(await catalog.commit(changes), 'stale');
    assert.deepEqual([...catalog.all(items)], [second]);
    await assert.rejects(catalog.commitSure([remove(items, first)]), /stale commit of item\/1/);
  });

  test('of two concurrent commits based on one record exactly one wins', async () => {
    const kv = new MemoryKv();
    const catalog = await open(kv);
    const base = item(1);
    await catalog.commitSure([put(items, base, undefined)]);
    const outcomes = await Promise.all(
      ['a', 'b', 'c'].map((name) => catalog.commit([put(items, item(1, { name }), base)])),
    );
    assert.deepEqual(outcomes, ['committed', 'stale', 'stale']);
    assert.equal((await reopened(kv)).get(1n)?.name, 'a');
  });

  test('a commit may follow one that is still being written; only the last state of a record is stored', async () => {
    const kv = new FaultyKv(new MemoryKv());
    const catalog = await open(kv);
    const states = Array.from({ length: 20 }, (_, i) => item(1, { name: `s${i}` }));
    const outcomes = await Promise.all(
      states.map((state, i) => catalog.commit([put(items, state, states[i - 1])])),
    );
    assert.deepEqual(new Set(outcomes), new Set(['committed']));
    assert.deepEqual(catalog.find(items, 'name', 's19'), [states[19]]);
    assert.deepEqual(catalog.find(items, 'name', 's18'), []);
    assert.equal((await reopened(kv)).get(1n)?.name, 's19');
  });

  test('concurrent commits share writes and resolve in the order they were made', async () => {
    const kv = new FaultyKv(new MemoryKv());
    const catalog = await open(kv);
    const before = commitsOf(kv);
    const order: number[] = [];
    await Promise.all(
      Array.from({ length: 300 }, async (_, i) => {
        await catalog.commitSure([put(items, item(i), undefined)]);
        order.push(i);
      }),
    );
    assert.deepEqual(
      order,
      [...order].sort((a, b) => a - b),
    );
    assert.ok(commitsOf(kv) - before <= 4, `${commitsOf(kv) - before} writes`);
    assert.equal((await reopened(kv)).size, 300);
  });

  test('commits that together exceed the bounds of one write go into several', async () => {
    const kv = new MemoryKv();
    const catalog = await open(kv);
    const wide = (from: number) =>
      Array.from({ length: MAX_CHANGES_PER_COMMIT }, (_, i) => put(items, item(from + i), undefined));
    await Promise.all([
      catalog.commitSure([put(items, item(1), undefined)]),
      ...[2, 3, 4].map((id) => catalog.commitSure([big(id, 900_000)])),
      catalog.commitSure(wide(1000)),
      catalog.commitSure([big(5, 1_400_000)]),
      catalog.commitSure(wide(2000)),
    ]);
    assert.equal((await reopened(kv)).size, 5 + 2 * MAX_CHANGES_PER_COMMIT);
  });

  test('a commit too large for any write is refused alone, and the catalog goes on', async () => {
    const catalog = await open(new MemoryKv());
    const outcomes = await Promise.allSettled([
      catalog.commit([put(items, item(1), undefined)]),
      catalog.commit([big(2, 1_500_000)]),
      catalog.commit([put(items, item(3), undefined)]),
    ]);
    assert.deepEqual(
      outcomes.map(({ status }) => status),
      ['fulfilled', 'rejected', 'fulfilled'],
    );
    await assert.rejects(catalog.commit([big(2, 1_500_000)]), is('resource-exhausted'));
    await assert.rejects(
      catalog.commit(
        Array.from({ length: MAX_CHANGES_PER_COMMIT + 1 }, (_, i) => put(items, item(i), undefined)),
      ),
      /a commit of 128 changes/,
    );
    assert.equal(catalog.count(items), 2);
  });

  test('two changes of one record in a commit, or a change that moves a record, are faults of ours', async () => {
    const catalog = await open(new MemoryKv());
    await assert.rejects(
      catalog.commit([put(items, item(1), undefined), put(items, item(1), undefined)]),
      /two operations/,
    );
    const one = item(1);
    await catalog.commitSure([put(items, one, undefined)]);
    await assert.rejects(catalog.commit([put(items, item(2), one)]), /moves item\/2/);
    await catalog.commitSure([put(items, item(3), undefined)]);
  });

  test('a second opener fences the first one off for good', async () => {
    const kv = new MemoryKv();
    const first = await open(kv);
    await first.commitSure([put(items, item(1), undefined)]);
    const second = await open(kv);
    await assert.rejects(first.commit([put(items, item(2), undefined)]), is('service-unavailable'));
    await assert.rejects(first.commit([put(items, item(3), undefined)]), is('service-unavailable'));
    await second.commitSure([put(items, item(4), undefined)]);
    assert.deepEqual(
      [...second.all(items)].map(({ id }) => id),
      [1n, 4n],
    );
    assert.equal(first.count(items), 1);
  });

  test('of two openers at the same time at most one goes on', async () => {
    const kv = new MemoryKv();
    const opened = await Promise.allSettled([open(kv), open(kv)]);
    const results = await Promise.allSettled(
      opened.map((outcome, i) =>
        outcome.status === 'fulfilled'
          ? outcome.value.commit([put(items, item(i), undefined)])
          : Promise.reject(outcome.reason as Error),
      ),
    );
    assert.equal(results.filter(({ status }) => status === 'fulfilled').length, 1);
  });

  test('the high-water mark of the last commit is found again', async () => {
    const kv = new MemoryKv();
    let mark = 5n;
    const catalog = await open(kv, () => mark);
    assert.equal(catalog.recoveredHighWater, 0n);
    mark = 2n ** 62n;
    await catalog.commitSure([]);
    mark += 1n;
    await catalog.commitSure([put(items, item(1), undefined)]);
    assert.equal((await open(kv)).recoveredHighWater, 2n ** 62n + 1n);
  });

  for (const kind of ['error-before', 'error-after'] as const)
    test(`an unknown outcome (${kind}) closes the catalog for good, for those who wait too`, async () => {
      const kv = new FaultyKv(new MemoryKv());
      const catalog = await open(kv);
      kv.faults.next({ kind });
      const outcomes = await Promise.allSettled([
        catalog.commit([put(items, item(1), undefined)]),
        catalog.commit([put(items, item(2), undefined)]),
      ]);
      for (const outcome of outcomes)
        assert.ok(outcome.status === 'rejected' && is('service-unavailable')(outcome.reason));
      assert.ok(is('service-unavailable')(await catalog.failed));
      const writes = commitsOf(kv);
      await assert.rejects(catalog.commit([put(items, item(3), undefined)]), is('service-unavailable'));
      assert.equal(commitsOf(kv), writes);
      assert.equal(catalog.count(items), 0);
      assert.equal((await reopened(kv)).size, kind === 'error-after' ? 1 : 0);
    });

  test('a full disk rejects only the commits of that write; what was based on them is stale', async () => {
    const kv = new FaultyKv(new MemoryKv());
    const catalog = await open(kv);
    kv.faults.next({ kind: 'error-before', code: 'storage-full' });
    const first = item(1);
    const refused = catalog.commit([put(items, first, undefined)]);
    const based = catalog.commit([put(items, item(1, { name: 'later' }), first)]);
    const other = catalog.commit([put(items, item(2), undefined)]);
    await assert.rejects(refused, is('storage-full'));
    assert.equal(await based, 'stale');
    assert.equal(await other, 'committed');
    assert.deepEqual([...(await reopened(kv)).keys()], [2n]);
  });

  test('close ends the write under way and refuses what waits', async () => {
    const kv = new FaultyKv(new MemoryKv());
    const catalog = await open(kv);
    const running = catalog.commit([put(items, item(1), undefined)]);
    const waiting = catalog.commit([put(items, item(2), undefined)]);
    const refused = assert.rejects(waiting, is('service-unavailable'));
    const closing = catalog.close();
    assert.equal(await running, 'committed');
    await refused;
    await closing;
    await assert.rejects(catalog.commit([]), is('service-unavailable'));
    assert.deepEqual([...(await reopened(kv)).keys()], [1n]);
  });

  test('a table is not mixed up with one whose name begins like its own', async () => {
    const kv = new MemoryKv();
    const catalog = await open(kv);
    await catalog.commitSure([put(items, item(1), undefined), put(notes, { key: '1', n: 5 }, undefined)]);
    const again = await open(kv);
    assert.equal(again.count(items), 1);
    assert.deepEqual([...again.all(notes)], [{ key: '1', n: 5 }]);
  });

  test('a record that cannot be read, or of a newer version, stops the opening and names its key', async () => {
    for (const value of [Uint8Array.of(0xc1), encodeRecord(2, item(1)), new Uint8Array()]) {
      const kv = new MemoryKv();
      await kv.commit([{ kind: 'put', key: 'item/1', value }]);
      await assert.rejects(open(kv), (error) => is('data-integrity')(error) && /item\/1/.test(String(error)));
    }
  });

  test('R14: a changed bit of any stored record, of the mark and of the epoch stops the opening, and is named', async () => {
    const kv = new MemoryKv();
    const catalog = await open(kv);
    await catalog.commitSure([put(items, item(1), undefined), put(items, item(2), undefined)]);
    for (const { key, value } of await kv.range(''))
      for (let bit = 0; bit < value.length * 8; bit++) {
        const changed = Uint8Array.from(value, (byte, i) =>
          i === bit >> 3 ? byte ^ (1 << (bit & 7)) : byte,
        );
        await kv.commit([{ kind: 'put', key, value: changed }]);
        await assert.rejects(open(kv), (error) => is('data-integrity')(error) && String(error).includes(key));
        await kv.commit([{ kind: 'put', key, value }]);
      }
    assert.equal((await open(kv)).count(items), 2);
  });

  test('R14: a record that has gone, has come back as it was once, or lies under another key stops the opening', async () => {
    const kv = new MemoryKv();
    const catalog = await open(kv);
    const [first, second] = [item(1), item(2)];
    await catalog.commitSure([put(items, first, undefined), put(items, second, undefined)]);
    const old = await kv.get('item/1');
    const other = await kv.get('item/2');
    await catalog.commitSure([put(items, item(1, { name: 'later' }), first)]);
    const now = await kv.get('item/1');
    const at = (key: string, value: Uint8Array | undefined): KvOp =>
      value === undefined ? { kind: 'delete', key } : { kind: 'put', key, value };
    const names = (error: unknown) => is('data-integrity')(error) && /'item'/.test(String(error));
    for (const [harm, mend] of [
      [[at('item/1', undefined)], [at('item/1', now)]],
      [[at('item/1', old)], [at('item/1', now)]],
      [[at('item/3', old)], [at('item/3', undefined)]],
      [
        [at('item/2', undefined), at('item/4', other)],
        [at('item/2', other), at('item/4', undefined)],
      ],
    ] as const) {
      await kv.commit(harm);
      await assert.rejects(open(kv), names);
      await kv.commit(mend);
      assert.equal((await open(kv)).count(items), 2);
    }
    const mark = await kv.get('meta/high-water');
    await kv.commit([at('meta/high-water', undefined)]);
    await assert.rejects(open(kv), names);
    await kv.commit([at('meta/high-water', mark)]);
  });

  test('a table that was not opened keeps what it should hold; a commit refused by a full disk counts for nothing', async () => {
    const kv = new FaultyKv(new MemoryKv());
    const both = await open(kv);
    await both.commitSure([put(items, item(1), undefined), put(notes, { key: '1', n: 5 }, undefined)]);
    const catalog = await Catalog.open({ kv, tables: [items], highWater: () => 1n });
    kv.faults.next({ kind: 'error-before', code: 'storage-full' });
    await assert.rejects(catalog.commit([put(items, item(2), undefined)]), is('storage-full'));
    await catalog.commitSure([put(items, item(3), undefined)]);
    assert.equal((await open(kv)).count(items), 2);
  });

  test('whatever is put, changed and removed: rows, indexes and the stored state equal a plain model', async () => {
    const step = fc.record({
      id: fc.integer({ min: 0, max: 6 }),
      owner: fc.bigInt({ min: 0n, max: 2n }),
      tag: fc.option(fc.constantFrom('red', 'blue'), { nil: undefined }),
      isRemoval: fc.boolean(),
    });
    const holds = async (
      batches: readonly (readonly ReturnType<typeof item>[])[],
      removals: ReadonlySet<Item>,
    ) => {
      const kv = new MemoryKv();
      const catalog = await open(kv);
      const model = new Map<bigint, Item>();
      for (const batch of batches) {
        // Each step is based on the state the step before it leaves behind, while that one is still being written.
        const outcomes = await Promise.all(
          batch.map((next) => {
            const was = model.get(next.id);
            if (removals.has(next)) {
              if (was === undefined) return 'committed';
              model.delete(next.id);
              return catalog.commit([remove(items, was)]);
            }
            model.set(next.id, next);
            return catalog.commit([put(items, next, was)]);
          }),
        );
        assert.deepEqual(new Set(outcomes), new Set(['committed']));
        check(catalog, model);
      }
      assert.deepEqual(await reopened(kv), model);
      check(await open(kv), model);
    };
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(step, { minLength: 1, maxLength: 8 }), { maxLength: 6 }),
        async (batches) => {
          const removals = new Set<Item>();
          const states = batches.map((batch) =>
            batch.map(({ id, owner, tag, isRemoval }) => {
              const state = item(id, { owner, ...(tag !== undefined && { tag }) });
              if (isRemoval) removals.add(state);
              return state;
            }),
          );
          await holds(states, removals);
        },
      ),
      { seed: 11, numRuns: 120 },
    );
  });
});

function check(catalog: Catalog, model: ReadonlyMap<bigint, Item>): void {
  const sorted = (found: Iterable<Item>) => [...found].sort((a, b) => Number(a.id - b.id));
  const all = [...model.values()];
  assert.deepEqual(sorted(catalog.all(items)), sorted(all));
  assert.equal(catalog.count(items), model.size);
  for (const owner of [0n, 1n, 2n])
    assert.deepEqual(
      sorted(catalog.find(items, 'owner', owner)),
      sorted(all.filter((one) => one.owner === owner)),
    );
  for (const tag of ['red', 'blue'])
    assert.deepEqual(sorted(catalog.find(items, 'tag', tag)), sorted(all.filter((one) => one.tag === tag)));
}
