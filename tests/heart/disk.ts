/** What outlives a crash, and the faults that lead to one. Every kv commit and every store call that writes or reads is counted. */

import type { Kv, KvCondition, KvEntry, KvOp } from '../../src/catalog/kv.ts';
import { MemoryKv } from '../../src/catalog/memory.ts';
import { DbError } from '../../src/errors/db-error.ts';
import { IDENTITY_KEY } from '../../src/storage/keys.ts';
import { MemoryStore } from '../../src/storage/memory.ts';
import type {
  CopyOptions,
  CopyResult,
  ListedObject,
  ObjectStat,
  ObjectStore,
  TemporaryFile,
} from '../../src/storage/object-store.ts';
import { ManualClock } from './manual-clock.ts';

/** `crash`: from this call on nothing answers any more. `fail`: only this store call fails. The effect of the call is there or not. */
export interface Fault {
  readonly at: number;
  readonly kind: 'crash' | 'fail';
  readonly effect: 'before' | 'after';
  /** Which calls count; all when absent. */
  readonly only?: 'kv' | 'store';
}

export class Disk {
  readonly clock = new ManualClock();
  readonly memoryKv = new MemoryKv();
  readonly memoryStore = new MemoryStore(() => this.clock.nowMs());
  #fault: Fault | undefined;
  #calls = 0;
  #dead = false;
  /** Objects that cannot be deleted. */
  failDelete: (key: string) => boolean = () => false;
  hit = false;
  commits = 0;
  puts = 0;

  plan(fault: Fault | undefined): void {
    this.#fault = fault;
    this.#calls = 0;
    this.#dead = false;
    this.hit = false;
  }

  get isDead(): boolean {
    return this.#dead;
  }

  async call<T>(kind: 'kv' | 'store', work: () => Promise<T>): Promise<T> {
    const gone = () => new DbError('storage-failed', 'injected fault');
    if (this.#dead) throw gone();
    const fault = this.#fault;
    const counts = fault !== undefined && (fault.only === undefined || fault.only === kind);
    if (!counts || ++this.#calls !== fault.at) return work();
    this.hit = true;
    if (fault.kind === 'crash') this.#dead = true;
    if (fault.effect === 'after') await work();
    throw gone();
  }

  kv(): Kv {
    const kv = this.memoryKv;
    return {
      get: (key: string) => kv.get(key),
      range: (prefix: string): Promise<readonly KvEntry[]> => kv.range(prefix),
      commit: (ops: readonly KvOp[], conditions?: readonly KvCondition[]) => {
        this.commits++;
        return this.call('kv', () => kv.commit(ops, conditions));
      },
      close: () => kv.close(),
    };
  }

  store(): ObjectStore {
    const store = this.memoryStore;
    const call = <T>(work: () => Promise<T>) => this.call('store', work);
    return {
      location: undefined,
      put: (key: string, bytes: Uint8Array) => {
        this.puts++;
        return call(() => store.put(key, bytes));
      },
      get: (key: string) => call(() => store.get(key)),
      getRange: (key: string, offset: number, length: number) =>
        call(() => store.getRange(key, offset, length)),
      stat: (key: string): Promise<ObjectStat | undefined> => call(() => store.stat(key)),
      list: (prefix: string): AsyncIterable<ListedObject> => this.#listing(() => store.list(prefix)),
      listTemporary: (): AsyncIterable<TemporaryFile> => this.#listing(() => store.listTemporary()),
      deleteTemporary: (name: string) => call(() => store.deleteTemporary(name)),
      copy: (from: string, to: string, options: CopyOptions): Promise<CopyResult> =>
        call(() => store.copy(from, to, options)),
      sharing: () => call(() => store.sharing()),
      capacity: () => call(() => store.capacity()),
      delete: (key: string) => {
        if (this.failDelete(key)) return Promise.reject(new DbError('storage-failed', 'injected fault'));
        return call(() => store.delete(key));
      },
      close: () => store.close(),
    };
  }

  /** One call, however much it lists. */
  async *#listing<T>(list: () => AsyncIterable<T>): AsyncIterable<T> {
    await this.call('store', () => Promise.resolve());
    yield* list();
  }

  /** All but the one that says whose store it is. */
  async keys(prefix = ''): Promise<string[]> {
    const keys: string[] = [];
    for await (const { key } of this.memoryStore.list(prefix)) if (key !== IDENTITY_KEY) keys.push(key);
    return keys;
  }
}
