import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { FieldId } from '../model/ids.ts';
import type { BytesColumn, Column, FixedColumn } from '../model/rows.ts';
import type { CollectionSchema, ElementType } from '../model/schema.ts';
import { filterOf } from './check.ts';
import { compileFilter } from './evaluate.ts';
import { filterSchema, setRows } from './filter-rows.suite.ts';

type Value = bigint | number | boolean | string;

const integers = (bits: bigint) => [0n, 1n, -1n, 7n, -(2n ** (bits - 1n)), 2n ** (bits - 1n) - 1n];
/** What items hold, exactly as the type keeps it. */
const values: Readonly<Partial<Record<ElementType, readonly Value[]>>> = {
  Bool: [true, false],
  Int8: integers(8n),
  Int16: integers(16n),
  Int32: integers(32n),
  Int64: [...integers(64n), 2n ** 53n + 1n],
  Float: [0, 0.5, -1, Math.fround(0.1), 1],
  Double: [0, 0.5, -1, 0.1, 1e19],
  VarChar: ['', 'x', 'red', 'é多'],
};
const arrays = {
  Bool: Uint8Array,
  Int8: Int8Array,
  Int16: Int16Array,
  Int32: Int32Array,
  Float: Float32Array,
  Double: Float64Array,
} as const;

function itemsOf(type: ElementType, all: readonly Value[]): FixedColumn | BytesColumn {
  if (type === 'VarChar') {
    const parts = all.map((text) => Buffer.from(String(text)));
    const offsets = new Uint32Array(parts.length + 1);
    for (const [i, part] of parts.entries()) offsets[i + 1] = offsets[i]! + part.length;
    return { layout: 'bytes', type, offsets, data: new Uint8Array(Buffer.concat(parts)) };
  }
  if (type === 'Int64') return { layout: 'fixed', type, values: BigInt64Array.from(all as bigint[]) };
  const make = arrays[type as keyof typeof arrays];
  return { layout: 'fixed', type: type as 'Int8', values: make.from(all.map(Number)) as Int8Array };
}

const textOf = (value: Value): string =>
  typeof value === 'string'
    ? JSON.stringify(value)
    : typeof value === 'number' && Number.isInteger(value)
      ? value.toExponential()
      : String(value);
/** Constants are of the kind of the items. */
const same = (a: Value, b: Value): boolean => a === b;

/** undefined is unknown. */
type Truth = boolean | undefined;
interface Condition {
  readonly text: string;
  readonly holds: (row: readonly Value[] | null) => Truth;
}

function conditionsOf(type: ElementType): fc.Arbitrary<Condition> {
  const constant = fc.constantFrom(...(values[type] ?? []));
  const list = fc.array(constant, { maxLength: 3 });
  const not = (inner: Condition): Condition => ({
    text: `not (${inner.text})`,
    holds: (row) => {
      const truth = inner.holds(row);
      return truth === undefined ? undefined : !truth;
    },
  });
  const plain = fc.oneof(
    constant.map(
      (value): Condition => ({
        text: `array_contains(a, ${textOf(value)})`,
        holds: (row) => row?.some((item) => same(item, value)),
      }),
    ),
    list.map(
      (wanted): Condition => ({
        text: `array_contains_all(a, [${wanted.map(textOf)}])`,
        holds: (row) =>
          row === null ? undefined : wanted.every((value) => row.some((item) => same(item, value))),
      }),
    ),
    list.map(
      (wanted): Condition => ({
        text: `array_contains_any(a, [${wanted.map(textOf)}])`,
        holds: (row) => row?.some((item) => wanted.some((value) => same(item, value))),
      }),
    ),
    fc.tuple(fc.nat(2), constant, fc.constantFrom('==', '!=')).map(
      ([at, value, op]): Condition => ({
        text: `a[${at}] ${op} ${textOf(value)}`,
        holds: (row) => {
          const item = row?.[at];
          return item === undefined ? undefined : same(item, value) === (op === '==');
        },
      }),
    ),
    fc.tuple(fc.nat(2), list).map(
      ([at, wanted]): Condition => ({
        text: `a[${at}] in [${wanted.map(textOf)}]`,
        holds: (row) => {
          const item = row?.[at];
          return item === undefined ? undefined : wanted.some((value) => same(item, value));
        },
      }),
    ),
    fc.tuple(fc.nat(3), fc.constantFrom('==', '>', '<=')).map(
      ([count, op]): Condition => ({
        text: `array_length(a) ${op} ${count}`,
        holds: (row) =>
          row === null
            ? undefined
            : { '==': row.length === count, '>': row.length > count, '<=': row.length <= count }[op],
      }),
    ),
    fc.boolean().map(
      (negated): Condition => ({
        text: `a is ${negated ? 'not ' : ''}null`,
        holds: (row) => (row === null) !== negated,
      }),
    ),
  );
  return fc.tuple(plain, fc.boolean()).map(([condition, isNot]) => (isNot ? not(condition) : condition));
}

for (const type of Object.keys(values) as ElementType[])
  test(`filters over arrays of ${type} say what a plain reading of their rows says, by closures and by generated code`, () => {
    const schema: CollectionSchema = {
      ...filterSchema,
      enableDynamicField: false,
      fields: filterSchema.fields
        .filter(({ name }) => name === 'tags' || name === 'id')
        .map((field) =>
          field.name === 'tags'
            ? { ...field, fieldId: 200 as FieldId, name: 'a', elementType: type, nullable: true }
            : field,
        ),
    };
    const row = fc.option(fc.array(fc.constantFrom(...(values[type] ?? [])), { maxLength: 3 }), { freq: 6 });
    fc.assert(
      fc.property(
        fc.array(row, { minLength: 1, maxLength: 40 }),
        conditionsOf(type),
        (rows, { text, holds }) => {
          const offsets = new Uint32Array(rows.length + 1);
          for (const [i, each] of rows.entries()) offsets[i + 1] = offsets[i]! + (each?.length ?? 0);
          const items = itemsOf(
            type,
            rows.flatMap((each) => each ?? []),
          );
          const valid = Uint8Array.from(rows, (each) => (each === null ? 0 : 1));
          const column: Column = {
            layout: 'list',
            type: 'Array',
            offsets,
            items,
            valid: valid.includes(0) ? valid : undefined,
          };
          const expected = rows.flatMap((each, at) => (holds(each) === true ? [at] : []));
          const filter = filterOf(text, schema);
          for (const codeGeneration of [false, true]) {
            const out = new Uint32Array(Math.ceil(rows.length / 32));
            const source = { rowCount: rows.length, column: () => column, cache: new Map() };
            compileFilter(filter, { codeGeneration }).evaluate(source, 0, rows.length, out);
            assert.deepEqual(setRows(out, rows.length), expected, text);
          }
        },
      ),
      { seed: 1, numRuns: 120 },
    );
  });
