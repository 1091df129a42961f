/** Ids in ascending order, eight bytes each: what a snapshot's references cost in memory. */
import { inSlices } from '../../support/slices.ts';

export type IdList = BigInt64Array;

/** Sorted; an id that is given twice stands in it once. */
export async function idList(ids: ArrayLike<bigint>): Promise<IdList> {
  const list = new BigInt64Array(ids.length);
  let isSorted = true;
  await inSlices(ids, (id, i) => {
    list[i] = id;
    isSorted &&= i === 0 || (ids[i - 1] ?? id) < id;
  });
  return isSorted ? list : unique(list.sort());
}

async function unique(sorted: IdList): Promise<IdList> {
  let length = 0;
  await inSlices(sorted, (id) => {
    if (length === 0 || sorted[length - 1] !== id) sorted[length++] = id;
  });
  return length === sorted.length ? sorted : sorted.slice(0, length);
}

/** Looks at log2(length) ids. */
export function contains(sorted: IdList, id: bigint): boolean {
  let low = 0;
  let high = sorted.length - 1;
  while (low <= high) {
    const middle = (low + high) >> 1;
    const at = sorted[middle] as bigint;
    if (at === id) return true;
    if (at < id) low = middle + 1;
    else high = middle - 1;
  }
  return false;
}
