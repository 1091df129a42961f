/** Documents for full-text search: words drawn by Zipf's law from a list by frequency, seeded; queries, and which answers are right. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Random, seededRandom } from '../../src/support/random.ts';
import { K, type SetOptions, wordsAtHand } from './sets.ts';

export interface TextQueries {
  readonly terms: number;
  readonly queries: readonly string[];
  /** Of each query: the ids that may be among the best; more than `K` where scores are equal. */
  readonly answers: readonly (readonly number[])[];
}

export interface TextSet {
  readonly name: 'text';
  readonly source: string;
  readonly rows: number;
  /** A document a line, lower case, words apart by spaces. */
  readonly textsFile: string;
  /** A list of TextQueries. */
  readonly queriesFile: string;
}

const VOCABULARY = 50_000;
/** Common enough to be found, rarer than words that say nothing. */
const TERM_RANKS = [30, 20_000] as const;

export async function makeTexts({ folder, words, small, mostRows, say }: SetOptions): Promise<TextSet> {
  const { words: list, source } = await wordsAtHand(words, small, say);
  // Plain words only: every tokenizer must see the same ones.
  const vocabulary = list.filter((word) => /^[a-z]{2,20}$/.test(word)).slice(0, VOCABULARY);
  const rows = Math.min(100_000, mostRows);
  const random = seededRandom(5);
  const draw = zipf(vocabulary.length, random);
  const documents = Array.from({ length: rows }, () => Array.from({ length: 20 + random.below(61) }, draw));
  const text = (numbers: readonly number[]) => numbers.map((number) => vocabulary[number]).join(' ');
  const textsFile = join(folder, 'texts');
  await writeFile(textsFile, documents.map(text).join('\n'));
  const postings = postingsOf(documents);
  const queries = [1, 2, 3].map((terms) => {
    const asked = Array.from({ length: small ? 50 : 300 }, () => termsOf(terms, postings, random));
    return {
      terms,
      queries: asked.map(text),
      answers: asked.map((terms) => best(documents, postings, terms)),
    };
  });
  const queriesFile = join(folder, 'texts.queries');
  await writeFile(queriesFile, JSON.stringify(queries satisfies readonly TextQueries[]));
  return {
    name: 'text',
    source: `${rows.toLocaleString('en')} documents of 20 to 80 words, generated: ${vocabulary.length.toLocaleString('en')} words by Zipf's law, ${source}`,
    rows,
    textsFile,
    queriesFile,
  };
}

function zipf(count: number, random: Random): () => number {
  const sums = new Float64Array(count);
  let sum = 0;
  for (let rank = 0; rank < count; rank++) {
    sum += 1 / (rank + 2.7) ** 1.05;
    sums[rank] = sum;
  }
  return () => {
    const wanted = random.next() * sum;
    let [low, high] = [0, count - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((sums[middle] ?? 0) < wanted) low = middle + 1;
      else high = middle;
    }
    return low;
  };
}

type Postings = ReadonlyMap<number, ReadonlyMap<number, number>>;

function postingsOf(documents: readonly (readonly number[])[]): Postings {
  const postings = new Map<number, Map<number, number>>();
  documents.forEach((words, id) => {
    for (const word of words) {
      const list = postings.get(word) ?? new Map<number, number>();
      postings.set(word, list);
      list.set(id, (list.get(id) ?? 0) + 1);
    }
  });
  return postings;
}

/** Different terms that some document has, common and rare ones alike. */
function termsOf(count: number, postings: Postings, random: Random): number[] {
  const terms = new Set<number>();
  const [low, high] = TERM_RANKS;
  while (terms.size < count) {
    const rank = Math.floor(low * (high / low) ** random.next());
    if (postings.has(rank)) terms.add(rank);
  }
  return [...terms];
}

/** BM25 with k1 1.2 and b 0.75, the default of all. A thousandth is left for other roundings and ways to count documents. */
function best(
  documents: readonly (readonly number[])[],
  postings: Postings,
  terms: readonly number[],
): number[] {
  const average = documents.reduce((sum, { length }) => sum + length, 0) / documents.length;
  const scores = new Map<number, number>();
  for (const term of terms) {
    const list = postings.get(term) ?? new Map<number, number>();
    const idf = Math.log(1 + (documents.length - list.size + 0.5) / (list.size + 0.5));
    for (const [id, times] of list) {
      const length = documents[id]?.length ?? 0;
      const weight = (times * 2.2) / (times + 1.2 * (0.25 + (0.75 * length) / average));
      scores.set(id, (scores.get(id) ?? 0) + idf * weight);
    }
  }
  const sorted = [...scores.values()].sort((a, b) => b - a);
  const least = (sorted[Math.min(K, sorted.length) - 1] ?? 0) * 0.999;
  return [...scores].flatMap(([id, score]) => (score >= least ? [id] : []));
}
