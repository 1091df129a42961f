import type { FlushResult } from '../../coordinator/api.ts';
import { DbError } from '../../errors/db-error.ts';
import { physicalMs } from '../../model/hybrid-time.ts';
import type { CollectionId, SegmentId } from '../../model/ids.ts';
import { collectionAt, databaseOf } from '../context.ts';
import type { Handler } from '../rpc.ts';
import { segmentLevelToWire, segmentStateToWire } from '../wire/enums.ts';
import { requireName } from '../wire/names.ts';
import { success } from '../wire/status.ts';

const named = (request: { readonly dbName: string; readonly collectionName: string }) => ({
  db_name: request.dbName,
  collection_name: request.collectionName,
});

/** Flushed segments, and sealed ones on their way. */
export const getPersistentSegmentInfo: Handler<'GetPersistentSegmentInfo'> = (request, call) => ({
  status: success,
  infos: call.coordinator
    .listSegments(collectionAt(call, named(request)))
    .filter(({ state }) => state === 'flushed' || state === 'sealed')
    .map((segment) => ({
      segmentID: segment.segmentId,
      collectionID: segment.collectionId,
      partitionID: segment.partitionId,
      num_rows: BigInt(segment.rowCount),
      state: segmentStateToWire[segment.state],
      level: segmentLevelToWire[segment.level],
    })),
});

/** Segments of a loaded collection, growing ones included; none when it is not loaded. */
export const getQuerySegmentInfo: Handler<'GetQuerySegmentInfo'> = (request, call) => {
  const at = collectionAt(call, named(request));
  const isLoaded = call.coordinator.loadState(at).state === 'loaded';
  const segments = call.coordinator
    .listSegments(at)
    .filter(({ state, level }) => isLoaded && level === 'L1' && state !== 'dropped');
  return {
    status: success,
    infos: segments.map((segment) => ({
      segmentID: segment.segmentId,
      collectionID: segment.collectionId,
      partitionID: segment.partitionId,
      num_rows: BigInt(segment.rowCount),
      state: segmentStateToWire[segment.state],
      level: segmentLevelToWire[segment.level],
    })),
  };
};

/** Of the database of the connection: the request names none. */
export const listIndexedSegment: Handler<'ListIndexedSegment'> = (request, call) => ({
  status: success,
  segmentIDs: [
    ...call.coordinator.indexedSegments(
      collectionAt(call, { db_name: '', collection_name: request.collection_name }),
      request.index_name,
    ),
  ],
});

/** Collections of one flush call: each is a seal. */
const MAX_FLUSHED_COLLECTIONS = 1024;

export const flush: Handler<'Flush'> = async (request, call) => {
  const database = databaseOf(call, request.db_name);
  const names = [...new Set(request.collection_names)];
  if (names.length === 0) throw new DbError('parameter-missing', 'collection_names is required for flush');
  if (names.length > MAX_FLUSHED_COLLECTIONS)
    throw new DbError('parameter-too-large', `flush at most ${MAX_FLUSHED_COLLECTIONS} collections at once`);
  const infos = names.map((name) => ({
    name,
    info: call.coordinator.requireReady({ database, name: requireName('collection', name) }),
  }));
  const results: [string, FlushResult][] = [];
  for (const { name, info } of infos)
    results.push([name, await call.coordinator.flush(info.collection.collectionId)]);
  const byName = <T>(value: (result: FlushResult) => T) =>
    Object.fromEntries(results.map(([name, result]) => [name, value(result)]));
  return {
    status: success,
    db_name: request.db_name,
    coll_segIDs: byName(({ sealedIds }) => ({ data: sealedIds })),
    flush_coll_segIDs: byName(({ flushedIds }) => ({ data: flushedIds })),
    coll_seal_times: byName(({ sealTs }) => BigInt(physicalMs(sealTs)) / 1000n),
    coll_flush_ts: byName(({ sealTs }) => sealTs as bigint),
  };
};

export const getFlushState: Handler<'GetFlushState'> = (request, call) => ({
  status: success,
  flushed: call.coordinator.isFlushed(request.segmentIDs as SegmentId[]),
});

/** Seals every collection of the database named, or of all databases. */
export const flushAll: Handler<'FlushAll'> = async (request, call) => {
  const one = request.db_name;
  const databases =
    one === '' ? call.coordinator.listDatabases().map(({ name }) => name) : [requireName('database', one)];
  const ids: CollectionId[] = databases
    .flatMap((name) => call.coordinator.listCollections(name))
    .filter(({ restoringJobId }) => restoringJobId === undefined)
    .map(({ collection }) => collection.collectionId);
  for (const collectionId of ids) await call.coordinator.flush(collectionId);
  return { status: success, flush_all_ts: await call.coordinator.timestamp() };
};

/** Flushed once the log holds no row that was written before the flush. */
export const getFlushAllState: Handler<'GetFlushAllState'> = ({ flush_all_ts: ts }, { streamingNode }) => {
  const waiting = streamingNode
    .segments()
    .filter(({ minTs, rowCount }) => rowCount > 0 && (ts === 0n || minTs <= ts));
  return { status: success, flushed: waiting.length === 0 };
};
