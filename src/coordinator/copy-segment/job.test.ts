import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { TaskId } from '../../model/ids.ts';
import {
  type CopyJob,
  copyJobs,
  groupIntoTasks,
  idAt,
  isOpen,
  isToClear,
  isUnsettled,
  type RestorePurpose,
} from './job.ts';

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

const swapAt = (stage: 'copying' | 'swapped' | 'confirmed' | 'reverted'): RestorePurpose => ({
  kind: 'in-place',
  stage,
  name: 'a',
  keptName: 'b',
});
const drill: RestorePurpose = { kind: 'drill' };

// State, purpose, whether it is tidy (ended jobs only); then: open, to clear, unsettled, still of interest to a sweep.
const jobs: readonly (readonly [
  CopyJob['state'],
  RestorePurpose | undefined,
  boolean | undefined,
  readonly boolean[],
])[] = [
  ['pending', undefined, undefined, [true, false, false, true]],
  ['pending', drill, undefined, [true, false, false, true]],
  ['executing', undefined, undefined, [true, false, false, true]],
  ['executing', drill, undefined, [true, false, false, true]],
  ['executing', swapAt('copying'), undefined, [true, false, false, true]],
  ['completed', undefined, false, [false, false, false, true]],
  ['completed', undefined, true, [false, false, false, false]],
  ['completed', drill, false, [false, true, false, true]],
  ['completed', drill, true, [false, false, false, true]],
  ['completed', swapAt('swapped'), false, [false, false, true, true]],
  ['completed', swapAt('swapped'), true, [false, false, true, true]],
  ['completed', swapAt('confirmed'), true, [false, false, false, true]],
  ['completed', swapAt('reverted'), false, [false, false, false, true]],
  ['failed', undefined, false, [false, true, false, true]],
  ['failed', undefined, true, [false, false, false, false]],
  ['failed', drill, false, [false, true, false, true]],
  ['failed', swapAt('copying'), false, [false, true, false, true]],
  ['failed', swapAt('copying'), true, [false, false, false, true]],
];
for (const [state, purpose, isTidy, expected] of jobs)
  test(`what is still to be done for a job: ${isTidy === true ? 'tidy, ' : ''}${state}, ${purpose === undefined ? 'a plain restore' : purpose.kind === 'drill' ? 'a drill' : `a swap that is ${purpose.stage}`}`, () => {
    const job = { state, purpose, isTidy } as unknown as CopyJob;
    const isOfInterest = copyJobs.indexes?.['unsettled']?.(job) === 'yes';
    assert.deepEqual([isOpen(job), isToClear(job), isUnsettled(job), isOfInterest], expected);
  });
