import { DbError } from '../errors/db-error.ts';
import { assert } from '../support/assert.ts';
import { crc32 } from '../support/crc32.ts';
import {
  assertKey,
  assertPrefix,
  type CopyOptions,
  type CopyResult,
  type ListedObject,
  type ObjectStat,
  type ObjectStore,
  type Sharing,
  type TemporaryFile,
} from './object-store.ts';

interface Stored {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly stat: ObjectStat;
}

/** An `ObjectStore` in memory, for tests and the simulation. Its content outlives `close`, as a disk would. */
export class MemoryStore implements ObjectStore {
  readonly location = undefined;
  /** What `capacity` and `sharing` answer: tests make it a full disk, or one that cannot share. */
  freeBytes: number | undefined;
  shares: Sharing = 'server-side';
  readonly #objects = new Map<string, Stored>();
  readonly #temporaries = new Map<string, TemporaryFile>();
  readonly #nowMs: () => number;
  #version = 0;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  async put(key: string, bytes: Uint8Array): Promise<{ readonly crc32: number; readonly etag: string }> {
    assertKey(key);
    await Promise.resolve();
    const stat = this.#set(key, new Uint8Array(bytes));
    return { crc32: crc32(bytes), etag: stat.etag };
  }

  async get(key: string): Promise<Uint8Array<ArrayBuffer>> {
    return new Uint8Array((await this.#require(key)).bytes);
  }

  async getRange(key: string, offset: number, length: number): Promise<Uint8Array<ArrayBuffer>> {
    const { bytes } = await this.#require(key);
    if (length > 0 && offset + length > bytes.length)
      throw new DbError(
        'data-integrity',
        `object '${key}' has ${bytes.length} bytes, not ${offset + length}`,
      );
    return bytes.slice(offset, offset + length);
  }

  async stat(key: string): Promise<ObjectStat | undefined> {
    assertKey(key);
    await Promise.resolve();
    return this.#objects.get(key)?.stat;
  }

  async *list(prefix: string): AsyncIterable<ListedObject> {
    assertPrefix(prefix);
    await Promise.resolve();
    for (const key of [...this.#objects.keys()].filter((k) => k.startsWith(prefix)).sort()) {
      const stored = this.#objects.get(key);
      if (stored !== undefined) yield { key, ...stored.stat };
    }
  }

  async copy(sourceKey: string, targetKey: string, options: CopyOptions): Promise<CopyResult> {
    assertKey(sourceKey);
    assertKey(targetKey);
    assert(sourceKey !== targetKey, `copy of '${sourceKey}' onto itself`);
    await Promise.resolve();
    const found = this.#objects.get(targetKey);
    if (found !== undefined && isRight(found, options))
      return { method: 'present', etag: found.stat.etag, checkedBytes: checkedBytes(found, options) };
    this.#objects.delete(targetKey);
    const source = this.#objects.get(sourceKey);
    if (source === undefined) throw notFound(sourceKey);
    if (!isRight(source, options))
      throw new DbError(
        'data-integrity',
        `object '${sourceKey}' is not what was written: size or checksum differ`,
      );
    const stat = this.#set(targetKey, source.bytes);
    return { method: 'server-side', etag: stat.etag, checkedBytes: checkedBytes(source, options) };
  }

  async sharing(): Promise<Sharing> {
    await Promise.resolve();
    return this.shares;
  }

  async capacity(): Promise<{ readonly freeBytes: number } | undefined> {
    await Promise.resolve();
    return this.freeBytes === undefined ? undefined : { freeBytes: this.freeBytes };
  }

  async delete(key: string): Promise<void> {
    assertKey(key);
    await Promise.resolve();
    this.#objects.delete(key);
  }

  async *listTemporary(): AsyncIterable<TemporaryFile> {
    await Promise.resolve();
    yield* [...this.#temporaries.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  async deleteTemporary(name: string): Promise<void> {
    await Promise.resolve();
    this.#temporaries.delete(name);
  }

  /** As a writer does that dies in the middle. */
  leaveTemporary(name: string, sizeBytes: number): void {
    this.#temporaries.set(name, { name, sizeBytes, modifiedAtMs: this.#nowMs() });
  }

  /** As a store does whose puts are not atomic. False when the key has an object: what is replaced is replaced whole. */
  leaveHalf(key: string, half: Uint8Array): boolean {
    if (this.#objects.has(key)) return false;
    this.#set(key, new Uint8Array(half));
    return true;
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  #set(key: string, bytes: Uint8Array<ArrayBuffer>): ObjectStat {
    const stat = { sizeBytes: bytes.length, etag: `v${++this.#version}`, modifiedAtMs: this.#nowMs() };
    this.#objects.set(key, { bytes, stat });
    return stat;
  }

  async #require(key: string): Promise<Stored> {
    assertKey(key);
    await Promise.resolve();
    const stored = this.#objects.get(key);
    if (stored === undefined) throw notFound(key);
    return stored;
  }
}

const notFound = (key: string): DbError => new DbError('object-not-found', `object '${key}' is missing`);

/** As other adapters do it: the recorded mark proves the content, anything else has to be read. */
const isRight = ({ bytes, stat }: Stored, options: CopyOptions): boolean =>
  bytes.length === options.sizeBytes && (stat.etag === options.etag || crc32(bytes) === options.crc32);

const checkedBytes = ({ bytes, stat }: Stored, options: CopyOptions): number =>
  stat.etag === options.etag ? 0 : bytes.length;
