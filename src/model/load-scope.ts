/** Pure: which partitions of a collection are loaded. */
import type { PartitionId } from './ids.ts';
import type { CollectionRecord } from './records.ts';

/** `only`: these, and none that are created later. `except`: all but these, those that are created later included. */
export interface LoadScope {
  readonly kind: 'only' | 'except';
  readonly partitionIds: readonly PartitionId[];
}

export type Load = Pick<CollectionRecord, 'load' | 'loadScope'>;

export const NOT_LOADED: Load = { load: 'none' };
const ALL: Load = { load: 'loaded' };

const scoped = (kind: LoadScope['kind'], partitionIds: readonly PartitionId[]): Load => ({
  load: 'loaded',
  loadScope: { kind, partitionIds: [...new Set(partitionIds)].sort((a, b) => (a < b ? -1 : 1)) },
});

export function isPartitionLoaded({ load, loadScope }: Load, partitionId: PartitionId): boolean {
  if (load !== 'loaded') return false;
  if (loadScope === undefined) return true;
  return loadScope.partitionIds.includes(partitionId) === (loadScope.kind === 'only');
}

/** With these partitions loaded as well; undefined: all there are and will be. */
export function withLoaded(was: Load, partitionIds: readonly PartitionId[] | undefined): Load {
  if (partitionIds === undefined) return ALL;
  if (was.load !== 'loaded') return scoped('only', partitionIds);
  const { loadScope } = was;
  if (loadScope === undefined) return was;
  if (loadScope.kind === 'only') return scoped('only', [...loadScope.partitionIds, ...partitionIds]);
  const left = loadScope.partitionIds.filter((id) => !partitionIds.includes(id));
  return left.length === 0 ? ALL : scoped('except', left);
}

/** Without these. `all`: the partitions there are; when none of them is left, the collection is not loaded. */
export function withReleased(
  was: Load,
  partitionIds: readonly PartitionId[] | undefined,
  all: readonly PartitionId[],
): Load {
  if (partitionIds === undefined || was.load !== 'loaded') return NOT_LOADED;
  const { loadScope = { kind: 'except', partitionIds: [] } } = was;
  const is =
    loadScope.kind === 'except'
      ? scoped('except', [...loadScope.partitionIds, ...partitionIds])
      : scoped(
          'only',
          loadScope.partitionIds.filter((id) => !partitionIds.includes(id)),
        );
  return all.some((id) => isPartitionLoaded(is, id)) ? is : NOT_LOADED;
}

/** The same of another collection, by the partitions that stand for these. Those without one were not there. */
export function movedTo(
  was: Load,
  placeOf: (partitionId: PartitionId) => PartitionId | undefined,
  all: readonly PartitionId[],
): Load {
  if (was.load !== 'loaded' || was.loadScope === undefined) return was;
  const { kind, partitionIds } = was.loadScope;
  const moved = scoped(
    kind,
    partitionIds.map(placeOf).filter((id) => id !== undefined),
  );
  return all.some((id) => isPartitionLoaded(moved, id)) ? moved : NOT_LOADED;
}
