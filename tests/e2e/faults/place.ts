/** File systems of our own to break: mounted in a mount namespace that a helper process holds, gone with it. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { closeSync, openSync, statfsSync, truncateSync, writeSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const isRoot = process.getuid?.() === 0;
/** Without root, a user namespace in which we are. */
const UNSHARE = isRoot ? ['--mount'] : ['--mount', '--user', '--map-root-user'];
const ENTER = isRoot ? ['--mount'] : ['--mount', '--user', '--preserve-credentials'];

export class Place {
  /** As the server sees it. */
  readonly dir: string;
  /** The same, as we see it. */
  readonly files: string;
  readonly #mountPoint: string;
  readonly #holder: ChildProcess;

  private constructor(mountPoint: string, holder: ChildProcess) {
    this.#mountPoint = mountPoint;
    this.#holder = holder;
    this.dir = join(mountPoint, 'data');
    this.files = `/proc/${holder.pid}/root${this.dir}`;
  }

  /** `mount` is a shell command that mounts something at `$1`. Answers why not where the machine does not allow it. */
  static async mount(mount: string): Promise<Place | string> {
    if (process.platform !== 'linux') return 'mount namespaces are Linux';
    const mountPoint = await mkdtemp(join(tmpdir(), 'tidemark-place-'));
    const script = `${mount} && echo mounted && exec cat`;
    const holder = spawn('unshare', [...UNSHARE, 'sh', '-c', script, 'sh', mountPoint], {
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    const said = await new Promise<string>((resolve) => {
      for (const stream of [holder.stdout, holder.stderr])
        stream.once('data', (chunk: Buffer) => resolve(chunk.toString()));
      holder.once('error', (error) => resolve(error.message));
      holder.once('exit', (code) => resolve(`unshare ended with ${code}`));
    });
    if (said.startsWith('mounted')) return new Place(mountPoint, holder);
    holder.kill('SIGKILL');
    await rm(mountPoint, { recursive: true, force: true });
    return `cannot mount: ${said.trim()}`;
  }

  static memory(sizeMb: number): Promise<Place | string> {
    return Place.mount(`mount -t tmpfs -o size=${sizeMb}m tidemark "$1"`);
  }

  /** By which a program runs where the mount is. */
  get through(): readonly string[] {
    return ['nsenter', '--target', String(this.#holder.pid), ...ENTER, '--'];
  }

  run(...command: readonly string[]): string {
    const [program = '', ...args] = [...this.through, ...command];
    return execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  }

  get mountPoint(): string {
    return this.#mountPoint;
  }

  #filler(): string {
    return join(this.files, '../filler');
  }

  /** Takes the space there is but for so many bytes. */
  fill(leaveBytes = 0): void {
    const file = openSync(this.#filler(), 'a');
    try {
      const { bavail, bsize } = statfsSync(join(this.files, '..'));
      for (let rest = bavail * bsize - leaveBytes; rest > 0; rest -= 1 << 16)
        writeSync(file, Buffer.alloc(Math.min(rest, 1 << 16)));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
    } finally {
      closeSync(file);
    }
  }

  free(): void {
    truncateSync(this.#filler(), 0);
  }

  async close(): Promise<void> {
    const ended = new Promise((resolve) => this.#holder.once('exit', resolve));
    this.#holder.kill('SIGKILL');
    await ended;
    await rm(this.#mountPoint, { recursive: true, force: true });
  }
}

/** Whether a program can be run; the reason when not. */
export function lacks(program: string, ...args: readonly string[]): string | false {
  try {
    execFileSync(program, args, { stdio: 'ignore' });
    return false;
  } catch (error) {
    return `${program} cannot be used here: ${(error as Error).message.split('\n')[0]}`;
  }
}
