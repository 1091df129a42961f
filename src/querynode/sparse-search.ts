/** Best rows of a unit for sparse queries: block by block, then the rows behind the blocks; or row by row where few rows count. */
import { DbError } from '../errors/db-error.ts';
import type { KeyColumn } from '../segment/key-column.ts';
import type { SparseIndex } from '../vector-index/sparse.ts';
import { MAX_BLOCK_ROWS, type SparseBlock } from '../vector-index/sparse-block.ts';
import { BlockTerms, postingsAt, type SparseScorer } from '../vector-index/sparse-bounds.ts';
import { type Offers, offerScores, offerSums, offerTail } from '../vector-index/sparse-offers.ts';
import { PAIR_BYTES, type SparseRows, type SparseTerms, termsOf } from '../vector-index/sparse-rows.ts';
import { addScores, addTailScores, scoreRow } from '../vector-index/sparse-scores.ts';
import type { SparseTail } from '../vector-index/sparse-tail.ts';
import type { TopK } from '../vector-index/top-k.ts';
import { TopScores } from '../vector-index/top-scores.ts';
import { forEachRow } from './bitmap.ts';
import type { Floors } from './floors.ts';
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
  /** What other units know, and learn from this one. */
  readonly floors?: { readonly floors: Floors; readonly keys: KeyColumn } | undefined;
}

/** Postings that are summed in the time of one unit of the pacer. */
const POSTINGS_PER_UNIT = 6;
/** Postings that are summed in one slice: a few milliseconds. */
const POSTINGS_PER_SLICE = 2 ** 20;
/** Terms of a query looked up in the tail and summed in one slice. */
const TERMS_PER_SLICE = 4096;
/** Words of the bitmap looked through in one slice. */
const WORDS_PER_SLICE = 128;
/** A pair of a row that is scored by itself costs as much as so many postings. */
const PAIR_COST = 6;
/** Looking a term up costs as much as so many postings. */
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
  if (queryCount === 1) return search.nearest(0);
  const answers: TopK[] = [];
  for (let query = 0; query < queryCount; query++) answers.push(await search.nearest(query));
  return joined(answers);
}

class SparseSearch {
  readonly #index: SparseIndex;
  readonly #rows: SparseRows;
  readonly #request: SparseRequest;
  /** Of an average row. */
  readonly #pairsPerRow: number;
  #found = new BlockTerms(8);

  constructor(index: SparseIndex, rows: SparseRows, request: SparseRequest) {
    this.#index = index;
    this.#rows = rows;
    this.#request = request;
    this.#pairsPerRow = (rows.offsets[request.rowCount] ?? 0) / PAIR_BYTES / Math.max(1, request.rowCount);
  }

  async nearest(query: number): Promise<TopK> {
    const { queries, floors, rowCount } = this.#request;
    const terms = termsOf(queries, query);
    // Of one moment: the tail may be given up for a block while the blocks are looked through.
    const { blocks, tail } = this.#index;
    const best = new BestRows(this.#request, floors?.floors.of(query));
    for (const block of blocks) {
      if (block.firstRow >= rowCount) break;
      const more = this.#searchBlock(block, terms, best);
      if (more !== undefined) await more;
    }
    const more = this.#searchTail(tail, terms, best);
    if (more !== undefined) await more;
    const found = best.drain();
    floors?.floors.learn(query, found, floors.keys);
    return found;
  }

  /** Undefined: done. Otherwise to be awaited. */
  #searchBlock(block: SparseBlock, terms: SparseTerms, best: BestRows): Promise<void> | undefined {
    const { allowedCount, rowCount, pacer, scorer } = this.#request;
    const shared = Math.min(terms.dims.length, block.dims.length);
    if (this.#found.places.length < shared) this.#found = new BlockTerms(shared);
    const found = this.#found;
    const most = found.fill(block, terms, scorer);
    const lookups = shared * LOOKUP_COST;
    if (found.postings === 0 || most < best.least) return pacer.spend(lookups / POSTINGS_PER_UNIT);
    const allowedHere = (allowedCount / rowCount) * block.rowCount;
    const pairs = allowedHere * (this.#pairsPerRow + terms.dims.length / 8);
    if (pairs * PAIR_COST < found.postings) return this.#scoreRows(block, terms, best);
    if (found.postings > POSTINGS_PER_SLICE) return this.#searchSliced(block, best);
    offerScores(block, found, scorer, best);
    return pacer.spend((lookups + 2 * found.postings) / POSTINGS_PER_UNIT);
  }

  async #searchSliced(block: SparseBlock, best: BestRows): Promise<void> {
    const { pacer, scorer } = this.#request;
    const found = this.#found;
    const sums = new Float32Array(block.rowCount);
    for (let from = 0; from < found.count; ) {
      let to = from;
      let postings = 0;
      while (to < found.count && postings < POSTINGS_PER_SLICE / 4)
        postings += postingsAt(block, found, to++);
      addScores(block, found, sums, scorer, from, to);
      const more = pacer.spend(postings / POSTINGS_PER_UNIT);
      if (more !== undefined) await more;
      from = to;
    }
    offerSums(sums, block.firstRow, block.rowCount, best);
    await pacer.spend((2 * block.rowCount) / POSTINGS_PER_UNIT);
  }

  /** Rows behind the blocks. */
  #searchTail(tail: SparseTail, terms: SparseTerms, best: BestRows): Promise<void> | undefined {
    const { rowCount, pacer, scorer } = this.#request;
    if (tail.firstRow >= rowCount) return undefined;
    if (terms.dims.length > TERMS_PER_SLICE) return this.#searchTailSliced(tail, terms, best);
    const postings = offerTail(tail, terms, scorer, best);
    return pacer.spend((terms.dims.length * LOOKUP_COST + 2 * postings) / POSTINGS_PER_UNIT);
  }

  async #searchTailSliced(tail: SparseTail, terms: SparseTerms, best: BestRows): Promise<void> {
    const { rowCount, pacer, scorer } = this.#request;
    // Rows that come meanwhile are summed, too, and not offered.
    const sums = new Float32Array(MAX_BLOCK_ROWS);
    for (let from = 0; from < terms.dims.length; from += TERMS_PER_SLICE) {
      const to = Math.min(terms.dims.length, from + TERMS_PER_SLICE);
      const postings = addTailScores(tail, terms, sums, scorer, from, to);
      await pacer.spend(((to - from) * LOOKUP_COST + postings) / POSTINGS_PER_UNIT);
    }
    offerSums(sums, tail.firstRow, rowCount - tail.firstRow, best);
  }

  /** Row by row, where few count. */
  async #scoreRows(block: SparseBlock, terms: SparseTerms, best: BestRows): Promise<void> {
    const { allowed, pacer, scorer, rowCount } = this.#request;
    const from = block.firstRow;
    const to = Math.min(rowCount, from + block.rowCount);
    const offer = (row: number): void => {
      if (row >= from && row < to) best.offer(scoreRow(this.#rows, row, terms, scorer), row);
    };
    const cost = ((this.#pairsPerRow + terms.dims.length / 8) * PAIR_COST) / POSTINGS_PER_UNIT;
    const last = Math.ceil(to / 32);
    for (let word = from >>> 5; word < last; word += WORDS_PER_SLICE) {
      const end = Math.min(last, word + WORDS_PER_SLICE);
      forEachRow(allowed, word, end, offer);
      const more = pacer.spend((end - word) * 32 * (cost + 4));
      if (more !== undefined) await more;
    }
  }
}

/** The best of the rows that count. */
class BestRows implements Offers {
  readonly #request: SparseRequest;
  readonly #best: TopScores;
  readonly #above: number;
  readonly #most: number;
  /** Lower scores are of no use. */
  readonly #floor: number;
  least: number;

  constructor(request: SparseRequest, floor = Number.NEGATIVE_INFINITY) {
    const { k, radius = Number.NEGATIVE_INFINITY, rangeFilter = Number.POSITIVE_INFINITY } = request;
    this.#request = request;
    this.#best = new TopScores(k);
    this.#above = radius;
    this.#most = rangeFilter;
    this.#floor = Math.max(floor, radius);
    this.least = this.#floor;
  }

  offer(score: number, row: number): void {
    const { allowed, rowCount } = this.#request;
    if (score < this.least || score <= this.#above || score > this.#most || score === 0) return;
    if (row >= rowCount || (((allowed[row >>> 5] as number) >>> (row & 31)) & 1) === 0) return;
    this.#best.offer(score, row);
    this.least = Math.max(this.#best.threshold, this.#floor);
  }

  drain(): TopK {
    const { rows, scores } = this.#best.drain();
    return { counts: Uint32Array.of(rows.length), rows, scores };
  }
}
