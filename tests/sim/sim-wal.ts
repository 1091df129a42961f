import { DbError } from '../../src/errors/db-error.ts';
import type { HybridTime } from '../../src/model/hybrid-time.ts';
import type { Clock } from '../../src/support/clock.ts';
import type { Random } from '../../src/support/random.ts';
import type { MemoryWal } from '../../src/wal/memory.ts';
import type { Wal, WalEntry, WalPosition } from '../../src/wal/wal.ts';
import type { Fault } from './faults.ts';
import { never } from './sim-clock.ts';

/** A sync takes so long that others come into it. */
const AMBUSH_MS = 400;
const unanswered = (): Promise<never> => new Promise(() => undefined);

/** Faults on command. */
export interface LogFaults {
  readonly due: (name: 'append' | 'read' | 'replay' | 'truncateBefore') => Fault | undefined;
  readonly onCrash: () => void;
  /** No write is taken any more. */
  readonly onBroken: () => void;
}

/**
 * One process's view of the log: what it appends reaches the disk some milliseconds later, and nothing is answered after `end`. `break`: the
 * next sync fails, and nobody knows what of the records under way the disk has.
 */
export class SimWal implements Wal {
  readonly location = undefined;
  readonly #disk: MemoryWal;
  readonly #clock: Clock;
  readonly #random: Random;
  #isSyncing = false;
  #isOver = false;
  #isBreaking = false;
  #failure: DbError | undefined;
  /** Reject what is under way. */
  readonly #underWay = new Set<(error: DbError) => void>();

  readonly #faults: LogFaults | undefined;
  readonly #slowMs: () => number;
  #ambush: { records: number; readonly strike: () => void } | undefined;
  #extraMs = 0;

  /** `disk` syncs by hand. `slowMs`: how much longer than usual the next sync takes. */
  constructor(
    disk: MemoryWal,
    clock: Clock,
    random: Random,
    more: { readonly faults?: LogFaults | undefined; readonly slowMs?: () => number } = {},
  ) {
    this.#faults = more.faults;
    this.#slowMs = more.slowMs ?? (() => 0);
    this.#disk = disk;
    this.#clock = clock;
    this.#random = random;
  }

  get currentFile(): number {
    return this.#disk.currentFile;
  }

  end(): void {
    this.#isOver = true;
  }

  append(ts: HybridTime, payload: readonly Uint8Array[]) {
    if (this.#isOver)
      return { position: { file: this.currentFile, offset: 0, length: 0 }, durable: unanswered() };
    if (this.#failure !== undefined)
      return {
        position: { file: this.currentFile, offset: 0, length: 0 },
        durable: Promise.reject(this.#failure),
      };
    const fault = this.#faults?.due('append');
    if (fault !== undefined) return this.#failing(fault, ts, payload);
    const { position, durable } = this.#disk.append(ts, payload);
    this.#spring();
    void this.#syncSoon();
    return { position, durable: this.#orBroken(durable) };
  }

  /** With everything before it, or without itself; then the log is closed for writing, or the process is gone. */
  #failing(fault: Fault, ts: HybridTime, payload: readonly Uint8Array[]) {
    const nowhere = { file: this.currentFile, offset: 0, length: 0 };
    const hasEffect = fault.kind === 'crash' ? fault.hasEffect === true : fault.kind === 'error-after';
    const position = hasEffect ? this.#disk.append(ts, payload).position : nowhere;
    if (hasEffect) this.#disk.sync();
    if (fault.kind === 'crash') {
      this.#faults?.onCrash();
      return { position, durable: unanswered() };
    }
    this.#fail();
    this.#faults?.onBroken();
    return { position, durable: Promise.reject(this.#failure) };
  }

  /** A call that changes nothing, or what may be done again. */
  async #run<T>(name: 'read' | 'truncateBefore', work: () => Promise<T>): Promise<T> {
    const fault = this.#faults?.due(name);
    const failed = () => new DbError('storage-failed', `${name} of the log failed`);
    if (fault?.kind === 'error-before') throw failed();
    if (fault?.kind === 'crash' && !fault.hasEffect) return this.#crashed();
    const result = await work();
    if (fault?.kind === 'error-after') throw failed();
    return fault?.kind === 'crash' ? this.#crashed() : result;
  }

  #crashed(): Promise<never> {
    this.#faults?.onCrash();
    return unanswered();
  }

  /** After so many records `strike` runs, while they and those behind them are on their way to the disk. */
  ambush(records: number, strike: () => void): void {
    this.#ambush = { records: Math.max(1, records), strike };
  }

  #spring(): void {
    if (this.#ambush === undefined || --this.#ambush.records > 0) return;
    const { strike } = this.#ambush;
    this.#ambush = undefined;
    this.#extraMs = AMBUSH_MS;
    // Late in that time: several records are on their way then.
    const waitMs = AMBUSH_MS / 2 + this.#random.below(AMBUSH_MS / 2);
    void this.#clock.sleep(waitMs, never()).then(strike);
  }

  /** The disk takes no more records, until `freeSpace`. */
  fill(): void {
    if (!this.#isOver && this.#failure === undefined) this.#disk.failAppends('storage-full');
  }

  freeSpace(): void {
    if (!this.#isOver) this.#disk.freeSpace();
  }

  break(): void {
    this.#isBreaking = true;
  }

  /** The next start finds some of the records under way, and nothing that was appended later. */
  #fail(): void {
    this.#failure = new DbError('storage-failed', 'a sync of the log failed');
    for (const reject of this.#underWay) reject(this.#failure);
    this.#underWay.clear();
  }

  #orBroken(durable: Promise<void>): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#underWay.add(reject);
      void durable.then(
        () => {
          this.#underWay.delete(reject);
          resolve();
        },
        (error: unknown) => reject(error),
      );
    });
  }

  replay(): AsyncIterable<WalEntry> {
    const fault = this.#faults?.due('replay');
    return fault === undefined ? this.#disk.replay() : this.#brokenReplay(fault);
  }

  /** Half of the records at most. */
  async *#brokenReplay(fault: Fault): AsyncIterable<WalEntry> {
    const hasEffect = fault.kind === 'crash' ? fault.hasEffect === true : fault.kind === 'error-after';
    const entries: WalEntry[] = [];
    for await (const entry of this.#disk.replay()) entries.push(entry);
    if (hasEffect) yield* entries.slice(0, entries.length >> 1);
    if (fault.kind === 'crash') await this.#crashed();
    throw new DbError('storage-failed', 'a replay of the log failed');
  }

  async read(position: WalPosition): Promise<Uint8Array<ArrayBuffer>> {
    if (this.#isOver) return unanswered();
    const read = () => this.#disk.read(position);
    const bytes = await (this.#faults === undefined ? read() : this.#run('read', read));
    return this.#isOver ? unanswered() : bytes;
  }

  /** A data node's read. The node outlives the coordinator: it goes on when that one crashes. */
  async readBeside(position: WalPosition): Promise<Uint8Array<ArrayBuffer>> {
    const fault = this.#isOver ? undefined : this.#faults?.due('read');
    const failed = () => new DbError('storage-failed', 'read of the log failed');
    if (fault?.kind === 'error-before') throw failed();
    if (fault?.kind === 'crash') this.#faults?.onCrash();
    const bytes = await this.#disk.read(position);
    if (fault?.kind === 'error-after') throw failed();
    return bytes;
  }

  truncateBefore(file: number): Promise<void> {
    if (this.#isOver) return unanswered();
    const truncate = () => this.#disk.truncateBefore(file);
    return this.#faults === undefined ? truncate() : this.#run('truncateBefore', truncate);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  async #syncSoon(): Promise<void> {
    if (this.#isSyncing) return;
    this.#isSyncing = true;
    await this.#clock.sleep(this.#random.below(8) + this.#slowMs() + this.#extraMs, never());
    this.#isSyncing = false;
    if (this.#isBreaking) this.#fail();
    else this.#disk.sync();
  }
}
