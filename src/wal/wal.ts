/**
 * The write-ahead log: an ordered sequence of records, durable before a write is acknowledged. Adapters: files (group fsync,
 * torn tail cut at recovery), memory (tests, simulation; can lose its unsynced tail on purpose).
 */
import type { HybridTime } from '../model/hybrid-time.ts';

/** Where a record stands. Ordered by (file, offset). Plain numbers, so that it can be sent to a worker. */
export interface WalPosition {
  readonly file: number;
  readonly offset: number;
  readonly length: number;
}

export interface WalEntry {
  readonly position: WalPosition;
  readonly ts: HybridTime;
  readonly payload: Uint8Array;
}

export interface Wal {
  /**
   * Adds a record. The order of calls is the order of the log, settled when `append` returns; `durable` resolves when the
   * record has reached the disk. A failed write rejects this and every later record: the log is then closed for writing. Not so
   * `storage-full` and `resource-exhausted` (too many open files): nothing of the records it refuses is in the log, and a record appended after a refusal is tried anew.
   */
  append(
    ts: HybridTime,
    payload: readonly Uint8Array[],
  ): { readonly position: WalPosition; readonly durable: Promise<void> };
  /** Every intact record from the oldest kept one, in order. Run once, at start, before the first append. */
  replay(): AsyncIterable<WalEntry>;
  /** One record again, checksum checked (`data-integrity`). */
  read(position: WalPosition): Promise<Uint8Array<ArrayBuffer>>;
  /** Forgets files that lie wholly before `file`. */
  truncateBefore(file: number): Promise<void>;
  /** The file new records go to; a checkpoint may forget everything before it. */
  readonly currentFile: number;
  /** For worker threads: how to read records there; undefined when the log only lives in this thread. */
  readonly location: { readonly kind: 'file'; readonly root: string } | undefined;
  close(): Promise<void>;
}
