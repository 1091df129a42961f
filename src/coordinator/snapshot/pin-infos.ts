import type { Catalog } from '../../catalog/catalog.ts';
import type { PinInfo } from '../admin-api.ts';
import { collections, databases } from '../tables.ts';
import type { Pins } from './pins.ts';
import { type PinRecord, snapshots } from './record.ts';

/** Who holds the pin, for people: a user's name, `user` when none was said, `restore job N` or `verification`. */
export function ownerOf({ owner }: PinRecord): string {
  switch (owner.kind) {
    case 'user':
      return owner.name ?? 'user';
    case 'restore':
      return `restore job ${owner.jobId}`;
    case 'verify':
      return 'verification';
    default:
      return owner satisfies never;
  }
}

/** Pins that have not ended, oldest first. Names are those of now; of what is gone, those of then. */
export const pinInfos = (catalog: Catalog, pins: Pins): readonly PinInfo[] =>
  pins
    .allActive()
    .toSorted((a, b) => a.createdAtMs - b.createdAtMs || (a.pinId < b.pinId ? -1 : 1))
    .map((pin) => pinInfo(catalog, pin));

/** Names are those of now; of what is gone, those of then. */
export function pinInfo(catalog: Catalog, pin: PinRecord): PinInfo {
  const { pinId, snapshotId, createdAtMs, expiresAtMs } = pin;
  const snapshot = catalog.get(snapshots, snapshotId);
  const collection = snapshot && catalog.get(collections, snapshot.collectionId);
  const database = collection && catalog.get(databases, collection.databaseId);
  return {
    pinId,
    snapshotId,
    snapshotName: snapshot?.name ?? '',
    databaseName: database?.name ?? snapshot?.databaseName ?? '',
    collectionName: collection?.name ?? snapshot?.collectionName ?? '',
    owner: ownerOf(pin),
    createdAtMs,
    ...(expiresAtMs === undefined ? {} : { expiresAtMs }),
  };
}
