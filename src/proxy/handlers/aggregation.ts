/** Queries for numbers of groups of rows: `count(*)`, `sum(price)`, by the values of fields. */
import type { CollectionInfo } from '../../coordinator/api.ts';
import { DbError } from '../../errors/db-error.ts';
import type { FieldId } from '../../model/ids.ts';
import type { Properties } from '../../model/records.ts';
import type { CollectionSchema, DataType, FieldSchema } from '../../model/schema.ts';
import type { Aggregate, AggregateRequest } from '../../querynode/api.ts';
import { present } from '../../support/assert.ts';
import type { CallContext } from '../context.ts';
import type { MilvusQueryRequest } from '../wire/descriptor.generated.ts';
import { COUNT, encodeAggregation } from '../wire/results.ts';
import { nameList } from './names.ts';
import { orderText, parseOrder } from './order-by.ts';
import { groupField, isTrue } from './search-params.ts';
import { shown } from './shown.ts';
import { timesOf } from './time-zones.ts';

const MAX_COLUMNS = 256;

const invalid = (message: string): DbError => new DbError('parameter-invalid', message);

const AGGREGATE = /^\s*(count|sum|avg|min|max)\s*\(\s*([^()]*?)\s*\)\s*$/i;

/** Names of the fields to group by: a list in JSON, or with commas. */
function groupNames(params: Properties): readonly string[] {
  return nameList('group_by_fields', params['group_by_fields'] ?? params['group_by'] ?? '');
}

/** A bare `count(*)` is none: it has its own shape. */
export function isAggregation({ output_fields }: MilvusQueryRequest, params: Properties): boolean {
  if (groupNames(params).length > 0) return true;
  const aggregates = output_fields.filter((name) => AGGREGATE.test(name));
  return aggregates.some((name) => name.trim().toLowerCase() !== COUNT);
}

interface Column {
  /** As it was asked for. */
  readonly name: string;
  readonly dataType: DataType;
  /** Where it stands in the answer of the query node. */
  readonly at: number;
}

interface Plan {
  readonly groupBy: readonly FieldSchema[];
  readonly aggregates: readonly Aggregate[];
  readonly columns: readonly Column[];
}

const numeric: ReadonlySet<DataType> = new Set(['Int8', 'Int16', 'Int32', 'Int64', 'Float', 'Double']);
const comparable: ReadonlySet<DataType> = new Set([...numeric, 'VarChar', 'Timestamptz']);

function aggregateOf(schema: CollectionSchema, kind: Aggregate['kind'], name: string): Aggregate {
  if (name === '*') {
    if (kind !== 'count') throw invalid(`${kind}(*) is not supported, only count(*) is`);
    return { kind };
  }
  const field = schema.fields.find((each) => each.name === name);
  if (field === undefined) throw invalid(`field ${name.slice(0, 100)} of ${kind} not exist`);
  const allowed = kind === 'sum' || kind === 'avg' ? numeric : comparable;
  if (!allowed.has(field.dataType) && !(kind === 'count' && field.dataType === 'Bool'))
    throw invalid(
      `aggregation operator ${kind} does not support data type ${field.dataType} of field ${name}`,
    );
  return { kind, fieldId: field.fieldId };
}

function typeOf(schema: CollectionSchema, { kind, fieldId }: Aggregate): DataType {
  if (kind === 'count' || fieldId === undefined) return 'Int64';
  const { dataType } = fieldOf(schema, fieldId);
  if (kind === 'avg') return 'Double';
  if (kind !== 'sum') return dataType;
  return dataType.startsWith('Int') ? 'Int64' : 'Double';
}

const fieldOf = ({ fields }: CollectionSchema, fieldId: FieldId): FieldSchema =>
  present(
    fields.find((field) => field.fieldId === fieldId),
    'field',
  );

/** What to compute, and where it goes. Throws `parameter-invalid`. */
export function planOf(
  { output_fields }: MilvusQueryRequest,
  params: Properties,
  schema: CollectionSchema,
): Plan {
  const groupBy = groupNames(params).map((name) => groupField(schema, name));
  if (groupBy.length + output_fields.length > MAX_COLUMNS)
    throw invalid(`an aggregation has at most ${MAX_COLUMNS} columns`);
  const aggregates: Aggregate[] = [];
  const columns = output_fields.map((asked): Column => {
    const [, kind, input = ''] = AGGREGATE.exec(asked) ?? [];
    const name = asked.trim();
    if (kind !== undefined) {
      const aggregate = aggregateOf(schema, kind.toLowerCase() as Aggregate['kind'], input);
      aggregates.push(aggregate);
      const at = groupBy.length + aggregates.length - 1;
      return { name, dataType: typeOf(schema, aggregate), at };
    }
    const at = groupBy.findIndex((field) => field.name === name);
    const field = groupBy[at];
    if (field === undefined)
      throw invalid(
        `field '${name.slice(0, 100)}' is not in group_by_fields and is not an aggregation function`,
      );
    return { name, dataType: field.dataType, at };
  });
  if (columns.length === 0) throw invalid('a query with group_by_fields needs output fields');
  return { groupBy, aggregates, columns };
}

/** Groups in the order of what the answer shows. */
function groupOrder(params: Properties, columns: readonly Column[]): AggregateRequest['groupOrder'] {
  const text = orderText(params);
  if (text === undefined) return undefined;
  return parseOrder(text).map(({ name, isDescending, nullsFirst }) => {
    const column = columns.find((each) => each.name.toLowerCase() === name.toLowerCase());
    if (column === undefined)
      throw invalid(
        `order_by field '${name.slice(0, 100)}' is not among the output fields of the aggregation`,
      );
    return { column: column.at, isDescending, nullsFirst };
  });
}

/** Columns of the answer are no fields of the collection: their ids only tell them apart here. */
const columnField = ({ name, dataType }: Column, i: number): FieldSchema => ({
  fieldId: (i + 1) as FieldId,
  name,
  description: '',
  dataType,
  isPrimaryKey: false,
  autoId: false,
  nullable: true,
  isDynamic: false,
  typeParams: {},
});

export async function aggregation(
  request: MilvusQueryRequest,
  params: Properties,
  call: CallContext,
  info: CollectionInfo,
  where: Omit<AggregateRequest, 'groupBy' | 'aggregates'>,
): Promise<Uint8Array> {
  const { schema, name } = info.collection;
  if (isTrue(params, 'iterator')) throw invalid('a query iterator has no groups');
  const { groupBy, aggregates, columns } = planOf(request, params, schema);
  const order = groupOrder(params, columns);
  const times = timesOf(call, info, params);
  const result = await call.queryNode.aggregate({
    ...where,
    groupBy: groupBy.map(({ fieldId }) => fieldId),
    aggregates,
    ...(order === undefined ? {} : { groupOrder: order }),
  });
  const fields = columns.map(columnField);
  const values = new Map(
    columns.map(({ at }, i) => [
      (i + 1) as FieldId,
      present(result.columns[at], 'a column of the aggregation'),
    ]),
  );
  const answer = await shown(fields, { rowCount: result.rowCount, columns: values }, times);
  return encodeAggregation(name, answer);
}
