/** Makes the structure of an index from the column it is over. All of it at once: for a worker thread. */
import Flatbush from 'flatbush';
import { compileFilter } from '../expr/evaluate.ts';
import {
  DOUBLE,
  FALSE,
  INTEGER,
  JsonItemsColumn,
  JsonPathColumn,
  type JsonValues,
  TEXT,
  TRUE,
  WIDE,
} from '../expr/json-column.ts';
import type { JsonPath } from '../expr/predicate.ts';
import { boundsOf, isEmptyBounds } from '../geometry/bounds.ts';
import type { BytesColumn, Column, FixedColumn, ListColumn } from '../model/rows.ts';
import type { CastType } from '../model/scalar-index-types.ts';
import { assert } from '../support/assert.ts';
import { allRows, setBit, without, wordsFor } from './bits.ts';
import type { BoxIndexData, ScalarIndexData, ScalarIndexDefinition } from './definition.ts';
import { numberKeys, type RowValues, type Sorted, textKeys } from './entries.ts';
import { postingsOf } from './postings.ts';

export interface BuildScalarIndex {
  readonly definition: ScalarIndexDefinition;
  readonly column: Column;
  readonly rowCount: number;
}

export function buildScalarIndex({ definition, column, rowCount }: BuildScalarIndex): ScalarIndexData {
  const { field, path, cast } = definition;
  const { fieldId } = field;
  if (path !== undefined) {
    assert(column.layout === 'bytes' && cast !== undefined, 'a JSON path index has a type');
    return jsonIndex(column, rowCount, path, cast);
  }
  const known = knownRows(column, rowCount);
  const nulls = without(allRows(rowCount), known);
  if (field.dataType === 'Geometry') {
    assert(column.layout === 'bytes', 'geometries are bytes');
    return boxIndex(fieldId, column, rowCount, nulls);
  }
  const ofItems = column.layout === 'list';
  const { keys, rows } = ofItems ? itemKeys(column, rowCount) : scalarKeys(column, rowCount);
  return {
    kind: 'sorted',
    fieldId,
    ofItems,
    keys,
    postings: postingsOf(rowCount, rows, !ofItems),
    known,
    nulls,
  };
}

function knownRows({ valid }: Column, rowCount: number): Uint32Array<ArrayBuffer> {
  if (valid === undefined) return allRows(rowCount);
  const words = new Uint32Array(wordsFor(rowCount));
  for (let row = 0; row < rowCount; row++) if (valid[row] === 1) setBit(words, row);
  return words;
}

function scalarKeys(column: Column, rowCount: number): Sorted {
  const rows = new Uint32Array(rowCount);
  let count = 0;
  for (let row = 0; row < rowCount; row++) if (column.valid?.[row] !== 0) rows[count++] = row;
  return keysOf(column, { rows: rows.subarray(0, count), places: undefined });
}

function itemKeys({ offsets, items, valid }: ListColumn, rowCount: number): Sorted {
  const end = offsets[rowCount] as number;
  const rows = new Uint32Array(end);
  const places = new Uint32Array(end);
  let count = 0;
  for (let row = 0; row < rowCount; row++)
    if (valid?.[row] !== 0)
      for (let at = offsets[row] as number; at < (offsets[row + 1] as number); at++) {
        rows[count] = row;
        places[count++] = at;
      }
  return keysOf(items, { rows: rows.subarray(0, count), places: places.subarray(0, count) });
}

/** The values at the places, by their rows. */
function keysOf(values: Column, at: RowValues): Sorted {
  if (values.layout === 'bytes') return textKeys(values, at);
  assert(values.layout === 'fixed', 'values of an index are scalars');
  return numberKeys(numbersOf(values), at, values.type === 'Bool');
}

const numbersOf = ({ values }: FixedColumn): Float64Array | BigInt64Array =>
  values instanceof BigInt64Array || values instanceof Float64Array ? values : Float64Array.from(values);

const wantedKinds: Readonly<Record<'BOOL' | 'DOUBLE' | 'VARCHAR', readonly number[]>> = {
  BOOL: [FALSE, TRUE],
  DOUBLE: [INTEGER, DOUBLE],
  VARCHAR: [TEXT],
};

function jsonIndex(column: BytesColumn, rowCount: number, path: JsonPath, cast: CastType): ScalarIndexData {
  const ofItems = cast.startsWith('ARRAY_');
  const type = cast.replace('ARRAY_', '') as 'BOOL' | 'DOUBLE' | 'VARCHAR';
  const at = new JsonPathColumn(column, rowCount, path.keys, path.asNumber);
  const known = new Uint32Array(wordsFor(rowCount));
  let values: JsonValues;
  let entries: RowValues;
  if (ofItems) {
    const items = new JsonItemsColumn(at, rowCount);
    items.prepare(rowCount);
    values = items.values;
    entries = wantedItems(items, rowCount, wantedKinds[type]);
    for (let row = 0; row < rowCount; row++) if (items.isArray[row] === 1) setBit(known, row);
  } else {
    at.prepare(rowCount);
    values = at.values;
    entries = wantedRows(values, rowCount, wantedKinds[type]);
    for (const row of entries.rows) setBit(known, row);
  }
  if (type === 'DOUBLE' && values.kinds.subarray(0, values.length).includes(WIDE)) return { kind: 'none' };
  const { keys, rows } = jsonKeys(values, entries, type);
  return {
    kind: 'sorted',
    fieldId: path.fieldId,
    path,
    ofItems,
    keys,
    postings: postingsOf(rowCount, rows, !ofItems),
    known,
    nulls: nullRows(column, rowCount, path),
  };
}

function wantedRows({ kinds }: JsonValues, rowCount: number, wanted: readonly number[]): RowValues {
  const rows = new Uint32Array(rowCount);
  let count = 0;
  for (let row = 0; row < rowCount; row++) if (wanted.includes(kinds[row] as number)) rows[count++] = row;
  return { rows: rows.subarray(0, count), places: undefined };
}

function wantedItems(
  { values, offsets }: JsonItemsColumn,
  rowCount: number,
  wanted: readonly number[],
): RowValues {
  const rows = new Uint32Array(values.length);
  const places = new Uint32Array(values.length);
  let count = 0;
  for (let row = 0; row < rowCount; row++)
    for (let at = offsets[row] as number; at < (offsets[row + 1] as number); at++)
      if (wanted.includes(values.kinds[at] as number)) {
        rows[count] = row;
        places[count++] = at;
      }
  return { rows: rows.subarray(0, count), places: places.subarray(0, count) };
}

function jsonKeys(values: JsonValues, at: RowValues, type: 'BOOL' | 'DOUBLE' | 'VARCHAR'): Sorted {
  if (type === 'DOUBLE') return numberKeys(values.numbers, at, false);
  if (type === 'BOOL')
    return numberKeys(
      Float64Array.from(values.kinds, (kind) => (kind === TRUE ? 1 : 0)),
      at,
      true,
    );
  const { data, offsets } = values.texts;
  const codes = at.rows.map((row, i) => values.codes[at.places?.[i] ?? row] as number);
  return textKeys({ data, offsets }, { rows: at.rows, places: codes });
}

/** As a filter has it. */
function nullRows(column: BytesColumn, rowCount: number, path: JsonPath): Uint32Array<ArrayBuffer> {
  const nulls = new Uint32Array(wordsFor(rowCount));
  const source = { rowCount, column: () => column, cache: new Map<string, unknown>() };
  const root = { kind: 'null', value: path } as const;
  compileFilter({ fields: [path.fieldId], root }).evaluate(source, 0, rowCount, nulls);
  return nulls;
}

function boxIndex(
  fieldId: BoxIndexData['fieldId'],
  { data, offsets, valid }: BytesColumn,
  rowCount: number,
  nulls: Uint32Array<ArrayBuffer>,
): BoxIndexData {
  const rows = new Uint32Array(rowCount);
  const boxes = new Float64Array(4 * rowCount);
  let count = 0;
  for (let row = 0; row < rowCount; row++) {
    if (valid?.[row] === 0) continue;
    const bounds = boundsOf(data.subarray(offsets[row], offsets[row + 1]));
    if (isEmptyBounds(bounds)) continue;
    boxes.set(bounds, 4 * count);
    rows[count++] = row;
  }
  const found = { kind: 'boxes', fieldId, rowCount, rows: rows.slice(0, count), nulls } as const;
  if (count === 0) return found;
  const tree = new Flatbush(count);
  for (let i = 0; i < count; i++)
    tree.add(
      boxes[4 * i] as number,
      boxes[4 * i + 1] as number,
      boxes[4 * i + 2] as number,
      boxes[4 * i + 3] as number,
    );
  tree.finish();
  return { ...found, tree: tree.data as ArrayBuffer };
}
