/** The transport over @grpc/grpc-js. */
import {
  type handleBidiStreamingCall,
  type handleUnaryCall,
  logVerbosity,
  Server,
  ServerCredentials,
  setLogVerbosity,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { DbError, messageOf } from '../errors/db-error.ts';
import { CallRefused, grpcStatus, type Transport, type TransportOptions } from './transport.ts';

const asIs = (bytes: Buffer): Buffer => bytes;
const toBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

const methodOf = (options: TransportOptions, rpc: string, streams: boolean) => ({
  path: `/${options.service}/${rpc}`,
  requestStream: streams,
  responseStream: streams,
  requestDeserialize: asIs,
  requestSerialize: asIs,
  responseSerialize: toBuffer,
  responseDeserialize: asIs,
});

const served =
  (options: TransportOptions, rpc: string): handleUnaryCall<Buffer, Uint8Array> =>
  (call, done) => {
    const metadata = (key: string) => call.metadata.get(key)[0]?.toString();
    options.answer({ rpc, body: call.request, metadata }).then(
      (body) => done(null, body),
      (error: unknown) =>
        done({
          code: error instanceof CallRefused ? error.grpcStatus : grpcStatus.internal,
          details: error instanceof CallRefused ? error.message : 'internal error of the server',
        }),
    );
  };

/** As a stream, so that it fits any kind of call: the refusal goes out before the request is read. */
const unserved =
  (rpc: string): handleBidiStreamingCall<Buffer, Uint8Array> =>
  (call) => {
    call.emit('error', {
      code: grpcStatus.unimplemented,
      details: `${rpc} is not implemented by this server; see docs/compatibility.md`,
    });
  };

/** Binds and serves. Throws `parameter-invalid` when the address cannot be had: in use, not ours, no rights. */
export async function listenGrpc(options: TransportOptions): Promise<Transport> {
  // Its own lines on standard error would stand beside ours, which say the same to a person.
  setLogVerbosity(logVerbosity.NONE);
  const server = new Server({
    'grpc.max_receive_message_length': options.maxReceiveBytes,
    'grpc.max_send_message_length': -1,
  });
  const definition: Record<string, ReturnType<typeof methodOf>> = {};
  const handlers: UntypedServiceImplementation = {};
  for (const rpc of options.served) {
    definition[rpc] = methodOf(options, rpc, false);
    handlers[rpc] = served(options, rpc);
  }
  for (const rpc of options.unserved) {
    definition[rpc] = methodOf(options, rpc, true);
    handlers[rpc] = unserved(rpc);
  }
  server.addService(definition, handlers);
  const host = options.host.includes(':') ? `[${options.host}]` : options.host;
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync(`${host}:${options.port}`, ServerCredentials.createInsecure(), (error, bound) => {
      if (error === null) resolve(bound);
      else reject(cannotListen(options, error));
    });
  });
  return {
    port,
    drain: () =>
      new Promise((resolve) => {
        server.tryShutdown(() => resolve());
      }),
    close: () => server.forceShutdown(),
  };
}

function cannotListen({ host, port }: TransportOptions, cause: Error): DbError {
  const text = messageOf(cause);
  const why = text.includes('EADDRINUSE')
    ? `gRPC port ${port} on ${host} is in use. Stop what uses it, or choose another with --port (0 takes a free one)`
    : text.includes('EADDRNOTAVAIL')
      ? `cannot listen on ${host}:${port}: this machine does not have that address`
      : `cannot listen on ${host}:${port}: ${text}`;
  return new DbError('parameter-invalid', why, { cause });
}
