/** Changes too many for one commit: batch by batch, each repeated until it is not stale. What may be seen between two batches is the caller's concern. */
import { type Catalog, type Change, MAX_CHANGES_PER_COMMIT } from '../catalog/catalog.ts';

/** `changeOf` reads the record anew each time; undefined: nothing (more) to do for this one. */
export async function commitEach<Id>(
  catalog: Catalog,
  ids: readonly Id[],
  changeOf: (id: Id) => Change | undefined,
): Promise<void> {
  for (let at = 0; at < ids.length; at += MAX_CHANGES_PER_COMMIT) {
    const batch = ids.slice(at, at + MAX_CHANGES_PER_COMMIT);
    for (;;) {
      const changes = batch.map(changeOf).filter((change) => change !== undefined);
      if (changes.length === 0 || (await catalog.commit(changes)) === 'committed') break;
    }
  }
}
