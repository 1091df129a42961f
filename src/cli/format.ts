/** Values as people read them. Pure; text from elsewhere cannot steer the terminal. */
import { type HybridTime, physicalMs } from '../model/hybrid-time.ts';

const SIZE_UNITS = ['bytes', 'kB', 'MB', 'GB', 'TB', 'PB'];

/** `1,234,567`. */
export const count = (value: number): string => value.toLocaleString('en-US');

/** `12 segments`, `1 segment`. */
export const counted = (value: number, noun: string): string =>
  `${count(value)} ${noun}${value === 1 ? '' : 's'}`;

/** `1.2 MB`, powers of 1000. */
export function size(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 999.95 && unit < SIZE_UNITS.length - 1) {
    value /= 1000;
    unit++;
  }
  if (unit === 0) return counted(bytes, 'byte');
  return `${value.toFixed(1)} ${SIZE_UNITS[unit]}`;
}

/** `1.2 MB (1,234,567 bytes)`. */
export const exactSize = (bytes: number): string =>
  bytes < 1000 ? size(bytes) : `${size(bytes)} (${count(bytes)} bytes)`;

/** `2025-11-22T10:30:15+01:00`: the clock on the wall here. */
export function localTime(ms: number, offsetMinutes = -new Date(ms).getTimezoneOffset()): string {
  const wall = new Date(ms + offsetMinutes * 60_000).toISOString().slice(0, 19);
  const minutes = Math.abs(offsetMinutes);
  const two = (value: number) => String(Math.floor(value)).padStart(2, '0');
  return `${wall}${offsetMinutes < 0 ? '-' : '+'}${two(minutes / 60)}:${two(minutes % 60)}`;
}

/** A hybrid timestamp and the wall time in it. */
export const hybridTimeText = (ts: string): string =>
  `${ts} (${localTime(physicalMs(BigInt(ts) as HybridTime))})`;

/** `350 ms`, `1.5 s`, `2 min 5 s`, `3 h 20 min`. */
export function duration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const seconds = ms / 1000;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
}

/** One line; what would move the cursor or change colours is shown by its code. */
export const plain = (text: string): string =>
  text.replace(/[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/gu, (character) => {
    const code = character.codePointAt(0) ?? 0;
    return `\\u{${code.toString(16)}}`;
  });

export interface Column<T> {
  readonly head: string;
  readonly isRight?: boolean;
  text(row: T): string;
}

/** Aligned columns under capitals, two blanks between, nothing behind the last. */
export function table<T>(columns: readonly Column<T>[], rows: readonly T[], indent = ''): string {
  const lines = [
    columns.map(({ head }) => head),
    ...rows.map((row) => columns.map((each) => plain(each.text(row)))),
  ];
  const widths = columns.map((_, i) => lines.reduce((most, line) => Math.max(most, width(line[i] ?? '')), 0));
  return lines
    .map((line) => {
      const cells = line.map((cell, i) => {
        const blanks = ' '.repeat((widths[i] ?? 0) - width(cell));
        return columns[i]?.isRight === true ? blanks + cell : cell + blanks;
      });
      return `${indent}${cells.join('  ')}`.trimEnd();
    })
    .join('\n');
}

/** Names and values below each other; those without a value are left out. */
export function block(pairs: readonly (readonly [name: string, value: string | undefined])[]): string {
  const shown = pairs.flatMap(([name, value]) => (value === undefined ? [] : [[name, value] as const]));
  const widest = Math.max(...shown.map(([name]) => name.length));
  return shown.map(([name, value]) => `  ${name.padEnd(widest)}  ${plain(value)}`.trimEnd()).join('\n');
}

const width = (text: string): number => [...text].length;
