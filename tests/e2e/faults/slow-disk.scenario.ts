import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { load, restore, succeed } from '../fixture.ts';
import { withLife } from './life.ts';
import { lacks } from './place.ts';
import { readStates } from './rows.ts';
import { eventually } from './session.ts';
import { MAIN } from './users.ts';

const SYNCS = 'fsync,fdatasync,msync';

/** The system's own fault injection: `what` happens to every sync of the process, which stays the process we know. */
const injecting = (what: string, log: string): readonly string[] => [
  'strace',
  '--daemonize',
  '--follow-forks',
  '--seccomp-bpf',
  `--output=${log}`,
  `--trace=${SYNCS}`,
  `--inject=${SYNCS}:${what}`,
];
const why = lacks('strace', '-D', '-f', '--seccomp-bpf', '-o', '/dev/null', 'true');

test(
  'a slow disk, 250 ms for each sync: reads do not wait for it, nothing times out, snapshots and restores end',
  { skip: why },
  () =>
    withLife(async (life) => {
      await life.begin({ through: injecting('delay_exit=250000', '/dev/null') });
      let isOver = false;
      const reads: number[] = [];
      const health: number[] = [];
      const reading = (async () => {
        while (!isOver) {
          let at = performance.now();
          await readStates(life.client, MAIN);
          reads.push(performance.now() - at);
          at = performance.now();
          await life.health();
          health.push(performance.now() - at);
        }
      })();
      assert.deepEqual(
        await Promise.all(Array.from({ length: 20 }, () => life.write(50))),
        Array(20).fill(undefined),
      );
      await life.snapshot('s');
      await restore(life.client, {
        snapshot_name: 's',
        source_collection_name: MAIN,
        target_collection_name: 'copy',
      });
      isOver = true;
      await reading;
      const median = (of: number[]) => of.sort((a, b) => a - b)[of.length >> 1] ?? 0;
      console.log(
        `  reads: median ${median(reads).toFixed(1)} ms of ${reads.length}; health: ${median(health).toFixed(1)} ms`,
      );
      assert.ok(median(reads) < 200, `a read takes ${median(reads)} ms`);
      await load(life.client, 'copy');
      assert.deepEqual(await readStates(life.client, 'copy'), await readStates(life.client, MAIN));
      await life.compare('on a slow disk');
      await life.stop();
      await life.start();
      await life.compareAgain('after the slow disk');
    }),
);

test('kill -9 on a slow disk while writes wait for it: what was acknowledged is there', { skip: why }, () =>
  withLife(async (life) => {
    await life.begin({ through: injecting('delay_exit=400000', '/dev/null') });
    assert.equal(await life.write(50), undefined);
    const writes = Promise.all(Array.from({ length: 30 }, () => life.write(50)));
    await Promise.race([writes, new Promise((resolve) => setTimeout(resolve, 700))]);
    await life.session.kill();
    await writes;
    await life.start();
    await life.compareAgain('after the kill');
  }),
);

for (const [name, error] of [
  ['input/output errors', 'EIO'],
  ['a quota', 'EDQUOT'],
] as const)
  for (const when of [1, 2, 3, 5, 8])
    test(
      `syncs that fail with ${error} (${name}) from the ${when}. of some on: nothing is acknowledged that is not there after a restart`,
      { skip: why },
      () =>
        withLife(async (life) => {
          await life.begin();
          assert.equal(await life.write(100), undefined);
          await life.snapshot('s');
          await life.stop();
          const log = join(life.dir, 'strace.log');
          // A start makes some syncs of its own; from which on they fail is what is tried.
          const started = await life
            .start({ through: injecting(`error=${error}:when=${when + 10}+`, log) })
            .then(
              () => true,
              (e: unknown) => {
                console.log(`  start: ${(e as Error).message.replaceAll('\n', ' | ')}`);
                return false;
              },
            );
          if (started) {
            const words: (string | undefined)[] = [];
            for (let n = 0; n < 12; n++) words.push(await life.write(20));
            const refused = words.find((each) => each !== undefined);
            console.log(`  write ${words.indexOf(refused)}: ${refused}`);
            const snapshot = await life.client
              .createSnapshot({ collection_name: MAIN, snapshot_name: 'late' })
              .then(({ reason }) => reason || 'created', String);
            console.log(`  createSnapshot: ${snapshot}`);
            console.log(
              `  said: ${life.session.server.printed().split('\n').slice(5).join(' | ').slice(0, 600)}`,
            );
            await life.session.kill();
          }
          await rm(log, { force: true });
          await life.start();
          await life.compareAgain('after a restart on a sound disk');
          assert.equal(await life.write(20), undefined);
          const { snapshots } = await succeed(life.client.listSnapshots({ collection_name: MAIN }));
          assert.ok(snapshots.includes('s'));
          for (const snapshot_name of snapshots)
            await restore(life.client, {
              snapshot_name,
              source_collection_name: MAIN,
              target_collection_name: `of_${snapshot_name}`,
            });
          await eventually('healthy', 20_000, async () =>
            (await life.health()).isHealthy ? true : undefined,
          );
        }),
    );
