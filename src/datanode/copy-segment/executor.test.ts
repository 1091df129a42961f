import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock, settle } from '../../../tests/heart/manual-clock.ts';
import { DbError, isDbError } from '../../errors/db-error.ts';
import type {
  BuildId,
  CollectionId,
  FieldId,
  IndexId,
  JobId,
  PartitionId,
  SegmentId,
} from '../../model/ids.ts';
import type { SegmentFile } from '../../model/records.ts';
import { indexKey, rowsKey, statsKey } from '../../storage/keys.ts';
import { MemoryStore } from '../../storage/memory.ts';
import type { CopyOptions, CopyResult } from '../../storage/object-store.ts';
import type { CopySegmentWork, SegmentPlace } from '../api.ts';
import { Bandwidth } from './bandwidth.ts';
import { copySegmentExecutor } from './executor.ts';
import { targetKey } from './key-map.ts';

const place = (collection: bigint, segment: bigint): SegmentPlace => ({
  collectionId: collection as CollectionId,
  partitionId: (collection + 1n) as PartitionId,
  segmentId: segment as SegmentId,
});
const field = 101 as FieldId;
const [oldBuild, newBuild] = [7n as BuildId, 8n as BuildId];

async function world() {
  const store = new MemoryStore(() => 0);
  const from = place(1n, 10n);
  const write = async (kind: SegmentFile['kind'], key: string, text: string): Promise<SegmentFile> => {
    const bytes = new TextEncoder().encode(text);
    return { kind, key, sizeBytes: bytes.length, ...(await store.put(key, bytes)) };
  };
  const files = [await write('rows', rowsKey(from), 'rows'), await write('stats', statsKey(from), 'st')];
  const index = await write('index', indexKey(from, field, oldBuild), 'graph');
  const work: CopySegmentWork = {
    kind: 'copy-segment',
    jobId: 1n as JobId,
    mode: 'shared',
    sources: [
      {
        place: from,
        files,
        indexes: [{ indexId: 3n as IndexId, buildId: oldBuild, fieldId: field, kind: 'HNSW', file: index }],
      },
    ],
    targets: [{ place: place(2n, 20n), newBuildIds: new Map([[oldBuild, newBuild]]) }],
  };
  return { store, work, execute: copySegmentExecutor(store, { filesAtOnce: 2 }) };
}

const context = (signal = new AbortController().signal) => {
  const seen: { bytes: number; files: number }[] = [];
  return { signal, seen, progress: (done: { bytes: number; files: number }) => seen.push(done) };
};

test('every file of a segment arrives under the target with fresh build ids, and progress counts it once', async () => {
  const { store, work, execute } = await world();
  const at = context();
  const output = await execute(work, at);
  const target = place(2n, 20n);
  assert.deepEqual(
    output.segments[0]?.files.map((f) => f.key),
    [rowsKey(target), statsKey(target)],
  );
  const [index] = output.segments[0]?.indexes ?? [];
  assert.deepEqual([index?.buildId, index?.file.key], [newBuild, indexKey(target, field, newBuild)]);
  assert.equal(new TextDecoder().decode(await store.get(indexKey(target, field, newBuild))), 'graph');
  assert.deepEqual(at.seen.at(-1), { bytes: 11, files: 3 });
  const again = await execute(work, context());
  assert.deepEqual(again.bytesByMethod, { present: 11 });
});

test('a missing or damaged object fails the task for good and is named', async () => {
  for (const [damage, code] of [
    [(store: MemoryStore, key: string) => store.delete(key), 'object-not-found'],
    [(store: MemoryStore, key: string) => store.put(key, new Uint8Array(2)), 'data-integrity'],
  ] as const) {
    const { store, work, execute } = await world();
    const key = statsKey(place(1n, 10n));
    await damage(store, key);
    await assert.rejects(
      execute(work, context()),
      (error) => isDbError(error, code) && error.message.includes(key),
    );
  }
});

test('an aborted attempt stops and leaves what it wrote', async () => {
  const { store, work, execute } = await world();
  const abort = new AbortController();
  const stopping = { signal: abort.signal, progress: () => abort.abort(new DbError('cancelled', 'stop')) };
  const oneByOne = copySegmentExecutor(store, { filesAtOnce: 1 });
  await assert.rejects(oneByOne(work, stopping), (error) => isDbError(error, 'cancelled'));
  assert.notEqual(await store.stat(rowsKey(place(2n, 20n))), undefined);
  assert.equal(await store.stat(statsKey(place(2n, 20n))), undefined);
  assert.equal((await execute(work, context())).bytesByMethod['present'], 4);
});

test('copies of all tasks together hold no more files than the node allows, and one task no more than its own limit', async () => {
  for (const [limits, expected] of [
    [{ filesAtOnce: 2, nodeFilesAtOnce: 3 }, 3],
    [{ filesAtOnce: 1, nodeFilesAtOnce: 8 }, 2],
  ] as const) {
    const { store, work } = await world();
    const copy = store.copy.bind(store);
    let [now, most] = [0, 0];
    store.copy = async (...args) => {
      most = Math.max(most, ++now);
      await settle(3);
      now--;
      return copy(...args);
    };
    const execute = copySegmentExecutor(store, limits);
    const second = { ...work, targets: work.targets.map((to) => ({ ...to, place: place(2n, 21n) })) };
    await Promise.all([execute(work, context()), execute(second, context())]);
    assert.equal(most, expected);
  }
});

/** A store whose physical copies move one window after another, as the local one's do. */
class StreamingStore extends MemoryStore {
  readonly moved: { readonly atMs: number; readonly bytes: number }[] = [];
  readonly #clock: ManualClock;
  constructor(clock: ManualClock) {
    super(() => clock.nowMs());
    this.#clock = clock;
  }
  override async copy(from: string, to: string, options: CopyOptions): Promise<CopyResult> {
    const { pace, mode, sizeBytes } = options;
    if (mode === 'physical' && pace !== undefined)
      for (let left = sizeBytes; left > 0; left -= pace.windowBytes) {
        const bytes = Math.min(left, pace.windowBytes);
        await pace.take(bytes);
        this.moved.push({ atMs: this.#clock.nowMs(), bytes });
      }
    return super.copy(from, to, options);
  }
}

const MB = 2 ** 20;

/** Two physical copies of 6 MB each, into `collection`. */
async function physicalCopies(store: MemoryStore) {
  const sources = await Promise.all(
    [10n, 11n].map(async (segment) => {
      const key = rowsKey(place(1n, segment));
      const bytes = new Uint8Array(6 * MB);
      return { kind: 'rows' as const, key, sizeBytes: bytes.length, ...(await store.put(key, bytes)) };
    }),
  );
  return (collection: bigint, mode: CopySegmentWork['mode'] = 'physical') =>
    sources.map(
      (file, i): CopySegmentWork => ({
        kind: 'copy-segment',
        jobId: 1n as JobId,
        mode,
        sources: [{ place: place(1n, BigInt(10 + i)), files: [file], indexes: [] }],
        targets: [{ place: place(collection, BigInt(20 + i)), newBuildIds: new Map() }],
      }),
    );
}

test('a bandwidth limit holds over every second and all tasks of a node; links cost nothing, an aborted copy does not wait', async () => {
  const clock = new ManualClock();
  const store = new StreamingStore(clock);
  const execute = copySegmentExecutor(store, { filesAtOnce: 3, bandwidth: new Bandwidth(4 * MB, clock) });
  const into = await physicalCopies(store);
  const startedMs = clock.nowMs();
  const running = Promise.all(into(2n).map((work) => execute(work, context())));
  await settle();
  await clock.advance(4000);
  await running;
  const sum = (moved: StreamingStore['moved']) => moved.reduce((all, { bytes }) => all + bytes, 0);
  assert.equal(sum(store.moved), 12 * MB);
  for (const { atMs } of store.moved) {
    const bytes = sum(store.moved.filter((one) => one.atMs >= atMs && one.atMs < atMs + 1000));
    assert.ok(bytes <= 4 * MB * 1.2, `${bytes} bytes within a second`);
  }
  const tookMs = store.moved.at(-1)!.atMs - startedMs;
  assert.ok(tookMs >= 2400 && tookMs <= 3600, `12 MB at 4 MB/s took ${tookMs} ms`);
  const beforeMs = clock.nowMs();
  for (const work of into(3n, 'shared')) await execute(work, context());
  const abort = new AbortController();
  const aborted = execute(into(4n)[0]!, context(abort.signal));
  const stopped = assert.rejects(aborted, (error) => isDbError(error, 'cancelled'));
  await settle();
  abort.abort(new DbError('cancelled', 'stop'));
  await stopped;
  assert.equal(clock.nowMs(), beforeMs);
});

test('a clock that is set back does not stop a node that is held to a bandwidth', async () => {
  const clock = new ManualClock();
  const pace = new Bandwidth(MB, clock).paceFor(new AbortController().signal);
  await pace.take(2 ** 16);
  await clock.jump(-3_600_000);
  let isDone = false;
  const taken = pace.take(2 ** 16).then(() => {
    isDone = true;
  });
  await settle();
  await clock.advance(200);
  assert.equal(isDone, true);
  await taken;
});

test('a key that does not lie under the source segment is refused', async () => {
  const [from, to] = [place(1n, 10n), place(2n, 20n)];
  assert.equal(targetKey('segments/1/2/10/a/b.bin', from, to), 'segments/2/3/20/a/b.bin');
  for (const key of [
    'segments/1/2/100/rows.parquet',
    'segments/1/2/10/',
    'segments/1/2/10/../11/rows.parquet',
    'segments/1/2/10/..',
    'segments/1/2/10/a//b',
    'other',
    '',
  ])
    assert.throws(
      () => targetKey(key, from, to),
      (error) => isDbError(error, 'data-integrity'),
      key,
    );
  const { work, execute } = await world();
  await assert.rejects(execute({ ...work, targets: [] }, context()));
  await assert.rejects(execute({ ...work, targets: [{ place: to, newBuildIds: new Map() }] }, context()));
});
