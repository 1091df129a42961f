import assert from 'node:assert/strict';
import { test } from 'node:test';
import { restore, succeed } from '../fixture.ts';
import { type Life, withLife } from './life.ts';
import { lacks } from './place.ts';
import { eventually, pause } from './session.ts';
import { MAIN } from './users.ts';

const ROWS = 2000;

/** Much at once, until it is enough or the server has died. */
async function press(life: Life, writes: number): Promise<readonly (string | undefined)[]> {
  const answers: (string | undefined)[] = [];
  const lane = async () => {
    for (let n = 0; n < writes / 4; n++) {
      const answer = await life.write(ROWS);
      answers.push(answer);
      if (answer?.includes('UNAVAILABLE') || answer?.includes('ECONN')) return;
    }
  };
  await Promise.all([lane(), lane(), lane(), lane()]);
  return answers;
}

/** It has not died, or not as if all was well; started again, everything acknowledged is there. */
async function endsWell(life: Life): Promise<void> {
  const { server } = life.session;
  const failure = await life.compare('under little memory').catch((error: unknown) => error);
  const code = await Promise.race([server.exited, pause(500).then(() => 'runs' as const)]);
  const said = server.printed().split('\n').slice(5).join('\n');
  console.log(`  then: ${code === 'runs' ? 'it still runs' : `code ${code}`} ${said.slice(0, 700)}`);
  if (code === 'runs') assert.equal(failure, undefined);
  // By a signal, with or without the runtime's own words; never as if all was well.
  else assert.notEqual(code, 0);
  await life.session.kill();
  await life.start();
  await life.compareAgain('after a restart with enough memory');
}

for (const heapMb of [24, 64])
  test(`a heap of ${heapMb} MB: a large ingest, a snapshot and a restore end, or the server ends by a signal, and nothing acknowledged is lost`, () =>
    withLife(
      async (life) => {
        await life.begin({ nodeOptions: [`--max-old-space-size=${heapMb}`] });
        const answers = await press(life, 24);
        console.log(
          `  ${answers.filter((each) => each === undefined).length} writes of ${ROWS} rows; ${answers.find((each) => each !== undefined) ?? 'none refused'}`,
        );
        const work = async () => {
          await life.snapshot('s');
          await restore(life.client, {
            snapshot_name: 's',
            source_collection_name: MAIN,
            target_collection_name: 'copy',
          });
        };
        await work().catch((error: unknown) => console.log(`  ${String(error)}`));
        await endsWell(life);
        const { snapshots } = await succeed(life.client.listSnapshots({ collection_name: MAIN }));
        if (snapshots.includes('s'))
          await restore(life.client, {
            snapshot_name: 's',
            source_collection_name: MAIN,
            target_collection_name: 'again',
          });
      },
      ['--dataCoord.segment.maxSize', '1'],
    ));

const why = lacks('prlimit', '--data=100000000', 'true');

for (const dataMb of [230, 290, 350])
  test(
    `a process that may have ${dataMb} MB of data: it runs, or ends by a signal, and nothing acknowledged is lost`,
    { skip: why },
    () =>
      withLife(
        async (life) => {
          const bytes = dataMb * 2 ** 20;
          const started = await life.begin({ through: ['prlimit', `--data=${bytes}`] }).then(
            () => true,
            (error: unknown) => {
              console.log(`  ${String(error).slice(0, 600)}`);
              return false;
            },
          );
          if (!started) return;
          const answers = await press(life, 40);
          console.log(
            `  ${answers.filter((each) => each === undefined).length} writes; ${answers.find((each) => each !== undefined) ?? 'none refused'}`,
          );
          await life.snapshot('s').catch((error: unknown) => console.log(`  ${String(error)}`));
          await endsWell(life);
          await eventually('healthy', 30_000, async () =>
            (await life.health()).isHealthy ? true : undefined,
          );
        },
        ['--dataCoord.segment.maxSize', '1'],
      ),
  );
