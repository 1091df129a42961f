/** Indexes of scalar fields of loaded segments: made by worker threads from the columns in memory, for the definitions of a view. */
import { jsonPathOf } from '../expr/json-path.ts';
import type { JsonPath } from '../expr/predicate.ts';
import type { IndexId } from '../model/ids.ts';
import { flatParams } from '../model/index-params.ts';
import type { IndexRecord } from '../model/records.ts';
import type { Column } from '../model/rows.ts';
import { castTypeOf, isStringToDouble } from '../model/scalar-index-types.ts';
import { isVectorType } from '../model/schema.ts';
import type { ScalarIndexData, ScalarIndexDefinition } from '../scalar-index/definition.ts';
import { ScalarIndex } from '../scalar-index/scalar-index.ts';
import { BUILD_SCALAR_INDEX } from '../scalar-index/tasks.ts';
import type { Workers } from '../support/workers.ts';
import type { CollectionView } from './api.ts';
import type { Pacer } from './pacer.ts';
import { openEach, type ScalarIndexes, Shared, type Unit, type UnitScalarIndex } from './unit.ts';
import type { VectorEngine } from './vectors.ts';

export interface ScalarIndexOptions {
  readonly engine: VectorEngine;
  /** Absent: there are no structures, and filters scan. */
  readonly workers?: Workers | undefined;
  readonly pacer: Pacer;
  readonly signal: AbortSignal;
}

/** Fewer rows are tested as fast as an index is asked. */
const MIN_ROWS = 1024;

export type Definitions = ReadonlyMap<IndexId, ScalarIndexDefinition>;

/** The indexes of scalar fields that the view defines. */
export function definitionsOf({ indexes, schema }: Pick<CollectionView, 'indexes' | 'schema'>): Definitions {
  const definitions = new Map<IndexId, ScalarIndexDefinition>();
  for (const index of indexes) {
    const definition = definitionOf(index, schema);
    if (definition !== undefined) definitions.set(index.indexId, definition);
  }
  return definitions;
}

function definitionOf(
  { fieldId, params }: IndexRecord,
  schema: CollectionView['schema'],
): ScalarIndexDefinition | undefined {
  const field = schema.fields.find((each) => each.fieldId === fieldId);
  if (field === undefined || isVectorType(field.dataType)) return undefined;
  if (field.dataType !== 'JSON') return { field };
  const { json_path: place, json_cast_type: type = '', json_cast_function: how } = flatParams(params);
  const cast = castTypeOf(type);
  const path = jsonPathOf(place ?? field.name, schema);
  if (cast === undefined || path?.fieldId !== fieldId) return undefined;
  return { field, path: isStringToDouble(how) ? { ...path, asNumber: true } : path, cast };
}

/** The places whose texts are compared as the numbers they spell: an index says so. By the view, which never changes. */
export function castPlaces(view: Pick<CollectionView, 'indexes' | 'schema'>): readonly JsonPath[] {
  const known = places.get(view.indexes);
  if (known?.schema === view.schema) return known.paths;
  const paths = [...definitionsOf(view).values()].flatMap(({ path }) => (path?.asNumber ? [path] : []));
  places.set(view.indexes, { schema: view.schema, paths });
  return paths;
}

const places = new WeakMap<
  CollectionView['indexes'],
  { readonly schema: CollectionView['schema']; readonly paths: readonly JsonPath[] }
>();

/** Pure: whether segments need others than they have. */
export function haveChanged(was: CollectionView, is: CollectionView): boolean {
  const idsOf = ({ indexes }: CollectionView): string =>
    indexes
      .map(({ indexId }) => indexId)
      .sort((a, b) => (a < b ? -1 : 1))
      .join();
  return idsOf(was) !== idsOf(is);
}

/** Those the unit already has are taken over. A field that is younger than the segment has none: its rows are all alike. */
export const loadScalarIndexes = (
  unit: Unit,
  definitions: Definitions,
  options: ScalarIndexOptions,
): Promise<ScalarIndexes> =>
  openEach(definitions, unit.scalarIndexes, options.signal, async ([indexId, definition]) => [
    indexId,
    unit.scalarIndexes.get(indexId) ?? (await build(unit, indexId, definition, options)),
  ]);

async function build(
  unit: Unit,
  indexId: IndexId,
  definition: ScalarIndexDefinition,
  { engine, workers, pacer, signal }: ScalarIndexOptions,
): Promise<UnitScalarIndex | undefined> {
  const present = unit.column(definition.field.fieldId);
  if (present === undefined || workers === undefined || unit.capacity < MIN_ROWS) return undefined;
  const column = await sharedColumn(present, pacer);
  const input = { definition, column, rowCount: unit.capacity };
  const data = await workers.run<typeof input, ScalarIndexData>(BUILD_SCALAR_INDEX, input, [], signal);
  const index = new ScalarIndex(data);
  return { indexId, index, memory: new Shared([engine.reserve(index.bytes)]) };
}

const BYTES_AT_ONCE = 2 ** 20;
const BYTES_PER_UNIT = 32;

/** A copy that a worker thread sees as it is: sending a column would copy it in one go. */
async function sharedColumn(column: Column, pacer: Pacer): Promise<Column> {
  const { valid } = column;
  const nulls = valid === undefined ? {} : { valid: await shared(valid, pacer) };
  if (column.layout === 'bytes')
    return {
      ...column,
      ...nulls,
      offsets: await shared(column.offsets, pacer),
      data: await shared(column.data, pacer),
    };
  if (column.layout === 'list')
    return {
      ...column,
      ...nulls,
      offsets: await shared(column.offsets, pacer),
      items: (await sharedColumn(column.items, pacer)) as typeof column.items,
    };
  return { ...column, ...nulls, values: await shared(column.values, pacer) } as Column;
}

interface Values {
  readonly buffer: ArrayBufferLike;
  readonly byteOffset: number;
  readonly byteLength: number;
  readonly length: number;
}

async function shared<T extends Values>(values: T, pacer: Pacer): Promise<T> {
  const from = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  const to = new Uint8Array(new SharedArrayBuffer(values.byteLength));
  for (let at = 0; at < from.length; at += BYTES_AT_ONCE) {
    const part = from.subarray(at, at + BYTES_AT_ONCE);
    to.set(part, at);
    await pacer.spend(part.length / BYTES_PER_UNIT);
  }
  const Type = values.constructor as new (buffer: SharedArrayBuffer, at: number, length: number) => T;
  return new Type(to.buffer, 0, values.length);
}
