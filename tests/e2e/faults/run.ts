/** Rounds over one data directory: users at work, a fault at a random moment, a restart, and then everything is compared. */
import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { succeed } from '../fixture.ts';
import { Chance } from './chance.ts';
import { checkGarbage, checkSnapshots, filesBelow } from './checks.ts';
import { History } from './history.ts';
import { readStates, rowOf, rowsOfState } from './rows.ts';
import { eventually, killedStart, pause, Session } from './session.ts';
import { Driller, Keeper, PLACE, Restorer, Swapper } from './snapshot-users.ts';
import { Caretaker, count, createMain, MAIN, nextVersion, Reader, type User, Writer } from './users.ts';

/** Small segments, eager background work, no tolerance of garbage. */
const FLAGS = Object.entries({
  'dataCoord.segment.maxSize': 1,
  'dataCoord.segment.maxLife': 2,
  'indexCoord.segment.minSegmentNumRowsToEnableIndex': 200,
  'dataCoord.compaction.mix.triggerInterval': 0.5,
  'dataCoord.compaction.levelzero.forceTrigger.deltalogMinNum': 3,
  'dataCoord.import.maxSegmentsPerCopyTask': 2,
  'dataCoord.copySegmentCheckInterval': 0.5,
  'dataCoord.copySegmentTaskRetention': 300,
  'dataCoord.gc.interval': 1,
  'dataCoord.gc.dropTolerance': 0,
  'dataCoord.gc.missingTolerance': 0,
}).flatMap(([key, value]) => [`--${key}`, String(value)]);

const FAULTS = {
  kill: 9,
  'kill at start': 3,
  'stop, go on': 2,
  'stop, kill': 2,
  term: 3,
  'term twice': 2,
} as const;
type Fault = keyof typeof FAULTS;

const STOP_LIMIT_MS = 20_000;
/** A second signal ends the process at once: on a busy machine its threads take some seconds. */
const SECOND_TERM_LIMIT_MS = 8_000;
/** Every so many rounds all jobs are brought to their end, all snapshots verified, and storage compared with what is needed. */
const QUIET_EVERY = 3;
const MARK_BLOCK = 900;

export class FaultRun {
  readonly #seed: number;
  readonly #history = new History();
  readonly #keeper: Keeper;
  readonly #workers: readonly (User & { readonly isIdle: boolean })[];
  readonly #users: readonly User[];
  readonly #log: (text: string) => void;
  #dir = '';
  #session!: Session;

  constructor(seed: number, log: (text: string) => void = () => undefined) {
    this.#seed = seed;
    this.#log = log;
    const chance = new Chance(seed);
    const history = this.#history;
    const blocks = (first: number, of: number) => Array.from({ length: of }, (_, i) => first + i);
    this.#keeper = new Keeper(history, chance.fork(1));
    this.#workers = [
      new Restorer(this.#keeper, history, chance.fork(2), 'one'),
      new Restorer(this.#keeper, history, chance.fork(3), 'two'),
      new Driller(this.#keeper, chance.fork(4)),
      new Swapper(chance.fork(5)),
    ];
    this.#users = [
      new Writer(history, chance.fork(6), blocks(0, 12), 16),
      new Writer(history, chance.fork(7), blocks(12, 12), 16),
      new Writer(history, chance.fork(8), blocks(24, 3), 1000),
      new Reader(history, chance.fork(9)),
      new Reader(history, chance.fork(10)),
      new Caretaker(chance.fork(11)),
      this.#keeper,
      ...this.#workers,
    ];
  }

  async open(): Promise<void> {
    this.#dir = await mkdtemp(join(tmpdir(), 'tidemark-faults-'));
    await this.#start();
    const { client } = this.#session;
    await createMain(client, MAIN, 2);
    await createMain(client, PLACE, 1);
  }

  /** Kept when something was wrong, to be looked at. */
  async close(isRight: boolean): Promise<void> {
    await this.#session.kill();
    if (isRight) await rm(this.#dir, { recursive: true, force: true });
    else this.#log(`the data directory is kept: ${this.#dir}`);
  }

  async #start(): Promise<void> {
    const halfWritten = await this.#temporaries();
    this.#session = await Session.open(this.#dir, FLAGS);
    const left = await this.#temporaries();
    assert.deepEqual(
      halfWritten.filter((file) => left.includes(file)),
      [],
      'half-written files outlive a start',
    );
  }

  async #temporaries(): Promise<readonly string[]> {
    return filesBelow(join(this.#dir, 'objects', '.tmp')).catch(() => []);
  }

  async round(number: number): Promise<void> {
    const chance = new Chance(Math.imul(this.#seed, 7919) + number);
    const fault = chance.pick(Object.entries(FAULTS).flatMap(([kind, n]) => Array(n).fill(kind) as Fault[]));
    const started = Date.now();
    const session = this.#session;
    const using = Promise.all(this.#users.map((user) => this.#use(user, session)));
    // Whatever goes wrong without a fault ends the round at once.
    await Promise.race([using, pause(chance.int(0, 1500))]);
    count(`fault: ${fault}`);
    await this.#inflict(fault, chance);
    await using;
    this.#history.cutOff();
    if (this.#session.isGone) await this.#start();
    await this.#compare();
    if (number % QUIET_EVERY === 0) await this.#quiet();
    this.#log(`round ${number}: ${fault}, ${Date.now() - started} ms`);
  }

  async #use(user: User, session: Session): Promise<void> {
    while (!session.isOver)
      try {
        await user.act(session);
        await pause(1);
      } catch (error) {
        if (session.isDisturbed) return;
        session.isOver = true;
        throw new Error(`${user.name}, without any fault: ${String(error)}\n${session.server.printed()}`, {
          cause: error,
        });
      }
  }

  async #inflict(fault: Fault, chance: Chance): Promise<void> {
    const session = this.#session;
    const { server } = session;
    const signal = (name: NodeJS.Signals) => process.kill(server.pid, name);
    switch (fault) {
      case 'kill':
        return session.kill();
      case 'kill at start':
        await session.kill();
        for (let n = chance.int(1, 3); n > 0; n--) await killedStart(this.#dir, FLAGS, chance.int(20, 700));
        return;
      case 'stop, go on':
        for (let n = chance.int(1, 4); n > 0; n--) {
          signal('SIGSTOP');
          // Now and then for longer than any lease and tick of the server.
          await pause(chance.maybe(0.1) ? 12_000 : chance.int(50, 1500));
          signal('SIGCONT');
          await pause(chance.int(10, 300));
        }
        if (chance.maybe(0.5)) return session.kill();
        session.isOver = true;
        return;
      case 'stop, kill':
        signal('SIGSTOP');
        await pause(chance.int(10, 300));
        return session.kill();
      case 'term':
        assert.equal(await endIn(STOP_LIMIT_MS, session), 0, server.printed());
        return;
      case 'term twice': {
        const first = endIn(STOP_LIMIT_MS, session);
        await pause(chance.int(0, 100));
        const sent = Date.now();
        server.stop().catch(() => undefined);
        assert.ok([0, 1].includes((await first) ?? -1), `exit code ${await first}: ${server.printed()}`);
        const tookMs = Date.now() - sent;
        assert.ok(tookMs < SECOND_TERM_LIMIT_MS, `the second signal ended the process after ${tookMs} ms`);
      }
    }
  }

  /** Straight after a start: what was acknowledged is there. */
  async #compare(): Promise<void> {
    const session = this.#session;
    const history = this.#history;
    session.isOver = false;
    await eventually('the server is healthy', 30_000, async () =>
      (await session.ask<{ isHealthy: boolean }>('GET', '/healthz').catch(() => undefined))?.isHealthy
        ? true
        : undefined,
    );
    for (const collection_name of [MAIN, PLACE])
      await eventually(`${collection_name} is loaded`, 30_000, async () =>
        (await succeed(session.client.getLoadState({ collection_name }))).state === 'LoadStateLoaded'
          ? true
          : undefined,
      );
    const tick = history.tick();
    const found = await readStates(session.client, MAIN);
    history.check(found, (block) => history.allowedBetween(block, tick, tick), 'after the fault');
    const version = nextVersion();
    const mark = history.send(MARK_BLOCK, rowsOfState(version, [0]));
    const data = [rowOf(MARK_BLOCK * 10_000, version)] as never;
    const { timestamp } = await succeed(session.client.upsert({ collection_name: MAIN, data }));
    history.answered(mark, BigInt(timestamp));
    history.settle(found, BigInt(timestamp));
    while (this.#keeper.snapshots.some(({ fate }) => fate !== 'there')) await this.#keeper.act(session);
    const { snapshots } = await succeed(session.client.listSnapshots({ collection_name: MAIN }));
    assert.deepEqual(
      [...snapshots].sort(),
      this.#keeper.snapshots.map(({ name }) => name).sort(),
      'snapshots listed',
    );
    const oldest = this.#keeper.snapshots.reduce(
      (min, { ts }) => (ts !== undefined && ts < min ? ts : min),
      BigInt(timestamp),
    );
    history.prune(oldest);
  }

  async #quiet(): Promise<void> {
    for (const user of this.#workers) while (!user.isIdle) await user.act(this.#session);
    await checkSnapshots(this.#session, this.#keeper, this.#history);
    await checkGarbage(this.#session, this.#dir);
  }

  /** Everything goes, and nothing stays behind. */
  async end(): Promise<void> {
    await this.#quiet();
    const { client } = this.#session;
    for (const collection_name of [MAIN, PLACE]) await succeed(client.dropCollection({ collection_name }));
    await checkGarbage(this.#session, this.#dir);
    // Half-written files of threads that were cut off are not objects.
    const left = (await filesBelow(join(this.#dir, 'objects'))).filter((file) => !file.startsWith('.tmp/'));
    assert.equal(left.length, 1, `files left: ${left.join(', ')}`);
    assert.ok((await readdir(join(this.#dir, 'wal'))).length <= 2);
    assert.equal(await this.#session.stop(), 0);
    await this.#start();
  }
}

async function endIn(limitMs: number, session: Session): Promise<number | null> {
  const late = pause(limitMs).then(() => 'late' as const);
  const code = await Promise.race([session.stop(), late]);
  if (code !== 'late') return code;
  const printed = session.server.printed();
  await session.server.kill();
  throw new Error(`SIGTERM did not end the server within ${limitMs} ms:\n${printed}`);
}
