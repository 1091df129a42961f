import { plants } from './plants.ts';
import { runSeed } from './run.ts';

for (const [name, plant] of Object.entries(plants).filter(([n]) =>
  [
    'believedReports',
    'sameAttempt',
    'doubleResult',
    'blindCopy',
    'forgetfulCopy',
    'lostTask',
    'lazyCancel',
    'hastyJob',
    'greedyCollector',
    'carelessCollector',
    'endlessCopy',
    'leftPin',
    'stickyObject',
  ].includes(n),
)) {
  const found: string[] = [];
  const t = process.cpuUsage().user;
  for (let seed = 1; seed <= 30 && found.length < 3; seed++) {
    const { failure } = await runSeed(seed, { plant: plant(), jobsWithinMs: 20_000 });
    if (failure !== undefined) found.push(`${seed} ${failure.property}: ${failure.message.slice(0, 90)}`);
  }
  console.log(name, Math.round((process.cpuUsage().user - t) / 1000), 'ms', found);
}
