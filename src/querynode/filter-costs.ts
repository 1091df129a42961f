/**
 * What testing the rows of a unit costs, now. Decoded JSON and analyzed texts stay with the unit once all of its rows have been tested, which
 * is dear the first time. Searches that test only candidates never get there: so what they spend is added up, like rent, and when
 * it has reached the price of the first time, that is paid.
 */
import type { FieldId } from '../model/ids.ts';
import { type FilterSource, type OpenSelection, rowSource } from './filter.ts';

export interface FilterCosts {
  /** Of a row when all are tested. */
  readonly scan: number;
  /** Of a row of which nothing is known. */
  readonly test: number;
  /** Bytes and items of a row that the filter reads. */
  readonly size: number;
}

interface RestCost {
  readonly first: number;
  readonly again: number;
  readonly kept: readonly string[];
}

/** Undefined: nobody knows. */
export function filterCosts(open: OpenSelection): FilterCosts | undefined {
  const source = rowSource(open.view, open.ready.schema);
  const cost = restCost(open, source);
  if (cost === undefined) return undefined;
  const rent = source.cache.get(rentKey(cost.kept));
  const isPaid = typeof rent === 'number' && rent >= cost.first * open.count;
  const isKept = cost.kept.every((key) => source.cache.has(keptKey(key)));
  const sizeOf = meanSize(open, source);
  return {
    scan: isKept || isPaid ? cost.again : cost.first,
    test: cost.first,
    size: open.ready.filter.fields.reduce((sum, fieldId) => sum + sizeOf(fieldId), 0),
  };
}

/** All rows have been tested. */
export function noteTested(open: OpenSelection): void {
  const source = rowSource(open.view, open.ready.schema);
  for (const key of restCost(open, source)?.kept ?? []) source.cache.set(keptKey(key), true);
}

/** Candidates have been tested for so much. */
export function payRent(open: OpenSelection, spent: number): void {
  const source = rowSource(open.view, open.ready.schema);
  const cost = restCost(open, source);
  if (cost === undefined || cost.kept.length === 0) return;
  const key = rentKey(cost.kept);
  const before = source.cache.get(key);
  const more = Math.max(0, spent - cost.again * open.count);
  source.cache.set(key, (typeof before === 'number' ? before : 0) + more);
}

const keptKey = (key: string): string => `tested/${key}`;
const rentKey = (kept: readonly string[]): string => `rent/${kept.join('/')}`;

function restCost(open: OpenSelection, source: FilterSource): RestCost | undefined {
  const { testCost } = open.ready.filters;
  if (testCost === undefined) return undefined;
  const sizeOf = meanSize(open, source);
  const costs = open.rest.map(({ root }) => testCost(root, sizeOf));
  return {
    first: costs.reduce((sum, { first }) => sum + first, 0),
    again: costs.reduce((sum, { again }) => sum + again, 0),
    kept: [...new Set(costs.flatMap(({ kept }) => kept))].sort(),
  };
}

function meanSize({ view, ready }: OpenSelection, source: FilterSource): (fieldId: FieldId) => number {
  const rows = Math.max(1, view.rowCount);
  return (fieldId) => (ready.filters.sizeBefore?.(source, [fieldId])(view.rowCount) ?? 0) / rows;
}
