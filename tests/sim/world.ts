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
import type { FaultKind } from './fault-kinds.ts';
import type { Call, Chances } from './faults.ts';
import { JobWatch } from './job-watch.ts';
import { Life, type Plan } from './life.ts';
import type { Since } from './model.ts';
import type { Plant } from './plants.ts';
import { type Mode, plainShape, type Shape, shapeOf } from './shape.ts';
import { never, SimClock, START_MS } from './sim-clock.ts';
import { SimNode } from './sim-node.ts';
import { StaleListings } from './stale-listings.ts';

/** What a crash leaves. */
export interface Disks {
  readonly kv: MemoryKv;
  readonly store: MemoryStore;
  /** The same store, whose listings can be behind. */
  readonly listings: StaleListings;
  wal: MemoryWal;
}

export interface WorldOptions {
  readonly plant?: Plant;
  /** Lines of the product's own log go to the trace, for the eyes. */
  readonly verbose?: boolean;
  /** Absent: the seed says. */
  readonly mode?: Mode;
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

/** Chances when nobody has set others: calls take a moment now and then. */
const CALM: Chances = { delay: 0.15, maxDelayMs: 8 };
const GARBAGE_BYTES = 80;

/** The columns of the trace. */
export const TRACE_LEGEND = column('at ms', 'who', 'what', 'key', 'outcome');

function column(atMs: string, who: string, what: string, key: string, outcome: string): string {
  const start = `${atMs.padStart(9)} ${who.padEnd(6)} ${what.padEnd(20)}`;
  return `${start} ${key.padEnd(outcome === '' ? 0 : 26)} ${outcome}`.trimEnd();
}

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
  readonly faults = new Map<FaultKind, number>();
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
  #lives = 0;
  /** How wrong the coordinator's wall clock is. */
  #skewMs = 0;
  /** Data nodes that run. */
  readonly nodes = new Map<NodeId, SimNode>();
  #lastNodeId: bigint;
  readonly #verbose: boolean;
  readonly #plan: Plan | undefined;
  readonly #onStrike: (port: string, life: Life) => boolean;
  /** Of data nodes that run or are to come back. */
  readonly #members = new Set<NodeId>();
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
    const plain = options.plan === undefined ? {} : plainShape;
    this.shape = { ...shapeOf(seed, options.mode), ...plain, ...options.shape };
    this.#plan = options.plan;
    this.#isQuiet = options.plan !== undefined;
    this.#onStrike = options.onStrike ?? (() => false);
    this.#lastNodeId = BigInt(this.shape.nodes);
    this.#verbose = options.verbose ?? false;
    this.broken = new Promise((_, reject) => {
      this.#break = reject;
    });
    this.broken.catch(() => undefined);
    const nowMs = () => this.clock.nowMs();
    const store = new MemoryStore(nowMs);
    this.disks = {
      kv: new MemoryKv(),
      store,
      listings: new StaleListings(store, nowMs, seededRandom(seed ^ 0x115)),
      wal: new MemoryWal({ sync: 'manual', fileBytes: this.shape.walFileBytes }),
    };
    for (let n = 1; n <= this.shape.nodes; n++) this.#addNode(BigInt(n) as NodeId);
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

  /** What others' wall clocks may be apart from the true time, twice: one of a reading then and one of a reading now. */
  get slackMs(): number {
    return 2 * this.shape.maxSkewMs;
  }

  readonly catalogNow = (): Catalog => this.life.planes.catalog;

  sleep(ms: number): Promise<void> {
    return this.clock.sleep(ms, never());
  }

  note(line: string): void {
    const [what = '', ...rest] = line.split(' ');
    this.event('sim', what, rest.join(' '));
  }

  /** One line of the trace. */
  event(who: string, what: string, key: string, outcome = ''): void {
    this.trace.push(column(String(this.clock.nowMs() - START_MS), who, what, key, outcome));
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
    const call = `${name}, asked at ${this.clock.nowMs() - START_MS}`;
    this.open.add(call);
    const outcome = await this.ask(life, work);
    this.open.delete(call);
    const error =
      outcome.is === 'error' ? ` ${outcome.error.code}: ${outcome.error.message.slice(0, 90)}` : '';
    const [what = '', ...key] = name.split(' ');
    this.event('client', what, key.join(' '), `${outcome.is}${error}`);
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
    this.#spread();
  }

  /** Everybody has the chances that are set. */
  #spread(): void {
    const calls = { ...CALM, ...this.#chances };
    this.#life?.setChances(calls);
    const isSlow = this.shape.isSlow && !this.#isQuiet;
    for (const node of this.nodes.values()) node.setChances({ calls, isSlow, isQuiet: this.#isQuiet });
  }

  /** Faults end for good; a process that a fault has made unable to write is started again, and so is everything that stands still. */
  heal(): void {
    this.#isQuiet = true;
    this.setChances({});
    this.#setSkew(0);
    this.note('heal');
    this.crash('all');
    const [first] = this.nodes.keys();
    if (!this.shape.isCoreOnly || first === undefined || this.nodes.size < 2) return;
    this.tell('node gone-for-good');
    this.loseNode(first);
  }

  /**
   * The coordinator's process dies now, and perhaps all data nodes. Of the log's tail that was not durable a part may have reached the disk, in
   * any order, cut at any byte, with garbage behind.
   */
  crash(of: 'all' | 'coordinator' = this.random.below(2) === 0 ? 'all' : 'coordinator'): void {
    const life = this.#life;
    if (life === undefined || life.isOver) return;
    life.end();
    this.count(of === 'all' ? 'crash all' : 'crash coordinator');
    this.#tearLog();
    // A writer has died in the middle.
    if (this.random.below(4) === 0) {
      this.disks.store.leaveTemporary(`half-${this.clock.nowMs()}`, 10);
      this.tell('temporary');
    }
    if (of === 'all') {
      for (const nodeId of this.nodes.keys()) this.loseNode(nodeId);
      for (const nodeId of this.#members) this.#addNode(nodeId);
    }
    if (this.shape.maxSkewMs > 0 && !this.#isQuiet && this.random.below(3) === 0) {
      const behindMs = Math.max(
        -this.shape.maxSkewMs,
        this.#skewMs - 1 - this.random.below(this.shape.maxSkewMs),
      );
      if (behindMs < this.#skewMs) this.tell('clock behind');
      this.#setSkew(behindMs);
    }
    this.#down();
    this.#start();
  }

  #tearLog(): void {
    const { wal } = this.disks;
    const lengths = wal.unsynced;
    const hasHole = lengths.length > 1 && this.random.below(2) === 0;
    const keep = this.random.below(hasHole ? lengths.length - 1 : lengths.length + 1);
    const torn = lengths[keep];
    if (keep > 0) this.tell('log kept');
    if (torn === undefined || (!hasHole && this.random.below(8) === 0)) {
      this.event('disk', 'crash', '', `keep=${keep} of ${lengths.length}`);
      wal.crash({ keep });
      return;
    }
    const tear = this.random.below(torn + 1);
    const garbage = Uint8Array.from({ length: this.random.below(GARBAGE_BYTES) }, () =>
      this.random.below(256),
    );
    const hasGarbage = this.random.below(2) === 0 && garbage.length > 0;
    if (tear > 0) this.tell('log torn');
    if (hasGarbage) this.tell('log garbage');
    if (hasHole) this.tell('log hole');
    this.event(
      'disk',
      'crash',
      '',
      `keep=${keep} of ${lengths.length}, ${tear} of ${torn} bytes, hole=${hasHole}, garbage=${hasGarbage}`,
    );
    wal.crash({ keep, tear, hasHole, ...(hasGarbage ? { garbage } : {}) });
  }

  /** The next sync of the log fails. Reads and flushes go on until somebody notices. */
  breakLog(): void {
    const life = this.#life;
    if (life === undefined || life.isOver) return;
    this.count('log broken');
    life.wal.break();
    if (this.random.below(2) === 0) this.crashSoon(40);
    void this.#crashLater(life, 4000);
  }

  /** The disk of the log is full for a while. */
  async fillLog(forMs: number): Promise<void> {
    const life = this.#life;
    if (life === undefined || life.isOver) return;
    this.count('log full');
    life.wal.fill();
    await this.sleep(forMs);
    this.disturbances++;
    life.wal.freeSpace();
  }

  /** The process dies at one of the next calls to a store or the catalog, before its effect, after it or in its middle. */
  crashSoon(withinCalls: number): void {
    const life = this.#life;
    if (life === undefined || life.isOver) return;
    const hasEffect = this.random.below(2) === 0;
    const crash = { kind: 'crash', hasEffect } as const;
    const draw = this.random.below(5);
    const { faults } = life.store;
    if (draw < 2) faults.at(faults.calls.length + 1 + this.random.below(withinCalls), crash);
    else if (draw === 2) faults.nextNamed('put', this.random.below(3), { ...crash, hasEffect: 'half' });
    else life.kv.faults.nextNamed('commit', this.random.below(withinCalls / 2), crash);
  }

  /** A commit fails, and nobody knows whether it happened; or a put or a copy breaks off. */
  failSoon(): void {
    const life = this.#life;
    if (life === undefined || life.isOver) return;
    const kind = this.random.below(2) === 0 ? 'error-before' : 'error-after';
    const draw = this.random.below(4);
    if (draw < 2) life.kv.faults.nextNamed('commit', this.random.below(10), { kind });
    else if (draw === 2)
      for (const node of this.nodes.values()) node.store.faults.nextNamed('copy', 0, { kind: 'torn' });
    else life.store.faults.nextNamed('put', this.random.below(3), { kind: 'torn' });
  }

  /** The process dies while records of the log are on their way to the disk. */
  crashWhileWriting(): void {
    const life = this.#life;
    if (life === undefined || life.isOver) return;
    life.wal.ambush(1 + this.random.below(6), () => {
      if (this.#life === life && !this.#isQuiet) this.crash();
    });
  }

  /** The process dies between two awaits, soon. */
  crashAtAwait(): void {
    const life = this.#life;
    if (life === undefined || life.isOver) return;
    const turns = this.random.below(1 + this.random.below(400));
    this.clock.ambush(1 + this.random.below(60), turns, () => {
      if (this.#life !== life || life.isOver || this.#isQuiet) return;
      this.count('crash at-await');
      this.crash();
    });
  }

  /** A node dies and another takes its place, or it is cut off for a while and goes on working. */
  async disturbNode(forMs: number): Promise<void> {
    const node = this.#oneNode();
    if (node === undefined) return;
    const draw = this.random.below(4);
    if (draw < 2) {
      if (draw === 0) this.loseNode(node.nodeId);
      else node.dieSoon(12, this.random.below(2) === 0);
      await this.sleep(forMs);
      if (!node.isDead) this.loseNode(node.nodeId);
      this.#comeBack(node);
      return;
    }
    this.count(draw === 2 ? 'node cut' : 'node suspended', String(node.nodeId));
    node.network.isCut = true;
    // As when a machine is suspended: what it was at goes on when others have long taken over.
    const goOn = draw === 2 ? undefined : node.hold();
    await this.sleep(forMs);
    goOn?.();
    if (node.isDead) return;
    this.event('sim', 'node-back', String(node.nodeId));
    node.network.isCut = false;
  }

  /** In the place of one that has died: it has its id or another, and forgot everything. */
  #comeBack(was: SimNode): void {
    if (!was.isDead || this.nodes.has(was.nodeId)) return;
    const draw = this.random.below(3);
    if (draw === 0) this.tell('node back-other-id');
    if (draw === 1) this.tell('node back-other-slots');
    const nodeId = draw === 0 ? (++this.#lastNodeId as NodeId) : was.nodeId;
    if (draw === 0) this.#members.delete(was.nodeId);
    const node = this.#addNode(nodeId, draw === 1 ? 1 + this.random.below(6) : this.shape.slots);
    this.event('sim', 'node-back', String(nodeId));
    if (this.#life?.hasBegun && !this.#life.isOver) this.#life.join(node);
  }

  #oneNode(): SimNode | undefined {
    const all = [...this.nodes.values()];
    return all[this.random.below(all.length || 1)];
  }

  #addNode(nodeId: NodeId, slots = this.shape.slots): SimNode {
    const { slowness, filesAtOnce } = this.shape;
    const node = new SimNode({
      nodeId,
      slots,
      slowness: slowness[Number(nodeId) % slowness.length] ?? 1,
      filesAtOnce,
      readLog: { read: (position) => this.life.wal.readBeside(position) },
      store: this.plant.store?.(this.disks.listings.store) ?? this.disks.listings.store,
      leaveHalf: (key, half) => this.disks.store.leaveHalf(key, half),
      clock: this.clock,
      random: this.random,
      plant: this.plant,
      log: this.#log(`node${nodeId}`),
      watch: (look) => this.#watch(() => look(this.jobs)),
      tell: (kind, call) => this.tell(kind, call, `node${nodeId}`),
      plan: this.#plan,
      copyBytesPerSecond: this.shape.copyBytesPerSecond,
      onStrike: (port) => {
        if (this.#plan === undefined) this.loseNode(nodeId);
        else if (!this.#onStrike(port, this.life)) this.crash('all');
      },
    });
    this.nodes.set(nodeId, node);
    this.#members.add(nodeId);
    this.#spread();
    return node;
  }

  /** The node's process dies. */
  loseNode(nodeId: NodeId): void {
    const node = this.nodes.get(nodeId);
    if (node === undefined) return;
    this.count('node lost', String(nodeId));
    node.die();
    this.nodes.delete(nodeId);
  }

  /** A node takes work, renews its lease and does nothing; then it goes on where it stood. */
  async stallNode(forMs: number): Promise<void> {
    const node = this.#oneNode();
    if (node === undefined) return;
    this.count('node stalled', `${node.nodeId} for ${forMs}`);
    this.standstills++;
    this.#stalled++;
    const goOn = node.hold();
    await this.sleep(forMs);
    this.standstills++;
    this.#stalled--;
    goOn();
    this.event('sim', 'node-goes-on', String(node.nodeId));
  }

  /** Time goes on at once. */
  jump(ms: number): void {
    this.tell('clock jump');
    this.disturbances++;
    this.standstills++;
    this.clock.jump(ms);
  }

  /** The coordinator's wall clock is set anew, forward or back. */
  setClock(): void {
    const { maxSkewMs } = this.shape;
    if (maxSkewMs === 0 || this.#isQuiet) return;
    const skewMs = this.random.below(2 * maxSkewMs + 1) - maxSkewMs;
    this.count(skewMs < this.#skewMs ? 'clock back' : 'clock forward', String(skewMs - this.#skewMs));
    this.#setSkew(skewMs);
  }

  #setSkew(ms: number): void {
    this.#skewMs = ms;
  }

  /** One object is not what it was. Answers what it was. */
  async damage(key: string): Promise<Uint8Array> {
    const { store } = this.disks;
    const whole = await store.get(key);
    const draw = this.random.below(3);
    const flipped = Uint8Array.from(whole, (byte, i) => (i === whole.length >> 1 ? byte ^ 1 : byte));
    if (draw === 0) await store.delete(key);
    else await store.put(key, draw === 1 ? whole.slice(0, -1) : flipped);
    // It is not right any more: whoever copies it again has a reason.
    this.jobs.deleted(key);
    this.count('damage', key);
    return whole;
  }

  /** A fault that may fail somebody's call. */
  count(kind: FaultKind, key = ''): void {
    this.disturbances++;
    this.faults.set(kind, (this.faults.get(kind) ?? 0) + 1);
    this.event('fault', kind.replace(' ', ':'), key);
  }

  /** A fault at a call, or one that fails nobody's. */
  tell(kind: FaultKind, call?: Call, who = 'coord'): void {
    const isHarmless = call === undefined || call.fault?.kind === 'delay';
    if (!isHarmless) this.disturbances++;
    this.faults.set(kind, (this.faults.get(kind) ?? 0) + 1);
    // Every call may be slow: no line for each.
    if (call?.fault?.kind !== 'delay')
      this.event(
        'fault',
        kind.replace(' ', ':'),
        `${who} ${call?.name ?? ''} ${call?.key.slice(0, 60) ?? ''}`.trimEnd(),
      );
  }

  droppedSegments(): readonly SegmentRecord[] {
    return this.life.planes.catalog.find(segments, 'state', 'dropped');
  }

  /** Nothing of this world goes on. */
  end(): void {
    this.#life?.end();
    for (const node of this.nodes.values()) node.die();
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
        this.event('coord', 'up', '', `after ${tries}`);
        await this.ask(life, () => this.onRestart(life));
        if (life.isOver) return;
        this.#isUp = true;
        this.#setUp();
        return;
      }
      if (started.is === 'error')
        this.event('coord', 'start-failed', '', `${started.error.code}: ${messageOf(started.error)}`);
      if (this.#isQuiet && tries > 3) throw new DbError('internal', 'a start fails without a fault');
      life.end();
      this.disks.wal.crash();
    }
  }

  #newLife(): Life {
    const life: Life = new Life({
      number: ++this.#lives,
      disks: this.disks,
      clock: this.clock,
      skewMs: () => this.#skewMs,
      random: this.random,
      plant: this.plant,
      shape: this.shape,
      nodes: () => this.nodes.values(),
      addNode: (nodeId) => {
        if (this.nodes.has(nodeId)) return;
        const node = this.#addNode(nodeId);
        if (!life.isOver) life.join(node);
      },
      loseNode: (nodeId) => this.loseNode(nodeId),
      plan: this.#plan,
      isQuiet: () => this.#isQuiet,
      watch: (look) => this.#watch(() => look(this.jobs)),
      log: this.#log('coord'),
      onCrash: (port) => {
        if (!this.#onStrike(port, life)) this.crash(this.#plan === undefined ? undefined : 'all');
      },
      onCompacted: () => this.onCompacted(),
      onDelete: (key) => this.#watch(() => this.onDelete(life, key)),
      onDoom: () => void this.#crashLater(life, 1500),
      onLogBroken: () => void this.#crashLater(life, 4000),
      tell: (kind, call) => this.tell(kind, call),
    });
    life.setChances({ ...CALM, ...this.#chances });
    if (!this.#isQuiet && this.random.below(8) === 0)
      life.kv.faults.nextNamed('range', this.random.below(8), { kind: 'error-before' });
    return life;
  }

  /** Somebody notices that the process can write no more, and starts it again. */
  async #crashLater(life: Life, withinMs: number): Promise<void> {
    await this.sleep(this.random.below(withinMs));
    if (this.#life === life) this.crash(this.#plan === undefined ? undefined : 'all');
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

  #log(who: string): Log {
    const line = (level: string) => (event: string, fields?: Readonly<Record<string, unknown>>) => {
      if (!this.#verbose) return;
      const text = JSON.stringify(fields ?? {}, (_, value: unknown) =>
        typeof value === 'bigint'
          ? String(value)
          : value instanceof Error
            ? (value.stack ?? value.message)
            : value,
      );
      this.event(who, `${level}:${event}`, text);
    };
    return { debug: line('debug'), info: line('info'), warn: line('warn'), error: line('error') };
  }
}
