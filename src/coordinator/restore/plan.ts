/** From a snapshot to the records of its restore: target, partitions, indexes, job. Pure; ids come as the first of each range. */
import type { HybridTime } from '../../model/hybrid-time.ts';
import type {
  BuildId,
  CollectionId,
  IndexId,
  JobId,
  PartitionId,
  PinId,
  SegmentId,
  TaskId,
} from '../../model/ids.ts';
import type { CollectionRecord, DatabaseRecord, IndexRecord, PartitionRecord } from '../../model/records.ts';
import { channelsOf } from '../collections/schema.ts';
import {
  type CopyGrouping,
  type CopyJob,
  groupIntoTasks,
  idAt,
  type RestorePurpose,
} from '../copy-segment/job.ts';
import type { SnapshotMetadata } from '../snapshot/metadata.ts';
import type { SnapshotRecord } from '../snapshot/record.ts';
import { allFiles, type SnapshotSegment, sizeOf } from '../snapshot/segment.ts';

/** How much a restore has to do, and so how many ids of each kind it needs. */
export interface RestoreSize {
  readonly segmentCount: number;
  readonly taskCount: number;
  readonly buildCount: number;
  readonly totalBytes: number;
  readonly totalFiles: number;
  readonly totalRows: number;
}

export function sizeRestore(segments: readonly SnapshotSegment[], grouping: CopyGrouping): RestoreSize {
  const sizes = segments.map((segment) => ({ bytes: sizeOf(segment), files: allFiles(segment).length }));
  return {
    segmentCount: segments.length,
    taskCount: groupIntoTasks(sizes, grouping).length,
    buildCount: segments.reduce((sum, { indexes }) => sum + indexes.length, 0),
    totalBytes: sizes.reduce((sum, { bytes }) => sum + bytes, 0),
    totalFiles: sizes.reduce((sum, { files }) => sum + files, 0),
    totalRows: segments.reduce((sum, { level, rowCount }) => (level === 'L0' ? sum : sum + rowCount), 0),
  };
}

export interface RestoreIds {
  readonly jobId: JobId;
  readonly pinId: PinId;
  readonly collectionId: CollectionId;
  readonly firstPartitionId: PartitionId;
  readonly firstIndexId: IndexId;
  readonly firstSegmentId: SegmentId;
  readonly firstTaskId: TaskId;
  readonly firstBuildId: BuildId;
}

export interface RestorePlan {
  readonly collection: CollectionRecord;
  readonly partitions: readonly PartitionRecord[];
  readonly indexes: readonly IndexRecord[];
  readonly job: CopyJob;
}

export interface RestoreRequest {
  readonly snapshot: SnapshotRecord;
  readonly metadata: SnapshotMetadata;
  readonly size: RestoreSize;
  readonly grouping: CopyGrouping;
  readonly ids: RestoreIds;
  readonly database: DatabaseRecord;
  readonly targetName: string;
  readonly purpose: RestorePurpose | undefined;
  readonly createdTs: HybridTime;
  readonly nowMs: number;
}

/** The target keeps everything of its source but its name and ids: field ids, properties, shards, consistency, partitions, indexes with their names and parameters. */
export function planRestore(request: RestoreRequest): RestorePlan {
  const { metadata, ids, database, targetName, createdTs } = request;
  const { collectionId, jobId } = ids;
  const { schema, shardsNum, consistencyLevel, properties } = metadata.collection;
  return {
    collection: {
      collectionId,
      databaseId: database.databaseId,
      name: targetName,
      schema,
      shardsNum,
      channels: channelsOf(collectionId, shardsNum),
      consistencyLevel,
      properties,
      createdTs,
      restoreJobId: jobId,
      load: 'none',
    },
    partitions: metadata.partitions.map(({ name }, rank) => ({
      partitionId: idAt(ids.firstPartitionId, rank),
      collectionId,
      name,
      createdTs,
    })),
    indexes: metadata.indexes.map(({ fieldId, name, params }, rank) => ({
      indexId: idAt(ids.firstIndexId, rank),
      collectionId,
      fieldId,
      name,
      params,
      createdTs,
    })),
    job: planJob(request),
  };
}

function planJob(request: RestoreRequest): CopyJob {
  const { snapshot, size, grouping, ids, database, targetName, nowMs, purpose } = request;
  const { buildCount: _, ...totals } = size;
  return {
    ...ids,
    ...totals,
    state: 'pending',
    snapshotId: snapshot.snapshotId,
    snapshotName: snapshot.name,
    sourceCollectionId: snapshot.collectionId,
    databaseId: database.databaseId,
    databaseName: database.name,
    collectionName: targetName,
    grouping,
    createdAtMs: nowMs,
    ...(purpose === undefined ? {} : { purpose }),
  };
}
