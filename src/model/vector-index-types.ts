/**
 * Pure: Milvus's names of vector indexes, the fields each is for, and its parameters. A name promises its recall and its parameters'
 * names, which describe shows again; what is built behind it may be another structure.
 */
import { DbError } from '../errors/db-error.ts';
import { holdsSignatures } from './functions.ts';
import { type MetricType, metricsOf } from './metric.ts';
import type { FieldSchema } from './schema.ts';

/** A file with a graph, or nothing: an exact scan, and posting lists that are made when a segment is loaded. */
export type BuiltKind = 'HNSW' | 'none';

type Family = 'dense' | 'binary' | 'sparse' | 'dense lists' | 'binary lists';

type Rule =
  | { readonly kind: 'integer'; readonly min: number; readonly max: number }
  /** `max` itself is out of range when `isOpen`. */
  | { readonly kind: 'number'; readonly min: number; readonly max: number; readonly isOpen?: boolean }
  | { readonly kind: 'choice'; readonly choices: readonly string[] };
type Rules = Readonly<Record<string, Rule>>;

interface IndexType {
  readonly families: readonly Family[];
  readonly rules: Rules;
  /** Absent: all of the field's, its default first. */
  readonly metrics?: readonly MetricType[];
}

const integer = (min: number, max: number): Rule => ({ kind: 'integer', min, max });
const share = (): Rule => ({ kind: 'number', min: 0, max: 1, isOpen: true });
const choice = (...choices: readonly string[]): Rule => ({ kind: 'choice', choices });
const bool = choice('true', 'false', 'True', 'False');
const INT_MAX = 2 ** 31 - 1;

const nlist = { nlist: integer(1, 65_536) };
const graph = { M: integer(2, 2048), efConstruction: integer(1, INT_MAX) };
const refining = { refine: bool, refine_type: choice('SQ4U', 'SQ6', 'SQ8', 'BF16', 'FP16', 'FP32') };
const posting = {
  drop_ratio_build: share(),
  inverted_index_algo: choice('DAAT_MAXSCORE', 'DAAT_WAND', 'TAAT_NAIVE'),
  bm25_k1: { kind: 'number', min: 0, max: 3 },
  bm25_b: { kind: 'number', min: 0, max: 1 },
} as const satisfies Rules;
const dense = ['dense', 'dense lists'] as const;
const binary = ['binary', 'binary lists'] as const;

const indexTypes: Readonly<Record<string, IndexType>> = {
  AUTOINDEX: { families: [...dense, ...binary, 'sparse'], rules: {} },
  FLAT: { families: dense, rules: {} },
  IVF_FLAT: { families: dense, rules: nlist },
  IVF_SQ8: { families: dense, rules: nlist },
  IVF_PQ: { families: dense, rules: { ...nlist, m: integer(1, 65_536), nbits: integer(1, 24) } },
  HNSW: { families: [...dense, 'binary lists'], rules: graph },
  HNSW_SQ: {
    families: dense,
    rules: { ...graph, ...refining, sq_type: choice('SQ4U', 'SQ6', 'SQ8', 'BF16', 'FP16') },
  },
  DISKANN: {
    families: dense,
    rules: {
      max_degree: integer(1, 2048),
      search_list_size: integer(1, INT_MAX),
      pq_code_budget_gb_ratio: { kind: 'number', min: 0, max: 1 },
    },
  },
  SCANN: { families: dense, rules: { ...nlist, with_raw_data: bool } },
  BIN_FLAT: { families: binary, rules: { mh_element_bit_width: choice('8', '16', '32', '64') } },
  BIN_IVF_FLAT: { families: binary, rules: nlist, metrics: ['HAMMING', 'JACCARD'] },
  MINHASH_LSH: {
    families: ['binary'],
    rules: {
      mh_lsh_band: integer(1, INT_MAX),
      mh_element_bit_width: choice('8', '16', '32', '64'),
      mh_lsh_code_in_mem: bool,
      mh_lsh_bloom_false_positive_prob: { kind: 'number', min: 0, max: 1 },
      with_raw_data: bool,
    },
    metrics: ['MHJACCARD'],
  },
  SPARSE_INVERTED_INDEX: { families: ['sparse'], rules: posting },
  SPARSE_WAND: { families: ['sparse'], rules: posting },
};

/** Names of Milvus that are understood and refused. */
const refused = new Set([
  'IVF_RABITQ',
  'HNSW_PQ',
  'HNSW_PRQ',
  'AISAQ',
  'GPU_FLAT',
  'GPU_CAGRA',
  'GPU_IVF_FLAT',
  'GPU_IVF_SQ8',
  'GPU_IVF_PQ',
  'GPU_BRUTE_FORCE',
  'NGRAM',
  'FMINDEX',
]);

const invalid = (message: string): DbError => new DbError('index-invalid', message);

/** Throws `unimplemented` for an index of Milvus that is not served. */
export function refuseUnservedIndex(type: string): void {
  if (refused.has(type)) throw new DbError('unimplemented', `index type ${type} is not implemented`);
}

export const isVectorIndexType = (type: string): boolean => Object.hasOwn(indexTypes, type);

function familyOf({ dataType, elementType }: FieldSchema): Family {
  if (dataType === 'ArrayOfVector') return elementType === 'BinaryVector' ? 'binary lists' : 'dense lists';
  if (dataType === 'SparseFloatVector') return 'sparse';
  return dataType === 'BinaryVector' ? 'binary' : 'dense';
}

/**
 * The metric of an index of `type` on a vector field with these parameters, side by side. Throws `index-invalid` for a type, metric or
 * parameter that the field cannot have.
 */
export function checkVectorIndex(
  field: FieldSchema,
  type: string,
  params: Readonly<Record<string, string>>,
): MetricType {
  const indexType = Object.hasOwn(indexTypes, type) ? indexTypes[type] : undefined;
  if (indexType === undefined)
    throw invalid(`invalid parameter[expected=valid index][actual=invalid index type: ${type}]`);
  const family = familyOf(field);
  if (!indexType.families.includes(family))
    throw invalid(
      `index ${type} is not supported on field ${field.name}: data type ${field.dataType} can't build with this index ${type}`,
    );
  checkRules(indexType.rules, params);
  checkSubvectors(field, type, params);
  checkElements(field, params);
  if (family === 'sparse') return sparseMetric(field, params['metric_type']);
  return metricFor(field, indexType, params['metric_type']);
}

/** What a BM25 function writes is compared by BM25, and nothing else is. */
function sparseMetric(field: FieldSchema, asked: string | undefined): MetricType {
  const metric = asked === undefined || asked === '' ? undefined : asked.toUpperCase();
  if (metric !== undefined && metric !== 'IP' && metric !== 'BM25')
    throw invalid(`only IP&BM25 is the supported metric type for sparse index, not ${asked}`);
  if (field.isFunctionOutput === true) {
    if (metric === 'IP')
      throw invalid(`index metric type of BM25 function output field must be BM25, got ${asked}`);
    return 'BM25';
  }
  if (metric === 'BM25') throw invalid('only BM25 Function output field support BM25 metric type');
  return 'IP';
}

function metricFor(field: FieldSchema, { metrics }: IndexType, asked: string | undefined): MetricType {
  const ofField = metricsOf(field);
  const both = (metrics ?? ofField).filter((metric) => ofField.includes(metric));
  const name = asked?.toUpperCase();
  const found = name === undefined || name === '' ? both[0] : both.find((metric) => metric === name);
  if (found !== undefined) return found;
  if (both.length === 0)
    throw invalid(`field ${field.name} is compared by ${ofField.join(', ')}: it needs another index`);
  const supported = both.join(', ');
  throw invalid(
    `${familyNames[familyOf(field)]} does not support metric type: ${asked}, it must be one of ${supported}`,
  );
}

const familyNames: Readonly<Record<Family, string>> = {
  dense: 'float vector index',
  binary: 'binary vector index',
  sparse: 'sparse vector index',
  'dense lists': 'embedding list index',
  'binary lists': 'embedding list index',
};

function checkRules(rules: Rules, params: Readonly<Record<string, string>>): void {
  for (const [name, rule] of Object.entries(rules)) {
    const text = params[name];
    if (text !== undefined) checkRule(name, rule, text);
  }
}

function checkRule(name: string, rule: Rule, text: string): void {
  const shown = text.slice(0, 50);
  if (rule.kind === 'choice') {
    if (!rule.choices.includes(text))
      throw invalid(`param '${name}' (${shown}) should be one of ${rule.choices.join(', ')}`);
    return;
  }
  const isNumber = rule.kind === 'integer' ? /^\d{1,10}$/.test(text) : /^\d{1,10}(\.\d{1,20})?$/.test(text);
  const value = isNumber ? Number(text) : Number.NaN;
  const isOpen = rule.kind === 'number' && rule.isOpen === true;
  if (!(value >= rule.min && (isOpen ? value < rule.max : value <= rule.max)))
    throw invalid(
      `Out of range in json: param '${name}' (${shown}) should be in range [${rule.min}, ${rule.max}${isOpen ? ')' : ']'}`,
    );
}

/** A product quantizer cuts a vector into `m` parts of one size. */
function checkSubvectors(
  { dim = 0 }: FieldSchema,
  type: string,
  { m }: Readonly<Record<string, string>>,
): void {
  if (type === 'IVF_PQ' && m !== undefined && dim % Number(m) !== 0)
    throw invalid(
      `The dimension of a vector (dim) should be a multiple of the number of subquantizers (m): dim ${dim}, m ${m}`,
    );
}

/** The elements that a MinHash function writes. */
function checkElements(
  field: FieldSchema,
  { mh_element_bit_width: bits = '32' }: Readonly<Record<string, string>>,
): void {
  if (holdsSignatures(field) && bits !== '32')
    throw invalid(
      `mh_element_bit_width (${bits}) should be 32 for the output of a MinHash function, field ${field.name}`,
    );
}

/** Types that are built as a graph of dense vectors; the quantized and clustered ones keep their promise with it too. */
const graphTypes = new Set([
  'HNSW',
  'AUTOINDEX',
  'HNSW_SQ',
  'IVF_FLAT',
  'IVF_SQ8',
  'IVF_PQ',
  'SCANN',
  'DISKANN',
]);

/** What is built for an index of `type`: lists, bits and sparse vectors have no graph. */
export const builtKindOf = (field: FieldSchema, type: string): BuiltKind =>
  familyOf(field) === 'dense' && graphTypes.has(type) ? 'HNSW' : 'none';

/** Parameters of a search, whatever the index: those Milvus would refuse are refused. */
const searchRules: Rules = {
  nprobe: integer(1, 65_536),
  search_list: integer(1, 65_535),
  reorder_k: integer(1, INT_MAX),
  drop_ratio_search: share(),
  dim_max_score_ratio: { kind: 'number', min: 0.5, max: 1.3 },
};

/** Throws `parameter-invalid`. */
export function checkVectorSearchParams(params: Readonly<Record<string, string>>): void {
  try {
    checkRules(searchRules, params);
  } catch (error) {
    throw error instanceof DbError ? new DbError('parameter-invalid', error.message) : error;
  }
}
