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
import type { Column, PrimaryKeys, QueryColumn, RowBatch } from '../model/rows.ts';
import type { CollectionSchema } from '../model/schema.ts';

export interface CollectionView {
  readonly collectionId: CollectionId;
  readonly schema: CollectionSchema;
  readonly channels: readonly string[];
  readonly partitionIds: readonly PartitionId[];
  /** Those that may be read. Absent: all. What is flushed in others is not among `segments`, but for L0. */
  readonly loadedPartitionIds?: readonly PartitionId[];
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

/** A field of single values, or a path in a JSON field. */
export interface ValuePlace {
  readonly fieldId: FieldId;
  readonly path?: readonly (string | number)[];
}

/** Rows of one value, or of the same values in several places, together. Null is a value. */
export interface GroupBy {
  readonly places: readonly ValuePlace[];
  /** Most hits of a group. */
  readonly size: number;
  /** Groups are filled as far as there are rows; otherwise with what the search for the groups found. */
  readonly isStrict: boolean;
}

/** What orders rows: of equal values the next one decides, then what decided without an order. */
export interface OrderField extends ValuePlace {
  readonly isDescending: boolean;
  readonly nullsFirst: boolean;
}

/** Scores that fall with the distance of a numeric field from an origin. Null counts as infinitely far. */
export interface Decay {
  readonly kind: 'decay';
  readonly fieldId: FieldId;
  readonly curve: 'gauss' | 'exp' | 'linear';
  readonly origin: number;
  readonly scale: number;
  readonly offset: number;
  /** Share of the score that is left at `offset + scale`. */
  readonly decay: number;
  readonly isNormalized: boolean;
  /** What becomes of the scores of several searches first. */
  readonly merge: 'max' | 'avg' | 'sum';
}

/** A weight for the rows that match. */
export interface Boost {
  /** Absent: every row. */
  readonly filter?: CheckedFilter;
  readonly weight: number;
  /** The weight times a number from 0 to 1 that is drawn from the seed and the field, or the key. */
  readonly random?: { readonly seed: bigint; readonly fieldId?: FieldId };
}

export interface Boosts {
  readonly boosts: readonly Boost[];
  /** How the weights of several boosts become one. */
  readonly functionMode: 'multiply' | 'sum';
  /** How that one changes the score. */
  readonly boostMode: 'multiply' | 'sum';
}

/** Reranking of one search. Boosts change the candidates of every unit, decays then the nearest of them. */
export interface Rerank {
  readonly boosts?: Boosts;
  readonly decays: readonly Decay[];
}

/** How the hits of several searches become one list. Scores of the outcome: the larger, the better. */
export type Fusion =
  | { readonly kind: 'rrf'; readonly k: number }
  | { readonly kind: 'weighted'; readonly weights: readonly number[]; readonly isNormalized: boolean }
  | Decay;

/** A page of a search iterator: the next hits behind those that it has handed out. */
export interface IteratorPage {
  /** Of the page before; absent: the first page. */
  readonly token?: string;
  /** Score of the last hit of the page before. */
  readonly lastBound?: number;
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
  /** `topK` and `offset` count groups then. */
  readonly groupBy?: GroupBy;
  /** Orders the `topK` nearest before the offset is taken; of groups, by their best hits. */
  readonly orderBy?: readonly OrderField[];
  readonly rerank?: Rerank;
  /** Only rows in flushed segments. */
  readonly ignoreGrowing?: boolean;
  /** Exact, of one query; without groups, order, reranking and offset. */
  readonly iterator?: IteratorPage;
  /** The rows as they were then, as far as what was deleted since is known; absent: as they are. */
  readonly asOf?: HybridTime;
}

/** Several searches over one state of the rows, fused. */
export interface HybridRequest {
  readonly collectionId: CollectionId;
  readonly queryCount: number;
  /** Without rows to hand out: their own output, offset and order are not looked at. */
  readonly searches: readonly SearchRequest[];
  readonly fusion: Fusion;
  /** Groups of the fused hits; the searches are to be grouped alike. */
  readonly groupBy?: GroupBy;
  /** The score of a group from those of its hits. */
  readonly groupScore: 'max' | 'sum' | 'avg';
  /** Hits, or groups. */
  readonly limit: number;
  readonly offset: number;
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
  /** Of a grouped search, for each of its places: the value of the group of each hit; what stands at a path as text. */
  readonly groupValues?: readonly Column[];
  /** Every write up to here was seen, none after it when it was asked for by `asOf` or an iterator. */
  readonly readTs: HybridTime;
  /** Where the next page begins. */
  readonly next?: { readonly token: string; readonly lastBound: number };
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
  /** Needs a limit. */
  readonly orderBy?: readonly OrderField[];
  readonly ignoreGrowing?: boolean;
  /** Throws `partition-not-loaded` when a partition it asks for is not, the ones it does not name included. */
  readonly needsAll?: boolean;
  /** The rows as they were then; `now`: as they are, and somebody will come back for more of them. */
  readonly asOf?: HybridTime | 'now';
}

/** A column of an aggregation: of all rows of a group. Nulls are left out; of nothing but nulls it is null. */
export type Aggregate =
  | { readonly kind: 'count'; readonly fieldId?: FieldId }
  | { readonly kind: 'sum' | 'avg' | 'min' | 'max'; readonly fieldId: FieldId };

/** A group in the answer by its values, or by what was computed of its rows. */
export interface AggregateRequest extends Omit<QueryRequest, 'outputFields' | 'orderBy'> {
  /** Empty: all rows are one group. */
  readonly groupBy: readonly FieldId[];
  readonly aggregates: readonly Aggregate[];
  /** By the place of a column in the answer: the group's fields, then the aggregates. */
  readonly groupOrder?: readonly (Omit<OrderField, keyof ValuePlace> & { readonly column: number })[];
}

/** Columns one after another: the group's fields, then the aggregates. */
export interface AggregateResult {
  readonly rowCount: number;
  readonly columns: readonly Column[];
}

/** Rows of a query and the time they were read at. */
export interface QueryResult extends RowBatch {
  readonly readTs: HybridTime;
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
  /** Throws `collection-not-loaded`, `partition-not-loaded`; waits while it is loading. Without partitions: those that are loaded. */
  search(request: SearchRequest): Promise<SearchResult>;
  hybridSearch(request: HybridRequest): Promise<SearchResult>;
  query(request: QueryRequest): Promise<QueryResult>;
  /** Throws `parameter-too-large` when there are too many groups. */
  aggregate(request: AggregateRequest): Promise<AggregateResult>;
  count(request: Omit<QueryRequest, 'outputFields' | 'limit' | 'offset'>): Promise<number>;
  /** Timestamp up to which every write is visible here. */
  readonly visibleTs: HybridTime;
  close(): Promise<void>;
}
