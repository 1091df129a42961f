import { DbError } from '../errors/db-error.ts';
import type { HybridTime } from '../model/hybrid-time.ts';
import { assert, present } from '../support/assert.ts';
import {
  byteLength,
  checkRecord,
  decodeFileHeader,
  encodeFileHeader,
  encodeRecordHeader,
  FILE_HEADER_BYTES,
  MAX_PAYLOAD_BYTES,
  paddedLength,
  RECORD_HEADER_BYTES,
  scanRecords,
} from './frame.ts';
import type { Wal, WalEntry, WalPosition } from './wal.ts';

export interface MemoryWalOptions {
  /** A new file begins when this many bytes would be exceeded. */
  readonly fileBytes?: number;
  /** `auto`: what is appended becomes durable shortly after. `manual`: when the test calls `sync`. */
  readonly sync?: 'auto' | 'manual';
}

/** A file that grows: the first `length` bytes are its content. */
interface Stored {
  bytes: Uint8Array<ArrayBuffer>;
  length: number;
}

const stored = (bytes: Uint8Array<ArrayBuffer>): Stored => ({ bytes, length: bytes.length });

function resize(file: Stored, length: number): void {
  if (length > file.bytes.length) {
    const grown = new Uint8Array(Math.max(length, 2 * file.bytes.length));
    grown.set(file.bytes.subarray(0, file.length));
    file.bytes = grown;
  }
  // As on a disk: what is cut off does not come back when the file grows again.
  if (length < file.length) file.bytes.fill(0, length, file.length);
  file.length = length;
}

interface Pending {
  readonly position: WalPosition;
  readonly bytes: Uint8Array;
  readonly resolve: () => void;
  readonly reject: (error: DbError) => void;
}

/** What a crash leaves of records that were not durable. */
export interface CrashLeft {
  /** So many of the first have reached the disk all the same. */
  readonly keep?: number;
  /** Of the next one so many bytes have, too; true: half of it. */
  readonly tear?: boolean | number;
  /** What the disk shows behind the tear. */
  readonly garbage?: Uint8Array;
  /** Those behind the torn one, in its file, have reached the disk: it writes in the order it likes. */
  readonly hasHole?: boolean;
}

/**
 * A `Wal` in memory, byte for byte what the file adapter writes, for tests and the simulation. Its content outlives
 * `close` and `crash`, as a disk would: `reopen` gives the log of the next start.
 */
export class MemoryWal implements Wal {
  readonly location = undefined;
  readonly #options: Required<MemoryWalOptions>;
  /** What is on the disk. */
  readonly #files: Map<number, Stored>;
  #unsynced: Pending[] = [];
  #failure: DbError | undefined;
  #isSyncing = false;
  #isClosed = false;
  #isReplayed = false;
  #file = 1;
  #end = FILE_HEADER_BYTES;
  #durable = FILE_HEADER_BYTES;

  constructor(options: MemoryWalOptions = {}, files = new Map<number, Stored>()) {
    this.#options = { fileBytes: options.fileBytes ?? 64 << 20, sync: options.sync ?? 'auto' };
    this.#files = files;
    const last = Math.max(0, ...files.keys());
    if (last > 0) this.#file = last;
    else files.set(this.#file, stored(encodeFileHeader(this.#file, 0n)));
    this.#isReplayed = last === 0;
    this.#end = files.get(this.#file)?.length ?? FILE_HEADER_BYTES;
    this.#durable = this.#end;
  }

  get currentFile(): number {
    return this.#file;
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
    if (this.#end > FILE_HEADER_BYTES && this.#end + length > this.#options.fileBytes) this.#roll();
    const position = { file: this.#file, offset: this.#end, length };
    const bytes = new Uint8Array(paddedLength(length));
    const place = { offset: this.#end, salt: 0n, durableBytes: this.#durable };
    let at = 0;
    for (const piece of [encodeRecordHeader(ts, payload, place), ...payload]) {
      bytes.set(piece, at);
      at += piece.length;
    }
    this.#end += bytes.length;
    const durable = new Promise<void>((resolve, reject) => {
      this.#unsynced.push({ position, bytes, resolve, reject });
    });
    if (this.#options.sync === 'auto') this.#syncSoon();
    return { position, durable };
  }

  async *replay(): AsyncIterable<WalEntry> {
    for (const file of [...this.#files.keys()].sort((a, b) => a - b)) {
      const disk = present(this.#files.get(file), 'a log file');
      const bytes = disk.bytes.subarray(0, disk.length);
      const name = `${file}.log`;
      const salt = decodeFileHeader(bytes.subarray(0, FILE_HEADER_BYTES), file, name);
      const read = (offset: number, length: number) => Promise.resolve(bytes.slice(offset, offset + length));
      const records = scanRecords({ name, size: bytes.length, read }, salt, file === this.#file);
      let step = await records.next();
      for (; step.done !== true; step = await records.next()) {
        const { offset, length, ts, payload } = step.value;
        yield { position: { file, offset, length }, ts, payload };
      }
      resize(disk, step.value.offset);
    }
    this.#end = this.#files.get(this.#file)?.length ?? FILE_HEADER_BYTES;
    this.#durable = this.#end;
    this.#isReplayed = true;
  }

  async read(position: WalPosition): Promise<Uint8Array<ArrayBuffer>> {
    await Promise.resolve();
    if (this.#isClosed) throw new DbError('service-unavailable', 'the log is closed');
    const disk = this.#files.get(position.file);
    if (disk === undefined)
      throw new DbError('object-not-found', `log file '${position.file}.log' is missing`);
    const record = disk.bytes.slice(
      position.offset,
      Math.min(position.offset + position.length, disk.length),
    );
    return checkRecord(record, 0n, position.offset, `${position.file}.log`);
  }

  truncateBefore(file: number): Promise<void> {
    // The newest on the disk stays, as a file's does: the one that records go to now may not be there yet.
    const last = Math.max(...this.#files.keys());
    for (const key of [...this.#files.keys()]) if (key < file && key < last) this.#files.delete(key);
    return Promise.resolve();
  }

  /** Lengths on the disk of the records that are not durable. */
  get unsynced(): readonly number[] {
    return this.#unsynced.map(({ bytes }) => bytes.length);
  }

  /** Makes what was appended so far durable. */
  sync(): void {
    const batch = this.#unsynced;
    this.#unsynced = [];
    for (const { position, bytes } of batch) this.#store(position, bytes);
    this.#durable = this.#end;
    for (const { resolve } of batch) resolve();
  }

  /**
   * From now on the disk refuses writes with this error: what is not durable yet is rejected, and all that follows; after
   * `storage-full` until `freeSpace`.
   */
  failAppends(code: 'storage-full' | 'storage-failed'): void {
    this.#fail(new DbError(code, 'the log cannot be written'));
  }

  /** The disk takes writes again. */
  freeSpace(): void {
    if (this.#failure?.code === 'storage-full') this.#failure = undefined;
  }

  /** The process dies: this log never answers again. Of what was not durable the disk has what `left` says. */
  crash({ keep = 0, tear = false, hasHole = false, garbage }: CrashLeft = {}): void {
    const batch = this.#unsynced;
    for (const { position, bytes } of batch.slice(0, keep)) this.#store(position, bytes);
    const torn = batch[keep];
    const part = torn?.bytes.subarray(0, tear === true ? torn.bytes.length / 2 : Number(tear));
    if (torn !== undefined && part !== undefined && part.length > 0) this.#store(torn.position, part);
    if (torn !== undefined && part !== undefined && garbage !== undefined) {
      const { file, offset } = torn.position;
      this.#store({ ...torn.position, file, offset: offset + part.length }, garbage);
    }
    if (torn !== undefined && hasHole)
      for (const { position, bytes } of batch.slice(keep + 1))
        if (position.file === torn.position.file) this.#store(position, bytes);
    this.#unsynced = [];
    this.#shut();
  }

  /** The log of the next start, over the same disk. */
  reopen(options: MemoryWalOptions = this.#options): MemoryWal {
    assert(this.#failure !== undefined, 'a log is closed before it is opened again');
    this.#shut();
    return new MemoryWal(options, this.#files);
  }

  /** Flips bits of one durable byte. */
  damage(position: WalPosition, byte: number): void {
    const { bytes } = present(this.#files.get(position.file), 'the damaged file');
    const at = position.offset + byte;
    bytes[at] = (bytes[at] as number) ^ 0x5a;
  }

  /** The newest file loses its last bytes. */
  cutTail(bytes: number): void {
    const disk = present(this.#files.get(this.fileRange[1]), 'the newest file');
    resize(disk, Math.max(0, disk.length - bytes));
  }

  /** Oldest and newest file kept. */
  get fileRange(): readonly [number, number] {
    return [Math.min(...this.#files.keys()), Math.max(...this.#files.keys())];
  }

  close(): Promise<void> {
    if (this.#failure === undefined) this.sync();
    this.#shut();
    return Promise.resolve();
  }

  #shut(): void {
    this.#isClosed = true;
    this.#failure ??= new DbError('service-unavailable', 'the log is closed');
  }

  #syncSoon(): void {
    if (this.#isSyncing) return;
    this.#isSyncing = true;
    queueMicrotask(() => {
      this.#isSyncing = false;
      if (this.#failure === undefined) this.sync();
    });
  }

  #roll(): void {
    this.#file++;
    this.#end = FILE_HEADER_BYTES;
    this.#durable = FILE_HEADER_BYTES;
  }

  #fail(error: DbError): void {
    this.#failure = error;
    const batch = this.#unsynced;
    this.#unsynced = [];
    const [first] = batch;
    if (first !== undefined) {
      this.#file = first.position.file;
      this.#end = first.position.offset;
      this.#durable = first.position.offset;
    }
    for (const { reject } of batch) reject(error);
  }

  #store({ file, offset }: WalPosition, bytes: Uint8Array): void {
    const disk = this.#files.get(file) ?? stored(encodeFileHeader(file, 0n));
    this.#files.set(file, disk);
    resize(disk, Math.max(disk.length, offset + bytes.length));
    disk.bytes.set(bytes, offset);
  }
}
