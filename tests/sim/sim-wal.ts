import { DbError } from '../../src/errors/db-error.ts';
import type { HybridTime } from '../../src/model/hybrid-time.ts';
import type { Clock } from '../../src/support/clock.ts';
import type { Random } from '../../src/support/random.ts';
import type { MemoryWal } from '../../src/wal/memory.ts';
import type { Wal, WalEntry, WalPosition } from '../../src/wal/wal.ts';

const never = (): AbortSignal => new AbortController().signal;
const unanswered = (): Promise<never> => new Promise(() => undefined);

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

  /** `disk` syncs by hand. */
  constructor(disk: MemoryWal, clock: Clock, random: Random) {
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
    const { position, durable } = this.#disk.append(ts, payload);
    void this.#syncSoon();
    return { position, durable: this.#orBroken(durable) };
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
    return this.#disk.replay();
  }

  async read(position: WalPosition): Promise<Uint8Array<ArrayBuffer>> {
    if (this.#isOver) return unanswered();
    const bytes = await this.#disk.read(position);
    return this.#isOver ? unanswered() : bytes;
  }

  truncateBefore(file: number): Promise<void> {
    return this.#isOver ? unanswered() : this.#disk.truncateBefore(file);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  async #syncSoon(): Promise<void> {
    if (this.#isSyncing) return;
    this.#isSyncing = true;
    await this.#clock.sleep(this.#random.below(8), never());
    this.#isSyncing = false;
    if (this.#isBreaking) this.#fail();
    else this.#disk.sync();
  }
}
