/** Milvus's metrics: which field has which, and how their scores are ordered. */
import type { FieldSchema } from './schema.ts';

/** Of dense vectors: squared distance, inner product, cosine similarity. */
export type DenseMetric = 'L2' | 'IP' | 'COSINE';
/** Of bits: how many differ, what share of those set differs, what share of the elements of a MinHash signature differs. */
export type BinaryMetric = 'HAMMING' | 'JACCARD' | 'MHJACCARD';
/** Of embedding lists: the best match of each query vector, summed. MAX_SIM is MAX_SIM_COSINE. */
export type ListMetric =
  | 'MAX_SIM'
  | 'MAX_SIM_COSINE'
  | 'MAX_SIM_IP'
  | 'MAX_SIM_L2'
  | 'MAX_SIM_HAMMING'
  | 'MAX_SIM_JACCARD';
export type MetricType = DenseMetric | BinaryMetric | ListMetric | 'BM25';

/** Whether the lowest score is the best: of distances. Of similarities it is the highest. */
const smallerIsBetter: Readonly<Record<MetricType, boolean>> = {
  L2: true,
  IP: false,
  COSINE: false,
  HAMMING: true,
  JACCARD: true,
  MHJACCARD: true,
  BM25: false,
  MAX_SIM: false,
  MAX_SIM_COSINE: false,
  MAX_SIM_IP: false,
  MAX_SIM_L2: true,
  MAX_SIM_HAMMING: true,
  MAX_SIM_JACCARD: true,
};
export const isSmallerBetter = (metric: MetricType): boolean => smallerIsBetter[metric];
export const isMetricType = (name: string): name is MetricType => Object.hasOwn(smallerIsBetter, name);

/** What each pair of vectors of an embedding-list search is compared by. */
export const pairMetric: Readonly<Record<ListMetric, DenseMetric | 'HAMMING' | 'JACCARD'>> = {
  MAX_SIM: 'COSINE',
  MAX_SIM_COSINE: 'COSINE',
  MAX_SIM_IP: 'IP',
  MAX_SIM_L2: 'L2',
  MAX_SIM_HAMMING: 'HAMMING',
  MAX_SIM_JACCARD: 'JACCARD',
};
export const isListMetric = (metric: MetricType): metric is ListMetric => Object.hasOwn(pairMetric, metric);

const ofDense: readonly MetricType[] = ['COSINE', 'L2', 'IP'];
const ofBits: readonly MetricType[] = ['HAMMING', 'JACCARD', 'MHJACCARD'];
/** What a MinHash function writes. */
const ofSignatures: readonly MetricType[] = ['MHJACCARD'];
const ofSparse: readonly MetricType[] = ['IP'];
const ofTerms: readonly MetricType[] = ['BM25'];
const ofDenseLists: readonly MetricType[] = [
  'MAX_SIM_COSINE',
  'MAX_SIM',
  'MAX_SIM_IP',
  'MAX_SIM_L2',
  ...ofDense,
];
const ofBitLists: readonly MetricType[] = ['MAX_SIM_HAMMING', 'MAX_SIM_JACCARD', 'HAMMING', 'JACCARD'];

/** Metrics of a vector field, its default first. A list of vectors has those of its elements too: each is searched by itself then. */
export function metricsOf({ dataType, elementType, isFunctionOutput }: FieldSchema): readonly MetricType[] {
  if (dataType === 'BinaryVector') return isFunctionOutput === true ? ofSignatures : ofBits;
  if (dataType === 'SparseFloatVector') return isFunctionOutput === true ? ofTerms : ofSparse;
  if (dataType === 'ArrayOfVector') return elementType === 'BinaryVector' ? ofBitLists : ofDenseLists;
  return ofDense;
}
