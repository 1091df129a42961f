import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { Catalog, put, remove, type TableSpec } from './catalog.ts';
import type { Kv } from './kv.ts';
import { LmdbKv } from './lmdb.ts';
import { MemoryKv } from './memory.ts';

interface Item {
  readonly id: bigint;
  readonly owner: bigint;
  readonly tag?: string;
}
const items: TableSpec<bigint, Item> = {
  name: 'item',
  version: 1,
  idOf: ({ id }) => id,
  indexes: { owner: ({ owner }) => owner, tag: ({ tag }) => tag },
};

type Model = Map<bigint, Item>;
interface Real {
  catalog: Catalog;
  highWater: bigint;
  readonly reopen: () => Promise<Catalog>;
}

class Step implements fc.AsyncCommand<Model, Real> {
  readonly #name: string;
  readonly #run: (model: Model, real: Real) => Promise<unknown>;

  constructor(name: string, run: (model: Model, real: Real) => Promise<unknown>) {
    this.#name = name;
    this.#run = run;
  }

  check = () => true;

  async run(model: Model, real: Real): Promise<void> {
    await this.#run(model, real);
    const sorted = (found: Iterable<Item>) => [...found].sort((a, b) => Number(a.id - b.id));
    const all = sorted(model.values());
    const { catalog } = real;
    assert.deepEqual(sorted(catalog.all(items)), all);
    assert.equal(catalog.count(items), model.size);
    for (const owner of [0n, 1n, 2n])
      assert.deepEqual(
        sorted(catalog.find(items, 'owner', owner)),
        all.filter((one) => one.owner === owner),
      );
    for (const tag of ['red', 'blue'])
      assert.deepEqual(
        sorted(catalog.find(items, 'tag', tag)),
        all.filter((one) => one.tag === tag),
      );
  }

  toString = () => this.#name;
}

const id = fc.bigInt({ min: 0n, max: 5n });
const next = fc.record({
  owner: fc.bigInt({ min: 0n, max: 2n }),
  tag: fc.option(fc.constantFrom('red', 'blue')),
});
const itemOf = (of: bigint, { owner, tag }: { readonly owner: bigint; readonly tag: string | null }): Item =>
  tag === null ? { id: of, owner } : { id: of, owner, tag };

const steps = [
  fc
    .uniqueArray(fc.tuple(id, next, fc.boolean()), { selector: ([of]) => of, minLength: 1, maxLength: 4 })
    .map(
      (changes) =>
        new Step(`commit of ${changes.map(([of]) => of)}`, async (model, { catalog }) => {
          const outcome = await catalog.commit(
            changes.flatMap(([of, how, isRemoval]) => {
              const was = catalog.get(items, of);
              return isRemoval
                ? was === undefined
                  ? []
                  : [remove(items, was)]
                : [put(items, itemOf(of, how), was)];
            }),
          );
          assert.equal(outcome, 'committed');
          for (const [of, how, isRemoval] of changes)
            if (isRemoval) model.delete(of);
            else model.set(of, itemOf(of, how));
        }),
    ),
  fc.tuple(id, id, next).map(
    ([of, other, how]) =>
      new Step(`stale commit of ${of}`, async (_model, { catalog }) => {
        // Equal, but not what was read: with it the whole commit counts for nothing.
        const wrong = { id: of, owner: 9n };
        const changes = [put(items, itemOf(of, how), wrong)];
        if (other !== of) changes.push(put(items, itemOf(other, how), catalog.get(items, other)));
        assert.equal(await catalog.commit(changes), 'stale');
      }),
  ),
  fc.tuple(id, fc.array(next, { minLength: 2, maxLength: 4 })).map(
    ([of, states]) =>
      new Step(`race for ${of}`, async (model, { catalog }) => {
        const was = catalog.get(items, of);
        const outcomes = await Promise.all(
          states.map((how) => catalog.commit([put(items, itemOf(of, how), was)])),
        );
        assert.deepEqual(
          outcomes,
          states.map((_, n) => (n === 0 ? 'committed' : 'stale')),
        );
        model.set(of, itemOf(of, states[0]!));
      }),
  ),
  fc.constant(
    new Step('reopen', async (_model, real) => {
      await real.catalog.close();
      real.catalog = await real.reopen();
      assert.ok(real.catalog.recoveredHighWater <= real.highWater);
    }),
  ),
];

for (const [adapter, place, numRuns] of [
  [
    'memory',
    async () => {
      const kv = new MemoryKv();
      return { open: async (): Promise<Kv> => kv, dispose: async () => undefined };
    },
    100,
  ],
  [
    'lmdb',
    async () => {
      const root = await mkdtemp(join(tmpdir(), 'tidemark-model-'));
      return {
        open: (): Promise<Kv> => LmdbKv.open(join(root, 'catalog')),
        dispose: () => rm(root, { recursive: true, force: true }),
      };
    },
    8,
  ],
] as const)
  test(`random commits, lost races and restarts over ${adapter} leave what a map holds, found by every index`, async () => {
    await fc.assert(
      fc.asyncProperty(fc.commands(steps, { maxCommands: 25, size: 'max' }), async (commands) => {
        const { open, dispose } = await place();
        let highWater = 0n;
        const reopen = async () =>
          Catalog.open({ kv: await open(), tables: [items], highWater: () => ++highWater });
        const real: Real = {
          catalog: await reopen(),
          get highWater() {
            return highWater;
          },
          reopen,
        };
        try {
          await fc.asyncModelRun(() => ({ model: new Map(), real }), commands);
        } finally {
          await real.catalog.close();
          await dispose();
        }
      }),
      { seed: 1, numRuns },
    );
  });
