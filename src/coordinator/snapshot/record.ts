/** What the catalog keeps about a snapshot. The record is small at any size: segments stand in the metadata and manifests. */
import type { TableSpec } from '../../catalog/catalog.ts';
import type { HybridTime } from '../../model/hybrid-time.ts';
import type { CollectionId, JobId, PartitionId, PinId, SnapshotId } from '../../model/ids.ts';
import type { SnapshotState } from './state.ts';

export interface SnapshotRecord {
  readonly snapshotId: SnapshotId;
  readonly collectionId: CollectionId;
  /** What database and collection were called when it was taken. */
  readonly databaseName: string;
  readonly collectionName: string;
  readonly name: string;
  readonly description: string;
  readonly state: SnapshotState;
  /** The moment the snapshot shows. 0 while pending. */
  readonly createTs: HybridTime;
  /** Wall clock when the pending record was written. */
  readonly pendingAtMs: number;
  /** Key of the metadata object; '' while pending. */
  readonly metadataKey: string;
  /** CRC-32 and size of the metadata object, so that its damage is seen before it is believed. 0 while pending. */
  readonly metadataCrc32: number;
  readonly metadataSizeBytes: number;
  readonly manifestCount: number;
  /** Of all manifests together. */
  readonly manifestSizeBytes: number;
  readonly partitions: readonly { readonly partitionId: PartitionId; readonly name: string }[];
  readonly segmentCount: number;
  readonly rowCount: number;
  /** Of the segments' objects: data and indexes. */
  readonly sizeBytes: number;
  /** Wall clock, ms; 0: no compaction protection. */
  readonly compactionProtectedUntilMs: number;
}

/** A reader's lease on a snapshot: it cannot be dropped while one is live. */
export interface PinRecord {
  readonly pinId: PinId;
  readonly snapshotId: SnapshotId;
  /**
   * Who holds it: a user, by name when the call has said one; the restore job that reads the snapshot (then it ends with the job, not
   * with time); or a verification under way, which puts the end off as long as it runs.
   */
  readonly owner:
    | { readonly kind: 'user'; readonly name?: string }
    | { readonly kind: 'restore'; readonly jobId: JobId }
    | { readonly kind: 'verify' };
  readonly createdAtMs: number;
  /** Absent: until it is released. */
  readonly expiresAtMs?: number;
}

export const snapshots: TableSpec<SnapshotId, SnapshotRecord> = {
  name: 'snapshot',
  version: 1,
  idOf: (record) => record.snapshotId,
  indexes: {
    collection: (record) => record.collectionId,
    state: (record) => record.state,
    /** Committed ones only: `{collectionId}/{name}`. */
    name: (record) => (record.state === 'committed' ? `${record.collectionId}/${record.name}` : undefined),
  },
};

export const pins: TableSpec<PinId, PinRecord> = {
  name: 'pin',
  version: 1,
  idOf: (record) => record.pinId,
  indexes: { snapshot: (record) => record.snapshotId },
};
