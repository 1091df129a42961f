/** Several searches over one state of the rows, fused into one list. */
import { DbError } from '../errors/db-error.ts';
import { compareKeys } from '../segment/key-column.ts';
import { present } from '../support/assert.ts';
import type { HybridRequest, SearchRequest } from './api.ts';
import { groupKeys } from './places.ts';
import { fuse, merged } from './rank.ts';
import { type Hit, seenKey } from './reduce.ts';
import { decayed, decayOf } from './rescore.ts';
import { type Found, gatherHits, groupsOfQueries, nearestHits, type SearchContext } from './search.ts';
import type { ValueKey } from './values.ts';

const COST_PER_HIT = 100;

/** Hits of one search, one list per query. */
type QueryHits = readonly (readonly Hit[])[];

export async function hybridRows(context: SearchContext, request: HybridRequest): Promise<Found> {
  const { searches, queryCount, groupBy, limit, offset } = request;
  if (searches.length === 0) throw new DbError('parameter-invalid', 'a hybrid search needs searches');
  const found: QueryHits[] = [];
  for (const search of searches) found.push(await hitsOf(context, search));
  const lists: (readonly Hit[])[] = [];
  const keys = groupBy === undefined ? undefined : await groupKeys(context, groupBy.places);
  for (let query = 0; query < queryCount; query++) {
    const ofQuery = found.map((hits) => hits[query] ?? []);
    const fused = fusedHits(context, request, ofQuery);
    const blocks = keys === undefined ? undefined : grouped(request, keys, fused);
    lists.push((blocks ?? fused).slice(offset, offset + limit).flat());
    await context.pacer.spend(fused.length * COST_PER_HIT);
  }
  return gatherHits(context, lists, request.outputFields, groupBy?.places);
}

async function hitsOf(context: SearchContext, search: SearchRequest): Promise<QueryHits> {
  const lists: (readonly Hit[])[] = [];
  if (search.groupBy === undefined)
    for await (const hits of nearestHits(context, search))
      lists.push(decayed(context, search.rerank?.decays ?? [], search.metric, hits));
  else for await (const groups of groupsOfQueries(context, search)) lists.push(groups.flat());
  return lists;
}

/** Best first; of equal scores by key. */
function fusedHits(
  context: SearchContext,
  { searches, fusion }: HybridRequest,
  lists: readonly (readonly Hit[])[],
): Hit[] {
  const keysOf = ({ unit }: Hit) => present(context.views[unit], 'view').unit.keys;
  const ranked = lists.map((hits, i) => ({
    keys: hits.map((hit) => seenKey(keysOf(hit), hit.row)),
    scores: hits.map(({ score }) => score),
    metric: present(searches[i], 'search').metric,
  }));
  const factor = fusion.kind === 'decay' ? decayOf(context, fusion) : () => 1;
  const hits = fuse(ranked, fusion).map(({ list, at, score }) => {
    const { unit, row } = present(lists[list]?.[at], 'hit');
    return { unit, row, score: score * factor({ unit, row, score }) };
  });
  return hits.sort((a, b) => b.score - a.score || compareKeys(keysOf(a), a.row, keysOf(b), b.row));
}

/** Groups by their scores; of equal ones the one with the best hit. */
function grouped(
  { groupBy, groupScore }: HybridRequest,
  keys: readonly ((row: number) => ValueKey)[],
  hits: readonly Hit[],
): Hit[][] {
  if (groupBy === undefined) return [];
  const groups = new Map<ValueKey, Hit[]>();
  for (const hit of hits) {
    const key = keys[hit.unit]?.(hit.row);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [hit]);
    else if (group.length < groupBy.size) group.push(hit);
  }
  return Array.from(groups.values(), (group) => ({
    group,
    score: merged(
      group.map(({ score }) => score),
      groupScore,
    ),
  }))
    .sort((a, b) => b.score - a.score)
    .map(({ group }) => group);
}
