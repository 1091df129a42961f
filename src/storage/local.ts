/**
 * Object storage in a directory: one file per object, the key is the path.
 *
 * - A file appears under its key by rename or link only, after its bytes are synced; then its directory is synced.
 * - Files are never written in place, so inode, modification time and size together mark a content: a hard link keeps the mark.
 * - `.tmp/` holds what is being written, a directory for each instance that has the store open. It lies in the same file system,
 *   holds no object, and is emptied at open. What a thread that died later leaves there is found by `listTemporary`.
 * - Two keys of which one is a directory of the other (`a` and `a/b`) cannot both exist.
 */
import type { BigIntStats } from 'node:fs';
import { link, mkdir, open, readdir, rename, stat, unlink } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { DbError } from '../errors/db-error.ts';
import { assert } from '../support/assert.ts';
import { Limiter } from '../support/limiter.ts';
import { codeOf, DurableDirs, syncDirectory } from './durable-dirs.ts';
import { checksumOfFile, readExactly, writeWithChecksum } from './file-bytes.ts';
import {
  assertKey,
  assertPrefix,
  type CopyOptions,
  type CopyResult,
  isKeySegment,
  type ListedObject,
  type ObjectStat,
  type ObjectStore,
  type Sharing,
  type TemporaryFile,
} from './object-store.ts';
import { copyInto, freeBytesOf, probeSharing, UNSHARABLE } from './sharing.ts';
import { storageError } from './storage-error.ts';
import { ABSENT, Temporaries } from './temporaries.ts';

/** Copies of bytes in flight. One copies while the other syncs; more were not faster, and Node has 4 threads for all file work. */
const MAX_BYTE_COPIES = 2;
/** Deletes in flight: where each freed block is told to the disk they take milliseconds, at the same time as long as one by one. */
const MAX_DELETES = 2;
/** Files of a directory whose status is asked for at the same time by `list`. */
const LIST_BATCH = 64;

export interface LocalStoreOptions {
  /** Makes a hard link; replaced by tests to be a file system that has none. */
  readonly link?: (existing: string, path: string) => Promise<void>;
}

interface Place {
  readonly key: string;
  readonly path: string;
}

/** An `ObjectStore` over a directory of a local file system. */
export class LocalStore implements ObjectStore {
  readonly location: { readonly kind: 'local'; readonly root: string };
  readonly #root: string;
  readonly #temporaries: Temporaries;
  readonly #dirs: DurableDirs;
  readonly #link: (existing: string, path: string) => Promise<void>;
  readonly #byteCopies = new Limiter(MAX_BYTE_COPIES);
  readonly #deletes = new Limiter(MAX_DELETES);
  /** Last copy under way per target: copies to one target go one after the other. */
  readonly #copying = new Map<string, Promise<unknown>>();
  #sharing: Promise<Sharing> | undefined;

  private constructor(root: string, temporaries: Temporaries, options: LocalStoreOptions) {
    this.#root = root;
    this.#temporaries = temporaries;
    this.#dirs = new DurableDirs(root);
    this.#link = options.link ?? link;
    this.location = { kind: 'local', root };
  }

  /** Opens the directory as its owner, makes it when it is missing and removes what a crash has left half written. */
  static async open(root: string, options: LocalStoreOptions = {}): Promise<LocalStore> {
    const path = resolve(root);
    try {
      const made = await mkdir(path, { recursive: true });
      if (made !== undefined)
        for (let at = path; at.length >= made.length; at = dirname(at)) await syncDirectory(dirname(at));
      await Temporaries.clear(path);
    } catch (error) {
      throw storageError(`object store ${path}`, error);
    }
    return LocalStore.attach(path, options);
  }

  /** Opens a directory that another thread owns: what is half written there is left alone. */
  static async attach(root: string, options: LocalStoreOptions = {}): Promise<LocalStore> {
    const path = resolve(root);
    try {
      return new LocalStore(path, await Temporaries.open(path), options);
    } catch (error) {
      throw storageError(`object store ${path}`, error);
    }
  }

  put(key: string, bytes: Uint8Array): Promise<{ readonly crc32: number; readonly etag: string }> {
    const { path } = this.#place(key);
    return this.#named(key, () =>
      this.#temporaries.through(async (temp) => {
        await using file = await open(temp, 'wx');
        const crc32 = await writeWithChecksum(file, bytes);
        await file.sync();
        const etag = etagOf(await file.stat({ bigint: true }));
        await this.#dirs.place(dirname(path), () => rename(temp, path));
        return { crc32, etag };
      }),
    );
  }

  get(key: string): Promise<Uint8Array<ArrayBuffer>> {
    const { path } = this.#place(key);
    return this.#reading(key, async () => {
      await using file = await open(path, 'r');
      const { size } = await file.stat();
      const bytes = await readExactly(file, 0, size);
      if (bytes.length === size) return bytes;
      throw new DbError('data-integrity', `object '${key}' shrank while it was read`);
    });
  }

  getRange(key: string, offset: number, length: number): Promise<Uint8Array<ArrayBuffer>> {
    const { path } = this.#place(key);
    assert(isCount(offset) && isCount(length), `range ${offset}+${length} of '${key}'`);
    return this.#reading(key, async () => {
      await using file = await open(path, 'r');
      const bytes = await readExactly(file, offset, length);
      if (bytes.length === length) return bytes;
      const { size } = await file.stat();
      throw new DbError('data-integrity', `object '${key}' has ${size} bytes, not ${offset + length}`);
    });
  }

  stat(key: string): Promise<ObjectStat | undefined> {
    const { path } = this.#place(key);
    return this.#named(key, async () => {
      const found = await statFile(path);
      return found && objectStat(found);
    });
  }

  async *list(prefix: string): AsyncIterable<ListedObject> {
    const cut = prefix.lastIndexOf('/') + 1;
    const base = prefix.slice(0, cut);
    const partial = prefix.slice(cut);
    assertPrefix(prefix);
    yield* this.#walk(base, partial);
  }

  copy(sourceKey: string, targetKey: string, options: CopyOptions): Promise<CopyResult> {
    const source = this.#place(sourceKey);
    const target = this.#place(targetKey);
    assert(sourceKey !== targetKey, `copy of '${sourceKey}' onto itself`);
    return this.#inTurn(target.path, () =>
      this.#named(
        targetKey,
        async () => (await this.#keep(source, target, options)) ?? this.#bring(source, target, options),
      ),
    );
  }

  delete(key: string): Promise<void> {
    const { path } = this.#place(key);
    return this.#deletes.run(() =>
      this.#named(key, async () => {
        await removeFile(path);
        await this.#dirs.removeEmpty(dirname(path));
      }),
    );
  }

  sharing(): Promise<Sharing> {
    this.#sharing ??= this.#asked(() => probeSharing(this.#temporaries, this.#link)).catch(
      (error: unknown) => {
        this.#sharing = undefined;
        throw error;
      },
    );
    return this.#sharing;
  }

  capacity(): Promise<{ readonly freeBytes: number }> {
    return this.#asked(async () => ({ freeBytes: await freeBytesOf(this.#root) }));
  }

  listTemporary(): AsyncIterable<TemporaryFile> {
    return this.#temporaries.list();
  }

  deleteTemporary(name: string): Promise<void> {
    return this.#named(name, () => this.#temporaries.delete(name));
  }

  close(): Promise<void> {
    return this.#temporaries.close();
  }

  /** Answers for a target that is already there and right; removes one that is wrong. */
  async #keep(source: Place, target: Place, options: CopyOptions): Promise<CopyResult | undefined> {
    const found = await statFile(target.path);
    if (found === undefined) return undefined;
    const etag = etagOf(found);
    const isShared = options.mode === 'physical' && (await statFile(source.path))?.ino === found.ino;
    if (!isShared && Number(found.size) === options.sizeBytes) {
      const isProven = etag === options.etag;
      if (isProven || (await checksumOfFile(target.path)) === options.crc32) {
        // The attempt that made it may have crashed before its directory was durable.
        await this.#dirs.place(dirname(target.path), () => Promise.resolve());
        return { method: 'present', etag, checkedBytes: isProven ? 0 : options.sizeBytes };
      }
    }
    await removeFile(target.path);
    return undefined;
  }

  async #bring(source: Place, target: Place, options: CopyOptions): Promise<CopyResult> {
    const found = await statFile(source.path);
    if (found === undefined) throw notFound(source.key);
    if (Number(found.size) !== options.sizeBytes)
      throw new DbError(
        'data-integrity',
        `object '${source.key}' has ${found.size} bytes, ${options.sizeBytes} were written`,
      );
    const isProven = etagOf(found) === options.etag;
    if (options.mode === 'physical') return this.#copyBytes(source, target, options, isProven);
    if (!isProven) await this.#check(source.path, source, options);
    try {
      await this.#dirs.place(dirname(target.path), () => this.#link(source.path, target.path));
    } catch (error) {
      if (!UNSHARABLE.has(codeOf(error))) throw error;
      return this.#copyBytes(source, target, options, isProven);
    }
    return { method: 'hard-link', etag: etagOf(found), checkedBytes: isProven ? 0 : options.sizeBytes };
  }

  /** A file of its own. When the mark does not prove the source, what was written is read again. */
  #copyBytes(source: Place, target: Place, options: CopyOptions, isProven: boolean): Promise<CopyResult> {
    return this.#temporaries.through(async (temp) => {
      const { method, found } = await this.#byteCopies.run(async () => {
        const used = await copyInto(temp, source.path, options);
        await using file = await open(temp, 'r+');
        await file.sync();
        return { method: used, found: await file.stat({ bigint: true }) };
      });
      if (Number(found.size) !== options.sizeBytes || !isProven) await this.#check(temp, source, options);
      await this.#dirs.place(dirname(target.path), () => rename(temp, target.path));
      return { method, etag: etagOf(found), checkedBytes: isProven ? 0 : options.sizeBytes };
    });
  }

  async #check(path: string, source: Place, options: CopyOptions): Promise<void> {
    const found = await checksumOfFile(path);
    if (found !== options.crc32)
      throw new DbError(
        'data-integrity',
        `object '${source.key}' is not what was written: checksum ${found}, recorded ${options.crc32}`,
      );
  }

  async *#walk(base: string, partial: string): AsyncGenerator<ListedObject> {
    const names = await this.#namesIn(base, partial);
    for (let first = 0; first < names.length; first += LIST_BATCH) {
      const batch = names.slice(first, first + LIST_BATCH).map((name) => base + name);
      const stats = await Promise.all(batch.map((key) => (key.endsWith('/') ? undefined : this.stat(key))));
      for (const [at, key] of batch.entries()) {
        const found = stats[at];
        if (key.endsWith('/')) yield* this.#walk(key, '');
        else if (found !== undefined) yield { key, ...found };
      }
    }
  }

  /** Sorted as keys are: a directory counts as its name with the slash, so `a-b` comes before what lies in `a`. */
  async #namesIn(base: string, partial: string): Promise<string[]> {
    try {
      const entries = await readdir(join(this.#root, base), { withFileTypes: true });
      return entries
        .filter(({ name }) => name.startsWith(partial) && isKeySegment(name))
        .filter((entry) => entry.isFile() || entry.isDirectory())
        .map((entry) => (entry.isDirectory() ? `${entry.name}/` : entry.name))
        .sort();
    } catch (error) {
      if (ABSENT.has(codeOf(error))) return [];
      throw storageError(`listing '${base}'`, error);
    }
  }

  async #inTurn<T>(path: string, work: () => Promise<T>): Promise<T> {
    const turn = (this.#copying.get(path) ?? Promise.resolve()).then(work, work);
    this.#copying.set(path, turn);
    try {
      return await turn;
    } finally {
      if (this.#copying.get(path) === turn) this.#copying.delete(path);
    }
  }

  #place(key: string): Place {
    assertKey(key);
    return { key, path: join(this.#root, key) };
  }

  /** Of the store itself, not of an object. */
  async #asked<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw storageError(`object store ${this.#root}`, error);
    }
  }

  async #named<T>(key: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw storageError(`object '${key}'`, error);
    }
  }

  #reading<T>(key: string, work: () => Promise<T>): Promise<T> {
    return this.#named(key, async () => {
      try {
        return await work();
      } catch (error) {
        throw ABSENT.has(codeOf(error)) ? notFound(key) : error;
      }
    });
  }
}

const isCount = (n: number): boolean => Number.isSafeInteger(n) && n >= 0;
const notFound = (key: string): DbError => new DbError('object-not-found', `object '${key}' is missing`);

const etagOf = ({ ino, mtimeNs, size }: BigIntStats): string =>
  `${ino.toString(36)}-${mtimeNs.toString(36)}-${size.toString(36)}`;
const objectStat = (found: BigIntStats): ObjectStat => ({
  sizeBytes: Number(found.size),
  etag: etagOf(found),
  modifiedAtMs: Number(found.mtimeMs),
});

async function statFile(path: string): Promise<BigIntStats | undefined> {
  try {
    const found = await stat(path, { bigint: true });
    return found.isFile() ? found : undefined;
  } catch (error) {
    if (ABSENT.has(codeOf(error))) return undefined;
    throw error;
  }
}

async function removeFile(path: string): Promise<void> {
  try {
    await unlink(path);
  } catch (error) {
    if (!ABSENT.has(codeOf(error))) throw error;
  }
}
