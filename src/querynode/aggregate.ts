/** Numbers of groups of rows: how many, their sums, means and extremes. */
import { DbError } from '../errors/db-error.ts';
import type { BytesColumn, Column, FixedColumn, FixedType, FixedValues } from '../model/rows.ts';
import type { FieldSchema } from '../model/schema.ts';
import { assert } from '../support/assert.ts';
import type { Aggregate, AggregateRequest, AggregateResult } from './api.ts';
import { newFixed } from './column-writer.ts';
import { orderRows } from './order.ts';
import { orderedPlaces } from './ordering.ts';
import type { Pacer } from './pacer.ts';
import { selected } from './query.ts';
import type { ReadContext } from './reads.ts';
import { requireField } from './unit.ts';
import { compareScalars, type Scalar, valueKey, valueReader } from './values.ts';

const MAX_GROUPS = 100_000;
const ROWS_PER_SLICE = 1024;
const COST_PER_ROW = 60;

type Value = Scalar | undefined;

interface Group {
  readonly values: readonly Value[];
  readonly totals: readonly Total[];
}

export async function aggregateRows(
  context: ReadContext,
  request: Omit<AggregateRequest, 'collectionId' | 'partitionIds'>,
): Promise<AggregateResult> {
  const { schema, pacer } = context;
  const keyFields = request.groupBy.map((fieldId) => requireField(schema, fieldId));
  const inputs = request.aggregates.map((aggregate) => ({
    aggregate,
    field: aggregate.fieldId === undefined ? undefined : requireField(schema, aggregate.fieldId),
  }));
  const { selections, total } = await selected(context, request.filter);
  const { units, rows } = await orderRows(selections, { offset: 0, limit: total }, pacer);
  const keyReaders = selections.map(({ view }) => keyFields.map((field) => valueReader(view.unit, field)));
  const inputReaders = selections.map(({ view }) =>
    inputs.map(({ field }) => (field === undefined ? undefined : valueReader(view.unit, field))),
  );
  const groups = new Map<string, Group>();
  const makeTotals = () => inputs.map(({ aggregate, field }) => new Total(aggregate.kind, field));
  if (keyFields.length === 0) groups.set('[]', { values: [], totals: makeTotals() });
  for (let from = 0; from < rows.length; from += ROWS_PER_SLICE) {
    const to = Math.min(rows.length, from + ROWS_PER_SLICE);
    for (let i = from; i < to; i++) {
      const [unit, row] = [units[i] ?? 0, rows[i] ?? 0];
      const values = (keyReaders[unit] ?? []).map((read) => read(row));
      const { totals } = groupOf(groups, values, makeTotals);
      for (const [at, total] of totals.entries()) {
        const read = inputReaders[unit]?.[at];
        total.add(read === undefined ? 1 : read(row));
      }
    }
    await pacer.spend((to - from) * COST_PER_ROW);
  }
  return answer(request, [...keyFields.map(typeOfField), ...inputs.map(typeOfTotal)], groups.values(), pacer);
}

function groupOf(groups: Map<string, Group>, values: readonly Value[], makeTotals: () => Total[]): Group {
  const key = JSON.stringify(values.map((value) => (value === undefined ? null : String(valueKey(value)))));
  const known = groups.get(key);
  if (known !== undefined) return known;
  if (groups.size >= MAX_GROUPS)
    throw new DbError('parameter-too-large', `the query has more than ${MAX_GROUPS} groups`);
  // A copy: the values of text are views of columns that may be given back.
  const kept = values.map((value) => (value instanceof Uint8Array ? value.slice() : value));
  const group = { values: kept, totals: makeTotals() };
  groups.set(key, group);
  return group;
}

/** One aggregate of one group. Null when it has seen nothing but nulls; a count never is. */
class Total {
  readonly #kind: Aggregate['kind'];
  readonly #isWhole: boolean;
  #count = 0;
  #whole = 0n;
  #sum = 0;
  #extreme: Value;

  constructor(kind: Aggregate['kind'], field: FieldSchema | undefined) {
    this.#kind = kind;
    this.#isWhole = field !== undefined && isInteger(field);
  }

  add(value: Value): void {
    if (value === undefined) return;
    this.#count++;
    if (this.#kind === 'sum' || this.#kind === 'avg') {
      assert(!(value instanceof Uint8Array), 'text has no sum');
      if (this.#isWhole) this.#whole += BigInt(value);
      else this.#sum += Number(value);
    } else if (this.#kind !== 'count') this.#compare(value);
  }

  get value(): Value {
    if (this.#kind === 'count') return BigInt(this.#count);
    if (this.#count === 0) return undefined;
    if (this.#kind === 'sum') return this.#isWhole ? BigInt.asIntN(64, this.#whole) : this.#sum;
    if (this.#kind === 'avg') return (this.#isWhole ? Number(this.#whole) : this.#sum) / this.#count;
    return this.#extreme;
  }

  #compare(value: Scalar): void {
    const order = this.#extreme === undefined ? -1 : compareScalars(value, this.#extreme);
    if (this.#extreme !== undefined && (this.#kind === 'min' ? order >= 0 : order <= 0)) return;
    this.#extreme = value instanceof Uint8Array ? value.slice() : value;
  }
}

const isInteger = ({ dataType }: FieldSchema): boolean =>
  ['Int8', 'Int16', 'Int32', 'Int64'].includes(dataType);

type ScalarType = FixedType | 'VarChar';

function typeOfField({ dataType, name }: FieldSchema): ScalarType {
  assert(
    dataType === 'VarChar' ||
      dataType === 'Bool' ||
      dataType === 'Int8' ||
      dataType === 'Int16' ||
      dataType === 'Int32' ||
      dataType === 'Int64' ||
      dataType === 'Float' ||
      dataType === 'Double' ||
      dataType === 'Timestamptz',
    `field ${name} holds single values`,
  );
  return dataType;
}

function typeOfTotal({
  aggregate: { kind },
  field,
}: {
  readonly aggregate: Aggregate;
  readonly field: FieldSchema | undefined;
}): ScalarType {
  if (kind === 'count' || field === undefined) return 'Int64';
  if (kind === 'avg') return 'Double';
  if (kind === 'sum') return isInteger(field) ? 'Int64' : 'Double';
  return typeOfField(field);
}

/** Groups as asked, those that are equal by their values. */
async function answer(
  { groupOrder = [], groupBy, offset = 0, limit }: Omit<AggregateRequest, 'collectionId' | 'partitionIds'>,
  types: readonly ScalarType[],
  groups: Iterable<Group>,
  pacer: Pacer,
): Promise<AggregateResult> {
  const all: (readonly Value[])[] = [];
  const sortKeys: (readonly Value[])[] = [];
  for (const { values, totals } of groups) {
    const row = [...values, ...totals.map(({ value }) => value)];
    all.push(row);
    sortKeys.push([...groupOrder.map(({ column }) => row[column]), ...values]);
    if (all.length % ROWS_PER_SLICE === 0) await pacer.spend(ROWS_PER_SLICE * COST_PER_ROW);
  }
  const byValue = groupBy.map(() => ({ isDescending: false, nullsFirst: false }));
  const places = await orderedPlaces(sortKeys, [...groupOrder, ...byValue], pacer);
  const shown = Array.from(
    places.subarray(offset, limit === undefined ? undefined : offset + limit),
    (place) => all[place] ?? [],
  );
  const columns = types.map((type, i) =>
    columnOf(
      type,
      shown.map((row) => row[i]),
    ),
  );
  return { rowCount: shown.length, columns };
}

function columnOf(type: ScalarType, values: readonly Value[]): Column {
  const valid = values.includes(undefined)
    ? { valid: Uint8Array.from(values, (value) => (value === undefined ? 0 : 1)) }
    : {};
  if (type === 'VarChar') return { ...textOf(values), ...valid };
  const column: FixedValues = newFixed(type, values.length);
  const target = column as Uint8Array;
  values.forEach((value, i) => {
    if (value !== undefined) target[i] = value as number;
  });
  const fixed: FixedColumn = { layout: 'fixed', type, values: column };
  return { ...fixed, ...valid };
}

function textOf(values: readonly Value[]): BytesColumn {
  const texts = values.map((value) => (value instanceof Uint8Array ? value : new Uint8Array(0)));
  const offsets = new Uint32Array(texts.length + 1);
  texts.forEach(({ length }, i) => {
    offsets[i + 1] = (offsets[i] ?? 0) + length;
  });
  return { layout: 'bytes', type: 'VarChar', offsets, data: new Uint8Array(Buffer.concat(texts)) };
}
