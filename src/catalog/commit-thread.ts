/**
 * Commits of the embedded catalog in a thread of their own: a commit waits for the disk, and a busy disk would keep the event loop
 * for tens of milliseconds. Reads stay on the calling thread: they are answered from memory-mapped pages.
 */
import { assert } from '../support/assert.ts';
import type { Workers, WorkerTasks } from '../support/workers.ts';
import { assertBounds, type Kv, type KvCondition, type KvEntry, type KvOp } from './kv.ts';
import { LmdbKv } from './lmdb.ts';
import { assertSoundFile } from './lmdb-file.ts';

const OPEN = 'catalog-open';
const COMMIT = 'catalog-commit';
const CLOSE = 'catalog-close';

interface Commit {
  readonly ops: readonly KvOp[];
  readonly conditions: readonly KvCondition[];
}

/** What the thread does. It serves one catalog. */
export function catalogTasks(): WorkerTasks {
  let kv: LmdbKv | undefined;
  return {
    [OPEN]: async (path: string) => {
      kv = await LmdbKv.open(path);
      return { output: undefined, transfer: [] };
    },
    [COMMIT]: async ({ ops, conditions }: Commit) => {
      assert(kv !== undefined, 'the catalog is opened before it is written to');
      return { output: await kv.commit(ops, conditions), transfer: [] };
    },
    [CLOSE]: async () => {
      await kv?.close();
      return { output: undefined, transfer: [] };
    },
  };
}

/** A view may lie in a large buffer, which would be sent whole. */
const own = (value: Uint8Array): Uint8Array => new Uint8Array(value);

/** An `LmdbKv` whose commits run in `workers`, which must be one thread that is never ended for being idle. */
export class CommitThreadKv implements Kv {
  readonly #reader: LmdbKv;
  readonly #workers: Workers;
  #closing: Promise<void> | undefined;

  private constructor(reader: LmdbKv, workers: Workers) {
    this.#reader = reader;
    this.#workers = workers;
  }

  /** Takes `workers` over: they are closed with it, and when it cannot be opened. Throws `storage-failed`, or `data-integrity` for a file that cannot be one. */
  static async open(path: string, workers: Workers): Promise<CommitThreadKv> {
    try {
      // Before it is mapped, by either thread.
      await assertSoundFile(path);
      const opened = workers.run<string, void>(OPEN, path);
      const [reader] = await Promise.all([LmdbKv.open(path), opened]);
      return new CommitThreadKv(reader, workers);
    } catch (error) {
      await workers.close();
      throw error;
    }
  }

  get(key: string): Promise<Uint8Array | undefined> {
    return this.#reader.get(key);
  }

  range(prefix: string): Promise<readonly KvEntry[]> {
    return this.#reader.range(prefix);
  }

  async commit(
    ops: readonly KvOp[],
    conditions: readonly KvCondition[] = [],
  ): Promise<'committed' | 'stale'> {
    assertBounds(ops);
    this.#reader.assertOpen();
    const input: Commit = {
      ops: ops.map((op) => (op.kind === 'put' ? { ...op, value: own(op.value) } : op)),
      conditions: conditions.map(({ key, value }) => ({ key, value: value && own(value) })),
    };
    const outcome: 'committed' | 'stale' = await this.#workers.run(COMMIT, input);
    this.#reader.refresh();
    return outcome;
  }

  /** Waits for commits under way. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const ended = this.#workers.run(CLOSE, undefined);
    await this.#reader.close();
    await ended;
    await this.#workers.close();
  }
}
