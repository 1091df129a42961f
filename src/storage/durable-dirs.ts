/**
 * Directory entries that survive a crash. A file counts as durable once its directory, and every directory above it that is
 * not yet known to be durable, has been synced. Syncs of one directory that are asked for at the same time share one call.
 */
import { mkdir, open, rmdir } from 'node:fs/promises';
import { dirname } from 'node:path';

/** Directories remembered as durable; beyond that the memory starts again, which only costs syncs. */
const MAX_KNOWN_DIRECTORIES = 20_000;
/** Times a directory may be removed by others between its making and the entry that goes into it. */
const MAX_REMOVALS_MET = 32;

interface Syncing {
  running: Promise<void>;
  next: Promise<void> | undefined;
}

export class DurableDirs {
  readonly #root: string;
  /** Directories whose own entry is durable. */
  readonly #known = new Set<string>();
  readonly #syncing = new Map<string, Syncing>();
  /** Counts removals: what was known before one may not hold after it. */
  #removals = 0;

  /** `root` must exist and be durable. */
  constructor(root: string) {
    this.#root = root;
    this.#known.add(root);
  }

  /**
   * Runs `place`, which puts an entry into `directory`, and resolves when that entry is durable. The directory is made when it
   * is missing, also when it is removed meanwhile, and again: `place` runs again after it failed with ENOENT.
   */
  async place<T>(directory: string, place: () => Promise<T>): Promise<T> {
    const removals = this.#removals;
    let unknown = this.#unknownFrom(directory);
    const { result, isGone } = await placeAgain(directory, unknown.length === 0, place);
    if (isGone || this.#removals !== removals) unknown = this.#allFrom(directory);
    await Promise.all([this.sync(directory), ...unknown.map((made) => this.sync(dirname(made)))]);
    // Removed meanwhile and made again by somebody else: their sync may still be running.
    if (this.#removals === removals) this.#remember(unknown);
    return result;
  }

  /** Makes entries of `directory` that were there before the call durable. A directory that is gone has none. */
  async sync(directory: string): Promise<void> {
    const busy = this.#syncing.get(directory);
    if (busy !== undefined) {
      // The running sync may have started before our entry was made.
      busy.next ??= busy.running.then(undefined, () => undefined).then(() => this.#start(directory));
      return busy.next;
    }
    return this.#start(directory);
  }

  /** Removes `directory` and those above it that are empty. */
  async removeEmpty(directory: string): Promise<void> {
    for (let at = directory; at !== this.#root; at = dirname(at)) {
      try {
        await rmdir(at);
      } catch (error) {
        const code = codeOf(error);
        if (code === 'ENOTEMPTY' || code === 'EEXIST') return;
        if (code !== 'ENOENT' && code !== 'ENOTDIR') throw error;
      } finally {
        this.#known.delete(at);
        this.#removals++;
      }
    }
  }

  #start(directory: string): Promise<void> {
    const state: Syncing = { running: syncDirectory(directory), next: undefined };
    this.#syncing.set(directory, state);
    const done = () => {
      if (state.next === undefined) this.#syncing.delete(directory);
    };
    state.running.then(done, done);
    return state.running;
  }

  /** `directory` and those above it, up to the first one whose entry is durable. */
  #unknownFrom(directory: string): string[] {
    const unknown: string[] = [];
    for (let at = directory; !this.#known.has(at); at = dirname(at)) unknown.push(at);
    return unknown;
  }

  #allFrom(directory: string): string[] {
    const all: string[] = [];
    for (let at = directory; at !== this.#root; at = dirname(at)) all.push(at);
    return all;
  }

  #remember(directories: readonly string[]): void {
    if (this.#known.size + directories.length > MAX_KNOWN_DIRECTORIES) {
      this.#known.clear();
      this.#known.add(this.#root);
    }
    for (const directory of directories) this.#known.add(directory);
  }
}

/**
 * Making a directory fails, too, when one above it is removed at that moment: with ENOENT or, as Node makes them, with ENOTDIR. `isGone`:
 * it was missing at least once.
 */
async function placeAgain<T>(
  directory: string,
  isKnown: boolean,
  place: () => Promise<T>,
): Promise<{ result: T; isGone: boolean }> {
  for (let met = 0; ; met++)
    try {
      if (!isKnown || met > 0) await mkdir(directory, { recursive: true });
      return { result: await place(), isGone: met > 0 };
    } catch (error) {
      if (!['ENOENT', 'ENOTDIR'].includes(codeOf(error)) || met === MAX_REMOVALS_MET) throw error;
    }
}

/** Syncs one directory's entries. */
export async function syncDirectory(directory: string): Promise<void> {
  // Windows cannot open a directory for syncing; NTFS journals its entries.
  if (process.platform === 'win32') return;
  try {
    await using handle = await open(directory, 'r');
    await handle.sync();
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error;
  }
}

/** The error code of the operating system, '' when there is none. */
export const codeOf = (error: unknown): string =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
