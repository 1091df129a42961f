/**
 * The Milvus gRPC server: takes calls, answers each exactly once, and stops without cutting off what is running.
 * Every failure becomes a status; only a fault of ours is logged.
 */
import { messageOf } from '../errors/db-error.ts';
import type { CollectionSchema } from '../model/schema.ts';
import {
  type CallContext,
  collectionAt,
  defaultLimits,
  type ProxyLimits,
  type Services,
  userOf,
} from './context.ts';
import { inserted, upserted } from './handlers/rows.ts';
import { searched } from './handlers/search.ts';
import { listenHttp2 } from './http2-transport.ts';
import { insteadOf, service } from './service.ts';
import {
  CallRefused,
  grpcStatus,
  type IncomingCall,
  refusedAs,
  requireSize,
  type Transport,
} from './transport.ts';
import type { MilvusSearchRequest } from './wire/descriptor.generated.ts';
import {
  allRpcs,
  answersStatus,
  encodeResponse,
  type Outgoing,
  type RpcName,
  type Rpcs,
  serviceName,
  statusFieldOf,
} from './wire/descriptor.ts';
import type { Hits, Mutation } from './wire/results.ts';
import { isFault, statusOf } from './wire/status.ts';

export interface MilvusServerOptions extends Omit<Services, 'limits'> {
  /** Default: loopback only. */
  readonly host?: string;
  /** 0: any free port. */
  readonly port: number;
  /** A Unix socket, instead of host and port. */
  readonly path?: string;
  readonly limits?: Partial<ProxyLimits>;
}

const DROPPED_SAID_EVERY_MS = 60_000;

const isServed = (rpc: string): rpc is RpcName => Object.hasOwn(service, rpc);

export class MilvusServer {
  readonly host: string;
  readonly #services: Services;
  #transport: Transport | undefined;
  #running = 0;
  #runningBytes = 0;
  /** Calls of this process that are being answered. */
  readonly #calls = new Set<Promise<unknown>>();
  #stopping: Promise<void> | undefined;
  #saidDroppedMs = Number.NEGATIVE_INFINITY;

  private constructor(host: string, services: Services) {
    this.host = host;
    this.#services = services;
  }

  /** Binds and serves at once. Throws `parameter-invalid` when the port cannot be had. */
  static async listen(options: MilvusServerOptions): Promise<MilvusServer> {
    const { host = '127.0.0.1', port, path, limits, ...parts } = options;
    const services = { ...parts, limits: { ...defaultLimits, ...limits } };
    const server = new MilvusServer(host, services);
    server.#transport = await listenHttp2({
      host,
      port,
      ...(path === undefined ? {} : { path }),
      maxConnections: services.limits.maxConnections,
      dropped: () => server.#dropped(),
      maxReceiveBytes: services.limits.maxReceiveBytes,
      maxIncomingBytes: services.limits.maxRunningBytes,
      service: serviceName,
      clock: services.clock,
      served: Object.keys(service),
      unserved: new Map(allRpcs.filter((rpc) => !isServed(rpc)).map((rpc) => [rpc, refusalOf(rpc)])),
      answer: (call) => server.#answer(call),
    });
    return server;
  }

  get port(): number {
    return this.#transport?.port ?? 0;
  }

  /** A call from this process, past the transport. `body` becomes the server's. Rejects with `CallRefused`, and with nothing else. */
  async call(call: IncomingCall): Promise<Uint8Array> {
    requireSize(call.body.length, this.#services.limits.maxReceiveBytes);
    return this.#local(this.#answer(call).catch(refusedAs));
  }

  /** An insert or upsert from this process whose answer needs no bytes. `body` becomes the server's. Throws `DbError`, or `CallRefused`. */
  async write(rpc: 'Insert' | 'Upsert', body: Uint8Array): Promise<Mutation> {
    requireSize(body.length, this.#services.limits.maxReceiveBytes);
    const write = rpc === 'Insert' ? inserted : upserted;
    return this.#local(this.#work({ rpc, body, metadata }, (_, context) => write(body, context)));
  }

  /** A search from this process that needs no bytes. Throws as `write`. */
  search(request: MilvusSearchRequest): Promise<Hits> {
    const call = { rpc: 'Search', body: request.placeholder_group ?? nothing, metadata };
    return this.#local(this.#work(call, (_, context) => searched(request, context)));
  }

  /** The schema of a collection that rows may be written to, as it is now. Throws as `write`. */
  schemaOf(db_name: string, collection_name: string): Promise<CollectionSchema> {
    const call = { rpc: 'DescribeCollection', body: nothing, metadata };
    return this.#local(
      this.#work(call, async (_, context) => {
        const at = collectionAt(context, { db_name, collection_name });
        return context.coordinator.requireReady(at).collection.schema;
      }),
    );
  }

  /** A stop waits for it. */
  async #local<T>(answer: Promise<T>): Promise<T> {
    this.#calls.add(answer);
    try {
      return await answer;
    } finally {
      this.#calls.delete(answer);
    }
  }

  /** Refuses new calls, waits for running ones up to `limits.drainMs`, then cuts off the rest. Idempotent. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    const { clock, limits, log } = this.#services;
    const patience = new AbortController();
    const drained = this.#drain().then(() => patience.abort());
    await clock.sleep(limits.drainMs, patience.signal).catch(() => undefined);
    if (!patience.signal.aborted) log.warn('proxy-calls-cut-off', { running: this.#running });
    this.#transport?.close();
    await drained;
  }

  async #drain(): Promise<void> {
    await Promise.all([this.#transport?.drain(), Promise.allSettled(this.#calls)]);
  }

  /** Said once a minute at most: whoever opens so many opens more. */
  #dropped(): void {
    const { clock, limits, log } = this.#services;
    const nowMs = clock.nowMs();
    if (nowMs - this.#saidDroppedMs < DROPPED_SAID_EVERY_MS) return;
    this.#saidDroppedMs = nowMs;
    log.warn('connections-are-dropped', { maxConnections: limits.maxConnections });
  }

  async #answer(call: IncomingCall): Promise<Uint8Array> {
    try {
      return await this.#work(call, (rpc, context) => service[rpc].answer(call.body, context));
    } catch (error) {
      if (error instanceof CallRefused) throw error;
      return failure(call.rpc as RpcName, error);
    }
  }

  /** Within the limits. Throws `CallRefused`, or what `work` throws; a fault of ours is logged. */
  async #work<T>(
    { rpc, body, metadata }: IncomingCall,
    work: (rpc: RpcName, context: CallContext) => Promise<T>,
  ): Promise<T> {
    const { limits, log } = this.#services;
    if (!isServed(rpc)) throw new CallRefused(grpcStatus.unimplemented, refusalOf(rpc));
    if (this.#stopping !== undefined)
      throw new CallRefused(grpcStatus.unavailable, 'the server is stopping; try again');
    const isFull = this.#running > 0 && this.#runningBytes + body.length > limits.maxRunningBytes;
    if (this.#running >= limits.maxRunningCalls || isFull)
      throw new CallRefused(grpcStatus.resourceExhausted, 'too many calls at once; try again');
    // A large body is handed to a worker thread, and its length is 0 afterwards.
    const { length } = body;
    this.#running++;
    this.#runningBytes += length;
    try {
      return await work(rpc, {
        ...this.#services,
        metadataDatabase: metadata('dbname') ?? '',
        user: userOf(metadata('authorization')),
      });
    } catch (error) {
      if (isFault(error)) log.error('rpc-failed', { rpc, error: messageOf(error), stack: stackOf(error) });
      throw error;
    } finally {
      this.#running--;
      this.#runningBytes -= length;
    }
  }
}

/** Of calls that say nothing beside themselves. */
const nothing = new Uint8Array(0);
const metadata = () => undefined;

function refusalOf(rpc: string): string {
  return `${rpc} is not implemented by this server. ${insteadOf[rpc] ?? 'See docs/compatibility.md.'}`;
}

const stackOf = (error: unknown): string | undefined => (error instanceof Error ? error.stack : undefined);

function failure(rpc: RpcName, error: unknown): Uint8Array {
  const status = statusOf(error);
  // Every answer is a status or carries one in `status`: asserted for the whole table by service.test.ts.
  const message: unknown = answersStatus(rpc) ? status : { [statusFieldOf(rpc)]: status };
  return encodeResponse(rpc, message as Outgoing<Rpcs[RpcName]['response']>);
}
