import type { Catalog } from '../../catalog/catalog.ts';
import { expiryOf } from '../../model/expiry.ts';
import type { SegmentId } from '../../model/ids.ts';
import type { CollectionRecord, SegmentRecord } from '../../model/records.ts';
import type { CollectionView } from '../../querynode/api.ts';
import type { RestoreGate } from '../rooms.ts';
import { isVisible } from '../segments/state.ts';
import { indexes, partitions, segments } from '../tables.ts';

/** What the catalog holds of a collection now, as a query node needs to know it. */
export function viewOf(catalog: Catalog, collection: CollectionRecord, gate: RestoreGate): CollectionView {
  const { collectionId, schema, channels } = collection;
  const flushed: SegmentRecord[] = [];
  const unflushed: SegmentId[] = [];
  for (const segment of catalog.find(segments, 'collection', collectionId))
    if (segment.state === 'growing' || segment.state === 'sealed') unflushed.push(segment.segmentId);
    else if (segment.state === 'flushed' && isVisible(segment, gate)) flushed.push(segment);
  return {
    collectionId,
    schema,
    channels,
    partitionIds: catalog.find(partitions, 'collection', collectionId).map((p) => p.partitionId),
    segments: flushed,
    unflushed,
    ...expiring(collection),
    indexes: catalog.find(indexes, 'collection', collectionId),
  };
}

function expiring(collection: CollectionRecord): Pick<CollectionView, 'expiry'> {
  const expiry = expiryOf(collection);
  return expiry === undefined ? {} : { expiry };
}
