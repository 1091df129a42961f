/** Reads a snapshot's objects. Nothing is believed before size and checksum are those recorded: the catalog vouches for the metadata, the metadata for the manifests. */
import { DbError } from '../../errors/db-error.ts';
import { snapshotManifestKey } from '../../storage/keys.ts';
import type { ObjectStore } from '../../storage/object-store.ts';
import { crc32 } from '../../support/crc32.ts';
import { mapLimited } from '../../support/limiter.ts';
import { decodeManifest } from './manifest.ts';
import { decodeMetadata, type SnapshotMetadata } from './metadata.ts';
import type { SnapshotRecord } from './record.ts';
import type { SnapshotSegment } from './segment.ts';

/** Throws `object-not-found` or `data-integrity`, naming the object. */
export async function readMetadata(store: ObjectStore, record: SnapshotRecord): Promise<SnapshotMetadata> {
  const { metadataKey, metadataSizeBytes, metadataCrc32, snapshotId, collectionId } = record;
  const bytes = await readChecked(store, metadataKey, metadataSizeBytes, metadataCrc32);
  const metadata = decodeMetadata(bytes, `object '${metadataKey}'`);
  const { snapshot } = metadata;
  if (snapshot.snapshotId !== snapshotId || snapshot.collectionId !== collectionId)
    throw new DbError('data-integrity', `object '${metadataKey}' is of another snapshot`);
  return metadata;
}

/** Every segment, in manifest order, exactly those the metadata lists. Throws as `readMetadata`. */
export async function readManifests(
  store: ObjectStore,
  { snapshot, manifests, segmentIds }: SnapshotMetadata,
  objectsAtOnce: number,
): Promise<readonly SnapshotSegment[]> {
  const parts = await mapLimited(manifests, objectsAtOnce, async (entry, n) => {
    const expected = snapshotManifestKey(snapshot.collectionId, snapshot.snapshotId, n);
    if (entry.key !== expected)
      throw new DbError('data-integrity', `object '${entry.key}' should be '${expected}'`);
    const bytes = await readChecked(store, entry.key, entry.sizeBytes, entry.crc32);
    return decodeManifest(bytes, `object '${entry.key}'`);
  });
  const segments = parts.flat();
  const isSame =
    segments.length === segmentIds.length &&
    segments.every(({ segmentId }, i) => segmentId === segmentIds[i]);
  if (!isSame)
    throw new DbError(
      'data-integrity',
      `the manifests of snapshot ${snapshot.snapshotId} do not hold the segments of its metadata`,
    );
  return segments;
}

async function readChecked(
  store: ObjectStore,
  key: string,
  sizeBytes: number,
  sum: number,
): Promise<Uint8Array> {
  const bytes = await store.get(key);
  if (bytes.length !== sizeBytes || crc32(bytes) !== sum)
    throw new DbError('data-integrity', `object '${key}' is not what was written: size or checksum differ`);
  return bytes;
}
