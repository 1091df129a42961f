import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { isDbError } from '../../src/errors/db-error.ts';
import { seededRandom } from '../../src/support/random.ts';
import { FileWal } from '../../src/wal/file.ts';
import { collectionOf, DAMAGED, memoryDisks, named, World } from './world.ts';

const RECORD = Buffer.from('TMRC');
const WRITES = [1n, 2n, 3n, 4n];

/** A server whose last four writes, each acknowledged before the next, stand in the log alone; stopped. */
async function withLog(
  work: (log: {
    readonly file: string;
    readonly whole: Buffer;
    /** Where the records begin. */
    readonly records: readonly number[];
    readonly start: () => Promise<{ readonly world: World; readonly wal: FileWal }>;
  }) => Promise<void>,
): Promise<void> {
  const root = await mkdtemp(join(tmpdir(), 'tidemark-matrix-'));
  let wal: FileWal | undefined;
  const disks = {
    ...memoryDisks(join(root, 'objects')),
    wal: async () => {
      wal = await FileWal.open(join(root, 'wal'), { random: seededRandom(1) });
      return wal;
    },
  };
  const start = async () => {
    const world = await World.open(disks);
    assert(wal !== undefined);
    return { world, wal };
  };
  try {
    const { world } = await start();
    await collectionOf(world, DAMAGED);
    for (const key of WRITES) await world.write(DAMAGED, [key]);
    await world.close();
    const file = join(root, 'wal', '1.log');
    const whole = await readFile(file);
    const records: number[] = [];
    for (let at = whole.indexOf(RECORD); at >= 0; at = whole.indexOf(RECORD, at + 1)) records.push(at);
    await work({ file, whole, records, start });
  } finally {
    await rm(root, { recursive: true });
  }
}

const flipped = (bytes: Buffer, at: number) =>
  Buffer.from(bytes.map((byte, i) => (i === at ? byte ^ 4 : byte)));

test('R14: a flipped byte in an acknowledged record of the log stops the start and is named; nothing is dropped silently', async () => {
  await withLog(async ({ file, whole, records, start }) => {
    assert.equal(records.length, WRITES.length);
    const ends = [...records.slice(1), whole.length];
    // The last one cannot be told from a torn tail by itself: the next test.
    for (const [i, record] of records.slice(0, -1).entries())
      for (const at of [record, record + 9, record + 20, record + 33, (record + (ends[i] ?? 0)) >> 1]) {
        await writeFile(file, flipped(whole, at));
        await assert.rejects(
          start(),
          (error) =>
            isDbError(error, 'data-integrity') &&
            error.message.includes(`log file '1.log': damaged record at offset ${record}`),
        );
      }
    await writeFile(file, flipped(whole, 5));
    await assert.rejects(start(), /log file '1\.log': damaged header/);
    await writeFile(file, whole);
    const { world } = await start();
    await world.coordinator.load(named(DAMAGED));
    assert.deepEqual([...(await world.rows(DAMAGED)).keys()], WRITES);
    await world.close();
  });
});

test('R14: the last records of the log, with nothing behind them that vouches for them, count as torn when damaged, and the start tells it', async () => {
  await withLog(async ({ file, whole, records, start }) => {
    const last = records.at(-1) ?? 0;
    for (const bytes of [flipped(whole, last + 40), whole.subarray(0, last + 40)]) {
      await writeFile(file, bytes);
      const { world, wal } = await start();
      assert.deepEqual(wal.tornTail, { file: 1, offset: last, bytes: bytes.length - last });
      await world.coordinator.load(named(DAMAGED));
      assert.deepEqual([...(await world.rows(DAMAGED)).keys()], WRITES.slice(0, -1));
      await world.close();
    }
    await writeFile(file, Buffer.concat([whole, Buffer.from('half a record')]));
    const { world } = await start();
    await world.coordinator.load(named(DAMAGED));
    assert.deepEqual([...(await world.rows(DAMAGED)).keys()], WRITES);
    await world.close();
  });
});
