/** Writes a snapshot's objects: manifests first (W1: every object they name is durable already), metadata last (W2). */
import { setImmediate } from 'node:timers/promises';
import { snapshotManifestKey, snapshotMetadataKey } from '../../storage/keys.ts';
import type { ObjectStore } from '../../storage/object-store.ts';
import { mapLimited } from '../../support/limiter.ts';
import { encodeManifest, MAX_SEGMENTS_PER_MANIFEST } from './manifest.ts';
import { encodeMetadata, type SnapshotMetadata } from './metadata.ts';
import type { SnapshotSegment } from './segment.ts';

export interface WrittenSnapshot {
  readonly metadataKey: string;
  readonly metadataCrc32: number;
  readonly metadataSizeBytes: number;
  readonly manifestCount: number;
}

/** `description` is the metadata without what the writer adds. Resolves when everything is durable. */
export async function writeSnapshot(
  store: ObjectStore,
  description: Omit<SnapshotMetadata, 'segmentIds' | 'buildIds' | 'manifests'>,
  segments: readonly SnapshotSegment[],
  objectsAtOnce: number,
): Promise<WrittenSnapshot> {
  const { collectionId, snapshotId } = description.snapshot;
  const groups: (readonly SnapshotSegment[])[] = [];
  for (let at = 0; at < segments.length; at += MAX_SEGMENTS_PER_MANIFEST)
    groups.push(segments.slice(at, at + MAX_SEGMENTS_PER_MANIFEST));
  const manifests = await mapLimited(groups, objectsAtOnce, async (group, n) => {
    const key = snapshotManifestKey(collectionId, snapshotId, n);
    // Encoding a full manifest takes a millisecond or two: others get their turn in between.
    if (n > 0) await setImmediate();
    const bytes = encodeManifest(group);
    const { crc32 } = await store.put(key, bytes);
    return { key, sizeBytes: bytes.length, crc32, segmentCount: group.length };
  });
  const metadataKey = snapshotMetadataKey(collectionId, snapshotId);
  const metadata = encodeMetadata({
    ...description,
    segmentIds: segments.map(({ segmentId }) => segmentId),
    buildIds: segments.flatMap(({ indexes }) => indexes.map(({ buildId }) => buildId)),
    manifests,
  });
  const { crc32 } = await store.put(metadataKey, metadata);
  return {
    metadataKey,
    metadataCrc32: crc32,
    metadataSizeBytes: metadata.length,
    manifestCount: manifests.length,
  };
}
