/** From a snapshot to the records of its restore: target, partitions, indexes, job. Pure; ids come as the first of each range. */
import { pausedAges } from '../../model/expiry.ts';
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
  idAt,
  type RestorePurpose,
  TaskCutter,
  type TaskRange,
} from '../copy-segment/job.ts';
import type { SnapshotMetadata } from '../snapshot/metadata.ts';
import type { SnapshotRecord } from '../snapshot/record.ts';
import { allFiles, type SnapshotSegment, sizeOf } from '../snapshot/segment.ts';
import { targetPartitions } from './selection.ts';

/** How much a restore has to do, and so how many ids of each kind it needs. */
export interface RestoreSize {
  readonly segmentCount: number;
  readonly taskCount: number;
  readonly buildCount: number;
  readonly totalBytes: number;
  readonly totalFiles: number;
  readonly totalRows: number;
  readonly largestTaskBytes: number;
}

/** Adds up the segments of a restore as they come, in manifest order. */
export class RestoreSizer {
  readonly #cutter: TaskCutter;
  #largestTaskBytes = 0;
  #taskCount = 0;
  readonly #sum = { segmentCount: 0, buildCount: 0, totalBytes: 0, totalFiles: 0, totalRows: 0 };

  constructor(grouping: CopyGrouping) {
    this.#cutter = new TaskCutter(grouping);
  }

  add(segments: readonly SnapshotSegment[]): void {
    const sum = this.#sum;
    for (const segment of segments) {
      const [bytes, files] = [sizeOf(segment), allFiles(segment).length];
      this.#count(this.#cutter.add({ bytes, files }));
      sum.segmentCount++;
      sum.buildCount += segment.indexes.length;
      sum.totalBytes += bytes;
      sum.totalFiles += files;
      if (segment.level !== 'L0') sum.totalRows += segment.rowCount;
    }
  }

  /** Once, after the last segment. */
  size(): RestoreSize {
    this.#count(this.#cutter.end());
    return { ...this.#sum, taskCount: this.#taskCount, largestTaskBytes: this.#largestTaskBytes };
  }

  #count(range: TaskRange | undefined): void {
    if (range === undefined) return;
    this.#taskCount++;
    this.#largestTaskBytes = Math.max(this.#largestTaskBytes, range.bytes);
  }
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
  /** What the job is listed under: the target's name, unless that is nobody's. */
  readonly askedName: string;
  /** Absent: all partitions. */
  readonly selection: readonly PartitionId[] | undefined;
  readonly copyMode: 'shared' | 'physical';
  readonly purpose: RestorePurpose | undefined;
  readonly createdTs: HybridTime;
  readonly nowMs: number;
}

/** The target keeps everything of its source but its name and ids: field ids, properties, shards, consistency, partitions, indexes with their names and parameters. */
export function planRestore(request: RestoreRequest): RestorePlan {
  const { metadata, ids, database, targetName, createdTs } = request;
  const { collectionId, jobId } = ids;
  const { schema, shardsNum, consistencyLevel, properties, agePauses = [] } = metadata.collection;
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
      agePauses: pausedAges(agePauses, metadata.snapshot.createTs, createdTs, request.nowMs),
      restoreJobId: jobId,
      load: 'none',
    },
    partitions: targetPartitions(metadata, request.selection).map(({ name, rank }) => ({
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
  const { snapshot, size, grouping, ids, database, askedName, nowMs } = request;
  const { selection, copyMode, purpose } = request;
  const { buildCount: _, largestTaskBytes: __, ...totals } = size;
  return {
    ...ids,
    ...totals,
    state: 'pending',
    snapshotId: snapshot.snapshotId,
    snapshotName: snapshot.name,
    sourceCollectionId: snapshot.collectionId,
    databaseId: database.databaseId,
    databaseName: database.name,
    collectionName: askedName,
    grouping,
    createdAtMs: nowMs,
    copyMode,
    ...(selection === undefined ? {} : { selection }),
    ...(purpose === undefined ? {} : { purpose }),
  };
}
