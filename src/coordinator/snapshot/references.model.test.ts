import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ManualClock } from '../../../tests/heart/manual-clock.ts';
import { Catalog, put, remove } from '../../catalog/catalog.ts';
import { MemoryKv } from '../../catalog/memory.ts';
import type { HybridTime } from '../../model/hybrid-time.ts';
import type { BuildId, CollectionId, SegmentId, SnapshotId } from '../../model/ids.ts';
import { snapshotMetadataKey } from '../../storage/keys.ts';
import { MemoryStore } from '../../storage/memory.ts';
import { parseJson } from '../../support/json.ts';
import { silentLog } from '../../support/log.ts';
import { coreTables } from '../tables.ts';
import { compareSegments } from './diff.ts';
import { contains, idList } from './id-list.ts';
import { scanIds } from './id-scan.ts';
import { SnapshotReferences } from './meta.ts';
import { encodeMetadata, type SnapshotMetadata } from './metadata.ts';
import { pins, type SnapshotRecord, snapshots } from './record.ts';

const COLLECTIONS = [1n as CollectionId, 2n as CollectionId];
const SEGMENTS = Array.from({ length: 8 }, (_, i) => BigInt(100 + i) as SegmentId);
const buildOf = (segmentId: SegmentId) => (segmentId + 1_000_000n) as BuildId;

/** What is true of a snapshot, whatever the index believes. */
interface Held {
  readonly collectionId: CollectionId;
  readonly ids: readonly SegmentId[];
  readonly protectedUntilMs: number;
  isLoaded: boolean;
  /** Whether its metadata can be read now. */
  isReadable: boolean;
}
type Model = Map<SnapshotId, Held>;

class World {
  readonly clock = new ManualClock();
  readonly store = new MemoryStore(() => 0);
  readonly catalog: Catalog;
  references: SnapshotReferences;

  private constructor(catalog: Catalog) {
    this.catalog = catalog;
    this.references = this.#fresh();
  }

  static async open(): Promise<World> {
    const tables = [...coreTables, snapshots, pins];
    return new World(await Catalog.open({ kv: new MemoryKv(), tables, highWater: () => 0n }));
  }

  #fresh(): SnapshotReferences {
    const { catalog, store, clock } = this;
    return new SnapshotReferences({ catalog, store, clock, log: silentLog, loadTimeoutMs: 1000 });
  }

  restart(): void {
    this.references.close();
    this.references = this.#fresh();
    this.references.recover();
  }

  key = (snapshotId: SnapshotId, collectionId: CollectionId) => snapshotMetadataKey(collectionId, snapshotId);

  async write(snapshotId: SnapshotId, { collectionId, ids, protectedUntilMs }: Held): Promise<void> {
    const metadata: SnapshotMetadata = {
      snapshot: { snapshotId, collectionId, name: 's', description: '', createTs: 1n as HybridTime },
      collection: {
        name: 'c',
        schema: { description: '', fields: [], enableDynamicField: false, version: 0 },
        shardsNum: 1,
        channels: ['c0'],
        consistencyLevel: 'Strong',
        properties: {},
      },
      partitions: [],
      indexes: [],
      segmentIds: ids,
      buildIds: ids.map(buildOf),
      manifests: ids.length === 0 ? [] : [{ key: 'm', sizeBytes: 1, crc32: 1, segmentCount: ids.length }],
    };
    const bytes = await encodeMetadata(metadata);
    const metadataKey = this.key(snapshotId, collectionId);
    const { crc32 } = await this.store.put(metadataKey, bytes);
    const record = {
      snapshotId,
      collectionId,
      name: `s${snapshotId}`,
      state: 'committed',
      metadataKey,
      metadataSizeBytes: bytes.length,
      metadataCrc32: crc32,
      compactionProtectedUntilMs: protectedUntilMs,
      segmentCount: ids.length,
      manifestCount: metadata.manifests.length,
    } as unknown as SnapshotRecord;
    await this.catalog.commitSure([put(snapshots, record, undefined)]);
  }
}

/** Computed anew from what is true. */
function check(model: Model, { references, clock }: World): void {
  const now = clock.nowMs();
  for (const collectionId of COLLECTIONS) {
    const of = [...model].filter(([, held]) => held.collectionId === collectionId);
    const isKnown = of.every(([, { isLoaded }]) => isLoaded);
    assert.equal(references.isLoaded(collectionId), isKnown);
    assert.equal(references.unknownCollections.has(collectionId), !isKnown);
    for (const segmentId of SEGMENTS) {
      const holders = of.filter(([, { ids }]) => ids.includes(segmentId));
      const loaded = holders.filter(([, { isLoaded }]) => isLoaded);
      assert.deepEqual(
        [...references.snapshotsOf(collectionId, segmentId)].sort(),
        loaded.map(([id]) => id).sort(),
      );
      const isNeeded = !isKnown || holders.length > 0;
      const isHeldAnywhere = [...model.values()].some(
        ({ ids, isLoaded }) => isLoaded && ids.includes(segmentId),
      );
      // Ids are unique over collections in the product; here they are shared, so more may be kept, never less.
      const isReferenced = references.isSegmentReferenced(collectionId, segmentId);
      assert.equal(isReferenced, isNeeded || isHeldAnywhere);
      assert.equal(references.isBuildReferenced(collectionId, buildOf(segmentId)), isReferenced);
      const isProtected = of.some(
        ([, held]) => now < held.protectedUntilMs && (!held.isLoaded || held.ids.includes(segmentId)),
      );
      assert.equal(references.isProtected(collectionId, segmentId), isProtected && isReferenced);
      assert.equal(
        references.countOf(segmentId),
        [...model.values()].filter(({ ids, isLoaded }) => isLoaded && ids.includes(segmentId)).length,
      );
    }
  }
  const unknown = [...model].filter(([, { isLoaded }]) => !isLoaded).map(([id]) => id);
  assert.deepEqual(references.unknown.map(({ snapshotId }) => snapshotId).sort(), unknown.sort());
}

class Step implements fc.AsyncCommand<Model, World> {
  readonly #name: string;
  readonly #run: (model: Model, world: World) => unknown;

  constructor(name: string, run: (model: Model, world: World) => unknown) {
    this.#name = name;
    this.#run = run;
  }

  check = () => true;

  async run(model: Model, world: World): Promise<void> {
    await this.#run(model, world);
    check(model, world);
  }

  toString = () => this.#name;
}

const snapshotId = fc.bigInt({ min: 1n, max: 6n }).map((n) => n as SnapshotId);
const protection = fc.constantFrom(0, 0, 500, 5000);

async function drop(model: Model, { catalog, references }: World, id: SnapshotId, at: 'together' | 'apart') {
  const record = catalog.get(snapshots, id);
  if (record === undefined) return;
  await catalog.commitSure([remove(snapshots, record)]);
  model.delete(id);
  const removed = references.remove(id);
  if (at === 'together') await references.remove(id);
  await removed;
}

const steps = [
  fc
    .tuple(
      snapshotId,
      fc.constantFrom(...COLLECTIONS),
      fc.shuffledSubarray(SEGMENTS),
      protection,
      fc.boolean(),
    )
    .map(
      ([id, collectionId, ids, forMs, isChecked]) =>
        new Step(`create ${id}`, async (model, world) => {
          if (model.has(id)) return;
          const protectedUntilMs = forMs === 0 ? 0 : world.clock.nowMs() + forMs;
          // The metadata lists segments in the order of the manifests, each once.
          const held: Held = { collectionId, ids, protectedUntilMs, isLoaded: true, isReadable: true };
          world.references.begin({
            snapshotId: id,
            collectionId,
            compactionProtectedUntilMs: protectedUntilMs,
          });
          if (isChecked) {
            // Until it is said what it holds, everything of the collection counts as needed.
            assert.ok(
              SEGMENTS.every((segmentId) => world.references.isSegmentReferenced(collectionId, segmentId)),
            );
          }
          await Promise.all([
            world.references.add(id, ids, ids.map(buildOf)),
            world.references.add(id, ids, ids.map(buildOf)),
          ]);
          await world.write(id, held);
          model.set(id, held);
        }),
    ),
  fc
    .tuple(snapshotId, fc.constantFrom('together' as const, 'apart' as const))
    .map(([id, at]) => new Step(`drop ${id}`, (model, world) => drop(model, world, id, at))),
  snapshotId.map(
    (id) =>
      new Step(`break ${id}`, async (model, { store, key }) => {
        const held = model.get(id);
        if (held === undefined) return;
        held.isReadable = false;
        await store.delete(key(id, held.collectionId));
      }),
  ),
  fc.constant(
    new Step('restart', (model, world) => {
      world.restart();
      for (const held of model.values()) held.isLoaded = false;
    }),
  ),
  fc.constantFrom(1, 3).map(
    (atOnce) =>
      new Step('load', async (model, { references }) => {
        await Promise.all([references.load(atOnce), references.load(atOnce)]);
        for (const held of model.values()) held.isLoaded ||= held.isReadable;
      }),
  ),
  fc.tuple(snapshotId, fc.constantFrom(1, 3)).map(
    ([id, atOnce]) =>
      new Step(`load while ${id} is dropped`, async (model, world) => {
        const loading = world.references.load(atOnce);
        await drop(model, world, id, 'apart');
        await loading;
        for (const held of model.values()) held.isLoaded ||= held.isReadable;
      }),
  ),
  fc.constant(new Step('600 ms', (_, { clock }) => clock.advance(600))),
];

test('I7: after any sequence of creates, drops, failed loads and restarts the reference index says what is computed anew', async () => {
  await fc.assert(
    fc.asyncProperty(fc.commands(steps, { maxCommands: 40, size: 'max' }), async (commands) => {
      await fc.asyncModelRun(async () => ({ model: new Map(), real: await World.open() }), commands);
    }),
    { seed: 1, numRuns: 60 },
  );
});

const ids = fc.array(
  fc.oneof(fc.bigInt({ min: 0n, max: 20n }), fc.bigInt({ min: 0n, max: 2n ** 63n - 1n })),
  { maxLength: 60 },
);

test('a list of ids is the set of what it was made of, in ascending order', async () => {
  await fc.assert(
    fc.asyncProperty(ids, fc.bigInt({ min: 0n, max: 25n }), async (given, other) => {
      const list = await idList(given);
      assert.deepEqual(
        [...list],
        [...new Set(given)].sort((a, b) => (a < b ? -1 : 1)),
      );
      for (const id of [...given, other]) assert.equal(contains(list, id), given.includes(id));
    }),
    { seed: 2, numRuns: 300 },
  );
});

test('ids scanned from text are what a JSON reader finds there, or nothing is', async () => {
  const piece = fc.constantFrom(
    '"',
    ',',
    ']',
    '0',
    '7',
    '123456789012345',
    '9223372036854775807',
    '-',
    ' ',
    '1.5',
  );
  await fc.assert(
    fc.asyncProperty(
      fc.oneof(
        ids.map((given) => `"${given.join('","')}"]`),
        fc.array(piece, { maxLength: 14 }).map((all) => all.join('')),
      ),
      async (text) => {
        const scanned = await scanIds(text, 0);
        if (scanned === undefined) return;
        assert.deepEqual((parseJson(`[${text.slice(0, scanned.end)}`) as string[]).map(BigInt), scanned.ids);
      },
    ),
    { seed: 3, numRuns: 500 },
  );
});

test('what a diff names, taken from the one snapshot and put to it, gives the other', async () => {
  const lists = fc.uniqueArray(fc.bigInt({ min: 1n, max: 30n }), { maxLength: 25 }) as fc.Arbitrary<
    SegmentId[]
  >;
  await fc.assert(
    fc.asyncProperty(lists, lists, async (from, to) => {
      const { added, removed, common } = await compareSegments(from, to);
      const applied = new Set(from.filter((_, at) => !removed.includes(at)));
      assert.equal(applied.size, common);
      for (const at of added) applied.add(to[at] as SegmentId);
      assert.deepEqual(applied, new Set([...applied].filter((id) => to.includes(id))));
      assert.equal(applied.size, to.length);
      const back = await compareSegments(to, from);
      assert.deepEqual([back.added, back.removed, back.common], [removed, added, common]);
      assert.deepEqual(await compareSegments(from, from), { added: [], removed: [], common: from.length });
    }),
    { seed: 4, numRuns: 300 },
  );
});
