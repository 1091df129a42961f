/** The best rows seen so far by falling score, equal scores by row; a row counts once. */
export class TopScores {
  readonly #limit: number;
  #scores: Float32Array;
  #rows: Uint32Array;
  #size = 0;

  constructor(limit: number) {
    this.#limit = limit;
    this.#scores = new Float32Array(Math.min(limit, 64));
    this.#rows = new Uint32Array(this.#scores.length);
  }

  /** No row with a lower score is wanted any more. */
  get threshold(): number {
    return this.#size < this.#limit ? Number.NEGATIVE_INFINITY : (this.#scores[0] as number);
  }

  offer(score: number, row: number): void {
    if (this.#size < this.#limit) {
      if (this.#size === this.#rows.length) this.#grow();
      this.#put(this.#size, score, row);
      this.#rise(this.#size++);
    } else if (this.#isWorse(this.#scores[0] as number, this.#rows[0] as number, score, row)) {
      this.#put(0, score, row);
      this.#sink(this.#size);
    }
  }

  /** Everything kept, best first. The heap is empty then. */
  drain(): { readonly rows: Uint32Array; readonly scores: Float32Array } {
    const size = this.#size;
    for (let end = size - 1; end > 0; end--) {
      const [score, row] = [this.#scores[end] as number, this.#rows[end] as number];
      this.#put(end, this.#scores[0] as number, this.#rows[0] as number);
      this.#put(0, score, row);
      this.#sink(end);
    }
    this.#size = 0;
    return { rows: this.#rows.slice(0, size), scores: this.#scores.slice(0, size) };
  }

  #grow(): void {
    const length = Math.min(this.#limit, 4 * this.#rows.length);
    const [scores, rows] = [new Float32Array(length), new Uint32Array(length)];
    scores.set(this.#scores);
    rows.set(this.#rows);
    this.#scores = scores;
    this.#rows = rows;
  }

  #put(at: number, score: number, row: number): void {
    this.#scores[at] = score;
    this.#rows[at] = row;
  }

  #isWorse(score: number, row: number, thanScore: number, thanRow: number): boolean {
    return score < thanScore || (score === thanScore && row > thanRow);
  }

  #isBelow(i: number, j: number): boolean {
    return this.#isWorse(
      this.#scores[i] as number,
      this.#rows[i] as number,
      this.#scores[j] as number,
      this.#rows[j] as number,
    );
  }

  #swap(i: number, j: number): void {
    const [score, row] = [this.#scores[i] as number, this.#rows[i] as number];
    this.#put(i, this.#scores[j] as number, this.#rows[j] as number);
    this.#put(j, score, row);
  }

  #rise(from: number): void {
    let at = from;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!this.#isBelow(at, parent)) return;
      this.#swap(at, parent);
      at = parent;
    }
  }

  #sink(size: number): void {
    let at = 0;
    for (;;) {
      const left = 2 * at + 1;
      if (left >= size) return;
      const child = left + 1 < size && this.#isBelow(left + 1, left) ? left + 1 : left;
      if (!this.#isBelow(child, at)) return;
      this.#swap(child, at);
      at = child;
    }
  }
}
