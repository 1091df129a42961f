/** Rerank functions and rankers, from the wire to what the query node does. */
import { DbError } from '../../errors/db-error.ts';
import type { Properties } from '../../model/records.ts';
import type { CollectionSchema, FieldSchema } from '../../model/schema.ts';
import type { Boost, Boosts, Decay, Fusion, Rerank } from '../../querynode/api.ts';
import { parseJson } from '../../support/json.ts';
import type { TimeZone } from '../../timestamptz/zones.ts';
import type { CallContext } from '../context.ts';
import type { SchemaFunctionSchema, SchemaFunctionScore } from '../wire/descriptor.generated.ts';
import { flattenParams, numberParam } from '../wire/key-values.ts';
import { checkedFilter } from './filters.ts';
import { isTrue } from './search-params.ts';

const RERANK = 3;
const MAX_FUNCTIONS = 64;
const MAX_RRF_K = 16_384;
const DEFAULT_RRF_K = 60;

const invalid = (message: string): DbError => new DbError('parameter-invalid', message);

interface Ranker {
  readonly name: string;
  readonly inputs: readonly string[];
  readonly params: Properties;
}

function rankersOf({ functions }: SchemaFunctionScore): Ranker[] {
  if (functions.length === 0) throw invalid('a function score needs a function');
  if (functions.length > MAX_FUNCTIONS)
    throw invalid(`a function score has at most ${MAX_FUNCTIONS} functions`);
  return functions.map(rankerOf);
}

function rankerOf({ name, type, input_field_names, params }: SchemaFunctionSchema): Ranker {
  if (type !== RERANK) throw invalid(`function '${name.slice(0, 100)}' of a search is not of type Rerank`);
  const flat = flattenParams(params);
  const ranker = (flat['reranker'] ?? flat['strategy'] ?? '').trim().toLowerCase();
  if (ranker === 'model') throw new DbError('unimplemented', 'a model reranker is not implemented');
  if (!['rrf', 'weighted', 'decay', 'boost'].includes(ranker))
    throw invalid(`unsupported rerank function: '${ranker.slice(0, 100)}'`);
  return { name: ranker, inputs: input_field_names, params: flat };
}

/** For one search: boosts and decays. */
export function rerankOf(
  call: CallContext,
  schema: CollectionSchema,
  score: SchemaFunctionScore | null | undefined,
  zone: TimeZone,
): Rerank | undefined {
  if (score === null || score === undefined) return undefined;
  const rankers = rankersOf(score);
  const other = rankers.find(({ name }) => name === 'rrf' || name === 'weighted');
  if (other !== undefined) throw invalid(`rerank function ${other.name} is for hybrid searches`);
  const boosts = rankers
    .filter(({ name }) => name === 'boost')
    .map(({ inputs, params }) => boostOf(call, schema, inputs, params, zone));
  const decays = rankers
    .filter(({ name }) => name === 'decay')
    .map(({ inputs, params }) => decayOf(schema, inputs, params));
  return {
    decays,
    ...(boosts.length === 0 ? {} : { boosts: boostsOf(boosts, flattenParams(score.params)) }),
  };
}

const boostsOf = (boosts: readonly Boost[], params: Properties): Boosts => ({
  boosts,
  functionMode: modeOf(params, 'function_mode'),
  boostMode: modeOf(params, 'boost_mode'),
});

function modeOf(params: Properties, key: string): 'multiply' | 'sum' {
  const mode = (params[key] ?? 'multiply').trim().toLowerCase();
  if (mode === 'multiply' || mode === 'multiple') return 'multiply';
  if (mode !== 'sum') throw invalid(`unknown ${key}: '${mode.slice(0, 50)}', it must be Multiply or Sum`);
  return mode;
}

function boostOf(
  call: CallContext,
  schema: CollectionSchema,
  inputs: readonly string[],
  params: Properties,
  zone: TimeZone,
): Boost {
  if (inputs.length > 0) throw invalid('a boost ranker has no input fields');
  const weight = numberParam(params, 'weight');
  if (weight === undefined) throw invalid('a boost ranker needs a weight');
  const filter = checkedFilter(call, params['filter'] ?? '', schema, {}, zone);
  if (filter?.sample !== undefined) throw invalid('the filter of a boost cannot draw a random_sample');
  const random = params['random_score'];
  return {
    weight,
    ...(filter === undefined ? {} : { filter }),
    ...(random === undefined ? {} : { random: randomOf(schema, random) }),
  };
}

/** `{"seed": 1, "field": "id"}`, both optional. */
function randomOf(schema: CollectionSchema, text: string): NonNullable<Boost['random']> {
  const value = jsonOf('random_score', text);
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw invalid('random_score must be a JSON object');
  const { seed = 0, field } = value as { readonly seed?: unknown; readonly field?: unknown };
  if (typeof seed !== 'number' || !Number.isSafeInteger(seed))
    throw invalid('the seed of random_score must be an integer');
  if (field === undefined) return { seed: BigInt(seed) };
  if (typeof field !== 'string') throw invalid('the field of random_score must be a name');
  return { seed: BigInt(seed), fieldId: numericField(schema, field, 'random_score').fieldId };
}

const numeric: ReadonlySet<string> = new Set(['Int8', 'Int16', 'Int32', 'Int64', 'Float', 'Double']);

function numericField({ fields }: CollectionSchema, name: string, of: string): FieldSchema {
  const field = fields.find((each) => each.name === name);
  if (field === undefined) throw invalid(`field '${name.slice(0, 100)}' of ${of} is not in the schema`);
  if (!numeric.has(field.dataType))
    throw invalid(`field '${name}' of ${of} must be numeric, it is ${field.dataType}`);
  return field;
}

function decayOf(schema: CollectionSchema, inputs: readonly string[], params: Properties): Decay {
  const [name, ...others] = inputs;
  if (name === undefined || others.length > 0) throw invalid('a decay function has exactly one input field');
  const { fieldId } = numericField(schema, name, 'the decay function');
  const curve = (params['function'] ?? '').trim().toLowerCase();
  if (curve !== 'gauss' && curve !== 'exp' && curve !== 'linear')
    throw invalid(`invalid decay function: '${curve.slice(0, 50)}', it must be gauss, exp or linear`);
  const origin = numberParam(params, 'origin');
  const scale = numberParam(params, 'scale');
  const offset = numberParam(params, 'offset') ?? 0;
  const decay = numberParam(params, 'decay') ?? 0.5;
  if (origin === undefined) throw invalid('a decay function needs an origin');
  if (scale === undefined || scale <= 0) throw invalid('a decay function needs a scale > 0');
  if (offset < 0) throw invalid(`decay function param offset must be >= 0, but got ${offset}`);
  if (decay <= 0 || decay >= 1)
    throw invalid(`decay function param decay must be between 0 and 1, but got ${decay}`);
  const isNormalized = isTrue(params, 'norm_score');
  return {
    kind: 'decay',
    fieldId,
    curve,
    origin,
    scale,
    offset,
    decay,
    isNormalized,
    merge: mergeOf(params),
  };
}

function mergeOf(params: Properties): Decay['merge'] {
  const mode = (params['score_mode'] ?? 'max').trim().toLowerCase();
  if (mode !== 'max' && mode !== 'avg' && mode !== 'sum')
    throw invalid(`unsupported score_mode '${mode.slice(0, 50)}', it must be max, avg or sum`);
  return mode;
}

/** For hybrid searches: the one function, or the older parameters; RRF when there is neither. */
export function fusionOf(
  schema: CollectionSchema,
  score: SchemaFunctionScore | null | undefined,
  rankParams: Properties,
  searches: number,
): Fusion {
  const rankers = score === null || score === undefined ? [] : rankersOf(score);
  if (rankers.length > 1) throw invalid('a hybrid search has one rerank function');
  const [ranker] = rankers;
  const name = ranker?.name ?? (rankParams['strategy'] ?? 'rrf').trim().toLowerCase();
  const params = ranker?.params ?? rankParams;
  if (name === 'rrf') return { kind: 'rrf', k: rrfK(params) };
  if (name === 'weighted')
    return {
      kind: 'weighted',
      weights: weightsOf(params, searches),
      isNormalized: isTrue(params, 'norm_score'),
    };
  if (name === 'decay' && ranker !== undefined) return decayOf(schema, ranker.inputs, params);
  if (name === 'boost')
    throw invalid('a boost ranker is for the searches of a hybrid search, not for the whole');
  throw invalid(`unsupported rank type ${name.slice(0, 50)}`);
}

function rrfK(params: Properties): number {
  const k = numberParam(params, 'k') ?? DEFAULT_RRF_K;
  if (k <= 0 || k >= MAX_RRF_K) throw invalid(`The rank params k should be in range (0, ${MAX_RRF_K})`);
  return k;
}

function weightsOf(params: Properties, searches: number): readonly number[] {
  const weights = jsonOf('weights', params['weights'] ?? '[]');
  if (!Array.isArray(weights) || !weights.every((weight): weight is number => typeof weight === 'number'))
    throw invalid('weights must be a list of numbers');
  if (weights.length !== searches)
    throw invalid(
      `the length of weights param mismatch with ann search requests: invalid parameter[expected=${searches}][actual=${weights.length}]`,
    );
  const wrong = weights.find((weight) => !(weight >= 0 && weight <= 1));
  if (wrong !== undefined) throw invalid(`rank param weight should be in range [0, 1], but got ${wrong}`);
  return weights;
}

function jsonOf(what: string, text: string): unknown {
  try {
    return parseJson(text);
  } catch (cause) {
    throw new DbError('parameter-invalid', `${what} is not valid JSON: ${text.slice(0, 100)}`, { cause });
  }
}
