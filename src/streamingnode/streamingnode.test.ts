import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { bytesColumn } from '../../tests/arbitrary-rows.ts';
import { DbError, isDbError } from '../errors/db-error.ts';
import { type HybridTime, hybridTime } from '../model/hybrid-time.ts';
import {
  ALL_PARTITIONS,
  type CollectionId,
  type FieldId,
  type PartitionId,
  type SegmentId,
} from '../model/ids.ts';
import type { RowBatch } from '../model/rows.ts';
import { MemoryWal, type MemoryWalOptions } from '../wal/memory.ts';
import type { AppliedWrite, LogSegment, SegmentOpener, WritePart } from './api.ts';
import { LogStreamingNode } from './streamingnode.ts';

const collectionId = 1n as CollectionId;
const p1 = 11n as PartitionId;
const p2 = 12n as PartitionId;

const rows = (...ids: number[]): RowBatch => ({
  rowCount: ids.length,
  columns: new Map<FieldId, RowBatch['columns'] extends ReadonlyMap<FieldId, infer C> ? C : never>([
    [100 as FieldId, { layout: 'fixed', type: 'Int64', values: BigInt64Array.from(ids.map(BigInt)) }],
    [
      101 as FieldId,
      bytesColumn(
        'VarChar',
        ids.map((id) => `row ${id}`),
      ),
    ],
  ]),
});
const insert = (id: number, partitionId = p1, channel = 'c0'): WritePart => ({
  kind: 'insert',
  channel,
  partitionId,
  rows: rows(id),
});
const remove = (id: number, partitionId = p1, channel = 'c0'): WritePart => ({
  kind: 'delete',
  channel,
  partitionId,
  keys: { type: 'Int64', values: BigInt64Array.of(BigInt(id)) },
});

const idOf = (part: WritePart): number => {
  if (part.kind === 'delete') return -Number((part.keys.values as BigInt64Array)[0]);
  const column = part.rows.columns.get(100 as FieldId)!;
  return Number(column.layout === 'fixed' ? column.values[0] : Number.NaN);
};

class Time {
  last = hybridTime(1000);
  next(): HybridTime {
    this.last = (this.last + 1n) as HybridTime;
    return this.last;
  }
  observe(ts: bigint): void {
    if (ts > this.last) this.last = ts as HybridTime;
  }
}

class Opener implements SegmentOpener {
  readonly opened = new Map<SegmentId, string>();
  readonly #before: () => Promise<void>;
  static next = 500n;
  constructor(before: () => Promise<void> = () => Promise.resolve()) {
    this.#before = before;
  }
  async open(
    ...[collection, partition, channel, level]: Parameters<SegmentOpener['open']>
  ): Promise<SegmentId> {
    await this.#before();
    const id = Opener.next++ as SegmentId;
    this.opened.set(id, `${collection}/${partition}/${channel}/${level}`);
    return id;
  }
}

const clock = {
  nowMs: () => 5000,
  monotonicMs: () => 5000,
  sleep: () => Promise.reject(new Error('no sleeping here')),
};

interface SetUp {
  readonly wal?: MemoryWal;
  readonly opener?: SegmentOpener;
  readonly maxInFlightBytes?: number;
  readonly options?: MemoryWalOptions;
}
function setUp({ wal, opener, maxInFlightBytes, options }: SetUp = {}) {
  const log = wal ?? new MemoryWal(options);
  const made = opener ?? new Opener();
  const time = new Time();
  const node = new LogStreamingNode({
    wal: log,
    opener: made,
    time,
    clock,
    ...(maxInFlightBytes === undefined ? {} : { maxInFlightBytes }),
  });
  return { node, wal: log, opener: made as Opener, time };
}

/** Ids of inserts, negative ones of deletes, that stand in a segment. */
async function contentOf(node: LogStreamingNode, segment: LogSegment): Promise<number[]> {
  const writes = await node.read(segment.positions);
  return writes.flatMap((write) =>
    write.parts.filter((_, i) => write.segmentIds[i] === segment.segmentId).map(idOf),
  );
}
const settle = async () => {
  for (let i = 0; i < 20; i++) await Promise.resolve();
};
const fails = (work: Promise<unknown>, code: DbError['code']) =>
  assert.rejects(work, (error) => isDbError(error, code));

test('a write stands in one log record, in one segment per channel, partition and level', async () => {
  const { node, opener } = setUp();
  await node.write(collectionId, [insert(1), remove(1), insert(2, p2), insert(3, p1, 'c1')]);
  await node.write(collectionId, [insert(4), remove(4, ALL_PARTITIONS)]);
  const { segments, sealTs } = await node.seal(collectionId);
  const found = await Promise.all(
    segments.map(async (s) => [opener.opened.get(s.segmentId), await contentOf(node, s), s.positions.length]),
  );
  assert.deepEqual(found.sort(), [
    ['1/-1/c0/L0', [-4], 1],
    ['1/11/c0/L0', [-1], 1],
    ['1/11/c0/L1', [1, 4], 2],
    ['1/11/c1/L1', [3], 1],
    ['1/12/c0/L1', [2], 1],
  ]);
  assert.ok(segments.every((s) => s.sealed && s.maxTs <= sealTs && s.sizeBytes > 0 && s.openedAtMs === 5000));
});

test('two parts for the same segment are in one record that is listed once', async () => {
  const { node } = setUp();
  await node.write(collectionId, [insert(1), insert(2)]);
  const [segment] = node.segments();
  assert.equal(segment?.rowCount, 2);
  assert.equal(segment?.positions.length, 1);
  assert.deepEqual(await contentOf(node, segment!), [1, 2]);
});

test('a write without rows takes a timestamp and opens nothing', async () => {
  const { node, opener } = setUp();
  const first = await node.write(collectionId, []);
  const none = { type: 'Int64' as const, values: new BigInt64Array() };
  const second = await node.write(collectionId, [
    { kind: 'insert', channel: 'c0', partitionId: p1, rows: { rowCount: 0, columns: new Map() } },
    { kind: 'delete', channel: 'c0', partitionId: p1, keys: none },
  ]);
  assert.ok(second > first);
  assert.equal(opener.opened.size, 0);
});

test('a write without rows, of which the log knows nothing, answers a timestamp that a restart will not give again', async () => {
  const told = 77n as HybridTime;
  const timestamps = { next: () => Promise.resolve(told) };
  const node = new LogStreamingNode({
    wal: new MemoryWal(),
    opener: new Opener(),
    time: new Time(),
    timestamps,
    clock,
  });
  assert.equal(await node.write(collectionId, []), told);
});

test('a write too large for one log record is refused before it takes a place', async () => {
  const { node, opener } = setUp();
  const values = new Float32Array(new SharedArrayBuffer(0));
  Object.defineProperty(values, 'byteLength', { value: 600 << 20 });
  const columns = new Map([
    [100 as FieldId, { layout: 'vector' as const, type: 'FloatVector' as const, dim: 1, values }],
  ]);
  const part: WritePart = { kind: 'insert', channel: 'c0', partitionId: p1, rows: { rowCount: 1, columns } };
  await fails(node.write(collectionId, [part]), 'parameter-too-large');
  assert.equal(opener.opened.size, 0);
});

test('followers see a write once it is durable and before it is acknowledged', async () => {
  const { node, wal } = setUp({ options: { sync: 'manual' } });
  const events: string[] = [];
  node.follow(collectionId, { applied: (w) => events.push(`applied ${w.parts.map(idOf)}`) });
  const writing = node.write(collectionId, [insert(1)]).then(() => events.push('acknowledged'));
  await settle();
  assert.deepEqual(events, []);
  assert.equal(node.segments()[0]?.rowCount, 0);
  wal.sync();
  await writing;
  assert.deepEqual(events, ['applied 1', 'acknowledged']);
});

test('a follower with too much before it holds back the answers of writes and nothing else', async () => {
  const { node } = setUp();
  const events: string[] = [];
  let free: () => void = () => undefined;
  const backlog = new Promise<void>((resolve) => {
    free = resolve;
  });
  node.follow(collectionId, {
    applied: (w) => events.push(`applied ${w.parts.map(idOf)}`),
    backlog: () => (events.length > 1 ? undefined : backlog),
  });
  const first = node.write(collectionId, [insert(1)]).then(() => events.push('acknowledged 1'));
  const second = node.write(collectionId, [insert(2)]).then(() => events.push('acknowledged 2'));
  await second;
  await node.seal(collectionId);
  assert.deepEqual(events, ['applied 1', 'applied 2', 'acknowledged 2']);
  free();
  await first;
  assert.equal(events.at(-1), 'acknowledged 1');
});

test('a new follower gets in the segments what was applied and by calls what was not', async () => {
  const { node, wal } = setUp({ options: { sync: 'manual' } });
  const before = node.write(collectionId, [insert(1)]);
  await settle();
  wal.sync();
  await before;
  const during = node.write(collectionId, [insert(2)]);
  await settle();
  const seen: number[] = [];
  const following = node.follow(collectionId, { applied: (w) => seen.push(...w.parts.map(idOf)) });
  assert.deepEqual(await contentOf(node, following.segments[0]!), [1]);
  wal.sync();
  await during;
  const after = node.write(collectionId, [insert(3)]);
  await settle();
  wal.sync();
  await after;
  following.stop();
  const unseen = node.write(collectionId, [insert(4)]);
  await settle();
  wal.sync();
  await unseen;
  assert.deepEqual(seen, [2, 3]);
});

test('a seal forgets segments that never got a row, and names them', async () => {
  let isOpen = false;
  const opener = new Opener(async () => {
    if (isOpen) throw new DbError('storage-failed', 'no more segments');
    isOpen = true;
  });
  const { node } = setUp({ opener });
  await fails(node.write(collectionId, [insert(1), insert(2, p2)]), 'storage-failed');
  assert.equal(node.segments().length, 1);
  const { segments, empty } = await node.seal(collectionId);
  assert.deepEqual([segments, empty], [[], [...opener.opened.keys()]]);
  assert.deepEqual(node.segments(), []);
});

test('a seal can be of one partition or one segment, and tells of what earlier seals left', async () => {
  const { node } = setUp();
  await node.write(collectionId, [insert(1), insert(2, p2)]);
  await node.write(2n as CollectionId, [insert(9)]);
  const first = await node.seal(collectionId, { partitionId: p1 });
  assert.deepEqual(
    first.segments.map((s) => s.partitionId),
    [p1],
  );
  await node.write(collectionId, [insert(3)]);
  const third = node
    .segments()
    .find((s) => !s.sealed && s.partitionId === p1 && s.collectionId === collectionId)!;
  const second = await node.seal(collectionId, { segmentId: third.segmentId });
  assert.deepEqual(
    second.segments.map((s) => s.segmentId),
    [third.segmentId],
  );
  const all = await node.seal(collectionId);
  assert.equal(all.segments.length, 3);
  await node.release(all.segments.map((s) => s.segmentId));
  assert.deepEqual((await node.seal(collectionId)).segments, []);
  assert.equal(node.segments().length, 1);
});

test('writes to a dropped partition or collection are refused, and their segments are forgotten', async () => {
  const { node } = setUp();
  await node.write(collectionId, [insert(1), insert(2, p2)]);
  await node.drop(collectionId, p2);
  assert.deepEqual(
    node.segments().map((s) => s.partitionId),
    [p1],
  );
  await fails(node.write(collectionId, [insert(3), insert(3, p2)]), 'collection-not-found');
  await node.write(collectionId, [insert(3), remove(3, ALL_PARTITIONS)]);
  await node.drop(collectionId);
  assert.deepEqual(node.segments(), []);
  await fails(node.write(collectionId, [insert(4)]), 'collection-not-found');
});

test('a collection dropped while a write waits for its segment gets nothing', async () => {
  let open = () => {};
  const opener = new Opener(() => new Promise((resolve) => (open = resolve)));
  const { node } = setUp({ opener });
  const writing = node.write(collectionId, [insert(1)]);
  await settle();
  await node.drop(collectionId);
  open();
  await fails(writing, 'collection-not-found');
  assert.deepEqual(node.segments(), []);
});

test('a full disk refuses the writes under way and all later ones until there is space, and shows none of them', async () => {
  const { node, wal } = setUp({ options: { sync: 'manual' } });
  const seen: number[] = [];
  node.follow(collectionId, { applied: (w) => seen.push(...w.parts.map(idOf)) });
  const good = node.write(collectionId, [insert(1)]);
  await settle();
  wal.sync();
  await good;
  const bad = [node.write(collectionId, [insert(2)]), node.write(collectionId, [insert(3, p2)])];
  const refused = bad.map((write) => fails(write, 'storage-full'));
  await settle();
  wal.failAppends('storage-full');
  await Promise.all(refused);
  await fails(node.write(collectionId, [insert(4)]), 'storage-full');
  assert.deepEqual(seen, [1]);
  const { segments, empty } = await node.seal(collectionId);
  assert.deepEqual(await contentOf(node, segments[0]!), [1]);
  assert.deepEqual([segments.length, empty.length], [1, 1]);
  assert.equal(node.failure?.code, 'storage-full');
  wal.freeSpace();
  const again = node.write(collectionId, [insert(5), insert(6, p2)]);
  await settle();
  wal.sync();
  await again;
  assert.equal(node.failure, undefined);
  assert.deepEqual(seen, [1, 5, 6]);
  await wal.close();
  const next = setUp({ wal: wal.reopen() });
  await next.node.recover(() => true);
  const found = await Promise.all(next.node.segments().map((segment) => contentOf(next.node, segment)));
  assert.deepEqual(found.flat().sort(), [1, 5, 6]);
});

test('a log that is broken refuses everything until a restart', async () => {
  const { node, wal } = setUp();
  wal.failAppends('storage-failed');
  await fails(node.write(collectionId, [insert(1)]), 'storage-failed');
  wal.freeSpace();
  await fails(node.write(collectionId, [insert(2)]), 'storage-failed');
  assert.equal(node.failure?.code, 'storage-failed');
});

test('what may have taken part of a write of unknown outcome is not sealed: after a restart the write is there whole', async () => {
  const waits: { resolve: () => void; reject: (error: DbError) => void }[] = [];
  const wal = new MemoryWal();
  const append = wal.append.bind(wal);
  wal.append = (...record) => ({
    position: append(...record).position,
    durable: new Promise<void>((resolve, reject) => waits.push({ resolve, reject })),
  });
  const { node, opener } = setUp({ wal });
  const other = 8n as CollectionId;
  const written = [node.write(collectionId, [insert(1)]), node.write(other, [insert(2)])];
  await settle();
  for (const { resolve } of waits) resolve();
  await Promise.all(written);
  const replacing = fails(node.write(collectionId, [remove(1), insert(3)]), 'storage-failed');
  await settle();
  const sealing = fails(node.seal(collectionId), 'storage-failed');
  waits[2]?.reject(new DbError('storage-failed', 'a sync that failed'));
  await Promise.all([replacing, sealing]);
  await fails(node.seal(collectionId), 'storage-failed');
  assert.equal((await node.seal(other)).segments.length, 1, 'the write was not there');
  await wal.close();
  const again = setUp({ wal: wal.reopen() });
  await again.node.recover((segmentId) => opener.opened.has(segmentId));
  const ofWrite = again.node.segments().filter((segment) => segment.collectionId === collectionId);
  const found = await Promise.all(ofWrite.map((segment) => contentOf(again.node, segment)));
  assert.deepEqual(found.flat().sort(), [-1, 1, 3]);
});

test('a write begun while others are being refused is taken', async () => {
  const waits: { resolve: () => void; reject: (error: DbError) => void }[] = [];
  const wal = new MemoryWal();
  const append = wal.append.bind(wal);
  wal.append = (...record) => ({
    position: append(...record).position,
    durable: new Promise<void>((resolve, reject) => waits.push({ resolve, reject })),
  });
  const { node } = setUp({ wal });
  const seen: number[] = [];
  node.follow(collectionId, { applied: (w) => seen.push(...w.parts.map(idOf)) });
  const first = fails(node.write(collectionId, [insert(1)]), 'storage-full');
  await settle();
  const second = node.write(collectionId, [insert(2)]);
  await settle();
  const sealed = node.seal(collectionId);
  waits[1]?.resolve();
  await settle();
  assert.deepEqual(seen, []);
  waits[0]?.reject(new DbError('storage-full', 'full'));
  await Promise.all([first, second]);
  assert.deepEqual(seen, [2]);
  assert.equal((await sealed).segments[0]?.rowCount, 1);
});

test('bytes under way are bounded: further writes wait', async () => {
  const { node, wal } = setUp({ options: { sync: 'manual' }, maxInFlightBytes: 1 });
  const done: number[] = [];
  const writes = [1, 2, 3].map((id) => node.write(collectionId, [insert(id)]).then(() => done.push(id)));
  for (const expected of [[1], [1, 2], [1, 2, 3]]) {
    await settle();
    wal.sync();
    await settle();
    assert.deepEqual(done, expected);
  }
  await Promise.all(writes);
});

test('released segments let the log go, as far as nothing older is needed', async () => {
  const { node, wal } = setUp({ options: { fileBytes: 400 } });
  await node.write(collectionId, [insert(1, p2)]);
  for (let id = 2; id < 10; id++) await node.write(collectionId, [insert(id)]);
  const { segments } = await node.seal(collectionId);
  assert.equal(wal.fileRange[0], 1);
  const of = (partition: PartitionId) =>
    segments.filter((s) => s.partitionId === partition).map((s) => s.segmentId);
  await node.release(of(p1));
  assert.equal(wal.fileRange[0], 1);
  await node.release(of(p2));
  assert.equal(wal.fileRange[0], wal.currentFile);
});

test('after a crash the log gives back what was acknowledged, as sealed segments the catalog still knows', async () => {
  const first = setUp({ options: { sync: 'manual' } });
  for (let id = 1; id <= 3; id++) {
    const writing = first.node.write(collectionId, [insert(id), remove(id, p2)]);
    await settle();
    first.wal.sync();
    await writing;
  }
  const lost = first.node.write(collectionId, [insert(4)]);
  lost.catch(() => undefined);
  await settle();
  const highest = first.time.last - 1n;
  first.wal.crash({ tear: true });
  const { node, time, wal } = setUp({ wal: first.wal.reopen({ sync: 'auto' }) });
  const known = [...first.opener.opened.entries()]
    .filter(([, name]) => name.endsWith('L1'))
    .map(([id]) => id);
  assert.equal(await node.recover((id) => known.includes(id)), highest);
  assert.ok(time.last >= highest);
  const [segment, ...others] = node.segments();
  assert.deepEqual(others, []);
  assert.ok(segment?.sealed && segment.level === 'L1');
  assert.deepEqual(await contentOf(node, segment), [1, 2, 3]);
  await node.write(collectionId, [insert(5)]);
  const { segments } = await node.seal(collectionId);
  assert.equal(segments.length, 2);
  assert.deepEqual(await Promise.all(segments.map((s) => contentOf(node, s))), [[1, 2, 3], [5]]);
  await wal.close();
});

test('a closed node finishes what is under way and refuses the rest', async () => {
  const { node, wal } = setUp({ options: { sync: 'manual' } });
  const writing = node.write(collectionId, [insert(1)]);
  await settle();
  const closing = node.close();
  wal.sync();
  await Promise.all([writing, closing]);
  await fails(node.write(collectionId, [insert(2)]), 'service-unavailable');
});

const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('write' as const),
      parts: fc.array(fc.nat({ max: 7 }), { minLength: 1, maxLength: 4 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('seal' as const), only: fc.option(fc.constantFrom(p1, p2)) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('follow' as const) }) },
);

type Step = typeof step extends fc.Arbitrary<infer S> ? S : never;

/** A node under a workload, and what everybody was told. */
class Run {
  readonly node: LogStreamingNode;
  readonly acknowledged = new Map<number, HybridTime>();
  readonly partitionOf = new Map<number, PartitionId>();
  readonly seals: { ts: HybridTime; only: PartitionId | null; ids: number[] }[] = [];
  readonly followers: { had: number[]; saw: AppliedWrite[] }[] = [];
  #nextId = 1;

  constructor(node: LogStreamingNode) {
    this.node = node;
  }

  async #write(codes: readonly number[]): Promise<void> {
    const parts = codes.map((code) => {
      const make = code & 4 ? remove : insert;
      return make(this.#nextId++, code & 1 ? p1 : p2, code & 2 ? 'c0' : 'c1');
    });
    const ts = await this.node.write(collectionId, parts);
    for (const part of parts) {
      this.acknowledged.set(idOf(part), ts);
      this.partitionOf.set(idOf(part), part.partitionId);
    }
  }

  async #contents(segments: readonly LogSegment[]): Promise<number[]> {
    return (await Promise.all(segments.map((segment) => contentOf(this.node, segment)))).flat();
  }

  async seal(only: PartitionId | null): Promise<void> {
    const { sealTs, segments } = await this.node.seal(
      collectionId,
      only === null ? {} : { partitionId: only },
    );
    this.seals.push({ ts: sealTs, only, ids: await this.#contents(segments) });
  }

  async #follow(): Promise<void> {
    const saw: AppliedWrite[] = [];
    const { segments } = this.node.follow(collectionId, { applied: (w) => saw.push(w) });
    this.followers.push({ had: await this.#contents(segments), saw });
  }

  async step(now: Step): Promise<void> {
    if (now.kind === 'write') await this.#write(now.parts);
    else if (now.kind === 'seal') await this.seal(now.only);
    else await this.#follow();
  }

  check(): void {
    const everything = [...this.acknowledged.keys()].sort();
    for (const { ts, only, ids } of this.seals)
      assert.deepEqual(
        ids.sort(),
        everything.filter(
          (id) => this.acknowledged.get(id)! <= ts && (only === null || this.partitionOf.get(id) === only),
        ),
      );
    for (const { had, saw } of this.followers) {
      assert.deepEqual([...had, ...saw.flatMap((w) => w.parts.map(idOf))].sort(), everything);
      assert.ok(saw.every((w, i) => i === 0 || w.ts > saw[i - 1]!.ts));
    }
  }
}

test('whatever interleaves, a seal splits all writes exactly, and followers miss and repeat nothing', async () => {
  await fc.assert(
    fc.asyncProperty(fc.scheduler(), fc.array(step, { minLength: 3, maxLength: 25 }), async (s, steps) => {
      const opener = new Opener(() => s.schedule(Promise.resolve(), 'open'));
      const { node, wal } = setUp({ opener, options: { sync: 'manual', fileBytes: 2000 } });
      const run = new Run(node);
      const started = steps.map((now) => s.schedule(Promise.resolve()).then(() => run.step(now)));
      for (let i = 0; i < 400 && s.count() > 0; i++) {
        await s.waitOne();
        if (i % 3 === 0) wal.sync();
      }
      for (let i = 0; i < 50; i++) {
        wal.sync();
        await settle();
        while (s.count() > 0) await s.waitOne();
      }
      await Promise.all(started);
      await run.seal(null);
      assert.equal(run.seals.at(-1)?.ids.length, run.acknowledged.size);
      run.check();
    }),
    { numRuns: 60, seed: 5 },
  );
});
