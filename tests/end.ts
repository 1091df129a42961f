import { after } from 'node:test';
import { setTimeout } from 'node:timers';

const MAX_MS = 20_000;

/**
 * A process of tests that does not end once they have ended is red, and says what still runs: a failing test that left its world open must
 * not keep everybody waiting for ever.
 */
export function endAfterTests(): void {
  after(() => {
    setTimeout(() => {
      const running = process.getActiveResourcesInfo().join(', ');
      process.stderr.write(`the tests have ended, and something still runs: ${running}\n`);
      process.exit(1);
    }, MAX_MS).unref();
  });
}
