/** Planted bugs of what is kept and of what goes: garbage, pins, references; and of what is said of snapshots. */
import { put } from '../../src/catalog/catalog.ts';
import { CollectionRoom } from '../../src/coordinator/collections/collections.ts';
import { Compactor } from '../../src/coordinator/compaction/compactor.ts';
import { CopySegmentChecker } from '../../src/coordinator/copy-segment/checker.ts';
import { copyJobs } from '../../src/coordinator/copy-segment/job.ts';
import { copyTasks } from '../../src/coordinator/copy-segment/task.ts';
import { CatalogMarks } from '../../src/coordinator/gc/marks.ts';
import { ObjectRemover } from '../../src/coordinator/gc/remover.ts';
import { SnapshotDiffer } from '../../src/coordinator/snapshot/diff.ts';
import { SnapshotManager } from '../../src/coordinator/snapshot/manager.ts';
import { SnapshotReferences } from '../../src/coordinator/snapshot/meta.ts';
import { Pins } from '../../src/coordinator/snapshot/pins.ts';
import { pins, type SnapshotRecord, snapshots } from '../../src/coordinator/snapshot/record.ts';
import { SnapshotRemoval } from '../../src/coordinator/snapshot/removal.ts';
import { SnapshotReports } from '../../src/coordinator/snapshot/report.ts';
import { SnapshotVerifier } from '../../src/coordinator/snapshot/verify.ts';
import { VerifyPin } from '../../src/coordinator/snapshot/verify-pin.ts';
import { collections, indexes, partitions, segments } from '../../src/coordinator/tables.ts';
import { DbError } from '../../src/errors/db-error.ts';
import type { HybridTime } from '../../src/model/hybrid-time.ts';
import type { BuildId, CollectionId, JobId, PinId, SegmentId } from '../../src/model/ids.ts';
import { snapshotManifestKey } from '../../src/storage/keys.ts';
import {
  all,
  commits,
  emptied,
  failing,
  isHealed,
  method,
  type Plant,
  type Planted,
  patched,
  rewritten,
  storeWith,
  without,
} from './plants.ts';
import type { World } from './world.ts';

const droppedCopy = (): Plant => ({
  store: (inner) =>
    storeWith(inner, {
      copy: async (from, to, options) => {
        const result = await inner.copy(from, to, options);
        if (to.endsWith('rows.parquet')) await inner.delete(to);
        return result;
      },
    }),
});

const blindCollector = (): Plant => ({
  async gc(world) {
    for (const { files } of world.droppedSegments())
      for (const { key } of files) await world.disks.store.delete(key);
  },
});

const greedyCollector = (): Plant => ({
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
});

const carelessCollector = (): Plant => ({
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
});

const blindCompaction = (): Plant => ({
  patch: () => patched(SnapshotReferences.prototype, 'isProtected', () => () => false),
});

const leftPin = (): Plant => ({ patch: () => patched(Pins.prototype, 'releasing', () => () => []) });

const lazyCancel = (): Plant => ({
  patch: () => patched(ObjectRemover.prototype, 'removeBelow', () => () => Promise.resolve()),
});

const stickyObject = (): Plant => ({
  store: (inner) =>
    storeWith(inner, {
      delete: (key) => (key.endsWith('stats.bin') ? Promise.resolve() : inner.delete(key)),
    }),
});

const references = SnapshotReferences.prototype;
const manager = SnapshotManager.prototype;
const isGoing = (is: object | undefined): boolean => is === undefined;

/** Damages one object of a committed snapshot on the disks, once. */
const rot = (
  keysOf: (world: World) => readonly string[],
  damage: (world: World, key: string) => Promise<void>,
): Plant => {
  let isDone = false;
  return {
    async gc(world) {
      const key = isDone || !world.life.hasBegun ? undefined : keysOf(world)[0];
      if (key === undefined) return;
      isDone = true;
      await damage(world, key);
    },
  };
};
const manifestKeys = ({ catalogNow }: World) =>
  catalogNow()
    .find(snapshots, 'state', 'committed')
    .filter(({ manifestCount }) => manifestCount > 0)
    .map(({ collectionId, snapshotId }) => snapshotManifestKey(collectionId, snapshotId, 0));
const flipped = async ({ disks }: World, key: string) =>
  void (await disks.store.put(
    key,
    (await disks.store.get(key)).map((byte, i) => (i === 3 ? byte ^ 1 : byte)),
  ));

const tornManifest = (): Plant => ({
  store: (inner) =>
    storeWith(inner, {
      async put(key, bytes) {
        const meant = await inner.put(key, bytes);
        if (key.includes('/manifests/')) await inner.put(key, bytes.slice(0, -1));
        return meant;
      },
    }),
});

const keeping: readonly Planted[] = [
  {
    name: 'droppedCopy',
    by: ['kept'],
    says: /^kept: object .* is needed and missing/,
    what: 'a copy was not made',
    make: droppedCopy,
    isCheap: true,
  },
  {
    name: 'blindCollector',
    by: ['kept'],
    says: /^kept: object .* is needed and missing/,
    what: 'a collector asks no snapshot',
    make: blindCollector,
    isCheap: true,
  },
  {
    name: 'greedyCollector',
    by: ['kept'],
    says: /^kept: object .* of a .* segment is being deleted/,
    what: 'a collector takes what a compaction is writing',
    make: greedyCollector,
    isCheap: true,
    from: 8,
  },
  {
    name: 'carelessCollector',
    by: ['kept'],
    says: /^kept: (object .* of snapshot .* is being deleted|object .* is needed and missing|what .* counts as known)/,
    what: 'a collector takes what it does not know to be needed',
    make: carelessCollector,
    isCheap: true,
  },
  {
    name: 'blindCompaction',
    by: ['kept'],
    says: /^kept: segment \d+, protected by/,
    what: 'protected segments are compacted',
    make: blindCompaction,
    isCheap: true,
  },
  {
    name: 'lostManifest',
    by: ['kept'],
    says: /^kept: (object .*manifests.* is needed and missing|snapshot .*manifests)/,
    what: 'a manifest goes while its snapshot stays',
    make: () => rot(manifestKeys, ({ disks }, key) => disks.store.delete(key)),
  },
  {
    name: 'rottenManifest',
    by: ['kept'],
    says: /^kept: object .*manifests.* has another checksum/,
    what: 'a manifest is not what was written',
    make: () => rot(manifestKeys, flipped),
  },
  {
    name: 'tornManifest',
    by: ['kept'],
    says: /^kept: snapshot .* cannot be read/,
    what: 'a manifest is not written as it was meant',
    make: tornManifest,
  },
  {
    name: 'tornManifestOfOthers',
    by: ['kept'],
    says: /^kept: snapshot \w+: /,
    what: 'the manifest of a snapshot that nobody looks into is not what was written',
    make: () => ({
      async gc(world) {
        const { life, disks } = world;
        const [collection] = [...world.catalogNow().all(collections)];
        if (!life.hasBegun || collection === undefined) return;
        const at = { database: '', name: collection.name };
        await world.ask(life, () =>
          life.planes.coordinator.createSnapshot({
            at,
            name: 'ghost',
            description: '',
            compactionProtectionSeconds: 0,
          }),
        );
        const isGhost = ({ name, manifestCount }: SnapshotRecord) => name === 'ghost' && manifestCount > 0;
        const ghost = world.catalogNow().find(snapshots, 'state', 'committed').find(isGhost);
        if (ghost === undefined) return;
        const key = snapshotManifestKey(ghost.collectionId, ghost.snapshotId, 0);
        await disks.store.put(key, new Uint8Array(1));
      },
    }),
  },
  {
    name: 'heldObject',
    by: ['kept'],
    says: /^kept: object .* of snapshot \d+ is being deleted/,
    what: 'a collector deletes the objects of a snapshot',
    make: () => method(references, 'countOf', () => () => 0),
  },
  {
    name: 'hastyReferences',
    by: ['kept'],
    says: /^kept: what .* needs counts as known/,
    what: 'a snapshot that cannot be read counts as known',
    make: () =>
      method(
        references,
        'isSegmentReferenced',
        (was) =>
          function (this: SnapshotReferences, collectionId, segmentId) {
            return segmentId !== 0n && was.call(this, collectionId, segmentId);
          },
      ),
  },
  {
    name: 'singleLook',
    by: ['ends'],
    says: /^ends: references of .* stay unknown/,
    what: 'references that could not be read are never read again',
    make: () => method(references, 'load', () => () => Promise.resolve()),
  },
];

const pinning: readonly Planted[] = [
  {
    name: 'shortPin',
    by: ['kept'],
    says: /^kept: pinned snapshot .* was dropped/,
    what: 'a pin ends before its time',
    make: () =>
      method(
        Pins.prototype,
        'active',
        (was) =>
          function (this: Pins, snapshotId) {
            return was.call(this, snapshotId).filter(({ expiresAtMs }) => expiresAtMs === undefined);
          },
      ),
  },
  {
    name: 'eternalPin',
    by: ['exact'],
    says: /^exact: drop-snapshot of .* is refused: snapshot-pinned/,
    what: 'a pin holds beyond its time',
    make: () =>
      method(
        Pins.prototype,
        'active',
        () =>
          function (this: Pins, snapshotId) {
            return this.of(snapshotId);
          },
      ),
  },
  {
    name: 'orphanedSnapshot',
    by: ['kept'],
    says: /^kept: pinned snapshot .* went with its collection/,
    what: 'a pinned snapshot goes with its collection',
    make: () => {
      let dropping = 0;
      return {
        patch: () =>
          all(
            patched(
              Pins.prototype,
              'active',
              (was) =>
                function (this: Pins, snapshotId) {
                  return dropping > 0 ? [] : was.call(this, snapshotId);
                },
            ),
            patched(
              SnapshotRemoval.prototype,
              'dropAllOf',
              (was) =>
                async function (this: SnapshotRemoval, id) {
                  dropping++;
                  try {
                    await was.call(this, id);
                  } finally {
                    dropping--;
                  }
                },
            ),
          ),
      };
    },
  },
  {
    name: 'moodyPin',
    by: ['exact'],
    says: /^exact: pin .* is refused/,
    what: 'a call is refused that nothing excuses',
    make: () =>
      method(manager, 'pin', () => () => Promise.reject(new DbError('parameter-invalid', 'planted'))),
  },
  {
    name: 'leftPin',
    by: ['clean'],
    says: /^clean: job \d+ has ended and its pin is left/,
    what: 'the end of a restore leaves its pin',
    make: leftPin,
    isCheap: true,
  },
  {
    name: 'leftVerifyPin',
    by: ['clean'],
    says: /^clean: the verification of .* has ended and its pin is left/,
    what: 'a verification leaves its pin',
    make: () => method(VerifyPin.prototype, 'release', () => () => Promise.resolve()),
  },
];

/** Nothing left is taken away: what removes records of a table does not. */
const unremoved =
  (
    table: Parameters<typeof without>[1],
    isMeant: (was: { readonly state?: string } | undefined) => boolean = () => true,
  ): (() => Plant) =>
  () =>
    commits((changes) =>
      without(
        changes,
        table,
        (is, was) =>
          isGoing(is as object | undefined) && isMeant(was as { readonly state?: string } | undefined),
      ),
    );

const cleaning: readonly Planted[] = [
  {
    name: 'lazyCancel',
    by: ['clean'],
    says: /^clean: job \d+ was cancelled and leaves segments/,
    what: 'a cancel leaves what was copied',
    make: lazyCancel,
    from: 10,
  },
  {
    name: 'stickyObject',
    by: ['clean'],
    says: /^clean: objects nothing needs/,
    what: 'an object is not deleted',
    make: stickyObject,
    isCheap: true,
  },
  {
    name: 'leftTemporaries',
    by: ['clean'],
    says: /^clean: temporaries are left/,
    what: 'temporary files stay',
    make: () => ({ store: (inner) => storeWith(inner, { deleteTemporary: () => Promise.resolve() }) }),
  },
  {
    name: 'halfDroppedSnapshot',
    by: ['clean'],
    says: /^clean: snapshot .* is deleting/,
    what: 'the drop of a snapshot is not finished',
    make: () => method(SnapshotRemoval.prototype, 'finish', () => () => Promise.resolve()),
  },
  {
    name: 'outlivingSnapshot',
    by: ['clean'],
    says: /^clean: objects left when everything is dropped/,
    what: 'a snapshot outlives its collection and its last pin',
    make: () => method(SnapshotRemoval.prototype, 'hasOutlived', () => () => false),
  },
  {
    name: 'ghostJob',
    by: ['clean'],
    says: /^clean: job \d+ is pending/,
    what: 'a job that nobody asked for stays open',
    make: () => {
      let hasCome = false;
      return {
        patch: () =>
          patched(
            CopySegmentChecker.prototype,
            'pass',
            (was) =>
              function (this: CopySegmentChecker) {
                return hasCome ? Promise.resolve() : was.call(this);
              },
          ),
        async gc(world) {
          if (hasCome || !isHealed(world)) return;
          const [job] = [...world.catalogNow().all(copyJobs)].filter(({ state }) => state === 'completed');
          if (job === undefined) return;
          hasCome = true;
          const jobId = (job.jobId + 1_000_000_000n) as JobId;
          await world.catalogNow().commit([put(copyJobs, { ...job, jobId, state: 'pending' }, undefined)]);
        },
      };
    },
  },
  {
    name: 'leftTasks',
    by: ['clean'],
    says: /^clean: \d+ copy tasks are left/,
    what: 'tasks of ended jobs stay',
    make: unremoved(copyTasks),
  },
  {
    name: 'strayPin',
    by: ['clean'],
    says: /^clean: pin \d+ of a restore is left/,
    what: 'a pin of no restore is left',
    make: () => ({
      async gc(world) {
        const [record] = world.catalogNow().find(snapshots, 'state', 'committed');
        if (!isHealed(world) || record === undefined) return;
        const pinId = BigInt(world.random.below(1_000_000_000)) as PinId;
        const { snapshotId } = record;
        const owner = { kind: 'restore', jobId: 1n as JobId } as const;
        await world.catalogNow().commit([put(pins, { pinId, snapshotId, owner, createdAtMs: 0 }, undefined)]);
      },
    }),
  },
  {
    name: 'leftPartitions',
    by: ['clean'],
    says: /^clean: partition \d+ has no collection/,
    what: 'partitions of a dropped collection stay',
    make: unremoved(partitions),
  },
  {
    name: 'leftIndexes',
    by: ['clean'],
    says: /^clean: index \d+ has no collection/,
    what: 'indexes of a dropped collection stay',
    make: unremoved(indexes),
  },
  {
    name: 'leftWriting',
    by: ['clean'],
    says: /^clean: segment \d+ is still being written/,
    what: 'what a compaction was writing stays',
    make: () =>
      commits((changes) =>
        without(
          changes,
          segments,
          (is, was) => was?.state === 'writing' && (is === undefined || is.state === 'dropped'),
        ),
      ),
  },
  {
    name: 'leftDropped',
    by: ['clean'],
    says: /^clean: segment \d+ is dropped, and nothing needs it/,
    what: 'dropped segments stay',
    make: unremoved(segments, (was) => was?.state === 'dropped'),
  },
  {
    name: 'leftSegments',
    by: ['clean'],
    says: /^clean: segment \d+, \w+, has no collection/,
    what: 'segments of a dropped collection stay as they are',
    make: () =>
      commits((changes, catalog) =>
        without(
          changes,
          segments,
          (is, was) =>
            was?.state === 'flushed' &&
            is?.state !== 'flushed' &&
            catalog.get(collections, was.collectionId) === undefined,
        ),
      ),
  },
  {
    name: 'leftMark',
    by: ['clean'],
    says: /^clean: segment \d+ still names its restore/,
    what: 'a restored segment never becomes an ordinary one',
    make: () =>
      commits((changes) =>
        rewritten(changes, segments, (is, was) =>
          was?.restoreJobId === undefined ? is : { ...is, restoreJobId: was.restoreJobId },
        ),
      ),
  },
  {
    name: 'anxiousHealth',
    by: ['clean'],
    says: /^clean: health has/,
    what: 'somebody is called when nothing is wrong',
    make: () => method(Compactor.prototype, 'troubles', () => () => ['planted']),
  },
  {
    name: 'takenName',
    by: ['clean'],
    says: /^clean: name .* is not free/,
    what: 'the name of something dropped is not free',
    make: () =>
      method(
        CollectionRoom.prototype,
        'createCollection',
        (was) =>
          async function (this: CollectionRoom, request) {
            if (request.name.startsWith('zoo')) throw new DbError('collection-duplicate', 'planted');
            return was.call(this, request);
          },
      ),
  },
  {
    name: 'stuckDrop',
    by: ['ends'],
    says: /^ends: .* cannot be dropped with faults gone/,
    what: 'a collection cannot be dropped',
    make: () => ({
      patch: (world) =>
        patched(
          CollectionRoom.prototype,
          'dropCollection',
          (was) =>
            async function (this: CollectionRoom, at) {
              return isHealed(world) ? failing() : was.call(this, at);
            },
        ),
    }),
  },
];

const telling: readonly Planted[] = [
  {
    name: 'anxiousVerify',
    by: ['kept'],
    says: /^kept: .* does not verify/,
    what: 'a verification names an object that is whole',
    make: () =>
      method(
        SnapshotVerifier.prototype,
        'verify',
        (was) =>
          async function* (this: SnapshotVerifier, ...args) {
            yield {
              kind: 'problem',
              key: 'planted',
              object: 'rows',
              problem: 'corrupt',
              detail: '',
            } as const;
            yield* was.apply(this, args);
          },
      ),
  },
  {
    name: 'blindVerify',
    by: ['kept'],
    says: /^kept: .* verifies, and .* is damaged/,
    what: 'a verification passes over a damaged object',
    make: () =>
      method(
        SnapshotVerifier.prototype,
        'verify',
        (was) =>
          async function* (this: SnapshotVerifier, ...args) {
            for await (const step of was.apply(this, args)) if (step.kind !== 'problem') yield step;
          },
      ),
  },
  {
    name: 'wrongAccount',
    by: ['exact'],
    says: /^exact: .* costs .* and shares/,
    what: 'the account of a snapshot is wrong',
    make: () =>
      method(
        SnapshotReports.prototype,
        'report',
        (was) =>
          async function (this: SnapshotReports, at) {
            const { content, ...rest } = await was.call(this, at);
            return content === undefined
              ? rest
              : { ...rest, content: { ...content, exclusiveBytes: content.exclusiveBytes + 1 } };
          },
      ),
  },
  {
    name: 'lyingDiff',
    by: ['exact'],
    says: /^exact: .* are said to differ otherwise/,
    what: 'a comparison of two snapshots leaves out what was added',
    make: () =>
      method(
        SnapshotDiffer.prototype,
        'diff',
        (was) =>
          async function (this: SnapshotDiffer, ...args) {
            const told = await was.apply(this, args);
            return { ...told, segments: { ...told.segments, added: told.segments.added.slice(1) } };
          },
      ),
  },
  {
    name: 'unlistedSnapshot',
    by: ['exact'],
    says: /^exact: .* of .* is not listed right/,
    what: 'a snapshot is not listed',
    make: () =>
      method(
        manager,
        'list',
        (was) =>
          function (this: SnapshotManager, at) {
            return was.call(this, at).slice(0, -1);
          },
      ),
  },
  {
    name: 'misdescribed',
    by: ['exact'],
    says: /^exact: .* of .* is not described right/,
    what: 'a snapshot is described as of another moment',
    make: () =>
      method(
        manager,
        'describe',
        (was) =>
          function (this: SnapshotManager, at, name) {
            const info = was.call(this, at, name);
            return { ...info, createTs: (info.createTs + 1n) as HybridTime };
          },
      ),
  },
];

export const keptPlants: readonly Planted[] = [...keeping, ...pinning, ...cleaning, ...telling];
