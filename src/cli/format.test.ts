import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hybridTime } from '../model/hybrid-time.ts';
import { block, duration, exactSize, hybridTimeText, localTime, plain, size, table } from './format.ts';

test('sizes have one decimal and a unit of at most three digits before it', () => {
  const cases = [
    [0, '0 bytes'],
    [1, '1 byte'],
    [999, '999 bytes'],
    [1000, '1.0 kB'],
    [999_949, '999.9 kB'],
    [999_950, '1.0 MB'],
    [1_234_567, '1.2 MB'],
    [40_123_456_789, '40.1 GB'],
    [2 ** 53, '9.0 PB'],
    [9e18, '9000.0 PB'],
  ] as const;
  for (const [bytes, text] of cases) assert.equal(size(bytes), text);
  assert.equal(exactSize(1_234_567), '1.2 MB (1,234,567 bytes)');
  assert.equal(exactSize(12), '12 bytes');
});

test('times are those of the clock on the wall, with its distance to UTC', () => {
  const ms = Date.UTC(2025, 10, 22, 23, 30, 15, 250);
  assert.equal(localTime(ms, 0), '2025-11-22T23:30:15+00:00');
  assert.equal(localTime(ms, 60), '2025-11-23T00:30:15+01:00');
  assert.equal(localTime(ms, -210), '2025-11-22T20:00:15-03:30');
  const ts = hybridTime(ms, 7);
  assert.equal(hybridTimeText(String(ts)), `${ts} (${localTime(ms)})`);
});

test('durations grow coarser as they grow', () => {
  assert.deepEqual([350, 1500, 125_000, 12_000_000].map(duration), [
    '350 ms',
    '1.5 s',
    '2 min 5 s',
    '3 h 20 min',
  ]);
});

test('columns are aligned, numbers to the right, and no line ends with blanks', () => {
  const rows = [
    { name: 'a', rows: 5 },
    { name: 'longer', rows: 12_345 },
  ];
  const columns = [
    { head: 'NAME', text: ({ name }: (typeof rows)[0]) => name },
    { head: 'ROWS', isRight: true, text: (row: (typeof rows)[0]) => String(row.rows) },
    { head: 'NOTE', text: ({ rows: of }: (typeof rows)[0]) => (of > 9 ? 'many' : '') },
  ];
  assert.equal(table(columns, rows), 'NAME     ROWS  NOTE\na           5\nlonger  12345  many');
  assert.equal(table(columns, []), 'NAME  ROWS  NOTE');
});

test('a table has any number of lines', () => {
  const rows = Array.from({ length: 300_000 }, (_, i) => i);
  const text = table([{ head: 'N', isRight: true, text: String }], rows);
  assert.equal(text.split('\n').length, 300_001);
  assert.ok(text.startsWith('     N\n     0\n'));
});

test('a block leaves out what has no value', () => {
  const pairs = [
    ['rows', '5'],
    ['damage', undefined],
    ['created', 'now'],
  ] as const;
  assert.equal(block(pairs), '  rows     5\n  created  now');
});

test('text of others does not steer the terminal', () => {
  assert.equal(plain('a\u001b[31mb\r\nc\u202e'), 'a\\u{1b}[31mb\\u{d}\\u{a}c\\u{202e}');
  assert.equal(plain('wörds → ok'), 'wörds → ok');
});
