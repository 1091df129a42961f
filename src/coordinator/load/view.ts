import type { Catalog } from '../../catalog/catalog.ts';
import { expiryOf } from '../../model/expiry.ts';
import type { SegmentId } from '../../model/ids.ts';
import { isPartitionLoaded } from '../../model/load-scope.ts';
import type { CollectionRecord, SegmentRecord } from '../../model/records.ts';
import type { CollectionView } from '../../querynode/api.ts';
import type { RestoreGate } from '../rooms.ts';
import { isVisible } from '../segments/state.ts';
import { indexes, partitions, segments } from '../tables.ts';

/** What the catalog holds of a collection now, as a query node needs to know it. */
export function viewOf(catalog: Catalog, collection: CollectionRecord, gate: RestoreGate): CollectionView {
  const { collectionId, schema, channels, loadScope } = collection;
  const partitionIds = catalog.find(partitions, 'collection', collectionId).map((p) => p.partitionId);
  const flushed: SegmentRecord[] = [];
  const unflushed: SegmentId[] = [];
  for (const segment of catalog.find(segments, 'collection', collectionId))
    if (segment.state === 'growing' || segment.state === 'sealed') unflushed.push(segment.segmentId);
    else if (segment.state === 'flushed' && isVisible(segment, gate) && isRead(collection, segment))
      flushed.push(segment);
  return {
    collectionId,
    schema,
    channels,
    partitionIds,
    ...(loadScope === undefined
      ? {}
      : { loadedPartitionIds: partitionIds.filter((id) => isPartitionLoaded(collection, id)) }),
    segments: flushed,
    unflushed,
    ...expiring(collection),
    indexes: catalog.find(indexes, 'collection', collectionId),
  };
}

/** Deletes stay: rows that are loaded later need them. A collection that is read before it is published has no scope yet. */
const isRead = (collection: CollectionRecord, { level, partitionId }: SegmentRecord): boolean =>
  level === 'L0' || collection.loadScope === undefined || isPartitionLoaded(collection, partitionId);

function expiring(collection: CollectionRecord): Pick<CollectionView, 'expiry'> {
  const expiry = expiryOf(collection);
  return expiry === undefined ? {} : { expiry };
}
