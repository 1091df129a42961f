import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isDbError } from '../errors/db-error.ts';
import type { HybridTime } from '../model/hybrid-time.ts';
import type { Wal, WalEntry, WalPosition } from './wal.ts';

export interface WalUnderTest {
  /** New files begin at 1000 bytes. */
  readonly wal: Wal;
  /** Closes the log and opens it again, not yet replayed. */
  reopen(): Promise<Wal>;
  /** Flips bits of a durable byte, counted from the start of the record. */
  damage(position: WalPosition, byte: number): Promise<void>;
  /** The newest file loses its last bytes. */
  cutTail(bytes: number): Promise<void>;
  dispose(): Promise<void>;
}

const ts = (n: number): HybridTime => BigInt(n) as HybridTime;
const payloadOf = (n: number, length = 40): Uint8Array => new Uint8Array(length).fill(n);

export async function replayed(wal: Wal): Promise<WalEntry[]> {
  const entries: WalEntry[] = [];
  for await (const { position, ts: at, payload } of wal.replay())
    entries.push({ position, ts: at, payload: new Uint8Array(payload) });
  return entries;
}

/** What every log promises. */
export function walSuite(name: string, open: () => Promise<WalUnderTest>): void {
  const scenario = (sentence: string, run: (under: WalUnderTest) => Promise<void>) =>
    test(`${name}: ${sentence}`, async () => {
      const under = await open();
      try {
        await run(under);
      } finally {
        await under.dispose();
      }
    });
  const appendAll = async (wal: Wal, from: number, to: number, length = 40): Promise<WalPosition[]> => {
    const appended = [];
    for (let n = from; n <= to; n++) appended.push(wal.append(ts(n), [payloadOf(n, length)]));
    await Promise.all(appended.map(({ durable }) => durable));
    return appended.map(({ position }) => position);
  };
  const numbers = (entries: readonly WalEntry[]) => entries.map((entry) => Number(entry.ts));
  const isDamage = (error: unknown) =>
    isDbError(error, 'data-integrity') && /\d+\.log.*offset \d+/.test(error.message);

  scenario('records come back in order, with time and payload, across files and starts', async (under) => {
    assert.deepEqual(await replayed(under.wal), []);
    const positions = await appendAll(under.wal, 1, 40);
    assert.ok(under.wal.currentFile > 1);
    const again = await under.reopen();
    const entries = await replayed(again);
    assert.deepEqual(
      entries,
      positions.map((position, i) => ({ position, ts: ts(i + 1), payload: payloadOf(i + 1) })),
    );
    const [next] = await appendAll(again, 41, 41);
    assert.ok(next!.file >= positions.at(-1)!.file);
    assert.equal((await replayed(await under.reopen())).length, 41);
  });

  scenario('a record is the sum of its pieces, empty ones too, of any size', async ({ wal, reopen }) => {
    const pieces = [
      [new Uint8Array()],
      [payloadOf(1, 3), payloadOf(2, 5000), payloadOf(3, 1)],
      [payloadOf(4, 3 << 20)],
      [payloadOf(5, 7)],
    ];
    const appended = pieces.map((payload, i) => wal.append(ts(i), payload));
    await Promise.all(appended.map(({ durable }) => durable));
    const whole = pieces.map((payload) => new Uint8Array(Buffer.concat(payload)));
    for (const [i, { position }] of appended.entries()) assert.deepEqual(await wal.read(position), whole[i]);
    assert.deepEqual(
      (await replayed(await reopen())).map(({ payload }) => payload),
      whole,
    );
  });

  scenario('a payload that is read starts at a multiple of 8', async ({ wal }) => {
    const [, second] = await appendAll(wal, 1, 2, 13);
    assert.equal((await wal.read(second!)).byteOffset % 8, 0);
  });

  scenario('records become durable in the order of their appends', async ({ wal }) => {
    const order: number[] = [];
    await Promise.all(
      Array.from({ length: 50 }, (_, n) =>
        wal.append(ts(n), [payloadOf(n)]).durable.then(() => order.push(n)),
      ),
    );
    assert.deepEqual(
      order,
      [...order].sort((a, b) => a - b),
    );
  });

  scenario('files before a mark are forgotten, the current one never', async ({ wal, reopen }) => {
    const positions = await appendAll(wal, 1, 60);
    const mark = positions[30]!.file;
    await wal.read(positions[0]!);
    await wal.truncateBefore(mark);
    const kept = positions.filter(({ file }) => file >= mark);
    await assert.rejects(wal.read(positions[0]!), (error) => isDbError(error, 'object-not-found'));
    assert.deepEqual(await wal.read(positions[59]!), payloadOf(60));
    await wal.truncateBefore(1e6);
    await appendAll(wal, 61, 61);
    const again = await reopen();
    const entries = await replayed(again);
    assert.ok(entries.length < kept.length && numbers(entries).at(-1) === 61);
    assert.equal(again.currentFile, entries.at(-1)?.position.file);
  });

  for (const cut of [1, 7, 20, 39, 40, 41, 71])
    scenario(`a record that lost its last ${cut} bytes is cut, and the log goes on`, async (under) => {
      await appendAll(under.wal, 1, 3);
      await under.reopen();
      await under.cutTail(cut);
      const again = await under.reopen();
      assert.deepEqual(numbers(await replayed(again)), [1, 2]);
      await appendAll(again, 9, 10);
      assert.deepEqual(numbers(await replayed(await under.reopen())), [1, 2, 9, 10]);
    });

  scenario(
    'a damaged record with durable ones behind it is an error that names file and offset',
    async (under) => {
      const positions = await appendAll(under.wal, 1, 5);
      await appendAll(under.wal, 6, 7);
      for (const byte of [0, 9, 17, 25, 35]) {
        await under.damage(positions[2]!, byte);
        const again = await under.reopen();
        await assert.rejects(again.read(positions[2]!), isDamage);
        await assert.rejects(replayed(again), isDamage);
        await under.damage(positions[2]!, byte);
      }
      assert.equal((await replayed(await under.reopen())).length, 7);
    },
  );

  scenario('the end of a file that is not the last is never taken for torn', async (under) => {
    const positions = await appendAll(under.wal, 1, 40);
    const last = positions.findLast(({ file }) => file === 1)!;
    await under.damage(last, 40);
    await assert.rejects(replayed(await under.reopen()), isDamage);
  });

  scenario('a payload that looks like records is no record', async (under) => {
    const [first] = await appendAll(under.wal, 1, 1);
    const image = new Uint8Array(200).fill(0);
    const record = new Uint8Array(Buffer.concat([payloadOf(0, 8), await under.wal.read(first!)]));
    image.set(record);
    await under.wal.append(ts(2), [image]).durable;
    await under.reopen();
    await under.cutTail(50);
    assert.deepEqual(numbers(await replayed(await under.reopen())), [1]);
  });

  scenario('a closed log takes no records and gives none', async ({ wal, reopen }) => {
    await reopen();
    const { durable } = wal.append(ts(1), [payloadOf(1)]);
    const isClosed = (error: unknown) => isDbError(error, 'service-unavailable');
    await assert.rejects(durable, isClosed);
    await assert.rejects(wal.read({ file: 1, offset: 32, length: 72 }), isClosed);
  });
}
