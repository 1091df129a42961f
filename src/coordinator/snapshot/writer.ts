/** Writes a snapshot's objects: manifests first (O1: every object they name is durable already), metadata last (O2). */
import { setImmediate } from 'node:timers/promises';
import { snapshotManifestKey, snapshotMetadataKey } from '../../storage/keys.ts';
import type { ObjectStore } from '../../storage/object-store.ts';
import { Limiter, mapLimited } from '../../support/limiter.ts';
import { AvroWriter } from './avro-bytes.ts';
import { encodeManifest, MAX_SEGMENTS_PER_MANIFEST } from './manifest.ts';
import { encodeMetadata, type SnapshotMetadata } from './metadata.ts';
import type { SnapshotSegment } from './segment.ts';

export interface WrittenSnapshot {
  readonly metadataKey: string;
  readonly metadataCrc32: number;
  readonly metadataSizeBytes: number;
  readonly manifestCount: number;
  readonly manifestSizeBytes: number;
}

/** `description` is the metadata without the list of manifests. Resolves when everything is durable. */
export async function writeSnapshot(
  store: ObjectStore,
  description: Omit<SnapshotMetadata, 'manifests'>,
  segments: readonly SnapshotSegment[],
  objectsAtOnce: number,
): Promise<WrittenSnapshot> {
  const { collectionId, snapshotId } = description.snapshot;
  const starts = Array.from(
    { length: Math.ceil(segments.length / MAX_SEGMENTS_PER_MANIFEST) },
    (_, n) => n * MAX_SEGMENTS_PER_MANIFEST,
  );
  // Encoding a full manifest takes a millisecond or two: one at a time, and others get their turn in between.
  const encoding = new Limiter(1);
  // As many as are written at once: a manifest's bytes are free again when the store has them.
  const writers: AvroWriter[] = [];
  const manifests = await mapLimited(starts, objectsAtOnce, async (start, n) => {
    const key = snapshotManifestKey(collectionId, snapshotId, n);
    const group = segments.slice(start, start + MAX_SEGMENTS_PER_MANIFEST);
    const writer = writers.pop() ?? new AvroWriter();
    const bytes = await encoding.run(async () => {
      if (n > 0) await setImmediate();
      return encodeManifest(group, writer);
    });
    const { crc32 } = await store.put(key, bytes);
    writers.push(writer);
    return { key, sizeBytes: bytes.length, crc32, segmentCount: group.length };
  });
  const metadataKey = snapshotMetadataKey(collectionId, snapshotId);
  const metadata = await encodeMetadata({ ...description, manifests });
  const { crc32 } = await store.put(metadataKey, metadata);
  return {
    metadataKey,
    metadataCrc32: crc32,
    metadataSizeBytes: metadata.length,
    manifestCount: manifests.length,
    manifestSizeBytes: manifests.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
  };
}
