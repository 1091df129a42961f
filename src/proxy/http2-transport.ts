/**
 * gRPC over plain HTTP/2, unary calls only. Our own, because a server on @grpc/grpc-js keeps the 64 KiB window of a connection, so
 * that large inserts crawl, and joins the chunks of a message in one go, which blocks the event loop for large ones.
 */
import {
  constants,
  createServer,
  type Http2Server,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import type { Socket } from 'node:net';
import { promisify } from 'node:util';
import { gunzip, inflate } from 'node:zlib';
import { DbError, messageOf } from '../errors/db-error.ts';
import type { Clock } from '../support/clock.ts';
import { encodeStatusText, frameMessage, MessageReader, timeoutMs } from './grpc-frames.ts';
import {
  CallRefused,
  grpcStatus,
  refusedAs,
  requireSize,
  type Transport,
  type TransportOptions,
} from './transport.ts';

/** Bytes a client may send ahead: on one call, and on all calls of a connection. */
const STREAM_WINDOW_BYTES = 4 << 20;
const CONNECTION_WINDOW_BYTES = 16 << 20;
/** Further calls wait at the client. */
const MAX_STREAMS_PER_CONNECTION = 1024;
/** A request of which nothing comes, or an answer of which nothing is taken, for so long is given up. */
const STALLED_MS = 60_000;

/** A connection without a call that has not followed its goodbye after so long is cut off: its client is silent, or gone. */
const SILENT_MS = 1_000;

const answerHeaders: OutgoingHttpHeaders = {
  [constants.HTTP2_HEADER_STATUS]: 200,
  [constants.HTTP2_HEADER_CONTENT_TYPE]: 'application/grpc+proto',
  'grpc-accept-encoding': 'identity,deflate,gzip',
};

const decompressors = { gzip: promisify(gunzip), deflate: promisify(inflate) };

/** What all calls share. */
class Calls {
  readonly #options: TransportOptions;
  readonly #served: ReadonlySet<string>;
  readonly #unserved: ReadonlyMap<string, string>;
  /** Announced bytes of requests that are still coming in. */
  #incomingBytes = 0;
  /** Bytes of answers that the clients have not taken. */
  #outgoingBytes = 0;

  constructor(options: TransportOptions) {
    this.#options = options;
    this.#served = new Set(options.served);
    this.#unserved = options.unserved;
  }

  take(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
    // A broken stream has nobody to tell; its end is seen by `close`.
    stream.on('error', () => undefined);
    const { ':method': method, 'content-type': contentType = '' } = headers;
    if (method !== 'POST' || !contentType.startsWith('application/grpc')) {
      stream.respond({ [constants.HTTP2_HEADER_STATUS]: 415 }, { endStream: true });
      return;
    }
    this.#serve(stream, headers)
      .catch(refusedAs)
      .then(
        (body) => this.#answer(stream, body),
        (refused: CallRefused) => refuse(stream, refused),
      );
  }

  #answer(stream: ServerHttp2Stream, body: Uint8Array): void {
    if (stream.destroyed || stream.closed || stream.headersSent) return;
    this.#outgoingBytes += body.length;
    stream.once('close', () => {
      this.#outgoingBytes -= body.length;
    });
    answer(stream, body);
  }

  async #serve(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): Promise<Uint8Array> {
    const rpc = this.#requireServed(headers[':path'] ?? '');
    const deadlineMs = timeoutMs(first(headers['grpc-timeout']));
    const work = this.#receive(stream, headers).then((body) =>
      this.#options.answer({ rpc, body, metadata: (key) => first(headers[key]) }),
    );
    return deadlineMs === undefined ? work : this.#inTime(stream, deadlineMs, work);
  }

  /** The work's result, if it comes in time. The work itself goes on: a write is never left half done. */
  #inTime(stream: ServerHttp2Stream, deadlineMs: number, work: Promise<Uint8Array>): Promise<Uint8Array> {
    const ended = new AbortController();
    stream.once('close', () => ended.abort(ENDED));
    return new Promise((resolve, reject) => {
      this.#options.clock.sleep(deadlineMs, ended.signal).then(
        () => reject(new CallRefused(grpcStatus.deadlineExceeded, 'Deadline exceeded')),
        () => undefined,
      );
      work.then(resolve, reject);
    });
  }

  #requireServed(path: string): string {
    const prefix = `/${this.#options.service}/`;
    const rpc = path.startsWith(prefix) ? path.slice(prefix.length) : '';
    if (this.#served.has(rpc)) return rpc;
    const what = this.#unserved.get(rpc) ?? `there is no method ${path}`;
    throw new CallRefused(grpcStatus.unimplemented, what);
  }

  async #receive(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): Promise<Uint8Array> {
    let announced = 0;
    try {
      const reader = new MessageReader((length) => {
        this.#admit(length);
        announced = length;
        this.#incomingBytes += length;
      });
      await readAll(stream, reader);
      const { isCompressed, body } = reader.finish();
      return isCompressed ? await this.#decompress(body, first(headers['grpc-encoding'])) : body;
    } finally {
      this.#incomingBytes -= announced;
    }
  }

  #admit(length: number): void {
    const { maxReceiveBytes, maxIncomingBytes } = this.#options;
    requireSize(length, maxReceiveBytes);
    const held = this.#incomingBytes + this.#outgoingBytes;
    if (held > 0 && held + length > maxIncomingBytes)
      throw new CallRefused(grpcStatus.resourceExhausted, 'too many calls at once; try again');
  }

  async #decompress(body: Uint8Array, encoding: string | undefined): Promise<Uint8Array> {
    const decompress = encoding === 'gzip' || encoding === 'deflate' ? decompressors[encoding] : undefined;
    if (decompress === undefined)
      throw new CallRefused(
        grpcStatus.unimplemented,
        `compression '${encoding ?? 'identity'}' is not served`,
      );
    const { maxReceiveBytes } = this.#options;
    try {
      return await decompress(body, { maxOutputLength: maxReceiveBytes });
    } catch (error) {
      const isTooLarge = (error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE';
      if (isTooLarge)
        throw new CallRefused(
          grpcStatus.resourceExhausted,
          `received message larger than max (${maxReceiveBytes})`,
        );
      throw new CallRefused(grpcStatus.internal, 'the message cannot be decompressed');
    }
  }
}

/** Why the wait for a deadline ends with its call. One for all: nobody reads it. */
const ENDED = 'the call has ended';

const first = (value: string | string[] | undefined): string | undefined =>
  Array.isArray(value) ? value[0] : value;

/** Rejects with `CallRefused`; a client that went away is one, too. */
/**
 * Resolves when the message is whole, or with the end of the request: the official client never ends the request of a call that it
 * tries again.
 */
function readAll(stream: ServerHttp2Stream, reader: MessageReader): Promise<void> {
  return new Promise((resolve, reject) => {
    const read = () => {
      stream.setTimeout(0);
      resolve();
    };
    stream.setTimeout(STALLED_MS, () => {
      reject(new CallRefused(grpcStatus.deadlineExceeded, 'the request stalled'));
    });
    stream.on('data', (chunk: Buffer) => {
      try {
        reader.push(chunk);
        if (reader.isWhole) read();
      } catch (error) {
        reject(error);
      }
    });
    stream.once('end', read);
    stream.once('close', () => {
      // Every call ends so: an error with its stack is made only for a request that was not whole.
      if (!stream.readableEnded) reject(new CallRefused(grpcStatus.cancelled, 'the client went away'));
    });
  });
}

function answer(stream: ServerHttp2Stream, body: Uint8Array): void {
  stream.setTimeout(STALLED_MS, () => stream.close(constants.NGHTTP2_CANCEL));
  stream.respond(answerHeaders, { waitForTrailers: true });
  stream.once('wantTrailers', () => {
    stream.sendTrailers({ 'grpc-status': '0' });
    closeUnended(stream);
  });
  const pieces = frameMessage(body);
  const last = pieces.pop();
  for (const piece of pieces) stream.write(piece);
  stream.end(last);
}

function refuse(stream: ServerHttp2Stream, { grpcStatus: status, message }: CallRefused): void {
  if (stream.destroyed || stream.headersSent) return;
  stream.respond(
    { ...answerHeaders, 'grpc-status': String(status), 'grpc-message': encodeStatusText(message) },
    { endStream: true },
  );
  closeUnended(stream);
}

/** What still comes of the request is not wanted. Not in the same turn: a reset overtakes headers that are not sent yet. */
function closeUnended(stream: ServerHttp2Stream): void {
  if (!stream.readableEnded) setImmediate(() => stream.close(constants.NGHTTP2_NO_ERROR));
}

/** Binds and serves. Throws `parameter-invalid` when the address cannot be had: in use, not ours, no rights. */
export async function listenHttp2(options: TransportOptions): Promise<Transport> {
  const server = createServer({
    maxSessionMemory: Number.MAX_SAFE_INTEGER,
    settings: {
      initialWindowSize: STREAM_WINDOW_BYTES,
      maxConcurrentStreams: MAX_STREAMS_PER_CONNECTION,
      enablePush: false,
    },
  });
  server.maxConnections = options.maxConnections;
  server.on('drop', options.dropped);
  const calls = new Calls(options);
  const connections = new Connections(server);
  server.on('stream', (stream, headers) => calls.take(stream, headers));
  await bind(server, options);
  const address = server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    drain: () => connections.drain(options.clock),
    close: () => connections.close(),
  };
}

/** Who is connected, and with how many calls. */
class Connections {
  readonly #server: Http2Server;
  readonly #calls = new Map<ServerHttp2Session, number>();
  /** A session that has said goodbye waits for ever for a client that does not: only its socket can be cut off. */
  readonly #sockets = new Set<Numbered>();
  #numbers = 0;

  constructor(server: Http2Server) {
    this.#server = server;
    server.on('connection', (socket: Numbered) => {
      socket[number] = this.#numbers++;
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
    });
    server.on('session', (session) => {
      this.#calls.set(session, 0);
      session.setLocalWindowSize(CONNECTION_WINDOW_BYTES);
      session.on('error', () => session.destroy());
      session.on('stream', (stream) => {
        this.#count(session, 1);
        stream.once('close', () => this.#count(session, -1));
      });
      session.once('close', () => this.#calls.delete(session));
    });
  }

  #count(session: ServerHttp2Session, by: number): void {
    const calls = this.#calls.get(session);
    if (calls !== undefined) this.#calls.set(session, calls + by);
  }

  /** Takes no more; resolves when all are gone. */
  async drain(clock: Clock): Promise<void> {
    const drained = new AbortController();
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const session of this.#calls.keys()) session.close();
    clock.sleep(SILENT_MS, drained.signal).then(
      () => this.#cutOffSilent(),
      () => undefined,
    );
    await closed;
    drained.abort();
  }

  #cutOffSilent(): void {
    const busy = [...this.#calls].filter(([, calls]) => calls > 0).map(([session]) => numberOf(session));
    const isBusy = new Set(busy);
    for (const socket of this.#sockets) if (!isBusy.has(socket[number])) socket.destroy();
  }

  close(): void {
    this.#server.close();
    for (const session of this.#calls.keys()) session.destroy();
    for (const socket of this.#sockets) socket.destroy();
  }
}

/** A session shows its socket through a proxy, which is not the same object; and those of a Unix socket have no address to tell them apart. */
const number = Symbol('number');
type Numbered = Socket & { [number]?: number };
const numberOf = ({ socket }: ServerHttp2Session): number | undefined => (socket as Numbered)[number];

function bind(server: Http2Server, options: TransportOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    const failed = (error: Error) => reject(cannotListen(options, error));
    server.once('error', failed);
    const { host, port, path } = options;
    server.listen(path === undefined ? { host, port } : { path }, () => {
      server.removeListener('error', failed);
      resolve();
    });
  });
}

function cannotListen({ host, port, path }: TransportOptions, cause: Error): DbError {
  const text = messageOf(cause);
  if (path !== undefined)
    return new DbError('parameter-invalid', `cannot listen on the socket '${path}': ${text}`, { cause });
  const why = text.includes('EADDRINUSE')
    ? `gRPC port ${port} on ${host} is in use. Stop what uses it, or choose another with --port (0 takes a free one)`
    : text.includes('EADDRNOTAVAIL')
      ? `cannot listen on ${host}:${port}: this machine does not have that address`
      : `cannot listen on ${host}:${port}: ${text}`;
  return new DbError('parameter-invalid', why, { cause });
}
