import type { Catalog } from '../../catalog/catalog.ts';
import type { CollectionRecord } from '../../model/records.ts';
import type { CollectionView } from '../../querynode/api.ts';
import type { RestoreGate } from '../rooms.ts';
import { isVisible } from '../segments/state.ts';
import { indexes, partitions, segments } from '../tables.ts';

/** What the catalog holds of a collection now, as a query node needs to know it. */
export function viewOf(catalog: Catalog, collection: CollectionRecord, gate: RestoreGate): CollectionView {
  const { collectionId, schema, channels } = collection;
  return {
    collectionId,
    schema,
    channels,
    partitionIds: catalog.find(partitions, 'collection', collectionId).map((p) => p.partitionId),
    segments: catalog
      .find(segments, 'collection', collectionId)
      .filter((segment) => segment.state === 'flushed' && isVisible(segment, gate)),
    indexes: catalog.find(indexes, 'collection', collectionId),
  };
}
