/** Filters: parsing, and evaluation over 100,000 rows, for the first time on a block and later. */

import { filterOf } from '../src/expr/check.ts';
import { compileFilter, type FilterSource } from '../src/expr/evaluate.ts';
import { parseFilter } from '../src/expr/parse.ts';
import type { FieldId } from '../src/model/ids.ts';
import type { BytesColumn, Column } from '../src/model/rows.ts';
import type { CollectionSchema, DataType, FieldSchema } from '../src/model/schema.ts';
import { filterWays } from './filter-ways.ts';
import { indexedFilters } from './indexed-filters.ts';
import { heading, median, ms, printTable } from './report.ts';

const ROWS = 100_000;
const RUNS = 40;

const field = (fieldId: number, name: string, dataType: DataType, isDynamic = false): FieldSchema => ({
  fieldId: fieldId as FieldId,
  name,
  description: '',
  dataType,
  isPrimaryKey: name === 'id',
  autoId: false,
  nullable: false,
  isDynamic,
  typeParams: {},
});
const schema: CollectionSchema = {
  description: '',
  enableDynamicField: true,
  version: 1,
  fields: [
    field(100, 'id', 'Int64'),
    field(101, 'color', 'VarChar'),
    field(102, 'price', 'Double'),
    field(103, 'cat', 'Int32'),
    field(104, 'uid', 'VarChar'),
    field(105, '$meta', 'JSON', true),
  ],
};

const numbers = Array.from({ length: ROWS }, (_, i) => i);
const colors = ['red', 'green', 'blue', 'black', 'white', 'pink', 'brown', 'grey'];

function bytes(type: 'VarChar' | 'JSON', texts: readonly string[]): BytesColumn {
  const pieces = texts.map((text) => Buffer.from(text));
  const offsets = new Uint32Array(pieces.length + 1);
  for (const [i, piece] of pieces.entries()) offsets[i + 1] = (offsets[i] ?? 0) + piece.length;
  return { layout: 'bytes', type, offsets, data: new Uint8Array(Buffer.concat(pieces)) };
}

const documents = numbers.map((i) =>
  JSON.stringify({ color: colors[i % 8], n: i % 100, price: i / 3, tags: ['a', `b${i % 5}`] }),
);
const columns = new Map<number, Column>([
  [100, { layout: 'fixed', type: 'Int64', values: BigInt64Array.from(numbers, BigInt) }],
  [
    101,
    bytes(
      'VarChar',
      numbers.map((i) => colors[(i * 7919) % 8] ?? ''),
    ),
  ],
  [
    102,
    { layout: 'fixed', type: 'Double', values: Float64Array.from(numbers, (i) => ((i * 31) % 2000) / 100) },
  ],
  [103, { layout: 'fixed', type: 'Int32', values: Int32Array.from(numbers, (i) => (i * 17) % 1000) }],
  [
    104,
    bytes(
      'VarChar',
      numbers.map((i) => `user-${i * 13}-abcdefghij`),
    ),
  ],
  [105, bytes('JSON', documents)],
]);
const newBlock = (): FilterSource => ({
  rowCount: ROWS,
  column: (fieldId) => columns.get(fieldId) as Column,
  cache: new Map(),
});

function measured(work: () => void): number {
  const started = performance.now();
  work();
  return performance.now() - started;
}
const typical = (work: () => void): number => median(Array.from({ length: RUNS }, () => measured(work)));

heading('Filters');
const mixed = 'color in ["red", "green", "blue"] and (price > 10.5 or cat % 7 == 3) and not (id < 100)';
const long = `${mixed} and (uid like "user-%" or $meta["price"] >= 12.25) and not (cat in [1, 2, 3, 5, 8, 13]) and 1 < cat <= 990`;
const parses = 2_000;
const many = (work: () => unknown) => () => {
  for (let i = 0; i < parses; i++) work();
};
const perParse = (work: () => unknown): string => ((typical(many(work)) / parses) * 1000).toFixed(1);
console.log(
  `${long.length} characters: parsed in ${perParse(() => parseFilter(long))} us, ` +
    `parsed and checked in ${perParse(() => filterOf(long, schema))} us\n`,
);

const out = new Uint32Array(Math.ceil(ROWS / 32));
const row = (text: string, codeGeneration: boolean): (string | number)[] => {
  const filter = filterOf(text, schema);
  const run = (source: FilterSource) => () =>
    compileFilter(filter, { codeGeneration }).evaluate(source, 0, ROWS, out);
  const first = median(Array.from({ length: 5 }, () => measured(run(newBlock()))));
  const block = newBlock();
  run(block)();
  return [
    text.length > 60 ? `${text.slice(0, 57)}...` : text,
    codeGeneration ? 'code' : 'calls',
    ms(first),
    ms(typical(run(block))),
  ];
};
printTable(
  ['filter', 'by', 'first on a block, ms', 'later, ms'],
  [
    row(mixed, true),
    row(mixed, false),
    row('id % 7 == 3', true),
    row('uid == "user-1300-abcdefghij"', true),
    row('uid like "%99-%cd%"', true),
    row('$meta["color"] == "red" and n > 50', true),
    row('$meta["color"] == "red" and n > 50', false),
    row('json_contains(tags, "b3")', true),
    row(`id in [${numbers.map((i) => i * 3).join(', ')}]`, true),
  ],
);

await indexedFilters();
await filterWays(true);
await filterWays(false);
