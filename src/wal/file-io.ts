/** What both sides of the log in files do with files. */
import { type FileHandle, open, stat } from 'node:fs/promises';
import { DbError, messageOf } from '../errors/db-error.ts';
import { isDiskFull } from '../support/disk-full.ts';
import { FILE_HEADER_BYTES } from './frame.ts';

export const logFileName = (file: number): string => `${file}.log`;

/** An error of the file system, as the port names it. */
export function storageError(error: unknown, what: string): DbError {
  if (error instanceof DbError) return error;
  const code = (error as NodeJS.ErrnoException).code;
  const message = `${what}: ${messageOf(error)}`;
  if (isDiskFull(error))
    return new DbError('storage-full', `${message}: free some, then try again`, { cause: error });
  if (code === 'EMFILE' || code === 'ENFILE')
    return new DbError('resource-exhausted', `${message}: allow this process more, or close connections`, {
      cause: error,
    });
  return new DbError('storage-failed', message, { cause: error });
}

/** Exactly `length` bytes in a buffer of their own. Throws `data-integrity` when the file is shorter. */
export async function readExactly(
  handle: FileHandle,
  offset: number,
  length: number,
  name: string,
): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(length);
  let done = 0;
  while (done < length) {
    const { bytesRead } = await handle.read(bytes, done, length - done, offset + done);
    if (bytesRead === 0)
      throw new DbError('data-integrity', `log file '${name}' ends before offset ${offset + length}`);
    done += bytesRead;
  }
  return bytes;
}

/** Writes everything at `offset`; answers where it ends. */
export async function writeAll(handle: FileHandle, pieces: Uint8Array[], offset: number): Promise<number> {
  let at = offset;
  let rest = pieces;
  while (rest.length > 0) {
    let { bytesWritten } = await handle.writev(rest, at);
    if (bytesWritten === 0) throw new DbError('storage-failed', 'the disk takes no bytes');
    at += bytesWritten;
    let whole = 0;
    for (; whole < rest.length && bytesWritten >= (rest[whole] as Uint8Array).length; whole++)
      bytesWritten -= (rest[whole] as Uint8Array).length;
    const [cut, ...others] = rest.slice(whole);
    rest = cut === undefined ? [] : [cut.subarray(bytesWritten), ...others];
  }
  return at;
}

/** Makes names durable. Some systems have no such thing for directories. */
export async function syncDirectory(path: string): Promise<void> {
  if (process.platform === 'win32') return;
  await using handle = await open(path, 'r');
  await handle.sync();
}

/** Whether the process died while it created this file: no record can be in it. */
export async function isJustBegun(path: string, file: number): Promise<boolean> {
  const { size } = await stat(path);
  if (size > FILE_HEADER_BYTES) return false;
  if (size < FILE_HEADER_BYTES) return true;
  await using handle = await open(path, 'r');
  const header = await readExactly(handle, 0, FILE_HEADER_BYTES, logFileName(file));
  return header.every((byte) => byte === 0);
}
