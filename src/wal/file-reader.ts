import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { DbError } from '../errors/db-error.ts';
import { logFileName, readExactly, storageError } from './file-io.ts';
import { checkRecord, decodeFileHeader, FILE_HEADER_BYTES } from './frame.ts';
import type { WalPosition } from './wal.ts';

/** Log files kept open for reading. */
const MAX_OPEN_FILES = 8;

interface OpenFile {
  readonly opened: Promise<{ readonly handle: FileHandle; readonly salt: bigint }>;
  users: number;
  isForgotten: boolean;
}

/** Reads single records of the log in `root`; also in a worker thread. Keeps a few files open. */
export class FileWalReader {
  readonly #root: string;
  /** Least recently used first. */
  readonly #files = new Map<number, OpenFile>();
  #isClosed = false;

  constructor(root: string) {
    this.#root = root;
  }

  /** The payload, checksum checked. Throws `data-integrity`, and `object-not-found` when the file is gone. */
  async read(position: WalPosition): Promise<Uint8Array<ArrayBuffer>> {
    const { file, offset, length } = position;
    const name = logFileName(file);
    if (this.#isClosed) throw new DbError('service-unavailable', 'the log is closed');
    const entry = this.#use(file);
    try {
      const { handle, salt } = await entry.opened;
      return checkRecord(await readExactly(handle, offset, length, name), salt, offset, name);
    } catch (error) {
      throw storageError(error, `log file '${name}'`);
    } finally {
      entry.users--;
      await closeUnused(entry);
    }
  }

  /** Closes a file that will not be read again, once nobody reads it. */
  async forget(file: number): Promise<void> {
    const entry = this.#files.get(file);
    if (entry === undefined) return;
    this.#files.delete(file);
    entry.isForgotten = true;
    await closeUnused(entry);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    for (const file of [...this.#files.keys()]) await this.forget(file);
  }

  #use(file: number): OpenFile {
    const known = this.#files.get(file);
    const entry = known ?? { opened: this.#open(file), users: 0, isForgotten: false };
    entry.users++;
    this.#files.delete(file);
    this.#files.set(file, entry);
    if (known === undefined) entry.opened.catch(() => this.#files.delete(file));
    const [oldest] = this.#files.keys();
    if (this.#files.size > MAX_OPEN_FILES && oldest !== undefined) void this.forget(oldest);
    return entry;
  }

  async #open(file: number): Promise<{ readonly handle: FileHandle; readonly salt: bigint }> {
    const name = logFileName(file);
    const handle = await open(join(this.#root, name), 'r').catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error;
      throw new DbError('object-not-found', `log file '${name}' is missing`, { cause: error });
    });
    try {
      const header = await readExactly(handle, 0, FILE_HEADER_BYTES, name);
      return { handle, salt: decodeFileHeader(header, file, name) };
    } catch (error) {
      await handle.close();
      throw error;
    }
  }
}

async function closeUnused(entry: OpenFile): Promise<void> {
  if (!entry.isForgotten || entry.users > 0) return;
  const opened = await entry.opened.catch(() => undefined);
  await opened?.handle.close();
}
