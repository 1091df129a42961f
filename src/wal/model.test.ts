import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm, stat, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { write } from '../../tests/arbitrary-rows.ts';
import { isDbError } from '../errors/db-error.ts';
import type { HybridTime } from '../model/hybrid-time.ts';
import { seededRandom } from '../support/random.ts';
import { FileWal } from './file.ts';
import {
  encodeFileHeader,
  encodeRecordHeader,
  FILE_HEADER_BYTES,
  type FrameSource,
  paddedLength,
  scanRecords,
} from './frame.ts';
import { decodeWrite, encodeWrite } from './message.ts';

const SALT = 77n;

/** One file, and where each record ends, padding not counted. `isSynced(n)`: record `n` was durable when the next one was written. */
function fileOf(payloads: readonly Uint8Array[], isSynced: (n: number) => boolean) {
  const ends: number[] = [];
  let bytes: Buffer = Buffer.from(encodeFileHeader(1, SALT));
  let durableBytes = FILE_HEADER_BYTES;
  for (const [n, payload] of payloads.entries()) {
    const head = encodeRecordHeader(BigInt(n) as HybridTime, [payload], {
      offset: bytes.length,
      salt: SALT,
      durableBytes,
    });
    const end = bytes.length + head.length + payload.length;
    ends.push(end);
    bytes = Buffer.concat([bytes, head, payload, Buffer.alloc(paddedLength(end) - end)]);
    if (isSynced(n)) durableBytes = bytes.length;
  }
  return { bytes, ends };
}

async function scanned(bytes: Uint8Array, isLast = true): Promise<Uint8Array[]> {
  const source: FrameSource = {
    name: '1.log',
    size: bytes.length,
    read: (offset, length) => {
      assert.ok(offset + length <= bytes.length, 'read outside');
      return Promise.resolve(new Uint8Array(bytes.slice(offset, offset + length)));
    },
  };
  const found: Uint8Array[] = [];
  for await (const { payload } of scanRecords(source, SALT, isLast)) found.push(new Uint8Array(payload));
  return found;
}

const isDamage = (error: unknown) => isDbError(error, 'data-integrity');
const payloads = fc.array(fc.uint8Array({ maxLength: 90 }), { maxLength: 8 });

test('a log torn at any byte holds the records before it and nothing else; in a file that is not the last it is damage', async () => {
  await fc.assert(
    fc.asyncProperty(payloads, async (all) => {
      const { bytes, ends } = fileOf(all, () => true);
      for (let length = FILE_HEADER_BYTES; length <= bytes.length; length++) {
        const whole = ends.filter((end) => end <= length).length;
        assert.deepEqual(await scanned(bytes.subarray(0, length)), all.slice(0, whole), `${length} bytes`);
        const isTorn =
          length !== FILE_HEADER_BYTES && !ends.some((end) => length >= end && length <= paddedLength(end));
        if (isTorn) await assert.rejects(scanned(bytes.subarray(0, length), false), isDamage);
      }
    }),
    { seed: 1, numRuns: 6 },
  );
});

test('one changed byte of a log is damage where a later record says that it was durable, and the torn end otherwise', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.uint8Array({ maxLength: 60 }), { minLength: 1, maxLength: 6 }),
      fc.array(fc.boolean(), { minLength: 6, maxLength: 6 }),
      fc.nat(10_000),
      fc.integer({ min: 1, max: 255 }),
      async (all, synced, where, flip) => {
        const { bytes, ends } = fileOf(all, (n) => synced[n] === true);
        const at = FILE_HEADER_BYTES + (where % (bytes.length - FILE_HEADER_BYTES));
        bytes[at] = (bytes[at] ?? 0) ^ flip;
        const hit = ends.findIndex((end) => at < paddedLength(end));
        if (at >= (ends[hit] ?? 0)) {
          // Padding says nothing.
          assert.deepEqual(await scanned(bytes), all);
          return;
        }
        // Some record behind was written when the damaged one was durable.
        const wasDurable = all.some((_, n) => n > hit && synced.slice(hit, n).includes(true));
        const found = await scanned(bytes).catch((error: unknown) => {
          assert.ok(isDamage(error), String(error));
          return 'damage' as const;
        });
        assert.deepEqual(found, wasDurable ? 'damage' : all.slice(0, hit));
      },
    ),
    { seed: 2, numRuns: 300 },
  );
});

test('any writes, in files of any size, come back in order; the last file cut at any place gives a prefix, which can be gone on with', async () => {
  const some = fc.array(write, { minLength: 1, maxLength: 8 });
  await fc.assert(
    fc.asyncProperty(
      some,
      fc.constantFrom(100, 400, 2000),
      fc.nat(1000),
      some,
      async (first, fileBytes, cut, second) => {
        const root = await mkdtemp(join(tmpdir(), 'tidemark-wal-'));
        try {
          const options = { random: seededRandom(cut), fileBytes };
          const append = async (wal: FileWal, of: typeof first) => {
            await Promise.all(
              of.map((each, n) => wal.append(BigInt(n) as HybridTime, encodeWrite(each)).durable),
            );
            await wal.close();
          };
          const read = async () => {
            const wal = await FileWal.open(root, options);
            const found = [];
            for await (const { payload } of wal.replay()) found.push(decodeWrite(new Uint8Array(payload)));
            return { wal, found };
          };
          const opened = await FileWal.open(root, options);
          await append(opened, first);
          const { wal, found } = await read();
          assert.deepEqual(found, first);
          await wal.close();
          const newest = Math.max(...(await readdir(root)).map((name) => Number.parseInt(name, 10)));
          const path = join(root, `${newest}.log`);
          const { size } = await stat(path);
          await truncate(path, FILE_HEADER_BYTES + (cut % (size - FILE_HEADER_BYTES + 1)));
          const torn = await read();
          assert.deepEqual(torn.found, first.slice(0, torn.found.length));
          await append(torn.wal, second);
          const last = await read();
          assert.deepEqual(last.found, [...torn.found, ...second]);
          await last.wal.close();
        } finally {
          await rm(root, { recursive: true });
        }
      },
    ),
    { seed: 3, numRuns: 8 },
  );
});
