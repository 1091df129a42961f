/** Asks a running server over its HTTP port. `node:http` and not fetch: that gives up after five minutes without a byte. */
import { type IncomingMessage, request } from 'node:http';
import type { Config } from '../config/options.ts';
import { parseJson } from '../support/json.ts';
import { UsageError } from './exit-codes.ts';

const MAX_LINE_LENGTH = 64 * 2 ** 20;

/** What arrives of a value: 64-bit integers as text. */
export type Json<T> = T extends bigint
  ? string
  : T extends string | number | boolean | undefined
    ? T
    : T extends object
      ? { readonly [K in keyof T]: Json<T[K]> }
      : T;

/** The server said no, or did not say anything that can be understood. */
export class ServerError extends Error {}

export type Query = Readonly<Record<string, string | undefined>>;

/** A path from segments: each is one segment, whatever it holds. */
export const pathOf = (...segments: readonly string[]): string =>
  segments.map((segment) => `/${encodeURIComponent(segment)}`).join('');

/** Where the server of this configuration is asked, unless `given` names another. Throws `UsageError`. */
export function serverUrl(given: string | undefined, config: Config): URL {
  if (given !== undefined) return parseServer(given);
  const port = config['metrics.port'];
  if (port === 0) throw new UsageError('metrics.port is 0: name the server with --server http://HOST:PORT');
  const address = config['proxy.ip'];
  // Whoever listens everywhere listens here, too.
  const host = address === '0.0.0.0' || address === '::' ? '127.0.0.1' : address;
  return new URL(`http://${host.includes(':') ? `[${host}]` : host}:${port}`);
}

function parseServer(given: string): URL {
  const text = given.includes('://') ? given : `http://${given}`;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol !== 'http:' || url.pathname !== '/' || url.search !== '' || url.username !== '')
    throw new UsageError(`--server: '${given}' is not http://HOST:PORT`);
  return url;
}

export class AdminClient {
  readonly #server: URL;
  readonly #signal: AbortSignal;

  constructor(server: URL, signal: AbortSignal) {
    this.#server = server;
    this.#signal = signal;
  }

  /** Aborted by Ctrl-C. */
  get signal(): AbortSignal {
    return this.#signal;
  }

  /** Throws `ServerError` with a sentence for people. */
  async ask<T>(method: 'GET' | 'POST', path: string, query: Query = {}): Promise<Json<T>> {
    let text = '';
    for await (const chunk of await this.#open(method, path, query)) text += chunk;
    return this.#parse(text) as Json<T>;
  }

  /** A list of any length, asked for page by page. */
  async all<T>(path: string, list: string, query: Query): Promise<readonly Json<T>[]> {
    const items: Json<T>[] = [];
    let after: string | undefined;
    do {
      const page = await this.ask<Record<string, unknown>>('GET', path, { ...query, after, limit: '1000' });
      items.push(...((page[list] ?? []) as readonly Json<T>[]));
      after = page['next'] as string | undefined;
    } while (after !== undefined);
    return items;
  }

  /** One value a line, as the server finds them. */
  async *lines<T>(method: 'GET' | 'POST', path: string, query: Query = {}): AsyncGenerator<Json<T>, void> {
    let rest = '';
    for await (const chunk of await this.#open(method, path, query)) {
      const lines = (rest + chunk).split('\n');
      rest = lines.pop() ?? '';
      if (rest.length > MAX_LINE_LENGTH)
        throw new ServerError(`${this.#server.origin} sends a line without an end`);
      for (const line of lines) yield this.#line<T>(line);
    }
    if (rest !== '') throw this.#broken();
  }

  #line<T>(line: string): Json<T> {
    const value = this.#parse(line);
    const message = errorMessage(value);
    if (message !== undefined) throw new ServerError(message);
    return value as Json<T>;
  }

  async #open(method: string, path: string, query: Query): Promise<AsyncIterable<string>> {
    const given = Object.entries(query).filter((entry): entry is [string, string] => entry[1] !== undefined);
    const search = new URLSearchParams(given).toString();
    const response = await this.#send(method, search === '' ? path : `${path}?${search}`);
    response.setEncoding('utf8');
    if (response.statusCode === 200) return this.#whole(response);
    let text = '';
    for await (const chunk of this.#whole(response)) text += chunk;
    const message = text.startsWith('{') ? errorMessage(this.#parse(text)) : undefined;
    throw new ServerError(
      message ?? `${this.#server.origin} answers ${response.statusCode}: is that a Tidemark server?`,
    );
  }

  /** `path` is sent as it is: a URL would leave out segments that are only dots. */
  #send(method: string, path: string): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const options = { method, path, agent: false, signal: this.#signal };
      const sent = request(this.#server, options, resolve);
      sent.once('error', (cause) => reject(this.#signal.aborted ? this.#signal.reason : this.#silent(cause)));
      sent.end();
    });
  }

  async *#whole(response: IncomingMessage): AsyncGenerator<string, void> {
    try {
      for await (const chunk of response) yield chunk as string;
    } catch (cause) {
      throw this.#signal.aborted ? this.#signal.reason : this.#broken(cause);
    }
  }

  #parse(text: string): unknown {
    try {
      return parseJson(text);
    } catch (cause) {
      throw new ServerError(`${this.#server.origin} does not answer as a Tidemark server does`, { cause });
    }
  }

  #broken(cause?: unknown): ServerError {
    return new ServerError(`${this.#server.origin} broke off in the middle of its answer`, { cause });
  }

  #silent(cause: NodeJS.ErrnoException): ServerError {
    const { origin } = this.#server;
    if (cause.code?.startsWith('HPE_'))
      return new ServerError(
        `${origin} does not speak HTTP: is it the gRPC port? Commands ask the HTTP port`,
        {
          cause,
        },
      );
    const isNobody = cause.code === 'ECONNREFUSED' || cause.code === undefined;
    return new ServerError(
      isNobody
        ? `no server answers at ${origin}: start one with \`tidemark serve\`, or name it with --server`
        : `${origin} cannot be asked: ${cause.message}`,
      { cause },
    );
  }
}

const errorMessage = (value: unknown): string | undefined => {
  const { error, message } = (value ?? {}) as { readonly error?: unknown; readonly message?: unknown };
  return typeof error === 'string' && typeof message === 'string' ? message : undefined;
};
