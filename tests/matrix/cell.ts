/** One damage to one object, and everything that meets it. */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { copyJobs } from '../../src/coordinator/copy-segment/job.ts';
import { copyTasks } from '../../src/coordinator/copy-segment/task.ts';
import { pins } from '../../src/coordinator/snapshot/record.ts';
import { coreTables } from '../../src/coordinator/tables.ts';
import { type DbError, isDbError } from '../../src/errors/db-error.ts';
import type { JobId } from '../../src/model/ids.ts';
import { classes, type ObjectClass } from './classes.ts';
import { type Damage, type Done, inflict, type Victim } from './damage.ts';
import { BESIDE, DAMAGED, named, OLD, SNAP, until, World } from './world.ts';

export const actions = [
  'verify',
  'restore shared',
  'restore physical',
  'in place, source loaded',
  'in place, source not loaded',
  'drill',
  'load of the source',
  'server start',
  'describe, list',
] as const;
export type Action = (typeof actions)[number];
/**
 * found: with its key and the right kind of damage. refused: not completed, or not loaded, the error names the object, nothing is left.
 * refused-copy: refused, but the object named is the copy that the restore had made of it, and that has gone with it.
 * named: works, and the report or the health names the object. unaffected: works, and every row is right. *-later: completed, because
 * nothing has read the object; the load of what was restored refuses it, or shows every row right.
 */
export type Outcome =
  | 'found'
  | 'refused'
  | 'refused-copy'
  | 'named'
  | 'unaffected'
  | 'refused-later'
  | 'right-later';

/** What may happen. Anything weaker than `refused` for a restore stands in the second branch, and so in `docs/corruption.md`. */
export function expected(name: ObjectClass, { manner }: Pick<Damage, 'manner'>, action: Action): Outcome {
  const { isLoaded, isDescription } = classes[name];
  const isSeen = manner !== 'rot' || isDescription;
  switch (action) {
    case 'verify':
      return 'found';
    case 'drill':
      return 'refused';
    case 'restore shared':
    case 'restore physical':
    case 'in place, source not loaded':
      if (isSeen) return 'refused';
      return isLoaded ? 'refused-later' : 'right-later';
    case 'in place, source loaded':
      if (isSeen) return 'refused';
      return isLoaded ? 'refused-copy' : 'right-later';
    case 'load of the source':
      return isLoaded ? 'refused' : 'unaffected';
    case 'server start':
      return isLoaded || name === 'snapshot-metadata' ? 'named' : 'unaffected';
    case 'describe, list':
      return 'named';
  }
}

const filesIn = (root: string): readonly string[] =>
  readdirSync(root, { recursive: true, encoding: 'utf8' })
    .filter((name) => !name.startsWith('.tmp') && /\.[a-z]+$/.test(name))
    .sort();

/** What the server and the store hold, ended jobs apart. */
function stateOf(world: World): unknown {
  const { catalog, coordinator } = world;
  const tables = coreTables.filter(({ name }) => name !== 'id-lease');
  return {
    objects: filesIn(world.disks.objects),
    records: tables.flatMap((table) =>
      [...catalog.all(table)].map((each: object) => `${table.name} ${table.idOf(each)}`),
    ),
    pins: catalog.count(pins),
    tasks: catalog.count(copyTasks),
    open: [...catalog.all(copyJobs)].filter(({ state }) => state === 'pending' || state === 'executing')
      .length,
    names: coordinator.listCollections('').map(({ collection }) => collection.name),
  };
}

export class Cell {
  readonly outcomes = new Map<Action, Outcome>();
  /** The one that runs now. */
  world: World;
  readonly #name: ObjectClass;
  readonly #victim: Victim;
  readonly #damage: Damage;
  readonly #rows: ReadonlyMap<bigint, string>;
  #done: Done | undefined;

  constructor(
    world: World,
    name: ObjectClass,
    victim: Victim,
    damage: Damage,
    rows: ReadonlyMap<bigint, string>,
  ) {
    this.world = world;
    this.#name = name;
    this.#victim = victim;
    this.#damage = damage;
    this.#rows = rows;
  }

  /** Answers the world that is running at the end: the server was started again, and nothing is damaged any more. */
  async run(): Promise<World> {
    const { objects } = this.world.disks;
    this.#done = await inflict(objects, this.#victim, this.#damage);
    try {
      await this.#verify();
      await this.#restore('restore shared', 'shared');
      await this.#restore('restore physical', 'physical');
      await this.#inPlace('in place, source loaded');
      await this.#drill();
      await this.#start();
      await this.#list();
      await this.#load();
      await this.#inPlace('in place, source not loaded');
    } finally {
      await this.#done.heal();
    }
    await this.#healed();
    return this.world;
  }

  get #wrong(): Done['wrong'] {
    assert(this.#done !== undefined);
    return this.#done.wrong;
  }

  #names(text: string): boolean {
    return [...this.#wrong.keys()].some((key) => text.includes(`'${key}'`));
  }

  /** Problems of a whole verification, by key. */
  async #problems(of: string, name: string): Promise<ReadonlyMap<string, string>> {
    const found = new Map<string, string>();
    const { signal } = new AbortController();
    for await (const step of this.world.coordinator.verifySnapshot({ at: named(of), name }, 1, signal))
      if (step.kind === 'problem') {
        assert.ok(step.detail.includes(step.key), step.detail);
        found.set(step.key, step.problem);
      }
    return found;
  }

  /** The snapshot shows what is wrong with it, and only that; those beside it are whole. */
  async #verify(): Promise<void> {
    const { twin } = this.#victim;
    const isTwinElsewhere = classes[this.#name].isDescription;
    const own = new Map([...this.#wrong].filter(([key]) => key !== twin || !isTwinElsewhere));
    assert.deepEqual(sorted(await this.#problems(DAMAGED, SNAP)), sorted(own));
    const others = new Map([...this.#wrong].filter(([key]) => !own.has(key)));
    assert.deepEqual(sorted(await this.#problems(DAMAGED, OLD)), sorted(others));
    assert.deepEqual(sorted(await this.#problems(BESIDE, SNAP)), []);
    this.outcomes.set('verify', 'found');
  }

  /** Undefined when it completed; otherwise why it did not, with everything as it was before. */
  async #refusal(start: () => Promise<JobId>): Promise<string | undefined> {
    const { coordinator, catalog } = this.world;
    const before = stateOf(this.world);
    let reason: string;
    try {
      const jobId = await start();
      await until('the end of the restore', () => {
        const job = catalog.get(copyJobs, jobId);
        return job?.state === 'completed' || (job?.state === 'failed' && job.isTidy);
      });
      const job = coordinator.restoreState(jobId);
      if (job.state === 'completed') return undefined;
      assert.equal(job.progress === 100, false);
      reason = job.reason;
    } catch (error) {
      if (!isDbError(error)) throw error;
      reason = error.message;
    }
    assert.deepEqual(stateOf(this.world), before, 'something is left of it');
    return reason;
  }

  #note(action: Action, refusal: string): void {
    assert.ok(this.#names(refusal), `${action} names no damaged object: ${refusal}`);
    this.outcomes.set(action, 'refused');
  }

  async #restore(action: Action, mode: 'shared' | 'physical'): Promise<void> {
    const { coordinator } = this.world;
    const target = named('target');
    const request = { source: named(DAMAGED), name: SNAP, target, mode };
    const refusal = await this.#refusal(() => coordinator.restoreSnapshot(request));
    if (refusal !== undefined) return this.#note(action, refusal);
    this.outcomes.set(action, (await this.#shown('target')) ? 'right-later' : 'refused-later');
    await coordinator.dropCollection(target);
  }

  /** False: its load is refused as damaged. Wrong rows fail the test. */
  async #shown(name: string): Promise<boolean> {
    const error = await this.world.coordinator.load(named(name)).then(
      () => undefined,
      (reason: DbError) => reason,
    );
    if (error === undefined) {
      assert.deepEqual(sorted(await this.world.rows(name)), sorted(this.#rows));
      return true;
    }
    assert.ok(isDbError(error, 'data-integrity'), String(error));
    assert.match(error.message, /object 'segments\//);
    return false;
  }

  async #inPlace(action: Action): Promise<void> {
    const { coordinator } = this.world;
    let jobId: JobId | undefined;
    const at = { at: named(DAMAGED), name: SNAP };
    const refusal = await this.#refusal(async () => {
      jobId = await coordinator.restoreInPlace(at);
      return jobId;
    });
    if (refusal !== undefined) {
      const isOfCopy = !this.#names(refusal) && /object 'segments\/\d+\//.test(refusal);
      if (!isOfCopy) return this.#note(action, refusal);
      this.outcomes.set(action, 'refused-copy');
      return;
    }
    assert(jobId !== undefined);
    this.outcomes.set(action, (await this.#shown(DAMAGED)) ? 'right-later' : 'refused-later');
    await coordinator.settleSwap(jobId, 'revert');
  }

  async #drill(): Promise<void> {
    const { coordinator } = this.world;
    const refusal = await this.#refusal(() => coordinator.drillRestore({ at: named(DAMAGED), name: SNAP }));
    assert.ok(refusal !== undefined, 'a drill completed over damage');
    if (!this.#names(refusal)) assert.fail(`a drill names no damaged object: ${refusal}`);
    this.outcomes.set('drill', 'refused');
  }

  /** The server starts whatever is damaged, serves what is not, and says which object is. */
  async #start(): Promise<void> {
    await this.world.close();
    this.world = await World.open(this.world.disks);
    const { coordinator } = this.world;
    const expectedNow = expected(this.#name, this.#damage, 'server start');
    assert.equal((await this.world.rows(BESIDE)).size, 12);
    if (expectedNow === 'unaffected')
      assert.deepEqual(sorted(await this.world.rows(DAMAGED)), sorted(this.#rows));
    else await until('the health', () => coordinator.health().reasons.some((each) => this.#names(each)));
    this.outcomes.set('server start', expectedNow);
  }

  /** As after a start, and again once it is known what is wrong. */
  async #list(): Promise<void> {
    const { coordinator } = this.world;
    const looks = async () => {
      assert.deepEqual(coordinator.listSnapshots(named(DAMAGED)), [OLD, SNAP]);
      assert.equal(coordinator.describeSnapshot(named(DAMAGED), SNAP).segmentCount, 5);
      await coordinator.snapshotReport({ at: named(BESIDE), name: SNAP });
      return coordinator.snapshotReport({ at: named(DAMAGED), name: SNAP });
    };
    await looks();
    await this.#verify();
    const { damage = '', content } = await looks();
    assert.ok(this.#names(damage), `the report names no damaged object: ${damage}`);
    assert.equal(content === undefined, classes[this.#name].isDescription);
    const beside = coordinator.snapshotReports('', BESIDE);
    assert.deepEqual(
      beside.map((each) => each.damage),
      [undefined],
    );
    this.outcomes.set('describe, list', 'named');
  }

  async #load(): Promise<void> {
    const { coordinator } = this.world;
    await coordinator.release(named(DAMAGED));
    const error = await coordinator.load(named(DAMAGED)).then(
      () => undefined,
      (reason: DbError) => reason,
    );
    if (error !== undefined) {
      assert.equal(coordinator.loadState(named(DAMAGED)).state, 'not-load');
      return this.#note('load of the source', error.message);
    }
    assert.deepEqual(sorted(await this.world.rows(DAMAGED)), sorted(this.#rows));
    this.outcomes.set('load of the source', 'unaffected');
    await coordinator.release(named(DAMAGED));
  }

  /** Nothing that met the damage is left of it. */
  async #healed(): Promise<void> {
    const { coordinator } = this.world;
    assert.deepEqual(sorted(await this.#problems(DAMAGED, SNAP)), []);
    assert.deepEqual(sorted(await this.#problems(DAMAGED, OLD)), []);
    await coordinator.load(named(DAMAGED));
    assert.deepEqual(sorted(await this.world.rows(DAMAGED)), sorted(this.#rows));
  }
}

const sorted = <K, V>(map: ReadonlyMap<K, V>): readonly (readonly [K, V])[] =>
  [...map].sort(([a], [b]) => (a < b ? -1 : 1));
