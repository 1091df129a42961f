/** Planted bugs of in-place restores and of drills. */
import { type Change, put, remove } from '../../src/catalog/catalog.ts';
import { type CopyJob, copyJobs, isOpen } from '../../src/coordinator/copy-segment/job.ts';
import { InPlaceRestores } from '../../src/coordinator/restore/in-place.ts';
import { pins } from '../../src/coordinator/snapshot/record.ts';
import { collections, segments } from '../../src/coordinator/tables.ts';
import type { CollectionRecord } from '../../src/model/records.ts';
import { type SegmentFingerprint, WorkerFingerprints } from '../../src/segment/fingerprint.ts';
import { commits, method, of, type Planted, rewritten, without } from './plants.ts';

type Stage = 'swapped' | 'confirmed' | 'reverted';

/** The in-place job that this commit takes to a stage. */
const taken = (changes: readonly Change[], stage: Stage): CopyJob | undefined =>
  of(changes, copyJobs).find(({ was, is }) => stageOf(is) === stage && stageOf(was) !== stage)?.is;
const stageOf = (job: CopyJob | undefined) =>
  job?.purpose?.kind === 'in-place' ? job.purpose.stage : undefined;
/** The drill that this commit completes. */
const drilled = (changes: readonly Change[]): boolean =>
  of(changes, copyJobs).some(
    ({ was, is }) =>
      is?.purpose?.kind === 'drill' && is.state === 'completed' && was !== undefined && isOpen(was),
  );

const prints = WorkerFingerprints.prototype;
const isGoing = (is: object | undefined): boolean => is === undefined;

/** Another name for a collection that `changes` do not touch. */
const renamed = (record: CollectionRecord | undefined, name: string): readonly Change[] =>
  record === undefined ? [] : [put(collections, { ...record, name }, record)];

const swaps: readonly Planted[] = [
  {
    name: 'swappedTooEarly',
    by: ['whole'],
    says: /^whole: .* is another before its restore is completed/,
    what: 'names are swapped while the new side is not complete',
    from: 19,
    make: () =>
      commits((changes, catalog) => {
        const found = of(changes, copyJobs).find(
          ({ was, is }) => was?.state === 'pending' && is?.state === 'executing',
        );
        if (found?.is?.purpose?.kind !== 'in-place') return changes;
        const { purpose, sourceCollectionId, collectionId } = found.is;
        return [
          ...changes,
          ...renamed(catalog.get(collections, sourceCollectionId), purpose.keptName),
          ...renamed(catalog.get(collections, collectionId), purpose.name),
        ];
      }),
  },
  {
    name: 'unswappedNames',
    by: ['whole'],
    says: /^whole: .* is not what was restored/,
    what: 'a swap is said to be done and the names are what they were',
    from: 13,
    make: () =>
      commits((changes) =>
        taken(changes, 'swapped') === undefined ? changes : without(changes, collections, () => true),
      ),
  },
  {
    name: 'purposelessSwap',
    by: ['ends'],
    says: /^ends: swap \d+ is forgotten/,
    what: 'a swap is forgotten before it is decided on',
    from: 13,
    make: () =>
      commits((changes) =>
        taken(changes, 'swapped') === undefined
          ? changes
          : rewritten(changes, copyJobs, ({ purpose: _, ...is }) => is),
      ),
  },
  {
    name: 'hastyConfirm',
    by: ['exact', 'ends'],
    says: /is refused: collection-not-found|cannot be read|is lost/,
    what: 'the old side is dropped before the swap is confirmed',
    from: 13,
    make: () =>
      commits((changes) => {
        const job = taken(changes, 'swapped');
        const isOld = (record: object | undefined): boolean =>
          job !== undefined &&
          (record as CollectionRecord | undefined)?.collectionId === job.sourceCollectionId;
        return changes.map((each) =>
          each.table === collections && isOld(each.was)
            ? remove(collections, each.was as CollectionRecord)
            : each,
        );
      }),
  },
  {
    name: 'leftOldSide',
    by: ['clean'],
    says: /^clean: .* is there after (confirm|revert)/,
    what: 'a decision drops nothing',
    from: 13,
    make: () =>
      commits((changes) =>
        taken(changes, 'confirmed') === undefined && taken(changes, 'reverted') === undefined
          ? changes
          : without(changes, collections, isGoing),
      ),
  },
  {
    name: 'namelessRevert',
    by: ['whole'],
    says: /^whole: .* is another after revert/,
    what: 'a revert does not give the old collection its name back',
    from: 19,
    make: () =>
      commits((changes) =>
        taken(changes, 'reverted') === undefined
          ? changes
          : without(changes, collections, (is) => !isGoing(is)),
      ),
  },
  {
    name: 'lossyRevert',
    by: ['exact'],
    says: /^exact: read of/,
    what: 'a revert loses rows of the old collection',
    from: 19,
    make: () =>
      commits((changes, catalog) => {
        const job = taken(changes, 'reverted');
        const lost =
          job &&
          catalog
            .find(segments, 'collection', job.sourceCollectionId)
            .find(({ state, level }) => state === 'flushed' && level === 'L1');
        return lost === undefined
          ? changes
          : [...changes, put(segments, { ...lost, state: 'dropped', droppedAtMs: 0 }, lost)];
      }),
  },
  {
    name: 'swappedAllTheSame',
    by: ['whole'],
    says: /^whole: .* has failed, and is another/,
    what: 'an in-place restore that fails takes the name all the same',
    from: 34,
    make: () =>
      commits((changes, catalog) => {
        const failed = of(changes, copyJobs).find(({ is }) => is?.state === 'failed' && !is.isTidy)?.is;
        return failed?.purpose?.kind === 'in-place'
          ? [
              ...changes,
              ...renamed(catalog.get(collections, failed.sourceCollectionId), failed.purpose.keptName),
            ]
          : changes;
      }),
  },
  {
    name: 'endlessSwap',
    by: ['ends'],
    says: /^ends: .* did not end/,
    what: 'names are never swapped',
    from: 13,
    make: () => method(InPlaceRestores.prototype, 'swap', () => () => Promise.resolve()),
  },
];

const drills: readonly Planted[] = [
  {
    name: 'blindDrill',
    by: ['exact'],
    says: /^exact: drill \d+ finds its copy right/,
    what: 'a drill compares no rows of the copy',
    make: () => {
      // By the checksum on record, which both sides have in common.
      const known = new Map<number, SegmentFingerprint>();
      return method(
        prints,
        'of',
        (was) =>
          async function (this: WorkerFingerprints, file, signal) {
            const found = known.get(file.crc32) ?? (await was.call(this, file, signal));
            known.set(file.crc32, found);
            return found;
          },
      );
    },
  },
  {
    name: 'anxiousDrill',
    by: ['ends'],
    says: /^ends: drill failed: the restored copy differs/,
    what: 'a drill finds differences that are not there',
    make: () => {
      let digests = 0;
      return method(
        prints,
        'of',
        (was) =>
          async function (this: WorkerFingerprints, file, signal) {
            const found = await was.call(this, file, signal);
            return { ...found, digest: `${found.digest}${++digests}` };
          },
      );
    },
  },
  {
    name: 'contradictoryDrill',
    by: ['exact'],
    says: /^exact: drill \d+: planted/,
    what: 'a drill is completed and its copy is not the same',
    make: () =>
      commits((changes) =>
        drilled(changes)
          ? rewritten(changes, copyJobs, (is) =>
              is.purpose?.kind === 'drill' && is.purpose.outcome !== undefined
                ? {
                    ...is,
                    purpose: {
                      ...is.purpose,
                      outcome: { ...is.purpose.outcome, isSame: false, differences: ['planted'] },
                    },
                  }
                : is,
            )
          : changes,
      ),
  },
  {
    name: 'leftCopy',
    by: ['clean'],
    says: /^clean: drill \d+ leaves its copy/,
    what: 'a drill leaves its target',
    make: () => commits((changes) => (drilled(changes) ? without(changes, collections, isGoing) : changes)),
  },
  {
    name: 'leftDrillPin',
    by: ['clean'],
    says: /^clean: job \d+ has ended and its pin is left/,
    what: 'a drill leaves its pin',
    make: () => commits((changes) => (drilled(changes) ? without(changes, pins, isGoing) : changes)),
  },
];

export const asidePlants: readonly Planted[] = [...swaps, ...drills];
