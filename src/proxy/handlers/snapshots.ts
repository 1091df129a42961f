/** The nine snapshot calls. Checks come in the order Milvus makes them: names, ranges, then what exists. */
import type { CollectionName, RestoreJobInfo } from '../../coordinator/api.ts';
import { DbError } from '../../errors/db-error.ts';
import type { JobId, PinId } from '../../model/ids.ts';
import { type CallContext, databaseOf } from '../context.ts';
import { done, type Handler } from '../rpc.ts';
import { restoreStateToWire } from '../wire/enums.ts';
import { requireName, requireSnapshotName } from '../wire/names.ts';
import { success } from '../wire/status.ts';

const MAX_PROTECTION_SECONDS = 604_800n;
const MAX_PIN_SECONDS = 2_592_000n;

const invalid = (message: string): DbError => new DbError('parameter-invalid', message);

interface OfCollection {
  readonly db_name: string;
  readonly collection_name: string;
}

/** The source collection of a snapshot call. */
function sourceOf(call: CallContext, request: OfCollection, action: string): CollectionName {
  if (request.collection_name === '') throw invalid(`collection_name is required for ${action}`);
  return {
    database: databaseOf(call, request.db_name),
    name: requireName('collection', request.collection_name),
  };
}

export const createSnapshot: Handler<'CreateSnapshot'> = async (request, call) => {
  const name = requireSnapshotName(request.name);
  const seconds = request.compaction_protection_seconds;
  if (seconds < 0n) throw invalid('compaction_protection_seconds must be non-negative');
  if (seconds > MAX_PROTECTION_SECONDS)
    throw invalid(`compaction_protection_seconds must not exceed ${MAX_PROTECTION_SECONDS}`);
  const at = sourceOf(call, request, 'create snapshot');
  const { description } = request;
  await call.coordinator.createSnapshot({
    at,
    name,
    description,
    compactionProtectionSeconds: Number(seconds),
  });
  return done;
};

export const dropSnapshot: Handler<'DropSnapshot'> = async (request, call) => {
  const name = requireSnapshotName(request.name);
  await call.coordinator.dropSnapshot(sourceOf(call, request, 'drop snapshot'), name);
  return done;
};

export const listSnapshots: Handler<'ListSnapshots'> = (request, call) => ({
  status: success,
  snapshots: call.coordinator.listSnapshots(sourceOf(call, request, 'ListSnapshots')),
});

export const describeSnapshot: Handler<'DescribeSnapshot'> = (request, call) => {
  const name = requireSnapshotName(request.name);
  const at = sourceOf(call, request, 'describe snapshot');
  const snapshot = call.coordinator.describeSnapshot(at, name);
  return {
    status: success,
    name: snapshot.name,
    description: snapshot.description,
    collection_name: snapshot.collectionName,
    partition_names: snapshot.partitionNames,
    create_ts: snapshot.createTs,
    s3_location: snapshot.location,
  };
};

export const restoreSnapshot: Handler<'RestoreSnapshot'> = async (request, call) => {
  const name = requireSnapshotName(request.name);
  const source = sourceOf(call, request, 'restore snapshot');
  if (request.target_collection_name === '')
    throw invalid('target_collection_name is required for restore snapshot');
  const target = {
    database: request.target_db_name === '' ? '' : requireName('database', request.target_db_name),
    name: requireName('collection', request.target_collection_name),
  };
  const jobId = await call.coordinator.restoreSnapshot({ source, name, target });
  return { status: success, job_id: jobId };
};

const jobToWire = (job: RestoreJobInfo) => ({
  job_id: job.jobId,
  snapshot_name: job.snapshotName,
  db_name: job.databaseName,
  collection_name: job.collectionName,
  state: restoreStateToWire[job.state],
  progress: Math.floor(job.progress),
  reason: job.reason,
  start_time: BigInt(Math.floor(job.startedAtMs)),
  time_cost: BigInt(Math.floor(job.durationMs)),
});

export const getRestoreSnapshotState: Handler<'GetRestoreSnapshotState'> = (request, { coordinator }) => ({
  status: success,
  info: jobToWire(coordinator.restoreState(request.job_id as JobId)),
});

export const listRestoreSnapshotJobs: Handler<'ListRestoreSnapshotJobs'> = (request, call) => {
  const collection = request.collection_name;
  const jobs = call.coordinator.listRestoreJobs(
    databaseOf(call, request.db_name),
    collection === '' ? '' : requireName('collection', collection),
  );
  return { status: success, jobs: jobs.map(jobToWire) };
};

export const pinSnapshotData: Handler<'PinSnapshotData'> = async (request, call) => {
  const name = requireSnapshotName(request.name);
  const ttlSeconds = request.ttl_seconds;
  if (ttlSeconds < 0n) throw invalid('ttl_seconds must be non-negative');
  if (ttlSeconds > MAX_PIN_SECONDS)
    throw invalid(`ttl_seconds exceeds maximum of ${MAX_PIN_SECONDS} (30 days)`);
  const at = sourceOf(call, request, 'pin snapshot data');
  const pinId = await call.coordinator.pinSnapshot(at, name, Number(ttlSeconds), call.user);
  return { status: success, pin_id: pinId };
};

export const unpinSnapshotData: Handler<'UnpinSnapshotData'> = async (request, { coordinator }) => {
  if (request.pin_id === 0n) throw invalid('pin_id is required for unpin snapshot data');
  await coordinator.unpinSnapshot(request.pin_id as PinId);
  return done;
};
