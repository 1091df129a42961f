/**
 * The embedded catalog: LMDB. A commit is one write transaction, its conditions are read inside it, and it has been synced when
 * the call resolves. Keys are UTF-8, so their order is the order of their bytes, as in etcd.
 */
import { mkdir, statfs } from 'node:fs/promises';
import { open, type RootDatabase } from 'lmdb';
import { DbError, messageOf } from '../errors/db-error.ts';
import {
  assertBounds,
  type Kv,
  type KvCondition,
  type KvEntry,
  type KvOp,
  MAX_COMMIT_BYTES,
  sameBytes,
} from './kv.ts';

export interface LmdbKvOptions {
  /** Address space to begin with, bytes; it grows when needed. */
  readonly mapSize?: number;
}

/** ENOSPC, EDQUOT, MDB_MAP_FULL. */
const FULL = new Set<unknown>([28, 122, -30792]);
/** EIO. LMDB answers it for a write that was cut short, which is how a full disk shows most of the time. */
const CUT_SHORT = 5;

/** A `Kv` in a directory of a local file system. One process at a time; the caller holds the lock. */
export class LmdbKv implements Kv {
  readonly #path: string;
  readonly #db: RootDatabase<Buffer, Buffer>;
  #isClosed = false;

  private constructor(path: string, db: RootDatabase<Buffer, Buffer>) {
    this.#path = path;
    this.#db = db;
  }

  /** Opens or makes the catalog in the directory `path`. Throws `storage-failed`. */
  static async open(path: string, { mapSize }: LmdbKvOptions = {}): Promise<LmdbKv> {
    try {
      await mkdir(path, { recursive: true });
      return new LmdbKv(
        path,
        open<Buffer, Buffer>({
          path,
          noSubdir: false,
          encoding: 'binary',
          keyEncoding: 'binary',
          ...(mapSize !== undefined && { mapSize }),
        }),
      );
    } catch (error) {
      throw failure(`catalog ${path}`, error);
    }
  }

  async get(key: string): Promise<Uint8Array | undefined> {
    return this.#guarded(`key '${key}'`, () => this.#db.getBinary(Buffer.from(key)));
  }

  async range(prefix: string): Promise<readonly KvEntry[]> {
    const start = Buffer.from(prefix);
    return this.#guarded(`range '${prefix}'`, () => {
      const entries: KvEntry[] = [];
      for (const { key, value } of this.#db.getRange({ start })) {
        if (!key.subarray(0, start.length).equals(start)) break;
        entries.push({ key: key.toString(), value });
      }
      return entries;
    });
  }

  async commit(
    ops: readonly KvOp[],
    conditions: readonly KvCondition[] = [],
  ): Promise<'committed' | 'stale'> {
    assertBounds(ops);
    try {
      return this.#guarded('commit', () => this.#transact(ops, conditions));
    } catch (error) {
      throw (await this.#isFull(error, ops))
        ? new DbError(
            'storage-full',
            `catalog: no space left on device for a commit of ${ops.length} operations: free some, then try again`,
            { cause: error },
          )
        : error;
    }
  }

  /** Blocks this thread for one sync of the file. The library's asynchronous transactions (3.5.6) never called back. */
  #transact(ops: readonly KvOp[], conditions: readonly KvCondition[]): 'committed' | 'stale' {
    return this.#db.transactionSync(() => {
      const holds = ({ key, value }: KvCondition) => sameBytes(this.#db.getBinary(Buffer.from(key)), value);
      if (!conditions.every(holds)) return 'stale';
      for (const op of ops)
        if (op.kind === 'put') this.#db.putSync(Buffer.from(op.key), Buffer.from(op.value));
        else this.#db.removeSync(Buffer.from(op.key));
      return 'committed';
    });
  }

  /** Whether `error` means that there was no space and that nothing was written. */
  async #isFull(error: unknown, ops: readonly KvOp[]): Promise<boolean> {
    const code = codeOf(error instanceof DbError ? error.cause : error);
    if (FULL.has(code)) return true;
    if (code !== CUT_SHORT) return false;
    const { bavail, bsize } = await statfs(this.#path);
    // An error of the last sync can come after the commit has become visible; then its outcome is not known.
    const isVisible = ops.every((op) =>
      sameBytes(this.#db.getBinary(Buffer.from(op.key)), op.kind === 'put' ? op.value : undefined),
    );
    return bavail * bsize < 2 * MAX_COMMIT_BYTES && !isVisible;
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#db.close();
  }

  /** What another thread has committed is seen by the next read. */
  refresh(): void {
    if (!this.#isClosed) this.#db.resetReadTxn();
  }

  /** Throws `service-unavailable` once it is closed. */
  assertOpen(): void {
    if (this.#isClosed) throw new DbError('service-unavailable', 'the catalog is closed');
  }

  #guarded<T>(what: string, work: () => T): T {
    this.assertOpen();
    try {
      return work();
    } catch (error) {
      throw failure(what, error);
    }
  }
}

const codeOf = (error: unknown): unknown =>
  error instanceof Error && 'code' in error ? error.code : undefined;
const failure = (what: string, error: unknown): DbError =>
  new DbError('storage-failed', `${what}: ${messageOf(error)}`, { cause: error });
