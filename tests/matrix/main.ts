/** `npm run matrix`: every position and length of every damage. */
import { systemUptimeMs } from '../../src/support/system-clock.ts';
import { endWhenSilent } from '../end.ts';
import { classes, classNames } from './classes.ts';
import { damages } from './damage.ts';
import { runClass, tables } from './run.ts';

endWhenSilent();
let outcomes = 0;
for (const name of classNames) {
  const seen = await runClass(name, damages);
  outcomes += seen;
  console.log(`${classes[name].title}: ${damages.length} damages, ${seen} outcomes as stated`);
}
console.log(`\n${tables()}\n`);
console.log(`${outcomes} outcomes as stated, ${(systemUptimeMs() / 1000).toFixed(1)} s`);
