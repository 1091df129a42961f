/** Geometries and moments as an answer shows them: text, or the parts of a date. */
import { wktOf } from '../../geometry/write-wkt.ts';
import type { BytesColumn, Column, FixedColumn, ListColumn, RowBatch } from '../../model/rows.ts';
import type { FieldSchema } from '../../model/schema.ts';
import { eachStep, inTurns, type Steps } from '../../support/slices.ts';
import { formatTimestamp, timeParts } from '../../timestamptz/text.ts';
import { textColumn } from '../wire/dynamic.ts';
import type { Times } from './time-zones.ts';

/** Values of one turn: about a millisecond. */
const TURN = 512;

export interface Shown {
  readonly fields: readonly FieldSchema[];
  readonly rows: RowBatch;
}

/** The same rows, ready for the wire. Others get their turn in between. */
export async function shown(fields: readonly FieldSchema[], rows: RowBatch, times: Times): Promise<Shown> {
  const columns = new Map(rows.columns);
  for (const { fieldId, dataType } of fields) {
    const column = columns.get(fieldId);
    if (column === undefined || (dataType !== 'Geometry' && dataType !== 'Timestamptz')) continue;
    columns.set(fieldId, await inTurns(shownColumn(column, times)));
  }
  const asParts = times.fields.length > 0;
  return {
    fields: asParts ? fields.map(partsField) : fields,
    rows: { rowCount: rows.rowCount, columns },
  };
}

/** The parts of a moment travel as an array of integers. */
const partsField = (field: FieldSchema): FieldSchema =>
  field.dataType === 'Timestamptz' ? { ...field, dataType: 'Array', elementType: 'Int64' } : field;

function* shownColumn(column: Column, times: Times): Steps<Column> {
  if (column.layout === 'bytes') return yield* geometries(column);
  if (column.layout !== 'fixed') return column;
  return times.fields.length === 0 ? yield* moments(column, times) : yield* parts(column, times);
}

function* geometries({ offsets, data, valid }: BytesColumn): Steps<BytesColumn> {
  return yield* texts(offsets.length - 1, valid, (row) =>
    wktOf(data.subarray(offsets[row], offsets[row + 1])),
  );
}

function* moments({ values, valid }: FixedColumn, { zone }: Times): Steps<BytesColumn> {
  const micros = values as BigInt64Array;
  return yield* texts(values.length, valid, (row) => formatTimestamp(micros[row] as bigint, zone));
}

/** A null row is an empty text. */
function* texts(
  rowCount: number,
  valid: Uint8Array | undefined,
  textOf: (row: number) => string,
): Steps<BytesColumn> {
  const all = new Array<string>(rowCount).fill('');
  yield* eachStep(
    all,
    (_, row) => {
      if (valid?.[row] !== 0) all[row] = textOf(row);
    },
    TURN,
  );
  return { ...textColumn(all), type: 'VarChar', valid };
}

function* parts({ values, valid }: FixedColumn, { zone, fields }: Times): Steps<ListColumn> {
  const micros = values as BigInt64Array;
  const offsets = new Uint32Array(micros.length + 1);
  const items: number[] = [];
  yield* eachStep(
    micros,
    (moment, row) => {
      if (valid?.[row] !== 0) items.push(...timeParts(moment, zone, fields));
      offsets[row + 1] = items.length;
    },
    TURN,
  );
  const numbers = BigInt64Array.from(items, BigInt);
  return {
    layout: 'list',
    type: 'Array',
    offsets,
    items: { layout: 'fixed', type: 'Int64', values: numbers },
    valid,
  };
}
