/** What every client of the workload stands on: the model, chance, and calls whose errors need an excuse. */
import type { Coordinator } from '../../src/coordinator/api.ts';
import { copyJobs } from '../../src/coordinator/copy-segment/job.ts';
import { collections } from '../../src/coordinator/tables.ts';
import type { DbError } from '../../src/errors/db-error.ts';
import type { CollectionId } from '../../src/model/ids.ts';
import type { Random } from '../../src/support/random.ts';
import type { Life } from './life.ts';
import { at, type Coll, NAMES, passing } from './model.ts';
import { Oracle } from './oracle.ts';
import { check, Keeper, Violation } from './properties.ts';
import { Extras, markOf } from './rows.ts';
import type { Outcome, World } from './world.ts';

const READS: ReadonlySet<string> = new Set([
  'read',
  'filter',
  'page',
  'count',
  'search',
  'nearest',
  'ttl-read',
]);

export abstract class Clients {
  readonly world: World;
  readonly keeper: Keeper;
  readonly random: Random;
  readonly colls = new Set<Coll>();
  readonly spawned: Promise<void>[] = [];
  /** Steps by name. */
  readonly done = new Map<string, number>();
  protected readonly names = new Set<string>();
  /** A write or a snapshot that begins now is younger. */
  protected lastTs = 1n;
  /**
   * Highest timestamp of an acknowledged write: a read that begins now shows every write up to it. Those between it and `lastTs` may be
   * under way still.
   */
  protected acknowledgedTs = 1n;
  protected readonly extras = new Extras();
  protected number = 0;
  protected key = 0n;

  constructor(world: World) {
    this.world = world;
    this.random = world.random;
    this.keeper = new Keeper(world);
    world.onCompacted = () => this.done.set('compacted', (this.done.get('compacted') ?? 0) + 1);
    world.onDelete = (life, key) => this.keeper.deleting(life, key);
    world.onRestart = (life) => this.restarted(life);
  }

  /** A client of its own; what it throws ends the run. */
  protected spawn(work: Promise<void>): void {
    this.spawned.push(work);
    work.catch((error: unknown) => this.world.fail(error));
  }

  protected pause(ms: number): Promise<void> {
    return this.world.sleep(this.random.below(ms));
  }

  protected pick(isMeant: (coll: Coll) => boolean = () => true): Coll | undefined {
    const meant = [...this.colls].filter((c) => !c.isGone && c.restoring === undefined && isMeant(c));
    return meant[this.random.below(meant.length || 1)];
  }

  protected chance(percent: number): boolean {
    return this.random.below(100) < percent;
  }

  protected one<T>(of: readonly T[]): T | undefined {
    return of[this.random.below(of.length || 1)];
  }

  /** One call about `coll`; an error that nothing excuses is a violation. */
  protected async call<T>(
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
      const isPast = outcome.error.message.startsWith('the collection has no field');
      const excused = isPassing && (passing.has(outcome.error.code) || isPast);
      // A collection that could not be loaded again after a restart says so, and is tried again.
      const isReloading =
        READS.has(what) && outcome.error.code === 'collection-on-recovering' && world.disturbances > 0;
      if (!excused && !isReloading && !this.isFault(outcome.error))
        throw new Violation('exact', `${label} is refused: ${outcome.error.code}: ${outcome.error.message}`);
    }
    return outcome;
  }

  /** What faults may cause. */
  protected isFault({ retriable, code }: DbError): boolean {
    if (code === 'collection-on-recovering' || code === 'internal') return false;
    return retriable && (this.world.disturbances > 0 || code === 'resource-exhausted');
  }

  protected ask(life: Life): Coordinator {
    return life.planes.coordinator;
  }

  /** Above everything so far. */
  protected async timestamp(of?: Life): Promise<bigint> {
    for (;;) {
      const told = await this.world.ask(of ?? (await this.world.up()), (life) => this.ask(life).timestamp());
      if (told.is === 'ok') return told.value;
      await this.world.sleep(20);
    }
  }

  protected freeName(among: readonly string[] = NAMES): string | undefined {
    return this.one(among.filter((name) => !this.names.has(name)));
  }

  protected noteDone(what: string): void {
    this.done.set(what, (this.done.get(what) ?? 0) + 1);
  }

  /** It is gone, and its name is free. */
  protected forget(coll: Coll): void {
    if (coll.isGone) return;
    coll.isGone = true;
    coll.epoch++;
    this.colls.delete(coll);
    this.names.delete(coll.name);
  }

  protected model(
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
      capturing: 0,
      isPaused: false,
      flushedTs: 0n,
      definedTs: 0n,
      isBusy: false,
      epoch: 0,
      isGone: false,
      load: 'none',
      index: undefined,
      restoring: undefined,
      mayFail: [],
      since: this.world.since,
      extra: undefined,
      altered: 0,
      isTruncating: false,
    };
    this.colls.add(coll);
    this.names.add(name);
    return coll;
  }

  /** Its restore has failed, and whoever follows it has not looked yet. */
  protected hasFailed(life: Life, { restoring, id }: Coll): boolean {
    if (restoring === undefined) return false;
    const { catalog } = life.planes;
    const job = catalog.get(copyJobs, restoring);
    return job === undefined ? catalog.get(collections, id) === undefined : job.state === 'failed';
  }

  /** What was acknowledged is there after a restart; writes without an answer are over. */
  protected async restarted(life: Life): Promise<void> {
    const coordinator = this.ask(life);
    const now = await this.timestamp(life);
    check('exact', now > this.lastTs, () => `time went back: ${now} after ${this.lastTs}`);
    this.lastTs = now;
    this.acknowledgedTs = now;
    for (const coll of this.colls) {
      coll.oracle.endSent(now);
      if (coll.isBusy || coll.isGone || this.hasFailed(life, coll)) continue;
      const found = coordinator.describeCollection(at(coll.name)).collection;
      check('exact', found.collectionId === coll.id, () => `'${coll.name}' is another collection`);
      const { extra = { mark: markOf(found.schema) } } = coll;
      const mark = markOf(found.schema);
      check(
        'exact',
        mark === extra.mark,
        () => `after a restart ${coll.name} has extra field ${mark}, not ${extra.mark}`,
      );
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
}
