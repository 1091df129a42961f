/** HTTP for probes and people: health and metrics. Read-only; nothing here changes the database. */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Coordinator } from '../coordinator/api.ts';
import { DbError, messageOf } from '../errors/db-error.ts';
import { toJson } from '../support/json.ts';
import { Metrics } from './metrics.ts';

export interface AdminOptions {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  readonly coordinator: Coordinator;
  readonly version: string;
}

export class AdminServer {
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  /** Throws `parameter-invalid` when the port is in use or the address is not this machine's. */
  static async listen({ host, port, coordinator, version }: AdminOptions): Promise<AdminServer> {
    const site: Site = { coordinator, version, metrics: new Metrics(coordinator) };
    const server = createServer({ requestTimeout: 10_000 }, (request, response) => {
      const path = (request.url ?? '/').split('?')[0] ?? '/';
      answer(path, request.method ?? 'GET', site).then(
        ({ status, type, body }) => {
          response.writeHead(status, { 'content-type': type, 'cache-control': 'no-store' });
          response.end(request.method === 'HEAD' ? undefined : body);
        },
        (error: unknown) => response.writeHead(500).end(`${messageOf(error)}\n`),
      );
    });
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error: NodeJS.ErrnoException) => reject(listenError(error, host, port)));
      server.listen(port, host, resolve);
    });
    return new AdminServer(server);
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }
}

function listenError(error: NodeJS.ErrnoException, host: string, port: number): DbError {
  const why =
    error.code === 'EADDRINUSE'
      ? `HTTP port ${port} on ${host} is in use. Stop what uses it, or choose another with --http-port (0 takes a free one)`
      : `cannot listen for HTTP on ${host}:${port}: ${error.message}`;
  return new DbError('parameter-invalid', why, { cause: error });
}

interface Site {
  readonly coordinator: Coordinator;
  readonly version: string;
  readonly metrics: Metrics;
}

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

async function answer(
  path: string,
  method: string,
  { coordinator, version, metrics }: Site,
): Promise<Answer> {
  const plain = (status: number, body: string): Answer => ({ status, type: 'text/plain', body });
  if (method !== 'GET' && method !== 'HEAD') return plain(405, 'only GET is served here\n');
  if (path === '/healthz') {
    const health = coordinator.health();
    return {
      status: health.isHealthy ? 200 : 503,
      type: 'application/json',
      body: `${JSON.stringify(health)}\n`,
    };
  }
  if (path === '/metrics') {
    const { type, text } = await metrics.text();
    return { status: 200, type, body: text };
  }
  if (path === '/restore-jobs') {
    const jobs = coordinator.listRestoreJobs('', '');
    return { status: 200, type: 'application/json', body: `${toJson(jobs)}\n` };
  }
  if (path === '/') return plain(200, `Tidemark ${version}\n/healthz\n/metrics\n/restore-jobs\n`);
  return plain(404, 'nothing at this path; try /healthz, /metrics or /restore-jobs\n');
}
