/** What the operating system allows this process. */
import { readFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';

/** Files and connections it may have open at once; undefined where that is not told. */
export async function systemMaxFiles(): Promise<number | undefined> {
  try {
    const limits = await readFile('/proc/self/limits', 'utf8');
    const found = /^Max open files\s+(\d+)/m.exec(limits)?.[1];
    return found === undefined ? undefined : Number(found);
  } catch {
    return undefined;
  }
}

/** Processor cores this process may use. */
export const systemCores = (): number => availableParallelism();
