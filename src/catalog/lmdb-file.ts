/**
 * A look at the head of an LMDB file before it is mapped: the library believes what stands there, and a file that was cut short or whose head
 * is damaged would end the process by a signal that names nothing. Layout as in LMDB 3 of the package `lmdb`: two meta pages, the newer holds.
 */
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { DbError } from '../errors/db-error.ts';

const PAGE_HEADER_BYTES = 24;
const META_BYTES = 144;
const MAGIC = 0xbeef_c0de;
/** A tree without pages. */
const NO_PAGE = 2n ** 64n - 1n;

interface Meta {
  readonly version: number;
  readonly pageBytes: number;
  readonly roots: readonly bigint[];
  readonly transaction: bigint;
}

/** Undefined: no such page. */
function metaOf(head: DataView, at: number): Meta | undefined {
  const start = at + PAGE_HEADER_BYTES;
  if (head.byteLength < start + META_BYTES || head.getUint32(start, true) !== MAGIC) return undefined;
  const long = (offset: number) => head.getBigUint64(start + offset, true);
  return {
    version: head.getUint32(start + 4, true),
    pageBytes: head.getUint32(start + 24, true),
    roots: [long(64), long(112)],
    transaction: long(128),
  };
}

/** What is wrong with the file of `size` bytes that begins with `head`; undefined when nothing can be told. Empty files are new ones. */
function wrongWith(head: DataView, size: number): string | undefined {
  if (size === 0) return undefined;
  const first = metaOf(head, 0);
  if (first === undefined) return 'its head is damaged';
  const second = metaOf(head, first.pageBytes);
  if (second === undefined || second.pageBytes !== first.pageBytes || second.version !== first.version)
    return 'its head is damaged';
  const { roots, pageBytes } = second.transaction > first.transaction ? second : first;
  const isThere = (root: bigint) => root === NO_PAGE || (root + 1n) * BigInt(pageBytes) <= BigInt(size);
  return roots.every(isThere) ? undefined : `it has only ${size} bytes`;
}

/** Larger pages than any machine has. */
const HEAD_BYTES = 2 << 16;

/** Throws `data-integrity`, naming the file of the catalog in `directory`. None is no damage; what cannot be read is told by who opens it. */
export async function assertSoundFile(directory: string): Promise<void> {
  const path = join(directory, 'data.mdb');
  const found = await open(path, 'r').catch(() => undefined);
  if (found === undefined) return;
  await using file = found;
  const { size } = await file.stat();
  const bytes = new Uint8Array(HEAD_BYTES);
  const { bytesRead } = await file.read(bytes, 0, HEAD_BYTES, 0);
  const wrong = wrongWith(new DataView(bytes.buffer, 0, bytesRead), size);
  if (wrong !== undefined) throw new DbError('data-integrity', `catalog file '${path}': ${wrong}`);
}
