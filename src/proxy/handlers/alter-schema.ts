/** Fields, struct arrays and functions of live collections. */
import type { AddedIndex, CollectionName, DroppedPart } from '../../coordinator/api.ts';
import { DbError } from '../../errors/db-error.ts';
import type { CollectionSchema, FieldSchema } from '../../model/schema.ts';
import { TimeZone } from '../../timestamptz/zones.ts';
import { type CallContext, collectionAt } from '../context.ts';
import { done, type Handler } from '../rpc.ts';
import { invalid } from '../wire/checks.ts';
import type {
  MilvusAlterCollectionSchemaRequestAddRequest,
  MilvusAlterCollectionSchemaRequestDropRequest,
  MilvusAlterCollectionSchemaRequestFieldInfo,
} from '../wire/descriptor.generated.ts';
import { decodeAddedFunction } from '../wire/function-schema.ts';
import { flattenParams, toProperties } from '../wire/key-values.ts';
import { requireName } from '../wire/names.ts';
import { decodeField } from '../wire/schema.ts';
import { success } from '../wire/status.ts';
import { decodeStructs } from '../wire/struct-schema.ts';
import { checkIndexParams } from './index-params.ts';
import { untilPatienceEnds } from './patience.ts';
import { zoneNameOf } from './time-zones.ts';

const zoneOf = (call: CallContext, at: CollectionName): TimeZone =>
  new TimeZone(zoneNameOf(call, call.coordinator.describeCollection(at)));

export const addCollectionStructField: Handler<'AddCollectionStructField'> = async (request, call) => {
  const at = collectionAt(call, request);
  const wire = request.struct_array_field_schema;
  if (wire === undefined || wire === null) throw invalid('the struct array field to add is missing');
  const zone = zoneOf(call, at);
  const { structs, fields } = decodeStructs([wire], (field) => decodeField(field, zone));
  for (const struct of structs) await call.coordinator.addStruct(at, { struct, fields });
  return done;
};

/** One field, one function with the field it writes and that field's index, or one part to drop. */
export const alterCollectionSchema: Handler<'AlterCollectionSchema'> = async (request, call) => {
  const at = collectionAt(call, request);
  const { add_request: added, drop_request: dropped } = request.action ?? {};
  if (added !== undefined && added !== null) await add(call, at, added);
  else if (dropped !== undefined && dropped !== null)
    await call.coordinator.dropPart(at, droppedPart(dropped));
  else throw invalid('the action to alter the schema by is missing: add_request or drop_request');
  return { alter_status: success };
};

async function add(
  call: CallContext,
  at: CollectionName,
  {
    field_infos: [info, anotherField],
    func_schema: [wire, anotherFunction],
  }: MilvusAlterCollectionSchemaRequestAddRequest,
): Promise<void> {
  if (anotherField !== undefined || anotherFunction !== undefined)
    throw invalid('one field, or one function with the field it writes, is added at a time');
  if (info?.field_schema === undefined || info.field_schema === null)
    throw invalid(
      wire === undefined
        ? 'the field to add is missing'
        : `function ${wire.name} must be added together with the field it writes: a function cannot be attached to a field that is there`,
    );
  const { schema } = call.coordinator.requireReady(at).collection;
  const field = decodeField(info.field_schema, zoneOf(call, at));
  if (wire === undefined)
    return call.coordinator.addField(
      at,
      field,
      info.extra_params.length === 0 ? undefined : indexOf(info, field, schema),
    );
  const added = decodeAddedFunction(wire);
  const index = indexOf(info, { ...field, isFunctionOutput: true }, schema);
  await untilPatienceEnds(call, 'function-outputs-not-made', at, () =>
    call.coordinator.addFunctionField(at, field, added, index),
  );
}

/** As Milvus: the type of the index is named. */
function indexOf(
  { index_name: name, extra_params: given }: MilvusAlterCollectionSchemaRequestFieldInfo,
  field: FieldSchema,
  schema: CollectionSchema,
): AddedIndex {
  const params = flattenParams(given);
  const type = params['index_type'] ?? '';
  if (type === '' || type === 'AUTOINDEX')
    throw new DbError(
      'index-invalid',
      `the index of field ${field.name}, which is added with it, needs an explicit index_type other than AUTOINDEX`,
    );
  return {
    name: name === '' ? '' : requireName('index', name),
    params: { ...toProperties(given), ...checkIndexParams(field, params, schema) },
  };
}

function droppedPart(request: MilvusAlterCollectionSchemaRequestDropRequest): DroppedPart {
  const { field_name: field, field_id: fieldId, function_name: name } = request;
  if (typeof name === 'string' && name !== '') {
    if (!request.drop_function_output_fields)
      throw invalid(
        `function ${name} cannot be detached from the field it writes: drop both, with drop_function_output_fields`,
      );
    return { kind: 'function', name };
  }
  if (typeof field === 'string' && field !== '') return { kind: 'field', name: field };
  if (typeof fieldId === 'bigint' && fieldId > 0n) return { kind: 'field-id', fieldId };
  throw invalid('what to drop is missing: a field by name or id, or a function by name');
}
