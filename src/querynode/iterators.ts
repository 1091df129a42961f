/**
 * Search iterators: what each has handed out at the score where its last page ended, so that rows of one score that stand on two pages
 * come once. Who has been forgotten goes on behind that score.
 */
import { DbError } from '../errors/db-error.ts';
import type { HybridTime } from '../model/hybrid-time.ts';
import { isSmallerBetter } from '../model/metric.ts';
import { mapLimited } from '../support/limiter.ts';
import type { SearchRequest } from './api.ts';
import { nearest } from './nearest.ts';
import { type Hit, reduceHits, seenKey } from './reduce.ts';
import { type Found, gatherHits, prepared, type SearchContext, withoutIndexes } from './search.ts';

interface Cursor {
  readonly ts: HybridTime;
  readonly bound: number;
  /** Keys of the hits that were handed out at the bound, with the item in a list. */
  readonly handedOut: ReadonlySet<string | bigint>;
}

const MAX_ITERATORS = 1024;
const MAX_KEYS = 1_000_000;
/** Rows of one score that an iterator goes through. */
const MAX_TIES = 100_000;

/** What iterators need to remember between their pages. Bounded: the one that was asked for longest ago is forgotten first. */
export class IteratorCursors {
  readonly #cursors = new Map<string, Cursor>();
  #keys = 0;
  #made = 0;

  get(token: string): Cursor | undefined {
    return this.#cursors.get(token);
  }

  newToken(ts: HybridTime): string {
    this.#made++;
    return `${ts.toString(36)}-${this.#made.toString(36)}`;
  }

  set(token: string, cursor: Cursor): void {
    this.#drop(token);
    this.#cursors.set(token, cursor);
    this.#keys += cursor.handedOut.size;
    for (const oldest of this.#cursors.keys()) {
      const isOver = this.#cursors.size > MAX_ITERATORS || this.#keys > MAX_KEYS;
      if (!isOver || oldest === token) return;
      this.#drop(oldest);
    }
  }

  #drop(token: string): void {
    this.#keys -= this.#cursors.get(token)?.handedOut.size ?? 0;
    this.#cursors.delete(token);
  }
}

/** The next page, exactly: no graph is asked, since what it misses once would be missing for good. */
export async function iteratorPage(
  context: SearchContext,
  request: SearchRequest,
  cursors: IteratorCursors,
  ts: HybridTime,
): Promise<Found> {
  const { token = cursors.newToken(ts), lastBound } = request.iterator ?? {};
  if (request.queryCount !== 1) throw new DbError('parameter-invalid', 'an iterator goes with one query');
  const known = cursors.get(token);
  const bound = lastBound === undefined ? undefined : Math.fround(lastBound);
  const handedOut: ReadonlySet<string | bigint> | undefined =
    bound !== undefined && known?.bound === bound ? known.handedOut : undefined;
  const hits = await nextHits(context, request, bound, handedOut);
  const last = hits.at(-1)?.score;
  const found = await gatherHits(context, [hits], request.outputFields, undefined);
  if (last === undefined) {
    const atEnd = bound ?? (isSmallerBetter(request.metric) ? -1 : 1) * 3.4028234663852886e38;
    return { ...found, next: { token, lastBound: atEnd } };
  }
  const ofLast = hits.filter(({ score }) => score === last).map((hit) => onceKey(context, hit));
  const before = last === bound ? (handedOut ?? []) : [];
  cursors.set(token, { ts, bound: last, handedOut: new Set([...before, ...ofLast]) });
  return { ...found, next: { token, lastBound: last } };
}

function onceKey({ views }: SearchContext, { unit, row, element }: Hit): string | bigint {
  const keys = views[unit]?.unit.keys;
  if (keys === undefined) return '';
  const key = seenKey(keys, row);
  return element === undefined ? key : `${key}/${element}`;
}

/** Without `handedOut` strictly behind the bound. */
async function nextHits(
  context: SearchContext,
  request: SearchRequest,
  bound: number | undefined,
  handedOut: ReadonlySet<string | bigint> | undefined,
): Promise<readonly Hit[]> {
  const sign = isSmallerBetter(request.metric) ? 1 : -1;
  const { radius, rangeFilter, topK } = request;
  const isBefore = (a: number, b: number): boolean => sign * (a - b) < 0;
  if (bound !== undefined && radius !== undefined && !isBefore(bound, radius)) return [];
  const isNearer = bound === undefined || (rangeFilter !== undefined && isBefore(bound, rangeFilter));
  const ranged: SearchRequest = isNearer ? request : { ...request, rangeFilter: bound };
  for (let extra = handedOut?.size ?? 0; ; extra = Math.max(64, extra * 4)) {
    if (extra > MAX_TIES)
      throw new DbError(
        'resource-exhausted',
        `more than ${MAX_TIES} rows have one score: an iterator cannot go on`,
      );
    const wanted = topK + extra;
    const all = await reduced(context, { ...ranged, topK: wanted });
    const fresh = all.filter((hit) => {
      if (bound === undefined || hit.score !== bound) return true;
      return handedOut !== undefined && !handedOut.has(onceKey(context, hit));
    });
    if (fresh.length >= topK || all.length < wanted) return fresh.slice(0, topK);
  }
}

async function reduced(context: SearchContext, request: SearchRequest): Promise<readonly Hit[]> {
  const { field, queries, selections, places } = await prepared(context, request);
  const found = await mapLimited(selections, context.parallelUnits, (selection) =>
    nearest(context, request, field, queries, withoutIndexes(selection)),
  );
  const lists = found.map(({ rows, scores, elements }, i) => ({
    unit: places[i] ?? 0,
    rows,
    scores,
    elements,
    keys: (selections[i] as (typeof selections)[number]).view.unit.keys,
  }));
  return reduceHits(lists, {
    offset: 0,
    limit: request.topK,
    isLargerBetter: !isSmallerBetter(request.metric),
  });
}
