/** What the demo shows on the terminal: steps with times, a progress bar, a table. */
export interface Step {
  readonly name: string;
  readonly ms: number;
  readonly note: string;
}

export class Story {
  readonly #steps: Step[] = [];
  readonly #started = Date.now();

  say(text: string): void {
    console.log(text);
  }

  /** Runs one step, prints it with its time, and keeps it for the table. */
  async step<T>(name: string, work: () => Promise<T>, note: (result: T) => string = () => ''): Promise<T> {
    const started = performance.now();
    const result = await work();
    const step = { name, ms: performance.now() - started, note: note(result) };
    this.#steps.push(step);
    this.say(`  ${duration(step.ms).padStart(9)}  ${name}${step.note && `: ${step.note}`}`);
    return result;
  }

  table(): string {
    const width = Math.max(...this.#steps.map(({ name }) => name.length));
    const lines = this.#steps.map(
      ({ name, ms, note }) => `  ${name.padEnd(width)}  ${duration(ms).padStart(9)}  ${note}`,
    );
    return [
      ...lines,
      `  ${'in all'.padEnd(width)}  ${duration(Date.now() - this.#started).padStart(9)}`,
    ].join('\n');
  }
}

export const duration = (ms: number): string =>
  ms < 10 ? `${ms.toFixed(1)} ms` : ms < 10_000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;

export const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;

/** A bar that redraws itself on a terminal and prints nothing until its end elsewhere. */
export function drawBar(done: number, total: number, ended: boolean): void {
  const share = total === 0 ? 1 : done / total;
  const filled = Math.round(share * 32);
  const text = `  [${'#'.repeat(filled)}${'.'.repeat(32 - filled)}] ${Math.floor(share * 100)} %  ${megabytes(done)} of ${megabytes(total)}`;
  if (process.stdout.isTTY) process.stdout.write(`\r${text}${ended ? '\n' : ''}`);
  else if (ended) console.log(text);
}
