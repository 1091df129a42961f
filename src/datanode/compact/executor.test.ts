import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { HybridTime } from '../../model/hybrid-time.ts';
import type { CollectionId, PartitionId, SegmentId } from '../../model/ids.ts';
import type { SegmentFile } from '../../model/records.ts';
import { inlineWorkers } from '../../support/inline-workers.ts';
import type { Workers } from '../../support/workers.ts';
import type { CompactDeletesWork, CompactWork, NodeProgress } from '../api.ts';
import { compactDeletesExecutor, compactExecutor } from './executor.ts';

const place = {
  collectionId: 1n as CollectionId,
  partitionId: 2n as PartitionId,
  segmentId: 3n as SegmentId,
};
const compact: CompactWork = {
  kind: 'compact',
  place,
  schema: { description: '', fields: [], enableDynamicField: false, version: 1 },
  sources: [],
  deletes: [],
  minKilled: 5,
};
const deletes: CompactDeletesWork = { kind: 'compact-deletes', place, sources: [] };
const segment = {
  files: [
    { kind: 'rows', key: 'rows', sizeBytes: 30, crc32: 1, etag: '' },
    { kind: 'stats', key: 'stats', sizeBytes: 12, crc32: 2, etag: '' },
  ] satisfies SegmentFile[],
  rowCount: 7,
  minTs: 1n as HybridTime,
  maxTs: 2n as HybridTime,
};

function answering(expected: readonly unknown[], output: unknown) {
  const seen: NodeProgress[] = [];
  const workers: Workers = {
    run: (task, input) => {
      assert.deepEqual([task, input], expected);
      return Promise.resolve(output as never);
    },
    close: () => Promise.resolve(),
  };
  const context = { signal: new AbortController().signal, progress: (done: NodeProgress) => seen.push(done) };
  return { workers, context, seen };
}

test('a compaction runs as a worker task over its sources and reports bytes and files', async () => {
  const { kind: _, ...input } = compact;
  const { workers, context, seen } = answering(['compact-segments', input], { killed: 9, segment });
  const output = await compactExecutor(workers)(compact, context);
  assert.deepEqual(output, { kind: 'compact', killed: 9, segment });
  assert.deepEqual(seen, [{ bytes: 42, files: 2 }]);
});

test('a compaction that writes nothing reports no bytes and no files', async () => {
  const { kind: _, ...input } = compact;
  const { workers, context, seen } = answering(['compact-segments', input], { killed: 4 });
  assert.deepEqual(await compactExecutor(workers)(compact, context), { kind: 'compact', killed: 4 });
  assert.deepEqual(seen, [{ bytes: 0, files: 0 }]);
});

test('a compaction of deletes runs as a worker task and reports bytes and files', async () => {
  const { kind: _, ...input } = deletes;
  const { workers, context, seen } = answering(['compact-deletes', input], { segment });
  const output = await compactDeletesExecutor(workers)(deletes, context);
  assert.deepEqual(output, { kind: 'compact-deletes', segment });
  assert.deepEqual(seen, [{ bytes: 42, files: 2 }]);
});

test('a compaction that was dropped meanwhile has no result', async () => {
  for (const task of ['compact-segments', 'compact-deletes']) {
    const stop = new AbortController();
    const workers = inlineWorkers({
      [task]: () => {
        stop.abort();
        return Promise.resolve({ output: { killed: 0, segment }, transfer: [] });
      },
    });
    const context = { signal: stop.signal, progress: () => assert.fail('no progress') };
    await assert.rejects(
      task === 'compact-segments'
        ? compactExecutor(workers)(compact, context)
        : compactDeletesExecutor(workers)(deletes, context),
      (error) => error instanceof Error && error.name === 'AbortError',
    );
  }
});
