/** One world for one case: the steps of the simulation, taken one by one. Snapshot calls go over the wire service. */
import type { Coordinator } from '../../src/coordinator/api.ts';
import { type CopyJob, copyJobs } from '../../src/coordinator/copy-segment/job.ts';
import { snapshots } from '../../src/coordinator/snapshot/record.ts';
import { filterOf } from '../../src/expr/check.ts';
import { filterOfKeys, primaryKeysOf, valuesOf } from '../../src/expr/primary-keys.ts';
import type { CollectionId, CompactionId, JobId, PinId, SegmentId, SnapshotId } from '../../src/model/ids.ts';
import { type CallContext, defaultLimits } from '../../src/proxy/context.ts';
import { service } from '../../src/proxy/service.ts';
import { rpcTypes } from '../../src/proxy/wire/descriptor.generated.ts';
import {
  decodeMessage,
  encodeMessage,
  type Outgoing,
  type RpcName,
  type Rpcs,
} from '../../src/proxy/wire/descriptor.ts';
import { silentLog } from '../../src/support/log.ts';
import type { Life } from '../sim/life.ts';
import { at, type Coll, type Snap, shownIn } from '../sim/model.ts';
import { check } from '../sim/properties.ts';
import { deletesOf, insertParts, type Row, rowText, schema } from '../sim/rows.ts';
import { Workload } from '../sim/workload.ts';
import type { Outcome, World } from '../sim/world.ts';
import type { Trigger } from './trigger.ts';

const WITHIN_TRIES = 400;
const QUIET_MS = 8000;
const NO_SEGMENT = 0n as SegmentId;

export class Stage extends Workload {
  readonly trigger: Trigger;

  constructor(world: World, trigger: Trigger) {
    super(world);
    this.trigger = trigger;
    trigger.life = () => world.life;
  }

  /** One call of the wire service. Throws what the server would make a status of. */
  async rpc<Name extends RpcName>(
    { planes, clock }: Life,
    rpc: Name,
    request: Outgoing<Rpcs[Name]['request']>,
  ): Promise<Rpcs[Name]['response']> {
    const call: CallContext = {
      ...planes,
      filters: { check: filterOf, ofKeys: filterOfKeys, primaryKeysOf, valuesOf },
      clock,
      log: silentLog,
      limits: defaultLimits,
      metadataDatabase: '',
      user: undefined,
    };
    const body = encodeMessage(rpcTypes[rpc].request, request);
    return decodeMessage(rpcTypes[rpc].response, await service[rpc].answer(body, call));
  }

  /** The coordinator, behind the wire service where that has the call. */
  #asked(life: Life): Coordinator {
    const { coordinator } = life.planes;
    const wired = this.#wired(life, coordinator);
    return new Proxy(coordinator, {
      get: (target, key) => {
        const own = Reflect.get(wired, key) as unknown;
        if (own !== undefined) return own;
        const value = Reflect.get(target, key, target) as unknown;
        return typeof value === 'function' ? (value.bind(target) as unknown) : value;
      },
    });
  }

  #wired(life: Life, coordinator: Coordinator): Partial<Coordinator> {
    return {
      createSnapshot: async ({ at: { name: collection_name }, name, description, ...more }) => {
        const compaction_protection_seconds = BigInt(more.compactionProtectionSeconds);
        const request = { collection_name, name, description, compaction_protection_seconds };
        await this.rpc(life, 'CreateSnapshot', request);
        return 0n as SnapshotId;
      },
      dropSnapshot: async ({ name: collection_name }, name) =>
        void (await this.rpc(life, 'DropSnapshot', { collection_name, name })),
      pinSnapshot: async ({ name: collection_name }, name, ttl) => {
        const request = { collection_name, name, ttl_seconds: BigInt(ttl) };
        return (await this.rpc(life, 'PinSnapshotData', request)).pin_id as PinId;
      },
      unpinSnapshot: async (pin_id) => void (await this.rpc(life, 'UnpinSnapshotData', { pin_id })),
      restoreSnapshot: async (asked) => {
        // The wire knows neither partitions nor modes.
        if (asked.mode !== undefined || asked.partitions !== undefined)
          return coordinator.restoreSnapshot(asked);
        const { source, name, target } = asked;
        const request = { collection_name: source.name, name, target_collection_name: target.name };
        return (await this.rpc(life, 'RestoreSnapshot', request)).job_id as JobId;
      },
    };
  }

  // Before the window.

  /** Rows in files, rows in the log, deletes of both, two partitions, an index, loaded. */
  async filled(name = 'ant', shardsNum = 2): Promise<Coll> {
    const coll = await this.made(name, shardsNum);
    await this.loadUp(coll);
    for (let i = 0; i < 6; i++) await this.write(coll);
    await this.flushNow(coll);
    await this.quiet();
    for (let i = 0; i < 5; i++) await this.write(coll);
    return coll;
  }

  /** Long enough for seals, compactions and index builds that nobody asked for, for a doomed process to be started again, for a lost node to be back. */
  async quiet(): Promise<void> {
    await this.world.sleep(QUIET_MS);
    await this.world.up();
  }

  async made(name: string, shardsNum = 1): Promise<Coll> {
    const request = { ...at(name), schema, shardsNum, consistencyLevel: 'Bounded' as const };
    const outcome = await this.call('create', undefined, (life) =>
      this.ask(life).createCollection({ ...request, properties: {} }),
    );
    if (outcome.is !== 'ok') throw new Error(`'${name}' could not be made`);
    const coll = this.model(name, outcome.value.collectionId);
    await this.createPartition(coll);
    return coll;
  }

  /** New rows with these keys, or their deletion. */
  async put(coll: Coll, keys: readonly bigint[], isDelete = false): Promise<void> {
    const rows = keys.map((key): Row => ({ key, number: ++this.number }));
    const value = (row: Row) => (isDelete ? undefined : rowText(row, '_default'));
    const sent = coll.oracle.send(
      this.lastTs,
      rows.map((row) => ({ key: row.key, value: value(row) })),
    );
    const outcome = await this.call(isDelete ? 'delete' : 'insert', coll, (life) => {
      const { collection, partitions } = this.ask(life).requireReady(at(coll.name));
      const { partitionId } = this.only(partitions.filter(({ name }) => name === '_default'));
      const parts = isDelete
        ? deletesOf(keys, collection.channels)
        : insertParts(rows, collection.schema, collection.channels, partitionId);
      return life.planes.streamingNode.write(coll.id, parts);
    });
    if (outcome.is !== 'ok') return;
    coll.oracle.acknowledge(sent, outcome.value);
    this.lastTs = outcome.value;
    this.acknowledgedTs = outcome.value;
  }

  async writes(coll: Coll, count: number): Promise<void> {
    for (let i = 0; i < count; i++) await this.write(coll);
  }

  async flushNow(coll: Coll): Promise<void> {
    const outcome = await this.call('flush', coll, (life) => this.ask(life).flush(coll.id));
    if (outcome.is === 'ok') await this.flushed(coll, outcome.value);
  }

  async surely<T>(work: Promise<T | undefined>, what: string): Promise<T> {
    const done = await work;
    if (done === undefined) check('ends', false, () => `${what} fails without a fault`);
    return done as T;
  }

  /** Without compaction protection. */
  async snapshotSurely(coll: Coll, name = 's1'): Promise<Snap> {
    this.luck = true;
    const snap = await this.surely(this.snapshot(coll, name), `a snapshot of ${coll.name}`);
    this.luck = undefined;
    return snap;
  }

  // Steps that clients keep to themselves.

  override ask(life: Life): Coordinator {
    return this.#asked(life);
  }
  override call<T>(what: string, coll: Coll | undefined, work: (life: Life) => Promise<T>) {
    return super.call(what, coll, work);
  }
  override begin(coll: Coll, snap: Snap, name: string, isWhole?: boolean) {
    return super.begin(coll, snap, name, isWhole);
  }
  override followed(target: Coll, snap: Snap) {
    return super.followed(target, snap);
  }
  override model(
    name: string,
    id: CollectionId,
    rows?: Coll['oracle'],
    partitions?: readonly string[],
  ): Coll {
    return super.model(name, id, rows, partitions);
  }
  override indexNow(coll: Coll) {
    return super.indexNow(coll);
  }
  override compacted(...of: [Life, CompactionId]) {
    return super.compacted(...of);
  }
  override compact(coll: Coll) {
    return super.compact(coll);
  }
  override dropSnapshot(coll: Coll, snap: Snap) {
    return super.dropSnapshot(coll, snap);
  }
  override loadUp(coll: Coll) {
    return super.loadUp(coll);
  }
  override release(coll: Coll) {
    return super.release(coll);
  }
  override forget(coll: Coll) {
    super.forget(coll);
  }
  override idOf(name: string) {
    return super.idOf(name);
  }
  override isAllRead(coll: Coll) {
    return super.isAllRead(coll);
  }
  override recordOf(life: Life, coll: Coll, name: string) {
    return super.recordOf(life, coll, name);
  }
  override dropPartition(coll: Coll) {
    return super.dropPartition(coll);
  }
  override drill(coll: Coll, snap: Snap) {
    return super.drill(coll, snap);
  }
  override cancel(target: Coll, jobId: JobId, times: number) {
    return super.cancel(target, jobId, times);
  }
  override collect() {
    return super.collect();
  }
  override pin(coll: Coll, snap: Snap) {
    return super.pin(coll, snap);
  }
  protected override chance(percent: number): boolean {
    return this.luck ?? super.chance(percent);
  }
  luck: boolean | undefined;

  /** A whole restore, as the shape says. */
  async beginWhole(coll: Coll, snap: Snap, name = 'bee'): Promise<Coll | undefined> {
    this.luck = false;
    const target = await this.begin(coll, snap, name, true);
    this.luck = undefined;
    return target;
  }

  /** Of one partition, by bytes. */
  async beginPart(coll: Coll, snap: Snap, partition: string, name = 'bee'): Promise<Coll | undefined> {
    this.names.add(name);
    snap.restores++;
    const { since } = this.world;
    const outcome = await this.call('restore', coll, (life) =>
      this.ask(life).restoreSnapshot({
        source: at(coll.name),
        name: snap.name,
        target: at(name),
        mode: 'physical',
        partitions: [partition],
      }),
    );
    const found = await this.restoreOf(name, outcome.is === 'ok' ? outcome.value : undefined);
    if (found === undefined) {
      check('exact', outcome.is !== 'ok', () => `restore ${name} was answered and is not there`);
      this.names.delete(name);
      snap.restores--;
      return undefined;
    }
    const rows = snap.source.at(snap.ts, shownIn({ partitions: [partition] }));
    return this.adopted(name, found, rows, [...new Set(['_default', partition])], since);
  }

  /** Nodes take work and do nothing, until they are told to go on, or the process dies. */
  holdNodes(): void {
    for (const node of this.world.nodes.values()) this.#held.push(node.hold());
  }
  letNodesGoOn(): void {
    for (const goOn of this.#held.splice(0)) goOn();
  }
  #held: (() => void)[] = [];

  /** The name is in use by what the model holds under it. */
  own(name: string): void {
    this.names.add(name);
  }

  async readSurely(coll: Coll): Promise<void> {
    for (let tries = 0; ; tries++) {
      check('ends', tries < WITHIN_TRIES, () => `${coll.name} cannot be read`);
      if (await this.isAllRead(coll)) return;
      await this.world.sleep(200);
    }
  }

  // What operations do, and what they look at.

  /** Asks until it is so. */
  async until(isSo: (life: Life) => boolean, what: string, everyMs = 100): Promise<void> {
    for (let tries = 0; ; tries++) {
      const life = await this.world.up();
      if (isSo(life)) return;
      check('ends', tries < WITHIN_TRIES, () => `it is never so: ${what}`);
      await this.world.sleep(everyMs);
    }
  }

  jobs(): readonly CopyJob[] {
    const { life } = this.world;
    return life.hasBegun && !life.isOver ? [...life.planes.catalog.all(copyJobs)] : [];
  }

  /** What is left of ended restores has been cleared away. */
  tidied(): Promise<void> {
    return this.until(
      () => this.jobs().every((job) => (job.state === 'completed' || job.state === 'failed') && job.isTidy),
      'every job has ended and is tidy',
    );
  }

  referencesKnown(coll: Coll): Promise<void> {
    return this.until(
      ({ planes }) => !planes.service.isSegmentReferenced(coll.id, NO_SEGMENT),
      `what snapshots of ${coll.name} need is known`,
    );
  }

  /** Nothing of dropped snapshots is left in the catalog. */
  removed(): Promise<void> {
    return this.until(
      ({ planes }) => [...planes.catalog.all(snapshots)].every(({ state }) => state === 'committed'),
      'dropped snapshots are removed',
    );
  }

  only<T>(of: Iterable<T>): T {
    const [first] = of;
    if (first === undefined) throw new Error('there is none');
    return first;
  }

  is<T>(outcome: Outcome<T>, what: string): T {
    if (outcome.is !== 'ok') {
      const why = outcome.is === 'error' ? `${outcome.error.code}: ${outcome.error.message}` : outcome.is;
      check('ends', false, () => `${what}, faults over: ${why}`);
      throw new Error('unreachable');
    }
    return outcome.value;
  }

  /** Everything is read, captured and compared in the life that met the fault, then nothing is left that nothing needs. */
  async stillRight(): Promise<void> {
    for (const coll of this.colls) {
      if (coll.load === 'loaded')
        check('ends', await this.isAllRead(coll), () => `${coll.name} cannot be read after the fault`);
      for (const snap of coll.snapshots.values()) await this.contentIsExact(coll, snap);
    }
    await this.keeper.kept();
    await this.collectAll();
    await this.keeper.clean();
    await this.keeper.kept();
  }
}
