import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type {
  BuildId,
  CollectionId,
  FieldId,
  JobId,
  PartitionId,
  SegmentId,
  SnapshotId,
} from '../../model/ids.ts';
import type { SegmentRecord, SegmentState } from '../../model/records.ts';
import {
  deletesKey,
  IDENTITY_KEY,
  indexKey,
  parseKey,
  rowsKey,
  snapshotManifestKey,
  snapshotMetadataKey,
  statsKey,
} from '../../storage/keys.ts';
import { type FoundObject, type MarkedSnapshot, type Marks, recordVerdictOf, verdictOf } from './verdict.ts';

const limits = { dropToleranceMs: 100, missingToleranceMs: 1000 };
const HOUR = 3_600_000;
const NOW = 10 * HOUR;
const collectionId = 1n as CollectionId;
const segmentId = 3n as SegmentId;
const snapshotId = 9n as SnapshotId;
const buildId = 7n as BuildId;
const place = { collectionId, partitionId: 2n as PartitionId, segmentId };
const rows = rowsKey(place);
const otherRows = rowsKey(place, 4);
const index = indexKey(place, 101 as FieldId, buildId);

interface Known {
  readonly segment?: Partial<SegmentRecord>;
  readonly listed?: readonly string[];
  readonly isCollectionGone?: boolean;
  readonly snapshot?: Partial<MarkedSnapshot>;
  readonly areReferencesUnknown?: boolean;
  readonly snapshotsOf?: readonly string[];
  readonly isBuildNeeded?: boolean;
  readonly isBuilding?: boolean;
  readonly restore?: bigint;
}

function segmentOf({ segment, listed = [] }: Known): SegmentRecord | undefined {
  if (segment === undefined) return undefined;
  const file = (key: string) => ({ key, kind: 'rows', sizeBytes: 1, crc32: 0, etag: '' }) as const;
  const files = listed.filter((key) => !key.endsWith('.index')).map(file);
  const indexes = listed.filter((key) => key.endsWith('.index')).map((key) => ({ buildId, file: file(key) }));
  return { ...place, state: 'flushed', files, indexes, ...segment } as unknown as SegmentRecord;
}

function marksOf(known: Known): Marks {
  const segment = segmentOf(known);
  return {
    segment: (id) => (id === segmentId ? segment : undefined),
    hasCollection: () => known.isCollectionGone !== true,
    snapshot: (id) =>
      id === snapshotId && known.snapshot !== undefined
        ? { collectionId, name: 'snap', state: 'committed', manifestCount: 1, ...known.snapshot }
        : undefined,
    areReferencesKnown: () => known.areReferencesUnknown !== true,
    snapshotsOf: () => known.snapshotsOf ?? [],
    isBuildNeeded: () => known.isBuildNeeded === true,
    isBuilding: () => known.isBuilding === true,
    restoreOf: () => known.restore as JobId | undefined,
  };
}

const found = (key: string, ageMs: number, isTemporary = false): FoundObject => ({
  key,
  isTemporary,
  sizeBytes: 1,
  modifiedAtMs: NOW - ageMs,
});

const metadata = snapshotMetadataKey(collectionId, snapshotId);
const manifest = (n: number) => snapshotManifestKey(collectionId, snapshotId, n);
const dropped = { state: 'dropped', droppedAtMs: NOW - 100 } as const;

// What is known, the object, its age, the verdict.
const table: readonly (readonly [string, Known, string, number, string])[] = [
  ['listed by a live segment', { segment: {}, listed: [rows] }, rows, HOUR, 'keep live'],
  ['an index in use', { segment: {}, listed: [index] }, index, HOUR, 'keep live'],
  ['a file that a live segment does not list', { segment: {} }, rows, 100, 'delete stray'],
  ['… not for long', { segment: {} }, rows, 99, 'keep young'],
  ['… that a snapshot may need', { segment: {}, snapshotsOf: ['a'] }, rows, HOUR, 'keep snapshot'],
  [
    '… beside the one it lists, though snapshots need the segment',
    { segment: {}, listed: [rows], snapshotsOf: ['a'] },
    otherRows,
    100,
    'delete stray',
  ],
  ['… not for long', { segment: {}, listed: [rows], snapshotsOf: ['a'] }, otherRows, 99, 'keep young'],
  [
    'dropped, captured, beside the one it lists',
    { segment: dropped, listed: [rows], snapshotsOf: ['a'] },
    otherRows,
    0,
    'delete dropped',
  ],
  ['an index without an entry', { segment: {} }, index, 100, 'delete stray'],
  ['… while one is built', { segment: {}, isBuilding: true }, index, HOUR, 'keep building'],
  [
    '… that a snapshot needs',
    { segment: {}, snapshotsOf: ['a'], isBuildNeeded: true },
    index,
    HOUR,
    'keep snapshot',
  ],
  ['… of a captured segment, built later', { segment: {}, snapshotsOf: ['a'] }, index, HOUR, 'delete stray'],
  ['growing', { segment: { state: 'growing' } }, rows, HOUR, 'keep growing'],
  ['sealed', { segment: { state: 'sealed' } }, rows, HOUR, 'keep sealed'],
  ['the output of a compaction', { segment: { state: 'writing' } }, rows, HOUR, 'keep writing'],
  [
    'the target of a restore',
    { segment: { restoreJobId: 5n as JobId }, restore: 5n },
    rows,
    HOUR,
    'keep restoring',
  ],
  ['a target before its record', { restore: 5n }, rows, HOUR, 'keep restoring'],
  [
    'a target whose job is completed',
    { segment: { restoreJobId: 5n as JobId }, listed: [rows] },
    rows,
    HOUR,
    'keep live',
  ],
  ['dropped', { segment: dropped }, rows, 0, 'delete dropped'],
  ['dropped, listed or not', { segment: dropped, listed: [rows] }, rows, 0, 'delete dropped'],
  ['dropped just now', { segment: { ...dropped, droppedAtMs: NOW - 99 } }, rows, HOUR, 'keep young'],
  ['dropped, nobody knows when', { segment: { state: 'dropped' } }, rows, HOUR, 'keep young'],
  ['dropped, captured', { segment: dropped, snapshotsOf: ['a'] }, rows, HOUR, 'keep snapshot'],
  [
    'dropped, references unknown',
    { segment: dropped, areReferencesUnknown: true },
    rows,
    HOUR,
    'keep references-not-loaded',
  ],
  [
    'live, its collection gone',
    { segment: {}, listed: [rows], isCollectionGone: true },
    rows,
    HOUR,
    'keep young',
  ],
  [
    'live, references unknown',
    { segment: {}, listed: [rows], areReferencesUnknown: true },
    rows,
    0,
    'keep live',
  ],
  ['no record', {}, rows, 1000, 'delete orphan'],
  ['no record, young', {}, rows, 999, 'keep young'],
  ['no record, captured', { snapshotsOf: ['a'] }, rows, HOUR, 'keep snapshot'],
  ['no record, references unknown', { areReferencesUnknown: true }, rows, HOUR, 'keep references-not-loaded'],
  [
    'the record of another place',
    { segment: { partitionId: 8n as PartitionId }, listed: [rows] },
    rows,
    HOUR,
    'delete orphan',
  ],
  ['committed', { snapshot: {} }, metadata, HOUR, 'keep snapshot'],
  ['committed', { snapshot: {} }, manifest(0), HOUR, 'keep snapshot'],
  ['a manifest too many', { snapshot: {} }, manifest(1), HOUR, 'delete stray'],
  ['being created', { snapshot: { state: 'creating' } }, manifest(0), HOUR, 'keep pending-snapshot'],
  ['creation left behind', { snapshot: { state: 'abandoned' } }, manifest(0), 0, 'delete abandoned'],
  [
    'creation left behind, references unknown',
    { snapshot: { state: 'abandoned' }, areReferencesUnknown: true },
    manifest(0),
    0,
    'delete abandoned',
  ],
  [
    'dropped, in a collection that a restore fills',
    { segment: dropped, restore: 5n },
    rows,
    0,
    'delete dropped',
  ],
  [
    'rows that a live segment does not list, while an index is built',
    { segment: {}, isBuilding: true },
    rows,
    100,
    'delete stray',
  ],
  ['deleting', { snapshot: { state: 'deleting' } }, metadata, 0, 'delete deleting-snapshot'],
  [
    'deleting, references unknown',
    { snapshot: { state: 'deleting' }, areReferencesUnknown: true },
    metadata,
    0,
    'delete deleting-snapshot',
  ],
  ['no snapshot', {}, metadata, 1000, 'delete orphan'],
  ['no snapshot, young', {}, metadata, 999, 'keep young'],
  [
    'no snapshot, references unknown',
    { areReferencesUnknown: true },
    metadata,
    HOUR,
    'keep references-not-loaded',
  ],
  ['the marker', {}, IDENTITY_KEY, HOUR, 'keep identity'],
  ['somebody else', {}, 'backup/segments/1/2/3/rows.parquet', 9 * HOUR, 'keep foreign'],
  ['somebody else in our place', { segment: dropped }, 'segments/1/2/3/notes.txt', 9 * HOUR, 'keep foreign'],
];

for (const [what, known, key, ageMs, expected] of table)
  test(`verdict: ${what}, ${parseKey(key).kind}, is ${expected}`, () => {
    const { verdict, reason, detail } = verdictOf(found(key, ageMs), marksOf(known), NOW, limits);
    assert.equal(`${verdict} ${reason}`, expected);
    assert.notEqual(detail, '');
  });

test('a temporary goes when nobody can be writing it any more, however short the tolerance', () => {
  const verdict = (ageMs: number, missingToleranceMs: number) =>
    verdictOf(found('w-1/1', ageMs, true), marksOf({}), NOW, { dropToleranceMs: 0, missingToleranceMs })
      .verdict;
  assert.deepEqual(
    [verdict(HOUR - 1, 0), verdict(HOUR, 0), verdict(HOUR, 2 * HOUR), verdict(2 * HOUR, 2 * HOUR)],
    ['keep', 'delete', 'keep', 'delete'],
  );
});

test('a reason says which snapshots keep an object, and how long it is young', () => {
  const detail = (known: Known, ageMs = 0) =>
    verdictOf(found(rows, ageMs), marksOf(known), NOW, limits).detail;
  const names = ['a', 'b', 'c', 'd', 'e'].map((name) => `snapshot '${name}'`);
  assert.equal(
    detail({ segment: dropped, snapshotsOf: names }),
    "needed by snapshot 'a', snapshot 'b', snapshot 'c' and 2 more",
  );
  assert.equal(
    detail({ segment: dropped, snapshotsOf: names.slice(0, 3) }),
    "needed by snapshot 'a', snapshot 'b', snapshot 'c'",
  );
  for (const [leftMs, text] of [
    [1, '1 s'],
    [119_000, '119 s'],
    [119_001, '2 min'],
    [119 * 60_000, '119 min'],
    [119 * 60_000 + 1, '2 h'],
    [121 * 60_000, '3 h'],
  ] as const)
    assert.equal(
      verdictOf(found(rows, 0), marksOf({}), NOW, { ...limits, missingToleranceMs: leftMs }).detail,
      `no segment 3; stays for ${text} more`,
    );
  assert.equal(detail({}), 'no segment 3; stays for 1 s more');
  assert.match(
    verdictOf(found(rows, 0), marksOf({}), NOW, { ...limits, missingToleranceMs: 24 * HOUR }).detail,
    /stays for 24 h more/,
  );
});

test('without any tolerance what is left of a collection that is gone goes at once', () => {
  const { verdict, reason } = verdictOf(
    found(rows, 0),
    marksOf({ segment: {}, isCollectionGone: true }),
    NOW,
    { ...limits, dropToleranceMs: 0 },
  );
  assert.equal(`${verdict} ${reason}`, 'delete dropped');
});

test('every verdict says to people what it is about', () => {
  const details: readonly (readonly [Known, string, string])[] = [
    [{ segment: {}, listed: [rows] }, rows, 'segment 3'],
    [{ segment: {} }, rows, 'segment 3 does not list it'],
    [{ segment: {}, isBuilding: true }, index, 'an index of segment 3 is being built'],
    [{ segment: { state: 'growing' } }, rows, 'segment 3 is growing'],
    [{ restore: 5n }, rows, 'restore job 5'],
    [{ segment: dropped }, rows, 'segment 3 was dropped'],
    [
      { segment: {}, isCollectionGone: true },
      rows,
      'the collection of segment 3 is gone; stays for 1 s more',
    ],
    [{ areReferencesUnknown: true }, rows, 'what a snapshot of collection 1 needs is not known'],
    [{}, rows, 'no segment 3'],
    [{ snapshot: {} }, metadata, 'a part of snap'],
    [{ snapshot: {} }, manifest(1), "snapshot 'snap' does not list it"],
    [{ snapshot: { state: 'creating' } }, metadata, "snapshot 'snap' is being created"],
    [{ snapshot: { state: 'abandoned' } }, metadata, "the creation of snapshot 'snap' did not end"],
    [{ snapshot: { state: 'deleting' } }, metadata, "snapshot 'snap' is dropped"],
    [{}, metadata, 'no snapshot 9'],
    [{}, IDENTITY_KEY, 'says which catalog the store belongs to'],
    [{}, 'backup/x', 'no key of ours: never deleted'],
  ];
  for (const [known, key, expected] of details)
    assert.equal(verdictOf(found(key, HOUR), marksOf(known), NOW, limits).detail, expected);
});

const states: readonly SegmentState[] = ['growing', 'sealed', 'writing', 'flushed', 'dropped'];
const keys = [
  rows,
  statsKey(place),
  deletesKey(place),
  index,
  metadata,
  manifest(0),
  manifest(1),
  IDENTITY_KEY,
  'segments/1/2/3/x',
];
const flag = fc.boolean();
const names = fc.constantFrom<readonly string[]>([], ['a']);
const knowledge = fc.record({
  segment: fc.option(
    fc.record({
      state: fc.constantFrom(...states),
      droppedAtMs: fc.option(fc.integer({ min: NOW - 200, max: NOW }), { nil: undefined }),
    }),
    { nil: undefined },
  ),
  isOwned: flag,
  listed: fc.subarray([rows, index]),
  isCollectionGone: flag,
  snapshot: fc.option(
    fc.record({
      state: fc.constantFrom<MarkedSnapshot['state']>('creating', 'abandoned', 'committed', 'deleting'),
    }),
    { nil: undefined },
  ),
  areReferencesUnknown: flag,
  snapshotsOf: names,
  isBuildNeeded: flag,
  isBuilding: flag,
  restore: fc.constantFrom(undefined, 5n),
});

test('whatever is known, nothing referenced, live, being built or written, restoring or young is deleted', () => {
  const seen = new Set<string>();
  const property = fc.property(
    knowledge,
    fc.constantFrom(...keys),
    fc.integer({ min: 0, max: 2000 }),
    ({ isOwned, ...rest }, key, ageMs) => {
      const job = isOwned ? { restoreJobId: 5n as JobId } : {};
      const known = { ...rest, segment: rest.segment && { ...rest.segment, ...job } } as Known;
      const { verdict, reason } = verdictOf(found(key, ageMs), marksOf(known), NOW, limits);
      seen.add(`${verdict} ${reason}`);
      if (verdict === 'keep') return;
      const { kind } = parseKey(key);
      assert.ok(kind !== 'identity' && kind !== 'foreign');
      if (kind === 'snapshot-metadata' || kind === 'snapshot-manifest') {
        assert.notEqual(known.snapshot?.state, 'creating');
        if (known.snapshot?.state === 'committed')
          assert.ok(kind === 'snapshot-manifest' && key === manifest(1));
        if (known.snapshot === undefined) assert.ok(ageMs >= limits.missingToleranceMs);
        if (!['abandoned', 'deleting-snapshot'].includes(reason)) assert.ok(!known.areReferencesUnknown);
        return;
      }
      assert.ok(!known.areReferencesUnknown, 'references unknown');
      const isNeeded = (known.snapshotsOf ?? []).length > 0 && (kind !== 'index' || known.isBuildNeeded);
      assert.ok(!isNeeded, 'a snapshot needs it');
      const { segment } = known;
      if (segment === undefined) {
        assert.ok(known.restore === undefined && ageMs >= limits.missingToleranceMs);
        return;
      }
      assert.ok(segment.state === 'flushed' || segment.state === 'dropped', 'not flushed yet');
      assert.ok(!(isOwned && known.restore !== undefined), 'being restored');
      assert.ok(kind !== 'index' || known.isBuilding !== true, 'being built');
      if (segment.state === 'dropped')
        assert.ok((segment.droppedAtMs ?? NOW) <= NOW - limits.dropToleranceMs, 'dropped just now');
      else {
        assert.ok(known.isCollectionGone === true || known.listed?.includes(key) !== true, 'live');
        assert.ok(known.isCollectionGone !== true && ageMs >= limits.dropToleranceMs, 'young');
      }
    },
  );
  fc.assert(property, { seed: 3, numRuns: 20_000 });
  for (const reason of ['dropped', 'stray', 'orphan', 'deleting-snapshot', 'abandoned'])
    assert.ok(seen.has(`delete ${reason}`), reason);
});

test('the verdict is total: any key at all, of an object or half written, has one, and the same again; no key of somebody else is ever deleted', () => {
  const piece = fc.constantFrom(
    'segments',
    'snapshots',
    'identity',
    '1',
    '2',
    '3',
    '-1',
    '9',
    'metadata',
    'manifests',
    'index',
    'rows.parquet',
    '..',
    '',
    '0.avro',
    '9.json',
  );
  const anyKey = fc.oneof(
    fc.array(piece, { maxLength: 7 }).map((parts) => parts.join('/')),
    fc.string({ unit: 'binary' }),
  );
  fc.assert(
    fc.property(
      anyKey,
      knowledge,
      flag,
      fc.integer({ min: -5000, max: 2 * HOUR }),
      (key, { isOwned: _, ...known }, isTemporary, ageMs) => {
        const object = found(key, ageMs, isTemporary);
        const said = verdictOf(object, marksOf(known as Known), NOW, limits);
        assert.deepEqual(verdictOf(object, marksOf(known as Known), NOW, limits), said);
        if (said.verdict === 'keep') return;
        if (isTemporary) assert.ok(ageMs >= HOUR);
        else assert.notEqual(parseKey(key).kind, 'foreign');
      },
    ),
    { seed: 4, numRuns: 2000 },
  );
});

test('unknown means keep: a record goes only when it is dropped, or its collection is, and what snapshots need is known and is not it', () => {
  fc.assert(
    fc.property(knowledge, ({ isOwned, ...rest }) => {
      const job = isOwned ? { restoreJobId: 5n as JobId } : {};
      const known = { ...rest, segment: rest.segment && { ...rest.segment, ...job } } as Known;
      const segment = segmentOf(known);
      if (segment === undefined) return;
      if (recordVerdictOf(segment, marksOf(known), NOW, limits).verdict === 'keep') return;
      assert.ok(known.areReferencesUnknown !== true && (known.snapshotsOf ?? []).length === 0);
      assert.ok(
        segment.state === 'dropped' || (segment.state === 'flushed' && known.isCollectionGone === true),
      );
      assert.ok(!(isOwned && known.restore !== undefined));
    }),
    { seed: 5, numRuns: 5000 },
  );
});

test('the record of a dropped segment goes when nothing keeps its files', () => {
  const verdict = (known: Known) => {
    const { verdict: is, reason } = recordVerdictOf(segmentOf(known)!, marksOf(known), NOW, limits);
    return `${is} ${reason}`;
  };
  assert.equal(verdict({ segment: dropped }), 'delete dropped');
  assert.equal(verdict({ segment: {} }), 'keep live');
  assert.equal(verdict({ segment: {}, isCollectionGone: true }), 'keep young');
  assert.equal(verdict({ segment: { state: 'growing' }, isCollectionGone: true }), 'keep live');
  assert.equal(verdict({ segment: dropped, restore: 5n }), 'delete dropped');
  assert.equal(verdict({ segment: { ...dropped, droppedAtMs: NOW } }), 'keep young');
  assert.equal(verdict({ segment: dropped, snapshotsOf: ['a'] }), 'keep snapshot');
  assert.equal(verdict({ segment: dropped, areReferencesUnknown: true }), 'keep references-not-loaded');
  assert.equal(
    verdict({ segment: { ...dropped, restoreJobId: 5n as JobId }, restore: 5n }),
    'keep restoring',
  );
});
