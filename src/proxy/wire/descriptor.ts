/**
 * The one place that knows where the Milvus messages come from: `scripts/generate-descriptor.mjs` prunes the descriptor of the
 * official client to what we serve. Codecs are compiled when a message is first used, not at start.
 */
import protobuf from 'protobufjs/light.js';
import { DbError } from '../../errors/db-error.ts';
import { present } from '../../support/assert.ts';
import { parseJson } from '../../support/json.ts';
import { descriptorJson, type Rpcs, rpcTypes } from './descriptor.generated.ts';

export { allRpcs, type Rpcs, serviceName } from './descriptor.generated.ts';

export type RpcName = keyof Rpcs;

/** What a handler may leave out of an answer: protobuf's defaults stand in for it. */
export type Outgoing<T> = T extends bigint | number | string | boolean | Uint8Array
  ? T
  : T extends readonly (infer Item)[]
    ? readonly Outgoing<Item>[]
    : { readonly [Key in keyof T]?: Outgoing<T[Key]> | undefined };

/** 64-bit integers are bigints, enums numbers, bytes views of the input; every scalar, list and map is present. */
const decodedForm = { longs: BigInt, defaults: true, arrays: true, objects: true } as const;

/** A package, message or enum of the descriptor. */
interface Node {
  fields?: Record<string, { readonly type: string }>;
  nested?: Record<string, Node>;
}

let descriptor: Node | undefined;
const types = new Map<string, protobuf.Type>();

/** Each message gets a root with what it reaches: making all of them at the first call took a tenth of a second. */
function typeOf(name: string): protobuf.Type {
  const known = types.get(name);
  if (known !== undefined) return known;
  descriptor ??= parseJson(descriptorJson) as Node;
  const made = protobuf.Root.fromJSON(reachedFrom(descriptor, name) as protobuf.INamespace).lookupType(name);
  types.set(name, made);
  return made;
}

/** The part of the descriptor that a message needs. Types of fields stand there by full name: `.milvus.proto…`. */
function reachedFrom(whole: Node, name: string): Node {
  const part: Node = {};
  const reached = new Set([name]);
  for (const each of reached) {
    let from = whole;
    let to = part;
    for (const step of each.split('.')) {
      from = present(from.nested?.[step], each);
      to.nested ??= {};
      to.nested[step] ??= {};
      to = to.nested[step];
    }
    const { nested: _, ...own } = from;
    Object.assign(to, own);
    for (const { type } of Object.values(from.fields ?? {}))
      if (type.startsWith('.')) reached.add(type.slice(1));
  }
  return part;
}

/** Decodes a message by its full name. Throws `parameter-invalid` for any bytes that are not one. */
export function decodeMessage<T>(name: string, bytes: Uint8Array): T {
  const type = typeOf(name);
  try {
    return type.toObject(type.decode(bytes), decodedForm) as T;
  } catch (cause) {
    throw new DbError('parameter-invalid', `the request is not a valid ${type.name} message`, { cause });
  }
}

export function encodeMessage<T>(name: string, message: Outgoing<T>): Uint8Array {
  const type = typeOf(name);
  return type.encode(type.fromObject(message as Record<string, unknown>)).finish();
}

export const decodeRequest = <Name extends RpcName>(rpc: Name, bytes: Uint8Array): Rpcs[Name]['request'] =>
  decodeMessage(rpcTypes[rpc].request, bytes);

export const encodeResponse = <Name extends RpcName>(
  rpc: Name,
  message: Outgoing<Rpcs[Name]['response']>,
): Uint8Array => encodeMessage(rpcTypes[rpc].response, message);

/** Where the answer of an RPC that is no `common.Status` carries one. */
export const statusFieldOf = (rpc: RpcName): string =>
  rpc === 'AlterCollectionSchema' ? 'alter_status' : 'status';

/** Whether the RPC's whole answer is a `common.Status`; all others carry one in a field. */
export const answersStatus = (rpc: RpcName): boolean =>
  (rpcTypes[rpc].response as string) === 'milvus.proto.common.Status';
