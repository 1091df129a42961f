/** Runs the built server as a user would, in a process of its own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

const main = join(import.meta.dirname, '../../dist/main.js');

export interface SpawnedServer {
  readonly address: string;
  readonly httpAddress: string;
  readonly readyMs: number;
  readonly pid: number;
  /** Current and peak resident memory in MB; undefined where the system does not tell. */
  memory(): Promise<{ readonly rssMb: number; readonly peakMb: number } | undefined>;
  /** Asks a module that was loaded before the server (`SpawnOptions.preload`) something, over the process channel. */
  ask(question: string): Promise<unknown>;
  /** The exit code, once it has ended by itself or by a signal. */
  readonly exited: Promise<number | null>;
  /** Everything it has printed so far. */
  printed(): string;
  /** SIGTERM or another signal, then waits; resolves with the exit code. */
  stop(signal?: NodeJS.Signals): Promise<number | null>;
  /** SIGKILL, then waits. */
  kill(): Promise<void>;
}

export interface SpawnOptions {
  /** A module loaded before the server, which answers each message on the process channel with one message. */
  readonly preload?: URL;
  /** A program and its arguments that become the server, as `prlimit` and `nsenter` do: the process stays the same. */
  readonly through?: readonly string[];
  /** Options of Node, before the program. */
  readonly nodeOptions?: readonly string[];
}

/** Starts a server over `dir` on free ports and waits until it says it is ready. Throws with what it printed when it does not. */
export async function spawnServer(
  dir: string,
  extra: readonly string[] = [],
  { preload, through = [], nodeOptions = [] }: SpawnOptions = {},
): Promise<SpawnedServer> {
  const started = Date.now();
  const first = preload === undefined ? [] : ['--import', preload.href];
  const server = [main, '--data', dir, '--port', '0', '--http-port', '0', ...extra];
  const [program = '', ...args] = [...through, process.execPath, ...nodeOptions, ...first, ...server];
  const child = spawn(program, args, {
    stdio: ['ignore', 'pipe', 'pipe', ...(preload === undefined ? [] : ['ipc' as const])],
  });
  const exited = new Promise<number | null>((resolve) => child.once('exit', resolve));
  let printed = '';
  for (const stream of [child.stdout, child.stderr])
    stream?.on('data', (chunk: Buffer) => {
      printed += chunk.toString();
    });
  const output = await readyOutput(child, exited);
  const find = (pattern: RegExp): string => {
    const found = pattern.exec(output)?.[1];
    if (found === undefined) throw new Error(`the server did not say where it listens:\n${output}`);
    return found;
  };
  const pid = child.pid as number;
  return {
    address: find(/gRPC\s+(\S+)/),
    httpAddress: find(/HTTP\s+http:\/\/(\S+?)\/?\s/),
    readyMs: Date.now() - started,
    pid,
    exited,
    printed: () => printed,
    memory: () => memoryOf(pid),
    ask: (question) =>
      new Promise((resolve) => {
        child.once('message', resolve);
        child.send(question);
      }),
    stop: (signal = 'SIGTERM') => {
      child.kill(signal);
      return exited;
    },
    kill: async () => {
      child.kill('SIGKILL');
      await exited;
    },
  };
}

function readyOutput(child: ChildProcess, exited: Promise<number | null>): Promise<string> {
  let output = '';
  return new Promise((resolve, reject) => {
    const read = (chunk: Buffer) => {
      output += chunk.toString();
      if (output.includes('Ctrl-C')) resolve(output);
    };
    child.stdout?.on('data', read);
    child.stderr?.on('data', read);
    void exited.then((code) => reject(new Error(`the server ended with code ${code}:\n${output}`)));
  });
}

async function memoryOf(pid: number): Promise<{ rssMb: number; peakMb: number } | undefined> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => undefined);
  if (status === undefined) return undefined;
  const read = (name: string) => Number(new RegExp(`${name}:\\s+(\\d+) kB`).exec(status)?.[1] ?? 0) / 1024;
  return { rssMb: Math.round(read('VmRSS')), peakMb: Math.round(read('VmHWM')) };
}
