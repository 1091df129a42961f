/** What searches and queries share. */
import { DbError } from '../errors/db-error.ts';
import type { CheckedFilter } from '../expr/check.ts';
import type { HybridTime } from '../model/hybrid-time.ts';
import type { CollectionId, PartitionId } from '../model/ids.ts';
import type { CollectionSchema } from '../model/schema.ts';
import type { Workers } from '../support/workers.ts';
import type { CollectionView, HybridRequest } from './api.ts';
import { type Filters, finished, isOpen, type OpenSelection, readyFilter, selectOpen } from './filter.ts';
import { noteTested } from './filter-costs.ts';
import type { Selection } from './order.ts';
import type { Pacer } from './pacer.ts';
import type { UnitView } from './unit.ts';

export interface ReadContext {
  readonly schema: CollectionSchema;
  readonly views: readonly UnitView[];
  readonly filters: Filters;
  readonly pacer: Pacer;
  /** Analyze texts. Absent: this thread does. */
  readonly workers?: Workers | undefined;
  /** Bound of an answer. */
  readonly maxBytes: number;
}

/** The matching rows of every unit that has some. */
export async function selectAll(
  context: ReadContext,
  filter: CheckedFilter | undefined,
): Promise<Selection[]> {
  const selections: Selection[] = [];
  for (const open of await selectAllOpen(context, filter)) {
    const selection = isOpen(open) ? await finished(open, context.pacer) : open;
    if (isOpen(open)) noteTested(open);
    if (selection.count > 0) selections.push(selection);
  }
  return selections;
}

/** The rows of every unit that may match: as far as indexes say, or a list of keys. */
export async function selectAllOpen(
  { views, filters, schema, pacer, workers }: ReadContext,
  filter: CheckedFilter | undefined,
): Promise<(Selection | OpenSelection)[]> {
  const ready = filter === undefined ? undefined : readyFilter(filters, filter, schema, workers);
  const selections: Selection[] = [];
  for (const view of views) {
    const selection = await selectOpen(view, ready, pacer);
    if (selection.count > 0) selections.push(selection);
  }
  return selections;
}

/** What is read, and of which moment. */
export interface ReadRequest {
  readonly collectionId: CollectionId;
  readonly partitionIds?: readonly PartitionId[];
  readonly ignoreGrowing?: boolean;
  readonly needsAll?: boolean;
  /** `now`: at the newest write. Absent: nobody asks for it again. */
  readonly asOf?: HybridTime | 'now';
}

/** Pure: the partitions to read; undefined: all. Throws `partition-not-loaded`. */
export function loadedOnly(
  { loadedPartitionIds: loaded, partitionIds: all }: CollectionView,
  { collectionId, partitionIds: asked, needsAll = false }: Omit<ReadRequest, 'asOf'>,
): readonly PartitionId[] | undefined {
  if (loaded === undefined) return asked;
  if (loaded.length === 0)
    throw new DbError(
      'collection-not-loaded',
      `collection ${collectionId} is not loaded: its partitions are gone`,
    );
  const wanted = asked ?? (needsAll ? all : loaded);
  const missing = wanted.find((id) => !loaded.includes(id));
  if (missing !== undefined)
    throw new DbError(
      'partition-not-loaded',
      `partition not loaded[partition=${missing}][collection=${collectionId}]`,
    );
  return wanted;
}

/** The newest time of `first` and the rows of the views. */
export function newestOf(first: HybridTime, views: readonly UnitView[]): HybridTime {
  let newest = first;
  for (const { newestTs } of views) if (newestTs > newest) newest = newestTs as HybridTime;
  return newest;
}

/** The partitions that one of the searches reads. */
export function partsOf({ collectionId, searches }: HybridRequest): ReadRequest {
  const parts = searches.map(({ partitionIds }) => partitionIds);
  if (parts.includes(undefined)) return { collectionId };
  return { collectionId, partitionIds: [...new Set(parts.flatMap((ids) => ids ?? []))] };
}
