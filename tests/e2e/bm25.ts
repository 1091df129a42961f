/** BM25 as the page tells it, over texts that are in memory: the judge of the server's scores. */
export interface Bm25Rules {
  readonly k1: number;
  readonly b: number;
}

export type Terms = readonly string[];

/** The score of each text for the query; 0 for one that shares no term. */
export function bm25(texts: readonly Terms[], query: Terms, { k1, b }: Bm25Rules): number[] {
  const average = texts.reduce((sum, { length }) => sum + length, 0) / texts.length;
  return texts.map((text) => {
    let score = 0;
    for (const term of query) {
      const frequency = text.filter((each) => each === term).length;
      const rows = texts.filter((each) => each.includes(term)).length;
      const idf = Math.log(1 + (texts.length - rows + 0.5) / (rows + 0.5));
      const norm = frequency + k1 * (1 - b + (b * text.length) / average);
      score += frequency === 0 ? 0 : (idf * frequency * (k1 + 1)) / norm;
    }
    return score;
  });
}
