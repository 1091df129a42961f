/** The rows of the simulation: every column is a function of the key and the number of the write, so that no two writes look alike. */

import type { FieldId, PartitionId } from '../../src/model/ids.ts';
import type { Column, PrimaryKeys, RowBatch } from '../../src/model/rows.ts';
import type { CollectionSchema, FieldSchema } from '../../src/model/schema.ts';
import { deleteParts } from '../../src/proxy/handlers/rows.ts';
import { rowsByShard, shardsOf, takeBatch } from '../../src/proxy/handlers/shards.ts';
import type { WritePart } from '../../src/streamingnode/api.ts';
import { fieldSchema } from '../field-schema.ts';

export const DIM = 4;

export const schema: CollectionSchema = {
  description: '',
  fields: [
    fieldSchema('id', { isPrimaryKey: true }),
    fieldSchema('number', {}),
    fieldSchema('text', { dataType: 'VarChar', maxLength: 100, nullable: true }),
    fieldSchema('vec', { dataType: 'FloatVector', dim: DIM }),
  ],
  enableDynamicField: false,
  version: 1,
};

const EXTRA = 'extra';
/** What rows read that are older than an extra field with a default. */
const EXTRA_DEFAULT = -7n;

/** A field that comes and goes while rows are written. `mark` tells it from every other that had its name; every other one has a default. */
export const extraField = (mark: string): FieldSchema =>
  fieldSchema(EXTRA, {
    description: mark,
    nullable: !hasDefault(mark),
    ...(hasDefault(mark) ? { defaultValue: EXTRA_DEFAULT } : {}),
  });
const hasDefault = (mark: string): boolean => Number(mark) % 2 === 0;
export const extraOf = ({ fields }: CollectionSchema): FieldSchema | undefined =>
  fields.find(({ name }) => name === EXTRA);
export const markOf = (of: CollectionSchema): string | undefined => extraOf(of)?.description;

/** Which rows were written with which extra field: all others read its default or null. */
export class Extras {
  readonly #written = new Set<string>();

  /** Of rows that are sent now. Some clients do not know the field. */
  fieldFor(rows: readonly Row[], of: CollectionSchema): FieldSchema | undefined {
    const field = extraOf(of);
    if (field === undefined || rows.some(({ number }) => number % 5 === 0)) return undefined;
    for (const { number } of rows) this.#written.add(`${field.description} ${number}`);
    return field;
  }

  expected(number: number, { description }: FieldSchema): bigint | null {
    if (this.#written.has(`${description} ${number}`)) return extraValue(number, description);
    return hasDefault(description) ? EXTRA_DEFAULT : null;
  }
}

const extraValue = (number: number, mark: string): bigint => BigInt(number) * 1000n + BigInt(mark);

export interface Row {
  readonly key: bigint;
  /** Unique per write. */
  readonly number: number;
}

const textOf = ({ number }: Row): string | null => (number % 4 === 0 ? null : `text ${number}`);
const vectorOf = ({ key, number }: Row): number[] => [Number(key % 10n), number % 97, number % 7, 1];

/** What the oracle keeps of a row. */
export const rowText = (row: Row, partition: string): string =>
  `${partition}\t${row.key} ${row.number} ${textOf(row)} ${vectorOf(row).join(',')}`;
/** Squared distance of the vector at the end of a row's text, without the partition. */
export function distanceTo(query: readonly number[], value: string): number {
  const vector = value.slice(value.lastIndexOf(' ') + 1).split(',');
  return query.reduce((sum, each, i) => sum + (each - Number(vector[i])) ** 2, 0);
}
export const withoutPartition = (value: string | undefined): string | undefined =>
  value?.slice(value.indexOf('\t') + 1);
/** The value as seen in one partition. */
export const inPartition =
  (partition: string) =>
  (value: string | undefined): string | undefined =>
    value?.startsWith(`${partition}\t`) === true ? withoutPartition(value) : undefined;

export const fieldIdOf = ({ fields }: CollectionSchema, name: string): FieldId => {
  const found = fields.find((f) => f.name === name);
  if (found === undefined) throw new Error(`no field ${name}`);
  return found.fieldId;
};

export function batchOf(rows: readonly Row[], of: CollectionSchema, extra?: FieldSchema): RowBatch {
  const texts = rows.map((row) => Buffer.from(textOf(row) ?? ''));
  const offsets = new Uint32Array(rows.length + 1);
  texts.forEach((text, i) => {
    offsets[i + 1] = (offsets[i] ?? 0) + text.length;
  });
  const columns: [string, Column][] = [
    ['id', { layout: 'fixed', type: 'Int64', values: BigInt64Array.from(rows, ({ key }) => key) }],
    [
      'number',
      { layout: 'fixed', type: 'Int64', values: BigInt64Array.from(rows, ({ number }) => BigInt(number)) },
    ],
    [
      'text',
      {
        layout: 'bytes',
        type: 'VarChar',
        offsets,
        data: new Uint8Array(Buffer.concat(texts)),
        valid: Uint8Array.from(rows, (row) => (textOf(row) === null ? 0 : 1)),
      },
    ],
    [
      'vec',
      { layout: 'vector', type: 'FloatVector', dim: DIM, values: Float32Array.from(rows.flatMap(vectorOf)) },
    ],
  ];
  if (extra !== undefined) {
    const values = BigInt64Array.from(rows, ({ number }) => extraValue(number, extra.description));
    columns.push([EXTRA, { layout: 'fixed', type: 'Int64', values }]);
  }
  return {
    rowCount: rows.length,
    columns: new Map(columns.map(([name, column]) => [fieldIdOf(of, name), column])),
  };
}

const int64 = (keys: readonly bigint[]): PrimaryKeys => ({ type: 'Int64', values: BigInt64Array.from(keys) });

export function insertParts(
  rows: readonly Row[],
  of: CollectionSchema,
  channels: readonly string[],
  partitionId: PartitionId,
  extra?: FieldSchema,
): WritePart[] {
  const shards = shardsOf(int64(rows.map(({ key }) => key)), channels.length);
  return [...rowsByShard(shards, channels.length)].map(([shard, at]) => ({
    kind: 'insert',
    channel: channels[shard] ?? '',
    partitionId,
    rows: takeBatch(batchOf(rows, of, extra), at),
  }));
}

export const deletesOf = (keys: readonly bigint[], channels: readonly string[]): WritePart[] =>
  deleteParts(channels, int64(keys));

const decoder = new TextDecoder();

/** Key and value, without the partition, of each row in its order. One whose extra field is not what it must be has another value. */
export function listOf(
  { rowCount, columns }: RowBatch,
  of: CollectionSchema,
  extras: Extras,
): readonly { readonly key: bigint; readonly value: string }[] {
  const column = (name: string): Column => {
    const found = columns.get(fieldIdOf(of, name));
    if (found === undefined) throw new Error(`the answer has no column ${name}`);
    return found;
  };
  const [ids, numbers, texts, vectors] = ['id', 'number', 'text', 'vec'].map(column);
  if (
    ids?.layout !== 'fixed' ||
    numbers?.layout !== 'fixed' ||
    texts?.layout !== 'bytes' ||
    vectors?.layout !== 'vector'
  )
    throw new Error('the answer has other columns');
  const extra = extraOf(of);
  const shown = extra === undefined ? undefined : column(EXTRA);
  const wrongExtra = (number: number, i: number): string => {
    if (extra === undefined || shown?.layout !== 'fixed') return '';
    const value = shown.valid?.[i] === 0 ? null : (shown.values[i] as bigint);
    const expected = extras.expected(number, extra);
    return value === expected ? '' : ` with extra ${value} instead of ${expected}`;
  };
  return Array.from({ length: rowCount }, (_, i) => {
    const key = BigInt(ids.values[i] ?? 0);
    const text =
      texts.valid?.[i] === 0
        ? null
        : decoder.decode(texts.data.subarray(texts.offsets[i], texts.offsets[i + 1]));
    const vector = vectors.values.subarray(i * DIM, (i + 1) * DIM);
    const value = `${key} ${numbers.values[i]} ${text} ${vector.join(',')}`;
    return { key, value: `${value}${wrongExtra(Number(numbers.values[i]), i)}` };
  });
}

/** Key to value, without the partition; a key that comes twice has the value `twice`. */
export function rowsOf(batch: RowBatch, of: CollectionSchema, extras: Extras): Map<bigint, string> {
  const rows = new Map<bigint, string>();
  for (const { key, value } of listOf(batch, of, extras)) rows.set(key, rows.has(key) ? 'twice' : value);
  return rows;
}
