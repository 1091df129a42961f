/** Best rows of a unit for sparse queries: block by block in slices, or row by row where few rows count. */
import { DbError } from '../errors/db-error.ts';
import { MAX_BLOCK_ROWS, type SparseBlock, type SparseIndex } from '../vector-index/sparse.ts';
import { type SparseRows, type SparseTerms, termsOf } from '../vector-index/sparse-rows.ts';
import {
  addScores,
  type BlockTerms,
  blockTerms,
  highestScore,
  type SparseScorer,
  scoreRow,
} from '../vector-index/sparse-scores.ts';
import type { TopK } from '../vector-index/top-k.ts';
import { TopScores } from '../vector-index/top-scores.ts';
import { forEachRow } from './bitmap.ts';
import { joined } from './list-scans.ts';
import type { Pacer } from './pacer.ts';
import type { NearestRows } from './vectors.ts';

export interface SparseRequest {
  readonly queries: SparseRows;
  readonly queryCount: number;
  /** Absent: inner product. */
  readonly scorer?: SparseScorer;
  readonly rowCount: number;
  /** Rows to consider. */
  readonly allowed: Uint32Array;
  readonly allowedCount: number;
  readonly k: number;
  /** Exclusive. */
  readonly radius?: number | undefined;
  /** Inclusive. */
  readonly rangeFilter?: number | undefined;
  readonly pacer: Pacer;
}

/** Postings that are summed in the time of one unit of the pacer. */
const POSTINGS_PER_UNIT = 6;
/** Terms of a query looked up and summed in one slice. */
const TERMS_PER_SLICE = 512;
/** Words of the bitmap looked through in one slice. */
const WORDS_PER_SLICE = 128;
/** A pair of a row that is scored by itself costs as much as so many postings. */
const PAIR_COST = 6;
/** Postings of a share of the rows below one to so many are gone through twice rather than all rows once. */
const FEW_POSTINGS = 8;
/** Looking a term up in a block costs as much as so many postings. */
const LOOKUP_COST = 20;

/** The query adds to a row only by a dimension that both have: others are no hits, nor are rows whose products cancel out. */
export async function searchSparse(
  index: SparseIndex,
  rows: SparseRows,
  request: SparseRequest,
): Promise<NearestRows> {
  const { radius, rangeFilter, queryCount } = request;
  if (radius !== undefined && rangeFilter !== undefined && rangeFilter <= radius)
    throw new DbError('parameter-invalid', 'range_filter must be above radius');
  const search = new SparseSearch(index, rows, request);
  const answers: TopK[] = [];
  for (let query = 0; query < queryCount; query++)
    answers.push(await search.nearest(termsOf(request.queries, query)));
  return joined(answers);
}

class SparseSearch {
  readonly #index: SparseIndex;
  readonly #rows: SparseRows;
  readonly #request: SparseRequest;
  /** Bytes of an average row. */
  readonly #pairsPerRow: number;
  readonly #above: number;
  readonly #most: number;
  #sums: Float32Array | undefined;

  constructor(index: SparseIndex, rows: SparseRows, request: SparseRequest) {
    this.#index = index;
    this.#rows = rows;
    this.#request = request;
    this.#pairsPerRow = (rows.offsets[request.rowCount] ?? 0) / 8 / Math.max(1, request.rowCount);
    this.#above = request.radius ?? Number.NEGATIVE_INFINITY;
    this.#most = request.rangeFilter ?? Number.POSITIVE_INFINITY;
  }

  async nearest(terms: SparseTerms): Promise<TopK> {
    const { k, rowCount } = this.#request;
    const best = new TopScores(k);
    let done = 0;
    for (const block of this.#index.blocks) {
      if (block.firstRow >= rowCount) break;
      await this.#searchBlock(block, terms, best);
      done = Math.min(rowCount, block.firstRow + block.rowCount);
    }
    await this.#scoreRows(done, rowCount, terms, best);
    const { rows, scores } = best.drain();
    return { counts: Uint32Array.of(rows.length), rows, scores };
  }

  async #searchBlock(block: SparseBlock, terms: SparseTerms, best: TopScores): Promise<void> {
    const { allowedCount, rowCount, pacer, scorer } = this.#request;
    const found = blockTerms(block, terms);
    await pacer.spend((Math.min(terms.dims.length, block.dims.length) * LOOKUP_COST) / POSTINGS_PER_UNIT);
    if (found.postings === 0) return;
    if (highestScore(block, found, scorer) < Math.max(best.threshold, this.#above)) return;
    const allowedHere = (allowedCount / rowCount) * block.rowCount;
    const pairs = allowedHere * (this.#pairsPerRow + terms.dims.length / 8);
    if (pairs * PAIR_COST < found.postings) {
      const end = Math.min(rowCount, block.firstRow + block.rowCount);
      return this.#scoreRows(block.firstRow, end, terms, best);
    }
    await this.#sum(block, found);
    if (found.postings * FEW_POSTINGS < block.rowCount) this.#collectFew(block, found, best);
    else this.#collect(block, best);
    await pacer.spend((2 * block.rowCount) / POSTINGS_PER_UNIT);
  }

  async #sum(block: SparseBlock, found: BlockTerms): Promise<void> {
    const { pacer, scorer } = this.#request;
    this.#sums ??= new Float32Array(MAX_BLOCK_ROWS);
    const count = found.places.length;
    for (let from = 0; from < count; from += TERMS_PER_SLICE) {
      const to = Math.min(count, from + TERMS_PER_SLICE);
      addScores(block, found, this.#sums, scorer, from, to);
      await pacer.spend((found.postings * (to - from)) / count / POSTINGS_PER_UNIT);
    }
  }

  /** Offers the sums of a block and makes them zero again. */
  #collect({ firstRow, rowCount }: SparseBlock, best: TopScores): void {
    const sums = this.#sums ?? new Float32Array(0);
    const { allowed } = this.#request;
    const end = Math.min(rowCount, this.#request.rowCount - firstRow);
    let { threshold } = best;
    for (let i = 0; i < end; i++) {
      const score = sums[i] as number;
      if (score === 0 || score <= threshold || score <= this.#above || score > this.#most) continue;
      const row = firstRow + i;
      if ((((allowed[row >>> 5] as number) >>> (row & 31)) & 1) === 0) continue;
      best.offer(score, row);
      ({ threshold } = best);
    }
    sums.fill(0, 0, rowCount);
  }

  /** The same, looking only where something was added. */
  #collectFew({ firstRow, rows, starts }: SparseBlock, { places }: BlockTerms, best: TopScores): void {
    const sums = this.#sums ?? new Float32Array(0);
    const { allowed, rowCount } = this.#request;
    for (const place of places)
      for (let p = starts[place] as number; p < (starts[place + 1] as number); p++) {
        const i = rows[p] as number;
        const score = sums[i] as number;
        const row = firstRow + i;
        sums[i] = 0;
        if (score === 0 || score <= this.#above || score > this.#most || row >= rowCount) continue;
        if ((((allowed[row >>> 5] as number) >>> (row & 31)) & 1) === 1) best.offer(score, row);
      }
  }

  async #scoreRows(from: number, to: number, terms: SparseTerms, best: TopScores): Promise<void> {
    const { allowed, pacer, scorer } = this.#request;
    const offer = (row: number): void => {
      if (row < from || row >= to) return;
      const score = scoreRow(this.#rows, row, terms, scorer);
      if (score !== 0 && score > this.#above && score <= this.#most) best.offer(score, row);
    };
    const cost = ((this.#pairsPerRow + terms.dims.length / 8) * PAIR_COST) / POSTINGS_PER_UNIT;
    const last = Math.ceil(to / 32);
    for (let word = from >>> 5; word < last; word += WORDS_PER_SLICE) {
      const end = Math.min(last, word + WORDS_PER_SLICE);
      forEachRow(allowed, word, end, offer);
      await pacer.spend((end - word) * 32 * (cost + 4));
    }
  }
}
