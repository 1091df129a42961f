import { DbError } from '../errors/db-error.ts';
import { crc32 } from '../support/crc32.ts';
import type { CopyOptions, CopyResult, ListedObject, ObjectStat, ObjectStore } from './object-store.ts';

interface Stored {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly stat: ObjectStat;
}

/** An `ObjectStore` in memory, for tests and the simulation. Its content outlives `close`, as a disk would. */
export class MemoryStore implements ObjectStore {
  readonly location = undefined;
  readonly #objects = new Map<string, Stored>();
  readonly #nowMs: () => number;
  #version = 0;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  put(key: string, bytes: Uint8Array): Promise<{ readonly crc32: number; readonly etag: string }> {
    const stat = this.#set(key, new Uint8Array(bytes));
    return Promise.resolve({ crc32: crc32(bytes), etag: stat.etag });
  }

  async get(key: string): Promise<Uint8Array<ArrayBuffer>> {
    return new Uint8Array((await this.#require(key)).bytes);
  }

  async getRange(key: string, offset: number, length: number): Promise<Uint8Array<ArrayBuffer>> {
    const { bytes } = await this.#require(key);
    if (offset + length > bytes.length)
      throw new DbError(
        'data-integrity',
        `object '${key}' has ${bytes.length} bytes, not ${offset + length}`,
      );
    return bytes.slice(offset, offset + length);
  }

  stat(key: string): Promise<ObjectStat | undefined> {
    return Promise.resolve(this.#objects.get(key)?.stat);
  }

  async *list(prefix: string): AsyncIterable<ListedObject> {
    await Promise.resolve();
    for (const key of [...this.#objects.keys()].filter((k) => k.startsWith(prefix)).sort()) {
      const stored = this.#objects.get(key);
      if (stored !== undefined) yield { key, ...stored.stat };
    }
  }

  async copy(sourceKey: string, targetKey: string, options: CopyOptions): Promise<CopyResult> {
    const present = this.#objects.get(targetKey);
    if (present !== undefined && isRight(present, options))
      return { method: 'present', etag: present.stat.etag, checkedBytes: present.bytes.length };
    const source = await this.#require(sourceKey);
    if (!isRight(source, options))
      throw new DbError(
        'data-integrity',
        `object '${sourceKey}' is not what was written: size or checksum differ`,
      );
    const stat = this.#set(targetKey, source.bytes);
    return { method: 'server-side', etag: stat.etag, checkedBytes: source.bytes.length };
  }

  async delete(key: string): Promise<void> {
    await Promise.resolve();
    this.#objects.delete(key);
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
    await Promise.resolve();
    const stored = this.#objects.get(key);
    if (stored === undefined) throw new DbError('object-not-found', `object '${key}' is missing`);
    return stored;
  }
}

const isRight = ({ bytes }: Stored, options: CopyOptions): boolean =>
  bytes.length === options.sizeBytes && crc32(bytes) === options.crc32;
