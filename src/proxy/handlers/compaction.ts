/** Compaction on request, and what became of it. Sizes on the wire are megabytes. */
import type { CompactionInfo, CompactionPlanInfo } from '../../coordinator/api.ts';
import { DbError } from '../../errors/db-error.ts';
import type { CollectionId, CompactionId, PartitionId, SegmentId } from '../../model/ids.ts';
import { type CallContext, collectionAt, databaseOf } from '../context.ts';
import type { Handler } from '../rpc.ts';
import { compactionStateToWire } from '../wire/enums.ts';
import { success } from '../wire/status.ts';

const MB = 1024 * 1024;
/** Segments that one request may name. */
const MAX_SEGMENTS = 16_384;

const invalid = (message: string): DbError => new DbError('parameter-invalid', message);

interface Named {
  readonly collectionID: bigint;
  readonly db_name: string;
  readonly collection_name: string;
}

/** By id where there is one: clients look it up before they call. The collection must not be under restore. */
function collectionOf(call: CallContext, request: Named): CollectionId {
  const { coordinator } = call;
  if (request.collectionID === 0n && request.collection_name === '')
    throw new DbError('parameter-missing', 'collection name or id is required for compaction');
  if (request.collectionID === 0n)
    return coordinator.requireReady(collectionAt(call, request)).collection.collectionId;
  const { collection, databaseName } = coordinator.describeCollectionById(
    request.collectionID as CollectionId,
  );
  if (request.db_name !== '' && databaseOf(call, request.db_name) !== databaseName)
    throw new DbError(
      'collection-not-found',
      `can't find collection: collection not found[database=${request.db_name}][collection=${request.collectionID}]`,
    );
  coordinator.requireReady({ database: databaseName, name: collection.name });
  return collection.collectionId;
}

export const manualCompaction: Handler<'ManualCompaction'> = async (request, call) => {
  const { partition_id: partitionId, channel, segment_ids: segmentIds, target_size: targetSize } = request;
  if (request.majorCompaction) throw new DbError('unimplemented', 'clustering compaction is not implemented');
  if (targetSize < 0n) throw invalid('target_size must be non-negative');
  if (segmentIds.length > MAX_SEGMENTS)
    throw new DbError('parameter-too-large', `compact at most ${MAX_SEGMENTS} named segments at once`);
  const compaction = await call.coordinator.compact({
    collectionId: collectionOf(call, request),
    isDeletesOnly: request.l0Compaction,
    segmentIds: segmentIds as SegmentId[],
    ...(partitionId === 0n ? {} : { partitionId: partitionId as PartitionId }),
    ...(channel === '' ? {} : { channel }),
    ...(targetSize === 0n ? {} : { targetSizeBytes: Number(targetSize) * MB }),
  });
  return {
    status: success,
    compactionID: compaction.compactionId,
    compactionPlanCount: compaction.plans.length,
  };
};

const idOf = (compactionId: bigint): CompactionId => {
  if (compactionId === 0n) throw invalid('compactionID is required');
  return compactionId as CompactionId;
};

/** Plans never time out here: what does not get on fails. */
const countsOf = ({ plans }: CompactionInfo) => {
  const count = (state: CompactionPlanInfo['state']) =>
    BigInt(plans.filter((plan) => plan.state === state).length);
  return {
    executingPlanNo: count('executing'),
    timeoutPlanNo: 0n,
    completedPlanNo: count('completed'),
    failedPlanNo: count('failed'),
  };
};

export const getCompactionState: Handler<'GetCompactionState'> = (request, { coordinator }) => {
  const compaction = coordinator.compactionState(idOf(request.compactionID));
  return {
    status: success,
    state: compactionStateToWire[compaction.state],
    ...countsOf(compaction),
  };
};

/** A plan with target 0 runs, has failed, or left nothing. */
export const getCompactionStateWithPlans: Handler<'GetCompactionStateWithPlans'> = (
  request,
  { coordinator },
) => {
  const { state, plans } = coordinator.compactionState(idOf(request.compactionID));
  return {
    status: success,
    state: compactionStateToWire[state],
    mergeInfos: plans.map(({ sources, target }) => ({ sources: [...sources], target: target ?? 0n })),
  };
};
