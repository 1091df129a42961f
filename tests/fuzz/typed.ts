/** Decoders of what people write: filters, configuration, the command line. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArguments } from '../../src/cli/arguments.ts';
import { UsageError } from '../../src/cli/exit-codes.ts';
import { readConfig } from '../../src/cli/read-config.ts';
import { optionEntries } from '../../src/config/options.ts';
import { isDbError } from '../../src/errors/db-error.ts';
import { type CheckedFilter, filterOf } from '../../src/expr/check.ts';
import type { FilterSource } from '../../src/expr/columns.ts';
import { type CompiledFilter, compileFilter } from '../../src/expr/evaluate.ts';
import { filterSchema, plainRow, type Row, setRows, sourceOf } from '../../src/expr/filter-rows.suite.ts';
import { primaryKeysOf } from '../../src/expr/primary-keys.ts';
import type { BytesColumn } from '../../src/model/rows.ts';
import type { Decoder } from './harness.ts';

const utf8 = (text: string): Uint8Array => Buffer.from(text);

const rows: readonly Row[] = Array.from({ length: 320 }, (_, i) => ({
  ...plainRow,
  id: BigInt(i % 7),
  num: i % 5 === 0 ? null : BigInt(i),
  price: i % 11 === 0 ? Number.NaN : i / 3,
  flag: i % 2 === 0,
  name: i % 3 === 0 ? null : ['', 'x', 'red', 'a%_b', 'é多'.repeat(i % 9)][i % 5]!,
  tags: ['x', 'red'].slice(i % 3),
  counts: i % 4 === 0 ? null : [1n, 7n],
  meta: i % 6 === 0 ? null : { a: BigInt(i), s: 'red', list: [1n, 'x', null, [2n]] },
  $meta: { color: 'red', deep: { x: i / 2 } },
}));
const source = sourceOf(rows);

const bothWays = (filter: CheckedFilter): readonly CompiledFilter[] =>
  [false, true].map((codeGeneration) => compileFilter(filter, { codeGeneration }));

/** The rows that pass, the same by both evaluators. */
function answers(ways: readonly CompiledFilter[], of: FilterSource): readonly number[] {
  const [closures = [], generated] = ways.map((compiled) => {
    const out = new Uint32Array(Math.ceil(of.rowCount / 32));
    compiled.evaluate({ ...of, cache: new Map() }, 0, of.rowCount, out);
    return setRows(out, of.rowCount);
  });
  assert.deepEqual(generated, closures, 'two evaluators, two answers');
  return closures;
}

function checkFilterText(text: string): void {
  const checked = filterOf(text, filterSchema);
  const passing = answers(bothWays(checked), source);
  const keys = primaryKeysOf(checked, filterSchema.fields[0]!.fieldId);
  // A filter that only names keys is answered by looking them up.
  if (keys?.type === 'Int64') {
    const named = new Set(keys.values);
    assert.deepEqual(
      rows.flatMap(({ id }, row) => (named.has(id) ? [row] : [])),
      passing,
    );
  }
}

const filter: Decoder = {
  name: 'filter',
  covers: [
    'expr/parse.ts',
    'expr/tokens.ts',
    'expr/check.ts',
    'expr/check-value.ts',
    'expr/like.ts',
    'expr/json-column.ts',
    'expr/contains.ts',
  ],
  corpus: [
    'id in [1, 2, 3] and not (num > 5 or name like "re%")',
    '1 < num <= 5 && meta["a"] == 3 || color == "red"',
    'exists meta["list"] and json_contains_any(meta["list"], [1, "x"])',
    'array_length(tags) >= 1 and counts[0] * 2 - 1 != 3 and price / 3.0 < 1e3',
    'name is not null and $meta["deep"]["x"] > 0.5 and flag == true',
    'name like "%a\\\\%_%_b%" or tags[0] == \'x\' or -num ** 2 > 3 % 2',
    'ARRAY_CONTAINS_ALL(counts, [1, 7]) and id == 0x1f and meta["s"] in ["red", "x"]',
  ].map(utf8),
  words: [
    '(',
    ')',
    '[',
    ']',
    '{',
    '}',
    ' and ',
    ' or ',
    ' not ',
    '!',
    ' in ',
    ' like ',
    ' is null',
    'exists ',
    '==',
    '!=',
    '<=',
    '<',
    '**',
    '-',
    '+',
    '%',
    '*',
    '/',
    ',',
    '"',
    "'",
    '\\',
    '"%"',
    '"%a%"',
    '_',
    'id',
    'num',
    'name',
    'meta["a"]',
    'counts',
    'tags',
    'color',
    'price',
    'flag',
    'small',
    'vec',
    '1',
    '9223372036854775808',
    '0.5',
    '1e999',
    '0x',
    'true',
    'null',
    'json_contains(',
    'array_length(',
    'array_contains_all(',
    '\\u0000',
    '\\ud800',
    '=~',
    '<<',
    '{t}',
    '\n',
    '--',
    'é',
  ],
  decode: (bytes) => checkFilterText(Buffer.from(bytes).toString()),
  refuses: (error) => isDbError(error, 'filter-invalid') || isDbError(error, 'unimplemented'),
};

const jsonFilters = [
  'meta["a"] > 1',
  'meta["a"]["b"][0] == "x"',
  'exists meta["list"]',
  'meta["list"] is null',
  'json_contains_any(meta["list"], [1, "x", [2]])',
  'array_length(meta["list"]) > 1',
  'meta["s"] like "%r_d%"',
  'meta["a"] + 1 == 3',
].map((text) => bothWays(filterOf(text, filterSchema)));
/** Input: values of a JSON column, one a line. Bytes that are no JSON count as missing. */
const jsonColumn: Decoder = {
  name: 'json-column',
  covers: ['expr/json-column.ts', 'expr/json-scan.ts'],
  corpus: ['{"a":1}\n{"a":{"b":["x"]}}\n{"list":[1,"x",[2],null]}\n{"s":"r\\u00e9d"}\n{}\n[1]\n"x"\n5'].map(
    utf8,
  ),
  words: [
    '{',
    '}',
    '[',
    ']',
    '"',
    ':',
    ',',
    '\\',
    '"a":',
    '"list":',
    '"b":',
    'null',
    'true',
    '1e5',
    '-',
    '12345678901234567890',
    '\\u',
    '\\ud800',
    ' ',
    '\n',
  ],
  decode: (bytes) => {
    const cells = Buffer.from(bytes)
      .toString('latin1')
      .split('\n')
      .map((cell) => Buffer.from(cell, 'latin1'));
    const offsets = new Uint32Array(cells.length + 1);
    for (const [i, cell] of cells.entries()) offsets[i + 1] = offsets[i]! + cell.length;
    const column: BytesColumn = { layout: 'bytes', type: 'JSON', offsets, data: Buffer.concat(cells) };
    const of: FilterSource = { rowCount: cells.length, column: () => column, cache: new Map() };
    for (const ways of jsonFilters) answers(ways, of);
  },
  refuses: () => false,
};

const scratch = mkdtempSync(join(tmpdir(), 'tidemark-fuzz-'));
process.once('exit', () => rmSync(scratch, { recursive: true, force: true }));
const names = optionEntries.map(({ name }) => name);
const configuration: Decoder = {
  name: 'configuration',
  covers: ['cli/read-config.ts', 'config/load.ts'],
  corpus: [
    names.map((name, n) => `${name}: ${n}`).join('\n'),
    optionEntries.map(({ name, option }) => `${name}: ${JSON.stringify(option.value)}`).join('\n'),
    'proxy:\n  port: 19530\n  ip: 127.0.0.1\n# comment\n"a": &x [1, 2]\nb: *x\n',
  ].map(utf8),
  words: [
    '&a ',
    '*a',
    '- ',
    '\n',
    '  ',
    ': ',
    '[',
    '{',
    '"',
    "'",
    '|',
    '>',
    '!!binary ',
    '!!set ',
    '<<: *a',
    '---\n',
    '%YAML 9\n',
    '\t',
    '? ',
    '.inf',
    '~',
    '0o17',
    '2001-12-14',
    ...names.slice(0, 6),
  ],
  decode: async (bytes) => {
    const path = join(scratch, 'fuzz.yaml');
    await writeFile(path, bytes);
    const config = await readConfig({ config: path }, {});
    for (const { name, option } of optionEntries)
      assert.equal(typeof config[name as never], typeof option.value);
  },
  refuses: (error) => isDbError(error, 'parameter-invalid'),
  isSlow: true,
};

const commandLine: Decoder = {
  name: 'command-line',
  covers: ['cli/arguments.ts'],
  corpus: [
    'serve\0--http-port\x005',
    'snapshot\0list\0--json',
    'restore\0start\0a/b/c\0--dry-run',
    '--help',
    '-v',
  ].map(utf8),
  words: [
    '\0',
    '--',
    '-',
    '=',
    '--json',
    '--config',
    '--help',
    'snapshot',
    'restore',
    'gc',
    '--no-',
    '__proto__',
  ],
  decode: (bytes) => parseArguments(Buffer.from(bytes).toString().split('\0')),
  refuses: (error) => error instanceof UsageError,
};

export const typedDecoders: readonly Decoder[] = [filter, jsonColumn, configuration, commandLine];
