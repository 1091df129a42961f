/**
 * Writes and reads of a collection in the order in which they came. As long as nothing waits, a small write is applied and a
 * read is taken at once; behind a large write, which is applied in slices, everything waits its turn.
 */
import { DbError } from '../errors/db-error.ts';
import type { HybridTime } from '../model/hybrid-time.ts';
import type { AppliedWrite } from '../streamingnode/api.ts';

export interface WriteApplier {
  isSmall(write: AppliedWrite): boolean;
  sizeOf(write: AppliedWrite): number;
  now(write: AppliedWrite): void;
  sliced(write: AppliedWrite): Promise<void>;
  /** A write could not be applied. */
  onError(error: unknown): void;
}

/** Bytes of writes that may wait before their writers are held back. */
const MAX_WAITING_BYTES = 64 * 2 ** 20;

type Turn =
  | { readonly kind: 'write'; readonly write: AppliedWrite; readonly bytes: number }
  | { readonly kind: 'read'; readonly take: () => void };

export class WriteQueue {
  readonly #applier: WriteApplier;
  /** The one in work stays in front. */
  readonly #turns: Turn[] = [];
  #waitingBytes = 0;
  #isClosed = false;

  constructor(applier: WriteApplier) {
    this.#applier = applier;
  }

  /** Timestamp of the oldest write that is not applied. */
  get firstTs(): HybridTime | undefined {
    for (const turn of this.#turns) if (turn.kind === 'write') return turn.write.ts;
    return undefined;
  }

  /** Never throws. */
  write(write: AppliedWrite): void {
    if (this.#isClosed) return;
    if (this.#turns.length === 0 && this.#applier.isSmall(write)) {
      this.#applyNow(write);
      return;
    }
    const bytes = this.#applier.sizeOf(write);
    this.#waitingBytes += bytes;
    const isFirst = this.#turns.length === 0;
    this.#turns.push({ kind: 'write', write, bytes });
    if (isFirst) this.#drain().catch((error: unknown) => this.#applier.onError(error));
  }

  /** Undefined while there is room for more; otherwise resolves when all that waits now is done. Never rejects. */
  backlog(): Promise<void> | undefined {
    return this.#waitingBytes <= MAX_WAITING_BYTES ? undefined : this.settled();
  }

  /** Resolves when all that waits now is done. */
  settled(): Promise<void> {
    return this.read(() => undefined).catch(() => undefined);
  }

  /** `take` runs at once when nothing waits. It must not wait itself. */
  read<T>(take: () => T): Promise<T> {
    if (this.#isClosed)
      return Promise.reject(new DbError('collection-not-loaded', 'the collection was released'));
    if (this.#turns.length === 0)
      return new Promise((resolve) => {
        resolve(take());
      });
    return new Promise((resolve, reject) => {
      const run = () => {
        try {
          if (this.#isClosed) throw new DbError('collection-not-loaded', 'the collection was released');
          resolve(take());
        } catch (error) {
          reject(error instanceof Error ? error : new Error(String(error)));
        }
      };
      this.#turns.push({ kind: 'read', take: run });
    });
  }

  /** What waits is not applied any more; waiting reads are refused. */
  close(): void {
    this.#isClosed = true;
  }

  #applyNow(write: AppliedWrite): void {
    try {
      this.#applier.now(write);
    } catch (error) {
      this.#applier.onError(error);
    }
  }

  async #drain(): Promise<void> {
    for (let turn = this.#turns[0]; turn !== undefined; turn = this.#turns[0]) {
      if (turn.kind === 'read') turn.take();
      else if (!this.#isClosed) await this.#apply(turn.write);
      this.#turns.shift();
      if (turn.kind === 'write') this.#waitingBytes -= turn.bytes;
    }
  }

  async #apply(write: AppliedWrite): Promise<void> {
    try {
      await this.#applier.sliced(write);
    } catch (error) {
      if (!this.#isClosed) this.#applier.onError(error);
    }
  }
}
