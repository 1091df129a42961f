import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ManualClock } from '../../../tests/heart/manual-clock.ts';
import { Catalog, put } from '../../catalog/catalog.ts';
import { MemoryKv } from '../../catalog/memory.ts';
import type { CollectionId, PinId, SnapshotId } from '../../model/ids.ts';
import { seededRandom } from '../../support/random.ts';
import { coreTables } from '../tables.ts';
import { overdueCreations } from './overdue.ts';
import { Pins } from './pins.ts';
import { pins as pinTable, type SnapshotRecord, snapshots } from './record.ts';
import { snapshotMachine } from './state.ts';

const IDS = [1n as SnapshotId, 2n as SnapshotId];
const snapshot = (snapshotId: SnapshotId, more: Partial<SnapshotRecord> = {}): SnapshotRecord =>
  ({
    snapshotId,
    collectionId: 5n as CollectionId,
    name: `s${snapshotId}`,
    state: 'committed',
    ...more,
  }) as SnapshotRecord;
const openCatalog = (kv: MemoryKv) =>
  Catalog.open({ kv, tables: [...coreTables, snapshots, pinTable], highWater: () => 0n });

interface Real {
  catalog: Catalog;
  pins: Pins;
  readonly clock: ManualClock;
  readonly kv: MemoryKv;
}
/** Pin to snapshot and the end of its time. */
type Model = Map<PinId, { readonly snapshotId: SnapshotId; readonly endMs: number }>;

class Step implements fc.AsyncCommand<Model, Real> {
  readonly #name: string;
  readonly #run: (model: Model, real: Real) => unknown;

  constructor(name: string, run: (model: Model, real: Real) => unknown) {
    this.#name = name;
    this.#run = run;
  }

  check = () => true;

  async run(model: Model, real: Real): Promise<void> {
    await this.#run(model, real);
    const { pins, clock, catalog } = real;
    const alive = [...model].filter(([, { endMs }]) => endMs >= clock.nowMs());
    const ids = (found: readonly { readonly pinId: PinId }[]) => found.map(({ pinId }) => pinId).sort();
    assert.deepEqual(ids(pins.allActive()), alive.map(([id]) => id).sort());
    for (const id of IDS) {
      const of = alive.filter(([, { snapshotId }]) => snapshotId === id).map(([pinId]) => pinId);
      assert.deepEqual(ids(pins.active(id)), of.sort());
      // I5.
      if (catalog.get(snapshots, id)?.state === 'deleting') assert.deepEqual(of, []);
    }
  }

  toString = () => this.#name;
}

const id = fc.constantFrom(...IDS);
const ttl = fc.constantFrom(undefined, 0, 1, 1000, 60_000);
const endOf = (clock: ManualClock, ttlMs: number | undefined) =>
  ttlMs === undefined ? Number.POSITIVE_INFINITY : clock.nowMs() + ttlMs;

const steps = [
  fc.tuple(id, ttl, fc.boolean()).map(
    ([of, ttlMs, isRaced]) =>
      new Step(
        `pin ${of}${isRaced ? ' while it is dropped' : ''}`,
        async (model, { catalog, pins, clock }) => {
          const record = catalog.get(snapshots, of);
          if (record?.state !== 'committed') return;
          const { pinId, changes } = pins.pinning(record, { kind: 'user' } as never, ttlMs);
          // Both read the same record: exactly one of them wins.
          const dropping =
            isRaced && pins.active(of).length === 0
              ? catalog.commit([
                  put(snapshots, { ...record, state: snapshotMachine.next('committed', 'drop') }, record),
                ])
              : undefined;
          const outcome = await catalog.commit(changes);
          assert.equal(outcome, (await dropping) === 'committed' ? 'stale' : 'committed');
          if (outcome === 'committed') model.set(pinId, { snapshotId: of, endMs: endOf(clock, ttlMs) });
        },
      ),
  ),
  fc.tuple(fc.nat(10), fc.integer({ min: 0, max: 5000 })).map(
    ([n, ttlMs]) =>
      new Step(`extend ${n}`, async (model, { catalog, pins, clock }) => {
        const active = pins.allActive();
        const pin = active[n % Math.max(1, active.length)];
        if (pin === undefined) return;
        const record = catalog.get(snapshots, pin.snapshotId) as SnapshotRecord;
        assert.equal(await catalog.commit(pins.extending(record, pin, ttlMs)), 'committed');
        model.set(pin.pinId, { snapshotId: pin.snapshotId, endMs: clock.nowMs() + ttlMs });
      }),
  ),
  fc.nat(10).map(
    (n) =>
      new Step(`release ${n}`, async (model, { pins }) => {
        const pinId = [...model.keys()][n % Math.max(1, model.size)];
        if (pinId === undefined) return;
        await Promise.all([pins.release(pinId), pins.release(pinId)]);
        model.delete(pinId);
      }),
  ),
  fc
    .constantFrom(1, 999, 1000, 70_000)
    .map((ms) => new Step(`${ms} ms`, (_, { clock }) => clock.advance(ms))),
  fc.constant(
    new Step('expire', async (model, { pins, clock, catalog }) => {
      await pins.expire();
      for (const [pinId, { endMs }] of model) if (endMs < clock.nowMs()) model.delete(pinId);
      assert.equal(catalog.count(pinTable), model.size, 'those whose time is over are forgotten, no others');
    }),
  ),
  fc.constant(
    new Step('restart', async (_model, real) => {
      real.catalog = await openCatalog(real.kv);
      real.pins = new Pins(real.catalog, real.clock, seededRandom(real.clock.nowMs()));
    }),
  ),
];

test('I5: any sequence of pins, races with drops, extensions, releases and time: active is what a list says, and no pinned snapshot is deleting', async () => {
  await fc.assert(
    fc.asyncProperty(fc.commands(steps, { maxCommands: 40, size: 'max' }), async (commands) => {
      const clock = new ManualClock();
      const kv = new MemoryKv();
      const catalog = await openCatalog(kv);
      await catalog.commitSure(IDS.map((of) => put(snapshots, snapshot(of), undefined)));
      const real: Real = { catalog, pins: new Pins(catalog, clock, seededRandom(3)), clock, kv };
      await fc.asyncModelRun(() => ({ model: new Map(), real }), commands);
    }),
    { seed: 1, numRuns: 80 },
  );
});

test('overdue are exactly the creations that began before the moment and have not ended', async () => {
  const record = fc.record({
    state: fc.constantFrom('pending' as const, 'committed' as const, 'deleting' as const),
    pendingAtMs: fc.integer({ min: 0, max: 100 }),
  });
  await fc.assert(
    fc.asyncProperty(
      fc.array(record, { maxLength: 12 }),
      fc.integer({ min: 0, max: 100 }),
      async (all, sinceMs) => {
        const catalog = await openCatalog(new MemoryKv());
        const made = all.map((more, n) => snapshot(BigInt(n + 1) as SnapshotId, more));
        if (made.length > 0) await catalog.commitSure(made.map((each) => put(snapshots, each, undefined)));
        const expected = made.filter(
          ({ state, pendingAtMs }) => state === 'pending' && pendingAtMs < sinceMs,
        );
        const told = overdueCreations(catalog, sinceMs);
        assert.equal(told.length, expected.length);
        for (const { name } of expected) assert.ok(told.some((line) => line.includes(`'${name}'`)));
      },
    ),
    { seed: 2, numRuns: 100 },
  );
});
