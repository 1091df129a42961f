/** What the catalog keeps about databases, collections, partitions, segments and indexes. Values: replaced, never patched. */

import type { AgePause } from './expiry.ts';
import type { HybridTime } from './hybrid-time.ts';
import type {
  BuildId,
  CollectionId,
  DatabaseId,
  FieldId,
  IndexId,
  JobId,
  PartitionId,
  SegmentId,
} from './ids.ts';
import type { LoadScope } from './load-scope.ts';
import type { CollectionSchema } from './schema.ts';

export type Properties = Readonly<Record<string, string>>;

export type ConsistencyLevel = 'Strong' | 'Session' | 'Bounded' | 'Eventually' | 'Customized';

export interface DatabaseRecord {
  readonly databaseId: DatabaseId;
  readonly name: string;
  readonly properties: Properties;
  readonly createdTs: HybridTime;
}

export interface CollectionRecord {
  readonly collectionId: CollectionId;
  readonly databaseId: DatabaseId;
  readonly name: string;
  readonly schema: CollectionSchema;
  readonly shardsNum: number;
  /** Virtual channels, one per shard, named `tidemark-dml_{n}_{collectionId}v{n}`; sorted by shard. */
  readonly channels: readonly string[];
  readonly consistencyLevel: ConsistencyLevel;
  readonly properties: Properties;
  readonly createdTs: HybridTime;
  /** Of the last change of schema or properties. Absent: there was none. */
  readonly updatedTs?: HybridTime;
  /** Of a restored collection: what its rows did not age for. */
  readonly agePauses?: readonly AgePause[];
  /** Set while a restore fills the collection: nobody can read or write it until that job is completed. */
  readonly restoreJobId?: JobId;
  /** Loaded collections are loaded again after a restart. */
  readonly load: 'none' | 'loaded';
  /** Of a loaded one: which of its partitions are. Absent: all. */
  readonly loadScope?: LoadScope;
}

/** Another name of a collection. In its database nothing else has the name: no alias, no collection. */
export interface AliasRecord {
  readonly databaseId: DatabaseId;
  readonly name: string;
  readonly collectionId: CollectionId;
  readonly createdTs: HybridTime;
}

export interface PartitionRecord {
  readonly partitionId: PartitionId;
  readonly collectionId: CollectionId;
  readonly name: string;
  readonly createdTs: HybridTime;
}

/** L1 holds rows, L0 only deletes. */
export type SegmentLevel = 'L0' | 'L1';

/**
 * growing: takes rows, in the log. sealed: complete, still only in the log. writing: a compaction writes its files, nobody sees it.
 * flushed: immutable files. dropped: garbage.
 */
export type SegmentState = 'growing' | 'sealed' | 'writing' | 'flushed' | 'dropped';

export type FileKind = 'rows' | 'stats' | 'deletes' | 'index';

/** One immutable object of a segment. */
export interface SegmentFile {
  readonly kind: FileKind;
  readonly key: string;
  readonly sizeBytes: number;
  /** CRC-32 (zlib polynomial) of the whole object. */
  readonly crc32: number;
  /** The store's own version mark when the checksum was taken: equal mark, unchanged bytes. Empty when the store has none. */
  readonly etag: string;
}

export interface SegmentIndex {
  readonly indexId: IndexId;
  readonly buildId: BuildId;
  readonly fieldId: FieldId;
  /** What was built: `HNSW`, …; small segments and FLAT have no file and no entry. */
  readonly kind: string;
  readonly file: SegmentFile;
}

export interface SegmentRecord {
  readonly segmentId: SegmentId;
  readonly collectionId: CollectionId;
  readonly partitionId: PartitionId;
  readonly channel: string;
  readonly level: SegmentLevel;
  readonly state: SegmentState;
  /** L1: rows, deleted ones included. L0: deletes. Exact from `sealed` on; 0 while growing. */
  readonly rowCount: number;
  /** Timestamps of the first and last write; 0 while growing. */
  readonly minTs: HybridTime;
  readonly maxTs: HybridTime;
  /** rows, stats, deletes. Index files stand in `indexes`. */
  readonly files: readonly SegmentFile[];
  readonly indexes: readonly SegmentIndex[];
  /** L1: no delete at or before this kills a row of the segment any more: they were applied when it was compacted. Absent: none were. */
  readonly deletesAppliedTs?: HybridTime;
  /** Target of a restore: visible exactly when this job is completed. Absent for ordinary segments. */
  readonly restoreJobId?: JobId;
  /** Wall clock when it was dropped; garbage after the tolerance. */
  readonly droppedAtMs?: number;
}

export interface IndexRecord {
  readonly indexId: IndexId;
  readonly collectionId: CollectionId;
  readonly fieldId: FieldId;
  readonly name: string;
  /** `index_type`, `metric_type`, `params` as the user gave them; describe returns them unchanged. */
  readonly params: Properties;
  readonly createdTs: HybridTime;
}
