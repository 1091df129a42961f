import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { FieldId } from '../../model/ids.ts';
import type { ListColumn } from '../../model/rows.ts';
import type { FieldSchema } from '../../model/schema.ts';
import { textColumn, textsOf } from './dynamic.ts';
import { mergedLists } from './merge-lists.ts';

const field = (maxCapacity: number): FieldSchema => ({
  fieldId: 101 as FieldId,
  name: 'tags',
  description: '',
  dataType: 'Array',
  elementType: 'VarChar',
  maxCapacity,
  maxLength: 9,
  isPrimaryKey: false,
  autoId: false,
  nullable: true,
  isDynamic: false,
  typeParams: {},
});

type Rows = readonly (readonly string[] | null)[];

function columnOf(type: 'VarChar' | 'Int64', rows: Rows): ListColumn {
  const offsets = new Uint32Array(rows.length + 1);
  for (const [i, row] of rows.entries()) offsets[i + 1] = offsets[i]! + (row?.length ?? 0);
  const flat = rows.flatMap((row) => row ?? []);
  const items =
    type === 'VarChar'
      ? ({ ...textColumn(flat), type } as const)
      : ({ layout: 'fixed', type, values: BigInt64Array.from(flat, BigInt) } as const);
  return {
    layout: 'list',
    type: 'Array',
    offsets,
    items,
    valid: Uint8Array.from(rows, (row) => Number(row !== null)),
  };
}

function rowsOf({ offsets, items }: ListColumn): string[][] {
  assert.ok(items.layout !== 'vector');
  const flat = items.layout === 'bytes' ? textsOf(items) : Array.from(items.values, String);
  return Array.from({ length: offsets.length - 1 }, (_, i) => flat.slice(offsets[i], offsets[i + 1]));
}

test('appending puts the given values behind those that are there, removing takes every equal one away, null is empty', () => {
  const list = fc.option(fc.array(fc.constantFrom('1', '2', '3', '-4'), { maxLength: 4 }), { nil: null });
  fc.assert(
    fc.property(
      fc.array(fc.tuple(list, list), { maxLength: 6 }),
      fc.constantFrom('VarChar' as const, 'Int64' as const),
      (rows, type) => {
        const old = columnOf(
          type,
          rows.map(([was]) => was),
        );
        const given = columnOf(
          type,
          rows.map(([, sent]) => sent),
        );
        assert.deepEqual(
          rowsOf(mergedLists(field(8), 'append', old, given)),
          rows.map(([was, sent]) => [...(was ?? []), ...(sent ?? [])]),
        );
        assert.deepEqual(
          rowsOf(mergedLists(field(8), 'remove', old, given)),
          rows.map(([was, sent]) => (was ?? []).filter((value) => !(sent ?? []).includes(value))),
        );
      },
    ),
    { numRuns: 200, seed: 4 },
  );
});

test('a list that would grow above its capacity is refused by the number of its row', () => {
  const [old, given] = [columnOf('VarChar', [['a'], ['a', 'b']]), columnOf('VarChar', [['c'], ['c']])];
  assert.throws(
    () => mergedLists(field(2), 'append', old, given),
    /exceeds max capacity \(2\), row number: 1/,
  );
});
