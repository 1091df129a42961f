import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { BuildId, CollectionId, FieldId, PartitionId, SegmentId, SnapshotId } from '../model/ids.ts';
import {
  deletesKey,
  IDENTITY_KEY,
  indexKey,
  parseKey,
  rowsKey,
  snapshotManifestKey,
  snapshotMetadataKey,
  statsKey,
} from './keys.ts';

const id = fc.bigInt(0n, 2n ** 63n - 1n);
const place = fc.record({
  collectionId: id.map((n) => n as CollectionId),
  partitionId: fc.oneof(id, fc.constant(-1n)).map((n) => n as PartitionId),
  segmentId: id.map((n) => n as SegmentId),
});

test('every key that is built is read back as what it was built from', () => {
  const property = fc.property(place, id, fc.nat(), (at, other, n) => {
    const [fieldId, buildId] = [n as FieldId, other as BuildId];
    const [collectionId, snapshotId] = [at.collectionId, other as SnapshotId];
    assert.deepEqual(parseKey(rowsKey(at)), { ...at, kind: 'rows' });
    const schemaVersion = 1 + (n % 1e8);
    assert.deepEqual(parseKey(rowsKey(at, schemaVersion)), { ...at, kind: 'rows', schemaVersion });
    assert.deepEqual(parseKey(statsKey(at)), { ...at, kind: 'stats' });
    assert.deepEqual(parseKey(deletesKey(at)), { ...at, kind: 'deletes' });
    assert.deepEqual(parseKey(indexKey(at, (n % 1e9) as FieldId, buildId)), {
      ...at,
      kind: 'index',
      fieldId: ((fieldId as number) % 1e9) as FieldId,
      buildId,
    });
    assert.deepEqual(parseKey(snapshotMetadataKey(collectionId, snapshotId)), {
      collectionId,
      snapshotId,
      kind: 'snapshot-metadata',
    });
    assert.deepEqual(parseKey(snapshotManifestKey(collectionId, snapshotId, n % 1e9)), {
      collectionId,
      snapshotId,
      kind: 'snapshot-manifest',
      n: n % 1e9,
    });
  });
  fc.assert(property, { seed: 1, numRuns: 200 });
  assert.deepEqual(parseKey(IDENTITY_KEY), { kind: 'identity' });
});

test('a key that is only similar is foreign', () => {
  const keys = [
    '',
    'a',
    'segments',
    'segments/1/2/3',
    'segments/1/2/3/rows.parquet.bak',
    'segments/1/2/3/rows.bin',
    'segments/1/2/3/rows-0.parquet',
    'segments/1/2/3/rows-01.parquet',
    'segments/1/2/3/rows-.parquet',
    'segments/1/2/3/deletes-1.parquet',
    'segments/1/2/03/rows.parquet',
    'segments/-1/2/3/rows.parquet',
    'segments/1/-2/3/rows.parquet',
    'segments/1/2/3/index/4/5',
    'segments/1/2/3/index/5.index',
    'x/segments/1/2/3/rows.parquet',
    'snapshots/1/metadata/2',
    'snapshots/1/metadata/2.json/x',
    'snapshots/1/manifests/2/x.avro',
    'snapshots/1/manifests/2/00.avro',
    'identity/other.json',
  ];
  for (const key of keys) assert.deepEqual(parseKey(key), { kind: 'foreign' }, key);
});
