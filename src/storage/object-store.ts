/**
 * Object storage: whole immutable objects under keys. Adapters: local files, memory (tests, simulation), later S3.
 *
 * - A key is written at most once with one content; `put` of an existing key replaces it atomically (repeated attempts).
 * - An object is visible whole or not at all. What `put` or `copy` resolved for is durable and survives a crash.
 * - Absent objects: `stat` answers undefined; reads and copies throw `object-not-found`.
 * - What `put`, `copy` and `delete` resolved for is what every later call by key meets. A listing may be behind: it may lack what came
 *   in the last seconds, and show what went. So nothing is concluded from a listing but what is looked at again.
 * - Other errors: `storage-full`, `storage-failed` (both retriable).
 * - Keys are segments of `A-Z a-z 0-9 . _ -` joined by `/`, none empty or beginning with a dot; anything else is a fault of ours.
 *   No key is a directory of another (`a` and `a/b`).
 */
import { assert } from '../support/assert.ts';

export const isKeySegment = (segment: string): boolean => /^[A-Za-z0-9_-][A-Za-z0-9._-]*$/.test(segment);

export const isKey = (key: string): boolean =>
  /^[A-Za-z0-9_-][A-Za-z0-9._-]*(\/[A-Za-z0-9_-][A-Za-z0-9._-]*)*$/.test(key);

export function assertKey(key: string): void {
  assert(isKey(key), `'${key}' is no object key`);
}

/** The beginning of keys: whole segments, then perhaps a part of one. */
export function assertPrefix(prefix: string): void {
  const segments = prefix.split('/');
  const partial = segments.pop();
  assert(
    segments.every(isKeySegment) && (partial === '' || isKeySegment(partial ?? '')),
    `prefix '${prefix}'`,
  );
}

export interface ObjectStat {
  readonly sizeBytes: number;
  /** The store's own version mark: equal mark, unchanged bytes. Never empty for an adapter that has `capabilities.etag`. */
  readonly etag: string;
  readonly modifiedAtMs: number;
}

export interface ListedObject extends ObjectStat {
  readonly key: string;
}

/** Something half written that is no object (yet): its writer works on it, or has died. */
export interface TemporaryFile {
  readonly name: string;
  readonly sizeBytes: number;
  readonly modifiedAtMs: number;
}

/** Holds back whoever moves bytes. */
export interface CopyPace {
  /** Most bytes of one `take`. */
  readonly windowBytes: number;
  /** Asked before every window of bytes is moved; resolves when it may be. Rejects when the copy is no longer wanted. */
  take(bytes: number): Promise<void>;
}

/** What a copy has to prove before it resolves. */
export interface CopyOptions {
  readonly sizeBytes: number;
  readonly crc32: number;
  /** The mark under which `crc32` was taken; '' when unknown. */
  readonly etag: string;
  /** `shared`: link or clone when the store can; `physical`: the bytes are written again. */
  readonly mode: 'shared' | 'physical';
  /** For bytes that are written again (`stream`): links, clones and copies inside a remote store do not ask. Absent: as fast as it goes. */
  readonly pace?: CopyPace;
}

export interface CopyResult {
  /** How the bytes came to the target. `present`: it was already there and right. */
  readonly method: 'hard-link' | 'clone' | 'server-side' | 'stream' | 'present';
  /** Mark of the target. */
  readonly etag: string;
  /** Bytes that were read to check the content: 0 when the mark proved it. */
  readonly checkedBytes: number;
}

/** How a shared copy comes to its bytes. `none`: they are written again, and need room of their own. */
export type Sharing = 'hard-link' | 'clone' | 'server-side' | 'none';

export interface ObjectStore {
  /** Writes the object and makes it durable. The checksum is of `bytes`. */
  put(key: string, bytes: Uint8Array): Promise<{ readonly crc32: number; readonly etag: string }>;
  /** The whole object. */
  get(key: string): Promise<Uint8Array<ArrayBuffer>>;
  /** Bytes from `offset`, exactly `length`; `data-integrity` when the object is shorter. */
  getRange(key: string, offset: number, length: number): Promise<Uint8Array<ArrayBuffer>>;
  stat(key: string): Promise<ObjectStat | undefined>;
  /** Objects whose key begins with `prefix`, in key order; perhaps as of some seconds ago. */
  list(prefix: string): AsyncIterable<ListedObject>;
  /**
   * Copies inside the store. Resolves only when the target is durable and holds `sizeBytes` bytes with checksum `crc32`:
   * proven by the source's mark being the recorded one, otherwise by reading. A target that is already right is kept, a
   * wrong one replaced. Throws `object-not-found` or `data-integrity`, naming the key; then no wrong target is left.
   */
  copy(sourceKey: string, targetKey: string, options: CopyOptions): Promise<CopyResult>;
  /** What copies in mode `shared` do here; found out once, by trying. */
  sharing(): Promise<Sharing>;
  /** Room for further objects; undefined when the store does not know. */
  capacity(): Promise<{ readonly freeBytes: number } | undefined>;
  /** Idempotent. */
  delete(key: string): Promise<void>;
  /**
   * What is half written and not this instance's own. Writers in other threads and processes may still be at work on it: only its age
   * tells. Temporaries are never listed as objects.
   */
  listTemporary(): AsyncIterable<TemporaryFile>;
  /** By a name that was listed. Idempotent. A writer that is still at work on it fails, with a retriable error. */
  deleteTemporary(name: string): Promise<void>;
  /** For worker threads: how to open the same store there; undefined when it only lives in this thread. */
  readonly location: { readonly kind: 'local'; readonly root: string } | undefined;
  close(): Promise<void>;
}
