import assert from 'node:assert/strict';
import { test } from 'node:test';
import { addInterval, opposite, parseInterval } from './intervals.ts';
import { formatTimestamp, parseTimestamp } from './text.ts';
import { utc } from './zones.ts';

test('an interval is read as months and microseconds', () => {
  const table: readonly (readonly [string, number, bigint])[] = [
    ['P0D', 0, 0n],
    ['P1Y2M3DT1H2M3S', 14, 3n * 86_400_000_000n + 3_723_000_000n],
    ['P2W', 0, 14n * 86_400_000_000n],
    ['PT0.5S', 0, 500_000n],
    ['PT1,0000019S', 0, 1_000_001n],
    ['P10M', 10, 0n],
    ['PT10M', 0, 600_000_000n],
  ];
  for (const [text, months, micros] of table) assert.deepEqual(parseInterval(text), { months, micros }, text);
});

test('what is no interval, or one longer than time, is refused', () => {
  for (const text of [
    '',
    'P',
    'PT',
    'P1',
    '1D',
    'P1DT',
    'P-1D',
    'P1H',
    'PT1D',
    'P1D ',
    'P1.5D',
    `P${'9'.repeat(99)}D`,
  ])
    assert.throws(() => parseInterval(text), /invalid interval/, text);
  assert.throws(() => parseInterval('P20001Y'), /longer than 20000 years/);
  assert.throws(() => parseInterval('P999999999999D'), /longer than 20000 years/);
});

test('months are counted by the calendar and end on the last day there is', () => {
  const moved = (from: string, interval: string, back = false): string => {
    const parsed = parseInterval(interval);
    return formatTimestamp(addInterval(parseTimestamp(from, utc), back ? opposite(parsed) : parsed), utc);
  };
  assert.equal(moved('2024-01-31T10:00:00Z', 'P1M'), '2024-02-29T10:00:00Z');
  assert.equal(moved('2023-01-31T10:00:00Z', 'P1M'), '2023-02-28T10:00:00Z');
  assert.equal(moved('2024-02-29T00:00:00Z', 'P1Y'), '2025-02-28T00:00:00Z');
  assert.equal(moved('2024-03-31T23:59:59.5Z', 'P13M', true), '2023-02-28T23:59:59.5Z');
  assert.equal(moved('2024-01-01T00:00:00Z', 'P1M', true), '2023-12-01T00:00:00Z');
  assert.equal(moved('1969-12-31T23:00:00Z', 'P1MT2H'), '1970-02-01T01:00:00Z');
  assert.equal(moved('2024-12-31T00:00:00Z', 'P1DT24H'), '2025-01-02T00:00:00Z');
});
