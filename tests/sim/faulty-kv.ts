import type { Kv, KvCondition, KvEntry, KvOp } from '../../src/catalog/kv.ts';
import { Faults, type FaultsOptions } from './faults.ts';

/** A `Kv` that fails as `faults` says. `storage-full` has to be planned as an error before the effect. */
export class FaultyKv implements Kv {
  readonly faults: Faults;
  readonly #inner: Kv;

  constructor(inner: Kv, options: FaultsOptions = {}) {
    this.#inner = inner;
    this.faults = new Faults(options);
  }

  get(key: string): Promise<Uint8Array | undefined> {
    return this.faults.run('get', key, () => this.#inner.get(key));
  }

  range(prefix: string): Promise<readonly KvEntry[]> {
    return this.faults.run('range', prefix, () => this.#inner.range(prefix));
  }

  commit(ops: readonly KvOp[], conditions: readonly KvCondition[] = []): Promise<'committed' | 'stale'> {
    const key = ops.map((op) => op.key).join(' ');
    return this.faults.run('commit', key, () => this.#inner.commit(ops, conditions));
  }

  close(): Promise<void> {
    return this.#inner.close();
  }
}
