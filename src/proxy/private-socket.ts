/**
 * A Unix socket that only this user reaches: in a directory of its own (0700) among the temporary ones, because the name of a socket is
 * short on every system and a data directory may lie deep, or where there are no sockets. The data directory remembers the place, so
 * that what a killed process left is removed by the next one.
 */
import { mkdtemp, readFile, rmdir, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';

/** Bytes of a socket's path that every Unix takes; macOS has the fewest. */
const MAX_PATH_BYTES = 103;
const PLACE = 'socket';
const SOCKET = 'grpc.sock';
const PREFIX = 'tidemark-';

export interface PrivateSocket {
  readonly path: string;
  remove(): Promise<void>;
}

/**
 * A path to listen on, for the holder of `dataDir`'s lock. Undefined where that cannot be had: Windows, a name that is too long, no
 * place for temporary files.
 */
export async function privateSocket(
  dataDir: string,
  { platform = process.platform, temporary = tmpdir() }: { platform?: string; temporary?: string } = {},
): Promise<PrivateSocket | undefined> {
  const place = join(dataDir, PLACE);
  await removeLeft(place);
  const longest = join(temporary, `${PREFIX}XXXXXX`, SOCKET);
  if (platform === 'win32' || Buffer.byteLength(longest) > MAX_PATH_BYTES) return undefined;
  const made = await mkdtemp(join(temporary, PREFIX)).catch(() => undefined);
  if (made === undefined) return undefined;
  const path = join(made, SOCKET);
  // Not remembered, an empty directory may stay behind: no reason not to start.
  await writeFile(place, made).catch(() => undefined);
  return {
    path,
    remove: async () => {
      await removeSocket(made);
      await unlink(place).catch(() => undefined);
    },
  };
}

/** Whatever the file says, nothing but a socket of ours goes, and a directory of ours when that leaves it empty. */
async function removeLeft(place: string): Promise<void> {
  const left = await readFile(place, 'utf8').catch(() => '');
  if (/^tidemark-\w{6}$/.test(basename(left)) && dirname(left) !== '.') await removeSocket(left);
}

async function removeSocket(folder: string): Promise<void> {
  await unlink(join(folder, SOCKET)).catch(() => undefined);
  await rmdir(folder).catch(() => undefined);
}
