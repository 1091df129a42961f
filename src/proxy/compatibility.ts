/** What docs/compatibility.md says, as data. */
import { insteadOf, service } from './service.ts';
import { allRpcs, type RpcName } from './wire/descriptor.ts';

export interface RpcSupport {
  readonly name: string;
  readonly served: 'yes' | 'partly' | 'no';
  /** What differs from Milvus. */
  readonly remark: string;
}

const words = { served: 'yes', partly: 'partly' } as const;

function supportOf(name: string): RpcSupport {
  if (!Object.hasOwn(service, name)) return { name, served: 'no', remark: insteadOf[name] ?? '' };
  const { support, remark } = service[name as RpcName];
  return { name, served: words[support], remark };
}

/** Every RPC of the Milvus service, in the descriptor's order. */
export const rpcTable: readonly RpcSupport[] = allRpcs.map(supportOf);
