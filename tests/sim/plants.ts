/** Bugs planted on purpose, one or more for each property: a check that stays green over its plant checks nothing. */

import { put } from '../../src/catalog/catalog.ts';
import { CaptureGate } from '../../src/coordinator/capture-gate.ts';
import { CopyTaskDispatch } from '../../src/coordinator/copy-segment/dispatch.ts';
import { CopyMeta } from '../../src/coordinator/copy-segment/meta.ts';
import { CatalogMarks } from '../../src/coordinator/gc/marks.ts';
import { ObjectRemover } from '../../src/coordinator/gc/remover.ts';
import type { RestoreGate } from '../../src/coordinator/rooms.ts';
import { SegmentRoom } from '../../src/coordinator/segments/segments.ts';
import { SnapshotReferences } from '../../src/coordinator/snapshot/meta.ts';
import { Pins } from '../../src/coordinator/snapshot/pins.ts';
import { segments } from '../../src/coordinator/tables.ts';
import type { DataNode, NodeOutput, NodeTaskReport, NodeWork } from '../../src/datanode/api.ts';
import type { BuildId, CollectionId, JobId, NodeId, SegmentId, TaskId } from '../../src/model/ids.ts';
import { WriteQueue } from '../../src/querynode/write-queue.ts';
import type { ObjectStore } from '../../src/storage/object-store.ts';
import type { WritePart } from '../../src/streamingnode/api.ts';
import type { World } from './world.ts';

export interface Plant {
  readonly store?: (inner: ObjectStore) => ObjectStore;
  readonly gate?: (inner: RestoreGate) => RestoreGate;
  readonly node?: (inner: DataNode) => DataNode;
  /** Replaces a method of the product while the seed runs; answers how it is put back. */
  readonly patch?: (world: World) => () => void;
  /** What becomes of a write between its acknowledgement and the log. */
  readonly write?: (parts: readonly WritePart[]) => readonly WritePart[];
  /** Runs with every collection of garbage, and after every change of a definition. */
  readonly gc?: (world: World) => Promise<void>;
}

/** An object store with some methods replaced. */
export const storeWith = (inner: ObjectStore, other: Partial<ObjectStore>): ObjectStore => ({
  location: undefined,
  put: (key, bytes) => inner.put(key, bytes),
  get: (key) => inner.get(key),
  getRange: (key, offset, length) => inner.getRange(key, offset, length),
  stat: (key) => inner.stat(key),
  list: (prefix) => inner.list(prefix),
  copy: (from, to, options) => inner.copy(from, to, options),
  sharing: () => inner.sharing(),
  capacity: () => inner.capacity(),
  delete: (key) => inner.delete(key),
  listTemporary: () => inner.listTemporary(),
  deleteTemporary: (name) => inner.deleteTemporary(name),
  close: () => inner.close(),
  ...other,
});

type Completed = NodeTaskReport & { readonly state: 'completed' };

/** A method of a class replaced; answers how it is put back. */
function patched<T extends object, K extends keyof T>(of: T, name: K, make: (was: T[K]) => T[K]): () => void {
  const was = of[name];
  of[name] = make(was);
  return () => {
    of[name] = was;
  };
}

const all =
  (...putBack: readonly (() => void)[]) =>
  (): void => {
    for (const one of putBack) one();
  };

/** A getter that answers an empty set. */
function emptied<T extends object>(of: T, name: keyof T): () => void {
  const was = Object.getOwnPropertyDescriptor(of, name);
  if (was === undefined) throw new Error(`no getter ${String(name)}`);
  Object.defineProperty(of, name, { ...was, get: () => new Set() });
  return () => Object.defineProperty(of, name, was);
}

/** A data node that is given other work than was meant, and whose output is told otherwise. */
function nodeWith(
  inner: DataNode,
  work: (meant: NodeWork) => NodeWork,
  told: (taskId: TaskId, output: NodeOutput) => NodeOutput = (_, output) => output,
): DataNode {
  const otherwise = (report: NodeTaskReport): NodeTaskReport =>
    report.state === 'completed' ? { ...report, output: told(report.taskId, report.output) } : report;
  return {
    nodeId: inner.nodeId,
    slots: inner.slots,
    create: (task) => inner.create({ ...task, work: work(task.work) }),
    query: async (taskId, attempt) => otherwise(await inner.query(taskId, attempt)),
    drop: (taskId, attempt) => inner.drop(taskId, attempt),
    onReport: (listener) => inner.onReport((report) => listener(otherwise(report))),
    close: () => inner.close(),
  };
}

export const plants = {
  /** exact: the last row of an insert now and then does not arrive. */
  lostRow(): Plant {
    let writes = 0;
    return {
      write: (parts) => (++writes % 5 === 0 ? parts.slice(0, -1) : parts),
    };
  },
  /** exact: deletes do not reach the log. */
  lostDelete: (): Plant => ({ write: (parts) => parts.filter(({ kind }) => kind === 'insert') }),
  /** whole: targets are shown before their job is completed. */
  earlyGate: (): Plant => ({ gate: (inner) => ({ ...inner, isCompleted: () => true }) }),
  /** kept: a copy says it is done and is not. */
  droppedCopy: (): Plant => ({
    store: (inner) =>
      storeWith(inner, {
        copy: async (from, to, options) => {
          const result = await inner.copy(from, to, options);
          if (to.endsWith('rows.parquet')) await inner.delete(to);
          return result;
        },
      }),
  }),
  /** kept: what is dropped goes, whatever a snapshot says. */
  blindCollector: (): Plant => ({
    async gc(world) {
      for (const { files } of world.droppedSegments())
        for (const { key } of files) await world.disks.store.delete(key);
    },
  }),
  /** exact: a compaction leaves out its last source, and says that its rows were dead. */
  lossyCompaction: (): Plant => ({
    node(inner) {
      const lost = new Map<bigint, number>();
      return nodeWith(
        inner,
        (work) => {
          if (work.kind !== 'compact' || work.sources.length < 2) return work;
          lost.set(work.place.segmentId, work.sources.at(-1)?.rowCount ?? 0);
          return { ...work, sources: work.sources.slice(0, -1) };
        },
        (_, output) => {
          if (output.kind !== 'compact') return output;
          const rows = output.segment?.files[0]?.key.split('/')[3];
          return { ...output, killed: output.killed + (lost.get(BigInt(rows ?? 0)) ?? 0) };
        },
      );
    },
  }),
  /** exact: a compaction applies no deletes, and they are retired. */
  deafCompaction: (): Plant => ({
    node: (inner) => nodeWith(inner, (work) => (work.kind === 'compact' ? { ...work, deletes: [] } : work)),
  }),
  /** exact: deletes are retired while rows they kill are there. */
  earlyRetirement: (): Plant => ({
    async gc({ life }) {
      const { catalog } = life.planes;
      const [deletes] = catalog.find(segments, 'state', 'flushed').filter(({ level }) => level === 'L0');
      if (deletes !== undefined)
        await catalog.commit([put(segments, { ...deletes, state: 'dropped', droppedAtMs: 0 }, deletes)]);
    },
  }),
  /** kept: what a compaction writes counts as garbage. */
  greedyCollector: (): Plant => ({
    patch: () =>
      patched(
        CatalogMarks.prototype,
        'segment',
        (was) =>
          function (this: CatalogMarks, segmentId: SegmentId) {
            const segment = was.call(this, segmentId);
            return segment?.state === 'writing' ? { ...segment, state: 'dropped', droppedAtMs: 0 } : segment;
          },
      ),
  }),
  /** kept: a snapshot whose references are not known counts as one that needs nothing. */
  carelessCollector: (): Plant => ({
    patch() {
      const { prototype } = SnapshotReferences;
      return all(
        patched(
          prototype,
          'isSegmentReferenced',
          () =>
            function (this: SnapshotReferences, _: CollectionId, segmentId: SegmentId) {
              return this.countOf(segmentId) > 0;
            },
        ),
        patched(
          prototype,
          'isBuildReferenced',
          () =>
            function (this: SnapshotReferences, _: CollectionId, buildId: BuildId) {
              return this.buildCountOf(buildId) > 0;
            },
        ),
        emptied(prototype, 'unknownCollections'),
      );
    },
  }),
  /** kept: nothing counts as protected from compaction. */
  blindCompaction: (): Plant => ({
    patch: () => patched(SnapshotReferences.prototype, 'isProtected', () => () => false),
  }),
  /** exact: a compaction is committed while a snapshot is captured. */
  openGate: (): Plant => ({
    patch: (world) =>
      all(
        patched(CaptureGate.prototype, 'replace', () => (_, work) => work()),
        // Captures take long, or they would seldom meet.
        patched(
          SegmentRoom.prototype,
          'flushAll',
          (was) =>
            async function (this: SegmentRoom, collectionId: CollectionId) {
              const sealTs = await was.call(this, collectionId);
              await world.sleep(4000);
              return sealTs;
            },
        ),
      ),
  }),
  /** ends: copies are taken and never finished. */
  endlessCopy: (): Plant => ({
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
  }),
  /** whole: the target's segments are anybody's as soon as they are copied. */
  halfPublished: (): Plant => ({
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
  }),
  /** whole: tasks at work count as done once one is: the job completes without some of its segments. */
  hastyJob: (): Plant => ({
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
  }),
  /** exact: whatever attempt of a task a node speaks of, it counts as the one that runs. */
  believedReports(): Plant {
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
            if (attempt > (newest.get(task.taskId)?.attempt ?? 0))
              newest.set(task.taskId, { nodeId, attempt });
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
  },
  /** exact: a task is tried again under the number it had. */
  sameAttempt: (): Plant => ({
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
  }),
  /** exact: a result that is told twice is applied twice. */
  doubleResult: (): Plant => ({
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
  }),
  /** exact: a store that copies without looking, so that a damaged source makes a damaged target. */
  blindCopy: (): Plant => ({
    store: (inner) =>
      storeWith(inner, {
        async copy(from, to, { sizeBytes }) {
          const is = await inner.stat(to);
          if (is?.sizeBytes === sizeBytes) return { method: 'present', etag: is.etag, checkedBytes: 0 };
          const stat = await inner.stat(from);
          const { etag } = await inner.put(
            to,
            stat === undefined ? new Uint8Array(1) : await inner.get(from),
          );
          return { method: 'server-side', etag, checkedBytes: 0 };
        },
      }),
  }),
  /** exact: a read takes what is there, although a write that was acknowledged before it is half through. */
  hastyRead: (): Plant => ({
    patch: () =>
      patched(
        WriteQueue.prototype,
        'read',
        () =>
          <T>(take: () => T) =>
            new Promise<T>((resolve) => resolve(take())),
      ),
  }),
  /** once: what is there is not looked at: every attempt begins anew. */
  forgetfulCopy: (): Plant => ({
    store: (inner) =>
      storeWith(inner, {
        async copy(from, to, options) {
          await inner.delete(to);
          return inner.copy(from, to, options);
        },
      }),
  }),
  /** ends: a task whose attempt has failed is not tried again. */
  lostTask: (): Plant => ({
    patch: () => patched(CopyTaskDispatch.prototype, 'failed', () => () => Promise.resolve('done')),
  }),
  /** clean: the end of a restore leaves its pin. */
  leftPin: (): Plant => ({ patch: () => patched(Pins.prototype, 'releasing', () => () => []) }),
  /** clean: a cancel leaves what was copied to the next collection of garbage. */
  lazyCancel: (): Plant => ({
    patch: () => patched(ObjectRemover.prototype, 'removeBelow', () => () => Promise.resolve()),
  }),
  /** clean: an object is not deleted. */
  stickyObject: (): Plant => ({
    store: (inner) =>
      storeWith(inner, {
        delete: (key) => (key.endsWith('stats.bin') ? Promise.resolve() : inner.delete(key)),
      }),
  }),
} as const;
