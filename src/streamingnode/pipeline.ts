import { DbError, isDbError, messageOf } from '../errors/db-error.ts';
import type { Log } from '../support/log.ts';
import type { AppliedWrite } from '../wal/message.ts';
import type { WalPosition } from '../wal/wal.ts';

/** Until when the acknowledgement waits although the write is applied. */
export interface Taken {
  readonly backlog: Promise<void> | undefined;
}

interface UnderWay {
  readonly write: AppliedWrite;
  readonly position: WalPosition;
  readonly resolve: (taken: Taken) => void;
  readonly reject: (error: DbError) => void;
  durable: boolean;
}

/**
 * Writes between their place in the log and their acknowledgement. They are applied in log order, each when it and all
 * before it are durable. One that a full disk refuses, or too many open files, is as if it had never been. The first one that fails in another way ends
 * it all: nothing after it was, or will be, applied.
 */
export class Pipeline {
  readonly #apply: (write: AppliedWrite, position: WalPosition) => Taken;
  readonly #log: Log;
  readonly #underWay: UnderWay[] = [];
  #failure: DbError | undefined;
  #refusal: DbError | undefined;
  /** Settles when everything added has. */
  #last: Promise<void> = Promise.resolve();

  constructor(apply: (write: AppliedWrite, position: WalPosition) => Taken, log: Log) {
    this.#apply = apply;
    this.#log = log;
  }

  get failure(): DbError | undefined {
    return this.#failure;
  }

  /** Why the last write was refused although the next one may succeed. */
  get refusal(): DbError | undefined {
    return this.#refusal;
  }

  /** Called in the order of the log. Resolves when the write is applied. */
  add(write: AppliedWrite, position: WalPosition, durable: Promise<void>): Promise<Taken> {
    const applied = new Promise<Taken>((resolve, reject) => {
      const entry: UnderWay = { write, position, resolve, reject, durable: false };
      this.#underWay.push(entry);
      durable.then(
        () => {
          entry.durable = true;
          this.#drain();
        },
        (error: unknown) => this.#refuse(entry, error),
      );
    });
    const before = this.#last;
    this.#last = applied.then(
      () => before,
      () => before,
    );
    return applied;
  }

  /** Resolves when everything under way now has been applied or refused. */
  settled(): Promise<void> {
    return this.#last;
  }

  /** The oldest log file that holds something under way. */
  get firstFile(): number | undefined {
    return this.#underWay[0]?.position.file;
  }

  #drain(): void {
    if (this.#failure !== undefined) return;
    for (let next = this.#underWay[0]; next?.durable === true; next = this.#underWay[0]) {
      this.#underWay.shift();
      if (this.#refusal !== undefined) this.#log.warn('writes-are-taken-again');
      this.#refusal = undefined;
      next.resolve(this.#apply(next.write, next.position));
    }
  }

  #refuse(entry: UnderWay, cause: unknown): void {
    if (!isDbError(cause, 'storage-full') && !isDbError(cause, 'resource-exhausted')) {
      this.#fail(cause);
      return;
    }
    if (this.#refusal === undefined) this.#log.warn('writes-are-refused', { reason: cause.message });
    this.#refusal = cause;
    const at = this.#underWay.indexOf(entry);
    if (at >= 0) this.#underWay.splice(at, 1);
    entry.reject(cause);
    this.#drain();
  }

  #fail(cause: unknown): void {
    if (this.#failure === undefined) {
      this.#failure =
        cause instanceof DbError
          ? cause
          : new DbError('storage-failed', `the log failed: ${messageOf(cause)}`, { cause });
      this.#log.error('no-write-is-taken-until-a-restart', { reason: this.#failure.message });
    }
    for (const { reject } of this.#underWay.splice(0)) reject(this.#failure);
  }
}
