/** Planted bugs of rows: writes, deletes, compactions, captures, answers. */
import { put } from '../../src/catalog/catalog.ts';
import { TimeSource } from '../../src/coordinator/allocator.ts';
import { CaptureGate } from '../../src/coordinator/capture-gate.ts';
import { CollectionRoom } from '../../src/coordinator/collections/collections.ts';
import { Compactor } from '../../src/coordinator/compaction/compactor.ts';
import { SegmentRoom } from '../../src/coordinator/segments/segments.ts';
import { SnapshotManager } from '../../src/coordinator/snapshot/manager.ts';
import { snapshots } from '../../src/coordinator/snapshot/record.ts';
import { segments } from '../../src/coordinator/tables.ts';
import { DbError } from '../../src/errors/db-error.ts';
import type { HybridTime } from '../../src/model/hybrid-time.ts';
import type { CollectionId, SnapshotId } from '../../src/model/ids.ts';
import { LocalQueryNode } from '../../src/querynode/querynode.ts';
import { WriteQueue } from '../../src/querynode/write-queue.ts';
import {
  all,
  commits,
  failing,
  isHealed,
  isJustUp,
  method,
  nodeWith,
  type Plant,
  type Planted,
  patched,
  rewritten,
} from './plants.ts';

function lostRow(): Plant {
  let writes = 0;
  return {
    write: (parts) => (++writes % 5 === 0 ? parts.slice(0, -1) : parts),
  };
}

const lostDelete = (): Plant => ({ write: (parts) => parts.filter(({ kind }) => kind === 'insert') });

const lossyCompaction = (): Plant => ({
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
});

const deafCompaction = (): Plant => ({
  node: (inner) => nodeWith(inner, (work) => (work.kind === 'compact' ? { ...work, deletes: [] } : work)),
});

const earlyRetirement = (): Plant => ({
  async gc({ life }) {
    const { catalog } = life.planes;
    const [deletes] = catalog.find(segments, 'state', 'flushed').filter(({ level }) => level === 'L0');
    if (deletes !== undefined)
      await catalog.commit([put(segments, { ...deletes, state: 'dropped', droppedAtMs: 0 }, deletes)]);
  },
});

const openGate = (): Plant => ({
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
});

const hastyRead = (): Plant => ({
  patch: () =>
    patched(
      WriteQueue.prototype,
      'read',
      () =>
        <T>(take: () => T) =>
          new Promise<T>((resolve) => resolve(take())),
    ),
});

const node = LocalQueryNode.prototype;
const manager = SnapshotManager.prototype;
const room = CollectionRoom.prototype;

/** A sync answer that is wrong in the first moment of a life only. */
const whenJustUp = <T extends object, K extends keyof T>(
  of: T,
  name: K,
  make: (was: T[K]) => T[K],
): Plant => ({
  patch: (world) =>
    patched(of, name, (was) => {
      const wrong = make(was) as (...args: unknown[]) => unknown;
      const right = was as (...args: unknown[]) => unknown;
      return function (this: T, ...args: unknown[]) {
        return (isJustUp(world) ? wrong : right).apply(this, args);
      } as T[K];
    }),
});

const answers: readonly Planted[] = [
  {
    name: 'lostRow',
    by: ['exact'],
    says: /^exact: (read|filter|count|search|page|nearest|snapshot) /,
    what: 'a row of an insert is lost',
    make: lostRow,
    isCheap: true,
  },
  {
    name: 'lostDelete',
    by: ['exact'],
    says: /^exact: (read|filter|count|search|page|nearest|snapshot) /,
    what: 'deletes are lost',
    make: lostDelete,
    isCheap: true,
  },
  {
    name: 'hastyRead',
    by: ['exact'],
    says: /^exact: (read|filter|count|search|page|nearest) of/,
    what: 'a read does not wait for the writes before it',
    make: hastyRead,
  },
  {
    name: 'boundlessRead',
    by: ['exact'],
    says: /^exact: filter of/,
    what: 'a filter is not looked at',
    make: () =>
      method(
        node,
        'query',
        (was) =>
          function (this: LocalQueryNode, { filter: _, ...request }) {
            return was.call(this, request);
          },
      ),
  },
  {
    name: 'longPage',
    by: ['exact'],
    says: /^exact: page of/,
    what: 'a page has another row than the first',
    make: () =>
      method(
        node,
        'query',
        (was) =>
          function (this: LocalQueryNode, request) {
            return was.call(this, request.limit === undefined ? request : { ...request, offset: 1 });
          },
      ),
  },
  {
    name: 'miscount',
    by: ['exact'],
    says: /^exact: count of/,
    what: 'a row is counted that is not there',
    make: () =>
      method(
        node,
        'count',
        (was) =>
          async function (this: LocalQueryNode, request) {
            return 1 + (await was.call(this, request));
          },
      ),
  },
  {
    name: 'wrongDistance',
    by: ['exact'],
    says: /^exact: (search|nearest) of/,
    what: 'the distance of a hit is another',
    make: () =>
      method(
        node,
        'search',
        (was) =>
          async function (this: LocalQueryNode, request) {
            const found = await was.call(this, request);
            return { ...found, scores: found.scores.map((score) => score + 1) };
          },
      ),
  },
  {
    name: 'fartherHits',
    by: ['exact'],
    says: /^exact: nearest of/,
    what: 'the nearest row is left out of an exact search',
    make: () =>
      method(
        node,
        'search',
        (was) =>
          function (this: LocalQueryNode, request) {
            return was.call(
              this,
              request.topK > 100 ? request : { ...request, offset: 1, topK: request.topK + 1 },
            );
          },
      ),
  },
  {
    name: 'wholeCollection',
    by: ['exact'],
    says: /^exact: (read|filter|count|search|page|nearest) of/,
    what: 'partitions are not told apart',
    make: () =>
      method(
        node,
        'query',
        (was) =>
          function (this: LocalQueryNode, { partitionIds: _, ...request }) {
            return was.call(this, request);
          },
      ),
  },
  {
    name: 'lostPartition',
    by: ['exact'],
    says: /^exact: partition .* is lost/,
    what: 'a partition is not found',
    make: () =>
      method(
        room,
        'requireReady',
        (was) =>
          function (this: CollectionRoom, at) {
            const info = was.call(this, at);
            return { ...info, partitions: info.partitions.slice(0, 1) };
          },
      ),
  },
  {
    name: 'timeGoesBack',
    by: ['exact'],
    says: /^exact: time went back/,
    what: 'a restart gives out timestamps that were given out before',
    make: () =>
      whenJustUp(
        TimeSource.prototype,
        'next',
        (was) =>
          function (this: TimeSource) {
            return (was.call(this) / 2n) as HybridTime;
          },
      ),
  },
  {
    name: 'swappedNames',
    by: ['exact'],
    says: /^exact: '.*' is another collection/,
    what: 'a name is of another collection after a restart',
    make: () =>
      whenJustUp(
        room,
        'describeCollection',
        (was) =>
          function (this: CollectionRoom, at) {
            const info = was.call(this, at);
            const collectionId = (info.collection.collectionId + 1n) as CollectionId;
            return { ...info, collection: { ...info.collection, collectionId } };
          },
      ),
  },
  {
    name: 'unreadableAfterFaults',
    by: ['ends'],
    says: /^ends: .* cannot be read with faults gone/,
    what: 'reads go on to fail when faults are gone',
    make: () => ({
      patch: (world) =>
        patched(
          node,
          'query',
          (was) =>
            async function (this: LocalQueryNode, request) {
              return isHealed(world) ? failing() : was.call(this, request);
            },
        ),
    }),
  },
];

const captures: readonly Planted[] = [
  {
    name: 'unreadableWhenCompacted',
    by: ['ends'],
    says: /^ends: .* cannot be read when it is compacted/,
    what: 'a collection cannot be read when it is compacted',
    make: () => {
      let isCompacted = false;
      return {
        patch: (world) =>
          all(
            patched(
              Compactor.prototype,
              'compact',
              (was) =>
                function (this: Compactor, request) {
                  isCompacted = isHealed(world);
                  return was.call(this, request);
                },
            ),
            patched(
              node,
              'query',
              (was) =>
                async function (this: LocalQueryNode, request) {
                  return isCompacted ? failing() : was.call(this, request);
                },
            ),
          ),
      };
    },
  },
  {
    name: 'lossyCompaction',
    by: ['exact'],
    says: /^exact: (read|filter|count|search|page|nearest|snapshot) /,
    what: 'a compaction loses rows',
    make: lossyCompaction,
    isCheap: true,
  },
  {
    name: 'deafCompaction',
    by: ['exact'],
    says: /^exact: (read|filter|count|search|page|nearest|snapshot) /,
    what: 'a compaction brings deleted rows back',
    make: deafCompaction,
    isCheap: true,
  },
  {
    name: 'earlyRetirement',
    by: ['exact'],
    says: /^exact: (read|filter|count|search|page|nearest|snapshot) /,
    what: 'deletes are retired too early',
    make: earlyRetirement,
    isCheap: true,
    from: 3,
  },
  {
    name: 'openGate',
    by: ['exact', 'kept', 'broken'],
    says: /snapshot|protected|assert/i,
    what: 'a compaction is committed while a snapshot is captured: by what the snapshot holds, by a protected segment that goes, or by an assertion of the capture',
    make: openGate,
  },
  {
    name: 'hastyCapture',
    by: ['exact'],
    says: /^exact: snapshot .* of .*: key/,
    what: 'a snapshot is captured without the rows that are not flushed yet',
    make: () => ({
      patch: ({ catalogNow }) =>
        patched(
          SegmentRoom.prototype,
          'flushAll',
          (was) =>
            async function (this: SegmentRoom, collectionId) {
              const before = new Set(catalogNow().find(segments, 'collection', collectionId));
              const sealTs = await was.call(this, collectionId);
              const fresh = catalogNow()
                .find(segments, 'collection', collectionId)
                .find(
                  (segment) => !before.has(segment) && segment.state === 'flushed' && segment.rowCount > 0,
                );
              if (fresh !== undefined)
                await catalogNow().commit([
                  put(segments, { ...fresh, state: 'dropped', droppedAtMs: 0 }, fresh),
                ]);
              return sealTs;
            },
        ),
    }),
  },
  {
    name: 'timelessSnapshot',
    by: ['exact'],
    says: /^exact: snapshot .* is of 1, not of/,
    what: 'a snapshot is of another moment than its create',
    make: () =>
      commits((changes) =>
        rewritten(changes, snapshots, (is, was) =>
          was?.state === 'pending' && is.state === 'committed' ? { ...is, createTs: 1n as HybridTime } : is,
        ),
      ),
  },
  {
    name: 'unprotectedSnapshot',
    by: ['exact'],
    says: /^exact: snapshot .* is protected until 0/,
    what: 'the protection that was asked for is forgotten',
    make: () =>
      commits((changes) =>
        rewritten(changes, snapshots, (is, was) =>
          was?.state === 'pending' && is.state === 'committed'
            ? { ...is, compactionProtectedUntilMs: 0 }
            : is,
        ),
      ),
  },
  {
    name: 'emptyAnswer',
    by: ['exact'],
    says: /^exact: snapshot .* of .* is not listed$/,
    what: 'a create is answered and nothing is made',
    make: () => {
      let creates = 0;
      return method(
        manager,
        'create',
        (was) =>
          function (this: SnapshotManager, request) {
            return ++creates % 4 === 0 ? Promise.resolve(77n as SnapshotId) : was.call(this, request);
          },
      );
    },
  },
  {
    name: 'twoSnapshots',
    by: ['exact'],
    says: /^exact: two creates of snapshot/,
    what: 'two creates of one name both win',
    make: () => {
      const running = new Map<string, Promise<SnapshotId>>();
      return method(
        manager,
        'create',
        (was) =>
          function (this: SnapshotManager, request) {
            const name = `${request.at.name}/${request.name}`;
            const creating = running.get(name) ?? was.call(this, request).finally(() => running.delete(name));
            running.set(name, creating);
            return creating;
          },
      );
    },
  },
  {
    name: 'noSnapshot',
    by: ['exact'],
    says: /^exact: no create of snapshot/,
    what: 'of two creates of one name none wins',
    make: () => {
      const asked = new Map<string, number>();
      return {
        patch: (world) =>
          patched(
            manager,
            'create',
            (was) =>
              async function (this: SnapshotManager, request) {
                const name = `${request.at.name}/${request.name}`;
                asked.set(name, (asked.get(name) ?? 0) + 1);
                await world.sleep(5);
                const isAlone = asked.get(name) === 1;
                await world.sleep(5);
                asked.delete(name);
                if (!isAlone) throw new DbError('parameter-invalid', `${name} already exists`);
                return was.call(this, request);
              },
          ),
      };
    },
  },
  {
    name: 'noSnapshotAfterFaults',
    by: ['ends'],
    says: /^ends: no snapshot of .* can be made/,
    what: 'no snapshot can be made when faults are gone',
    make: () => ({
      patch: (world) =>
        patched(
          manager,
          'create',
          (was) =>
            async function (this: SnapshotManager, request) {
              return isHealed(world) ? failing() : was.call(this, request);
            },
        ),
    }),
  },
  {
    name: 'lostSnapshot',
    by: ['exact'],
    says: /^exact: snapshot .* of .* is lost/,
    what: 'a snapshot is not there after a restart',
    make: () =>
      whenJustUp(
        manager,
        'list',
        (was) =>
          function (this: SnapshotManager, at) {
            return was.call(this, at).slice(1);
          },
      ),
  },
];

export const rowPlants: readonly Planted[] = [...answers, ...captures];
