/** Planted bugs of changes of what a collection is: fields, truncations, other names. */
import { remove } from '../../src/catalog/catalog.ts';
import { AliasRoom } from '../../src/coordinator/collections/aliases.ts';
import { AlterRoom } from '../../src/coordinator/collections/alter.ts';
import { CollectionRoom } from '../../src/coordinator/collections/collections.ts';
import { Truncation } from '../../src/coordinator/collections/truncate.ts';
import { aliases, collections } from '../../src/coordinator/tables.ts';
import { TTL_PROPERTY } from '../../src/model/expiry.ts';
import type { FieldId } from '../../src/model/ids.ts';
import type { CollectionSchema, FieldSchema } from '../../src/model/schema.ts';
import { ATTIC, HOME } from './alter-steps.ts';
import { commits, isJustUp, method, type Planted, patched, rewritten, storeWith } from './plants.ts';
import { extraOf } from './rows.ts';

const withExtra = (
  schema: CollectionSchema,
  change: (extra: FieldSchema) => readonly FieldSchema[],
): CollectionSchema => {
  const extra = extraOf(schema);
  return {
    ...schema,
    fields: schema.fields.flatMap((field) => (field === extra ? change(field) : [field])),
  };
};

/** As long as it was. */
const remarked = (json: Uint8Array): string =>
  Buffer.from(json)
    .toString()
    .replace(/("extra",\s*"description":\s*")(\d+)/, (_, before: string, mark: string) => {
      return before + (mark[0] === '9' ? '8' : '9') + mark.slice(1);
    });

const SECOND = 105;
const nothing = async (): Promise<void> => undefined;

const fields: readonly Planted[] = [
  {
    name: 'recycledField',
    by: ['exact'],
    says: /with extra \S+ instead of/,
    what: 'a field gets the id that a dropped one had',
    from: 26,
    make: () =>
      commits((changes) =>
        rewritten(changes, collections, (is) => ({
          ...is,
          schema: withExtra(is.schema, (extra) => [
            { ...extra, fieldId: Math.min(extra.fieldId, SECOND - 1) as FieldId },
          ]),
        })),
      ),
    isCheap: true,
  },
  {
    name: 'otherDefault',
    by: ['exact'],
    says: /with extra 0 instead of/,
    what: 'rows that are older than a field read another default',
    make: () =>
      commits((changes) =>
        rewritten(changes, collections, (is) => ({
          ...is,
          schema: withExtra(is.schema, (extra) => [
            extra.defaultValue === undefined ? extra : { ...extra, defaultValue: 0n },
          ]),
        })),
      ),
  },
  {
    name: 'unaddedField',
    by: ['exact'],
    says: /^exact: .* has extra field undefined, not \d+, which was added/,
    what: 'the adding of a field is answered and nothing is added',
    make: () =>
      method(
        AlterRoom.prototype,
        'addField',
        () =>
          async function (this: AlterRoom) {
            await nothing();
          },
      ),
  },
  {
    name: 'undroppedField',
    by: ['exact'],
    says: /^exact: .* has extra field \d+, and \d+ was dropped/,
    what: 'the drop of a field is answered and nothing is dropped',
    make: () => method(AlterRoom.prototype, 'dropPart', () => nothing),
  },
  {
    name: 'forgottenField',
    by: ['exact'],
    says: /^exact: after a restart .* has extra field undefined, not/,
    what: 'an added field is not there after a restart',
    make: () => ({
      patch: (world) =>
        patched(
          CollectionRoom.prototype,
          'describeCollection',
          (was) =>
            function (this: CollectionRoom, at) {
              const info = was.call(this, at);
              if (!isJustUp(world)) return info;
              const schema = withExtra(info.collection.schema, () => []);
              return { ...info, collection: { ...info.collection, schema } };
            },
        ),
    }),
  },
  {
    name: 'otherFieldInSnapshot',
    by: ['exact'],
    says: /^exact: snapshot .* has extra field \d+, not/,
    what: 'a snapshot tells of another field than its collection had',
    make: () => ({
      store: (inner) =>
        storeWith(inner, {
          put: (key, bytes) => inner.put(key, key.endsWith('.json') ? Buffer.from(remarked(bytes)) : bytes),
        }),
    }),
  },
  {
    name: 'thinRestore',
    by: ['exact'],
    says: /^exact: restored .* has extra field undefined, not/,
    what: 'a restore leaves a field of the snapshot out',
    make: () =>
      commits((changes) =>
        rewritten(changes, collections, (is, was) =>
          was === undefined && is.restoreJobId !== undefined
            ? { ...is, schema: withExtra(is.schema, () => []) }
            : is,
        ),
      ),
  },
];

const expiry: readonly Planted[] = [
  {
    name: 'immortalRows',
    by: ['exact'],
    says: /^exact: row \d+ of urn\d has expired, and is read/,
    what: 'rows outlive their time',
    make: () =>
      commits((changes) =>
        rewritten(changes, collections, (is) => {
          const { [TTL_PROPERTY]: _, ...properties } = is.properties;
          return { ...is, properties };
        }),
      ),
  },
  {
    name: 'agelessRestore',
    by: ['exact'],
    says: /^exact: row \d+ of urn\d has expired, and is read/,
    what: 'restored rows have longer to live than they had at the snapshot',
    from: 41,
    make: () =>
      commits((changes) =>
        rewritten(changes, collections, (is) => ({
          ...is,
          ...(is.agePauses === undefined
            ? {}
            : { agePauses: is.agePauses.map((each) => ({ ...each, ms: each.ms + 60_000 })) }),
        })),
      ),
  },
  {
    name: 'hastyRestore',
    by: ['exact'],
    says: /^exact: row \d+ of urn\d has not expired, and is not read/,
    what: 'rows age between a snapshot and its restore',
    from: 8,
    make: () => commits((changes) => rewritten(changes, collections, ({ agePauses: _, ...is }) => is)),
  },
];

const others: readonly Planted[] = [
  {
    name: 'idleTruncation',
    by: ['exact'],
    says: /^exact: (read|filter|count|search|page|nearest|snapshot) /,
    what: 'a truncation is answered and the rows stay',
    make: () => method(Truncation.prototype, 'truncate', () => nothing),
    isCheap: true,
  },
  {
    name: 'idleMove',
    by: ['exact'],
    says: /^exact: .* was moved to \w+, and is in \w+$/,
    what: 'a move into another database is answered and nothing moves',
    make: () =>
      method(
        CollectionRoom.prototype,
        'renameCollection',
        (was) =>
          async function (this: CollectionRoom, at, name, database) {
            if (database === '') await was.call(this, at, name, database);
          },
      ),
  },
  {
    name: 'doubleMove',
    by: ['exact'],
    says: /^exact: .* was moved to \w+, and is in \w+, too$/,
    what: 'a collection that was moved is listed where it was, too',
    make: () =>
      method(
        CollectionRoom.prototype,
        'listCollections',
        (was) =>
          function (this: CollectionRoom, database) {
            const own = was.call(this, database);
            try {
              return [...own, ...was.call(this, database === ATTIC ? HOME : ATTIC)];
            } catch {
              // Nobody has made it yet.
              return own;
            }
          },
      ),
  },
  {
    name: 'stubbornAlias',
    by: ['exact'],
    says: /^exact: alias .* of .* means collection/,
    what: 'an alias goes on meaning what it meant',
    make: () => method(AliasRoom.prototype, 'alterAlias', () => nothing),
    isCheap: true,
  },
  {
    name: 'undroppedAlias',
    by: ['exact'],
    says: /^exact: alias .* was dropped, and is there/,
    what: 'the drop of an alias is answered and it stays',
    make: () => method(AliasRoom.prototype, 'dropAlias', () => nothing),
  },
  {
    name: 'fadingAlias',
    by: ['exact'],
    says: /^exact: alias .* means collection undefined, not/,
    what: 'an alias goes by itself',
    make: () => ({
      async gc({ catalogNow }) {
        const [first] = catalogNow().all(aliases);
        if (first !== undefined) await catalogNow().commit([remove(aliases, first)]);
      },
    }),
  },
];

export const alterPlants: readonly Planted[] = [...fields, ...expiry, ...others];
