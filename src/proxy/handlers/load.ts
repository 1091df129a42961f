import { collectionAt } from '../context.ts';
import { done, type Handler } from '../rpc.ts';
import { loadStateToWire } from '../wire/enums.ts';
import { success } from '../wire/status.ts';
import { partitionIdsOf } from './partitions.ts';

export const loadCollection: Handler<'LoadCollection'> = async (request, call) => {
  const at = collectionAt(call, request);
  call.coordinator.requireReady(at);
  await call.coordinator.load(at);
  return done;
};

export const releaseCollection: Handler<'ReleaseCollection'> = async (request, call) => {
  await call.coordinator.release(collectionAt(call, request));
  return done;
};

export const loadPartitions: Handler<'LoadPartitions'> = async (request, call) => {
  const at = collectionAt(call, request);
  partitionIdsOf(call.coordinator.requireReady(at), request.partition_names);
  await call.coordinator.load(at);
  return done;
};

export const releasePartitions: Handler<'ReleasePartitions'> = async (request, call) => {
  const at = collectionAt(call, request);
  const info = call.coordinator.describeCollection(at);
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
