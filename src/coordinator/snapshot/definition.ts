/** Two definitions compared, as lines for people. Pure. Fields, indexes and partitions are matched by name: over collections ids say nothing. */
import type { FieldSchema } from '../../model/schema.ts';
import type { SnapshotDiff } from '../admin-api.ts';
import type { SnapshotIndex, SnapshotMetadata } from './metadata.ts';

export type DefinitionChange = SnapshotDiff['definition'][number];
type Described = Pick<SnapshotMetadata, 'snapshot' | 'collection' | 'partitions' | 'indexes'>;
/** What to its value; absent values are left out. */
type Facts = ReadonlyMap<string, string>;

/** One entry for each difference: collection, fields, indexes, partitions, properties. `was` or `is` absent: added or removed. */
export function compareDefinitions(was: Described, is: Described): readonly DefinitionChange[] {
  return [
    ...compareFacts('', collectionFacts(was, is), collectionFacts(is, was)),
    ...compareNamed('field', fieldsOf(was), fieldsOf(is), fieldFacts),
    ...compareNamed('index', indexesOf(was), indexesOf(is), indexFacts),
    ...compareFacts('partition ', partitionFacts(was), partitionFacts(is)),
    ...compareFacts('property ', propertyFacts(was), propertyFacts(is)),
  ];
}

function compareFacts(prefix: string, was: Facts, is: Facts): readonly DefinitionChange[] {
  return [...new Set([...was.keys(), ...is.keys()])]
    .filter((what) => was.get(what) !== is.get(what))
    .map((what) => change(prefix + what, was.get(what), is.get(what)));
}

/** What stands on both sides is compared fact by fact; what does not is told in one line. */
function compareNamed<T>(
  kind: string,
  was: ReadonlyMap<string, T>,
  is: ReadonlyMap<string, T>,
  factsOf: (item: T) => Facts,
): readonly DefinitionChange[] {
  const summary = (item: T | undefined): string | undefined =>
    item && [...factsOf(item)].map(([what, value]) => `${what} ${value}`).join(', ');
  return [...new Set([...was.keys(), ...is.keys()])].flatMap((name) => {
    const [before, after] = [was.get(name), is.get(name)];
    return before === undefined || after === undefined
      ? [change(`${kind} '${name}'`, summary(before), summary(after))]
      : compareFacts(`${kind} '${name}': `, factsOf(before), factsOf(after));
  });
}

const change = (what: string, was: string | undefined, is: string | undefined): DefinitionChange => ({
  what,
  ...(was === undefined ? {} : { was }),
  ...(is === undefined ? {} : { is }),
});

/** Names of two different collections are no difference. */
function collectionFacts({ collection, snapshot }: Described, other: Described): Facts {
  const { name, schema, shardsNum, consistencyLevel } = collection;
  return facts({
    'collection name': snapshot.collectionId === other.snapshot.collectionId ? name : undefined,
    'collection description': schema.description,
    'dynamic field': schema.enableDynamicField ? 'on' : 'off',
    shards: shardsNum,
    'consistency level': consistencyLevel,
  });
}

const fieldsOf = ({ collection }: Described) =>
  new Map(collection.schema.fields.map((field) => [field.name, field]));

const fieldFacts = (field: FieldSchema): Facts =>
  facts({
    type: field.dataType,
    'element type': field.elementType,
    dim: field.dim,
    max_length: field.maxLength,
    max_capacity: field.maxCapacity,
    'primary key': field.isPrimaryKey || undefined,
    'auto id': field.autoId || undefined,
    nullable: field.nullable || undefined,
    default: field.defaultValue === undefined ? undefined : shown(field.defaultValue),
    description: field.description === '' ? undefined : shown(field.description),
    'dynamic field': field.isDynamic || undefined,
    ...Object.fromEntries(
      Object.entries(field.typeParams)
        .filter(([key]) => !['dim', 'max_length', 'max_capacity'].includes(key))
        .map(([key, value]) => [`parameter ${key}`, value]),
    ),
  });

/** Two indexes may have one name, on two fields. */
const indexesOf = ({ indexes, collection }: Described) => {
  const names = new Map(collection.schema.fields.map(({ fieldId, name }) => [fieldId, name]));
  return new Map(
    indexes.map((index) => {
      const field = names.get(index.fieldId) ?? String(index.fieldId);
      return [`${index.name}' on '${field}`, index];
    }),
  );
};

const indexFacts = ({ params }: SnapshotIndex): Facts => facts(params);

const partitionFacts = ({ partitions }: Described): Facts =>
  new Map(partitions.map(({ name }) => [`'${name}'`, name]));

const propertyFacts = ({ collection }: Described): Facts =>
  new Map(Object.entries(collection.properties).map(([key, value]) => [`'${key}'`, value]));

const facts = (values: Readonly<Record<string, string | number | boolean | undefined>>): Facts =>
  new Map(
    Object.entries(values)
      .filter(([, value]) => value !== undefined)
      .map(([what, value]) => [what, value === true ? 'yes' : String(value)]),
  );

/** Text in quotes, so that '1' and 1 differ. */
const shown = (value: boolean | number | bigint | string): string =>
  typeof value === 'string' ? JSON.stringify(value) : Object.is(value, -0) ? '-0' : String(value);
