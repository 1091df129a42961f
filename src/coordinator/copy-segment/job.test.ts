import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { TaskId } from '../../model/ids.ts';
import { groupIntoTasks, idAt } from './job.ts';

const size = fc.record({ bytes: fc.nat(1000), files: fc.integer({ min: 1, max: 20 }) });
const grouping = fc.record({
  maxSegments: fc.integer({ min: 1, max: 10 }),
  maxBytes: fc.integer({ min: 1, max: 3000 }),
  maxFiles: fc.integer({ min: 1, max: 50 }),
});

test('whatever the sizes and bounds: tasks hold every segment once, in order, keep the bounds, and none is empty', () => {
  fc.assert(
    fc.property(fc.array(size, { maxLength: 60 }), grouping, (sizes, bounds) => {
      let next = 0;
      for (const range of groupIntoTasks(sizes, bounds)) {
        assert.equal(range.firstSegment, next);
        assert.ok(range.segmentCount >= 1 && range.segmentCount <= bounds.maxSegments);
        const held = sizes.slice(next, next + range.segmentCount);
        assert.equal(
          range.bytes,
          held.reduce((sum, { bytes }) => sum + bytes, 0),
        );
        assert.equal(
          range.files,
          held.reduce((sum, { files }) => sum + files, 0),
        );
        // One segment larger than a bound is a task of its own: it cannot be cut.
        if (range.segmentCount > 1)
          assert.ok(range.bytes <= bounds.maxBytes && range.files <= bounds.maxFiles);
        next += range.segmentCount;
      }
      assert.equal(next, sizes.length);
    }),
  );
});

test('a task is as full as its bounds allow: the first segment of the next one would not have fitted', () => {
  fc.assert(
    fc.property(fc.array(size, { maxLength: 60 }), grouping, (sizes, bounds) => {
      const ranges = groupIntoTasks(sizes, bounds);
      for (const [n, range] of ranges.slice(0, -1).entries()) {
        const first = sizes[ranges[n + 1]!.firstSegment]!;
        assert.ok(
          range.segmentCount === bounds.maxSegments ||
            range.bytes + first.bytes > bounds.maxBytes ||
            range.files + first.files > bounds.maxFiles,
        );
      }
    }),
  );
});

test('one large segment is a task of its own, a hundred small ones share one', () => {
  const bounds = { maxSegments: 100, maxBytes: 1000, maxFiles: 1000 };
  const sizes = [{ bytes: 5000, files: 4 }, ...Array.from({ length: 100 }, () => ({ bytes: 5, files: 4 }))];
  assert.deepEqual(
    groupIntoTasks(sizes, bounds).map(({ segmentCount, bytes }) => [segmentCount, bytes]),
    [
      [1, 5000],
      [100, 500],
    ],
  );
});

test('grouping the same sizes again gives the same tasks, and so the same ids', () => {
  fc.assert(
    fc.property(fc.array(size, { maxLength: 40 }), grouping, (sizes, bounds) => {
      const ids = () =>
        groupIntoTasks(sizes, bounds).map((range, n) => ({ taskId: idAt(7n as TaskId, n), range }));
      assert.deepEqual(ids(), ids());
    }),
  );
});
