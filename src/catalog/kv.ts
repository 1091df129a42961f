import { DbError } from '../errors/db-error.ts';
import { assert } from '../support/assert.ts';

/**
 * The catalog's storage: an ordered map from string keys to bytes. Adapters: LMDB (embedded), memory, later etcd.
 *
 * `commit` is atomic: all operations or none, durable when it resolves. The bounds are etcd's, so that code written for the
 * embedded catalog runs on a cluster.
 */
export const MAX_OPS_PER_COMMIT = 128;
export const MAX_COMMIT_BYTES = 1_500_000;
/** LMDB's limit, rounded down; etcd has none of its own. */
export const MAX_KEY_BYTES = 1_900;

export type KvOp =
  | { readonly kind: 'put'; readonly key: string; readonly value: Uint8Array }
  | { readonly kind: 'delete'; readonly key: string };

/** `value` undefined: the key must be absent; otherwise it must hold exactly these bytes. */
export interface KvCondition {
  readonly key: string;
  readonly value: Uint8Array | undefined;
}

export interface KvEntry {
  readonly key: string;
  readonly value: Uint8Array;
}

export interface Kv {
  get(key: string): Promise<Uint8Array | undefined>;
  /** All entries whose key begins with `prefix`, in the order of the keys' UTF-8 bytes. */
  range(prefix: string): Promise<readonly KvEntry[]>;
  /**
   * No key may stand in two operations. `stale` when a condition does not hold; then nothing was written. Rejects with `resource-exhausted` when the bounds are
   * exceeded (nothing written), `storage-full` (nothing written) or `storage-failed`: the outcome is then unknown.
   */
  commit(ops: readonly KvOp[], conditions?: readonly KvCondition[]): Promise<'committed' | 'stale'>;
  close(): Promise<void>;
}

/** Bytes that the operations count for against `MAX_COMMIT_BYTES`. Throws `resource-exhausted` for more than one transaction can hold. */
export function assertBounds(ops: readonly KvOp[]): number {
  let bytes = 0;
  const keys = new Set<string>();
  for (const op of ops) {
    const keyBytes = Buffer.byteLength(op.key);
    if (keyBytes > MAX_KEY_BYTES)
      throw new DbError('resource-exhausted', `a key of ${op.key.length} characters`);
    bytes += keyBytes + (op.kind === 'put' ? op.value.length : 0);
    keys.add(op.key);
  }
  if (ops.length > MAX_OPS_PER_COMMIT || bytes > MAX_COMMIT_BYTES)
    throw new DbError('resource-exhausted', `a commit of ${ops.length} operations and ${bytes} bytes`);
  assert(keys.size === ops.length, 'a key stands in two operations of one commit');
  return bytes;
}

export const sameBytes = (a: Uint8Array | undefined, b: Uint8Array | undefined): boolean =>
  a === undefined || b === undefined ? a === b : Buffer.compare(a, b) === 0;
