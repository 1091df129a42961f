/** Reads a snapshot's objects. Nothing is believed before size and checksum are those recorded: the catalog vouches for the metadata, the metadata for the manifests. */
import { DbError } from '../../errors/db-error.ts';
import { snapshotManifestKey } from '../../storage/keys.ts';
import type { ObjectStore } from '../../storage/object-store.ts';
import { present } from '../../support/assert.ts';
import { crc32 } from '../../support/crc32.ts';
import { mapLimited } from '../../support/limiter.ts';
import { decodeManifest } from './manifest.ts';
import { decodeMetadataInSlices, type SnapshotMetadata } from './metadata.ts';
import type { SnapshotRecord } from './record.ts';
import type { SnapshotSegment } from './segment.ts';

/** Throws `object-not-found` or `data-integrity`, naming the object. */
export async function readMetadata(store: ObjectStore, record: SnapshotRecord): Promise<SnapshotMetadata> {
  const { metadataKey, metadataSizeBytes, metadataCrc32, snapshotId, collectionId } = record;
  const bytes = await readChecked(store, metadataKey, metadataSizeBytes, metadataCrc32);
  const metadata = await decodeMetadataInSlices(bytes, `object '${metadataKey}'`);
  const { snapshot } = metadata;
  if (snapshot.snapshotId !== snapshotId || snapshot.collectionId !== collectionId)
    throw new DbError('data-integrity', `object '${metadataKey}' is of another snapshot`);
  return metadata;
}

/** The segments of manifest `n`, exactly those the metadata lists for it. Throws as `readMetadata`. */
export async function readManifest(
  store: ObjectStore,
  { snapshot, manifests, segmentIds }: SnapshotMetadata,
  n: number,
): Promise<readonly SnapshotSegment[]> {
  const entry = present(manifests[n], `manifest ${n} of snapshot ${snapshot.snapshotId}`);
  const expected = snapshotManifestKey(snapshot.collectionId, snapshot.snapshotId, n);
  if (entry.key !== expected)
    throw new DbError('data-integrity', `object '${entry.key}' should be '${expected}'`);
  const bytes = await readChecked(store, entry.key, entry.sizeBytes, entry.crc32);
  const segments = decodeManifest(bytes, `object '${entry.key}'`);
  const first = manifests.slice(0, n).reduce((sum, { segmentCount }) => sum + segmentCount, 0);
  const isListed =
    segments.length === entry.segmentCount &&
    segments.every(({ segmentId }, i) => segmentId === segmentIds[first + i]);
  if (!isListed)
    throw new DbError('data-integrity', `object '${entry.key}' does not hold the segments of its metadata`);
  return segments;
}

/** Every segment, in manifest order. Throws as `readMetadata`. */
export async function readManifests(
  store: ObjectStore,
  metadata: SnapshotMetadata,
  objectsAtOnce: number,
): Promise<readonly SnapshotSegment[]> {
  const parts = await mapLimited(metadata.manifests, objectsAtOnce, (_, n) =>
    readManifest(store, metadata, n),
  );
  return parts.flat();
}

/** Manifest by manifest, in order, a few read ahead: for what does not need them all at once. Throws as `readMetadata`. */
export async function* manifestsInOrder(
  store: ObjectStore,
  metadata: SnapshotMetadata,
  objectsAtOnce: number,
): AsyncGenerator<readonly SnapshotSegment[], void> {
  const ahead: Promise<readonly SnapshotSegment[]>[] = [];
  let next = 0;
  for (let n = 0; n < metadata.manifests.length; n++) {
    while (next < metadata.manifests.length && ahead.length < objectsAtOnce) {
      const reading = readManifest(store, metadata, next++);
      // Heard when its turn comes; nobody asks for it when one before it has failed.
      reading.catch(() => undefined);
      ahead.push(reading);
    }
    yield await present(ahead.shift(), `read of manifest ${n}`);
  }
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
