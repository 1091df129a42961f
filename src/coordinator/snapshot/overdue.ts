import type { Catalog } from '../../catalog/catalog.ts';
import { snapshots } from './record.ts';

/** Creations that began before `sinceMs` and have not ended, as health tells them. */
export const overdueCreations = (catalog: Catalog, sinceMs: number): readonly string[] =>
  catalog
    .find(snapshots, 'state', 'pending')
    .filter(({ pendingAtMs }) => pendingAtMs < sinceMs)
    .map(
      ({ name, collectionId, pendingAtMs }) =>
        `snapshot '${name}' of collection ${collectionId} has been pending since ${new Date(pendingAtMs).toISOString()}`,
    );
