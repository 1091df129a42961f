/**
 * Pure: which way a search with a filter goes. Pre-filter: every row is tested, then the nearest of those that pass are looked for, by a graph
 * or, when they are few, by a scan. Over-fetch: the nearest rows are looked for first, more than are wanted, and only these are
 * tested, best first. Costs are units of ten nanoseconds.
 */
export interface Situation {
  /** Rows that may pass. */
  readonly rows: number;
  /** The part of them that is thought to pass. */
  readonly pass: number;
  /** Hits wanted of a query. */
  readonly k: number;
  /** Hits that a walk through the graph keeps; undefined: vectors are scanned. */
  readonly width: number | undefined;
  readonly queryCount: number;
  /** Of comparing a vector with a query. */
  readonly vectorCost: number;
  /** Of testing a row among all the others. */
  readonly scanCost: number;
  /** Of testing a candidate by itself. */
  readonly testCost: number;
  /** A search is not asked for more. */
  readonly maxCandidates: number;
}

export type Way =
  | { readonly kind: 'pre-filter' }
  /** How many of the nearest to look for. */
  | { readonly kind: 'over-fetch'; readonly candidates: number };

const PRE_FILTER: Way = { kind: 'pre-filter' };

/** Rows a walk compares for each it keeps. */
const ROWS_PER_RESULT = 12;
/** Candidates of a scan beyond those that are thought to be needed. */
const SLACK = 1.5;
/** What is known is an estimate: the other way has to be this much dearer. */
const ADVANTAGE = 2;
/** When too few pass, so many times more candidates come next. */
const GROWTH = 4;

/** Where a search that over-fetches stands. */
export interface Progress {
  readonly candidates: number;
  readonly spent: number;
}

/** The way to begin, or to go on: with more candidates, or, when that has become dearer, by the other way after all. */
export function chooseWay(situation: Situation, progress?: Progress): Way {
  const { pass, rows, maxCandidates } = situation;
  if (pass <= 0) return PRE_FILTER;
  const needed = candidatesFor(situation);
  const candidates = progress === undefined ? needed : Math.max(needed, progress.candidates * GROWTH);
  if (candidates > maxCandidates || candidates > rows / 2) return PRE_FILTER;
  const cost = overFetchCost(situation, candidates) + (progress?.spent ?? 0);
  return cost * ADVANTAGE < preFilterCost(situation) ? { kind: 'over-fetch', candidates } : PRE_FILTER;
}

/** A walk finds as many that pass as it would keep were it told which rows pass: recall stays what it is. */
function candidatesFor({ k, width, pass }: Situation): number {
  return width === undefined ? Math.ceil((k * SLACK) / pass) + 8 : Math.ceil(Math.max(width, k) / pass);
}

export function preFilterCost(situation: Situation): number {
  const { rows, pass, scanCost, queryCount, vectorCost, width } = situation;
  const scan = rows * pass;
  const walk =
    width === undefined ? scan : Math.min(scan, (ROWS_PER_RESULT * Math.max(width, situation.k)) / pass);
  return rows * scanCost + queryCount * walk * vectorCost;
}

/** Candidates are tested until enough pass. */
export function overFetchCost(situation: Situation, candidates: number): number {
  const { rows, k, pass, width, queryCount, vectorCost, testCost } = situation;
  const looked = width === undefined ? rows : Math.min(rows, ROWS_PER_RESULT * candidates);
  return queryCount * (looked * vectorCost + Math.min(candidates, k / pass) * testCost);
}
