import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
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

test('whatever grows: each is sealed once at most, only those with rows, the bound of all bytes holds afterwards, and no one is sealed for it in vain', () => {
  const growing = fc
    .record({
      sealed: fc.boolean(),
      rowCount: fc.nat(2),
      sizeBytes: fc.nat(1300),
      openedAtMs: fc.integer({ min: nowMs - 70_000, max: nowMs }),
      lastMs: fc.integer({ min: nowMs - 12_000, max: nowMs }),
      files: fc.uniqueArray(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 4 }),
    })
    .map(({ files, ...more }) => segment({ ...more, files: files.toSorted((a, b) => a - b) }));
  fc.assert(
    fc.property(fc.array(growing, { maxLength: 12 }), (segments) => {
      const orders = segmentsToSeal(segments, nowMs, limits);
      const byId = new Map(segments.map((each) => [each.segmentId, each]));
      const sealed = new Set(orders.map(({ segmentId }) => segmentId));
      assert.equal(sealed.size, orders.length);
      const left = segments.filter(
        (each) => !each.sealed && each.rowCount > 0 && !sealed.has(each.segmentId),
      );
      const leftBytes = left.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
      assert.ok(leftBytes <= limits.maxGrowingBytes);
      const newest = Math.max(0, ...segments.map(({ positions }) => positions.at(-1)!.file));
      for (const { segmentId, collectionId, reason } of orders) {
        const each = byId.get(segmentId)!;
        assert.ok(!each.sealed && each.rowCount > 0 && each.collectionId === collectionId);
        // The last of those that were sealed for their bytes was needed.
        if (reason === 'memory') assert.ok(left.every(({ openedAtMs }) => openedAtMs >= each.openedAtMs));
      }
      const last = orders.findLast(({ reason }) => reason === 'memory');
      const after = last === undefined ? [] : orders.slice(orders.indexOf(last));
      if (last !== undefined)
        assert.ok(
          leftBytes + after.reduce((sum, { segmentId }) => sum + byId.get(segmentId)!.sizeBytes, 0) >
            limits.maxGrowingBytes,
        );
      for (const each of left) {
        assert.ok(each.sizeBytes < limits.maxSizeBytes && nowMs - each.openedAtMs < limits.maxLifeMs);
        assert.ok(newest - each.positions[0]!.file < limits.maxLogFiles);
      }
      // What was sealed is not sealed again.
      const then = segments.map((each) => (sealed.has(each.segmentId) ? { ...each, sealed: true } : each));
      assert.deepEqual(segmentsToSeal(then, nowMs, limits), []);
    }),
    { seed: 1, numRuns: 1000 },
  );
});
