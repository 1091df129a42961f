/** Planted bugs of restore jobs and their tasks. */
import { put, remove } from '../../src/catalog/catalog.ts';
import { CollectionRoom } from '../../src/coordinator/collections/collections.ts';
import { CopySegmentChecker } from '../../src/coordinator/copy-segment/checker.ts';
import { CopyTaskDispatch } from '../../src/coordinator/copy-segment/dispatch.ts';
import { CopySegmentInspector } from '../../src/coordinator/copy-segment/inspector.ts';
import { type CopyJob, copyJobs, isOpen } from '../../src/coordinator/copy-segment/job.ts';
import { CopyMeta } from '../../src/coordinator/copy-segment/meta.ts';
import { copyTasks } from '../../src/coordinator/copy-segment/task.ts';
import { LoadRoom } from '../../src/coordinator/load/load.ts';
import { RestoreAdmission } from '../../src/coordinator/restore/admission.ts';
import { RestoreJobs } from '../../src/coordinator/restore/jobs.ts';
import { Restore } from '../../src/coordinator/restore/restore.ts';
import { Fifo } from '../../src/coordinator/scheduler/fifo.ts';
import { TaskQueues } from '../../src/coordinator/scheduler/queues.ts';
import { Slots } from '../../src/coordinator/scheduler/slots.ts';
import { SegmentRoom } from '../../src/coordinator/segments/segments.ts';
import { pins } from '../../src/coordinator/snapshot/record.ts';
import { SnapshotService } from '../../src/coordinator/snapshot-service.ts';
import { collections, partitions, segments } from '../../src/coordinator/tables.ts';
import type { DataNode, NodeTaskReport } from '../../src/datanode/api.ts';
import { DbError } from '../../src/errors/db-error.ts';
import type { JobId, NodeId, TaskId } from '../../src/model/ids.ts';
import {
  afterCommits,
  commits,
  failing,
  isHealed,
  method,
  of,
  type Plant,
  type Planted,
  patched,
  rewritten,
  storeWith,
  without,
} from './plants.ts';

type Completed = NodeTaskReport & { readonly state: 'completed' };

const earlyGate = (): Plant => ({ gate: (inner) => ({ ...inner, isCompleted: () => true }) });

const halfPublished = (): Plant => ({
  patch: ({ catalogNow }) =>
    patched(
      CopyTaskDispatch.prototype,
      'completed',
      (was) =>
        async function (this: CopyTaskDispatch, report: Completed) {
          await was.call(this, report);
          if (report.output.kind !== 'copy-segment') return;
          for (const { segmentId } of report.output.segments) {
            const segment = catalogNow().get(segments, segmentId);
            if (segment?.restoreJobId === undefined) continue;
            const { restoreJobId: _, ...is } = segment;
            await catalogNow().commit([put(segments, is, segment)]);
          }
        },
    ),
});

const hastyJob = (): Plant => ({
  patch: () =>
    patched(
      CopyMeta.prototype,
      'tally',
      (was) =>
        function (this: CopyMeta, jobId: JobId) {
          const tally = was.call(this, jobId);
          const { completed, failed } = tally.tasks;
          if (completed === 0) return tally;
          const all = completed + failed + tally.tasks['in-progress'] + tally.tasks.pending;
          return { ...tally, tasks: { ...tally.tasks, completed: all } };
        },
    ),
});

function believedReports(): Plant {
  const newest = new Map<TaskId, { readonly nodeId: NodeId; readonly attempt: number }>();
  const listeners = new Map<NodeId, Set<(report: NodeTaskReport) => void>>();
  return {
    node(inner) {
      const { nodeId } = inner;
      const own = new Set<(report: NodeTaskReport) => void>();
      listeners.set(nodeId, own);
      inner.onReport((report) => {
        const is = newest.get(report.taskId);
        if (report.state !== 'completed' || is === undefined || is.attempt === report.attempt) return;
        for (const listener of listeners.get(is.nodeId) ?? []) listener({ ...report, attempt: is.attempt });
      });
      return {
        nodeId,
        slots: inner.slots,
        create(task) {
          const { attempt } = task;
          if (attempt > (newest.get(task.taskId)?.attempt ?? 0)) newest.set(task.taskId, { nodeId, attempt });
          return inner.create(task);
        },
        query: (taskId, attempt) => inner.query(taskId, attempt),
        drop: (taskId, attempt) => inner.drop(taskId, attempt),
        onReport(listener) {
          own.add(listener);
          return inner.onReport(listener);
        },
        close: () => inner.close(),
      };
    },
  };
}

const sameAttempt = (): Plant => ({
  patch: () =>
    patched(
      CopyTaskDispatch.prototype,
      'dispatch',
      (was) =>
        async function (this: CopyTaskDispatch, nodeId: NodeId) {
          const order = await was.call(this, nodeId);
          return order && { ...order, attempt: 1 };
        },
    ),
});

const doubleResult = (): Plant => ({
  patch: ({ catalogNow }) =>
    patched(
      CopyTaskDispatch.prototype,
      'completed',
      (was) =>
        async function (this: CopyTaskDispatch, report: Completed) {
          await was.call(this, report);
          if (report.output.kind !== 'copy-segment') return;
          for (const { segmentId, files } of report.output.segments) {
            const segment = catalogNow().get(segments, segmentId);
            if (segment?.restoreJobId === undefined) continue;
            await catalogNow().commit([
              put(segments, { ...segment, files: [...segment.files, ...files] }, segment),
            ]);
          }
        },
    ),
});

const blindCopy = (): Plant => ({
  store: (inner) =>
    storeWith(inner, {
      async copy(from, to, { sizeBytes }) {
        const is = await inner.stat(to);
        if (is?.sizeBytes === sizeBytes) return { method: 'present', etag: is.etag, checkedBytes: 0 };
        const stat = await inner.stat(from);
        const { etag } = await inner.put(to, stat === undefined ? new Uint8Array(1) : await inner.get(from));
        return { method: 'server-side', etag, checkedBytes: 0 };
      },
    }),
});

const forgetfulCopy = (): Plant => ({
  store: (inner) =>
    storeWith(inner, {
      async copy(from, to, options) {
        await inner.delete(to);
        return inner.copy(from, to, options);
      },
    }),
});

const lostTask = (): Plant => ({
  patch: () =>
    patched(
      CopyTaskDispatch.prototype,
      'failed',
      (was) =>
        function (this: CopyTaskDispatch, code, reason) {
          // A damaged object is nothing to try again: such a task ends as it should.
          return code === 'data-integrity' ? was.call(this, code, reason) : Promise.resolve('done');
        },
    ),
});

const endlessCopy = (): Plant => ({
  node: (inner) => ({
    nodeId: inner.nodeId,
    slots: inner.slots,
    create: (task) => (task.work.kind === 'copy-segment' ? Promise.resolve() : inner.create(task)),
    query: async (taskId, attempt) => {
      const report = await inner.query(taskId, attempt);
      return report.state === 'unknown' ? { ...report, state: 'in-progress' } : report;
    },
    drop: (taskId, attempt) => inner.drop(taskId, attempt),
    onReport: (listener) => inner.onReport(listener),
    close: () => inner.close(),
  }),
});

/** The job that a commit ends. */
const ended = (changes: Parameters<typeof of>[0], state?: CopyJob['state']) =>
  of(changes, copyJobs).find(
    ({ was, is }) =>
      was !== undefined && isOpen(was) && is !== undefined && !isOpen(is) && (state ?? is.state) === is.state,
  );
const isFailing = (changes: Parameters<typeof of>[0]): boolean => ended(changes, 'failed') !== undefined;
const isBegun = (changes: Parameters<typeof of>[0]): boolean =>
  of(changes, copyJobs).some(({ was }) => was === undefined);
const isTaskDone = (changes: Parameters<typeof of>[0]): boolean =>
  of(changes, copyTasks).some(({ is }) => is?.state === 'completed');

const service = SnapshotService.prototype;
const told = RestoreJobs.prototype;

/** A data node whose copies sometimes end otherwise than they do. */
function moodyNode(inner: DataNode): DataNode {
  const otherwise = (report: NodeTaskReport): NodeTaskReport =>
    report.state === 'completed' && report.output.kind === 'copy-segment' && report.taskId % 3n === 0n
      ? { ...report, state: 'failed', code: 'data-integrity', reason: 'object gone astray' }
      : report;
  return {
    nodeId: inner.nodeId,
    slots: inner.slots,
    create: (task) => inner.create(task),
    query: async (taskId, attempt) => otherwise(await inner.query(taskId, attempt)),
    drop: (taskId, attempt) => inner.drop(taskId, attempt),
    onReport: (listener) => inner.onReport((report) => listener(otherwise(report))),
    close: () => inner.close(),
  };
}

/** Whoever came first stays first, whatever it has had. */
function selfishJob(): Plant {
  const shadows = new WeakMap<object, Map<unknown, unknown>>();
  const shadowOf = (fifo: object) => {
    const shadow = shadows.get(fifo) ?? new Map<unknown, unknown>();
    shadows.set(fifo, shadow);
    return shadow;
  };
  const { prototype } = Fifo<unknown, unknown>;
  return {
    patch() {
      const first = Object.getOwnPropertyDescriptor(prototype, 'first') as PropertyDescriptor;
      Object.defineProperty(prototype, 'first', {
        ...first,
        get(this: object) {
          const keys = [...shadowOf(this).keys()] as bigint[];
          return shadowOf(this).get(keys.sort((a, b) => (a < b ? -1 : 1))[0]);
        },
      });
      const undoPush = patched(
        prototype,
        'push',
        (was) =>
          function (this: Fifo<unknown, unknown>, key, value) {
            if (!shadowOf(this).has(key)) shadowOf(this).set(key, value);
            was.call(this, key, value);
          },
      );
      const undoDelete = patched(
        prototype,
        'delete',
        (was) =>
          function (this: Fifo<unknown, unknown>, key) {
            shadowOf(this).delete(key);
            was.call(this, key);
          },
      );
      return () => {
        undoPush();
        undoDelete();
        Object.defineProperty(prototype, 'first', first);
      };
    },
  };
}

const admissions: readonly Planted[] = [
  {
    name: 'twoTargets',
    by: ['exact'],
    says: /^exact: two restores to .* have won/,
    what: 'two targets get one name',
    make: () =>
      method(
        RestoreAdmission.prototype,
        'check',
        (was) =>
          function (this: RestoreAdmission, request, aside) {
            const nothing = { check: () => undefined, purpose: () => ({ kind: 'drill' }) as const };
            return was.call(this, request, aside ?? nothing);
          },
      ),
  },
  {
    name: 'noTarget',
    by: ['exact'],
    says: /^exact: no restore to .* has won/,
    what: 'of two restores to one name none wins',
    make: () =>
      duelling((world, isAlone, start) => {
        void world;
        return isAlone ? start() : Promise.reject(new DbError('collection-duplicate', 'planted'));
      }),
  },
  {
    name: 'promisedTarget',
    by: ['exact'],
    says: /^exact: the restore to .* was answered and is not there/,
    what: 'of two restores to one name the one that wins is not made',
    make: () => {
      let asked = 0;
      return duelling((_, isAlone, start) => {
        if (isAlone) return start();
        return ++asked % 2 === 0
          ? Promise.resolve(4242n as JobId)
          : Promise.reject(new DbError('collection-duplicate', 'planted'));
      });
    },
  },
  {
    name: 'emptyPromise',
    by: ['exact'],
    says: /^exact: restore .* was answered and is not there/,
    what: 'a restore is answered and not begun',
    make: () => {
      let asked = 0;
      return method(
        Restore.prototype,
        'start',
        (was) =>
          function (this: Restore, request, aside) {
            return aside === undefined && ++asked % 3 === 0
              ? Promise.resolve(4242n as JobId)
              : was.call(this, request, aside);
          },
      );
    },
  },
  {
    name: 'fewerPartitions',
    by: ['exact'],
    says: /^exact: .* has partitions/,
    what: 'a restored collection has other partitions than were restored',
    make: () =>
      commits((changes) =>
        isBegun(changes)
          ? without(changes, partitions, (is) => is !== undefined && is.name !== '_default')
          : changes,
      ),
  },
  {
    name: 'unloadableTarget',
    by: ['ends'],
    says: /^ends: restored .* cannot be read/,
    what: 'what was restored cannot be loaded',
    from: 8,
    make: () => ({
      patch: ({ catalogNow }) =>
        patched(
          LoadRoom.prototype,
          'load',
          (was) =>
            async function (this: LoadRoom, at) {
              const catalog = catalogNow();
              const isTarget = [...catalog.all(copyJobs)].some(
                ({ collectionId }) => catalog.get(collections, collectionId)?.name === at.name,
              );
              return isTarget ? failing() : was.call(this, at);
            },
        ),
    }),
  },
];

/** `Restore.start` for two that meet. */
function duelling(
  answer: (
    world: Parameters<NonNullable<Plant['patch']>>[0],
    isAlone: boolean,
    start: () => Promise<JobId>,
  ) => Promise<JobId>,
): Plant {
  const asked = new Map<string, number>();
  return {
    patch: (world) =>
      patched(
        Restore.prototype,
        'start',
        (was) =>
          async function (this: Restore, request, aside) {
            const { name } = request.target;
            if (aside !== undefined) return was.call(this, request, aside);
            asked.set(name, (asked.get(name) ?? 0) + 1);
            await world.sleep(5);
            const isAlone = asked.get(name) === 1;
            await world.sleep(5);
            asked.delete(name);
            return answer(world, isAlone, () => was.call(this, request, aside));
          },
      ),
  };
}

const tasks: readonly Planted[] = [
  {
    name: 'sameAttempt',
    by: ['exact'],
    says: /^exact: attempt .* is sent to node/,
    what: 'a retry has no new number',
    make: sameAttempt,
    isCheap: true,
    from: 12,
  },
  {
    name: 'unstoredAttempt',
    by: ['exact'],
    says: /^exact: attempt .* is sent, and \d+ is stored/,
    what: 'a command is sent before its attempt is stored',
    make: () =>
      method(
        CopyTaskDispatch.prototype,
        'dispatch',
        (was) =>
          async function (this: CopyTaskDispatch, nodeId) {
            const order = await was.call(this, nodeId);
            return order && { ...order, attempt: order.attempt + 1 };
          },
      ),
  },
  {
    name: 'skippedAttempt',
    by: ['exact'],
    says: /^exact: task \d+ goes from attempt/,
    what: 'attempts are not counted one by one',
    make: () =>
      commits((changes) =>
        rewritten(changes, copyTasks, (is) =>
          is.state === 'in-progress' ? { ...is, attempt: is.attempt + 1 } : is,
        ),
      ),
  },
  {
    name: 'revivedTask',
    by: ['exact'],
    says: /^exact: task \d+ goes from completed to/,
    what: 'a task that is done is begun again',
    make: () =>
      afterCommits((changes) =>
        of(changes, copyTasks).flatMap(({ is }) =>
          is?.state === 'completed' ? [put(copyTasks, { ...is, state: 'pending' }, is)] : [],
        ),
      ),
  },
  {
    name: 'presumedTask',
    by: ['exact'],
    says: /^exact: task \d+ counts as completed/,
    what: 'a task counts as done by an attempt that is not',
    make: () =>
      afterCommits((changes) =>
        of(changes, copyTasks).flatMap(({ is }) => {
          if (is?.state !== 'in-progress') return [];
          const { nodeId: _, ...rest } = is;
          return [put(copyTasks, { ...rest, state: 'completed' }, is)];
        }),
      ),
  },
  {
    name: 'believedReports',
    by: ['exact', 'kept', 'ends'],
    says: /^exact: task \d+ counts as completed|^kept: object .* is needed and missing|^ends: restore \w+ failed: object/,
    what: 'a late report of an old attempt is believed',
    make: believedReports,
    from: 63,
  },
  {
    name: 'doubleResult',
    by: ['exact'],
    says: /^exact: segment \d+ of job \d+ (gets its files|has a file) twice/,
    what: 'a result is applied twice',
    make: doubleResult,
    isCheap: true,
  },
  {
    name: 'repeatedResult',
    by: ['exact'],
    says: /^exact: segment \d+ of job \d+ gets its files twice/,
    what: 'what a result brought is written once more',
    make: () =>
      afterCommits((changes) =>
        isTaskDone(changes)
          ? of(changes, segments).flatMap(({ is }) =>
              is === undefined ? [] : [put(segments, { ...is, files: is.files.slice() }, is)],
            )
          : [],
      ),
  },
  {
    name: 'doubleFiles',
    by: ['exact'],
    says: /^exact: segment \d+ of job \d+ has a file twice/,
    what: 'a segment names a file twice',
    make: () =>
      commits((changes) =>
        isTaskDone(changes)
          ? rewritten(changes, segments, (is) => ({ ...is, files: [...is.files, ...is.files] }))
          : changes,
      ),
  },
  {
    name: 'blindCopy',
    by: ['exact'],
    says: /^exact: (.* is damaged|load .* is refused: data-integrity)/,
    what: 'a damaged object is copied',
    make: blindCopy,
    isCheap: true,
    from: 60,
  },
  {
    name: 'rememberedCopy',
    by: ['exact'],
    says: /^exact: .* is restored from a snapshot whose object .* is damaged/,
    what: 'a restore is completed from a damaged snapshot',
    make: () => {
      const written = new Map<string, Uint8Array>();
      return {
        store: (inner) =>
          storeWith(inner, {
            put(key, bytes) {
              written.set(key, bytes.slice());
              return inner.put(key, bytes);
            },
            async copy(from, to, options) {
              try {
                return await inner.copy(from, to, options);
              } catch (error) {
                const bytes = written.get(from);
                if (bytes === undefined) throw error;
                const { etag } = await inner.put(to, bytes);
                return { method: 'server-side', etag, checkedBytes: 0 };
              }
            },
          }),
      };
    },
  },
  {
    name: 'forgetfulCopy',
    by: ['once'],
    says: /^once: /,
    what: 'a restore begins anew with every attempt',
    make: forgetfulCopy,
    isCheap: true,
    from: 28,
  },
  {
    name: 'lostTask',
    by: ['ends'],
    says: /^ends: .* did not end/,
    what: 'a task is not tried again',
    make: lostTask,
    from: 21,
  },
  {
    name: 'endlessCopy',
    by: ['ends'],
    says: /^ends: .* did not end/,
    what: 'a copy never ends',
    make: endlessCopy,
    isCheap: true,
  },
  {
    name: 'sleepyInspector',
    by: ['ends'],
    says: /^ends: .* did not end/,
    what: 'a job is never woken after a restart',
    make: () => {
      let first: CopySegmentInspector | undefined;
      return method(
        CopySegmentInspector.prototype,
        'pass',
        (was) =>
          function (this: CopySegmentInspector) {
            first ??= this;
            return first === this ? was.call(this) : Promise.resolve();
          },
      );
    },
  },
  {
    name: 'moodyNode',
    by: ['ends'],
    says: /^ends: restore .* failed: object gone astray/,
    what: 'a restore fails that has no reason to',
    make: () => ({ node: moodyNode }),
  },
  {
    name: 'selfishJob',
    by: ['ends'],
    says: /^ends: job \d+ waits while job/,
    what: 'one job starves another',
    make: selfishJob,
  },
  {
    name: 'unlimitedTasks',
    by: ['ends'],
    says: /^ends: \d+ restore tasks.* at once/,
    what: 'more tasks run at once than may',
    make: () => ({
      patch() {
        const undo = patched(TaskQueues.prototype, 'started', () => () => undefined);
        const undoToo = patched(TaskQueues.prototype, 'ended', () => () => undefined);
        return () => {
          undo();
          undoToo();
        };
      },
    }),
  },
  {
    name: 'leakedSlot',
    by: ['clean'],
    says: /^clean: held when everything is dropped/,
    what: 'a slot of a node is never given back',
    make: () => {
      let isLeaked = false;
      return {
        patch: (world) =>
          patched(
            Slots.prototype,
            'release',
            (was) =>
              function (this: Slots, held) {
                if (isLeaked || !isHealed(world)) was.call(this, held);
                else isLeaked = true;
              },
          ),
      };
    },
  },
];

const jobsPlants: readonly Planted[] = [
  {
    name: 'earlyGate',
    by: ['whole'],
    says: /^whole: .* before its restore is complete/,
    what: 'targets are shown before their job is completed',
    make: earlyGate,
    isCheap: true,
  },
  {
    name: 'halfPublished',
    by: ['whole'],
    says: /^whole: segment .* is anybody's/,
    what: 'segments are published before their job is completed',
    make: halfPublished,
    isCheap: true,
  },
  {
    name: 'hastyJob',
    by: ['whole'],
    says: /^whole: job \d+ completes with/,
    what: 'a job completes without the segments of one task',
    make: hastyJob,
    isCheap: true,
  },
  {
    name: 'unwrittenSegments',
    by: ['whole'],
    says: /^whole: job \d+ completes with \d+ of \d+ segments/,
    what: 'a task counts as done and its segments are not written',
    make: () =>
      commits((changes) => (isTaskDone(changes) ? without(changes, segments, () => true) : changes)),
  },
  {
    name: 'miscountedJob',
    by: ['whole'],
    says: /^whole: job \d+: \d+ of \d+ rows/,
    what: 'a job completes with other rows than it was to restore',
    make: () =>
      commits((changes) =>
        rewritten(changes, copyJobs, (is, was) =>
          was === undefined ? { ...is, totalRows: is.totalRows + 1 } : is,
        ),
      ),
  },
  {
    name: 'countedEarly',
    by: ['whole'],
    says: /^whole: \d+ rows of .* are counted before/,
    what: 'rows of a target are counted before it is complete',
    make: () =>
      method(
        SegmentRoom.prototype,
        'rowCount',
        (was) =>
          function (this: SegmentRoom, ...args) {
            return 1 + was.apply(this, args);
          },
      ),
  },
  {
    name: 'renamedTarget',
    by: ['whole'],
    says: /^whole: .* is renamed while it is/,
    what: 'a target is renamed before it is complete',
    from: 8,
    make: () => {
      let isRenaming = false;
      const { prototype } = CollectionRoom;
      return {
        patch() {
          const undo = patched(
            prototype,
            'requireReady',
            (was) =>
              function (this: CollectionRoom, at) {
                return isRenaming ? this.describeCollection(at) : was.call(this, at);
              },
          );
          const undoToo = patched(
            prototype,
            'renameCollection',
            (was) =>
              function (this: CollectionRoom, ...args) {
                isRenaming = true;
                const renamed = was.apply(this, args);
                isRenaming = false;
                return renamed;
              },
          );
          return () => {
            undo();
            undoToo();
          };
        },
      };
    },
  },
  {
    name: 'fallingProgress',
    by: ['ends'],
    says: /^ends: job \d+ is at -\d+ %/,
    what: 'progress that is stored goes back',
    make: () =>
      commits((changes) =>
        rewritten(changes, copyJobs, (is, was) =>
          is.state === 'executing' && was?.state === 'executing' ? { ...is, progress: -1 } : is,
        ),
      ),
  },
  {
    name: 'earlyHundred',
    by: ['ends'],
    says: /^ends: job \d+ is at 100 %/,
    what: 'progress is 100 before the job is completed',
    make: () =>
      commits((changes) =>
        rewritten(changes, copyJobs, (is) => (is.state === 'executing' ? { ...is, progress: 100 } : is)),
      ),
  },
  {
    name: 'shownBack',
    by: ['ends'],
    says: /^ends: progress of .* fell/,
    what: 'progress that is shown goes back',
    make: () => {
      let shown = 90;
      return method(
        service,
        'restoreState',
        (was) =>
          function (this: SnapshotService, jobId) {
            const info = was.call(this, jobId);
            shown = shown > 1 ? shown - 1 : 90;
            return info.state === 'executing' ? { ...info, progress: shown } : info;
          },
      );
    },
  },
  {
    name: 'shownHundred',
    by: ['ends'],
    says: /^ends: job \d+ is executing, 100 %/,
    what: 'progress of a job that runs is shown as 100',
    make: () =>
      method(
        told,
        'list',
        (was) =>
          function (this: RestoreJobs, ...args) {
            return was
              .apply(this, args)
              .map((info) => (info.state === 'executing' ? { ...info, progress: 100 } : info));
          },
      ),
  },
  {
    name: 'unlistedJob',
    by: ['ends'],
    says: /^ends: job \d+ is listed as undefined/,
    what: 'a job is not listed',
    make: () =>
      method(
        told,
        'list',
        (was) =>
          function (this: RestoreJobs, ...args) {
            return was.apply(this, args).slice(0, -1);
          },
      ),
  },
  {
    name: 'listedBackwards',
    by: ['ends'],
    says: /^ends: jobs \d/,
    what: 'jobs are listed in another order than their own',
    make: () =>
      method(
        told,
        'list',
        (was) =>
          function (this: RestoreJobs, ...args) {
            return was.apply(this, args).toReversed();
          },
      ),
  },
  {
    name: 'ageingJob',
    by: ['ends'],
    says: /^ends: job \d+ was .* and changes/,
    what: 'an ended job goes on to last',
    make: () => {
      let ms = 0;
      return method(
        told,
        'state',
        (was) =>
          function (this: RestoreJobs, jobId) {
            const info = was.call(this, jobId);
            return { ...info, durationMs: info.durationMs + ++ms };
          },
      );
    },
  },
  {
    name: 'hastyRetention',
    by: ['ends'],
    says: /^ends: job \d+ is forgotten after/,
    what: 'a job is forgotten before its retention is over',
    make: () =>
      afterCommits((changes) =>
        of(changes, copyJobs).flatMap(({ is }) =>
          is !== undefined && !isOpen(is) && is.isTidy && is.purpose === undefined
            ? [remove(copyJobs, is)]
            : [],
        ),
      ),
  },
  {
    name: 'untidyRetention',
    by: ['clean'],
    says: /^clean: job \d+ is forgotten before it is tidy/,
    what: 'a job is forgotten with segments of it left',
    make: () =>
      afterCommits((changes) => {
        const is = ended(changes, 'failed')?.is;
        return is === undefined ? [] : [remove(copyJobs, is)];
      }),
  },
  {
    name: 'movedEnd',
    by: ['ends'],
    says: /^ends: job \d+ has ended .* and is/,
    what: 'the end of a job is moved',
    make: () =>
      afterCommits((changes) => {
        const is = ended(changes)?.is;
        return is === undefined || isOpen(is)
          ? []
          : [put(copyJobs, { ...is, endedAtMs: is.endedAtMs + 1 }, is)];
      }),
  },
  {
    name: 'heldPin',
    by: ['clean'],
    says: /^clean: job \d+ has ended and its pin is left/,
    what: 'a restore that fails keeps its pin',
    make: () =>
      commits((changes) => (isFailing(changes) ? without(changes, pins, (is) => is === undefined) : changes)),
  },
  {
    name: 'leftTarget',
    by: ['clean'],
    says: /^clean: job \d+ has failed and its target is left/,
    what: 'a cancel or a failure leaves the target',
    make: () =>
      commits((changes) =>
        isFailing(changes) ? without(changes, collections, (is) => is === undefined) : changes,
      ),
  },
  {
    name: 'revivedTarget',
    by: ['clean'],
    says: /^clean: (restore .* has failed, and its target is there|job \d+ was cancelled and leaves its target)/,
    what: 'the target of a failed restore comes back',
    make: () =>
      afterCommits((changes) =>
        isFailing(changes)
          ? of(changes, collections).flatMap(({ was, is }) =>
              was !== undefined && is === undefined ? [put(collections, was, undefined)] : [],
            )
          : [],
      ),
  },
  {
    name: 'noReason',
    by: ['ends'],
    says: /^ends: job \d+ fails without a reason/,
    what: 'a job fails without a reason',
    make: () =>
      commits((changes) =>
        rewritten(changes, copyJobs, (is) => (is.state === 'failed' ? { ...is, reason: '' } : is)),
      ),
  },
];

/** Answers of `end` that are not true. */
const boastfulCancel = (): Plant =>
  method(
    CopySegmentChecker.prototype,
    'end',
    (was) =>
      async function (this: CopySegmentChecker, ...args) {
        await was.apply(this, args);
        return true;
      },
  );

const cancels: readonly Planted[] = [
  {
    name: 'twiceCancelled',
    by: ['ends'],
    says: /^ends: two cancels have ended/,
    what: 'two cancels both say that they ended a job',
    make: boastfulCancel,
  },
  {
    name: 'lateCancel',
    by: ['ends'],
    says: /^ends: a cancel has ended .*, which was/,
    what: 'a cancel says that it ended a job that had ended',
    from: 12,
    make: boastfulCancel,
  },
  {
    name: 'idleCancel',
    by: ['ends'],
    says: /^ends: .* is (executing|pending) after its cancel/,
    what: 'a cancel is answered and nothing is cancelled',
    from: 34,
    make: () => method(service, 'cancelRestore', () => () => Promise.resolve(true)),
  },
  {
    name: 'silentCancel',
    by: ['ends'],
    says: /^ends: (.* was cancelled and says|restore .* failed: cancelled)/,
    what: 'the reason of a cancel is lost',
    from: 29,
    make: () =>
      method(
        service,
        'cancelRestore',
        (was) =>
          function (this: SnapshotService, jobId) {
            return was.call(this, jobId);
          },
      ),
  },
];

export const jobPlants: readonly Planted[] = [...admissions, ...tasks, ...jobsPlants, ...cancels];
