/**
 * DOOR of a query node: keeps loaded collections searchable. It is told what the catalog holds (`CollectionView`) and follows
 * the streaming node for rows that are not flushed yet. A handover from log rows to files is one synchronous swap: a
 * reader sees each row exactly once.
 */
import type { CheckedFilter } from '../expr/check.ts';
import type { Expiry } from '../model/expiry.ts';
import type { HybridTime } from '../model/hybrid-time.ts';
import type { CollectionId, FieldId, PartitionId, SegmentId } from '../model/ids.ts';
import type { MetricType } from '../model/metric.ts';
import type { IndexRecord, SegmentRecord } from '../model/records.ts';
import type { PrimaryKeys, QueryColumn, RowBatch } from '../model/rows.ts';
import type { CollectionSchema } from '../model/schema.ts';

export interface CollectionView {
  readonly collectionId: CollectionId;
  readonly schema: CollectionSchema;
  readonly channels: readonly string[];
  readonly partitionIds: readonly PartitionId[];
  /** Flushed and visible, L0 included. */
  readonly segments: readonly SegmentRecord[];
  /**
   * Growing or sealed, L0 included: what is theirs stands in the log. A segment of the log that is neither here nor in `segments`
   * was flushed and compacted away since the last view, or dropped.
   */
  readonly unflushed: readonly SegmentId[];
  readonly indexes: readonly IndexRecord[];
  /** Absent: rows do not expire. */
  readonly expiry?: Expiry;
}

export interface SearchRequest {
  readonly collectionId: CollectionId;
  /** Absent: all. */
  readonly partitionIds?: readonly PartitionId[];
  readonly fieldId: FieldId;
  /** `queryCount` rows. */
  readonly queries: QueryColumn;
  readonly queryCount: number;
  /** Nearest rows per query, offset included; 1 to 16384. */
  readonly topK: number;
  readonly offset: number;
  /** One of the field's (`metricsOf`). */
  readonly metric: MetricType;
  /** For MHJACCARD: bits of an element of the signatures. Absent: 32. */
  readonly elementBits?: number;
  /** For BM25: the parameters of the index. The queries are how often each term is in them. */
  readonly bm25?: { readonly k1: number; readonly b: number };
  /** Width of the graph search; the node raises it to `topK`. */
  readonly ef?: number;
  /** Range search, in the metric's own score; bounds as in Milvus. */
  readonly radius?: number;
  readonly rangeFilter?: number;
  readonly filter?: CheckedFilter;
  readonly outputFields: readonly FieldId[];
}

export interface SearchResult {
  /** Hits per query. */
  readonly counts: Uint32Array;
  /** Keys and scores, queries one after another, best first. L2: squared distance. */
  readonly keys: PrimaryKeys;
  readonly scores: Float32Array;
  /** Single vectors in a field of lists: which item of its row each hit is; a row may be hit several times. */
  readonly elements?: Uint32Array;
  /** The output fields of the hits, in the same order. */
  readonly rows: RowBatch;
}

export interface QueryRequest {
  readonly collectionId: CollectionId;
  readonly partitionIds?: readonly PartitionId[];
  /** Absent: every row. */
  readonly filter?: CheckedFilter;
  readonly outputFields: readonly FieldId[];
  /** Absent: no bound but the server's. Rows come in primary-key order. */
  readonly limit?: number;
  readonly offset?: number;
}

export interface QueryNode {
  /** Resolves when everything in the view and in the log is searchable. Loading again with another view is `update`. */
  load(view: CollectionView): Promise<void>;
  /**
   * The catalog has changed for a loaded collection: new flushed segments, index files, dropped ones. Otherwise ignored.
   * `view` must be the catalog's at the moment of the call: partitions it does not name were dropped.
   */
  update(view: CollectionView): Promise<void>;
  /** Of a collection that is loaded, or loading: known when it returns, before a view has it. Older ones are ignored. */
  noteSchema(collectionId: CollectionId, schema: CollectionSchema): void;
  release(collectionId: CollectionId): Promise<void>;
  /** 0 to 100; undefined when it is neither loaded nor loading. */
  progress(collectionId: CollectionId): number | undefined;
  /** Throws `collection-not-loaded`; waits while it is loading. */
  search(request: SearchRequest): Promise<SearchResult>;
  query(request: QueryRequest): Promise<RowBatch>;
  count(request: Omit<QueryRequest, 'outputFields' | 'limit' | 'offset'>): Promise<number>;
  /** Timestamp up to which every write is visible here. */
  readonly visibleTs: HybridTime;
  close(): Promise<void>;
}
