/** A process that runs the seeds it is sent. */
import { resultOf, type SeedOrder } from './seed-runner.ts';

// Ctrl-C reaches every process of the terminal: the first one tells what is known, and ends the others.
process.on('SIGINT', () => undefined);
process.on('disconnect', () => process.exit());
process.on('message', (order: SeedOrder) => {
  void resultOf(order).then((result) => process.send?.(result));
});
