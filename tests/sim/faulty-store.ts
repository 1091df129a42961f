import { IDENTITY_KEY } from '../../src/storage/keys.ts';
import type {
  CopyOptions,
  CopyResult,
  ListedObject,
  ObjectStat,
  ObjectStore,
  Sharing,
  TemporaryFile,
} from '../../src/storage/object-store.ts';
import type { Random } from '../../src/support/random.ts';
import { Faults, type FaultsOptions } from './faults.ts';

/** What a copy came to: of these bytes a part only (`isTorn`), or all of them. */
export type CopyListener = (key: string, isTorn: boolean) => void;

export interface FaultyStoreOptions extends FaultsOptions {
  /** In one step, so that nobody puts a whole object there between the look and the half one. */
  readonly leaveHalf: (key: string, half: Uint8Array) => boolean;
}

/** An `ObjectStore` that fails as `faults` says, and whose objects can be damaged. Damage changes the object's mark. */
export class FaultyStore implements ObjectStore {
  readonly location = undefined;
  readonly faults: Faults;
  readonly #inner: ObjectStore;
  readonly #random: Random | undefined;
  readonly #leaveHalf: FaultyStoreOptions['leaveHalf'];
  /** Told of every copy that moved bytes. */
  onCopied: CopyListener = () => undefined;
  /** What a listing shows when it is behind; undefined: it is not. */
  staleList: (prefix: string) => AsyncIterable<ListedObject> | undefined = () => undefined;

  constructor(inner: ObjectStore, options: FaultyStoreOptions) {
    this.#inner = inner;
    this.#leaveHalf = options.leaveHalf;
    this.#random = options.random;
    this.faults = new Faults(options);
  }

  put(key: string, bytes: Uint8Array): Promise<{ readonly crc32: number; readonly etag: string }> {
    return this.faults.run(
      'put',
      key,
      () => this.#inner.put(key, bytes),
      () => this.#tornPut(key, bytes),
    );
  }

  /**
   * The port promises that an object is there whole or not at all. What is written here lives with less, but for the object that says whose
   * the store is; and what is replaced is replaced whole.
   */
  #tornPut(key: string, bytes: Uint8Array): Promise<void> {
    if (key !== IDENTITY_KEY) this.#leaveHalf(key, bytes.slice(0, this.#part(bytes.length)));
    return Promise.resolve();
  }

  /** A part of `length`, the half where there is no chance. */
  #part(length: number): number {
    return this.#random?.below(length || 1) ?? length >> 1;
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
    return this.#listing('list', prefix, () => this.staleList(prefix) ?? this.#inner.list(prefix));
  }

  listTemporary(): AsyncIterable<TemporaryFile> {
    return this.#listing('listTemporary', '', () => this.#inner.listTemporary());
  }

  deleteTemporary(name: string): Promise<void> {
    return this.faults.run('deleteTemporary', name, () => this.#inner.deleteTemporary(name));
  }

  copy(sourceKey: string, targetKey: string, options: CopyOptions): Promise<CopyResult> {
    const copy = async () => {
      const result = await this.#inner.copy(sourceKey, targetKey, options);
      if (result.method !== 'present') this.onCopied(targetKey, false);
      return result;
    };
    const tornCopy = async () => {
      const bytes = await this.#inner.get(sourceKey);
      if (this.#leaveHalf(targetKey, bytes.slice(0, -1))) this.onCopied(targetKey, true);
    };
    return this.faults.run('copy', targetKey, copy, tornCopy);
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

  /** One call. An error after its effect comes when a part of the entries has been handed out. */
  async *#listing<T>(name: string, key: string, list: () => AsyncIterable<T>): AsyncIterable<T> {
    const listed: T[] = [];
    let failure: unknown;
    try {
      await this.faults.run(name, key, async () => {
        for await (const entry of list()) listed.push(entry);
      });
    } catch (error) {
      failure = error;
      listed.length = this.#part(listed.length);
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
