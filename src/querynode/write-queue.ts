/**
 * Writes and reads of a collection in the order in which they came. As long as nothing waits, a small write is applied and a
 * read is taken at once; behind a large write, which is applied in slices, everything waits its turn.
 */
import { DbError } from '../errors/db-error.ts';
import type { HybridTime } from '../model/hybrid-time.ts';
import type { AppliedWrite } from '../streamingnode/api.ts';

export interface WriteApplier {
  isSmall(write: AppliedWrite): boolean;
  now(write: AppliedWrite): void;
  sliced(write: AppliedWrite): Promise<void>;
  /** A write could not be applied. */
  onError(error: unknown): void;
}

type Turn =
  | { readonly kind: 'write'; readonly write: AppliedWrite }
  | { readonly kind: 'read'; readonly take: () => void };

export class WriteQueue {
  readonly #applier: WriteApplier;
  /** The one in work stays in front. */
  readonly #turns: Turn[] = [];
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
    if (this.#turns.length > 0) this.#turns.push({ kind: 'write', write });
    else if (this.#applier.isSmall(write)) this.#applyNow(write);
    else this.#start({ kind: 'write', write });
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

  #start(turn: Turn): void {
    this.#turns.push(turn);
    this.#drain().catch((error: unknown) => this.#applier.onError(error));
  }

  async #drain(): Promise<void> {
    for (let turn = this.#turns[0]; turn !== undefined; turn = this.#turns[0]) {
      if (turn.kind === 'read') turn.take();
      else if (!this.#isClosed) await this.#apply(turn.write);
      this.#turns.shift();
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
