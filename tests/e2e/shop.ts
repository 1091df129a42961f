/** A small shop for the tests of searches: three vector fields of three metrics, and what one filters, groups and orders by. */
import { DataType, type MilvusClient } from '@zilliz/milvus2-sdk-node';
import { flush, load, succeed } from './fixture.ts';

export const DIM = 4;
export const ROWS = 60;

export interface Article {
  readonly id: number;
  /** Null for every tenth. */
  readonly category: string | null;
  readonly price: number;
  /** Null for every seventh. */
  readonly rating: number | null;
  readonly in_stock: boolean;
  readonly shape: number[];
  readonly color: number[];
  readonly words: Record<number, number>;
}

/** A cheap generator that repeats itself on every run. */
export function vector(seed: number): number[] {
  let state = (seed * 2_654_435_761 + 1) >>> 0;
  return Array.from({ length: DIM }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    // Few bits: squares and their sums are exact, and equal ones really equal.
    return Math.round((state / 2 ** 31 - 1) * 64) / 64;
  });
}

export const article = (id: number): Article => ({
  id,
  category: id % 10 === 9 ? null : ['shoes', 'hats', 'bags', 'coats'][(id * 7) % 4]!,
  price: (id * 37) % 23,
  rating: id % 7 === 6 ? null : ((id * 13) % 10) / 2,
  in_stock: id % 3 > 0,
  shape: vector(id),
  color: vector(id + 1000),
  words: { [id % 5]: 1 + (id % 4), 7: 0.5 + id / 100 },
});

export const articles: readonly Article[] = Array.from({ length: ROWS }, (_, id) => article(id));

const metrics = { shape: 'L2', color: 'COSINE', words: 'IP' } as const;
export type VectorField = keyof typeof metrics;

/** Two thirds of the rows flushed, the rest in the log. */
export async function createShop(client: MilvusClient, collection_name: string): Promise<void> {
  await succeed(
    client.createCollection({
      collection_name,
      fields: [
        { name: 'id', data_type: DataType.Int64, is_primary_key: true },
        { name: 'category', data_type: DataType.VarChar, max_length: 20, nullable: true },
        { name: 'price', data_type: DataType.Int32 },
        { name: 'rating', data_type: DataType.Double, nullable: true },
        { name: 'in_stock', data_type: DataType.Bool },
        { name: 'shape', data_type: DataType.FloatVector, dim: DIM },
        { name: 'color', data_type: DataType.FloatVector, dim: DIM },
        { name: 'words', data_type: DataType.SparseFloatVector },
      ],
      index_params: [
        { field_name: 'shape', index_type: 'HNSW', metric_type: 'L2' },
        { field_name: 'color', index_type: 'FLAT', metric_type: 'COSINE' },
        { field_name: 'words', index_type: 'SPARSE_INVERTED_INDEX', metric_type: 'IP' },
      ],
    }),
  );
  await load(client, collection_name);
  await succeed(client.insert({ collection_name, data: articles.slice(0, 40) as never }));
  await flush(client, collection_name);
  await succeed(client.insert({ collection_name, data: articles.slice(40) as never }));
}

const dot = (a: readonly number[], b: readonly number[]): number =>
  a.reduce((sum, x, i) => sum + x * (b[i] ?? 0), 0);

/** The right score, computed here. */
export function scoreOf(
  field: VectorField,
  row: Article,
  query: readonly number[] | Record<number, number>,
): number {
  if (field === 'words') {
    const terms = query as Record<number, number>;
    return Object.entries(row.words).reduce((sum, [term, x]) => sum + x * (terms[Number(term)] ?? 0), 0);
  }
  const wanted = query as readonly number[];
  const own = row[field];
  if (field === 'shape') return own.reduce((sum, x, i) => sum + (x - (wanted[i] ?? 0)) ** 2, 0);
  return dot(own, wanted) / Math.sqrt(dot(own, own) * dot(wanted, wanted));
}

/** Best first. A sparse vector without a term of the query is no hit. */
export function nearest(
  field: VectorField,
  query: readonly number[] | Record<number, number>,
  rows: readonly Article[] = articles,
): { readonly row: Article; readonly score: number }[] {
  const sign = field === 'shape' ? 1 : -1;
  return rows
    .map((row) => ({ row, score: scoreOf(field, row, query) }))
    .filter(({ score }) => field !== 'words' || score !== 0)
    .sort((a, b) => sign * (a.score - b.score) || a.row.id - b.row.id);
}

export const idsOf = (hits: readonly { readonly id?: unknown }[]): number[] =>
  hits.map(({ id }) => Number(id));
