/** Files of a segment and their records: what is handed out has the size and the checksum that were recorded. */
import { DbError, isDbError } from '../errors/db-error.ts';
import type { SegmentFile } from '../model/records.ts';
import type { ObjectStore } from '../storage/object-store.ts';
import { crc32 } from '../support/crc32.ts';
import { type ColumnPlan, type Fetch, readPlan } from './decode-column.ts';
import type { RangedReader } from './parquet-reader.ts';

/** Bytes of a file read at once. */
const WINDOW_BYTES = 8 << 20;

/** Decides from a file's footer what to fetch. */
export type Planner<T> = (reader: RangedReader) => ColumnPlan<T> | Promise<ColumnPlan<T>>;

export function fileOf(files: readonly SegmentFile[], kind: SegmentFile['kind']): SegmentFile {
  const file = files.find((each) => each.kind === kind);
  if (file === undefined) throw new DbError('data-integrity', `a segment without a file of ${kind}`);
  return file;
}

/** What `planner` wants of the file; every byte of the file is read and checked before it is decoded. */
export const readChecked = <T>(store: ObjectStore, file: SegmentFile, planner: Planner<T>): Promise<T> =>
  naming(file, async () => {
    const reader = await openFile(store, file);
    const plan = await planner(reader);
    await fetchChecked(reader, file, plan.fetches);
    return plan.decode();
  });

/** What `planner` wants of the file and no other byte: the size is checked, the checksum is not. */
export const readUnchecked = <T>(store: ObjectStore, file: SegmentFile, planner: Planner<T>): Promise<T> =>
  naming(file, async () => {
    const reader = await openFile(store, file);
    return readPlan(reader, await planner(reader));
  });

/** Names the object in errors about its content. */
async function naming<T>({ key }: SegmentFile, work: () => T | Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!isDbError(error, 'data-integrity') || error.message.includes(`'${key}'`)) throw error;
    throw new DbError('data-integrity', `object '${key}': ${error.message}`, { cause: error });
  }
}

async function openFile(store: ObjectStore, { key, sizeBytes }: SegmentFile): Promise<RangedReader> {
  const stat = await store.stat(key);
  if (stat === undefined) throw new DbError('object-not-found', `object '${key}' is missing`);
  if (stat.sizeBytes !== sizeBytes)
    throw new DbError('data-integrity', `object '${key}' has ${stat.sizeBytes} bytes, not ${sizeBytes}`);
  return { sizeBytes, read: (offset, length) => store.getRange(key, offset, length) };
}

/** One pass over the whole file, one window ahead: checks the checksum and keeps the ranges wanted. */
async function fetchChecked(
  reader: RangedReader,
  { key, sizeBytes, crc32: expected }: SegmentFile,
  fetches: readonly Fetch[],
): Promise<void> {
  const readAt = (offset: number): Promise<Uint8Array> | undefined =>
    offset < sizeBytes ? reader.read(offset, Math.min(WINDOW_BYTES, sizeBytes - offset)) : undefined;
  let sum = 0;
  let ahead = readAt(0);
  for (let offset = 0; ahead !== undefined; offset += WINDOW_BYTES) {
    const window = await ahead;
    ahead = readAt(offset + WINDOW_BYTES);
    // A failure of the read ahead is met by the next turn; until then it must not count as unhandled.
    ahead?.catch(() => undefined);
    sum = crc32(window, sum);
    for (const fetch of fetches) copyOverlap(window, offset, fetch);
  }
  if (sum !== expected)
    throw new DbError(
      'data-integrity',
      `object '${key}' is not what was written: checksum ${sum}, not ${expected}`,
    );
}

function copyOverlap(window: Uint8Array, windowOffset: number, { offset, into }: Fetch): void {
  const from = Math.max(offset, windowOffset);
  const to = Math.min(offset + into.length, windowOffset + window.length);
  if (from < to) into.set(window.subarray(from - windowOffset, to - windowOffset), from - offset);
}

/** Writes an object of a segment and answers its record. */
export async function putFile(
  store: ObjectStore,
  kind: SegmentFile['kind'],
  key: string,
  bytes: Uint8Array,
): Promise<SegmentFile> {
  const { crc32: sum, etag } = await store.put(key, bytes);
  return { kind, key, sizeBytes: bytes.length, crc32: sum, etag };
}
