import type { IndexProgress } from '../../coordinator/api.ts';
import { DbError } from '../../errors/db-error.ts';
import type { Properties } from '../../model/records.ts';
import type { CollectionSchema, FieldSchema } from '../../model/schema.ts';
import { structFieldParts } from '../../model/structs.ts';
import { type CallContext, collectionAt } from '../context.ts';
import { done, type Handler } from '../rpc.ts';
import { indexStateToWire } from '../wire/enums.ts';
import { flattenParams, fromProperties, toProperties } from '../wire/key-values.ts';
import { requireName } from '../wire/names.ts';
import { success } from '../wire/status.ts';
import { checkIndexParams } from './index-params.ts';

/** A field of a struct array is named `struct[field]`. */
const requireFieldName = (name: string): string =>
  structFieldParts(name) === undefined ? requireName('field', name) : name;

export const createIndex: Handler<'CreateIndex'> = async (request, call) => {
  const at = collectionAt(call, request);
  const field = requireFieldName(request.field_name);
  const name = request.index_name === '' ? field : requireName('index', request.index_name);
  const { schema } = call.coordinator.requireReady(at).collection;
  const params = flattenParams(request.extra_params);
  const fieldSchema =
    schema.fields.find((candidate) => candidate.name === field) ?? dynamicFieldOf(schema, params);
  if (fieldSchema === undefined)
    throw new DbError('field-not-found', `cannot create index on non-exist field: ${field}`);
  const kind = checkIndexParams(fieldSchema, params, schema);
  await call.coordinator.createIndex(at, fieldSchema.name, name, {
    ...toProperties(request.extra_params),
    ...kind,
  });
  return done;
};

/** An index on a key of `$meta` may be asked for by the key. */
const dynamicFieldOf = (
  { fields, enableDynamicField }: CollectionSchema,
  params: Properties,
): FieldSchema | undefined =>
  enableDynamicField && params['json_path'] !== undefined
    ? fields.find(({ isDynamic }) => isDynamic)
    : undefined;

interface NamedIndex {
  readonly db_name: string;
  readonly collection_name: string;
  readonly field_name?: string;
  readonly index_name: string;
}

/** The indexes a request means: of one name, of one field, or all. Throws `index-not-found` for none. */
function find(call: CallContext, request: NamedIndex): readonly IndexProgress[] {
  const found = call.coordinator
    .describeIndexes(collectionAt(call, request), request.index_name)
    .filter(({ fieldName }) => (request.field_name ?? '') === '' || fieldName === request.field_name);
  if (found.length === 0)
    throw new DbError(
      'index-not-found',
      `index not found[collection=${request.collection_name}][index=${request.index_name}]`,
    );
  return found;
}

const describe = ({ index, fieldName, totalRows, indexedRows, state }: IndexProgress) => ({
  index_name: index.name,
  indexID: index.indexId,
  params: fromProperties(index.params),
  field_name: fieldName,
  indexed_rows: BigInt(indexedRows),
  total_rows: BigInt(totalRows),
  pending_index_rows: BigInt(Math.max(0, totalRows - indexedRows)),
  state: indexStateToWire[state],
});

export const describeIndex: Handler<'DescribeIndex'> = (request, call) => ({
  status: success,
  index_descriptions: find(call, request).map(describe),
});

export const getIndexStatistics: Handler<'GetIndexStatistics'> = (request, call) => ({
  status: success,
  index_descriptions: find(call, request).map(describe),
});

export const getIndexState: Handler<'GetIndexState'> = (request, call) => {
  const found = find(call, request);
  const isFinished = found.every(({ state }) => state === 'finished');
  return { status: success, state: indexStateToWire[isFinished ? 'finished' : 'in-progress'] };
};

export const getIndexBuildProgress: Handler<'GetIndexBuildProgress'> = (request, call) => {
  const found = find(call, request);
  const sum = (count: (index: IndexProgress) => number) =>
    BigInt(found.reduce((total, index) => total + count(index), 0));
  return {
    status: success,
    indexed_rows: sum(({ indexedRows }) => indexedRows),
    total_rows: sum(({ totalRows }) => totalRows),
  };
};

export const dropIndex: Handler<'DropIndex'> = async (request, call) => {
  await call.coordinator.dropIndex(collectionAt(call, request), request.field_name, request.index_name);
  return done;
};
