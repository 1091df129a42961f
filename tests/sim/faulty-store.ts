import { DbError } from '../../src/errors/db-error.ts';
import type {
  CopyOptions,
  CopyResult,
  ListedObject,
  ObjectStat,
  ObjectStore,
  Sharing,
  TemporaryFile,
} from '../../src/storage/object-store.ts';
import { Faults, type FaultsOptions } from './faults.ts';

/** What a copy came to: of these bytes a part only (`isTorn`), or all of them. */
export type CopyListener = (key: string, isTorn: boolean) => void;

/** An `ObjectStore` that fails as `faults` says, and whose objects can be damaged. Damage changes the object's mark. */
export class FaultyStore implements ObjectStore {
  readonly location = undefined;
  readonly faults: Faults;
  readonly #inner: ObjectStore;
  /** Whether the next copy that moves bytes breaks off in the middle, with an error, and leaves what it has. */
  tears: () => boolean = () => false;
  /** Told of every copy that moved bytes. */
  onCopied: CopyListener = () => undefined;
  /** Whether a listing shows what was there some time ago. */
  isStale: () => boolean = () => false;
  #lastListing = new Map<string, readonly ListedObject[]>();

  constructor(inner: ObjectStore, options: FaultsOptions = {}) {
    this.#inner = inner;
    this.faults = new Faults(options);
  }

  put(key: string, bytes: Uint8Array): Promise<{ readonly crc32: number; readonly etag: string }> {
    return this.faults.run('put', key, () => this.#inner.put(key, bytes));
  }

  get(key: string): Promise<Uint8Array<ArrayBuffer>> {
    return this.faults.run('get', key, () => this.#inner.get(key));
  }

  getRange(key: string, offset: number, length: number): Promise<Uint8Array<ArrayBuffer>> {
    return this.faults.run('getRange', key, () => this.#inner.getRange(key, offset, length));
  }

  stat(key: string): Promise<ObjectStat | undefined> {
    return this.faults.run('stat', key, () => this.#inner.stat(key));
  }

  list(prefix: string): AsyncIterable<ListedObject> {
    return this.#listing('list', prefix, () => this.#list(prefix));
  }

  listTemporary(): AsyncIterable<TemporaryFile> {
    return this.#listing('listTemporary', '', () => this.#inner.listTemporary());
  }

  deleteTemporary(name: string): Promise<void> {
    return this.faults.run('deleteTemporary', name, () => this.#inner.deleteTemporary(name));
  }

  copy(sourceKey: string, targetKey: string, options: CopyOptions): Promise<CopyResult> {
    return this.faults.run('copy', targetKey, async () => {
      const result = await this.#inner.copy(sourceKey, targetKey, options);
      if (result.method === 'present') return result;
      const isTorn = this.tears();
      if (isTorn) await this.truncate(targetKey);
      this.onCopied(targetKey, isTorn);
      if (isTorn) throw new DbError('storage-failed', `copy '${targetKey}': it broke off in the middle`);
      return result;
    });
  }

  sharing(): Promise<Sharing> {
    return this.faults.run('sharing', '', () => this.#inner.sharing());
  }

  capacity(): Promise<{ readonly freeBytes: number } | undefined> {
    return this.faults.run('capacity', '', () => this.#inner.capacity());
  }

  delete(key: string): Promise<void> {
    return this.faults.run('delete', key, () => this.#inner.delete(key));
  }

  close(): Promise<void> {
    return this.#inner.close();
  }

  async *#list(prefix: string): AsyncIterable<ListedObject> {
    const old = this.#lastListing.get(prefix);
    const listed: ListedObject[] = [];
    for await (const entry of this.#inner.list(prefix)) listed.push(entry);
    this.#lastListing.set(prefix, listed);
    yield* old !== undefined && this.isStale() ? old : listed;
  }

  /** One call. An error after its effect comes when half of the entries have been handed out. */
  async *#listing<T>(name: string, key: string, list: () => AsyncIterable<T>): AsyncIterable<T> {
    const listed: T[] = [];
    let failure: unknown;
    try {
      await this.faults.run(name, key, async () => {
        for await (const entry of list()) listed.push(entry);
      });
    } catch (error) {
      failure = error;
      listed.length = Math.floor(listed.length / 2);
    }
    yield* listed;
    if (failure !== undefined) throw failure;
  }

  /** Cuts the last byte off. */
  async truncate(key: string): Promise<void> {
    await this.#inner.put(key, (await this.#inner.get(key)).slice(0, -1));
  }

  /** Turns over one bit of byte `at`, the middle one unless told. */
  async flip(key: string, at?: number): Promise<void> {
    const bytes = await this.#inner.get(key);
    const position = at ?? bytes.length >> 1;
    bytes[position] = (bytes[position] ?? 0) ^ 1;
    await this.#inner.put(key, bytes);
  }

  /** Takes the object away. */
  lose(key: string): Promise<void> {
    return this.#inner.delete(key);
  }
}
