/** The data directory of a server: its format marker and the lock that keeps a second server out. */
import { randomUUID } from 'node:crypto';
import { link, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DbError, messageOf } from '../errors/db-error.ts';
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
  release(): Promise<void>;
}

/**
 * Creates or opens the directory and locks it. Throws `parameter-invalid` with one clear sentence when it cannot be written, is in
 * use by a living process, or was written by a newer Tidemark. A lock left by a dead process is taken over.
 */
export async function openDataDir(path: string): Promise<DataDir> {
  try {
    await mkdir(path, { recursive: true });
    await checkFormat(path);
    const lock = join(path, 'lock');
    const token = await acquire(lock, path);
    return {
      catalog: join(path, 'catalog'),
      wal: join(path, 'wal'),
      objects: join(path, 'objects'),
      release: async () => {
        if ((await readFile(lock, 'utf8').catch(() => '')) === token) await rm(lock, { force: true });
      },
    };
  } catch (error) {
    if (error instanceof DbError) throw error;
    throw new DbError(
      'parameter-invalid',
      `the data directory '${path}' cannot be used: ${messageOf(error)}`,
      {
        cause: error,
      },
    );
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
  const format = (parseJson(text) as { format?: unknown }).format;
  if (typeof format !== 'number')
    throw new DbError('parameter-invalid', `'${marker}' is damaged: it names no format`);
  if (format > FORMAT)
    throw new DbError(
      'parameter-invalid',
      `the data directory '${path}' has format ${format}, written by a newer Tidemark; this one reads up to ${FORMAT}. Please upgrade`,
    );
}

/** Takes the lock file; its creation by `link` is atomic, so exactly one process wins. */
async function acquire(lock: string, path: string): Promise<string> {
  const unique = randomUUID();
  const token = JSON.stringify({ pid: process.pid, started: await startOf(process.pid), unique });
  const own = `${lock}.${unique}`;
  await writeFile(own, token);
  try {
    for (;;) {
      try {
        await link(own, lock);
        return token;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      }
      const held = await readFile(lock, 'utf8').catch(() => undefined);
      if (held === undefined) continue;
      const holder = parseHolder(held);
      if (holder !== undefined && (await isAlive(holder)))
        throw new DbError(
          'parameter-invalid',
          `the data directory '${path}' is in use by process ${holder.pid}. Stop that server, or choose another directory with --data`,
        );
      await removeStale(lock, held, unique);
    }
  } finally {
    await rm(own, { force: true });
  }
}

/** Moves a dead process's lock aside; puts it back if another starter has replaced it meanwhile. */
async function removeStale(lock: string, held: string, unique: string): Promise<void> {
  const aside = `${lock}.stale.${unique}`;
  try {
    await rename(lock, aside);
    if ((await readFile(aside, 'utf8')) !== held) await link(aside, lock);
  } catch (error) {
    if (!['ENOENT', 'EEXIST'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
  } finally {
    await rm(aside, { force: true });
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
  return started === '' || (await startOf(pid)) === started;
}

/** Boot and start time of a process on Linux; '' where that is not known. */
async function startOf(pid: number): Promise<string> {
  try {
    const boot = await readFile('/proc/sys/kernel/random/boot_id', 'utf8');
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
    return `${boot.trim()}/${stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]}`;
  } catch {
    return '';
  }
}
