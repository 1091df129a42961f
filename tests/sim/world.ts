/** The whole system in one process under one seed: disks that outlive crashes, virtual time, faults on command, and a trace of what happened. */
import type { Catalog } from '../../src/catalog/catalog.ts';
import { MemoryKv } from '../../src/catalog/memory.ts';
import { segments } from '../../src/coordinator/tables.ts';
import { DbError, isDbError, messageOf } from '../../src/errors/db-error.ts';
import type { NodeId } from '../../src/model/ids.ts';
import type { SegmentRecord } from '../../src/model/records.ts';
import { MemoryStore } from '../../src/storage/memory.ts';
import type { Log } from '../../src/support/log.ts';
import { type Random, seededRandom } from '../../src/support/random.ts';
import { MemoryWal } from '../../src/wal/memory.ts';
import type { Chances } from './faults.ts';
import { JobWatch } from './job-watch.ts';
import { Life, NODES, type Plan } from './life.ts';
import type { Since } from './model.ts';
import type { Plant } from './plants.ts';
import { type Shape, shapeOf } from './shape.ts';
import { SimClock } from './sim-clock.ts';

/** What a crash leaves. */
export interface Disks {
  readonly kv: MemoryKv;
  readonly store: MemoryStore;
  wal: MemoryWal;
}

export interface WorldOptions {
  readonly plant?: Plant;
  /** Lines of the product's own log go to the trace, for the eyes. */
  readonly verbose?: boolean;
  /** Instead of what the seed says. */
  readonly shape?: Partial<Shape>;
  /** Faults come from here alone: none by chance. */
  readonly plan?: Plan;
  /** A port was told to crash. Answers whether that is all: else the whole process dies. */
  readonly onStrike?: (port: string, life: Life) => boolean;
}

export type Outcome<T> =
  | { readonly is: 'ok'; readonly value: T }
  | { readonly is: 'error'; readonly error: DbError }
  /** The process died while it ran: it happened or not. */
  | { readonly is: 'lost' };

const never = (): AbortSignal => new AbortController().signal;
const WAL_FILE_BYTES = 4096;

export class World {
  readonly seed: number;
  readonly random: Random;
  readonly clock: SimClock;
  readonly disks: Disks;
  readonly plant: Plant;
  readonly shape: Shape;
  readonly jobs = new JobWatch();
  readonly trace: string[] = [];
  /** Calls that have no answer yet. */
  readonly open = new Set<string>();
  /** Faults injected, by kind. */
  readonly faults = new Map<string, number>();
  /** Goes up with every fault, crash and lost node: a call during which it stood still met none. */
  disturbances = 0;
  /** Goes up whenever a node stands still or time jumps: a job may time out. */
  standstills = 0;
  #stalled = 0;
  #life: Life | undefined;
  #up: Promise<void> = Promise.resolve();
  #isUp = true;
  #setUp: () => void = () => undefined;
  #chances: Chances = {};
  #isQuiet = false;
  readonly #verbose: boolean;
  readonly #plan: Plan | undefined;
  readonly #onStrike: (port: string, life: Life) => boolean;
  /** Runs after each start, before anybody else is let in. */
  onRestart: (life: Life) => Promise<void> = () => Promise.resolve();
  /** Told when a compaction has replaced segments. */
  onCompacted: () => void = () => undefined;
  /** Told before an object goes. */
  onDelete: (life: Life, key: string) => void = () => undefined;
  /** Rejects when the system does not start, or `onRestart` found it wrong. */
  readonly broken: Promise<never>;
  #break: (error: unknown) => void = () => undefined;

  private constructor(seed: number, options: WorldOptions) {
    this.seed = seed;
    this.random = seededRandom(seed);
    this.clock = new SimClock(seededRandom(seed ^ 0x5eed));
    this.plant = options.plant ?? {};
    this.shape = { ...shapeOf(seed), ...options.shape };
    this.#verbose = options.verbose ?? false;
    this.#plan = options.plan;
    this.#isQuiet = options.plan !== undefined;
    this.#onStrike = options.onStrike ?? (() => false);
    this.broken = new Promise((_, reject) => {
      this.#break = reject;
    });
    this.broken.catch(() => undefined);
    this.disks = {
      kv: new MemoryKv(),
      store: new MemoryStore(() => this.clock.nowMs()),
      wal: new MemoryWal({ sync: 'manual', fileBytes: WAL_FILE_BYTES }),
    };
  }

  static start(seed: number, options: WorldOptions = {}): World {
    const world = new World(seed, options);
    world.#down();
    world.#start();
    return world;
  }

  get life(): Life {
    if (this.#life === undefined) throw new Error('nothing runs');
    return this.#life;
  }

  /** What there was before now; a node that stands still is still to come. */
  get since(): Since {
    return {
      nowMs: this.clock.nowMs(),
      disturbances: this.disturbances,
      standstills: this.standstills - this.#stalled,
    };
  }

  readonly catalogNow = (): Catalog => this.life.planes.catalog;

  sleep(ms: number): Promise<void> {
    return this.clock.sleep(ms, never());
  }

  note(line: string): void {
    this.trace.push(`${this.clock.nowMs() - 1_000_000} ${line}`);
  }

  /** Resolves when the system can be asked. */
  async up(): Promise<Life> {
    for (;;) {
      await this.#up;
      if (this.#life !== undefined && !this.#life.isOver) return this.#life;
    }
  }

  /** One call to the system, as a client makes it. */
  async call<T>(name: string, work: (life: Life) => Promise<T>): Promise<Outcome<T>> {
    const life = await this.up();
    const call = `${name}, asked at ${this.clock.nowMs() - 1_000_000}`;
    this.open.add(call);
    const outcome = await this.ask(life, work);
    this.open.delete(call);
    const error =
      outcome.is === 'error' ? ` ${outcome.error.code}: ${outcome.error.message.slice(0, 90)}` : '';
    this.note(`${name} -> ${outcome.is}${error}`);
    return outcome;
  }

  /** As `call`, of a life that may not be open to others yet. Throws what is no `DbError`: a fault of ours. */
  async ask<T>(life: Life, work: (life: Life) => Promise<T>): Promise<Outcome<T>> {
    try {
      return { is: 'ok', value: await Promise.race([work(life), life.over]) };
    } catch (error) {
      // What a catalog write of unknown outcome did is known after the restart only.
      if (life.isDoomed) await life.over.catch(() => undefined);
      if (life.isOver) return { is: 'lost' };
      if (isDbError(error)) return { is: 'error', error };
      throw error;
    }
  }

  setChances(chances: Chances): void {
    this.#chances = this.#isQuiet ? {} : chances;
    this.#life?.setChances(this.#chances);
  }

  /** Faults end for good; a process that a fault has made unable to write is started again. */
  heal(): void {
    this.setChances({});
    this.#isQuiet = true;
    this.note('heal');
    this.crash();
  }

  /** The process dies now. Of the log's tail that was not durable a part may have reached the disk, torn or not. */
  crash(): void {
    const life = this.#life;
    if (life === undefined || life.isOver) return;
    life.end();
    this.count('crash');
    const keep = this.random.below(4);
    const tear = this.random.below(2) === 0;
    this.note(`crash keep=${keep} tear=${tear}`);
    this.disks.wal.crash({ keep, tear });
    // A writer has died in the middle.
    if (keep === 0) this.disks.store.leaveTemporary(`half-${this.clock.nowMs()}`, 10);
    this.#down();
    this.#start();
  }

  /** The next sync of the log fails. Reads and flushes go on until somebody notices. */
  breakLog(): void {
    const life = this.#life;
    if (life === undefined || life.isOver) return;
    this.count('log broken');
    this.note('log broken');
    life.wal.break();
    if (this.random.below(2) === 0) this.crashSoon(40);
    void this.#crashLater(life, 4000);
  }

  /** The process dies at one of the next calls to a store or the catalog, before or after its effect. */
  crashSoon(withinCalls: number): void {
    const life = this.#life;
    if (life === undefined || life.isOver) return;
    const ports = [life.kv.faults, life.store.faults];
    const port = ports[this.random.below(ports.length)];
    if (port === undefined) return;
    const hasEffect = this.random.below(2) === 0;
    port.at(port.calls.length + 1 + this.random.below(withinCalls), { kind: 'crash', hasEffect });
  }

  /** A node dies and another takes its place, or it is cut off for a while and goes on working. */
  async disturbNode(forMs: number): Promise<void> {
    const { life } = this;
    const nodeId = BigInt(1 + this.random.below(NODES)) as NodeId;
    const node = life.nodes.get(nodeId);
    if (node === undefined || life.isOver) return;
    const isDeath = this.random.below(2) === 0;
    this.count(isDeath ? 'node-lost' : 'node-cut');
    this.note(`node ${nodeId} ${isDeath ? 'dies' : 'is cut off'} for ${forMs}`);
    if (isDeath) life.loseNode(nodeId);
    else node.door.isCut = true;
    // As when a machine is suspended: what it was at goes on when others have long taken over.
    const goOn = !isDeath && this.random.below(2) === 0 ? node.store.hold() : undefined;
    await this.sleep(forMs);
    goOn?.();
    if (life.isOver) return;
    this.note(`node ${nodeId} is back`);
    if (isDeath) life.addNode(nodeId);
    else node.door.isCut = false;
  }

  /** A node takes work, renews its lease and does nothing; then it goes on where it stood. */
  async stallNode(forMs: number): Promise<void> {
    const { life } = this;
    const nodeId = BigInt(1 + this.random.below(NODES)) as NodeId;
    const node = life.nodes.get(nodeId);
    if (node === undefined || life.isOver) return;
    this.count('node-stalled');
    this.standstills++;
    this.#stalled++;
    this.note(`node ${nodeId} stands still for ${forMs}`);
    const goOn = node.store.hold();
    await this.sleep(forMs);
    this.standstills++;
    this.#stalled--;
    goOn();
    this.note(`node ${nodeId} goes on`);
  }

  /** Time goes on at once. */
  jump(ms: number): void {
    this.disturbances++;
    this.standstills++;
    this.clock.jump(ms);
  }

  /** One object is not what it was. Answers what it was. */
  async damage(key: string): Promise<Uint8Array> {
    const { store } = this.disks;
    const whole = await store.get(key);
    const draw = this.random.below(3);
    const flipped = Uint8Array.from(whole, (byte, i) => (i === whole.length >> 1 ? byte ^ 1 : byte));
    if (draw === 0) await store.delete(key);
    else await store.put(key, draw === 1 ? whole.slice(0, -1) : flipped);
    this.count('damage');
    this.note(`damage ${key}`);
    return whole;
  }

  count(kind: string): void {
    this.disturbances++;
    this.faults.set(kind, (this.faults.get(kind) ?? 0) + 1);
  }

  droppedSegments(): readonly SegmentRecord[] {
    return this.life.planes.catalog.find(segments, 'state', 'dropped');
  }

  /** Nothing of this world goes on. */
  end(): void {
    this.#life?.end();
    this.#down();
  }

  #down(): void {
    if (!this.#isUp) return;
    this.#isUp = false;
    this.#up = new Promise((resolve) => {
      this.#setUp = resolve;
    });
  }

  #start(): void {
    this.#bringUp().catch((error: unknown) => this.#break(error));
  }

  async #bringUp(): Promise<void> {
    for (let tries = 1; ; tries++) {
      if (this.#life !== undefined) {
        await this.sleep(10 + this.random.below(400));
        this.disks.wal = this.disks.wal.reopen();
      }
      const life = this.#newLife();
      this.#life = life;
      const started = await this.ask(life, () => life.start());
      if (life.isOver) return;
      if (started.is === 'ok') {
        this.note(`up after ${tries}`);
        await this.ask(life, () => this.onRestart(life));
        if (life.isOver) return;
        this.#isUp = true;
        this.#setUp();
        return;
      }
      if (started.is === 'error')
        this.note(`start failed ${started.error.code}: ${messageOf(started.error)}`);
      if (this.#isQuiet && tries > 3) throw new DbError('internal', 'a start fails without a fault');
      life.end();
      this.disks.wal.crash();
    }
  }

  #newLife(): Life {
    const life = new Life({
      disks: this.disks,
      clock: this.clock,
      random: this.random,
      plant: this.plant,
      shape: this.shape,
      isQuiet: () => this.#isQuiet,
      isSlow: () => this.shape.isSlow && !this.#isQuiet,
      watch: (look) => this.#watch(() => look(this.jobs)),
      log: this.#log(),
      plan: this.#plan,
      onCrash: (port) => {
        if (!this.#onStrike(port, life)) this.crash();
      },
      onCompacted: () => this.onCompacted(),
      onDelete: (key) => this.#watch(() => this.onDelete(life, key)),
      onDoom: () => void this.#crashLater(life, 1500),
      onLogBroken: () => void this.#crashLater(life, 4000),
      onFault: (what) => {
        const [port = '', kind = ''] = what.split(' ');
        this.count(`${port.replace(/\d/, '')} ${kind}`);
        this.note(`fault ${what}`);
      },
    });
    life.setChances(this.#chances);
    return life;
  }

  /** Somebody notices that the process can write no more, and starts it again. */
  async #crashLater(life: Life, withinMs: number): Promise<void> {
    await this.sleep(this.random.below(withinMs));
    if (this.#life === life) this.crash();
  }

  /** Ends the run. */
  fail(error: unknown): void {
    this.#break(error);
  }

  /** What it throws ends the run. */
  #watch(look: () => void): void {
    try {
      look();
    } catch (error) {
      this.#break(error);
    }
  }

  #log(): Log {
    const line = (level: string) => (event: string, fields?: Readonly<Record<string, unknown>>) => {
      if (!this.#verbose) return;
      const text = JSON.stringify(fields ?? {}, (_, value: unknown) =>
        typeof value === 'bigint'
          ? String(value)
          : value instanceof Error
            ? (value.stack ?? value.message)
            : value,
      );
      this.note(`${level} ${event} ${text}`);
    };
    return { debug: line('debug'), info: line('info'), warn: line('warn'), error: line('error') };
  }
}
