/**
 * Nearest rows of one unit among those that match. Where the filter is dear and no index answers it, some rows are tested to see how many will
 * pass, and the cheaper way is taken: see `chooseWay`. Whatever the way, recall is what the search has without a filter, and a
 * scan is exact.
 */
import type { FieldSchema } from '../model/schema.ts';
import { rowBytes } from '../vector-index/flat.ts';
import type { SearchRequest } from './api.ts';
import { Candidates, spreadRows } from './candidates.ts';
import { finished, isOpen, type OpenSelection } from './filter.ts';
import { filterCosts, noteTested, payRent } from './filter-costs.ts';
import type { Floors } from './floors.ts';
import { type NearestContext, nearest, type Queries, walkWidth } from './nearest.ts';
import type { Selection } from './order.ts';
import type { UnitView } from './unit.ts';
import type { NearestRows } from './vectors.ts';
import { chooseWay, overFetchCost, type Situation, type Way } from './ways.ts';

export interface FilteredContext extends NearestContext {
  /** Absent: `chooseWay`. Benches and tests force one. */
  readonly chooseWay?: typeof chooseWay | undefined;
}

/** Fewer rows are tested before anything is gained. */
const MIN_ROWS = 8192;
/** Rows tested to estimate how many pass, and how many of them have to for the estimate to be worth something. */
const SAMPLE_ROWS = 512;
const MIN_PASSING = 3;
/** Of a candidate, besides its test: its fields are copied. */
const COPY_COST = 30;
const COPY_BYTE = 0.05;
const MAX_CANDIDATES = 16_384;
/** Bytes of vectors that a walk may read in one go: some milliseconds. */
const MAX_WALK_BYTES = 48 * 2 ** 20;
const ROWS_PER_RESULT = 12;
const BYTES_PER_UNIT = 64;
/** Of a row that shares a dimension or two with the query. */
const SPARSE_COST = 1;

/** The `topK` nearest of each query. */
export async function filteredNearest(
  context: FilteredContext,
  request: SearchRequest,
  field: FieldSchema,
  queries: Queries,
  selection: Selection,
  floors?: Floors,
): Promise<NearestRows> {
  const plain = (of: Selection): Promise<NearestRows> =>
    nearest(context, request, field, queries, of, floors);
  if (!isOpen(selection)) return plain(selection);
  // Rows that have still to be tested raise no floor.
  const candidatesOf = (of: Selection, topK: number): Promise<NearestRows> =>
    nearest(context, { ...request, topK }, field, queries, of);
  const situation = situationOf(request, field, queries, selection);
  if (situation !== undefined) {
    const found = await new OverFetch(context, request, selection, situation).run(candidatesOf);
    if (found !== undefined) return found;
  }
  const matching = await finished(selection, context.pacer);
  noteTested(selection);
  return plain(matching);
}

/** Undefined: the filter goes first in any case. */
function situationOf(
  request: SearchRequest,
  field: FieldSchema,
  queries: Queries,
  open: OpenSelection,
): Situation | undefined {
  const { view, count, ready } = open;
  const costs = filterCosts(open);
  if (costs === undefined || count < MIN_ROWS || ready.filter.sample !== undefined) return undefined;
  const width = walkWidth(view, request);
  const vectorCost = vectorCostOf(view, field, queries);
  const walkCandidates = Math.floor(MAX_WALK_BYTES / BYTES_PER_UNIT / (ROWS_PER_RESULT * vectorCost));
  return {
    rows: count,
    pass: 1,
    k: request.topK,
    width,
    queryCount: request.queryCount,
    vectorCost,
    scanCost: costs.scan,
    testCost: costs.test + COPY_COST + costs.size * COPY_BYTE,
    maxCandidates: Math.min(MAX_CANDIDATES, width === undefined ? MAX_CANDIDATES : walkCandidates),
  };
}

/** Units of comparing the vector, or the vectors, of a row with a query. */
function vectorCostOf({ unit, rowCount }: UnitView, field: FieldSchema, queries: Queries): number {
  if (queries.kind === 'sparse') return SPARSE_COST;
  const dim = field.dim ?? 0;
  if (queries.kind === 'vectors') return rowBytes({ metric: queries.metric, dim }) / BYTES_PER_UNIT;
  const column = unit.column(field.fieldId);
  const items = column?.layout === 'list' ? (column.offsets[rowCount] ?? 0) / Math.max(1, rowCount) : 1;
  return (items * dim * 4) / BYTES_PER_UNIT;
}

class OverFetch {
  readonly #context: FilteredContext;
  readonly #request: SearchRequest;
  readonly #open: OpenSelection;
  readonly #candidates: Candidates;
  #situation: Situation;

  constructor(context: FilteredContext, request: SearchRequest, open: OpenSelection, situation: Situation) {
    this.#context = context;
    this.#request = request;
    this.#open = open;
    this.#situation = situation;
    this.#candidates = new Candidates(open, context.pacer);
  }

  /** Undefined: the other way is the better one. */
  async run(search: (of: Selection, topK: number) => Promise<NearestRows>): Promise<NearestRows | undefined> {
    let spent = SAMPLE_ROWS * this.#situation.testCost;
    // Were all rows to pass, it would be at its best.
    if (this.#way({ candidates: 0, spent }).kind === 'pre-filter') return undefined;
    await this.#estimate();
    // What is spent is spent either way.
    spent = 0;
    let way = this.#way();
    while (way.kind === 'over-fetch') {
      const { candidates } = way;
      const found = await search(this.#open, candidates);
      const passing = await this.#passing(found, candidates);
      spent += overFetchCost(this.#situation, candidates);
      if (passing !== undefined) {
        payRent(this.#open, spent);
        return passing;
      }
      this.#correct();
      way = this.#way({ candidates, spent });
    }
    return undefined;
  }

  #way(progress?: { readonly candidates: number; readonly spent: number }): Way {
    const choose = this.#context.chooseWay ?? chooseWay;
    return choose(this.#situation, progress);
  }

  async #estimate(): Promise<void> {
    const { rows, count } = this.#open;
    const { pacer } = this.#context;
    await this.#candidates.test(await spreadRows(rows, count, SAMPLE_ROWS, pacer));
    const { tested, passed } = this.#candidates;
    this.#situation = { ...this.#situation, pass: passed < MIN_PASSING ? 0 : passed / tested };
  }

  /** Fewer passed than were thought to: rows near the queries pass less often than others. */
  #correct(): void {
    const { tested, passed } = this.#candidates;
    const pass = Math.min(this.#situation.pass / 2, passed / tested);
    this.#situation = { ...this.#situation, pass };
  }

  /** The nearest that pass, of every query. Undefined: more candidates are needed. */
  async #passing(found: NearestRows, candidates: number): Promise<NearestRows | undefined> {
    const { queryCount, topK } = this.#request;
    const counts = new Uint32Array(queryCount);
    const places: number[] = [];
    let from = 0;
    for (let query = 0; query < queryCount; query++) {
      const to = from + (found.counts[query] ?? 0);
      const before = places.length;
      await this.#firstPassing(found.rows, from, to, places, topK);
      counts[query] = places.length - before;
      if (!this.#isEnough(places, before, from, to, candidates)) return undefined;
      from = to;
    }
    const at = Uint32Array.from(places);
    return {
      counts,
      rows: at.map((i) => found.rows[i] ?? 0),
      scores: Float32Array.from(places, (i) => found.scores[i] ?? 0),
      ...(found.elements === undefined ? {} : { elements: at.map((i) => found.elements?.[i] ?? 0) }),
    };
  }

  async #firstPassing(
    rows: Uint32Array,
    from: number,
    to: number,
    places: number[],
    topK: number,
  ): Promise<void> {
    const end = places.length + topK;
    for (let at = from; at < to && places.length < end; ) {
      const missing = end - places.length;
      const next = Math.min(to, at + Math.max(16, Math.ceil(missing / this.#situation.pass)));
      await this.#candidates.test(rows.subarray(at, next));
      for (; at < next && places.length < end; at++)
        if (this.#candidates.passes(rows[at] ?? 0)) places.push(at);
    }
  }

  #isEnough(
    places: readonly number[],
    before: number,
    from: number,
    to: number,
    candidates: number,
  ): boolean {
    const { topK, radius } = this.#request;
    const isWalk = this.#situation.width !== undefined;
    // All rows there are, or all within the range, were candidates.
    if (to - from < candidates && (!isWalk || radius !== undefined)) return true;
    if (places.length - before < topK) return false;
    // The farther end of what a walk finds is not as complete as the nearer.
    return !isWalk || (places.at(-1) ?? 0) - from < candidates / 2;
  }
}
