/**
 * The log in files `{n}.log` of one directory. One writer: all records queued while a sync runs share the next write and sync.
 * A file is complete and durable before the next one is created, so only the last file can end torn.
 */
import { type FileHandle, mkdir, open, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { ErrorName } from '../errors/codes.ts';
import { DbError, isDbError, messageOf } from '../errors/db-error.ts';
import type { HybridTime } from '../model/hybrid-time.ts';
import { assert } from '../support/assert.ts';
import type { Random } from '../support/random.ts';
import { isJustBegun, logFileName, readExactly, storageError, syncDirectory, writeAll } from './file-io.ts';
import { FileWalReader } from './file-reader.ts';
import {
  byteLength,
  checksumInTurns,
  decodeFileHeader,
  encodeFileHeader,
  encodeRecordHeader,
  FILE_HEADER_BYTES,
  MAX_PAYLOAD_BYTES,
  paddedLength,
  RECORD_HEADER_BYTES,
  scanRecords,
} from './frame.ts';
import { PieceWriter } from './pieces.ts';
import type { Wal, WalEntry, WalPosition } from './wal.ts';

export interface FileWalOptions {
  readonly random: Random;
  /** A new file begins when this many bytes would be exceeded. */
  readonly fileBytes?: number;
  /** How files are opened for writing; the tests hand in one that fails. */
  readonly open?: typeof open;
}

/** What recovery cut from the end of the last file: bytes that were never acknowledged. */
export interface TornTail {
  readonly file: number;
  readonly offset: number;
  readonly bytes: number;
}

const FILE_BYTES = 64 << 20;
/** Bytes written with one sync. */
const MAX_BATCH_BYTES = 32 << 20;

/** A full disk; no more files for this process. Both come before anything is written, or leave what can be taken away. */
const PASSING: ReadonlySet<ErrorName> = new Set(['storage-full', 'resource-exhausted']);

interface Queued {
  readonly position: WalPosition;
  readonly ts: HybridTime;
  readonly payload: readonly Uint8Array[];
  readonly resolve: () => void;
  readonly reject: (error: DbError) => void;
}

interface WriteFile {
  readonly file: number;
  readonly handle: FileHandle;
  readonly salt: bigint;
}

export class FileWal implements Wal {
  readonly location: { readonly kind: 'file'; readonly root: string };
  readonly #root: string;
  readonly #options: FileWalOptions;
  readonly #open: typeof open;
  readonly #reader: FileWalReader;
  /** Files on the disk, ascending. */
  #files: readonly number[];
  /** The file that may end torn: the last one, unless a later one had been begun. */
  readonly #tearable: number | undefined;
  #isReplayed: boolean;
  #file: number;
  #end = FILE_HEADER_BYTES;
  /** Durable bytes of the file being written. */
  #durable = FILE_HEADER_BYTES;
  #writing: WriteFile | undefined;
  #queue: Queued[] = [];
  #pump: Promise<void> | undefined;
  #failure: DbError | undefined;
  #tornTail: TornTail | undefined;

  private constructor(root: string, options: FileWalOptions, files: readonly number[], begun?: number) {
    this.#root = root;
    this.#options = options;
    this.#open = options.open ?? open;
    this.#reader = new FileWalReader(root);
    this.location = { kind: 'file', root };
    this.#files = files;
    const last = files.at(-1);
    this.#tearable = begun === undefined ? last : undefined;
    this.#file = begun ?? last ?? 1;
    this.#isReplayed = files.length === 0;
  }

  /** Opens or begins the log in `root`. Throws `data-integrity` when a file is missing in the middle. */
  static async open(root: string, options: FileWalOptions): Promise<FileWal> {
    try {
      await mkdir(root, { recursive: true });
      const files = (await readdir(root))
        .map((name) => /^([1-9]\d{0,14})\.log$/.exec(name)?.[1])
        .filter((digits) => digits !== undefined)
        .map(Number)
        .sort((a, b) => a - b);
      const gap = files.find((file, i) => i > 0 && file !== (files[i - 1] as number) + 1);
      if (gap !== undefined)
        throw new DbError('data-integrity', `log file '${logFileName(gap - 1)}' is missing in '${root}'`);
      const last = files.at(-1);
      if (last === undefined || !(await isJustBegun(join(root, logFileName(last)), last)))
        return new FileWal(root, options, files);
      await rm(join(root, logFileName(last)));
      return new FileWal(root, options, files.slice(0, -1), last);
    } catch (error) {
      throw storageError(error, `log in '${root}'`);
    }
  }

  get currentFile(): number {
    return this.#file;
  }

  /** After `replay`: what was cut. */
  get tornTail(): TornTail | undefined {
    return this.#tornTail;
  }

  append(
    ts: HybridTime,
    payload: readonly Uint8Array[],
  ): { readonly position: WalPosition; readonly durable: Promise<void> } {
    assert(this.#isReplayed, 'a log is replayed before it is appended to');
    const length = RECORD_HEADER_BYTES + byteLength(payload);
    assert(length <= MAX_PAYLOAD_BYTES, `a log record of ${length} bytes`);
    if (this.#failure !== undefined)
      return {
        position: { file: this.#file, offset: this.#end, length },
        durable: Promise.reject(this.#failure),
      };
    if (this.#end > FILE_HEADER_BYTES && this.#end + length > (this.#options.fileBytes ?? FILE_BYTES)) {
      this.#file++;
      this.#end = FILE_HEADER_BYTES;
    }
    const position = { file: this.#file, offset: this.#end, length };
    this.#end += paddedLength(length);
    const durable = new Promise<void>((resolve, reject) => {
      this.#queue.push({ position, ts, payload, resolve, reject });
    });
    this.#pump ??= this.#run();
    return { position, durable };
  }

  async #run(): Promise<void> {
    // Appends of the same turn of the event loop share the first write.
    await Promise.resolve();
    while (this.#queue.length > 0) {
      const batch = this.#takeBatch();
      try {
        await this.#write(batch);
        for (const { resolve } of batch) resolve();
      } catch (error) {
        await this.#fail(storageError(error, `log in '${this.#root}'`), batch);
      }
    }
    this.#pump = undefined;
  }

  /** Records for one file, as many as one sync should carry. */
  #takeBatch(): readonly Queued[] {
    const file = this.#queue[0]?.position.file;
    let bytes = 0;
    let count = 0;
    for (const { position } of this.#queue) {
      if (position.file !== file || (count > 0 && bytes + position.length > MAX_BATCH_BYTES)) break;
      bytes += position.length;
      count++;
    }
    return this.#queue.splice(0, count);
  }

  async #write(batch: readonly Queued[]): Promise<void> {
    const first = batch[0]?.position;
    assert(first !== undefined, 'a batch has records');
    const { handle, salt } = await this.#fileFor(first.file);
    const out = new PieceWriter();
    for (const { position, ts, payload } of batch) {
      const place = { offset: position.offset, salt, durableBytes: this.#durable };
      out.append(encodeRecordHeader(ts, payload, place, await checksumInTurns(payload)));
      for (const piece of payload) out.append(piece);
      out.align();
    }
    const end = await writeAll(handle, out.finish(), first.offset);
    await this.#synced(handle.datasync());
    await this.#refuseRemoved(handle);
    this.#durable = end;
  }

  /** The file open for writing: the last one again after a start, or a new one, durable with its name. */
  async #fileFor(file: number): Promise<WriteFile> {
    if (this.#writing?.file === file) return this.#writing;
    await this.#writing?.handle.close();
    this.#writing = undefined;
    const path = join(this.#root, logFileName(file));
    if (this.#files.at(-1) === file) {
      const handle = await this.#open(path, 'r+');
      this.#writing = { file, handle, salt: 0n };
      const header = await readExactly(handle, 0, FILE_HEADER_BYTES, logFileName(file));
      this.#writing = { file, handle, salt: decodeFileHeader(header, file, logFileName(file)) };
      return this.#writing;
    }
    this.#durable = FILE_HEADER_BYTES;
    const salt = this.#options.random.positiveInt64();
    const handle = await this.#open(path, 'wx');
    this.#writing = { file, handle, salt };
    await writeAll(handle, [encodeFileHeader(file, salt)], 0);
    await this.#synced(handle.sync());
    await this.#synced(syncDirectory(this.#root));
    this.#files = [...this.#files, file];
    return this.#writing;
  }

  /** After a sync that failed nobody knows what is on the disk, whatever the reason. */
  async #synced(sync: Promise<void>): Promise<void> {
    try {
      await sync;
    } catch (cause) {
      // Not of a sync: the directory to be synced could not be opened.
      if (isDbError(storageError(cause, ''), 'resource-exhausted'))
        throw storageError(cause, `log in '${this.#root}'`);
      throw new DbError('storage-failed', `log in '${this.#root}': ${messageOf(cause)}`, { cause });
    }
  }

  /** Somebody may have removed the file while it is open: then it takes bytes like any other, and nobody will ever find them. */
  async #refuseRemoved(handle: FileHandle): Promise<void> {
    if ((await handle.stat()).nlink === 0)
      throw new DbError(
        'storage-failed',
        `log in '${this.#root}': the file that was being written was removed`,
      );
  }

  /** What passes refuses what was under way; when nothing of it is left on the disk, the log goes on. Anything else ends it. */
  async #fail(failure: DbError, batch: readonly Queued[]): Promise<void> {
    this.#failure = failure;
    const isUndone = await this.#undo().catch(() => false);
    const isPassing = PASSING.has(failure.code);
    const refused = [...batch, ...this.#queue.splice(0)];
    const [first] = refused;
    if (isPassing && isUndone && first !== undefined) {
      this.#file = first.position.file;
      this.#end = first.position.offset;
      this.#failure = undefined;
    } else if (isPassing) this.#failure = new DbError('storage-failed', failure.message, { cause: failure });
    for (const { reject } of refused) reject(this.#failure ?? failure);
  }

  /**
   * Takes away what a failed write may have left, so that a write that was refused does not come back at the next start. Rejects when
   * it cannot: it may then come back.
   */
  async #undo(): Promise<boolean> {
    const writing = this.#writing;
    if (writing === undefined) return true;
    if (this.#files.at(-1) === writing.file) {
      await writing.handle.truncate(this.#durable);
      await writing.handle.datasync();
      return true;
    }
    // Only begun: no record is in it.
    this.#writing = undefined;
    await writing.handle.close();
    await rm(join(this.#root, logFileName(writing.file)), { force: true });
    return true;
  }

  async *replay(): AsyncIterable<WalEntry> {
    try {
      for (const file of this.#files) yield* this.#replayFile(file);
    } catch (error) {
      throw storageError(error, `log in '${this.#root}'`);
    }
    this.#isReplayed = true;
  }

  async *#replayFile(file: number): AsyncGenerator<WalEntry> {
    const name = logFileName(file);
    await using handle = await open(join(this.#root, name), 'r+');
    const { size } = await handle.stat();
    const salt = decodeFileHeader(await readExactly(handle, 0, FILE_HEADER_BYTES, name), file, name);
    const read = (offset: number, length: number) => readExactly(handle, offset, length, name);
    const records = scanRecords({ name, size, read }, salt, file === this.#tearable);
    let step = await records.next();
    for (; step.done !== true; step = await records.next()) {
      const { offset, length, ts, payload } = step.value;
      yield { position: { file, offset, length }, ts, payload };
    }
    if (file !== this.#files.at(-1)) return;
    const { offset, tornBytes } = step.value;
    if (tornBytes > 0) this.#tornTail = { file, offset, bytes: tornBytes };
    // Also after a mere crash of the process: what was found must not be lost any more once it has been built upon.
    if (size !== offset) await handle.truncate(offset);
    await handle.sync();
    if (file !== this.#file) return;
    this.#end = offset;
    this.#durable = offset;
  }

  read(position: WalPosition): Promise<Uint8Array<ArrayBuffer>> {
    return this.#reader.read(position);
  }

  async truncateBefore(file: number): Promise<void> {
    const last = this.#files.at(-1) ?? 0;
    const gone = this.#files.filter((known) => known < file && known < last);
    try {
      // Oldest first, and known until it is gone: one that cannot be removed now is the next call's, and no gap comes about.
      for (const old of gone) {
        await this.#reader.forget(old);
        await rm(join(this.#root, logFileName(old)), { force: true });
        this.#files = this.#files.filter((known) => known !== old);
      }
      if (gone.length > 0) await syncDirectory(this.#root);
    } catch (error) {
      throw storageError(error, `log in '${this.#root}'`);
    }
  }

  async close(): Promise<void> {
    await this.#pump;
    this.#failure ??= new DbError('service-unavailable', 'the log is closed');
    await this.#writing?.handle.close();
    this.#writing = undefined;
    await this.#reader.close();
  }
}
