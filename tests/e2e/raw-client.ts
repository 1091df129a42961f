/** A gRPC client without a mind of its own: what the official client would refuse or repair before sending reaches the server. */
import { createRequire } from 'node:module';
import { Client, credentials, type ServiceError } from '@grpc/grpc-js';
import protobuf from 'protobufjs';
import { ownConnections } from '../connections.ts';

const SERVICE = 'milvus.proto.milvus.MilvusService';
// The official client's own descriptor: complete, and independent of what the server was built from.
const json = createRequire(import.meta.url)('@zilliz/milvus2-sdk-node/dist/milvus/proto-json/milvus.js') as {
  default: protobuf.INamespace;
};
const root = protobuf.Root.fromJSON(json.default);
const methods = root.lookupService(SERVICE).methods;

/** Every RPC of the descriptor. */
export const everyRpc: readonly string[] = Object.keys(methods);

/** A message that travels as bytes inside another. */
export function encoded(name: string, message: object): Uint8Array {
  const type = root.lookupType(`milvus.proto.${name}`);
  return type.encode(type.fromObject(message)).finish();
}

export interface WireStatus {
  readonly code: number;
  readonly reason: string;
  readonly error_code: string;
  readonly retriable: boolean;
}

export class RawClient {
  readonly #client: Client;

  constructor(address: string) {
    this.#client = new Client(address, credentials.createInsecure(), {
      ...ownConnections,
      'grpc.max_receive_message_length': -1,
    });
  }

  /** The answer's status. Rejects with a gRPC error when there is no answer. */
  async status(rpc: string, request: object): Promise<WireStatus> {
    const { answer, type } = await this.#call(rpc, request);
    const message = type.toObject(type.decode(answer), { defaults: true, enums: String }) as Record<
      string,
      unknown
    >;
    if (type.name === 'Status') return message as unknown as WireStatus;
    return (message['status'] ?? message['alter_status']) as WireStatus;
  }

  /** The whole answer: 64-bit integers as text, enums by name. */
  async answer(rpc: string, request: object): Promise<Record<string, unknown>> {
    const { answer, type } = await this.#call(rpc, request);
    return type.toObject(type.decode(answer), { longs: String, enums: String, defaults: true, arrays: true });
  }

  async #call(
    rpc: string,
    request: object,
  ): Promise<{ readonly answer: Buffer; readonly type: protobuf.Type }> {
    const { resolvedRequestType, resolvedResponseType } = methods[rpc]!.resolve() as protobuf.Method;
    const body = resolvedRequestType!.encode(resolvedRequestType!.fromObject(request)).finish();
    return { answer: await this.bytes(rpc, Buffer.from(body)), type: resolvedResponseType! };
  }

  bytes(rpc: string, body: Buffer): Promise<Buffer> {
    const asIs = (bytes: Buffer): Buffer => bytes;
    return new Promise((resolve, reject) => {
      const done = (error: ServiceError | null, answer?: Buffer) =>
        error ? reject(error) : resolve(answer!);
      this.#client.makeUnaryRequest(`/${SERVICE}/${rpc}`, asIs, asIs, body, done);
    });
  }

  close(): void {
    this.#client.close();
  }
}
