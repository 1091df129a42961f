/** HTTP for probes, operators and the command line: health, metrics, snapshots, restores, garbage. Listens where the proxy listens. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { DbError, isDbError } from '../errors/db-error.ts';
import type { Clock } from '../support/clock.ts';
import { toJson } from '../support/json.ts';
import type { Log } from '../support/log.ts';
import { within } from '../support/within.ts';
import { checkHead, checkSite, type RequestHead } from './guard.ts';
import { LineSink } from './line-sink.ts';
import { Metrics } from './metrics.ts';
import { errorBody, HttpRefusal, statusOf } from './refusal.ts';
import { type Answer, findRoute, type Route } from './router.ts';
import { type AdminDoor, adminRoutes } from './routes.ts';

const MAX_CONNECTIONS = 256;
/** Verifications, plans and the like under way. */
const MAX_WORK = 8;
const REQUEST_TIMEOUT_MS = 10_000;
/** What streams get at a stop to say why they end. */
const CLOSE_MS = 500;

const headers = {
  'cache-control': 'no-store',
  'x-content-type-options': 'nosniff',
  'cross-origin-resource-policy': 'same-origin',
};

export interface AdminOptions {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  readonly coordinator: AdminDoor;
  readonly version: string;
  readonly clock: Clock;
  readonly log: Log;
}

export class AdminServer {
  readonly #options: AdminOptions;
  readonly #routes: readonly Route[];
  readonly #server: Server;
  /** One for each request under way. */
  readonly #requests = new Map<AbortController, Promise<void>>();
  #working = 0;

  private constructor(options: AdminOptions) {
    this.#options = options;
    this.#routes = adminRoutes({ ...options, metrics: new Metrics(options.coordinator) });
    this.#server = createServer({ requestTimeout: REQUEST_TIMEOUT_MS }, (request, response) =>
      this.#accept(request, response),
    );
    this.#server.maxConnections = MAX_CONNECTIONS;
  }

  /** Throws `parameter-invalid` when the port is in use or the address is not this machine's. */
  static async listen(options: AdminOptions): Promise<AdminServer> {
    const { host, port } = options;
    const admin = new AdminServer(options);
    const server = admin.#server;
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error: NodeJS.ErrnoException) => reject(listenError(error, host, port)));
      server.listen(port, host, resolve);
    });
    return admin;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Idempotent. What is under way is aborted; streams say why they end, if their client listens. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    const reason = new DbError('service-unavailable', 'the server is stopping');
    for (const request of this.#requests.keys()) request.abort(reason);
    const ended: Promise<unknown> = Promise.all(this.#requests.values());
    await within(this.#options.clock, CLOSE_MS, ended, () => undefined);
    this.#server.closeAllConnections();
    await closed;
  }

  #accept(request: IncomingMessage, response: ServerResponse): void {
    const stop = new AbortController();
    response.once('close', () => stop.abort(new DbError('cancelled', 'the client is gone')));
    const done = this.#answer(request, response, stop.signal)
      .catch((error: unknown) => this.#refuse(request, response, error))
      .finally(() => this.#requests.delete(stop));
    this.#requests.set(stop, done);
  }

  async #answer(request: IncomingMessage, response: ServerResponse, signal: AbortSignal): Promise<void> {
    const head = headOf(request);
    checkHead(head, this.#options.host);
    const { route, params, query } = findRoute(this.#routes, head.method, head.url);
    if (route.isWork) checkSite(head);
    for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
    if (head.method === 'HEAD' && route.isWork) {
      response.writeHead(200).end();
      return;
    }
    await this.#counted(route, async () => {
      const answer = await route.answer({ params, query, signal });
      await this.#send(answer, head.method, response, signal);
    });
  }

  async #counted(route: Route, run: () => Promise<void>): Promise<void> {
    if (!route.isWork) return run();
    if (this.#working >= MAX_WORK)
      throw new DbError('resource-exhausted', `${MAX_WORK} such requests are under way: try again later`);
    this.#working++;
    try {
      await run();
    } finally {
      this.#working--;
    }
  }

  async #send(answer: Answer, method: string, response: ServerResponse, signal: AbortSignal): Promise<void> {
    if (answer.kind === 'lines') return this.#stream(answer.lines, response, signal);
    const { status, type, body } = answer;
    response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(body) });
    response.end(method === 'HEAD' ? undefined : body);
  }

  /** A failure before the first line gets a status of its own; later ones are the last line. */
  async #stream(lines: AsyncIterable<unknown>, response: ServerResponse, signal: AbortSignal): Promise<void> {
    const sink = new LineSink(response, this.#options.clock);
    try {
      for await (const line of lines) {
        await sink.push(line);
        signal.throwIfAborted();
      }
      // What an aborted source leaves out must not look like the end.
      signal.throwIfAborted();
      sink.start();
    } catch (error) {
      if (!sink.isStarted) throw error;
      this.#report(error);
      if (!response.destroyed) await sink.push(errorBody(error));
    }
    sink.end();
  }

  #refuse(request: IncomingMessage, response: ServerResponse, error: unknown): void {
    this.#report(error, request.url);
    if (response.destroyed) return;
    if (response.headersSent) {
      response.destroy();
      return;
    }
    const body = `${toJson(errorBody(error))}\n`;
    response.writeHead(statusOf(error), {
      ...headers,
      ...(error instanceof HttpRefusal ? error.headers : {}),
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(body),
      // A body that was not asked for is not read.
      connection: 'close',
    });
    response.end(request.method === 'HEAD' ? undefined : body);
  }

  /** The caller is told everything; what is our fault, the log is told, too. */
  #report(error: unknown, url = ''): void {
    if (!isDbError(error)) this.#options.log.error('admin-request-failed', { url, error });
  }
}

const headOf = (request: IncomingMessage): RequestHead => {
  const text = (name: string): string | undefined => {
    const value = request.headers[name];
    return Array.isArray(value) ? value.join(',') : value;
  };
  return {
    method: request.method ?? 'GET',
    url: request.url ?? '/',
    host: request.headers.host,
    origin: request.headers.origin,
    fetchSite: text('sec-fetch-site'),
    contentLength: request.headers['content-length'],
    transferEncoding: request.headers['transfer-encoding'],
    localAddress: request.socket.localAddress,
  };
};

function listenError(error: NodeJS.ErrnoException, host: string, port: number): DbError {
  const why =
    error.code === 'EADDRINUSE'
      ? `HTTP port ${port} on ${host} is in use. Stop what uses it, or choose another with --http-port (0 takes a free one)`
      : `cannot listen for HTTP on ${host}:${port}: ${error.message}`;
  return new DbError('parameter-invalid', why, { cause: error });
}
