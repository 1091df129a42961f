/** The analyzers of a field, as its type parameters name them. */
import { DbError } from '../errors/db-error.ts';
import type { CollectionSchema, FieldSchema } from '../model/schema.ts';
import { toJson } from '../support/json.ts';
import { type Analyzer, analyzerOf } from './analyzer.ts';
import { isObject, parseParams } from './params.ts';

const invalid = (message: string): DbError => new DbError('parameter-invalid', message);

const isOn = ({ name, typeParams }: FieldSchema, param: string): boolean => {
  const value = typeParams[param];
  if (value === undefined || /^false$/i.test(value)) return false;
  if (/^true$/i.test(value)) return true;
  throw invalid(`${param} of field ${name} is true or false, not ${value.slice(0, 30)}`);
};

export const isAnalyzed = (field: FieldSchema): boolean => isOn(field, 'enable_analyzer');
/** TEXT_MATCH and PHRASE_MATCH are for these. */
export const isMatched = (field: FieldSchema): boolean => isOn(field, 'enable_match');

/** The one analyzer of the field; `standard` when it names none. */
export const fieldAnalyzer = ({ typeParams }: FieldSchema): Analyzer =>
  analyzerOf(typeParams['analyzer_params'] ?? '');

/** Several analyzers, chosen by what another field of the row says. */
export interface MultiAnalyzer {
  /** Name of that field. */
  readonly byField: string;
  /** The default one for a name that is none. */
  paramsOf(name: string): string;
  readonly names: readonly string[];
}

const MAX_ANALYZERS = 64;
const DEFAULT_NAME = 'default';

/** Undefined when the field has one analyzer for all rows. Throws `parameter-invalid`. */
export function multiAnalyzer({ name, typeParams }: FieldSchema): MultiAnalyzer | undefined {
  const text = typeParams['multi_analyzer_params'];
  if (text === undefined) return undefined;
  const { analyzers, by_field: byField, alias = {} } = parseParams(text);
  if (!isObject(analyzers)) throw invalid(`multi_analyzer_params of field ${name} have no analyzers`);
  if (typeof byField !== 'string' || byField === '')
    throw invalid(`multi_analyzer_params of field ${name} have no by_field`);
  if (!isObject(alias) || !Object.values(alias).every((to) => typeof to === 'string'))
    throw invalid(`alias in multi_analyzer_params of field ${name} is a map of names`);
  const params = new Map(Object.entries(analyzers).map(([key, value]) => [key, toJson(value)]));
  if (params.size > MAX_ANALYZERS) throw invalid(`at most ${MAX_ANALYZERS} analyzers are allowed`);
  const fallback = params.get(DEFAULT_NAME);
  if (fallback === undefined)
    throw invalid(`multi_analyzer_params of field ${name} have no analyzer '${DEFAULT_NAME}'`);
  const aliases = new Map(Object.entries(alias as Record<string, string>));
  for (const to of aliases.values())
    if (!params.has(to)) throw invalid(`alias of an analyzer that field ${name} does not have: ${to}`);
  return {
    byField,
    names: [...params.keys(), ...aliases.keys()],
    paramsOf: (asked) => params.get(asked) ?? params.get(aliases.get(asked) ?? '') ?? fallback,
  };
}

/** Throws `parameter-invalid` or `unimplemented` when the field's analysis cannot be what it says. */
export function checkFieldAnalysis(field: FieldSchema, schema: Pick<CollectionSchema, 'fields'>): void {
  const { name, dataType, typeParams } = field;
  const analyzed = isAnalyzed(field);
  const matched = isMatched(field);
  const named = ['analyzer_params', 'multi_analyzer_params'].filter((key) => typeParams[key] !== undefined);
  if (dataType !== 'VarChar') {
    if (analyzed || matched || named.length > 0)
      throw invalid(
        `can not enable analyzer or match on field ${name} of type ${dataType}: it is for VarChar`,
      );
    return;
  }
  if (matched && !analyzed) throw invalid(`field ${name} is set to enable match but not enable analyzer`);
  if (named.length > 1) throw invalid(`field ${name} has analyzer_params and multi_analyzer_params`);
  fieldAnalyzer(field);
  const multi = multiAnalyzer(field);
  if (multi === undefined) return;
  if (matched) throw invalid(`multi analyzer params and enable_match exclude each other, field ${name}`);
  for (const each of multi.names) analyzerOf(multi.paramsOf(each));
  const by = schema.fields.find((each) => each.name === multi.byField);
  if (by?.dataType !== 'VarChar' || by === field)
    throw invalid(`multi analyzer by_field ${multi.byField} must be another VarChar field`);
}
