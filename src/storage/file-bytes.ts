/** Bytes of whole files, in steps that never hold the event loop for more than a fraction of a millisecond. */
import { type FileHandle, open } from 'node:fs/promises';
import { crc32 } from '../support/crc32.ts';
import type { CopyPace } from './object-store.ts';

const STEP_BYTES = 1 << 20;

/** Writes `bytes` at the current position; the checksum is taken while the file system works. */
export async function writeWithChecksum(file: FileHandle, bytes: Uint8Array): Promise<number> {
  let checksum = 0;
  for (let at = 0; at < bytes.length; at += STEP_BYTES) {
    const step = bytes.subarray(at, at + STEP_BYTES);
    const writing = writeAll(file, step);
    checksum = crc32(step, checksum);
    await writing;
  }
  return checksum;
}

async function writeAll(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length; ) at += (await file.write(bytes, at)).bytesWritten;
}

/** Up to `length` bytes from `offset`, fewer when the file ends before. The result owns its buffer. */
export async function readExactly(
  file: FileHandle,
  offset: number,
  length: number,
): Promise<Uint8Array<ArrayBuffer>> {
  // A length out of a damaged file must not become an allocation.
  const most =
    length <= STEP_BYTES ? length : Math.min(length, Math.max(0, (await file.stat()).size - offset));
  const bytes = Buffer.allocUnsafeSlow(most);
  const got = await fill(file, bytes, offset);
  return new Uint8Array(bytes.buffer, 0, got);
}

/** CRC-32 of a whole file. The next step is read while the last one is summed up. */
export async function checksumOfFile(path: string): Promise<number> {
  await using file = await open(path, 'r');
  let current = Buffer.allocUnsafeSlow(STEP_BYTES);
  let ahead = Buffer.allocUnsafeSlow(STEP_BYTES);
  let checksum = 0;
  let got = await fill(file, current, 0);
  for (let offset = got; got > 0; offset += got) {
    const reading = fill(file, ahead, offset);
    checksum = crc32(current.subarray(0, got), checksum);
    got = await reading;
    [current, ahead] = [ahead, current];
  }
  return checksum;
}

async function fill(file: FileHandle, bytes: Buffer, offset: number): Promise<number> {
  let got = 0;
  while (got < bytes.length) {
    const { bytesRead } = await file.read(bytes, got, bytes.length - got, offset + got);
    if (bytesRead === 0) break;
    got += bytesRead;
  }
  return got;
}

/** Writes a new file with the bytes of `source`, no faster than `pace` allows. Not synced. */
export async function copyPaced(source: string, path: string, pace: CopyPace): Promise<void> {
  await using from = await open(source, 'r');
  await using to = await open(path, 'wx');
  const window = Buffer.allocUnsafeSlow(Math.min(STEP_BYTES, pace.windowBytes));
  const { size } = await from.stat();
  for (let offset = 0; offset < size; ) {
    const next = window.subarray(0, Math.min(window.length, size - offset));
    await pace.take(next.length);
    const got = await fill(from, next, offset);
    // It became shorter: whoever compares sizes will say so.
    if (got === 0) return;
    await writeAll(to, next.subarray(0, got));
    offset += got;
  }
}
