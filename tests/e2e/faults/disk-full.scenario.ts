import assert from 'node:assert/strict';
import { test } from 'node:test';
import { succeed } from '../fixture.ts';
import { Life } from './life.ts';
import { Place } from './place.ts';
import { eventually } from './session.ts';
import { MAIN } from './users.ts';

const GC_FLAGS = ['--dataCoord.gc.dropTolerance', '0', '--dataCoord.gc.missingTolerance', '0'];

async function onSmallDisk(
  t: { skip(reason: string): void },
  run: (life: Life, disk: Place) => Promise<void>,
): Promise<void> {
  const disk = await Place.memory(48);
  if (typeof disk === 'string') return t.skip(disk);
  const life = new Life(disk.dir, GC_FLAGS);
  try {
    await run(life, disk);
  } finally {
    await life.session?.kill();
    await disk.close();
  }
}

test('a full disk: writes are refused with a clear error, reads are answered, and it goes on by itself when there is space again', (t) =>
  onSmallDisk(t, async (life, disk) => {
    await life.begin({ through: disk.through });
    for (let n = 0; n < 5; n++) assert.equal(await life.write(500), undefined);
    await life.snapshot('before');
    disk.fill();
    const words = await eventually('a write is refused', 30_000, async () => life.write(500));
    assert.match(words, /^1002 .*no space left on device.*: free some, then try again$/);
    console.log('  write on a full disk:', words);
    await life.compare('while the disk is full');
    const health = await life.health();
    console.log('  health:', JSON.stringify(health));
    assert.equal(health.isHealthy, false);
    for (const [what, call] of Object.entries({
      createSnapshot: life.client.createSnapshot({ collection_name: MAIN, snapshot_name: 'full' }),
      flush: life.client.flush({ collection_names: [MAIN] }),
      createDatabase: life.client.createDatabase({ db_name: 'other' }),
      restore: life.client.restoreSnapshot({
        snapshot_name: 'before',
        source_collection_name: MAIN,
        target_collection_name: 'copy',
      }),
    })) {
      const answer = (await call) as {
        status?: { code: number; reason: string };
        code?: number;
        reason?: string;
      };
      const { code, reason } = answer.status ?? answer;
      console.log(`  ${what}: ${code} ${reason}`);
    }
    await life.compare('while the disk is still full');
    disk.free();
    await eventually('writes are taken again', 10_000, async () =>
      (await life.write(500)) === undefined ? true : undefined,
    );
    await eventually('healthy', 30_000, async () => ((await life.health()).isHealthy ? true : undefined));
    await life.compare('after space was freed');
    await life.snapshot('after');
    const said = life.session.server.printed();
    assert.match(said, /no space left[^\n]*writes-are-refused/);
    assert.match(said, /writes-are-taken-again/);
    await life.stop();
    await life.start({ through: disk.through });
    await life.compareAgain('after a restart');
  }));

test('kill -9 on a full disk, and a start there: what was acknowledged is there', (t) =>
  onSmallDisk(t, async (life, disk) => {
    await life.begin({ through: disk.through });
    for (let n = 0; n < 3; n++) assert.equal(await life.write(500), undefined);
    disk.fill();
    await eventually('a write is refused', 30_000, async () => life.write(500));
    await life.session.kill();
    const failed = await life.start({ through: disk.through }).then(
      () => undefined,
      (error: unknown) => String(error),
    );
    console.log('  start on a full disk:', failed ?? 'started');
    if (failed !== undefined)
      assert.match(failed, /tidemark: [^\n]*no space is left on its device. Free some, then start again\n$/);
    if (failed === undefined) {
      await life.compareAgain('started on a full disk');
      console.log(life.session.server.printed().split('\n').slice(5).join('\n').slice(0, 3000));
      await life.session.kill();
    }
    disk.free();
    await life.start({ through: disk.through });
    await life.compareAgain('after space was freed');
    assert.equal(await life.write(500), undefined);
  }));

test('dropping a collection and collecting garbage work on a full disk and make space', (t) =>
  onSmallDisk(t, async (life, disk) => {
    await life.begin({ through: disk.through });
    for (let n = 0; n < 5; n++) assert.equal(await life.write(2000), undefined);
    await succeed(life.client.flush({ collection_names: [MAIN] }));
    await life.snapshot('s');
    disk.fill();
    await eventually('a write is refused', 30_000, async () => life.write(2000));
    const drop = await life.client.dropCollection({ collection_name: MAIN });
    console.log('  drop:', drop.code, drop.reason);
    const gc = await life.session.text('POST', '/gc').catch(String);
    console.log('  gc:', gc);
  }));
