/** The table of served RPCs: what answers each, and what differs from Milvus. docs/compatibility.md is printed from it (compatibility.ts). */

import * as aliases from './handlers/aliases.ts';
import * as alter from './handlers/alter.ts';
import * as alterSchema from './handlers/alter-schema.ts';
import { computePhraseMatchSlop, runAnalyzer } from './handlers/analyzers.ts';
import * as collections from './handlers/collections.ts';
import * as compaction from './handlers/compaction.ts';
import * as databases from './handlers/databases.ts';
import { deleteRows } from './handlers/delete.ts';
import { hybridSearch } from './handlers/hybrid-search.ts';
import * as indexes from './handlers/indexes.ts';
import * as load from './handlers/load.ts';
import * as partitions from './handlers/partitions.ts';
import { query } from './handlers/query.ts';
import { insert, upsert } from './handlers/rows.ts';
import { search } from './handlers/search.ts';
import * as segments from './handlers/segments.ts';
import * as snapshots from './handlers/snapshots.ts';
import * as system from './handlers/system.ts';
import { bytes, type RpcEntry, unary } from './rpc.ts';
import type { RpcName } from './wire/descriptor.ts';

const PARTITIONS_APART =
  'Reads see loaded partitions only, and naming another is an error (201). Rows of others that are not flushed yet stay in memory.';

export const service: Readonly<Record<RpcName, RpcEntry>> = {
  Connect: unary('Connect', system.connect),
  GetVersion: unary('GetVersion', system.getVersion),
  CheckHealth: unary('CheckHealth', system.checkHealth),
  GetComponentStates: unary('GetComponentStates', system.getComponentStates),
  AllocTimestamp: unary('AllocTimestamp', system.allocTimestamp),

  CreateDatabase: unary('CreateDatabase', databases.createDatabase),
  DropDatabase: unary('DropDatabase', databases.dropDatabase),
  ListDatabases: unary('ListDatabases', databases.listDatabases),
  DescribeDatabase: unary('DescribeDatabase', databases.describeDatabase),

  AlterDatabase: unary(
    'AlterDatabase',
    alter.alterDatabase,
    'Of the properties of Milvus `database.max.collections` and `timezone` mean something; numbers of replicas, resource groups and quotas are kept and described. Denying reads or writes is refused by name.',
  ),

  CreateCollection: unary(
    'CreateCollection',
    collections.createCollection,
    'Every data type; struct arrays of arrays and vector arrays. Rows are divided over partitions by the partition key; a clustering key is kept and described, no compaction orders rows by it. Functions: BM25 and MinHash, with one analyzer or several by a field of the row; others are refused by name. MinHash signatures are not those of Milvus, bit by bit (`docs/design/0021-minhash.md`).',
  ),
  DropCollection: unary('DropCollection', collections.dropCollection),
  HasCollection: unary('HasCollection', collections.hasCollection),
  DescribeCollection: unary('DescribeCollection', collections.describeCollection),
  BatchDescribeCollection: unary('BatchDescribeCollection', collections.batchDescribeCollection),
  ShowCollections: unary('ShowCollections', collections.showCollections),
  RenameCollection: unary('RenameCollection', collections.renameCollection),
  AlterCollection: unary(
    'AlterCollection',
    alter.alterCollection,
    '`collection.ttl.seconds` hides and removes rows; the time between a snapshot and its restore does not count. Rate limits, mmap, lazy loading and numbers of replicas are kept and described, and mean nothing. System properties that Milvus does not have are refused by name.',
  ),
  AddCollectionField: unary(
    'AddCollectionField',
    alter.addCollectionField,
    'A field with a default need not be nullable; a text default has at most 256 bytes.',
  ),
  TruncateCollection: unary('TruncateCollection', alter.truncateCollection),
  AddCollectionStructField: unary('AddCollectionStructField', alterSchema.addCollectionStructField),
  AlterCollectionSchema: unary(
    'AlterCollectionSchema',
    alterSchema.alterCollectionSchema,
    'Adds a field, or a BM25 or MinHash function with the field it writes and its index; drops a field, a whole struct array, or a function with the field it writes. The call that adds a function answers when the rows that were there can be found by it, or after some seconds while it goes on. Rows keep what they have of a dropped field until a compaction.',
  ),
  AlterCollectionField: unary(
    'AlterCollectionField',
    alter.alterCollectionField,
    '`max_length` and `max_capacity` grow only: what rows hold stays what the schema says.',
  ),
  GetCollectionStatistics: unary('GetCollectionStatistics', collections.getCollectionStatistics),

  CreateAlias: unary('CreateAlias', aliases.createAlias),
  AlterAlias: unary('AlterAlias', aliases.alterAlias),
  DropAlias: unary('DropAlias', aliases.dropAlias),
  DescribeAlias: unary('DescribeAlias', aliases.describeAlias),
  ListAliases: unary('ListAliases', aliases.listAliases),

  LoadCollection: unary(
    'LoadCollection',
    load.loadCollection,
    'Answers when everything is searchable, or after some seconds while it goes on. Replicas, resource groups and load fields are ignored.',
  ),
  ReleaseCollection: unary('ReleaseCollection', load.releaseCollection),
  GetLoadState: unary('GetLoadState', load.getLoadState),
  GetLoadingProgress: unary('GetLoadingProgress', load.getLoadingProgress),
  GetReplicas: unary('GetReplicas', load.getReplicas, 'One replica, on this node; without addresses.'),
  LoadPartitions: unary('LoadPartitions', load.loadPartitions, PARTITIONS_APART),
  ReleasePartitions: unary(
    'ReleasePartitions',
    load.releasePartitions,
    'Without its last partition a collection is not loaded. A delete by filter and a partial upsert need all partitions they look at.',
  ),

  CreatePartition: unary('CreatePartition', partitions.createPartition),
  DropPartition: unary('DropPartition', partitions.dropPartition),
  HasPartition: unary('HasPartition', partitions.hasPartition),
  ShowPartitions: unary('ShowPartitions', partitions.showPartitions),
  GetPartitionStatistics: unary('GetPartitionStatistics', partitions.getPartitionStatistics),

  CreateIndex: unary(
    'CreateIndex',
    indexes.createIndex,
    'Vector index types are accepted by name for the types of vectors they are for, but IVF_RABITQ, HNSW_PQ, HNSW_PRQ, AISAQ and the GPU ones: dense vectors are searched by HNSW or exactly, binary vectors, sparse ones and lists exactly. Scalar index types (STL_SORT, INVERTED, BITMAP, HYBRID, Trie, RTREE, AUTOINDEX; JSON paths with `json_path`, `json_cast_type` and `json_cast_function` STRING_TO_DOUBLE) are checked, kept and shown, and answer filters over flushed rows from memory: docs/filters.md. Not NGRAM, FMINDEX, `json_cast_type` JSON.',
  ),
  AlterIndex: unary(
    'AlterIndex',
    alter.alterIndex,
    '`mmap.enabled` is kept and described, and means nothing.',
  ),
  DescribeIndex: unary('DescribeIndex', indexes.describeIndex),
  DropIndex: unary('DropIndex', indexes.dropIndex),
  GetIndexState: unary('GetIndexState', indexes.getIndexState),
  GetIndexBuildProgress: unary('GetIndexBuildProgress', indexes.getIndexBuildProgress),
  GetIndexStatistics: unary('GetIndexStatistics', indexes.getIndexStatistics),

  Insert: bytes(insert),
  Upsert: bytes(
    upsert,
    'Upserts of an auto-id collection give their rows new keys. A partial update needs the collection to be loaded, merges the keys of the dynamic field, and reads and writes whole rows: what others write between the two is replaced.',
  ),
  Delete: unary(
    'Delete',
    deleteRows,
    'A filter that is not a list of primary keys needs the collection to be loaded.',
  ),
  Flush: unary('Flush', segments.flush),
  GetFlushState: unary('GetFlushState', segments.getFlushState),
  FlushAll: unary('FlushAll', segments.flushAll, 'Flush targets are ignored.'),
  GetFlushAllState: unary('GetFlushAllState', segments.getFlushAllState, 'For the whole server.'),

  Search: bytes(
    search,
    'Every type of vector and metric, text by BM25 and by MinHash signature, range search, filter, offset, round_decimal, grouping and ordering by fields and by keys of JSON fields and of the dynamic field, grouping by several fields (`group_by_fields`, one key of a JSON field among them), iterators, search by ids, boost and decay rerankers. `drop_ratio_search` is checked, the answer is exact. What stands at a key is grouped and ordered as Bool, number, text or container; its group is shown as text (`json_type` and `strict_cast` are refused). Boosts with groups, model rerankers, function chains, semantic highlighter and aggregation are refused by name; the lexical highlighter marks words of BM25 searches and of TEXT_MATCH. An iterator goes on with the rows of its beginning until ten minutes after its last page: rows that were deleted since are kept in memory, up to 262,144 of a collection and the last 16,384 of a segment; a restart forgets them. Filters of any selectivity keep recall: the filter or the search goes first, whichever is cheaper (docs/filters.md); `element_filter` chooses rows, not the vectors of a list that are compared. Reads see every acknowledged write whatever the consistency level.',
  ),
  HybridSearch: bytes(
    hybridSearch,
    'RRF, weighted and decay rankers, grouping as in Search, boosts in the searches. All searches read the same rows. Model rerankers, function chains and a decay in one of the searches are refused by name.',
  ),
  Query: bytes(
    query,
    'Rows come in primary-key order, or as `order_by_fields` says; iterators as for searches. Groups with count, sum, avg, min and max: at most 100,000. Queries are not ordered or grouped by keys of JSON fields. Filters as in `docs/filters.md`: all of the language but membership_match. Reads see every acknowledged write whatever the consistency level.',
  ),
  RunAnalyzer: unary(
    'RunAnalyzer',
    runAnalyzer,
    'Analyzers `standard`, `english`, `chinese`; tokenizers `standard`, `whitespace`, `jieba`, `icu`, `thai`; filters `lowercase`, `asciifolding`, `alphanumonly`, `cnalphanumonly`, `cncharonly`, `removepunct`, `decimaldigit`, `length`, `stop` (with `_english_`), `stemmer` (but Greek), `decompounder`, `regex` (RE2, and looking ahead at the beginning, `^(?!…)`; `\\b` is between ASCII letters). The others of Milvus are refused by name. Hashes are our own.',
  ),

  ComputePhraseMatchSlop: unary(
    'ComputePhraseMatchSlop',
    computePhraseMatchSlop,
    'The least slop of PHRASE_MATCH; 0 where the phrase is not found at all. At most 16,384 texts of 1 MiB together.',
  ),

  GetPersistentSegmentInfo: unary('GetPersistentSegmentInfo', segments.getPersistentSegmentInfo),
  ListIndexedSegment: unary('ListIndexedSegment', segments.listIndexedSegment),
  GetQuerySegmentInfo: unary(
    'GetQuerySegmentInfo',
    segments.getQuerySegmentInfo,
    'Without memory sizes and nodes.',
  ),

  ManualCompaction: unary(
    'ManualCompaction',
    compaction.manualCompaction,
    'Merges small segments and removes deleted rows, also of single segments. Clustering (major) compaction is refused by name; time travel is ignored.',
  ),
  GetCompactionState: unary('GetCompactionState', compaction.getCompactionState),
  GetCompactionStateWithPlans: unary('GetCompactionStateWithPlans', compaction.getCompactionStateWithPlans),

  CreateSnapshot: unary(
    'CreateSnapshot',
    snapshots.createSnapshot,
    'Holds every write acknowledged before the call: it flushes them. With the option `snapshot.capture: flushed` it holds, as in Milvus 3.0, what is flushed when it is called.',
  ),
  DropSnapshot: unary('DropSnapshot', snapshots.dropSnapshot),
  ListSnapshots: unary('ListSnapshots', snapshots.listSnapshots),
  DescribeSnapshot: unary('DescribeSnapshot', snapshots.describeSnapshot),
  RestoreSnapshot: unary('RestoreSnapshot', snapshots.restoreSnapshot),
  GetRestoreSnapshotState: unary('GetRestoreSnapshotState', snapshots.getRestoreSnapshotState),
  ListRestoreSnapshotJobs: unary('ListRestoreSnapshotJobs', snapshots.listRestoreSnapshotJobs),
  PinSnapshotData: unary('PinSnapshotData', snapshots.pinSnapshotData),
  UnpinSnapshotData: unary('UnpinSnapshotData', snapshots.unpinSnapshotData),
};

/** What to use in place of an RPC that is not served. */
export const insteadOf: Readonly<Record<string, string>> = {
  AddCollectionFunction:
    'As in Milvus 3.0: a function is added together with the field it writes, by AlterCollectionSchema (addFunctionField, add_function_field).',
  AlterCollectionFunction:
    'As in Milvus 3.0: drop the function with its field and add another, by AlterCollectionSchema (dropFunctionField and addFunctionField).',
  DropCollectionFunction:
    'As in Milvus 3.0: a function is dropped together with the field it writes, by AlterCollectionSchema (dropFunctionField, drop_function_field).',
};
