/** Which terms of a query a block of posting lists has, and how much they can add to a row at most. */
import type { SparseBlock } from './sparse-block.ts';
import { find, type SparseTerms } from './sparse-rows.ts';

export interface Bm25 {
  readonly k1: number;
  readonly b: number;
  /** Over all rows of the collection, not of one segment. */
  readonly averageLength: number;
}

/** Absent: inner product. */
export type SparseScorer = Bm25 | undefined;

/** What of the formula is the same for all rows. */
export function bm25Factors(scorer: SparseScorer): {
  readonly k1: number;
  readonly constant: number;
  readonly slope: number;
} {
  if (scorer === undefined) return { k1: 0, constant: 0, slope: 0 };
  const { k1, b, averageLength } = scorer;
  return { k1, constant: k1 * (1 - b), slope: averageLength > 0 ? (k1 * b) / averageLength : 0 };
}

/** Terms of longer queries are all summed. */
const MAX_SPLIT = 32;

/** From one of so many dimensions on all are gone through, rather than each looked for: a hundred thousand lookups take too long at once. */
const WIDE = 64;

/** The dimensions that a block and a query share, dimensions rising. Filled again for each block. */
export class BlockTerms {
  /** In the block. */
  readonly places: Uint32Array;
  readonly weights: Float32Array;
  /** No row gets more of the term. */
  readonly bounds: Float64Array;
  /** 0: only rows that have another term need to be looked up for it. */
  readonly isEssential: Uint8Array;
  /** Postings before them were passed by while rows rose. */
  readonly cursors: Uint32Array;
  count = 0;
  /** Of all of them. */
  postings = 0;
  /** What the terms that are not essential add at most. */
  rest = 0;
  /** Sums of rounded floats may lie above the sum of their bounds: so many times, at most. */
  slack = 1;
  essentialCount = 0;

  /** For queries of so many dimensions. */
  constructor(capacity: number) {
    this.places = new Uint32Array(capacity);
    this.weights = new Float32Array(capacity);
    this.bounds = new Float64Array(capacity);
    this.isEssential = new Uint8Array(capacity);
    this.cursors = new Uint32Array(capacity);
  }

  /** Returns a score that no row of the block exceeds. */
  fill(block: SparseBlock, terms: SparseTerms, scorer: SparseScorer): number {
    const { length } = terms.dims;
    const few = Math.min(length, block.dims.length);
    this.count = 0;
    this.postings = 0;
    const most =
      few * WIDE > Math.max(length, block.dims.length)
        ? this.#fillSideBySide(block, terms, scorer)
        : this.#fillByLookups(block, terms, scorer);
    this.slack = 1 + 1e-5 * (1 + this.count / 100);
    return most * this.slack;
  }

  #fillByLookups(block: SparseBlock, terms: SparseTerms, scorer: SparseScorer): number {
    const { dims } = block;
    const isShort = terms.dims.length <= dims.length;
    const [few, many] = isShort ? [terms.dims, dims] : [dims, terms.dims];
    let sum = 0;
    for (let i = 0; i < few.length; i++) {
      const at = find(many, few[i] as number);
      if (at >= 0)
        sum += isShort ? this.#add(block, at, terms, i, scorer) : this.#add(block, i, terms, at, scorer);
    }
    return sum;
  }

  #fillSideBySide(block: SparseBlock, terms: SparseTerms, scorer: SparseScorer): number {
    const { dims } = block;
    let sum = 0;
    for (let term = 0, place = 0; term < terms.dims.length && place < dims.length; ) {
      const wanted = terms.dims[term] as number;
      const here = dims[place] as number;
      if (wanted === here) sum += this.#add(block, place, terms, term, scorer);
      if (wanted <= here) term++;
      if (here <= wanted) place++;
    }
    return sum;
  }

  #add(
    block: SparseBlock,
    place: number,
    { weights }: SparseTerms,
    term: number,
    scorer: SparseScorer,
  ): number {
    const weight = weights[term] as number;
    const most = boundOf(block, place, weight, scorer);
    const at = this.count++;
    this.places[at] = place;
    this.weights[at] = weight;
    this.bounds[at] = most;
    this.postings += (block.starts[place + 1] as number) - (block.starts[place] as number);
    return most;
  }

  /**
   * Finds terms that together cannot lift a row to `least`. True: it is cheaper to look only at rows that have one of the others. The
   * terms are essential then, as `isEssential` says.
   */
  split(block: SparseBlock, least: number): boolean {
    this.isEssential.fill(1, 0, this.count);
    this.rest = 0;
    this.essentialCount = this.count;
    if (this.count < 2 || this.count > MAX_SPLIT || !this.#areRising(block)) return false;
    let postings = this.postings;
    for (let i = this.#leastEssential(); i >= 0; i = this.#leastEssential()) {
      if ((this.rest + (this.bounds[i] as number)) * this.slack >= least) break;
      this.rest += this.bounds[i] as number;
      this.isEssential[i] = 0;
      this.essentialCount--;
      postings -= postingsAt(block, this, i);
    }
    return postings + this.#costOfLookups(block, postings) < this.postings;
  }

  /** Rows that are looked up will rise from the first on. */
  rewind({ starts }: SparseBlock): void {
    for (let i = 0; i < this.count; i++) this.cursors[i] = starts[this.places[i] as number] as number;
  }

  /** Of so many rows in the terms that are not essential, in postings: the steps by which their cursors are moved on. */
  #costOfLookups(block: SparseBlock, rows: number): number {
    let cost = 0;
    for (let i = 0; i < this.count; i++)
      if (this.isEssential[i] === 0) cost += rows * (2 + Math.log2(1 + postingsAt(block, this, i) / rows));
    return cost;
  }

  /** No term takes from a row what others gave it. */
  #areRising({ lowest }: SparseBlock): boolean {
    for (let i = 0; i < this.count; i++)
      if (!((this.weights[i] as number) > 0 && (lowest[this.places[i] as number] as number) >= 0))
        return false;
    return true;
  }

  #leastEssential(): number {
    let least = -1;
    for (let i = 0; i < this.count; i++)
      if (
        this.isEssential[i] === 1 &&
        (least < 0 || (this.bounds[i] as number) < (this.bounds[least] as number))
      )
        least = i;
    return least;
  }
}

/** Postings of the i-th of the terms. */
export const postingsAt = ({ starts }: SparseBlock, { places }: BlockTerms, i: number): number => {
  const place = places[i] as number;
  return (starts[place + 1] as number) - (starts[place] as number);
};

/** What a row can get of a term at most; never negative. */
function boundOf(
  { highest, lowest, shortest }: SparseBlock,
  place: number,
  weight: number,
  scorer: SparseScorer,
): number {
  const high = highest[place] as number;
  const low = lowest[place] as number;
  if (scorer === undefined) return Math.max(0, weight * high, weight * low);
  const { k1, constant, slope } = bm25Factors(scorer);
  const behind = constant + slope * Math.max(0, shortest);
  return Math.max(0, boundOfValue(weight, high, k1, behind), boundOfValue(weight, low, k1, behind));
}

const boundOfValue = (weight: number, value: number, k1: number, behind: number): number =>
  value + behind > 0 ? (weight * value * (k1 + 1)) / (value + behind) : 0;
