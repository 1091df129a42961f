/** Looks through posting lists for rows that are good enough: through all postings, or as few as the bounds of the terms allow. */
import { MAX_BLOCK_ROWS, type SparseBlock } from './sparse-block.ts';
import { type BlockTerms, bm25Factors, type SparseScorer } from './sparse-bounds.ts';
import { looseness, type Maxima, MIN_POSTINGS, maximaOf, RUN } from './sparse-maxima.ts';
import type { SparseTerms } from './sparse-rows.ts';
import { addScores, addTailScores, scoreInBlock } from './sparse-scores.ts';
import type { SparseTail } from './sparse-tail.ts';

/** Who is looking for the best rows. */
export interface Offers {
  /** Nothing below is wanted. Rises with what is offered. */
  readonly least: number;
  offer(score: number, row: number): void;
}

/** Sums of rows, zeros between any two calls of what follows here: none of it waits. */
const scratch = new Float32Array(MAX_BLOCK_ROWS);

/** Offers the rows of a block that have a term and may be good enough. */
export function offerScores(
  block: SparseBlock,
  found: BlockTerms,
  scorer: SparseScorer,
  offers: Offers,
): void {
  const isSplit = found.split(block, offers.least);
  if (found.count === 1) offerByTerm(block, found, 0, scorer, offers);
  else if (!isSplit) offerBySums(block, found, scorer, offers);
  else if (found.essentialCount > 1) offerByEssential(block, found, scorer, offers);
  else if (found.essentialCount === 1)
    offerByTerm(block, found, found.isEssential.indexOf(1), scorer, offers);
}

function offerBySums(block: SparseBlock, found: BlockTerms, scorer: SparseScorer, offers: Offers): void {
  addScores(block, found, scratch, scorer);
  const { firstRow, rowCount, starts, rows } = block;
  if (found.postings > rowCount) {
    offerSums(scratch, firstRow, rowCount, offers);
    scratch.fill(0, 0, rowCount);
    return;
  }
  for (let i = 0; i < found.count; i++) {
    const place = found.places[i] as number;
    const end = starts[place + 1] as number;
    for (let p = starts[place] as number; p < end; p++) {
      const row = rows[p] as number;
      const score = scratch[row] as number;
      scratch[row] = 0;
      if (score >= offers.least && score !== 0) offers.offer(score, firstRow + row);
    }
  }
}

/** Sums what the essential terms add, and looks the others up where that is enough. */
function offerByEssential(block: SparseBlock, found: BlockTerms, scorer: SparseScorer, offers: Offers): void {
  const { firstRow, starts, rows } = block;
  const { count, isEssential, places, rest, slack } = found;
  for (let i = 0; i < count; i++)
    if (isEssential[i] === 1) addScores(block, found, scratch, scorer, i, i + 1);
  for (let i = 0; i < count; i++) {
    if (isEssential[i] === 0) continue;
    const place = places[i] as number;
    const end = starts[place + 1] as number;
    found.rewind(block);
    for (let p = starts[place] as number; p < end; p++) {
      const row = rows[p] as number;
      const sum = scratch[row] as number;
      scratch[row] = 0;
      if (sum > 0 && (sum + rest) * slack >= offers.least)
        offers.offer(scoreInBlock(block, found, row, scorer), firstRow + row);
    }
  }
}

/** The rows of one term, the only one or the only essential one, are gone through without sums. */
function offerByTerm(
  block: SparseBlock,
  found: BlockTerms,
  term: number,
  scorer: SparseScorer,
  offers: Offers,
): void {
  const place = found.places[term] as number;
  const from = block.starts[place] as number;
  const end = block.starts[place + 1] as number;
  found.rewind(block);
  const scan = new TermScan(block, found, term, scorer, offers);
  if (end - from < MIN_POSTINGS || !((found.weights[term] as number) > 0)) {
    scan.offerRun(from, end);
    return;
  }
  const maxima = maximaOf(block, scorer);
  const runs = maxima.runs.get(place);
  if (runs === undefined) maxima.runs.set(place, runsOf(scan, from, end));
  else offerRuns(scan, from, end, { runs, maxima });
}

function runsOf(scan: TermScan, from: number, end: number): Float32Array {
  const runs = new Float32Array(Math.ceil((end - from) / RUN));
  for (let i = 0; i < runs.length; i++)
    runs[i] = scan.offerRun(from + i * RUN, Math.min(end, from + (i + 1) * RUN));
  return runs;
}

function offerRuns(
  scan: TermScan,
  from: number,
  end: number,
  { runs, maxima }: { readonly runs: Float32Array; readonly maxima: Maxima },
): void {
  const loose = looseness(maxima, scan.scorer);
  for (let i = 0; i < runs.length; i++)
    if (scan.mayReach((runs[i] as number) * loose))
      scan.offerRun(from + i * RUN, Math.min(end, from + (i + 1) * RUN));
}

class TermScan {
  readonly scorer: SparseScorer;
  readonly #block: SparseBlock;
  readonly #found: BlockTerms;
  readonly #weight: number;
  readonly #offers: Offers;
  readonly #k1: number;
  readonly #constant: number;
  readonly #slope: number;

  constructor(block: SparseBlock, found: BlockTerms, term: number, scorer: SparseScorer, offers: Offers) {
    const { k1, constant, slope } = bm25Factors(scorer);
    this.scorer = scorer;
    this.#block = block;
    this.#found = found;
    this.#weight = found.weights[term] as number;
    this.#offers = offers;
    this.#k1 = k1;
    this.#constant = constant;
    this.#slope = slope;
  }

  /** Whether a row that gets so much of the term, before it is weighted, may be wanted. */
  mayReach(share: number): boolean {
    const { rest, slack } = this.#found;
    const most = this.#weight * share + rest;
    return (most > 0 ? most * slack : most / slack) >= this.#offers.least;
  }

  /** Returns the highest share. */
  offerRun(from: number, end: number): number {
    const { rows, values, lengths, firstRow } = this.#block;
    const { rest, slack, count } = this.#found;
    const isPlain = this.scorer === undefined;
    const [weight, offers] = [this.#weight, this.#offers];
    const [k1, constant, slope] = [this.#k1, this.#constant, this.#slope];
    let highest = Number.NEGATIVE_INFINITY;
    for (let p = from; p < end; p++) {
      const row = rows[p] as number;
      const value = values[p] as number;
      const length = lengths[row] as number;
      const share = isPlain ? value : (value * (k1 + 1)) / (value + constant + slope * length);
      if (share > highest) highest = share;
      const sum = weight * share;
      if (count > 1) {
        // Here no term takes anything away.
        if ((sum + rest) * slack >= offers.least)
          offers.offer(scoreInBlock(this.#block, this.#found, row, this.scorer), firstRow + row);
        continue;
      }
      const score = Math.fround(sum);
      if (score >= offers.least) offers.offer(score, firstRow + row);
    }
    return highest;
  }
}

/** Offers the sums of so many rows. */
export function offerSums(sums: Float32Array, firstRow: number, rowCount: number, offers: Offers): void {
  for (let i = 0; i < rowCount; i++) {
    const score = sums[i] as number;
    if (score >= offers.least && score !== 0) offers.offer(score, firstRow + i);
  }
}

/** Offers the rows of the tail that have a term. Returns how many postings there are. */
export function offerTail(
  tail: SparseTail,
  terms: SparseTerms,
  scorer: SparseScorer,
  offers: Offers,
): number {
  const { dims } = terms;
  const count = addTailScores(tail, terms, scratch, scorer, 0, dims.length);
  const { before, rows } = tail.postings;
  for (let i = 0; i < dims.length; i++)
    for (let p = tail.last(dims[i] as number); p >= 0; p = before[p] as number) {
      const row = rows[p] as number;
      const score = scratch[row] as number;
      scratch[row] = 0;
      if (score >= offers.least && score !== 0) offers.offer(score, tail.firstRow + row);
    }
  return count;
}
