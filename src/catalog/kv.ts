/**
 * The catalog's storage: an ordered map from string keys to bytes. Adapters: LMDB (embedded), memory, later etcd.
 *
 * `commit` is atomic: all operations or none, durable when it resolves. The bounds are etcd's, so that code written for the
 * embedded catalog runs on a cluster.
 */
export const MAX_OPS_PER_COMMIT = 128;
export const MAX_COMMIT_BYTES = 1_500_000;

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
  /** All entries whose key begins with `prefix`, in key order. */
  range(prefix: string): Promise<readonly KvEntry[]>;
  /**
   * `stale` when a condition does not hold; then nothing was written. Rejects with `resource-exhausted` when the bounds are
   * exceeded (nothing written), `storage-full` (nothing written) or `storage-failed`: the outcome is then unknown.
   */
  commit(ops: readonly KvOp[], conditions?: readonly KvCondition[]): Promise<'committed' | 'stale'>;
  close(): Promise<void>;
}
