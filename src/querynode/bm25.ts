/**
 * What BM25 knows of the whole corpus: every row of the units that are read, deleted ones included until a compaction removes them or none of their segment lives. A query's
 * terms are weighted by it once, for all units: idf = ln(1 + (N - n + 0.5) / (n + 0.5)), times how often the query has the term.
 */
import type { FieldId } from '../model/ids.ts';
import type { BytesColumn } from '../model/rows.ts';
import type { Bm25 } from '../vector-index/sparse-bounds.ts';
import { find, wordsOf } from '../vector-index/sparse-rows.ts';
import type { Pacer } from './pacer.ts';
import type { UnitView } from './unit.ts';

/** Of the index. */
export interface Bm25Params {
  readonly k1: number;
  readonly b: number;
}

/** Terms looked up in one slice. */
const TERMS_PER_SLICE = 512;
const COST_PER_LOOKUP = 30;

/** The queries with their terms weighted, and the scorer they are for. */
export async function weightedQueries(
  views: readonly UnitView[],
  fieldId: FieldId,
  queries: BytesColumn,
  params: Bm25Params,
  pacer: Pacer,
): Promise<{ readonly column: BytesColumn; readonly scorer: Bm25 }> {
  const words = wordsOf(queries, 0, queries.offsets.at(-1) ?? 0);
  const dims = uniqueTerms(words);
  const corpus = await corpusOf(views, fieldId, dims, pacer);
  const data = new Uint8Array(words.length * 4);
  const weighted = new Uint32Array(data.buffer);
  const weights = new Float32Array(data.buffer);
  const counts = new Float32Array(words.buffer, words.byteOffset, words.length);
  for (let i = 0; i < words.length; i += 2) {
    const term = words[i] as number;
    const rows = corpus.frequencies[find(dims, term)] as number;
    weighted[i] = term;
    weights[i + 1] = (counts[i + 1] as number) * idf(corpus.rowCount, rows);
  }
  const averageLength = corpus.rowCount === 0 ? 0 : corpus.length / corpus.rowCount;
  return { column: { ...queries, data }, scorer: { ...params, averageLength } };
}

/** Never negative, however common the term is. */
export const idf = (rowCount: number, rowsWithTerm: number): number =>
  Math.log(1 + (rowCount - rowsWithTerm + 0.5) / (rowsWithTerm + 0.5));

/** Rising, each once. */
function uniqueTerms(words: Uint32Array): Uint32Array {
  const all = new Uint32Array(words.length / 2);
  for (let i = 0; i < all.length; i++) all[i] = words[2 * i] as number;
  all.sort();
  let size = 0;
  for (let i = 0; i < all.length; i++)
    if (i === 0 || all[i] !== all[size - 1]) all[size++] = all[i] as number;
  return all.subarray(0, size);
}

interface Corpus {
  readonly rowCount: number;
  /** Terms of all rows together. */
  readonly length: number;
  /** Rows that have each of the terms. */
  readonly frequencies: Float64Array;
}

async function corpusOf(
  views: readonly UnitView[],
  fieldId: FieldId,
  dims: Uint32Array,
  pacer: Pacer,
): Promise<Corpus> {
  const frequencies = new Float64Array(dims.length);
  let rows = 0;
  let length = 0;
  for (const { unit, rowCount } of views) {
    const index = unit.sparse.get(fieldId);
    const column = unit.column(fieldId);
    // A unit that is older than the field has no rows of it.
    if (index === undefined || column?.layout !== 'bytes') continue;
    rows += rowCount;
    length += index.totalLength(rowCount);
    for (let from = 0; from < dims.length; from += TERMS_PER_SLICE) {
      const some = dims.subarray(from, from + TERMS_PER_SLICE);
      index.addFrequencies(some, rowCount, frequencies, from);
      const more = pacer.spend(some.length * (index.blocks.length + 1) * COST_PER_LOOKUP);
      if (more !== undefined) await more;
    }
  }
  return { rowCount: rows, length, frequencies };
}
