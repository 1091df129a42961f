import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fieldSchema } from '../../tests/field-schema.ts';
import type { FieldId, PartitionId, SegmentId } from '../model/ids.ts';
import type { Column } from '../model/rows.ts';
import type { CollectionSchema } from '../model/schema.ts';
import { DeleteMap } from '../segment/delete-map.ts';
import { ordered } from './ordering.ts';
import { Pacer, Turns } from './pacer.ts';
import { directionsOf, groupColumns, groupKeys, sortValues } from './places.ts';
import { Unit } from './unit.ts';

const [ID, META, N, LATER] = [100, 101, 102, 103] as FieldId[] as [FieldId, FieldId, FieldId, FieldId];
const schema: CollectionSchema = {
  description: '',
  fields: [
    fieldSchema('id', { fieldId: ID, isPrimaryKey: true }),
    fieldSchema('meta', { fieldId: META, dataType: 'JSON', nullable: true }),
    fieldSchema('n', { fieldId: N, dataType: 'Int8' }),
    fieldSchema('later', { fieldId: LATER, dataType: 'JSON', nullable: true }),
  ],
  enableDynamicField: false,
  version: 1,
};

/** What stands at the key `v`, in the order in which it is sorted; equal ones beside each other, joined by `=`. */
const inOrder = [
  'false',
  'true',
  '-1e300',
  '-3.5',
  '0=-0=0.0=0e5',
  '12=12.0=1.2e1',
  '9007199254740992',
  '9007199254740993',
  '9223372036854775806',
  '1e300',
  '""',
  '"12"',
  String.raw`"a"="\u0061"`,
  '"true"',
  '"é"',
  '[1]',
  '{"a":1}',
];
const documents = inOrder.flatMap((group, place) =>
  group.split('=').map((value) => ({ place, text: `{"u":[3,{"v":7}], "v" : ${value} }` })),
);
const missing = ['{"v":null}', '{}', '[1]', '"v"', undefined].map((text) => ({ place: -1, text }));
const all = [...documents, ...missing].sort((a, b) => (a.text ?? '').length - (b.text ?? '').length);

function world() {
  const pieces = all.map(({ text = '' }) => Buffer.from(text));
  const offsets = new Uint32Array(pieces.length + 1);
  for (const [i, piece] of pieces.entries()) offsets[i + 1] = (offsets[i] ?? 0) + piece.length;
  const rowCount = all.length;
  const columns = new Map<FieldId, { column: Column }>([
    [
      ID,
      {
        column: {
          layout: 'fixed',
          type: 'Int64',
          values: BigInt64Array.from({ length: rowCount }, (_, row) => BigInt(row)),
        },
      },
    ],
    [
      META,
      {
        column: {
          layout: 'bytes',
          type: 'JSON',
          offsets,
          data: new Uint8Array(Buffer.concat(pieces)),
          valid: Uint8Array.from(all, ({ text }) => (text === undefined ? 0 : 1)),
        },
      },
    ],
    [
      N,
      {
        column: {
          layout: 'fixed',
          type: 'Int8',
          values: Int8Array.from({ length: rowCount }, (_, i) => i % 2),
        },
      },
    ],
  ]);
  const unit = new Unit({
    place: { segmentId: 1n as SegmentId, partitionId: 1n as PartitionId, channel: 'a' },
    schema,
    capacity: rowCount,
    columns,
    timestamps: new BigInt64Array(rowCount),
    vectors: new Map(),
  });
  unit.reveal(rowCount, new DeleteMap());
  const pacer = new Pacer(new Turns({ turnUnits: 100 }), new AbortController().signal);
  const refs = {
    units: new Uint32Array(rowCount),
    rows: Uint32Array.from({ length: rowCount }, (_, row) => row),
  };
  return { context: { schema, views: [unit.view()], pacer, maxBytes: 2 ** 20 }, refs, rowCount };
}

test('rows stand in the order of what is at a path: Bools, numbers by value, texts, containers, nulls as asked', async () => {
  const { context, refs, rowCount } = world();
  for (const nullsFirst of [false, true])
    for (const isDescending of [false, true]) {
      const orderBy = [
        { fieldId: META, path: ['v'], isDescending, nullsFirst },
        { fieldId: ID, isDescending: false, nullsFirst: false },
      ];
      const values = await sortValues(context, refs, orderBy);
      const rows = Array.from({ length: rowCount }, (_, row) => row);
      const found = ordered(rows, directionsOf(orderBy), (row) => values[row] ?? []);
      const rank = (row: number): number => {
        const { place } = all[row]!;
        if (place < 0) return nullsFirst ? -1000 : 1000;
        return isDescending ? -place : place;
      };
      assert.deepEqual(
        found,
        [...rows].sort((a, b) => rank(a) - rank(b) || a - b),
      );
    }
});

test('rows are one group when the same value stands there, however it is written; nothing is a group of its own', async () => {
  const { context, refs, rowCount } = world();
  const [keyOf] = await groupKeys(context, [{ fieldId: META, path: ['v'] }]);
  for (let a = 0; a < rowCount; a++)
    for (let b = 0; b < rowCount; b++)
      assert.equal(
        keyOf!(a) === keyOf!(b),
        all[a]!.place === all[b]!.place,
        `${all[a]!.text} ${all[b]!.text}`,
      );
  const [both] = await groupKeys(context, [{ fieldId: META, path: ['v'] }, { fieldId: N }]);
  for (let a = 0; a < rowCount; a++)
    for (let b = 0; b < rowCount; b++)
      assert.equal(both!(a) === both!(b), all[a]!.place === all[b]!.place && a % 2 === b % 2);
  const [deep] = await groupKeys(context, [{ fieldId: META, path: ['u', 1, 'v'] }]);
  assert.equal(new Set(refs.rows.map((row) => Number(deep!(row) === undefined))).size, 2);
  const [younger] = await groupKeys(context, [{ fieldId: LATER, path: ['v'] }]);
  assert.equal(younger!(0), undefined);
});

test('the value of a group is shown as text: a text as it is, the rest as JSON has it', async () => {
  const { context, refs } = world();
  const [column] = await groupColumns(context, refs, [{ fieldId: META, path: ['v'] }]);
  assert.ok(column?.layout === 'bytes' && column.type === 'VarChar');
  for (const [row, { place }] of all.entries()) {
    const shown = Buffer.from(column.data.subarray(column.offsets[row], column.offsets[row + 1])).toString();
    assert.equal(column.valid?.[row], place < 0 ? 0 : 1);
    const [first = ''] = (inOrder[place] ?? '').split('=');
    const wanted = first.startsWith('"') ? first.slice(1, -1) : first;
    if (!['-1e300', '1e300'].includes(first)) assert.equal(shown, wanted);
    else assert.equal(Number(shown), Number(first));
  }
});
