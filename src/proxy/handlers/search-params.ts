/** The parameters of searches: pages, ranges, groups, iterators. */
import { DbError } from '../../errors/db-error.ts';
import { jsonPathOf } from '../../expr/json-path.ts';
import { type HybridTime, hybridTime } from '../../model/hybrid-time.ts';
import type { FieldId } from '../../model/ids.ts';
import { isSmallerBetter, type MetricType } from '../../model/metric.ts';
import type { Properties } from '../../model/records.ts';
import type { CollectionSchema, FieldSchema } from '../../model/schema.ts';
import type { GroupBy, IteratorPage, ValuePlace } from '../../querynode/api.ts';
import { present } from '../../support/assert.ts';
import { integerParam, numberParam } from '../wire/key-values.ts';
import { nameList } from './names.ts';

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
  if (field === undefined) throw invalid(`groupBy field not found in schema: field not found[field=${name}]`);
  if (!GROUP_KEYS.has(field.dataType))
    throw invalid(`unsupported data type ${field.dataType} for group by operator, field ${name}`);
  return field;
}

/** The same of searches, which group by keys of JSON fields and of the dynamic field as well. What stands there is shown as text. */
function groupPlace(
  schema: CollectionSchema,
  name: string,
): { readonly place: ValuePlace; readonly shown: FieldSchema } {
  const field = schema.fields.find((each) => each.name === name);
  const path = field === undefined ? jsonPathOf(name, schema) : undefined;
  if (path === undefined) {
    const plain = groupField(schema, name);
    return { place: { fieldId: plain.fieldId }, shown: plain };
  }
  const { fieldId, keys } = path;
  const json = groupSource(schema, fieldId);
  return { place: { fieldId, path: keys }, shown: { ...json, name, dataType: 'VarChar', isDynamic: false } };
}

const groupSource = ({ fields }: CollectionSchema, fieldId: FieldId): FieldSchema =>
  present(
    fields.find((each) => each.fieldId === fieldId),
    'the field of a path',
  );

export interface Grouping extends GroupBy {
  /** The fields of the values of the groups in the answer. */
  readonly shown: readonly FieldSchema[];
}

const MAX_GROUP_FIELDS = 64;

function groupNames(params: Properties): readonly string[] {
  const one = params['group_by_field']?.trim() ?? '';
  const several = nameList('group_by_fields', params['group_by_fields'] ?? '');
  if (one !== '' && several.length > 0)
    throw invalid('group_by_field and group_by_fields exclude one another');
  if (several.length > MAX_GROUP_FIELDS)
    throw invalid(`rows are grouped by at most ${MAX_GROUP_FIELDS} fields`);
  return one === '' ? several : [one];
}

/** What would change the values of groups. */
function refuseCasts(params: Properties): void {
  if ((params['json_type'] ?? '') !== '' || isTrue(params, 'strict_cast'))
    throw new DbError(
      'unimplemented',
      'casting the values of a JSON key in a grouping search is not implemented',
    );
}

/** Groups, when the parameters ask for them. */
export function groupingOf(params: Properties, schema: CollectionSchema): Grouping | undefined {
  const names = groupNames(params);
  if (names.length === 0) return undefined;
  const found = names.map((name) => groupPlace(schema, name));
  if (new Set(found.map(({ place }) => place.fieldId)).size < found.length)
    throw invalid('a search is grouped once by each field, and by one key of a JSON field');
  const paths = found.filter(({ place }) => place.path !== undefined);
  if (paths.length > 1) throw invalid('a search is grouped by at most one key of a JSON field');
  if (paths.length > 0) refuseCasts(params);
  const size = integerParam(params, 'group_size') ?? 1;
  if (size < 1 || size > MAX_GROUP_SIZE)
    throw invalid(`input group size:${size} should be in range [1, ${MAX_GROUP_SIZE}]`);
  return {
    places: found.map(({ place }) => place),
    shown: found.map(({ shown }) => shown),
    size,
    isStrict: isTrue(params, 'strict_group_size'),
  };
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
