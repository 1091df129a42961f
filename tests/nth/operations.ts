/** The table: every snapshot call of the wire, every background step. `nth.test.ts` holds it against the product. */
import type { Operation } from './operation.ts';
import { restoreOperations } from './restore-operations.ts';
import { rpcOperations } from './rpc-operations.ts';
import { startOperations } from './start-operations.ts';
import { stepOperations } from './step-operations.ts';

export const operations: readonly Operation[] = [
  ...rpcOperations,
  ...restoreOperations,
  ...stepOperations,
  ...startOperations,
];
