import type { CollectionName } from '../../coordinator/api.ts';
import { messageOf } from '../../errors/db-error.ts';
import { type CallContext, collectionAt } from '../context.ts';
import { done, type Handler } from '../rpc.ts';
import { loadStateToWire } from '../wire/enums.ts';
import { success } from '../wire/status.ts';
import { refuseKeyed } from './partition-keys.ts';
import { partitionIdsOf } from './partitions.ts';

/**
 * Loads, and waits for it up to `limits.loadAnswerMs`: small collections are searchable when the call returns, large ones go
 * on loading past the deadlines of clients, who follow the progress. A failure after the answer is logged and shows
 * as a collection that is not loaded.
 */
async function startLoad(
  { coordinator, clock, limits, log }: CallContext,
  at: CollectionName,
): Promise<void> {
  const patience = new AbortController();
  let isAnswered = false;
  const loading = coordinator.load(at).then(
    () => patience.abort(),
    (error: unknown) => {
      patience.abort();
      if (!isAnswered) throw error;
      log.warn('load-failed', { ...at, error: messageOf(error) });
    },
  );
  const waited = clock.sleep(limits.loadAnswerMs, patience.signal).catch(() => loading);
  await Promise.race([loading, waited]);
  isAnswered = true;
}

export const loadCollection: Handler<'LoadCollection'> = async (request, call) => {
  const at = collectionAt(call, request);
  call.coordinator.requireReady(at);
  await startLoad(call, at);
  return done;
};

export const releaseCollection: Handler<'ReleaseCollection'> = async (request, call) => {
  await call.coordinator.release(collectionAt(call, request));
  return done;
};

export const loadPartitions: Handler<'LoadPartitions'> = async (request, call) => {
  const at = collectionAt(call, request);
  const info = call.coordinator.requireReady(at);
  refuseKeyed(info, 'load');
  partitionIdsOf(info, request.partition_names);
  await startLoad(call, at);
  return done;
};

export const releasePartitions: Handler<'ReleasePartitions'> = async (request, call) => {
  const at = collectionAt(call, request);
  const info = call.coordinator.describeCollection(at);
  refuseKeyed(info, 'release');
  const released = new Set(partitionIdsOf(info, request.partition_names));
  if (info.partitions.every(({ partitionId }) => released.has(partitionId)))
    await call.coordinator.release(at);
  return done;
};

export const getLoadState: Handler<'GetLoadState'> = (request, call) => {
  const { state } = call.coordinator.loadState(collectionAt(call, request));
  return { status: success, state: loadStateToWire[state] };
};

export const getLoadingProgress: Handler<'GetLoadingProgress'> = (request, call) => {
  const at = collectionAt(call, request);
  partitionIdsOf(call.coordinator.describeCollection(at), request.partition_names);
  const { state, progress } = call.coordinator.loadState(at);
  const percent = BigInt(state === 'loaded' ? 100 : Math.floor(progress));
  return { status: success, progress: percent, refresh_progress: percent };
};
