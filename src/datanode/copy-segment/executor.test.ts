import assert from 'node:assert/strict';
import { test } from 'node:test';
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
import type { CopySegmentWork, SegmentPlace } from '../api.ts';
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
