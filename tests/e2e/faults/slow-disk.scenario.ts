import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { test } from 'node:test';
import { restore, succeed } from '../fixture.ts';
import { withLife } from './life.ts';
import { lacks } from './place.ts';
import { readStates } from './rows.ts';
import { eventually, load, pause } from './session.ts';
import { MAIN } from './users.ts';

const SYNCS = 'fsync,fdatasync,msync';

/** The system's own fault injection: `what` happens to every sync of the process, which stays the process we know. */
const injecting = (what: string): readonly string[] => [
  'strace',
  '--daemonize',
  '--follow-forks',
  '--seccomp-bpf',
  '--output=/dev/null',
  `--trace=${SYNCS}`,
  `--inject=${SYNCS}:${what}`,
];
const why = lacks('strace', '-D', '-f', '--seccomp-bpf', '-o', '/dev/null', 'true');

test(
  'a slow disk, 250 ms for each sync: reads do not wait for it, nothing times out, snapshots and restores end',
  { skip: why },
  () =>
    withLife(async (life) => {
      await life.begin({ through: injecting('delay_exit=250000') });
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
    await life.begin({ through: injecting('delay_exit=400000') });
    assert.equal(await life.write(50), undefined);
    const writes = Promise.all(Array.from({ length: 30 }, () => life.write(50)));
    await Promise.race([writes, new Promise((resolve) => setTimeout(resolve, 700))]);
    await life.session.kill();
    await writes;
    await life.start();
    await life.compareAgain('after the kill');
  }),
);

/** From now on. Each thread counts its own calls. */
async function inject(pid: number, what: string): Promise<() => Promise<void>> {
  const calls = what.slice(0, what.indexOf(':'));
  const args = ['-f', '-o', '/dev/null', '-p', String(pid), '-e', `trace=${calls}`, '-e', `inject=${what}`];
  const child = spawn('strace', args, { stdio: ['ignore', 'ignore', 'pipe'] });
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  await new Promise((resolve) => child.stderr.once('data', resolve));
  await pause(300);
  return async () => {
    child.kill('SIGINT');
    await ended;
  };
}

for (const [words, what] of [
  ['syncs fail with EIO', 'fsync,fdatasync:error=EIO'],
  ['one sync of each thread fails with EIO and later ones do not', 'fsync,fdatasync:error=EIO:when=1'],
  ['syncs fail for the quota is used up', 'fsync,fdatasync:error=EDQUOT'],
  ['every other sync fails with EIO', 'fsync,fdatasync:error=EIO:when=1+2'],
  ['positioned writes fail for the quota is used up', 'pwrite64,pwritev,pwritev2:error=EDQUOT'],
  ['writes fail with EIO', 'pwrite64,pwritev,pwritev2,writev:error=EIO'],
  ['every third write fails with ENOSPC', 'pwrite64,pwritev,pwritev2:error=ENOSPC:when=3+3'],
] as const)
  test(
    `${words} under a running server: what it acknowledged is there after a restart, snapshots whole`,
    { skip: why },
    () =>
      withLife(async (life) => {
        await life.begin();
        assert.equal(await life.write(100), undefined);
        await life.snapshot('s');
        assert.equal(await life.write(100), undefined);
        const end = await inject(life.session.server.pid, what);
        const answers = await Promise.all([1, 2, 3, 4].map(() => life.write(20)));
        for (let n = 0; n < 4; n++) answers.push(await life.write(20));
        const flushed = life.client.flush({ collection_names: [MAIN] }).catch(String);
        const snapshot = await life.client
          .createSnapshot({ collection_name: MAIN, snapshot_name: 'late' })
          .then(({ reason }) => reason || 'created', String);
        const request = {
          snapshot_name: 's',
          source_collection_name: MAIN,
          target_collection_name: 'during',
        };
        const restored = await life.client
          .restoreSnapshot(request)
          .then(({ status }) => status.reason || 'started', String);
        await Promise.race([flushed, pause(1000)]);
        console.log(
          `  write: ${answers.find((each) => each !== undefined)}\n  snapshot: ${snapshot}\n  restore: ${restored}`,
        );
        console.log(
          `  said: ${life.session.server.printed().split('\n').slice(5).join('\n        ').slice(0, 1500)}`,
        );
        await end();
        await life.session.kill();
        await life.start();
        await life.compareAgain('after a restart on a sound disk');
        assert.equal(await life.write(20), undefined);
        const { snapshots } = await succeed(life.client.listSnapshots({ collection_name: MAIN }));
        assert.ok(snapshots.includes('s'));
        if (snapshot === 'created') assert.ok(snapshots.includes('late'));
        for (const snapshot_name of snapshots) {
          await restore(life.client, {
            ...request,
            snapshot_name,
            target_collection_name: `of_${snapshot_name}`,
          });
          const lines = await life.session.lines<{ kind: string }>(
            'POST',
            `/snapshots/default/${MAIN}/${snapshot_name}/verify`,
          );
          assert.deepEqual(
            lines.map(({ kind }) => kind).filter((kind) => kind === 'damage'),
            [],
          );
        }
        await eventually('healthy', 20_000, async () => ((await life.health()).isHealthy ? true : undefined));
      }),
  );
