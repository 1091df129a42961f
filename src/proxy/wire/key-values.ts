/** Lists of key-value pairs as maps and back. */
import { DbError } from '../../errors/db-error.ts';
import type { Properties } from '../../model/records.ts';
import { isShallow, parseJson } from '../../support/json.ts';

export interface KeyValue {
  readonly key: string;
  readonly value: string;
}

/** Levels of a parameter that is a list or an object. */
const MAX_PARAM_DEPTH = 16;

/** A record without a prototype, so that no key means something to JavaScript. */
const emptyRecord = (): Record<string, string> => Object.create(null) as Record<string, string>;

/** Later pairs win, as in Milvus. Throws `parameter-invalid` for an empty key. */
export function toProperties(pairs: readonly KeyValue[]): Properties {
  const properties = emptyRecord();
  for (const { key, value } of pairs) {
    if (key === '') throw new DbError('parameter-invalid', 'a property key should be not empty');
    properties[key] = value;
  }
  return properties;
}

export const fromProperties = (properties: Properties): KeyValue[] =>
  Object.entries(properties).map(([key, value]) => ({ key, value }));

/**
 * Pairs plus what stands in the JSON object under `params`, as clients send index and search parameters: a pair at the top wins.
 * Values that are not strings keep their JSON text. Throws `parameter-invalid` when `params` is not a JSON object.
 */
export function flattenParams(pairs: readonly KeyValue[]): Properties {
  const top = toProperties(pairs);
  const text = top['params'];
  const flat = emptyRecord();
  if (text !== undefined && text !== '')
    for (const [key, value] of Object.entries(jsonObject(text)))
      flat[key] = typeof value === 'string' ? value : jsonText(key, value);
  for (const [key, value] of Object.entries(top)) if (key !== 'params' && value !== '') flat[key] = value;
  return flat;
}

function jsonText(key: string, value: unknown): string {
  if (!isShallow(value, MAX_PARAM_DEPTH))
    throw new DbError('parameter-invalid', `parameter ${key.slice(0, 50)} is nested too deeply`);
  return JSON.stringify(value);
}

function jsonObject(text: string): object {
  try {
    const value = parseJson(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  } catch (cause) {
    throw new DbError('parameter-invalid', `params is not valid JSON: ${text.slice(0, 100)}`, { cause });
  }
  throw new DbError('parameter-invalid', `params must be a JSON object: ${text.slice(0, 100)}`);
}

/** A decimal integer, or undefined when the parameter is absent. Throws `parameter-invalid` for anything else. */
export function integerParam(params: Properties, key: string): number | undefined {
  const text = params[key];
  if (text === undefined) return undefined;
  if (!/^[+-]?\d{1,15}$/.test(text.trim()))
    throw new DbError('parameter-invalid', `${key} [${text.slice(0, 50)}] is invalid: it must be an integer`);
  return Number(text);
}

/** A finite number, or undefined when the parameter is absent. Throws `parameter-invalid` for anything else. */
export function numberParam(params: Properties, key: string): number | undefined {
  const text = params[key];
  if (text === undefined) return undefined;
  const value = text.trim() === '' ? Number.NaN : Number(text);
  if (!Number.isFinite(value))
    throw new DbError('parameter-invalid', `${key} [${text.slice(0, 50)}] is invalid: it must be a number`);
  return value;
}
