import { assertBounds, type Kv, type KvCondition, type KvEntry, type KvOp, sameBytes } from './kv.ts';

/** A `Kv` in memory, for tests and the simulation. Its content outlives `close`, as a disk would. */
export class MemoryKv implements Kv {
  readonly #entries = new Map<string, Uint8Array>();

  async get(key: string): Promise<Uint8Array | undefined> {
    await Promise.resolve();
    const value = this.#entries.get(key);
    return value && new Uint8Array(value);
  }

  async range(prefix: string): Promise<readonly KvEntry[]> {
    await Promise.resolve();
    return [...this.#entries]
      .filter(([key]) => key.startsWith(prefix))
      .map(([key, value]) => ({ key, value: new Uint8Array(value) }))
      .sort((a, b) => Buffer.compare(Buffer.from(a.key), Buffer.from(b.key)));
  }

  async commit(
    ops: readonly KvOp[],
    conditions: readonly KvCondition[] = [],
  ): Promise<'committed' | 'stale'> {
    assertBounds(ops);
    await Promise.resolve();
    if (!conditions.every(({ key, value }) => sameBytes(this.#entries.get(key), value))) return 'stale';
    for (const op of ops)
      if (op.kind === 'put') this.#entries.set(op.key, Buffer.from(op.value));
      else this.#entries.delete(op.key);
    return 'committed';
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
