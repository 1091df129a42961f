import type { Catalog } from '../../catalog/catalog.ts';
import type { SnapshotId } from '../../model/ids.ts';
import { type SnapshotRecord, snapshots } from './record.ts';

interface Damage {
  /** Of metadata or manifests. */
  readonly description?: string | undefined;
  /** Of segments' objects. */
  readonly data?: string | undefined;
}

/** What was found wrong with snapshots since the start, so that a list can say it without reading. Gone with the snapshot. */
export class KnownDamage {
  readonly #found = new Map<SnapshotId, Damage>();

  constructor(catalog: Catalog) {
    catalog.onChange((changes) => {
      for (const { table, was, is } of changes)
        if (table === snapshots && is === undefined) this.#found.delete((was as SnapshotRecord).snapshotId);
    });
  }

  /** `reason` undefined: it was read and is whole. */
  note(snapshotId: SnapshotId, part: keyof Damage, reason: string | undefined): void {
    const now = { ...this.#found.get(snapshotId), [part]: reason };
    if (now.description === undefined && now.data === undefined) this.#found.delete(snapshotId);
    else this.#found.set(snapshotId, now);
  }

  of(snapshotId: SnapshotId): string | undefined {
    const found = this.#found.get(snapshotId);
    return found?.description ?? found?.data;
  }
}
