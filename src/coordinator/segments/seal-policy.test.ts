import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hybridTime } from '../../model/hybrid-time.ts';
import type { CollectionId, PartitionId, SegmentId } from '../../model/ids.ts';
import type { LogSegment } from '../../streamingnode/api.ts';
import { type SealLimits, segmentsToSeal } from './seal-policy.ts';

const nowMs = 1_000_000;
const limits: SealLimits = {
  maxSizeBytes: 1000,
  maxLifeMs: 60_000,
  maxIdleMs: 10_000,
  minIdleSizeBytes: 100,
  maxLogFiles: 3,
  maxGrowingBytes: 2500,
};
let nextId = 1n;
const segment = (
  more: Partial<LogSegment> & { readonly lastMs?: number; readonly files?: readonly number[] },
) => ({
  segmentId: nextId++ as SegmentId,
  collectionId: 1n as CollectionId,
  partitionId: 2n as PartitionId,
  channel: 'c',
  level: 'L1' as const,
  sealed: false,
  rowCount: 1,
  sizeBytes: 10,
  openedAtMs: nowMs - 1000,
  minTs: hybridTime(nowMs - 1000),
  maxTs: hybridTime(more.lastMs ?? nowMs),
  positions: (more.files ?? [7]).map((file) => ({ file, offset: 0, length: 1 })),
  ...more,
});
const reasons = (...segments: readonly LogSegment[]) =>
  segmentsToSeal(segments, nowMs, limits).map(({ reason }) => reason);

test('a small, young, busy segment goes on growing', () => assert.deepEqual(reasons(segment({})), []));

test('a segment is sealed when it is big, old, idle with something in it, or holds the log back', () => {
  assert.deepEqual(reasons(segment({ sizeBytes: 1000 })), ['size']);
  assert.deepEqual(reasons(segment({ openedAtMs: nowMs - 60_000 })), ['life']);
  assert.deepEqual(reasons(segment({ lastMs: nowMs - 10_000, sizeBytes: 100 })), ['idle']);
  assert.deepEqual(reasons(segment({ lastMs: nowMs - 10_000, sizeBytes: 99 })), []);
  assert.deepEqual(reasons(segment({ files: [4, 5] }), segment({ files: [7] })), ['log-length']);
  assert.deepEqual(reasons(segment({ files: [5] }), segment({ files: [7] })), []);
});

test('beyond the bound of all growing bytes the oldest are sealed, and only as many as are needed', () => {
  const [old, middle, young] = [3, 2, 1].map((age) => segment({ sizeBytes: 900, openedAtMs: nowMs - age }));
  assert.ok(old && middle && young);
  assert.deepEqual(
    segmentsToSeal([young, old, middle], nowMs, limits).map(({ segmentId, reason }) => [segmentId, reason]),
    [[old.segmentId, 'memory']],
  );
});

test('sealed segments and segments without rows are left alone', () => {
  assert.deepEqual(reasons(segment({ sealed: true, sizeBytes: 5000 })), []);
  assert.deepEqual(reasons(segment({ rowCount: 0, openedAtMs: 0 })), []);
  assert.deepEqual(reasons(), []);
});
