import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Catalog, put } from '../../catalog/catalog.ts';
import { MemoryKv } from '../../catalog/memory.ts';
import type { CollectionId, SegmentId, SnapshotId } from '../../model/ids.ts';
import { type SnapshotRecord, snapshots } from '../snapshot/record.ts';
import { coreTables } from '../tables.ts';
import { CatalogMarks, type MarkParts } from './marks.ts';

const collectionId = 1n as CollectionId;
const segmentId = 3n as SegmentId;

interface Given {
  readonly state: SnapshotRecord['state'];
  /** Its collection is gone, and nobody holds it. */
  readonly isOutlived?: boolean;
  readonly isCreating?: boolean;
}

/** Snapshots 1, 2, … of one collection, called a, b, …, which all hold the segment. */
async function marksOf(given: readonly Given[], isLoaded: boolean, foresees = true): Promise<CatalogMarks> {
  const tables = [...coreTables, snapshots];
  const catalog = await Catalog.open({ kv: new MemoryKv(), tables, highWater: () => 0n });
  const idOf = (i: number) => BigInt(i + 1) as SnapshotId;
  for (const [i, { state }] of given.entries()) {
    const record = { snapshotId: idOf(i), collectionId, name: 'abc'[i], state, manifestCount: 1 };
    await catalog.commitSure([put(snapshots, record as unknown as SnapshotRecord, undefined)]);
  }
  const of = (id: SnapshotId) => given[Number(id) - 1];
  const parts = {
    catalog,
    references: {
      isLoaded: () => isLoaded,
      countOf: () => given.length,
      snapshotsOf: () => given.map((_, i) => idOf(i)),
    },
    removal: {
      isCreating: (id: SnapshotId) => of(id)?.isCreating === true,
      hasOutlived: ({ snapshotId }: SnapshotRecord) => of(snapshotId)?.isOutlived === true,
    },
  };
  return new CatalogMarks(parts as unknown as MarkParts, { foresees });
}

const lasting = { state: 'committed' } as const;
const outlived = { state: 'committed', isOutlived: true } as const;

// What cannot be read; whether what the collection's snapshots need is known: to a dry run, and to a pass.
const known: readonly (readonly [string, readonly Given[], boolean])[] = [
  ['no snapshot at all', [], true],
  ['one that lasts', [lasting], false],
  ['one that is being created', [{ state: 'pending', isCreating: true }], false],
  ['one whose creation was abandoned', [{ state: 'pending' }], true],
  ['one that is being deleted', [{ state: 'deleting' }], true],
  ['one that has outlived its collection', [outlived], true],
  ['one that lasts beside one that does not', [outlived, lasting], false],
];
for (const [what, given, expected] of known)
  test(`references that are not loaded, of ${what}: a dry run ${expected ? 'foresees that nothing is needed' : 'knows nothing'}`, async () => {
    assert.equal((await marksOf(given, false)).areReferencesKnown(collectionId), expected);
    assert.equal((await marksOf(given, false, false)).areReferencesKnown(collectionId), false);
    assert.equal((await marksOf(given, true)).areReferencesKnown(collectionId), true);
  });

test('a dry run names the snapshots that will still be there; a pass goes by what is there now', async () => {
  const given = [lasting, outlived, lasting];
  const [dry, pass] = [await marksOf(given, true), await marksOf(given, true, false)];
  assert.deepEqual(dry.snapshotsOf(collectionId, segmentId), ["snapshot 'a'", "snapshot 'c'"]);
  assert.equal(pass.snapshotsOf(collectionId, segmentId).length > 0, true);
  assert.deepEqual((await marksOf([outlived], true)).snapshotsOf(collectionId, segmentId), []);
  assert.equal(
    (await marksOf([outlived], true, false)).snapshotsOf(collectionId, segmentId).length > 0,
    true,
  );
});

test('what a snapshot counts as: creating while a create is at work, abandoned after it, deleting once it is foreseen', async () => {
  const stateOf = async (given: Given, foresees: boolean) =>
    (await marksOf([given], true, foresees)).snapshot(1n as SnapshotId)?.state;
  assert.equal(await stateOf({ state: 'pending', isCreating: true }, false), 'creating');
  assert.equal(await stateOf({ state: 'pending' }, false), 'abandoned');
  assert.equal(await stateOf({ state: 'deleting' }, false), 'deleting');
  assert.equal(await stateOf(lasting, true), 'committed');
  assert.equal(await stateOf(outlived, true), 'deleting');
  assert.equal(await stateOf(outlived, false), 'committed');
  assert.equal((await marksOf([], true)).snapshot(1n as SnapshotId), undefined);
});
