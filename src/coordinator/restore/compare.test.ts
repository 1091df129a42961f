/** What a drill calls a difference, one by one: everything a snapshot says of a collection and of its segments. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { source, target, World } from '../../../tests/heart/world.ts';
import type { PartitionId, SegmentId } from '../../model/ids.ts';
import type { CollectionRecord, SegmentFile } from '../../model/records.ts';
import { checkParts } from '../../storage/check-object.ts';
import { seededRandom } from '../../support/random.ts';
import { type CopyJob, copyJobs, type DrillOutcome } from '../copy-segment/job.ts';
import type { ObjectChecker, SegmentFingerprints } from '../rooms.ts';
import type { SnapshotMetadata } from '../snapshot/metadata.ts';
import { readManifests, readMetadata } from '../snapshot/reader.ts';
import { snapshots } from '../snapshot/record.ts';
import type { SnapshotSegment } from '../snapshot/segment.ts';
import { compareRestored } from './compare.ts';

/** A snapshot and its restored copy, as a drill is given them. */
interface Case {
  readonly job: CopyJob;
  readonly copy: CollectionRecord;
  readonly metadata: SnapshotMetadata;
  readonly sources: readonly SnapshotSegment[];
  readonly fingerprints: SegmentFingerprints;
  readonly check: ObjectChecker['check'];
}

const restored = await World.withRows(3);
await restored.create();
const jobId = await restored.service.restoreSnapshot({ source, name: 'snap', target });
await restored.ended(jobId);
const { catalog, disk } = restored;
const [record] = [...catalog.all(snapshots)];
assert.ok(record);
const metadata = await readMetadata(disk.memoryStore, record);
const sources = await readManifests(disk.memoryStore, metadata, 1);
const [first] = sources;
const job = catalog.get(copyJobs, jobId);
assert.ok(job && first);
const right: Case = {
  job,
  copy: restored.find(target),
  metadata,
  sources,
  fingerprints: {
    of: async ({ key }) => ({ rowCount: rowsOf(key), digest: 'digest' }),
  },
  check: (parts) => checkParts(disk.memoryStore, parts),
};
await restored.stop();

function rowsOf(key: string): number {
  const own = sources.find(({ files }) => files.some((file) => file.key === key));
  return (own ?? first)?.rowCount ?? 0;
}

function compare(change: Partial<Case>): Promise<DrillOutcome> {
  const { job: of, copy, metadata: told, sources: from, fingerprints, check } = { ...right, ...change };
  const { signal } = new AbortController();
  return compareRestored(
    {
      catalog,
      fingerprints,
      checker: { check },
      clock: disk.clock,
      random: seededRandom(1),
    },
    of,
    copy,
    { metadata: told, segments: async (at, count) => from.slice(at, at + count) as never },
    () => undefined,
    signal,
  );
}

const withFirst = (change: Partial<SnapshotSegment>): Partial<Case> => ({
  sources: [{ ...(first as SnapshotSegment), ...change }, ...sources.slice(1)],
});
const withoutFile = (files: readonly SegmentFile[], kind: string) =>
  files.filter((file) => file.kind !== kind);
const { collection } = metadata;
const differing: Readonly<Record<string, readonly [Partial<Case>, RegExp]>> = {
  'another schema': [
    { copy: { ...right.copy, schema: { ...right.copy.schema, fields: [] } } },
    /^schema of the collection$/,
  ],
  'another number of shards': [{ copy: { ...right.copy, shardsNum: 7 } }, /^shards of the collection$/],
  'another consistency level': [
    { metadata: { ...metadata, collection: { ...collection, consistencyLevel: 'Eventually' } } },
    /^consistency level of the collection$/,
  ],
  'another property': [
    { copy: { ...right.copy, properties: { 'collection.ttl.seconds': '1' } } },
    /^properties of the collection$/,
  ],
  'a partition more': [
    {
      metadata: {
        ...metadata,
        partitions: [...metadata.partitions, { partitionId: 99n as PartitionId, name: 'more' }],
      },
    },
    /^partitions of the collection$/,
  ],
  'another parameter of an index': [
    { metadata: { ...metadata, indexes: metadata.indexes.map((each) => ({ ...each, params: {} })) } },
    /^indexes of the collection$/,
  ],
  'a copy that is not there': [
    { job: { ...job, firstSegmentId: 999_000n as SegmentId } },
    /: the copy is missing$/,
  ],
  'another number of rows recorded': [withFirst({ rowCount: 77 }), /: 77 rows recorded, \d+ in the copy$/],
  'a file of rows less': [withFirst({ files: withoutFile(first.files, 'rows') }), /: no file of rows$/],
  'a file of statistics less': [
    withFirst({ files: withoutFile(first.files, 'stats') }),
    /: \d+ other files, \d+ in the copy$/,
  ],
  'other rows, as many': [
    {
      fingerprints: {
        of: async ({ key }) => ({
          rowCount: rowsOf(key),
          digest: first.files.some((f) => f.key === key) ? 'a' : 'b',
        }),
      },
    },
    /: rows are others$/,
  ],
  'fewer rows in the copy': [
    {
      fingerprints: {
        of: async ({ key }) => ({
          rowCount: sources.some(({ files }) => files.some((f) => f.key === key)) ? rowsOf(key) : 0,
          digest: 'digest',
        }),
      },
    },
    /: \d+ rows, 0 in the copy$/,
  ],
  'another checksum': [
    { check: async (parts) => parts.map(() => ({ kind: 'read', crc32: 5 })) },
    /has checksum 5, recorded \d+$/,
  ],
};

describe('what a drill compares', () => {
  test('a copy that is its snapshot differs in nothing, whatever the order of its indexes', async () => {
    const outcome = await compare({ metadata: { ...metadata, indexes: metadata.indexes.toReversed() } });
    assert.deepEqual(outcome.differences, []);
    assert.equal(outcome.isSame, true);
    assert.equal(outcome.segments, sources.length);
    assert.equal(
      outcome.rows,
      sources.filter(({ level }) => level === 'L1').reduce((sum, { rowCount }) => sum + rowCount, 0),
    );
  });

  for (const [what, [change, words]] of Object.entries(differing))
    test(`${what} is a difference, and told`, async () => {
      const { isSame, differences } = await compare(change);
      assert.equal(isSame, false);
      assert.ok(
        differences.some((each) => words.test(each)),
        differences.join('\n'),
      );
    });
});
