/** Pure: the parameters of an index as they came from a client. */
import { DbError } from '../errors/db-error.ts';
import { isShallow, parseJson } from '../support/json.ts';
import type { Properties } from './records.ts';

/** Levels of the JSON under `params`. */
const MAX_PARAM_DEPTH = 16;

const invalid = (message: string): DbError => new DbError('index-invalid', message);

/** Clients send build parameters one by one, or as JSON text under `params`; here they stand side by side. */
export function flatParams(params: Properties): Properties {
  const { params: text, ...flat } = params;
  if (text === undefined || text === '') return flat;
  let inner: unknown;
  try {
    inner = parseJson(text);
  } catch (cause) {
    throw new DbError('index-invalid', `index parameters are not JSON: ${text}`, { cause });
  }
  if (typeof inner !== 'object' || inner === null || Array.isArray(inner))
    throw invalid(`index parameters are not a JSON object: ${text}`);
  if (!isShallow(inner, MAX_PARAM_DEPTH)) throw invalid('index parameters are nested too deeply');
  const entries = Object.entries(inner).map(([name, value]) => [name, textOf(value)] as const);
  return { ...flat, ...Object.fromEntries(entries) };
}

const textOf = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value));
