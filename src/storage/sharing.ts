/** What a file system can do for a copy: links, clones, and how much room it has. */
import { constants } from 'node:fs';
import { copyFile, rm, statfs, writeFile } from 'node:fs/promises';
import { codeOf } from './durable-dirs.ts';
import { copyPaced } from './file-bytes.ts';
import type { CopyOptions, Sharing } from './object-store.ts';
import type { Temporaries } from './temporaries.ts';

/** What link and clone answer where the file system, or its link count, does not allow them. */
export const UNSHARABLE = new Set([
  'EXDEV',
  'EMLINK',
  'EPERM',
  'ENOTSUP',
  'EOPNOTSUPP',
  'ENOSYS',
  'EINVAL',
  'ENOTTY',
]);

/** Tries it out on a small file: what copies of objects will do. */
export function probeSharing(
  temporaries: Temporaries,
  link: (existing: string, path: string) => Promise<void>,
): Promise<Exclude<Sharing, 'server-side'>> {
  return temporaries.through(async (source) => {
    try {
      await writeFile(source, 'shared or not', { flag: 'wx' });
      return await temporaries.through(async (copy) => {
        try {
          if (await isDone(() => link(source, copy))) return 'hard-link';
          return (await isDone(() => clone(source, copy))) ? 'clone' : 'none';
        } finally {
          await rm(copy, { force: true });
        }
      });
    } finally {
      await rm(source, { force: true });
    }
  });
}

async function isDone(work: () => Promise<void>): Promise<boolean> {
  try {
    await work();
    return true;
  } catch (error) {
    if (!UNSHARABLE.has(codeOf(error))) throw error;
    return false;
  }
}

const clone = (source: string, path: string): Promise<void> =>
  copyFile(source, path, constants.COPYFILE_FICLONE_FORCE | constants.COPYFILE_EXCL);

/** A new file with the bytes of `source`. `shared` clones where the file system can. */
export async function copyInto(
  path: string,
  source: string,
  { mode, pace }: Pick<CopyOptions, 'mode' | 'pace'>,
): Promise<'clone' | 'stream'> {
  if (mode === 'shared' && (await isDone(() => clone(source, path)))) return 'clone';
  // A clone that was refused may have made its file before.
  if (mode === 'shared') await rm(path, { force: true });
  if (pace === undefined) await copyFile(source, path, constants.COPYFILE_EXCL);
  else await copyPaced(source, path, pace);
  return 'stream';
}

/** What an ordinary user may still write to the file system of `path`. */
export async function freeBytesOf(path: string): Promise<number> {
  const { bavail, bsize } = await statfs(path, { bigint: true });
  return Number(bavail * bsize);
}
