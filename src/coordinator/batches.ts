/** Changes too many for one commit: batch by batch, each repeated until it is not stale. What may be seen between two batches is the caller's concern. */
import { setImmediate } from 'node:timers/promises';
import { type Catalog, type Change, MAX_CHANGES_PER_COMMIT } from '../catalog/catalog.ts';

/** `changeOf` reads the record anew each time; undefined: nothing (more) to do for this one. */
export async function commitEach<Id>(
  catalog: Catalog,
  ids: Iterable<Id>,
  changeOf: (id: Id) => Change | undefined,
): Promise<void> {
  for (const batch of batches(ids)) {
    for (;;) {
      const changes = batch.map(changeOf).filter((change) => change !== undefined);
      if (changes.length === 0) {
        // Nothing was written, and so nobody else got a turn.
        if (batch.length === MAX_CHANGES_PER_COMMIT) await setImmediate();
        break;
      }
      if ((await catalog.commit(changes)) === 'committed') break;
    }
  }
}

function* batches<Id>(ids: Iterable<Id>): Generator<readonly Id[]> {
  let batch: Id[] = [];
  for (const id of ids) {
    if (batch.push(id) < MAX_CHANGES_PER_COMMIT) continue;
    yield batch;
    batch = [];
  }
  yield batch;
}
