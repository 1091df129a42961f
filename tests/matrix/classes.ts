/** Every class of object that storage holds. A new kind of key or file does not compile, or fails a test, until it stands here. */
import { fileKinds } from '../../src/coordinator/snapshot/manifest-records.ts';
import type { FileKind } from '../../src/model/records.ts';
import { type ParsedKey, parseKey } from '../../src/storage/keys.ts';
import type { Victim } from './damage.ts';
import { DAMAGED, named, SNAP, type World } from './world.ts';

export type ObjectClass = Exclude<ParsedKey['kind'], 'foreign' | 'identity'>;

interface Known {
  readonly title: string;
  /** Read when its collection is loaded: then damage under an unchanged mark is found too. */
  readonly isLoaded: boolean;
  /** Read by every restore whatever its mark: a snapshot's own description. */
  readonly isDescription: boolean;
}

export const classes: Readonly<Record<ObjectClass, Known>> = {
  'snapshot-metadata': { title: 'snapshot metadata', isLoaded: false, isDescription: true },
  'snapshot-manifest': { title: 'manifest', isLoaded: false, isDescription: true },
  rows: { title: 'rows', isLoaded: true, isDescription: false },
  deletes: { title: 'deletes', isLoaded: true, isDescription: false },
  stats: { title: 'statistics', isLoaded: false, isDescription: false },
  index: { title: 'vector index', isLoaded: true, isDescription: false },
};
// A kind of file that manifests can name and keys cannot, or the other way round, does not compile.
classes satisfies Readonly<Record<FileKind | 'snapshot-metadata' | 'snapshot-manifest', Known>>;

export const classNames = Object.keys(classes) as ObjectClass[];
export const segmentClasses = classNames.filter((name) => !classes[name].isDescription);
export const manifestKinds: readonly string[] = fileKinds;

/** Keys of the store, and what each stands for. */
export async function storedKeys(world: World): Promise<ReadonlyMap<string, ParsedKey>> {
  const keys = new Map<string, ParsedKey>();
  for await (const { key } of world.store.list('')) keys.set(key, parseKey(key));
  return keys;
}

/** An object of the class that `snap` of the damaged collection has and `old` has not, with another one, and one of `old`. */
export async function victimOf(world: World, name: ObjectClass): Promise<Victim> {
  const reports = world.coordinator.snapshotReports('', DAMAGED);
  const idOf = (snapshot: string) => reports.find((each) => each.name === snapshot)?.snapshotId ?? 0n;
  const { collectionId } = world.coordinator.describeCollection(named(DAMAGED)).collection;
  const live = new Set(
    world.coordinator.listSegments(named(DAMAGED)).map(({ segmentId }): bigint => segmentId),
  );
  const found: { readonly key: string; readonly isNew: boolean }[] = [];
  for (const [key, parsed] of await storedKeys(world)) {
    if (parsed.kind !== name || parsed.collectionId !== collectionId) continue;
    const isNew = 'segmentId' in parsed ? live.has(parsed.segmentId) : parsed.snapshotId === idOf(SNAP);
    found.push({ key, isNew });
  }
  const [older] = found.filter(({ isNew }) => !isNew);
  const [key, twin = older] = found.filter(({ isNew }) => isNew).slice(-2);
  if (key === undefined || twin === undefined || older === undefined) throw new Error(`too few ${name}`);
  return { key: key.key, twin: twin.key, older: older.key };
}
