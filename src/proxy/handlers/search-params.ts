/** The parameters of searches: pages, ranges, groups, iterators. */
import { DbError } from '../../errors/db-error.ts';
import { type HybridTime, hybridTime } from '../../model/hybrid-time.ts';
import { isSmallerBetter, type MetricType } from '../../model/metric.ts';
import type { Properties } from '../../model/records.ts';
import type { CollectionSchema, FieldSchema } from '../../model/schema.ts';
import type { GroupBy, IteratorPage } from '../../querynode/api.ts';
import { integerParam, numberParam } from '../wire/key-values.ts';

export const MAX_TOP_K = 16_384;
const MAX_EF = 32_768;
const MAX_DECIMALS = 6;
const MAX_GROUP_SIZE = 1024;
/** Below it, a guaranteed time is a level of consistency or what a client made up. */
const FIRST_TIME = hybridTime(1);

const invalid = (message: string): DbError => new DbError('parameter-invalid', message);

export const isTrue = (params: Properties, key: string): boolean => {
  const value = params[key]?.trim().toLowerCase() ?? 'false';
  if (value !== 'true' && value !== 'false')
    throw invalid(`${key} [${value.slice(0, 50)}] is invalid: it must be true or false`);
  return value === 'true';
};

export interface Page {
  /** Of what is looked for: offset and limit. */
  readonly topK: number;
  readonly limit: number;
  readonly offset: number;
}

/** Throws `parameter-invalid` outside Milvus's bounds. */
export function pageOf(params: Properties): Page {
  const limit = integerParam(params, 'topk') ?? integerParam(params, 'limit');
  const offset = integerParam(params, 'offset') ?? 0;
  if (limit === undefined) throw new DbError('parameter-missing', 'topk is required for search');
  if (limit < 1 || limit > MAX_TOP_K)
    throw invalid(`topk [${limit}] is invalid, it should be in range [1, ${MAX_TOP_K}]`);
  if (offset < 0 || offset > MAX_TOP_K)
    throw invalid(`offset [${offset}] is invalid, it should be in range [0, ${MAX_TOP_K}]`);
  if (offset + limit > MAX_TOP_K)
    throw invalid(`(offset+limit) should be in range [1, ${MAX_TOP_K}], but got ${offset + limit}`);
  return { topK: limit + offset, limit, offset };
}

export function efOf(params: Properties): { readonly ef?: number } {
  const ef = integerParam(params, 'ef');
  if (ef === undefined) return {};
  if (ef < 1 || ef > MAX_EF) throw invalid(`ef [${ef}] is invalid, it should be in range [1, ${MAX_EF}]`);
  return { ef };
}

/** Bounds of a range search: range_filter <= distance < radius; radius < similarity <= range_filter. */
export function rangeOf(
  params: Properties,
  metric: MetricType,
): { readonly radius?: number; readonly rangeFilter?: number } {
  const radius = numberParam(params, 'radius');
  const rangeFilter = numberParam(params, 'range_filter');
  if (radius === undefined) {
    if (rangeFilter !== undefined) throw invalid('range_filter needs a radius');
    return {};
  }
  if (rangeFilter === undefined) return { radius };
  const isDistance = isSmallerBetter(metric);
  const isEmpty = isDistance ? rangeFilter >= radius : rangeFilter <= radius;
  if (isEmpty)
    throw invalid(
      `range_filter(${rangeFilter}) must be ${isDistance ? 'less' : 'greater'} than radius(${radius}) for ${metric}`,
    );
  return { radius, rangeFilter };
}

export function decimalsOf(params: Properties): number {
  const decimals = integerParam(params, 'round_decimal') ?? -1;
  if (decimals < -1 || decimals > MAX_DECIMALS)
    throw invalid(
      `round_decimal [${decimals}] is invalid, it should be -1 or an integer in range [0, ${MAX_DECIMALS}]`,
    );
  return decimals;
}

export function rounded(scores: Float32Array, decimals: number): Float32Array {
  if (decimals < 0) return scores;
  const scale = 10 ** decimals;
  return scores.map((score) => Math.round(score * scale) / scale);
}

const GROUP_KEYS: ReadonlySet<string> = new Set([
  'Bool',
  'Int8',
  'Int16',
  'Int32',
  'Int64',
  'VarChar',
  'Timestamptz',
]);

/** What rows are grouped by. Throws `parameter-invalid` for a field that has no such values. */
export function groupField({ fields }: CollectionSchema, asked: string): FieldSchema {
  const name = asked.trim();
  const field = fields.find((each) => each.name === name);
  const isKeyOfJson = name.includes('[') || fields.some(({ isDynamic }) => isDynamic);
  if (field === undefined && isKeyOfJson)
    throw new DbError('unimplemented', 'grouping by a key of a JSON field is not implemented');
  if (field === undefined) throw invalid(`groupBy field not found in schema: field not found[field=${name}]`);
  if (!GROUP_KEYS.has(field.dataType))
    throw invalid(`unsupported data type ${field.dataType} for group by operator, field ${name}`);
  return field;
}

export interface Grouping extends GroupBy {
  readonly field: FieldSchema;
}

/** Groups, when the parameters ask for them. */
export function groupingOf(params: Properties, schema: CollectionSchema): Grouping | undefined {
  const name = params['group_by_field'];
  if (name === undefined || name.trim() === '') return undefined;
  const field = groupField(schema, name);
  const size = integerParam(params, 'group_size') ?? 1;
  if (size < 1 || size > MAX_GROUP_SIZE)
    throw invalid(`input group size:${size} should be in range [1, ${MAX_GROUP_SIZE}]`);
  return { field, fieldId: field.fieldId, size, isStrict: isTrue(params, 'strict_group_size') };
}

/** The time that a reader who comes back page after page wants to see again. */
export function sessionTime(params: Properties, inRequest: bigint): HybridTime | undefined {
  const text = params['guarantee_timestamp']?.trim();
  if (text !== undefined && !/^\d{1,20}$/.test(text))
    throw invalid(`guarantee_timestamp [${text.slice(0, 50)}] is invalid: it must be an integer`);
  const time = text === undefined || text === '0' ? inRequest : BigInt(text);
  if (time > 2n ** 63n - 1n) throw invalid('guarantee_timestamp is invalid: it is larger than every time');
  return time < FIRST_TIME ? undefined : (time as HybridTime);
}

const MAX_TOKEN = 100;

/** Where a search iterator stands, when the search is one that keeps its place in the server. */
export function iteratorOf(params: Properties): (IteratorPage & { readonly batch?: number }) | undefined {
  if (!isTrue(params, 'search_iter_v2')) return undefined;
  const batch = integerParam(params, 'search_iter_batch_size');
  if (batch !== undefined && (batch < 1 || batch > MAX_TOP_K))
    throw invalid(`batch size is invalid, it should be in range [1, ${MAX_TOP_K}]`);
  const token = params['search_iter_id']?.trim() ?? '';
  if (token.length > MAX_TOKEN) throw invalid('search_iter_id is invalid: it is no iterator of this server');
  const lastBound = numberParam(params, 'search_iter_last_bound');
  return {
    ...(token === '' ? {} : { token }),
    ...(lastBound === undefined ? {} : { lastBound }),
    ...(batch === undefined ? {} : { batch }),
  };
}
