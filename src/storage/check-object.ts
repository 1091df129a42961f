/** Whether stored objects are what was written: there, of their size, with their checksum. The reading is a worker's task. */
import { isDbError, messageOf } from '../errors/db-error.ts';
import { crc32 } from '../support/crc32.ts';
import type { Workers, WorkerTasks } from '../support/workers.ts';
import type { ObjectStore } from './object-store.ts';

export const CHECK_OBJECTS = 'check-objects';

/** Bytes read at once; the next window is read while the last one is summed up. */
const WINDOW_BYTES = 2 << 20;

/** Some bytes of an object that are to be summed up. The presence and size of the whole object are looked at each time. */
export interface ObjectPart {
  readonly key: string;
  /** Of the whole object, as it was written. */
  readonly sizeBytes: number;
  readonly offset: number;
  /** 0: nothing is read. */
  readonly length: number;
  /** Checksum of everything before `offset`. */
  readonly crc32: number;
}

export type PartFinding =
  /** Checksum of everything up to the end of the part. */
  | { readonly kind: 'read'; readonly crc32: number }
  /** `unreadable`: the store failed; another try may find something else. */
  | { readonly kind: 'missing' | 'short' | 'long' | 'unreadable'; readonly detail: string };

/** Looks at parts one after the other. What is wrong with one is its finding, never an error. */
export async function checkParts(
  store: ObjectStore,
  parts: readonly ObjectPart[],
): Promise<readonly PartFinding[]> {
  const findings: PartFinding[] = [];
  for (const part of parts) findings.push(await checkPart(store, part));
  return findings;
}

/** The worker's task `check-objects`: `ObjectPart[]` to `PartFinding[]`. */
export const checkObjectTasks = (store: ObjectStore): WorkerTasks => ({
  [CHECK_OBJECTS]: async (parts: readonly ObjectPart[]) => ({
    output: await checkParts(store, parts),
    transfer: [],
  }),
});

/** `checkParts` in worker threads. */
export class WorkerObjectChecker {
  readonly #workers: Workers;

  constructor(workers: Workers) {
    this.#workers = workers;
  }

  /** Rejects only when `signal` aborts or the workers are closed. */
  check(parts: readonly ObjectPart[], signal: AbortSignal): Promise<readonly PartFinding[]> {
    return this.#workers.run(CHECK_OBJECTS, parts, [], signal);
  }
}

async function checkPart(store: ObjectStore, part: ObjectPart): Promise<PartFinding> {
  try {
    const found = await store.stat(part.key);
    if (found === undefined) return { kind: 'missing', detail: `object '${part.key}' is missing` };
    const { sizeBytes } = found;
    if (sizeBytes !== part.sizeBytes)
      return {
        kind: sizeBytes < part.sizeBytes ? 'short' : 'long',
        detail: `object '${part.key}' has ${sizeBytes} bytes, ${part.sizeBytes} were written`,
      };
    return { kind: 'read', crc32: await sumOf(store, part) };
  } catch (error) {
    const detail = messageOf(error);
    // It went or shrank since its size was looked at.
    if (isDbError(error, 'object-not-found')) return { kind: 'missing', detail };
    if (isDbError(error, 'data-integrity')) return { kind: 'short', detail };
    return { kind: 'unreadable', detail };
  }
}

async function sumOf(
  store: ObjectStore,
  { key, offset, length, crc32: before }: ObjectPart,
): Promise<number> {
  const end = offset + length;
  const read = (at: number) => store.getRange(key, at, Math.min(WINDOW_BYTES, end - at));
  let sum = before;
  let next = length > 0 ? read(offset) : undefined;
  for (let at = offset; next !== undefined; ) {
    const bytes = await next;
    at += bytes.length;
    next = at < end ? read(at) : undefined;
    // Whether it fails is seen when it is awaited, after the sum.
    next?.catch(() => undefined);
    sum = crc32(bytes, sum);
  }
  return sum;
}
