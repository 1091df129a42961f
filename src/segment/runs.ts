/**
 * Rows picked from several columns (or batches) in an order: stretches of neighbours, `from` to `to` of source `source`. Rows that
 * stay together travel together.
 */
export class Runs {
  #triples = new Uint32Array(3 * 64);
  #length = 0;
  #rowCount = 0;

  get rowCount(): number {
    return this.#rowCount;
  }

  /** Continues the last stretch where it can. */
  add(source: number, from: number, to: number): void {
    if (from >= to) return;
    const triples = this.#triples;
    this.#rowCount += to - from;
    const last = this.#length - 3;
    if (last >= 0 && triples[last] === source && triples[last + 2] === from) {
      triples[last + 2] = to;
      return;
    }
    if (this.#length === triples.length) {
      this.#triples = new Uint32Array(2 * triples.length);
      this.#triples.set(triples);
    }
    this.#triples[this.#length++] = source;
    this.#triples[this.#length++] = from;
    this.#triples[this.#length++] = to;
  }

  /** `at`: the place of the first row of the stretch in the result. */
  each(visit: (source: number, from: number, to: number, at: number) => void): void {
    const triples = this.#triples;
    let at = 0;
    for (let i = 0; i < this.#length; i += 3) {
      const from = triples[i + 1] as number;
      const to = triples[i + 2] as number;
      visit(triples[i] as number, from, to, at);
      at += to - from;
    }
  }
}

/** Every row of sources of so many rows, one source after another. */
export function allRows(counts: readonly number[]): Runs {
  const runs = new Runs();
  counts.forEach((count, source) => {
    runs.add(source, 0, count);
  });
  return runs;
}
