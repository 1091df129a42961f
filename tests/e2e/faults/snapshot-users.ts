/** Who makes, drops, restores and drills snapshots while faults are made. */
import assert from 'node:assert/strict';
import type { MilvusClient } from '@zilliz/milvus2-sdk-node';
import { succeed } from '../fixture.ts';
import type { Chance } from './chance.ts';
import { type History, hashOf, type SnapshotOf, type State } from './history.ts';
import { readStates, rowOf, rowsOfState } from './rows.ts';
import { eventually, load, type Session } from './session.ts';
import { count, MAIN, nextVersion, type User } from './users.ts';

const MAX_SNAPSHOTS = 5;
const JOB_LIMIT_MS = 90_000;

export interface Kept extends SnapshotOf {
  fate: 'creating' | 'there' | 'dropping';
  /** Restores that read it. */
  users: number;
}

interface Job {
  readonly jobId: string;
  readonly state: 'pending' | 'executing' | 'completed' | 'failed';
  readonly reason: string;
  readonly progress: number;
  readonly purpose?: {
    readonly kind: string;
    readonly stage: string;
    readonly outcome?: { readonly isSame: boolean };
  };
  readonly snapshotName: string;
  readonly collectionName: string;
}

async function jobEnd(session: Session, jobId: string): Promise<Job> {
  return eventually(`job ${jobId} ends`, JOB_LIMIT_MS, async () => {
    const job = await session.ask<Job>('GET', `/restore-jobs/${jobId}`);
    return job.state === 'completed' || job.state === 'failed' ? job : undefined;
  });
}

async function completed(session: Session, jobId: string): Promise<Job> {
  const job = await jobEnd(session, jobId);
  assert.equal(job.state, 'completed', `job ${jobId} (${job.snapshotName}): ${job.reason}`);
  return job;
}

const jobsInto = async (session: Session, collection: string): Promise<readonly Job[]> =>
  (await session.ask<{ jobs: readonly Job[] }>('GET', `/restore-jobs?collection=${collection}&limit=1000`))
    .jobs;

/** Creates, pins and drops snapshots of the main collection. */
export class Keeper implements User {
  readonly name = 'keeper';
  readonly snapshots: Kept[] = [];
  readonly #history: History;
  readonly #chance: Chance;
  #number = 0;

  constructor(history: History, chance: Chance) {
    this.#history = history;
    this.#chance = chance;
  }

  there(): readonly Kept[] {
    return this.snapshots.filter(({ fate }) => fate === 'there');
  }

  async act(session: Session): Promise<void> {
    const cut = this.snapshots.find(({ fate }) => fate !== 'there');
    if (cut?.fate === 'creating') return this.#lookFor(session, cut);
    if (cut?.fate === 'dropping') return this.#drop(session, cut);
    const old = this.there().find(({ users }) => users === 0);
    if (old !== undefined && this.there().length >= MAX_SNAPSHOTS) return this.#drop(session, old);
    if (old !== undefined && this.#chance.maybe(0.2)) return this.#pin(session, old);
    await this.#create(session);
  }

  async #create(session: Session): Promise<void> {
    const name = `s${++this.#number}`;
    const kept: Kept = { name, sentAt: this.#history.tick(), fate: 'creating', users: 0 };
    this.snapshots.push(kept);
    const protect = this.#chance.maybe(0.2) ? { compaction_protection_seconds: 5 } : {};
    await succeed(session.client.createSnapshot({ collection_name: MAIN, snapshot_name: name, ...protect }));
    kept.answeredAt = this.#history.tick();
    await this.#describe(session, kept);
    count('snapshots created');
  }

  async #describe({ client }: Session, kept: Kept): Promise<void> {
    const { create_ts } = await succeed(
      client.describeSnapshot({ collection_name: MAIN, snapshot_name: kept.name }),
    );
    kept.ts = BigInt(create_ts);
    kept.fate = 'there';
    this.#history.checkTime(kept);
  }

  /** A create without an answer: it is there whole, or not at all. */
  async #lookFor(session: Session, kept: Kept): Promise<void> {
    const { snapshots } = await succeed(session.client.listSnapshots({ collection_name: MAIN }));
    if (snapshots.includes(kept.name)) {
      await this.#describe(session, kept);
      count('snapshots found after a lost answer');
      return;
    }
    assert.equal(kept.answeredAt, undefined, `snapshot ${kept.name} was answered and is not there`);
    this.#forget(kept);
  }

  async #drop({ client }: Session, kept: Kept): Promise<void> {
    kept.fate = 'dropping';
    await succeed(client.dropSnapshot({ collection_name: MAIN, snapshot_name: kept.name }));
    const { snapshots } = await succeed(client.listSnapshots({ collection_name: MAIN }));
    assert.ok(!snapshots.includes(kept.name), `dropped snapshot ${kept.name} is listed`);
    this.#forget(kept);
    count('snapshots dropped');
  }

  async #pin({ client }: Session, kept: Kept): Promise<void> {
    const { pin_id } = await succeed(
      client.pinSnapshotData({ collection_name: MAIN, snapshot_name: kept.name, ttl_seconds: 1 }),
    );
    const refused = await client.dropSnapshot({ collection_name: MAIN, snapshot_name: kept.name });
    assert.ok([2601, 0].includes(refused.code ?? 0));
    if ((refused.code ?? 0) === 0) kept.fate = 'dropping';
    await succeed(client.unpinSnapshotData({ pin_id }));
    count('pins');
  }

  #forget(kept: Kept): void {
    this.snapshots.splice(this.snapshots.indexOf(kept), 1);
  }
}

/** The rows of a copy are those of its snapshot, and the same whenever they are looked at. */
export function compareCopy(
  found: ReadonlyMap<number, State>,
  kept: Kept,
  history: History,
  where: string,
): void {
  const { ts } = kept;
  assert.ok(ts !== undefined);
  history.check(found, (block) => history.allowedAt(block, ts), where);
  const content = hashOf(found);
  kept.content ??= content;
  assert.equal(content, kept.content, `${where} is not what an earlier restore of ${kept.name} was`);
}

interface Work {
  readonly kept: Kept;
  readonly target: string;
  readonly mode: string;
  jobId?: string;
  isCompared?: true;
}

/** Restores into a new collection, by links or by bytes, compares every row, and drops it. */
export class Restorer implements User {
  readonly name = 'restorer';
  readonly #keeper: Keeper;
  readonly #history: History;
  readonly #chance: Chance;
  readonly #prefix: string;
  #number = 0;
  #work:
    | {
        readonly kept: Kept;
        readonly target: string;
        readonly mode: string;
        jobId?: string;
        isCompared?: true;
      }
    | undefined;

  constructor(keeper: Keeper, history: History, chance: Chance, prefix: string) {
    this.#keeper = keeper;
    this.#history = history;
    this.#chance = chance;
    this.#prefix = prefix;
  }

  get isIdle(): boolean {
    return this.#work === undefined;
  }

  async act(session: Session): Promise<void> {
    if (this.#work === undefined) {
      const there = this.#keeper.there();
      if (there.length === 0) return;
      const kept = this.#chance.pick(there);
      kept.users++;
      const mode = this.#chance.pick(['shared', 'physical']);
      this.#work = { kept, target: `${this.#prefix}${++this.#number}`, mode };
    }
    const work = this.#work;
    work.jobId ??= await this.#start(session, work);
    if (work.isCompared === undefined) await this.#compare(session, work, work.jobId);
    await this.#drop(session, work.target);
    work.kept.users--;
    this.#work = undefined;
    count(`restores (${work.mode})`);
  }

  async #start(
    session: Session,
    { kept, target, mode }: { kept: Kept; target: string; mode: string },
  ): Promise<string> {
    const [known] = await jobsInto(session, target);
    if (known !== undefined) return known.jobId;
    const from = encodeURIComponent(`default/${MAIN}/${kept.name}`);
    const to = encodeURIComponent(`default/${target}`);
    return (await session.ask<Job>('POST', `/restore?from=${from}&to=${to}&mode=${mode}`)).jobId;
  }

  async #compare(session: Session, work: Work, jobId: string): Promise<void> {
    await completed(session, jobId);
    await load(session.client, work.target);
    compareCopy(
      await readStates(session.client, work.target),
      work.kept,
      this.#history,
      `copy ${work.target}`,
    );
    work.isCompared = true;
  }

  async #drop({ client }: Session, collection_name: string): Promise<void> {
    const { value } = await succeed(client.hasCollection({ collection_name }));
    if (value) await succeed(client.dropCollection({ collection_name }));
  }
}

/** Tries out snapshots. */
export class Driller implements User {
  readonly name = 'driller';
  readonly #keeper: Keeper;
  readonly #chance: Chance;
  #work: { readonly kept: Kept; jobId?: string } | undefined;

  constructor(keeper: Keeper, chance: Chance) {
    this.#keeper = keeper;
    this.#chance = chance;
  }

  get isIdle(): boolean {
    return this.#work === undefined;
  }

  async act(session: Session): Promise<void> {
    if (this.#work === undefined) {
      const there = this.#keeper.there();
      if (there.length === 0) return;
      const kept = this.#chance.pick(there);
      kept.users++;
      this.#work = { kept };
    }
    const { kept } = this.#work;
    const snapshot = encodeURIComponent(`default/${MAIN}/${kept.name}`);
    this.#work.jobId ??= (await session.ask<Job>('POST', `/restore-drill?snapshot=${snapshot}`)).jobId;
    const { purpose } = await completed(session, this.#work.jobId);
    assert.equal(purpose?.outcome?.isSame, true, `drill of ${kept.name}`);
    kept.users--;
    this.#work = undefined;
    count('drills');
  }
}

export const PLACE = 'place';

/** Restores a collection in place, then keeps the restored one or goes back. Nobody else writes to it. */
export class Swapper implements User {
  readonly name = 'swapper';
  readonly #chance: Chance;
  #number = 0;
  #steps: ((session: Session) => Promise<void>)[] = [];
  #is: State = '';
  #restored: State = '';
  #jobId = '';

  constructor(chance: Chance) {
    this.#chance = chance;
  }

  get isIdle(): boolean {
    return this.#steps.length === 0;
  }

  async act(session: Session): Promise<void> {
    if (this.#steps.length === 0) this.#begin();
    const [step] = this.#steps;
    await step?.(session);
    this.#steps.shift();
    if (this.#steps.length === 0) count('restores in place, settled');
  }

  #begin(): void {
    const name = `p${++this.#number}`;
    const [before, later] = [nextVersion(), nextVersion()];
    const decision = this.#chance.pick(['confirm', 'revert']);
    const stateOf = (version: number) => rowsOfState(version, POSITIONS);
    this.#steps = [
      (session) => this.#write(session, before),
      (session) => this.#snapshot(session, name),
      (session) => this.#write(session, later),
      async (session) => {
        [this.#is, this.#restored] = [stateOf(later), stateOf(before)];
        this.#jobId = await this.#start(session, name);
      },
      async (session) => {
        const found = await readStates(session.client, PLACE);
        assert.ok([this.#is, this.#restored].includes(found.get(0) ?? ''), `place shows ${found.get(0)}`);
        await completed(session, this.#jobId);
        this.#expect(await readStates(session.client, PLACE), this.#restored, 'after the swap');
      },
      async (session) => void (await session.ask('POST', `/restore-jobs/${this.#jobId}/${decision}`)),
      async (session) =>
        this.#expect(
          await readStates(session.client, PLACE),
          decision === 'confirm' ? this.#restored : this.#is,
          `after ${decision}`,
        ),
      ({ client }) => dropSnapshot(client, PLACE, name),
    ];
  }

  #expect(found: ReadonlyMap<number, State>, state: State, where: string): void {
    assert.deepEqual([...found], [[0, state]], `${PLACE} ${where} of job ${this.#jobId}`);
  }

  /** May be repeated: the same rows again. */
  async #write({ client }: Session, version: number): Promise<void> {
    const data = POSITIONS.map((at) => rowOf(at, version)) as never;
    await succeed(client.upsert({ collection_name: PLACE, data }));
  }

  async #snapshot({ client }: Session, snapshot_name: string): Promise<void> {
    const { snapshots } = await succeed(client.listSnapshots({ collection_name: PLACE }));
    if (!snapshots.includes(snapshot_name))
      await succeed(client.createSnapshot({ collection_name: PLACE, snapshot_name }));
  }

  async #start(session: Session, name: string): Promise<string> {
    const known = (await jobsInto(session, PLACE)).find(
      (job) => job.snapshotName === name && job.purpose?.kind === 'in-place',
    );
    if (known !== undefined) return known.jobId;
    const snapshot = encodeURIComponent(`default/${PLACE}/${name}`);
    return (await session.ask<Job>('POST', `/restore-in-place?snapshot=${snapshot}`)).jobId;
  }
}

const POSITIONS = Array.from({ length: 200 }, (_, i) => i);

/** Whether or not it is there. */
async function dropSnapshot(
  client: MilvusClient,
  collection_name: string,
  snapshot_name: string,
): Promise<void> {
  await succeed(client.dropSnapshot({ collection_name, snapshot_name }));
}
