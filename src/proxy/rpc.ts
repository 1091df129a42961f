/** Typed handlers over bytes. */
import type { CallContext } from './context.ts';
import { decodeRequest, encodeResponse, type Outgoing, type RpcName, type Rpcs } from './wire/descriptor.ts';
import { success } from './wire/status.ts';

/** Decoded request in, answer out. Throws `DbError`; the server turns it into the answer's status. */
export type Handler<Name extends RpcName> = (
  request: Rpcs[Name]['request'],
  call: CallContext,
) => Promise<Outgoing<Rpcs[Name]['response']>> | Outgoing<Rpcs[Name]['response']>;

/** Bytes in, bytes out: for the bodies that carry vectors. */
export type BytesHandler = (body: Uint8Array, call: CallContext) => Promise<Uint8Array>;

export interface RpcEntry {
  readonly support: 'served' | 'partly';
  /** What differs from Milvus; empty when nothing does. */
  readonly remark: string;
  readonly answer: BytesHandler;
}

/** The entry of an RPC whose messages protobufjs handles. An empty remark means: as Milvus does it. */
export const unary = <Name extends RpcName>(rpc: Name, handler: Handler<Name>, remark = ''): RpcEntry => ({
  support: remark === '' ? 'served' : 'partly',
  remark,
  answer: async (body, call) => encodeResponse(rpc, await handler(decodeRequest(rpc, body), call)),
});

/** The entry of an RPC with hand-written codecs. */
export const bytes = (answer: BytesHandler, remark = ''): RpcEntry => ({
  support: remark === '' ? 'served' : 'partly',
  remark,
  answer,
});

/** For RPCs that answer a bare status: `done` after the work. */
export const done = success;
