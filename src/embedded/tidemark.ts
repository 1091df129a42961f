import { DbError } from '../errors/db-error.ts';
import type { RunningServer } from '../server.ts';
import { connect } from './client.ts';
import { ServerCollection } from './collection.ts';
import type { Collection } from './columns.ts';
import type { OpenOptions } from './options.ts';

// biome-ignore lint/suspicious/noTsIgnore: an error only where the package is missing, which it may be; then the type is `any`.
/** @ts-ignore The official client, an optional peer. */
type MilvusClient = import('@zilliz/milvus2-sdk-node').MilvusClient;

/**
 * A database in this process. Its server is the one of `tidemark`, with the same data directory; it installs no signal handlers, ends no
 * process and reads no environment. As an open server does, an open database keeps the process alive until it is closed.
 */
export class Tidemark implements AsyncDisposable {
  /** What a client is given: `unix:/path`, or `host:port`. */
  readonly address: string;
  /** `host:port` of HTTP, for commands and metrics; undefined unless `metrics.port` was given. */
  readonly httpAddress: string | undefined;
  /**
   * Resolves, with the reason, when only opening it again can help: the data directory is gone, or the outcome of a write to the catalog
   * is unknown. By then it is closed. Never rejects; unsettled while all is well.
   */
  readonly failed: Promise<DbError>;
  readonly #server: RunningServer;
  #client: Promise<MilvusClient> | undefined;
  #failure: DbError | undefined;
  #closing: Promise<void> | undefined;

  private constructor(server: RunningServer) {
    this.#server = server;
    this.address = server.grpcAddress;
    this.httpAddress = server.httpAddress;
    this.failed = server.failed.then(async (failure) => {
      this.#failure = failure;
      await Promise.allSettled([this.close()]);
      return failure;
    });
  }

  /**
   * Opens the directory, recovers what it holds, serves. Throws `TidemarkError` with one clear sentence when it cannot, the directory is in
   * use included, and `options.signal`'s reason; then nothing stays open.
   */
  static async open(options: OpenOptions): Promise<Tidemark> {
    const { serverOptions } = await import('./server-options.ts');
    const server = await serverOptions(options);
    const { startServer } = await import('../server.ts');
    return new Tidemark(await startServer(server));
  }

  /**
   * The official client, `@zilliz/milvus2-sdk-node`, connected: the same one for every call, closed with the database. Throws
   * `parameter-missing` when that package is not installed, `service-unavailable` when the database is closed.
   */
  async client(): Promise<MilvusClient> {
    if (this.#closing !== undefined) throw this.#closed();
    this.#client ??= connect(this.#server);
    try {
      return await this.#client;
    } catch (error) {
      this.#client = undefined;
      throw this.#closing === undefined ? error : this.#closed();
    }
  }

  /**
   * Rows of a collection in columns, without a client: what carries vectors, as typed arrays from end to end. It need not exist yet: making,
   * indexing and loading it is the client's. `database`: `default` unless given.
   */
  collection(name: string, database = ''): Collection {
    return new ServerCollection(this.#server.calls, name, database);
  }

  #closed(): DbError {
    return this.#failure ?? new DbError('service-unavailable', 'the database is closed');
  }

  /**
   * Refuses new requests, lets those that run end (for ten seconds at most), and lets go of everything; what was acknowledged is on disk.
   * Idempotent. Throws `storage-failed` when the directory was taken away meanwhile.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /** The server first: who still asks hears from it that it stops, and not from the client that its pool is gone. */
  async #close(): Promise<void> {
    try {
      await this.#server.close();
    } finally {
      const client = await this.#client?.catch(() => undefined);
      await client?.closeConnection();
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
