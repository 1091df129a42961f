import assert from 'node:assert/strict';
import {
  mkdir,
  mkdtemp,
  open,
  readdir,
  rename,
  rm,
  rmdir,
  stat,
  truncate,
  writeFile,
} from 'node:fs/promises';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { isDbError } from '../errors/db-error.ts';
import type { HybridTime } from '../model/hybrid-time.ts';
import { seededRandom } from '../support/random.ts';
import { FileWal } from './file.ts';
import { FileWalReader } from './file-reader.ts';
import { checksumInTurns, encodeRecordHeader } from './frame.ts';
import { replayed, walSuite } from './wal.suite.ts';

const options = { random: seededRandom(1), fileBytes: 1000 };
const newestIn = async (root: string): Promise<string> => {
  const numbers = (await readdir(root)).map((name) => Number.parseInt(name, 10));
  return join(root, `${Math.max(...numbers)}.log`);
};

walSuite('log in files', async () => {
  const root = await mkdtemp(join(tmpdir(), 'tidemark-wal-'));
  let wal = await FileWal.open(root, options);
  return {
    wal,
    async reopen() {
      await wal.close();
      wal = await FileWal.open(root, options);
      return wal;
    },
    async damage({ file, offset }, byte) {
      await using handle = await open(join(root, `${file}.log`), 'r+');
      const one = new Uint8Array(1);
      await handle.read(one, 0, 1, offset + byte);
      await handle.write(Uint8Array.of(one[0]! ^ 0x5a), 0, 1, offset + byte);
    },
    async cutTail(bytes) {
      const path = await newestIn(root);
      await truncate(path, (await stat(path)).size - bytes);
    },
    async dispose() {
      await wal.close();
      await rm(root, { recursive: true });
    },
  };
});

const inDirectory = (sentence: string, run: (root: string) => Promise<void>, skip = false) =>
  test(sentence, { skip }, async () => {
    const root = await mkdtemp(join(tmpdir(), 'tidemark-wal-'));
    try {
      await run(root);
    } finally {
      await rm(root, { recursive: true });
    }
  });
const append = (wal: FileWal, n: number) => wal.append(BigInt(n) as HybridTime, [new Uint8Array(40).fill(n)]);

inDirectory('a log file that was only begun is begun again', async (root) => {
  const first = await FileWal.open(root, options);
  await append(first, 1).durable;
  await first.close();
  for (const header of [new Uint8Array(), new Uint8Array(5), new Uint8Array(32)]) {
    await writeFile(join(root, '2.log'), header);
    const wal = await FileWal.open(root, options);
    assert.equal((await replayed(wal)).length, 1);
    assert.equal(wal.currentFile, 2);
    await wal.close();
  }
  const wal = await FileWal.open(root, options);
  await replayed(wal);
  await append(wal, 2).durable;
  await wal.close();
  assert.equal((await replayed(await FileWal.open(root, options))).length, 2);
});

inDirectory('a missing file in the middle, or one under another name, is an error', async (root) => {
  const wal = await FileWal.open(root, options);
  await Promise.all(Array.from({ length: 60 }, (_, n) => append(wal, n).durable));
  await wal.close();
  await rename(join(root, '2.log'), join(root, '2.gone'));
  const isDamage = (error: unknown) => isDbError(error, 'data-integrity');
  await assert.rejects(FileWal.open(root, options), isDamage);
  await rename(join(root, '3.log'), join(root, '2.log'));
  await rename(join(root, '2.gone'), join(root, '3.log'));
  await assert.rejects(replayed(await FileWal.open(root, options)), isDamage);
});

inDirectory('what recovery cut is told', async (root) => {
  const wal = await FileWal.open(root, options);
  await append(wal, 1).durable;
  const { position, durable } = append(wal, 2);
  await durable;
  await wal.close();
  const path = join(root, '1.log');
  await truncate(path, (await stat(path)).size - 10);
  const again = await FileWal.open(root, options);
  await replayed(again);
  assert.deepEqual(again.tornTail, { file: 1, offset: position.offset, bytes: 62 });
  await again.close();
});

inDirectory('a reader elsewhere reads what the log has written, with few files open', async (root) => {
  const wal = await FileWal.open(root, { ...options, fileBytes: 100 });
  const appended = Array.from({ length: 40 }, (_, n) => append(wal, n));
  await Promise.all(appended.map(({ durable }) => durable));
  const reader = new FileWalReader(root);
  const shuffled = [...appended, ...appended].sort(
    (a, b) => ((a.position.file * 7) % 11) - ((b.position.file * 7) % 11),
  );
  const read = await Promise.all(shuffled.map(({ position }) => reader.read(position)));
  for (const [i, payload] of read.entries())
    assert.deepEqual(payload, new Uint8Array(40).fill(appended.indexOf(shuffled[i]!)));
  await reader.close();
  await wal.close();
});

/** Files on a disk that is full after `room` more bytes. */
const fullAfter = (room: number): typeof open => diskOf({ left: room });

const diskOf = (disk: { left: number }): typeof open => {
  return async (...at) => {
    const handle = await open(...at);
    const writev = handle.writev.bind(handle);
    handle.writev = (async (pieces: Uint8Array[], position?: number) => {
      const bytes = Buffer.concat(pieces).subarray(0, disk.left);
      disk.left -= bytes.length;
      if (bytes.length === 0) throw Object.assign(new Error('no space'), { code: 'ENOSPC' });
      return await writev([bytes], position);
    }) as typeof handle.writev;
    return handle;
  };
};

for (const [room, expected] of [
  [0, []],
  [20, []],
  [32 + 72, [1]],
  [32 + 72 + 50, [1]],
  [32 + 72 + 72 + 50, [1]],
] as const)
  inDirectory(
    `a disk full after ${room} bytes refuses what does not fit and all that follows while it is full`,
    async (root) => {
      const wal = await FileWal.open(root, { ...options, open: fullAfter(room) });
      const first = append(wal, 1);
      const isFull = (error: unknown) => isDbError(error, 'storage-full');
      if (expected.length === 0) await assert.rejects(first.durable, isFull);
      else await first.durable;
      for (const { durable } of [append(wal, 2), append(wal, 3)]) await assert.rejects(durable, isFull);
      await assert.rejects(append(wal, 4).durable, isFull);
      await wal.close();
      const again = await FileWal.open(root, options);
      assert.deepEqual(
        (await replayed(again)).map(({ ts }) => Number(ts)),
        expected,
      );
      assert.equal(again.tornTail, undefined);
      await append(again, 5).durable;
      await again.close();
    },
  );

test('the checksum of a payload is the same in one turn of the event loop and in many', async () => {
  const big = new Uint8Array(20 << 20);
  for (let i = 0; i < big.length; i += 997) big[i] = i;
  const payload = [big.subarray(0, 5), big.subarray(5, 9 << 20), new Uint8Array(0), big.subarray(9 << 20)];
  const place = { offset: 32, salt: 1n, durableBytes: 32 };
  const ts = 7n as HybridTime;
  assert.deepEqual(
    encodeRecordHeader(ts, payload, place, await checksumInTurns(payload)),
    encodeRecordHeader(ts, payload, place),
  );
  assert.equal(await checksumInTurns([]), 0);
});

for (const [room, fileBytes] of [
  [0, 1000],
  [20, 1000],
  [32 + 72, 1000],
  [32 + 72 + 50, 1000],
  [32 + 72, 100],
  [32 + 72 + 20, 100],
  [32 + 72 + 32, 100],
  [32 + 72 + 32 + 20, 100],
] as const)
  inDirectory(
    `a log on a disk full after ${room} bytes, files of ${fileBytes}, goes on when there is space`,
    async (root) => {
      const disk = { left: room };
      const wal = await FileWal.open(root, { ...options, fileBytes, open: diskOf(disk) });
      const taken: number[] = [];
      const record = (n: number) => append(wal, n).durable.then(() => taken.push(n));
      const isFull = (error: unknown) => isDbError(error, 'storage-full');
      await record(1).catch((error) => assert.ok(isFull(error)));
      for (const refused of [record(2), record(3), record(4)]) await assert.rejects(refused, isFull);
      await assert.rejects(record(5), isFull);
      disk.left = 1e6;
      const { position, durable } = append(wal, 6);
      await durable;
      await Promise.all([record(7), record(8)]);
      assert.deepEqual(await wal.read(position), new Uint8Array(40).fill(6));
      await wal.close();
      const again = await FileWal.open(root, options);
      assert.deepEqual(
        (await replayed(again)).map(({ ts }) => Number(ts)),
        [...taken, 6].sort(),
      );
      assert.equal(again.tornTail, undefined);
      await again.close();
    },
  );

inDirectory(
  'a full disk that shows only at the sync, or that cannot be cleaned up, ends the log',
  async (root) => {
    for (const broken of ['datasync', 'truncate'] as const) {
      const disk = { left: 32 + 72 + (broken === 'truncate' ? 50 : 1e6) };
      const inner = diskOf(disk);
      let isBroken = false;
      const wal = await FileWal.open(join(root, broken), {
        ...options,
        open: async (...at) => {
          const handle = await inner(...at);
          const works = handle[broken].bind(handle) as () => Promise<void>;
          handle[broken] = () =>
            isBroken ? Promise.reject(Object.assign(new Error('no space'), { code: 'ENOSPC' })) : works();
          return handle;
        },
      });
      await append(wal, 1).durable;
      isBroken = true;
      const isFailed = (error: unknown) => isDbError(error, 'storage-failed');
      await assert.rejects(append(wal, 2).durable, isFailed);
      isBroken = false;
      disk.left = 1e6;
      await assert.rejects(append(wal, 3).durable, isFailed);
      await wal.close();
    }
  },
);

inDirectory(
  'a log file that cannot be removed is removed by the next call, and no gap comes about',
  async (root) => {
    const wal = await FileWal.open(root, { ...options, fileBytes: 100 });
    for (let n = 1; n <= 5; n++) await append(wal, n).durable;
    await rename(join(root, '2.log'), join(root, 'kept'));
    await mkdir(join(root, '2.log'));
    await assert.rejects(wal.truncateBefore(4), (error) => isDbError(error, 'storage-failed'));
    await rmdir(join(root, '2.log'));
    await rename(join(root, 'kept'), join(root, '2.log'));
    await wal.truncateBefore(5);
    await wal.close();
    const again = await FileWal.open(root, options);
    assert.deepEqual(
      (await replayed(again)).map(({ ts }) => Number(ts)),
      [5],
    );
    await again.close();
  },
);

inDirectory(
  'a record for a file that somebody removed while it was written is refused, and so is every later one',
  async (root) => {
    const wal = await FileWal.open(root, options);
    await append(wal, 1).durable;
    await rm(join(root, '1.log'));
    for (const { durable } of [append(wal, 2), append(wal, 3)])
      await assert.rejects(
        durable,
        (error) => isDbError(error, 'storage-failed') && /was removed/.test(error.message),
      );
    await wal.close();
  },
);

for (const when of [1, 2])
  inDirectory(
    `too many open files at the ${when}. file the log opens: records are refused while it lasts, later ones are taken, nothing refused comes back`,
    async (root) => {
      let opened = 0;
      let isExhausted = true;
      const scarce: typeof open = (...at) =>
        ++opened >= when && isExhausted
          ? Promise.reject(Object.assign(new Error('too many open files'), { code: 'EMFILE' }))
          : open(...at);
      const wal = await FileWal.open(root, { ...options, open: scarce });
      const isRefused = (error: unknown) => isDbError(error, 'resource-exhausted');
      const taken: Uint8Array[] = [];
      for (let n = 0; n < 40; n++) {
        const bytes = new Uint8Array(40).fill(n);
        await append(wal, n).durable.then(
          () => taken.push(bytes),
          (error: unknown) => assert.ok(isRefused(error)),
        );
        if (n === 30) isExhausted = false;
      }
      assert.ok(taken.length < 40 && taken.length > (when === 1 ? 5 : 10));
      await wal.close();
      const again = await FileWal.open(root, options);
      const found = await replayed(again);
      assert.equal(found.length, taken.length);
      await again.close();
    },
  );

inDirectory('a log file that cannot be read is named by the replay', async (root) => {
  const wal = await FileWal.open(root, options);
  await append(wal, 1).durable;
  await wal.close();
  const again = await FileWal.open(root, options);
  await rm(join(root, '1.log'));
  await mkdir(join(root, '1.log'));
  await assert.rejects(
    replayed(again),
    (error) => isDbError(error, 'storage-failed') && /^log in .*EISDIR/.test(error.message),
  );
  await again.close();
});

inDirectory(
  'a quota that is used up refuses what does not fit, like a full disk, and the log goes on',
  async (root) => {
    let isUsedUp = false;
    const quota: typeof open = async (...at) => {
      const handle = await open(...at);
      const writev = handle.writev.bind(handle);
      handle.writev = (async (pieces: Uint8Array[], position?: number) => {
        // As Node 20 tells it.
        const words = 'Unknown system error -122';
        if (isUsedUp) throw Object.assign(new Error(words), { code: words, errno: -constants.errno.EDQUOT });
        return await writev(pieces, position);
      }) as typeof handle.writev;
      return handle;
    };
    const wal = await FileWal.open(root, { ...options, open: quota });
    await append(wal, 1).durable;
    isUsedUp = true;
    await assert.rejects(append(wal, 2).durable, (error) => isDbError(error, 'storage-full'));
    isUsedUp = false;
    await append(wal, 3).durable;
    await wal.close();
    const again = await FileWal.open(root, options);
    assert.equal((await replayed(again)).length, 2);
    await again.close();
  },
);
