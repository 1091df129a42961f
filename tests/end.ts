import { setInterval } from 'node:timers';
import { systemClock } from '../src/support/system-clock.ts';

const MAX_SILENCE_MS = 150_000;
const LOOK_MS = 5000;

/**
 * A process of tests that says nothing for long is red, and tells what still runs: a failing test that left its world open, or one that
 * waits for ever, must not keep everybody waiting.
 */
export function endWhenSilent(): void {
  let heardAtMs = systemClock.nowMs();
  const write = process.stdout.write.bind(process.stdout) as (...of: unknown[]) => boolean;
  process.stdout.write = (...of: unknown[]) => {
    heardAtMs = systemClock.nowMs();
    return write(...of);
  };
  const look = () => {
    if (systemClock.nowMs() - heardAtMs < MAX_SILENCE_MS) return;
    const kinds = process.getActiveResourcesInfo();
    const running = [...new Set(kinds)]
      .map((kind) => `${kinds.filter((each) => each === kind).length} ${kind}`)
      .join(', ');
    process.stderr.write(
      `no test has said anything for ${MAX_SILENCE_MS / 1000} s; still there: ${running}\n`,
    );
    process.exit(1);
  };
  setInterval(look, LOOK_MS).unref();
}
