import { DbError } from '../errors/db-error.ts';
import {
  type Kv,
  type KvCondition,
  type KvEntry,
  type KvOp,
  MAX_COMMIT_BYTES,
  MAX_OPS_PER_COMMIT,
} from './kv.ts';

/** A `Kv` in memory, for tests and the simulation. Its content outlives `close`, as a disk would. */
export class MemoryKv implements Kv {
  readonly #entries = new Map<string, Uint8Array>();

  get(key: string): Promise<Uint8Array | undefined> {
    return Promise.resolve(this.#entries.get(key));
  }

  range(prefix: string): Promise<readonly KvEntry[]> {
    const keys = [...this.#entries.keys()].filter((key) => key.startsWith(prefix)).sort();
    return Promise.resolve(keys.map((key) => ({ key, value: this.#entries.get(key) as Uint8Array })));
  }

  async commit(
    ops: readonly KvOp[],
    conditions: readonly KvCondition[] = [],
  ): Promise<'committed' | 'stale'> {
    assertBounds(ops);
    await Promise.resolve();
    if (!conditions.every(({ key, value }) => sameBytes(this.#entries.get(key), value))) return 'stale';
    for (const op of ops)
      if (op.kind === 'put') this.#entries.set(op.key, op.value);
      else this.#entries.delete(op.key);
    return 'committed';
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

/** Throws `resource-exhausted` for more than one transaction can hold. */
export function assertBounds(ops: readonly KvOp[]): void {
  const bytes = ops.reduce((sum, op) => sum + op.key.length + (op.kind === 'put' ? op.value.length : 0), 0);
  if (ops.length > MAX_OPS_PER_COMMIT || bytes > MAX_COMMIT_BYTES)
    throw new DbError('resource-exhausted', `a commit of ${ops.length} operations and ${bytes} bytes`);
}

export const sameBytes = (a: Uint8Array | undefined, b: Uint8Array | undefined): boolean =>
  a === undefined || b === undefined ? a === b : Buffer.compare(a, b) === 0;
