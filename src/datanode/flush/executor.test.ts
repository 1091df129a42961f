import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CollectionId, PartitionId, SegmentId } from '../../model/ids.ts';
import type { SegmentFile } from '../../model/records.ts';
import { inlineWorkers } from '../../support/inline-workers.ts';
import type { Workers } from '../../support/workers.ts';
import type { FlushWork, NodeProgress } from '../api.ts';
import { flushExecutor } from './executor.ts';

const work: FlushWork = {
  kind: 'flush',
  place: { collectionId: 1n as CollectionId, partitionId: 2n as PartitionId, segmentId: 3n as SegmentId },
  level: 'L1',
  schema: { description: '', fields: [], enableDynamicField: false, version: 1 },
  positions: [{ file: 0, offset: 8, length: 16 }],
};
const files: readonly SegmentFile[] = [
  { kind: 'rows', key: 'rows', sizeBytes: 30, crc32: 1, etag: '' },
  { kind: 'stats', key: 'stats', sizeBytes: 12, crc32: 2, etag: '' },
];

test('a flush runs as a worker task over the log positions and reports bytes and files', async () => {
  const seen: NodeProgress[] = [];
  const workers: Workers = {
    run: (task, input) => {
      const { kind: _, ...expected } = work;
      assert.deepEqual([task, input], ['flush-segment', expected]);
      return Promise.resolve({ files, rowCount: 7 } as never);
    },
    close: () => Promise.resolve(),
  };
  const context = { signal: new AbortController().signal, progress: (done: NodeProgress) => seen.push(done) };
  assert.deepEqual(await flushExecutor(workers)(work, context), { kind: 'flush', files, rowCount: 7 });
  assert.deepEqual(seen, [{ bytes: 42, files: 2 }]);
});

test('an attempt that was dropped meanwhile has no result', async () => {
  const stop = new AbortController();
  const workers = inlineWorkers({
    'flush-segment': () => {
      stop.abort();
      return Promise.resolve({ output: { files, rowCount: 7 }, transfer: [] });
    },
  });
  await assert.rejects(
    flushExecutor(workers)(work, { signal: stop.signal, progress: () => assert.fail('no progress') }),
    (error) => error instanceof Error && error.name === 'AbortError',
  );
});
