import { test } from 'node:test';
import { FaultRun } from './faults/run.ts';

const ROUNDS = 2;

test('kill -9 and signals at random moments under writers, readers, snapshots, restores, compaction and garbage collection: what was acknowledged is there, snapshots restore to their moment, storage is what is needed', async () => {
  const run = new FaultRun(16);
  let isRight = false;
  try {
    await run.open();
    for (let round = 1; round <= ROUNDS; round++) await run.round(round);
    await run.end();
    isRight = true;
  } finally {
    await run.close(isRight);
  }
});
