/** Reads a snapshot's objects. Nothing is believed before size and checksum are those recorded: the catalog vouches for the metadata, the metadata for the manifests. */
import { setImmediate } from 'node:timers/promises';
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
  metadata: SnapshotMetadata,
  n: number,
): Promise<readonly SnapshotSegment[]> {
  return listedSegments(metadata, n, await readManifestBytes(store, metadata, n));
}

function readManifestBytes(
  store: ObjectStore,
  { snapshot, manifests }: SnapshotMetadata,
  n: number,
): Promise<Uint8Array> {
  const { key, sizeBytes, crc32: sum } = manifestEntry(manifests, n);
  const expected = snapshotManifestKey(snapshot.collectionId, snapshot.snapshotId, n);
  if (key !== expected)
    return Promise.reject(new DbError('data-integrity', `object '${key}' should be '${expected}'`));
  return readChecked(store, key, sizeBytes, sum);
}

function listedSegments(
  { manifests, segmentIds }: SnapshotMetadata,
  n: number,
  bytes: Uint8Array,
): readonly SnapshotSegment[] {
  const { key, segmentCount } = manifestEntry(manifests, n);
  const segments = decodeManifest(bytes, `object '${key}'`);
  const first = manifests.slice(0, n).reduce((sum, before) => sum + before.segmentCount, 0);
  const isListed =
    segments.length === segmentCount &&
    segments.every(({ segmentId }, i) => segmentId === segmentIds[first + i]);
  if (!isListed)
    throw new DbError('data-integrity', `object '${key}' does not hold the segments of its metadata`);
  return segments;
}

const manifestEntry = (manifests: SnapshotMetadata['manifests'], n: number) =>
  present(manifests[n], `manifest ${n} of a snapshot`);

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

/**
 * Manifest by manifest, in order: for what does not need them all at once. A few are read ahead, but each is decoded when its turn comes,
 * which is a turn of the event loop of its own: decoding one takes milliseconds. Throws as `readMetadata`.
 */
export async function* manifestsInOrder(
  store: ObjectStore,
  metadata: SnapshotMetadata,
  objectsAtOnce: number,
): AsyncGenerator<readonly SnapshotSegment[], void> {
  const ahead: Promise<Uint8Array>[] = [];
  let next = 0;
  for (let n = 0; n < metadata.manifests.length; n++) {
    while (next < metadata.manifests.length && ahead.length < objectsAtOnce) {
      const reading = readManifestBytes(store, metadata, next++);
      // Heard when its turn comes; nobody asks for it when one before it has failed.
      reading.catch(() => undefined);
      ahead.push(reading);
    }
    if (n > 0) await setImmediate();
    yield listedSegments(metadata, n, await present(ahead.shift(), `read of manifest ${n}`));
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
