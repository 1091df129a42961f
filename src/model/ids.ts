import type { Brand } from '../support/brand.ts';

/** Ids are signed 64-bit integers above 0, drawn from one allocator, never used twice. Strings in JSON. */
export type DatabaseId = Brand<bigint, 'DatabaseId'>;
export type CollectionId = Brand<bigint, 'CollectionId'>;
export type PartitionId = Brand<bigint, 'PartitionId'>;
export type SegmentId = Brand<bigint, 'SegmentId'>;
export type IndexId = Brand<bigint, 'IndexId'>;
export type BuildId = Brand<bigint, 'BuildId'>;
export type SnapshotId = Brand<bigint, 'SnapshotId'>;
export type PinId = Brand<bigint, 'PinId'>;
export type JobId = Brand<bigint, 'JobId'>;
export type TaskId = Brand<bigint, 'TaskId'>;
export type CompactionId = Brand<bigint, 'CompactionId'>;
export type NodeId = Brand<bigint, 'NodeId'>;

/** Field ids are small: user fields count from 100, as in Milvus. Unique inside a collection. */
export type FieldId = Brand<number, 'FieldId'>;

/** Delete-only segments may cover every partition of their channel. */
export const ALL_PARTITIONS = -1n as PartitionId;
