/** Seeded steps of several clients at once, each legal for what the model knows; the model is what their answers say. */
import type { Coordinator } from '../../src/coordinator/api.ts';
import { indexes } from '../../src/coordinator/tables.ts';
import type { DbError } from '../../src/errors/db-error.ts';
import type { CollectionId, JobId, PinId } from '../../src/model/ids.ts';
import type { Random } from '../../src/support/random.ts';
import type { Life } from './life.ts';
import { type Entries, Oracle } from './oracle.ts';
import { check, Keeper, keysOf, Violation } from './properties.ts';
import {
  deletesOf,
  fieldIdOf,
  inPartition,
  insertParts,
  type Row,
  rowsOf,
  rowText,
  schema,
  withoutPartition,
} from './rows.ts';
import type { Outcome, World } from './world.ts';

export interface Snap {
  readonly name: string;
  readonly ts: bigint;
  readonly partitions: readonly string[];
  /** Rows at `ts`, taken when the snapshot was made. */
  readonly source: Oracle;
  readonly pins: Map<PinId, number | undefined>;
  isBusy: boolean;
  restores: number;
}

export interface Coll {
  name: string;
  readonly id: CollectionId;
  readonly oracle: Oracle;
  readonly partitions: Set<string>;
  readonly snapshots: Map<string, Snap>;
  /** Calls under way that a drop of a partition must not meet. */
  inflight: number;
  isPaused: boolean;
  /** One change of its definition at a time. */
  isBusy: boolean;
  /** Goes up before and after everything that may fail other calls. */
  epoch: number;
  isGone: boolean;
  load: 'none' | 'loaded' | 'unknown';
  isIndexed: boolean;
  restoring: JobId | undefined;
}

const NAMES = ['ant', 'bee', 'cat', 'dog', 'elk', 'fox', 'gnu'];
const PARTITIONS = ['_default', 'p1', 'p2'];
const SNAPSHOTS = ['s1', 's2', 's3'];
/** What a collection that is going, moving or not there yet may answer. */
const passing: ReadonlySet<string> = new Set([
  'collection-not-found',
  'collection-not-loaded',
  'collection-on-recovering',
  'collection-duplicate',
  'partition-not-found',
  'snapshot-not-found',
  'index-not-found',
  'index-duplicate',
]);
const MAX_COLLECTIONS = 5;
const VERIFY_TRIES = 60;
export const at = (name: string) => ({ database: '', name });

export class Workload {
  readonly world: World;
  readonly keeper: Keeper;
  readonly random: Random;
  readonly colls = new Set<Coll>();
  /** Pins that outlived their collection. */
  readonly orphanPins = new Set<PinId>();
  readonly spawned: Promise<void>[] = [];
  /** Steps by name. */
  readonly done = new Map<string, number>();
  readonly #names = new Set<string>();
  #lastTs = 1n;
  #number = 0;
  #key = 0n;

  constructor(world: World) {
    this.world = world;
    this.random = world.random;
    this.keeper = new Keeper(world);
    world.onRestart = (life) => this.#restarted(life);
  }

  writer = async (steps: number): Promise<void> => {
    for (let i = 0; i < steps; i++) {
      await this.#pause(60);
      const coll = this.#pick((c) => !c.isPaused);
      if (coll !== undefined) await this.#write(coll);
    }
  };

  reader = async (steps: number): Promise<void> => {
    for (let i = 0; i < steps; i++) {
      await this.#pause(80);
      const coll = this.#pick((c) => c.load === 'loaded');
      if (coll !== undefined) await this.read(coll);
    }
  };

  definer = async (steps: number): Promise<void> => {
    for (let i = 0; i < steps; i++) {
      await this.#pause(120);
      if (this.colls.size < 2) await this.#create();
      else await this.#define();
      await this.keeper.kept();
    }
  };

  keeperOfSnapshots = async (steps: number): Promise<void> => {
    for (let i = 0; i < steps; i++) {
      await this.#pause(120);
      const coll = this.#pick();
      if (coll !== undefined) await this.#snapshotStep(coll);
      await this.keeper.kept();
    }
  };

  chaos = async (steps: number): Promise<void> => {
    for (let i = 0; i < steps; i++) {
      await this.#pause(500);
      await this.#disturb();
      await this.keeper.kept();
    }
  };

  #pause(ms: number): Promise<void> {
    return this.world.sleep(this.random.below(ms));
  }

  #pick(isMeant: (coll: Coll) => boolean = () => true): Coll | undefined {
    const meant = [...this.colls].filter((c) => !c.isGone && c.restoring === undefined && isMeant(c));
    return meant[this.random.below(meant.length || 1)];
  }

  #chance(percent: number): boolean {
    return this.random.below(100) < percent;
  }

  #one<T>(of: readonly T[]): T | undefined {
    return of[this.random.below(of.length || 1)];
  }

  /** One call about `coll`; an error that nothing excuses is a violation. */
  async #call<T>(
    what: string,
    coll: Coll | undefined,
    work: (life: Life) => Promise<T>,
    more = '',
  ): Promise<Outcome<T>> {
    const { world } = this;
    const before = coll?.epoch;
    this.done.set(what, (this.done.get(what) ?? 0) + 1);
    const label = coll === undefined ? what : `${what} ${coll.name}${more}`;
    const outcome = await world.call(label, work);
    if (outcome.is === 'error') {
      const isPassing = coll !== undefined && (coll.epoch !== before || coll.epoch % 2 === 1);
      const excused = isPassing && passing.has(outcome.error.code);
      // A collection that could not be loaded again after a restart says so, and is tried again.
      const isReloading =
        what === 'read' && outcome.error.code === 'collection-on-recovering' && world.disturbances > 0;
      if (!excused && !isReloading && !this.#isFault(outcome.error))
        throw new Violation('exact', `${label} is refused: ${outcome.error.code}: ${outcome.error.message}`);
    }
    return outcome;
  }

  /** What faults may cause. */
  #isFault({ retriable, code }: DbError): boolean {
    if (code === 'collection-on-recovering' || code === 'internal') return false;
    return retriable && (this.world.disturbances > 0 || code === 'resource-exhausted');
  }

  #ask(life: Life): Coordinator {
    return life.planes.coordinator;
  }

  #freeName(): string | undefined {
    return this.#one(NAMES.filter((name) => !this.#names.has(name)));
  }

  #model(
    name: string,
    id: CollectionId,
    oracle = new Oracle(),
    partitions: readonly string[] = ['_default'],
  ): Coll {
    const coll: Coll = {
      name,
      id,
      oracle,
      partitions: new Set(partitions),
      snapshots: new Map(),
      inflight: 0,
      isPaused: false,
      isBusy: false,
      epoch: 0,
      isGone: false,
      load: 'none',
      isIndexed: false,
      restoring: undefined,
    };
    this.colls.add(coll);
    this.#names.add(name);
    return coll;
  }

  /** What was acknowledged is there after a restart; writes without an answer are over. */
  async #restarted(life: Life): Promise<void> {
    const coordinator = this.#ask(life);
    const now = coordinator.timestamp();
    check('exact', now > this.#lastTs, () => `time went back: ${now} after ${this.#lastTs}`);
    this.#lastTs = now;
    for (const coll of this.colls) {
      coll.oracle.endSent(now);
      if (coll.isBusy || coll.isGone) continue;
      const found = coordinator.describeCollection(at(coll.name)).collection;
      check('exact', found.collectionId === coll.id, () => `'${coll.name}' is another collection`);
      const listed = new Set(coll.restoring === undefined ? coordinator.listSnapshots(at(coll.name)) : []);
      for (const snap of coll.snapshots.values())
        check(
          'exact',
          snap.isBusy || listed.has(snap.name),
          () => `snapshot ${snap.name} of ${coll.name} is lost`,
        );
    }
    await this.keeper.kept();
  }

  // Rows.

  async #write(coll: Coll): Promise<void> {
    const partition = this.#one([...coll.partitions]);
    if (partition === undefined) return;
    const known = coll.oracle.settledKeys();
    const kind = known.length === 0 ? 0 : this.random.below(10);
    const name = kind < 4 ? 'insert' : kind < 7 ? 'upsert' : 'delete';
    const count = 1 + this.random.below(kind < 2 ? 8 : 3);
    const keys = new Set<bigint>();
    for (let i = 0; i < count; i++)
      keys.add(name === 'insert' || this.#chance(10) ? ++this.#key : (this.#one(known) ?? ++this.#key));
    const rows = [...keys].map((key): Row => ({ key, number: ++this.#number }));
    const entries: Entries = rows.map((row) => ({
      key: row.key,
      value: name === 'delete' ? undefined : rowText(row, partition),
    }));
    const sent = coll.oracle.send(this.#lastTs, entries);
    coll.inflight++;
    const outcome = await this.#call(
      name,
      coll,
      async (life) => {
        const { collection, partitions } = this.#ask(life).requireReady(at(coll.name));
        const partitionId = partitions.find((p) => p.name === partition)?.partitionId;
        if (partitionId === undefined)
          throw new Violation('exact', `partition ${partition} of ${coll.name} is lost`);
        const parts = [
          ...(name === 'insert' ? [] : deletesOf([...keys], collection.channels)),
          ...(name === 'delete'
            ? []
            : insertParts(rows, collection.schema, collection.channels, partitionId)),
        ];
        const { plant } = this.world;
        return life.planes.streamingNode.write(coll.id, plant.write?.(parts) ?? parts);
      },
      ` ${partition} ${[...keys].join()}`,
    );
    coll.inflight--;
    if (outcome.is !== 'ok') return;
    coll.oracle.acknowledge(sent, outcome.value);
    if (outcome.value > this.#lastTs) this.#lastTs = outcome.value;
  }

  /** Every row, or those of one partition, against the oracle. Answers how it went. */
  async read(
    coll: Coll,
    partition = this.#chance(40) ? this.#one([...coll.partitions]) : undefined,
  ): Promise<Outcome<unknown>> {
    const { epoch } = coll;
    const from = this.#lastTs;
    const outcome = await this.#call('read', coll, async (life) => {
      const { collection, partitions } = this.#ask(life).requireReady(at(coll.name));
      const partitionId = partitions.find((p) => p.name === partition)?.partitionId;
      const batch = await life.planes.queryNode.query({
        collectionId: collection.collectionId,
        outputFields: schema.fields.map(({ name }) => fieldIdOf(collection.schema, name)),
        ...(partitionId === undefined ? {} : { partitionIds: [partitionId] }),
      });
      return { rows: rowsOf(batch, collection.schema), to: this.#ask(life).timestamp() };
    });
    if (outcome.is !== 'ok' || coll.epoch !== epoch || epoch % 2 === 1) return outcome;
    const { rows, to } = outcome.value;
    const show = partition === undefined ? withoutPartition : inPartition(partition);
    const wrong = coll.oracle.compareWithin(rows, from, to, show);
    check(
      'exact',
      wrong.length === 0,
      () => `read of ${coll.name}${partition ?? ''}: ${wrong.slice(0, 3).join('; ')}`,
    );
    return outcome;
  }

  // Definitions.

  async #create(): Promise<void> {
    const name = this.#freeName();
    if (name === undefined) return;
    this.#names.add(name);
    const request = {
      ...at(name),
      schema,
      shardsNum: 1 + this.random.below(3),
      consistencyLevel: 'Bounded' as const,
      properties: {},
    };
    const outcome = await this.#call('create', undefined, (life) =>
      this.#ask(life).createCollection(request),
    );
    const id = outcome.is === 'ok' ? outcome.value.collectionId : await this.#idOf(name);
    if (id === undefined) {
      this.#names.delete(name);
      return;
    }
    const coll = this.#model(name, id);
    if (this.#chance(80)) await this.#busy(coll, () => this.#loadUp(coll));
  }

  async #idOf(name: string): Promise<CollectionId | undefined> {
    const coordinator = this.#ask(await this.world.up());
    return coordinator.listCollections('').find(({ collection }) => collection.name === name)?.collection
      .collectionId;
  }

  async #define(): Promise<void> {
    const coll = this.#pick((c) => !c.isBusy);
    const draw = this.random.below(100);
    if (draw < 12 && this.colls.size < MAX_COLLECTIONS) await this.#create();
    else if (draw < 22) await this.#dropRestoring();
    else if (coll !== undefined) await this.#busy(coll, () => this.#change(coll, draw));
  }

  async #busy(coll: Coll, work: () => Promise<void>): Promise<void> {
    coll.isBusy = true;
    try {
      await work();
    } finally {
      coll.isBusy = false;
    }
  }

  async #change(coll: Coll, draw: number): Promise<void> {
    if (draw < 30) await this.drop(coll);
    else if (draw < 38) await this.#rename(coll);
    else if (draw < 48) await this.#createPartition(coll);
    else if (draw < 56) await this.#dropPartition(coll);
    else if (draw < 76) await this.#flush(coll);
    else if (draw < 90) await this.#loadUp(coll);
    else await this.#release(coll);
  }

  /** `work` may fail what others do with the collection. */
  async #shaking<T>(coll: Coll, work: () => Promise<T>): Promise<T> {
    coll.epoch++;
    try {
      return await work();
    } finally {
      coll.epoch++;
    }
  }

  async drop(coll: Coll): Promise<boolean> {
    return this.#shaking(coll, async () => {
      const outcome = await this.#call('drop', coll, (life) => this.#ask(life).dropCollection(at(coll.name)));
      if (outcome.is !== 'ok' && (await this.#idOf(coll.name)) !== undefined) return false;
      coll.isGone = true;
      coll.epoch++;
      this.colls.delete(coll);
      this.#names.delete(coll.name);
      for (const { pins } of coll.snapshots.values())
        for (const pinId of pins.keys()) this.orphanPins.add(pinId);
      return true;
    });
  }

  async #dropRestoring(): Promise<void> {
    const coll = [...this.colls].find((c) => c.restoring !== undefined && !c.isBusy && !c.isGone);
    if (coll !== undefined && this.#chance(40))
      await this.#busy(coll, async () => void (await this.drop(coll)));
  }

  async #rename(coll: Coll): Promise<void> {
    const name = this.#freeName();
    if (name === undefined) return;
    this.#names.add(name);
    await this.#shaking(coll, async () => {
      const outcome = await this.#call('rename', coll, (life) =>
        this.#ask(life).renameCollection(at(coll.name), name, ''),
      );
      const isDone = outcome.is === 'ok' || (await this.#idOf(name)) !== undefined;
      this.#names.delete(isDone ? coll.name : name);
      if (isDone) coll.name = name;
    });
  }

  async #partitionsOf(coll: Coll): Promise<readonly string[]> {
    const life = await this.world.up();
    return this.#ask(life)
      .describeCollection(at(coll.name))
      .partitions.map(({ name }) => name);
  }

  async #createPartition(coll: Coll): Promise<void> {
    const name = this.#one(PARTITIONS.filter((p) => !coll.partitions.has(p)));
    if (name === undefined) return;
    await this.#call('create-partition', coll, (life) =>
      this.#ask(life).createPartition(at(coll.name), name),
    );
    if ((await this.#partitionsOf(coll)).includes(name)) coll.partitions.add(name);
  }

  async #dropPartition(coll: Coll): Promise<void> {
    const name = this.#one([...coll.partitions].filter((p) => p !== '_default'));
    if (name === undefined) return;
    coll.isPaused = true;
    coll.partitions.delete(name);
    while (coll.inflight > 0) await this.world.sleep(20);
    await this.#shaking(coll, async () => {
      await this.#call('drop-partition', coll, (life) => this.#ask(life).dropPartition(at(coll.name), name));
      if ((await this.#partitionsOf(coll)).includes(name)) coll.partitions.add(name);
      else {
        const ts = this.#ask(await this.world.up()).timestamp();
        this.#lastTs = ts;
        coll.oracle.changeAll(ts, (value) => (value?.startsWith(`${name}\t`) === true ? undefined : value));
      }
    });
    coll.isPaused = false;
  }

  async #flush(coll: Coll): Promise<void> {
    const outcome = await this.#call('flush', coll, (life) => this.#ask(life).flush(coll.id));
    if (outcome.is !== 'ok' || this.#chance(50)) return;
    const { sealedIds } = outcome.value;
    this.spawned.push(this.#flushed(coll, sealedIds));
  }

  async #flushed(coll: Coll, sealedIds: Parameters<Coordinator['isFlushed']>[0]): Promise<void> {
    for (;;) {
      await this.world.sleep(100);
      const life = await this.world.up();
      if (coll.isGone || this.#ask(life).isFlushed(sealedIds)) return;
    }
  }

  /** Index, then load. */
  async #loadUp(coll: Coll): Promise<void> {
    if (!coll.isIndexed) {
      const type = this.#chance(70) ? 'HNSW' : 'FLAT';
      await this.#call('index', coll, (life) =>
        this.#ask(life).createIndex(at(coll.name), 'vec', '', {
          index_type: type,
          metric_type: 'L2',
          M: '4',
          efConstruction: '8',
        }),
      );
      coll.isIndexed = await this.#hasIndex(coll);
      if (!coll.isIndexed) return;
    }
    if (coll.load === 'loaded') return;
    const outcome = await this.#call('load', coll, (life) => this.#ask(life).load(at(coll.name)));
    if (outcome.is === 'ok') coll.load = 'loaded';
    else coll.load = (await this.#isLoaded(coll)) ? 'loaded' : 'none';
  }

  async #hasIndex(coll: Coll): Promise<boolean> {
    const life = await this.world.up();
    return indexCount(life, coll.id) > 0;
  }

  async #isLoaded(coll: Coll): Promise<boolean> {
    return this.#ask(await this.world.up()).describeCollection(at(coll.name)).collection.load === 'loaded';
  }

  async #release(coll: Coll): Promise<void> {
    await this.#shaking(coll, async () => {
      coll.load = 'unknown';
      await this.#call('release', coll, (life) => this.#ask(life).release(at(coll.name)));
      coll.load = (await this.#isLoaded(coll)) ? 'loaded' : 'none';
    });
  }

  // Snapshots.

  async #snapshotStep(coll: Coll): Promise<void> {
    const draw = this.random.below(100);
    const snap = this.#one([...coll.snapshots.values()].filter(({ isBusy }) => !isBusy));
    if (draw < 40 || snap === undefined) await this.snapshot(coll);
    else if (draw < 75) await this.restore(coll, snap);
    else if (draw < 85) await this.#dropSnapshot(coll, snap);
    else if (draw < 93) await this.#pin(coll, snap);
    else await this.#unpin(coll, snap);
  }

  async snapshot(coll: Coll, wanted?: string): Promise<Snap | undefined> {
    const name = wanted ?? this.#one(SNAPSHOTS.filter((s) => !coll.snapshots.has(s)));
    if (name === undefined || coll.isPaused) return undefined;
    const placeholder: Snap = { ...noSnap, name, source: coll.oracle, pins: new Map(), isBusy: true };
    coll.snapshots.set(name, placeholder);
    coll.inflight++;
    const from = this.#lastTs;
    const outcome = await this.#call('snapshot', coll, (life) =>
      this.#ask(life).createSnapshot({
        at: at(coll.name),
        name,
        description: '',
        compactionProtectionSeconds: 0,
      }),
    );
    coll.inflight--;
    const life = await this.#calm(coll);
    coll.snapshots.delete(name);
    if (coll.isGone) return undefined;
    const listed = this.#isListed(life, coll, name);
    check('exact', outcome.is !== 'ok' || listed, () => `snapshot ${name} of ${coll.name} is not listed`);
    if (!listed) return undefined;
    const { createTs, partitionNames } = this.#ask(life).describeSnapshot(at(coll.name), name);
    const to = this.#ask(life).timestamp();
    check(
      'exact',
      createTs >= from && createTs < to,
      () => `snapshot ${name} is of ${createTs}, not of ${from} to ${to}`,
    );
    if (to > this.#lastTs) this.#lastTs = to;
    const snap: Snap = { ...placeholder, ts: createTs, partitions: partitionNames, isBusy: false };
    coll.snapshots.set(name, snap);
    return snap;
  }

  /** Resolves when nobody shakes the collection, and the system is up. */
  async #calm(coll: Coll): Promise<Life> {
    for (;;) {
      const life = await this.world.up();
      if (coll.isGone || coll.epoch % 2 === 0) return life;
      await this.world.sleep(10);
    }
  }

  #isListed(life: Life, coll: Coll, name: string): boolean {
    return this.#ask(life).listSnapshots(at(coll.name)).includes(name);
  }

  async #dropSnapshot(coll: Coll, snap: Snap): Promise<void> {
    snap.isBusy = true;
    const nowMs = this.world.clock.nowMs();
    const isPinned = [...snap.pins.values()].some((endMs) => endMs === undefined || endMs >= nowMs + 60_000);
    const before = snap.restores;
    const outcome = await this.world.call(`drop-snapshot ${coll.name}/${snap.name}`, (life) =>
      this.#ask(life).dropSnapshot(at(coll.name), snap.name),
    );
    const mayBePinned = snap.pins.size > 0 || before > 0 || snap.restores > 0;
    if (outcome.is === 'error' && !(outcome.error.code === 'snapshot-pinned' && mayBePinned))
      await this.#excuse(coll, outcome.error, 'drop-snapshot');
    check(
      'kept',
      outcome.is !== 'ok' || !isPinned,
      () => `pinned snapshot ${snap.name} of ${coll.name} was dropped`,
    );
    const life = await this.#calm(coll);
    if (!coll.isGone && !this.#isListed(life, coll, snap.name)) coll.snapshots.delete(snap.name);
    snap.isBusy = false;
  }

  async #excuse(coll: Coll, error: DbError, what: string): Promise<void> {
    const isShaken = coll.epoch > 0 && passing.has(error.code);
    if (!isShaken && !this.#isFault(error))
      throw new Violation('exact', `${what} of ${coll.name} is refused: ${error.code}: ${error.message}`);
    await Promise.resolve();
  }

  async #pin(coll: Coll, snap: Snap): Promise<void> {
    const ttlSeconds = this.#chance(50) ? 0 : 100 + this.random.below(1000);
    const endMs = ttlSeconds === 0 ? undefined : this.world.clock.nowMs() + ttlSeconds * 1000;
    const pinned = await this.#call('pin', coll, (life) =>
      this.#ask(life).pinSnapshot(at(coll.name), snap.name, ttlSeconds),
    );
    if (pinned.is !== 'ok') return;
    snap.pins.set(pinned.value, endMs);
    if (coll.isGone) this.orphanPins.add(pinned.value);
  }

  async #unpin(coll: Coll, snap: Snap): Promise<void> {
    const pinId = this.#one([...snap.pins.keys()]);
    if (pinId === undefined) return;
    const endMs = snap.pins.get(pinId);
    // Until it is answered the pin may hold or not.
    snap.pins.set(pinId, 0);
    const outcome = await this.#call('unpin', coll, (life) => this.#ask(life).unpinSnapshot(pinId));
    if (outcome.is === 'ok') snap.pins.delete(pinId);
    else if (outcome.is === 'error') snap.pins.set(pinId, endMs === undefined ? 0 : Math.min(endMs, 0));
  }

  // Restores.

  /** Starts one; it is followed to its end by a client of its own. */
  async restore(coll: Coll, snap: Snap): Promise<Promise<void> | undefined> {
    const name = this.#freeName();
    if (name === undefined) return undefined;
    this.#names.add(name);
    snap.restores++;
    snap.isBusy = true;
    const rows = snap.source.at(snap.ts);
    const outcome = await this.#call('restore', coll, (life) =>
      this.#ask(life).restoreSnapshot({ source: at(coll.name), name: snap.name, target: at(name) }),
    );
    snap.isBusy = false;
    const found = await this.#restoreOf(name);
    const jobId = outcome.is === 'ok' ? outcome.value : found?.jobId;
    if (found === undefined || jobId === undefined) {
      check('exact', outcome.is !== 'ok', () => `restore ${name} was answered and is not there`);
      this.#names.delete(name);
      snap.restores--;
      return undefined;
    }
    const target = this.#model(name, found.collectionId, rows, snap.partitions);
    target.restoring = jobId;
    target.isIndexed = indexCount(await this.world.up(), target.id) > 0;
    const followed = this.#follow(target, jobId).finally(() => {
      snap.restores--;
    });
    this.spawned.push(followed);
    return followed;
  }

  async #restoreOf(
    name: string,
  ): Promise<{ jobId: JobId | undefined; collectionId: CollectionId } | undefined> {
    const life = await this.world.up();
    const found = this.#ask(life)
      .listCollections('')
      .find(({ collection }) => collection.name === name)?.collection;
    if (found === undefined) return undefined;
    const job = this.#ask(life).listRestoreJobs('', name).at(-1);
    return { jobId: found.restoreJobId ?? job?.jobId, collectionId: found.collectionId };
  }

  async #follow(target: Coll, jobId: JobId): Promise<void> {
    let progress = 0;
    for (;;) {
      const life = await this.world.up();
      const info = this.#ask(life).restoreState(jobId);
      check(
        'ends',
        info.progress >= progress,
        () => `progress of ${target.name} fell from ${progress} to ${info.progress}`,
      );
      progress = info.progress;
      check(
        'whole',
        (progress === 100) === (info.state === 'completed'),
        () => `${progress} % and ${info.state}`,
      );
      if (info.state === 'completed') break;
      if (info.state === 'failed') return this.#failed(target, info.reason);
      await this.#hidden(life, target);
      await this.world.sleep(30 + this.random.below(200));
    }
    await this.#verify(target);
  }

  #failed(target: Coll, reason: string): void {
    this.world.note(`restore ${target.name} failed: ${reason}`);
    if (target.isGone || target.epoch > 0) return;
    throw new Violation('ends', `restore ${target.name} failed: ${reason}`);
  }

  /** *whole*: a target cannot be read, loaded or captured before it is complete. Asked at one moment. */
  async #hidden(life: Life, target: Coll): Promise<void> {
    if (target.isGone || target.epoch % 2 === 1 || life.isOver) return;
    const coordinator = this.#ask(life);
    const isOpen = () =>
      ['pending', 'executing'].includes(coordinator.restoreState(target.restoring as JobId).state);
    const refused = async (what: string, work: () => Promise<unknown>): Promise<void> => {
      if (!isOpen()) return;
      const outcome = await this.world.ask(life, work);
      check(
        'whole',
        outcome.is !== 'ok' || !isOpen(),
        () => `${what} of ${target.name} before its restore is complete`,
      );
    };
    await refused('use', async () => coordinator.requireReady(at(target.name)));
    await refused('load', () => coordinator.load(at(target.name)));
    const request = { at: at(target.name), name: 'early', description: '', compactionProtectionSeconds: 0 };
    await refused('snapshot', () => coordinator.createSnapshot(request));
    const visible = isOpen() ? coordinator.rowCount(target.id) : 0;
    check(
      'whole',
      visible === 0,
      () => `${visible} rows of ${target.name} are counted before its restore is complete`,
    );
  }

  /** *exact*: partition by partition, every row as the source had it at the snapshot's moment. Then it is a collection like others. */
  async #verify(target: Coll): Promise<void> {
    while (target.isBusy) await this.world.sleep(20);
    target.isBusy = true;
    for (let tries = 1; !target.isGone; tries++) {
      check('ends', tries < VERIFY_TRIES, () => `restored ${target.name} cannot be read`);
      await this.#loadUp(target);
      if (target.load === 'loaded' && (await this.#isAllRead(target))) break;
      await this.world.sleep(1000);
    }
    target.isBusy = false;
    target.restoring = undefined;
    this.done.set('verified', (this.done.get('verified') ?? 0) + 1);
  }

  async #isAllRead(coll: Coll): Promise<boolean> {
    const seen = await this.#partitionsOf(coll);
    check(
      'exact',
      coll.isGone || [...coll.partitions].sort().join() === [...seen].sort().join(),
      () => `${coll.name} has partitions ${seen.join()}, not ${[...coll.partitions].join()}`,
    );
    for (const partition of [...coll.partitions, undefined])
      if ((await this.read(coll, partition)).is !== 'ok') return false;
    return true;
  }

  // Disturbances.

  async #disturb(): Promise<void> {
    const { world } = this;
    const draw = this.random.below(100);
    if (draw < 30) {
      const chance = 0.02 + this.random.next() * 0.15;
      world.setChances({ errorBefore: chance, errorAfter: chance / 2, delay: 0.3, maxDelayMs: 40 });
      await world.sleep(200 + this.random.below(3000));
      world.setChances({});
    } else if (draw < 42) world.crash();
    else if (draw < 57) world.crashSoon(60);
    else if (draw < 72) await world.disturbNode(200 + this.random.below(8000));
    else if (draw < 84) {
      const ms = 1000 + this.random.below(this.#chance(20) ? 7_200_000 : 90_000);
      world.note(`jump ${ms}`);
      world.disturbances++;
      world.clock.jump(ms);
    } else await this.collect();
  }

  /** A collection of garbage. */
  async collect(): Promise<void> {
    await this.#call('gc', undefined, async (life) => {
      await this.world.plant.gc?.(this.world);
      await life.planes.service.collector.pass();
    });
  }

  // The end.

  /** With faults gone: everything is read, captured, restored, compared once more; then nothing is left of what is dropped. */
  async teardown(): Promise<void> {
    const { world } = this;
    for (const coll of [...this.colls].slice(0, 3)) {
      await this.#loadUp(coll);
      check('ends', await this.#isAllRead(coll), () => `${coll.name} cannot be read with faults gone`);
      const snap = await this.snapshot(coll, 'last');
      check('ends', snap !== undefined, () => `no snapshot of ${coll.name} can be made`);
      if (snap !== undefined && this.colls.size < NAMES.length) await await this.restore(coll, snap);
    }
    await this.#collectAll();
    await this.keeper.clean();
    await this.keeper.kept();
    const pinIds = [
      ...this.orphanPins,
      ...[...this.colls].flatMap((c) => [...c.snapshots.values()].flatMap(({ pins }) => [...pins.keys()])),
    ];
    for (const pinId of pinIds)
      await this.#call('unpin', undefined, (life) => this.#ask(life).unpinSnapshot(pinId));
    for (const coll of [...this.colls])
      check('ends', await this.drop(coll), () => `${coll.name} cannot be dropped with faults gone`);
    await this.#collectAll();
    await this.keeper.clean();
    const left = await keysOf(world.disks);
    check('clean', left.length === 0, () => `objects left when everything is dropped: ${left.join(', ')}`);
    for (const name of NAMES.slice(0, 2)) {
      check('clean', !this.#names.has(name), () => `name ${name} is not free`);
      const request = {
        ...at(name),
        schema,
        shardsNum: 1,
        consistencyLevel: 'Bounded' as const,
        properties: {},
      };
      await this.#call('create', undefined, (life) => this.#ask(life).createCollection(request));
    }
  }

  async #collectAll(): Promise<void> {
    for (let pass = 0; pass < 3; pass++) {
      await this.world.sleep(3000);
      this.world.clock.jump(3_600_000);
      await this.collect();
    }
  }
}

const noSnap = { ts: 0n, partitions: [], restores: 0 } as const;

const indexCount = ({ planes }: Life, collectionId: CollectionId): number =>
  planes.catalog.find(indexes, 'collection', collectionId).length;
