/**
 * Pure: which properties collections, databases, fields and indexes have, what they may hold, and what becomes of a record when some are
 * set or taken away. A property that this server knows, and does nothing about, is kept and described. Names that are nobody's are the
 * user's own notes; names in the system's own name spaces that it does not know are refused.
 */
import { DbError } from '../../errors/db-error.ts';
import { TTL_PROPERTY } from '../../model/expiry.ts';
import type { CollectionRecord, ConsistencyLevel, IndexRecord, Properties } from '../../model/records.ts';
import type { CollectionSchema, FieldSchema } from '../../model/schema.ts';
import { MAX_ARRAY_CAPACITY, MAX_VARCHAR_BYTES, partitionKeyOf } from './schema.ts';

/** What a user wants to be different: some keys set, or some taken away. */
export interface PropertyChange {
  readonly set: Properties;
  readonly unset: readonly string[];
}

const invalid = (message: string): DbError => new DbError('parameter-invalid', message);

export const ISOLATION_PROPERTY = 'partitionkey.isolation';
const DYNAMIC_PROPERTY = 'dynamicfield.enabled';
const DESCRIPTION_PROPERTY = 'collection.description';
const CONSISTENCY_PROPERTY = 'consistency_level';
const MMAP_PROPERTY = 'mmap.enabled';
/** As Milvus has it: a hundred years. */
const MAX_TTL_SECONDS = 3_155_760_000;

/** Says what is wrong with a value, if anything. */
type Rule = (value: string) => string | undefined;

const bool: Rule = (value) => (/^(true|false)$/i.test(value) ? undefined : 'must be true or false');
const integer =
  (least: number, most: number): Rule =>
  (value) => {
    const number = /^-?\d{1,12}$/.test(value) ? Number(value) : Number.NaN;
    return number >= least && number <= most ? undefined : `is out of range, expect [${least}, ${most}]`;
  };
const rate: Rule = (value) => {
  const number = value.trim() === '' ? Number.NaN : Number(value);
  return Number.isFinite(number) ? undefined : 'must be a number';
};
const timezone: Rule = (value) => {
  try {
    new Intl.DateTimeFormat('en', { timeZone: value });
    return undefined;
  } catch {
    return 'is not a time zone';
  }
};
const free: Rule = () => undefined;

const levels: readonly ConsistencyLevel[] = ['Strong', 'Session', 'Bounded', 'Eventually', 'Customized'];
const levelOf = (value: string): ConsistencyLevel | undefined =>
  levels.find((level, i) => level.toLowerCase() === value.toLowerCase() || String(i) === value);

const collectionRules: Readonly<Record<string, Rule>> = {
  [TTL_PROPERTY]: integer(-1, MAX_TTL_SECONDS),
  [MMAP_PROPERTY]: bool,
  'lazyload.enabled': bool,
  'collection.autocompaction.enabled': bool,
  'collection.insertRate.max.mb': rate,
  'collection.insertRate.min.mb': rate,
  'collection.upsertRate.max.mb': rate,
  'collection.upsertRate.min.mb': rate,
  'collection.deleteRate.max.mb': rate,
  'collection.deleteRate.min.mb': rate,
  'collection.bulkLoadRate.max.mb': rate,
  'collection.bulkLoadRate.min.mb': rate,
  'collection.queryRate.max.qps': rate,
  'collection.queryRate.min.qps': rate,
  'collection.searchRate.max.vps': rate,
  'collection.searchRate.min.vps': rate,
  'collection.diskProtection.diskQuota.mb': rate,
  'collection.replica.number': integer(1, 1024),
  'collection.resource_groups': free,
  [ISOLATION_PROPERTY]: bool,
  [DYNAMIC_PROPERTY]: bool,
  allow_insert_auto_id: bool,
  allow_update_auto_id: bool,
  timezone,
  [DESCRIPTION_PROPERTY]: free,
  [CONSISTENCY_PROPERTY]: (value) => (levelOf(value) === undefined ? 'is unknown' : undefined),
};

const databaseRules: Readonly<Record<string, Rule>> = {
  'database.max.collections': integer(-1, 65_536),
  'database.replica.number': integer(1, 1024),
  'database.resource_groups': free,
  'database.diskQuota.mb': rate,
  timezone,
};

/** Of names that only the system gives a meaning. */
const SYSTEM_NAMES =
  /^(?:collection|database|partitionkey|mmap|lazyload|dynamicfield|replicate|tidemark|field|ttl)[._]/;

function check(what: string, rules: Readonly<Record<string, Rule>>, properties: Properties): void {
  for (const [key, value] of Object.entries(properties)) {
    const rule = Object.hasOwn(rules, key) ? rules[key] : undefined;
    if (rule === undefined && SYSTEM_NAMES.test(key))
      throw invalid(`${key} is not a property of a ${what} that can be set`);
    const wrong = rule?.(value);
    if (wrong !== undefined) throw invalid(`property ${key} (${value.slice(0, 50)}) ${wrong}`);
  }
}

export const checkCollectionProperties = (properties: Properties): void =>
  check('collection', collectionRules, properties);

export const checkDatabaseProperties = (properties: Properties): void =>
  check('database', databaseRules, properties);

export function checkChange({ set, unset }: PropertyChange): void {
  const count = Object.keys(set).length;
  if (count > 0 && unset.length > 0) throw invalid('cannot provide both delete keys and properties');
  if (count === 0 && unset.length === 0) throw invalid('no properties or delete keys provided');
}

export function changed(properties: Properties, { set, unset }: PropertyChange): Properties {
  const gone = new Set(unset);
  const kept = Object.entries(properties).filter(([key]) => !gone.has(key));
  return { ...Object.fromEntries(kept), ...set };
}

const loaded = (name: string, what: string): DbError =>
  new DbError('collection-loaded', `${what} if collection loaded[collection=${name}]`);

const touches = ({ set, unset }: PropertyChange, key: string): boolean =>
  Object.hasOwn(set, key) || unset.includes(key);

/** The collection with other properties; the turning on of the dynamic field is the caller's. Throws `parameter-invalid` or `collection-loaded`. */
export function alteredCollection(was: CollectionRecord, change: PropertyChange): CollectionRecord {
  checkChange(change);
  checkCollectionProperties(change.set);
  for (const key of [MMAP_PROPERTY, 'lazyload.enabled'])
    if (touches(change, key) && was.load === 'loaded')
      throw loaded(was.name, 'can not alter mmap properties');
  checkIsolation(was.schema, change.set);
  const {
    [DESCRIPTION_PROPERTY]: description = change.unset.includes(DESCRIPTION_PROPERTY) ? '' : undefined,
    [CONSISTENCY_PROPERTY]: level,
    [DYNAMIC_PROPERTY]: _,
    ...set
  } = change.set;
  const consistencyLevel = level === undefined ? undefined : levelOf(level);
  return {
    ...was,
    properties: changed(was.properties, { set, unset: change.unset }),
    ...(consistencyLevel === undefined ? {} : { consistencyLevel }),
    ...(description === undefined ? {} : { schema: { ...was.schema, description } }),
  };
}

/** Whether the change turns the dynamic field on or off. Throws `parameter-invalid` when it would take the property away. */
export function dynamicTurn(
  { schema }: CollectionRecord,
  { set, unset }: PropertyChange,
): 'on' | 'off' | undefined {
  if (schema.enableDynamicField && unset.includes(DYNAMIC_PROPERTY))
    throw invalid(`the dynamic field is dropped by setting ${DYNAMIC_PROPERTY} to false`);
  const wanted = set[DYNAMIC_PROPERTY]?.toLowerCase();
  if (wanted === undefined || (wanted === 'true') === schema.enableDynamicField) return undefined;
  return wanted === 'true' ? 'on' : 'off';
}

export function checkIsolation(schema: CollectionSchema, properties: Properties): void {
  if (properties[ISOLATION_PROPERTY]?.toLowerCase() !== 'true' || partitionKeyOf(schema) !== undefined)
    return;
  throw invalid(
    'partition key isolation mode is enabled but no partition key field is set. Please set the partition key first',
  );
}

const fieldKeys = new Set(['max_length', 'max_capacity', MMAP_PROPERTY, 'field.description']);

/** The collection with one field's properties changed. Throws `parameter-invalid`, `field-not-found` or `collection-loaded`. */
export function alteredField(was: CollectionRecord, name: string, change: PropertyChange): CollectionRecord {
  checkChange(change);
  const { schema } = was;
  const field = schema.fields.find((each) => each.name === name && !each.isDynamic);
  if (field === undefined) throw new DbError('field-not-found', `field not found[field=${name}]`);
  for (const key of Object.keys(change.set))
    if (!fieldKeys.has(key)) throw invalid(`${key} does not allow update in collection field param`);
  for (const key of change.unset)
    if (key !== MMAP_PROPERTY) throw invalid(`${key} is not allowed to drop in collection field param`);
  if (touches(change, MMAP_PROPERTY) && was.load === 'loaded')
    throw loaded(was.name, 'can not alter collection field properties');
  const is = { ...field, ...sizesOf(field, change.set), typeParams: typeParamsOf(field, change) };
  const fields = schema.fields.map((each) => (each === field ? is : each));
  return { ...was, schema: { ...schema, fields, version: schema.version + 1 } };
}

function typeParamsOf(field: FieldSchema, { set, unset }: PropertyChange): Properties {
  const { 'field.description': _, ...params } = set;
  return changed(field.typeParams, { set: params, unset });
}

type Sizes = Partial<Pick<FieldSchema, 'maxLength' | 'maxCapacity' | 'description'>>;

function sizesOf(field: FieldSchema, set: Properties): Sizes {
  const { max_length: length, max_capacity: capacity, [MMAP_PROPERTY]: mmap } = set;
  const wrong = mmap === undefined ? undefined : bool(mmap);
  if (wrong !== undefined) throw invalid(`property ${MMAP_PROPERTY} ${wrong}`);
  if (length !== undefined && field.dataType !== 'VarChar' && field.elementType !== 'VarChar')
    throw invalid(`${field.name} can not modify the maxlength for non-string types`);
  if (capacity !== undefined && field.dataType !== 'Array')
    throw invalid(`${field.name} can not modify the maxcapacity for non-array types`);
  const description = set['field.description'];
  return {
    ...(length === undefined ? {} : { maxLength: grown(field, 'length', length, field.maxLength) }),
    ...(capacity === undefined ? {} : { maxCapacity: grown(field, 'capacity', capacity, field.maxCapacity) }),
    ...(description === undefined ? {} : { description }),
  };
}

const bounds = { length: MAX_VARCHAR_BYTES, capacity: MAX_ARRAY_CAPACITY } as const;

/** What rows hold already must stay what the schema says: it does not shrink. */
function grown(
  { name }: FieldSchema,
  what: keyof typeof bounds,
  text: string,
  was: number | undefined,
): number {
  const size = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
  if (!(size >= 1 && size <= bounds[what]))
    throw invalid(`the maximum ${what} specified for the field(${name}) should be in (0, ${bounds[what]}]`);
  if (size < (was ?? 0))
    throw invalid(`the maximum ${what} of field ${name} can only grow: it is ${was}, ${size} was asked for`);
  return size;
}

/** The index with other parameters. Throws `parameter-invalid` or `collection-loaded`. */
export function alteredIndex(
  was: IndexRecord,
  collection: CollectionRecord,
  change: PropertyChange,
): IndexRecord {
  checkChange(change);
  for (const key of [...Object.keys(change.set), ...change.unset])
    if (key !== MMAP_PROPERTY) throw invalid(`${key} is not a configable index property`);
  const value = change.set[MMAP_PROPERTY];
  const wrong = value === undefined ? undefined : bool(value);
  if (wrong !== undefined) throw invalid(`property ${MMAP_PROPERTY} ${wrong}`);
  if (collection.load === 'loaded')
    throw loaded(collection.name, "can't alter index on loaded collection, please release it first,");
  return { ...was, params: changed(was.params, change) };
}
