/** The data directory of a server: its format marker and the lock that keeps a second server out. */
import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import {
  type FileHandle,
  link,
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  writeFile,
} from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { DbError, messageOf } from '../errors/db-error.ts';
import type { Clock } from '../support/clock.ts';
import { isDiskFull } from '../support/disk-full.ts';
import { parseJson } from '../support/json.ts';

/** Layout of the directory: `catalog/`, `wal/`, `objects/`. A newer one is refused. */
const FORMAT = 1;

interface Holder {
  readonly pid: number;
  /** When the kernel started that process, where it can be known: a reused process id is not the same holder. */
  readonly started: string;
}

export interface DataDir {
  readonly catalog: string;
  readonly wal: string;
  readonly objects: string;
  /**
   * Resolves when the directory under the path is not the one that was opened any more: removed, replaced, or its lock taken. What is
   * written from then on is lost. Never settles after `signal`.
   */
  lost(clock: Clock, signal: AbortSignal): Promise<DbError>;
  release(): Promise<void>;
}

/** Between two looks whether the directory is still there. */
const LOOK_MS = 2_000;

/**
 * Creates or opens the directory and locks it. Throws `parameter-invalid` with one clear sentence when it cannot be written, is in
 * use by a living process (this one included), or was written by a newer Tidemark. A lock left by a dead process is taken over.
 */
export async function openDataDir(path: string): Promise<DataDir> {
  try {
    await makeDirs(resolve(path));
    await checkFormat(path);
    const lock = await acquire(path);
    return {
      catalog: join(path, 'catalog'),
      wal: join(path, 'wal'),
      objects: join(path, 'objects'),
      lost: (clock, signal) => lossOf(path, lock, clock, signal),
      release: () => release(path, lock),
    };
  } catch (error) {
    if (error instanceof DbError) throw error;
    throw new DbError('parameter-invalid', `the data directory '${path}' cannot be used: ${whyNot(error)}`, {
      cause: error,
    });
  }
}

/** What an operator can do about it, where we know. */
function whyNot(error: unknown): string {
  if (isDiskFull(error)) return 'no space is left on its device. Free some, then start again';
  const code = (error as NodeJS.ErrnoException).code ?? '';
  const advice: Readonly<Record<string, string>> = {
    EROFS: 'its file system is read-only. Mount it for writing, or choose another directory',
    EACCES: `permission denied (${messageOf(error)}). This user must be able to read and write there`,
  };
  return advice[code] ?? messageOf(error);
}

/** One by one: `mkdir` with `recursive` never returns on file systems that refuse a directory by ENOENT, such as /proc. */
async function makeDirs(path: string): Promise<void> {
  const failure = await makeDir(path);
  if (failure === undefined) return;
  if (failure.code !== 'ENOENT') throw failure;
  if (!existsSync(dirname(path))) await makeDirs(dirname(path));
  // Its parent is there now, by us or by somebody else who makes a directory beside this one.
  const again = await makeDir(path);
  if (again !== undefined) throw again;
}

/** Why not, if not. */
async function makeDir(path: string): Promise<NodeJS.ErrnoException | undefined> {
  try {
    await mkdir(path);
    return undefined;
  } catch (error) {
    const failure = error as NodeJS.ErrnoException;
    return failure.code === 'EEXIST' && (await stat(path)).isDirectory() ? undefined : failure;
  }
}

async function checkFormat(path: string): Promise<void> {
  const marker = join(path, 'tidemark.json');
  const text = await readFile(marker, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (text === undefined) {
    const temporary = `${marker}.${randomUUID()}`;
    await writeFile(temporary, `${JSON.stringify({ format: FORMAT })}\n`, { flush: true } as object);
    await rename(temporary, marker);
    return;
  }
  const format = formatIn(text);
  if (typeof format !== 'number')
    throw new DbError('parameter-invalid', `'${marker}' is damaged: it names no format`);
  if (format > FORMAT)
    throw new DbError(
      'parameter-invalid',
      `the data directory '${path}' has format ${format}, written by a newer Tidemark; this one reads up to ${FORMAT}. Please upgrade`,
    );
}

function formatIn(text: string): unknown {
  try {
    return (parseJson(text) as { format?: unknown } | null)?.format;
  } catch {
    return undefined;
  }
}

/**
 * Locks are numbered files; the highest one is the lock. It is taken over by creating the next number, which is atomic, so of many
 * starters that find a dead holder exactly one wins. It is never removed by its holder, only marked free: were the highest
 * number to vanish, a slow starter could create it again beside a new holder. Only a winner removes lower ones.
 */
async function acquire(path: string): Promise<Lock> {
  const own = join(path, `${LOCK}new.${randomUUID()}`);
  const handle = await open(own, 'wx+');
  try {
    await handle.writeFile(JSON.stringify({ pid: process.pid, started: await startOf(process.pid) }));
    const { dev, ino } = await handle.stat({ bigint: true });
    for (;;) {
      const numbers = await lockNumbers(path);
      const highest = numbers.at(-1) ?? -1;
      if (highest >= 0) await refuseLiving(lockFile(path, highest), path);
      const mine = lockFile(path, highest + 1);
      if (!(await linked(own, mine))) continue;
      for (const lower of numbers) await rm(lockFile(path, lower), { force: true });
      return { file: mine, handle, dev, ino };
    }
  } catch (error) {
    await handle.close();
    throw error;
  } finally {
    await rm(own, { force: true });
  }
}

/** The file that we made: another one of the same name is somebody else's. */
interface Lock {
  readonly file: string;
  /** Stays open: a file system gives the number of a removed file to the next one, but not while somebody has it open. */
  readonly handle: FileHandle;
  readonly dev: bigint;
  readonly ino: bigint;
}

/** A disk that does not answer has not lost it. */
async function isLost({ file, dev, ino }: Lock): Promise<boolean> {
  try {
    const found = await stat(file, { bigint: true });
    return found.dev !== dev || found.ino !== ino;
  } catch (error) {
    return ['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '');
  }
}

const loss = (path: string): DbError =>
  new DbError(
    'storage-failed',
    `the data directory '${path}' was removed or replaced under the running server`,
  );

async function lossOf(path: string, lock: Lock, clock: Clock, signal: AbortSignal): Promise<DbError> {
  do {
    const isOver = await clock.sleep(LOOK_MS, signal).then(
      () => false,
      () => true,
    );
    if (isOver) return new Promise(() => undefined);
  } while (!(await isLost(lock)));
  return loss(path);
}

async function release(path: string, lock: Lock): Promise<void> {
  // Writes to the file we made, whatever has that name by now.
  await using handle = lock.handle;
  if (await isLost(lock)) throw loss(path);
  await handle.truncate();
  await handle.write(FREE, 0);
}

const LOCK = 'lock.';
const FREE = 'free';
const lockFile = (path: string, number: number): string => join(path, `${LOCK}${number}`);

const lockNumbers = async (path: string): Promise<readonly number[]> =>
  (await readdir(path))
    .flatMap((name) => /^lock\.(\d+)$/.exec(name)?.[1] ?? [])
    .map(Number)
    .sort((a, b) => a - b);

async function refuseLiving(lock: string, path: string): Promise<void> {
  const holder = parseHolder(await readFile(lock, 'utf8').catch(() => ''));
  if (holder === undefined || !(await isAlive(holder))) return;
  const who =
    holder.pid === process.pid
      ? `is open already in this process (${holder.pid}). Close it there`
      : `is in use by process ${holder.pid}. Stop that process`;
  throw new DbError('parameter-invalid', `the data directory '${path}' ${who}, or choose another directory`);
}

/** False when the name is taken. */
async function linked(own: string, name: string): Promise<boolean> {
  try {
    await link(own, name);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

function parseHolder(text: string): Holder | undefined {
  try {
    const { pid, started } = parseJson(text) as Partial<Holder>;
    return typeof pid === 'number' && typeof started === 'string' ? { pid, started } : undefined;
  } catch {
    return undefined;
  }
}

async function isAlive({ pid, started }: Holder): Promise<boolean> {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
  }
  return started === '' || ((await startOf(pid)) === started && !(await isZombie(pid)));
}

/** Ended, but its parent has not asked how. As long as one of its threads still runs, it has not ended. */
async function isZombie(pid: number): Promise<boolean> {
  try {
    return (await statOf(pid))[STATE] === 'Z' && (await readdir(`/proc/${pid}/task`)).length <= 1;
  } catch {
    return false;
  }
}

/** Boot and start time of a process on Linux; '' where that is not known. */
async function startOf(pid: number): Promise<string> {
  try {
    const boot = await readFile('/proc/sys/kernel/random/boot_id', 'utf8');
    return `${boot.trim()}/${(await statOf(pid))[START_TIME]}`;
  } catch {
    return '';
  }
}

/** Fields of proc_pid_stat(5) after the name, which may hold anything. */
const STATE = 0;
const START_TIME = 19;

async function statOf(pid: number): Promise<readonly string[]> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
}
