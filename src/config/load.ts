import { DbError } from '../errors/db-error.ts';
import { type Config, type OptionEntry, optionEntries } from './options.ts';

export interface ConfigSources {
  /** Parsed configuration file: nested objects, keys with dots, or both. */
  readonly file?: unknown;
  /** Shown in errors about `file`. */
  readonly fileName?: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** By full key or short flag. */
  readonly flags: Readonly<Record<string, unknown>>;
}

/** Defaults < file < environment < flags, checked. Throws `parameter-invalid` naming option, value and source. */
export function loadConfig(sources: ConfigSources): Config {
  const file = fileValues(sources);
  const known = new Set<string>(optionEntries.map(({ name }) => name));
  for (const key of file.keys())
    if (!known.has(key))
      throw new DbError('parameter-invalid', `${sources.fileName}: unknown option '${key}'`);
  const values = optionEntries.map((entry) => [entry.name, valueFor(entry, sources, file)]);
  return Object.freeze(Object.fromEntries(values)) as Config;
}

function valueFor(entry: OptionEntry, sources: ConfigSources, file: ReadonlyMap<string, unknown>): unknown {
  const { name, environment, option } = entry;
  const flag = sources.flags[name] ?? (option.flag === undefined ? undefined : sources.flags[option.flag]);
  if (flag !== undefined) return check(entry, flag, `--${option.flag ?? name}`);
  const variable = sources.environment[environment];
  if (variable !== undefined) return check(entry, variable, environment);
  if (file.has(name)) return check(entry, file.get(name), `${sources.fileName}: ${name}`);
  return option.value;
}

function check({ option }: OptionEntry, given: unknown, source: string): unknown {
  if (typeof option.value === 'string') return checkText(String(given), source, option.oneOf);
  const value = typeof given === 'string' && given.trim() !== '' ? Number(given) : given;
  const { min = 0, max = 0, unit = '' } = option;
  if (typeof value !== 'number' || !Number.isFinite(value) || value < min || value > max)
    throw new DbError(
      'parameter-invalid',
      `${source}: '${String(given)}' is not a number from ${min} to ${max}${unit && ` (${unit})`}`,
    );
  return value;
}

function checkText(value: string, source: string, oneOf: readonly string[] | undefined): string {
  if (oneOf !== undefined && !oneOf.includes(value))
    throw new DbError('parameter-invalid', `${source}: '${value}' is not one of ${oneOf.join(', ')}`);
  if (value === '') throw new DbError('parameter-invalid', `${source}: is empty`);
  return value;
}

/** Far more than any option's name has parts. */
const MAX_DEPTH = 8;

function fileValues({ file, fileName }: ConfigSources): ReadonlyMap<string, unknown> {
  const flat = new Map<string, unknown>();
  if (file === undefined || file === null) return flat;
  if (typeof file !== 'object') throw new DbError('parameter-invalid', `${fileName}: holds no options`);
  flatten(file, [], (key, value) => flat.set(key, value), [fileName]);
  return flat;
}

/** `around`: what the value stands in: an alias of YAML may stand in itself. */
function flatten(
  value: object,
  path: readonly string[],
  visit: (key: string, value: unknown) => void,
  around: readonly unknown[],
): void {
  const [fileName] = around;
  for (const [key, inner] of Object.entries(value)) {
    const at = [...path, key];
    if (typeof inner !== 'object' || inner === null) visit(at.join('.'), inner);
    else if (at.length >= MAX_DEPTH || inner === value || around.includes(inner))
      throw new DbError('parameter-invalid', `${fileName}: unknown option '${at.join('.')}'`);
    else flatten(inner, at, visit, [...around, value]);
  }
}
