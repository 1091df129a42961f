/** What units that are searched one after the other learn of each other. */
import type { KeyColumn } from '../segment/key-column.ts';
import type { TopK } from '../vector-index/top-k.ts';
import { hasTwins } from './reduce.ts';

/** More hits are not looked through for keys that stand there twice. */
const MAX_LOOKED_THROUGH = 1024;

/** Of each query: the score that `topK` rows of different keys in one unit reach. No row with a lower one comes into the answer. */
export class Floors {
  readonly #floors: Float32Array;
  readonly #topK: number;

  constructor(queryCount: number, topK: number) {
    this.#floors = new Float32Array(queryCount).fill(Number.NEGATIVE_INFINITY);
    this.#topK = topK;
  }

  of(query: number): number {
    return this.#floors[query] ?? Number.NEGATIVE_INFINITY;
  }

  /** The best rows of a unit, best first. */
  learn(query: number, { rows, scores }: Pick<TopK, 'rows' | 'scores'>, keys: KeyColumn): void {
    if (rows.length < this.#topK || rows.length > MAX_LOOKED_THROUGH) return;
    const floor = scores[rows.length - 1] as number;
    if (floor > this.of(query) && !hasTwins({ rows, keys })) this.#floors[query] = floor;
  }
}
