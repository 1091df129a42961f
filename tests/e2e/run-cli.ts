/** Runs the built program to its end, as a shell would. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { join } from 'node:path';

/** The built program. */
export const main = join(import.meta.dirname, '../../../dist/main.js');

export interface Outcome {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** One that does not end is killed and has no code. */
export function runCli(
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
  onStart: (child: ChildProcessWithoutNullStreams) => void = () => undefined,
): Promise<Outcome> {
  const child = spawn(process.execPath, [main, ...args], {
    env: { ...process.env, ...environment },
    timeout: 10_000,
    killSignal: 'SIGKILL',
  });
  child.stdin.end();
  const text = { out: '', err: '' };
  child.stdout.on('data', (chunk: Buffer) => {
    text.out += chunk.toString();
  });
  child.stderr.on('data', (chunk: Buffer) => {
    text.err += chunk.toString();
  });
  onStart(child);
  return new Promise((resolve) => child.once('close', (code) => resolve({ code, ...text })));
}
