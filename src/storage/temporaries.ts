/**
 * The half-written files of a local store, in `.tmp/`: a directory for each instance that has the store open, in this thread or another.
 * What a thread that died has left is found by listing; whether a directory's instance lives can only be guessed from its age, so
 * one that was removed wrongly is made again.
 */
import type { BigIntStats } from 'node:fs';
import { mkdir, mkdtemp, readdir, rm, rmdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { DbError } from '../errors/db-error.ts';
import { assert } from '../support/assert.ts';
import { codeOf } from './durable-dirs.ts';
import { isKeySegment, type TemporaryFile } from './object-store.ts';
import { storageError } from './storage-error.ts';

const TEMP = '.tmp';

export const ABSENT = new Set(['ENOENT', 'ENOTDIR', 'EISDIR']);
/** What the removal of a file answers for a directory, and that of a directory for one that is not empty. */
const DIRECTORY = new Set(['EISDIR', 'EPERM', 'ERR_FS_EISDIR']);
const FILLED = new Set(['ENOTEMPTY', 'EEXIST']);

export class Temporaries {
  /** Of all instances. */
  readonly #all: string;
  /** Made at the first write: most instances only read. */
  #own: Promise<string> | undefined;
  #count = 0;
  #isClosed = false;

  private constructor(all: string) {
    this.#all = all;
  }

  static async open(root: string): Promise<Temporaries> {
    const all = join(root, TEMP);
    await mkdir(all, { recursive: true });
    return new Temporaries(all);
  }

  /** Only while no instance is open. */
  static async clear(root: string): Promise<void> {
    await rm(join(root, TEMP), { recursive: true, force: true });
  }

  /** Runs `work` with the path of a file that does not exist yet, and removes what is left of it. */
  async through<T>(work: (path: string) => Promise<T>): Promise<T> {
    if (this.#isClosed) throw new DbError('service-unavailable', 'the object store is closed');
    const own = await this.#directory();
    const path = join(own, String(++this.#count));
    try {
      return await this.#attempt(path, work);
    } catch (error) {
      // Unused for long, the directory may have been taken for one whose instance is gone.
      const isTaken = codeOf(error) === 'ENOENT' && (await mkdir(own, { recursive: true })) !== undefined;
      if (!isTaken) throw error;
      return this.#attempt(path, work);
    }
  }

  /** Those of other instances. A directory without files counts as one itself. */
  async *list(): AsyncIterable<TemporaryFile> {
    const own = await this.#own?.catch(() => undefined);
    for (const name of await namesIn(this.#all)) {
      if (join(this.#all, name) === own) continue;
      const inside = await namesIn(join(this.#all, name));
      for (const path of inside.length > 0 ? inside.map((file) => `${name}/${file}`) : [name]) {
        const found = await statEntry(join(this.#all, path));
        if (found === undefined) continue;
        const sizeBytes = found.isFile() ? Number(found.size) : 0;
        yield { name: path, sizeBytes, modifiedAtMs: Number(found.mtimeMs) };
      }
    }
  }

  /** The last file takes its directory with it. */
  async delete(name: string): Promise<void> {
    const parts = name.split('/');
    assert(parts.length <= 2 && parts.every(isKeySegment), `'${name}' is no temporary`);
    await rm(join(this.#all, name), { force: true }).catch((error: unknown) => {
      if (!DIRECTORY.has(codeOf(error))) throw error;
    });
    await rmdir(join(this.#all, parts[0] ?? '')).catch((error: unknown) => {
      if (!ABSENT.has(codeOf(error)) && !FILLED.has(codeOf(error))) throw error;
    });
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    const own = await this.#own?.catch(() => undefined);
    if (own !== undefined) await rm(own, { recursive: true, force: true });
  }

  #directory(): Promise<string> {
    this.#own ??= mkdtemp(join(this.#all, 'w-')).catch((error: unknown) => {
      // The next write tries again.
      this.#own = undefined;
      throw error;
    });
    return this.#own;
  }

  async #attempt<T>(path: string, work: (path: string) => Promise<T>): Promise<T> {
    try {
      return await work(path);
    } catch (error) {
      await rm(path, { force: true });
      throw error;
    }
  }
}

async function namesIn(directory: string): Promise<readonly string[]> {
  try {
    return (await readdir(directory)).filter(isKeySegment).sort();
  } catch (error) {
    if (ABSENT.has(codeOf(error))) return [];
    throw storageError('listing temporaries', error);
  }
}

async function statEntry(path: string): Promise<BigIntStats | undefined> {
  try {
    return await stat(path, { bigint: true });
  } catch (error) {
    if (ABSENT.has(codeOf(error))) return undefined;
    throw storageError('listing temporaries', error);
  }
}
