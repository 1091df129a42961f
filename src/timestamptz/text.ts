/** Points in time, microseconds since 1970 UTC, as ISO 8601 text and as the parts of a date. */
import { DbError } from '../errors/db-error.ts';
import { dateOf, daysOf, daysOfMonth } from './calendar.ts';
import type { TimeZone } from './zones.ts';

const SECOND = 1_000_000n;
const MINUTE_SECONDS = 60;
const HOUR_SECONDS = 3600;
const DAY_SECONDS = 86_400;
const MAX_OFFSET_HOURS = 14;
const MAX_SHOWN = 50;

/** The years 1 to 9999 UTC: what every client can read. */
const MIN_MICROS = -62_135_596_800_000_000n;
const MAX_MICROS = 253_402_300_799_999_999n;
const MIN_SECONDS = Number(MIN_MICROS / SECOND);
const MAX_SECONDS = Number(MAX_MICROS / SECOND);

export const isTimestamp = (micros: bigint): boolean => micros >= MIN_MICROS && micros <= MAX_MICROS;

/** Throws `parameter-invalid` outside the years 1 to 9999. */
export function requireTimestamp(micros: bigint): bigint {
  if (!isTimestamp(micros))
    throw new DbError(
      'parameter-invalid',
      `timestamptz ${micros} is out of range: it must lie in the years 1 to 9999`,
    );
  return micros;
}

const shape =
  /^(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9}))?(?:([Zz])|([+-])(\d\d)(?::?(\d\d))?)?$/;

/**
 * `2024-12-31T22:00:00+08:00`, also with a space, with a fraction of up to nine digits (six are kept), with `Z`, `+08`, or, then in
 * `zone`, without an offset. Throws `parameter-invalid` for any other text and for years beyond 1 to 9999.
 */
export function parseTimestamp(text: string, zone: TimeZone): bigint {
  const found = shape.exec(text);
  if (found === null) throw invalid(text, 'it must look like 2024-12-31T22:00:00+08:00');
  const [, year, month, day, hour, minute, second, fraction = ''] = found;
  const date = { year: Number(year), month: Number(month), day: Number(day) };
  if (date.year < 1) throw invalid(text, 'years count from 1 to 9999');
  if (date.month < 1 || date.month > 12 || date.day < 1 || date.day > daysOfMonth(date))
    throw invalid(text, 'there is no such day');
  if (Number(hour) > 23 || Number(minute) > 59 || Number(second) > 59)
    throw invalid(text, 'there is no such time of day');
  const time = Number(hour) * HOUR_SECONDS + Number(minute) * MINUTE_SECONDS + Number(second);
  const wall = daysOf(date) * DAY_SECONDS + time;
  const offset = offsetOf(text, found);
  const seconds = offset === undefined ? zone.epochSeconds(wall) : wall - offset;
  const micros = BigInt(seconds) * SECOND + BigInt(fraction.padEnd(6, '0').slice(0, 6));
  if (!isTimestamp(micros)) throw invalid(text, 'it must lie in the years 1 to 9999 UTC');
  return micros;
}

/** Seconds; undefined when the text has none. */
function offsetOf(text: string, found: RegExpExecArray): number | undefined {
  const [zulu, sign, hours, minutes = '0'] = found.slice(8);
  if (zulu !== undefined) return 0;
  if (sign === undefined) return undefined;
  const seconds = Number(hours) * HOUR_SECONDS + Number(minutes) * MINUTE_SECONDS;
  if (Number(minutes) > 59 || seconds > MAX_OFFSET_HOURS * HOUR_SECONDS)
    throw invalid(text, `UTC offsets range from -${MAX_OFFSET_HOURS} to +${MAX_OFFSET_HOURS} hours`);
  return sign === '-' ? -seconds : seconds;
}

const invalid = (text: string, why: string): DbError =>
  new DbError('parameter-invalid', `got invalid timestamptz string '${text.slice(0, MAX_SHOWN)}': ${why}`);

/** Parts of a point in time that can be asked for, in the order of Milvus's documentation. */
export const timeFields = ['year', 'month', 'day', 'hour', 'minute', 'second', 'microsecond'] as const;
export type TimeField = (typeof timeFields)[number];

type Parts = Record<TimeField, number> & { readonly offset: number };

function partsOf(micros: bigint, zone: TimeZone): Parts {
  const rest = Number(micros % SECOND);
  const microsecond = rest < 0 ? rest + 1_000_000 : rest;
  const seconds = Number(micros / SECOND) - (rest < 0 ? 1 : 0);
  const inZone = zone.offsetSeconds(seconds);
  // A year of five digits, or none, is no ISO 8601: at the ends of time it is always UTC.
  const isTold = seconds + inZone >= MIN_SECONDS && seconds + inZone <= MAX_SECONDS;
  const offset = isTold ? inZone : 0;
  const wall = seconds + offset;
  const days = Math.floor(wall / DAY_SECONDS);
  const time = wall - days * DAY_SECONDS;
  const { year, month, day } = dateOf(days);
  return {
    year,
    month,
    day,
    hour: Math.floor(time / HOUR_SECONDS),
    minute: Math.floor(time / MINUTE_SECONDS) % 60,
    second: time % 60,
    microsecond,
    offset,
  };
}

const digits = (value: number, count: number): string => String(value).padStart(count, '0');

/** As Milvus answers: `2024-12-31T22:00:00.5+08:00`, `Z` for no offset. Zeros at the end of the fraction are left out. */
export function formatTimestamp(micros: bigint, zone: TimeZone): string {
  const { year, month, day, hour, minute, second, microsecond, offset } = partsOf(micros, zone);
  const date = `${digits(year, 4)}-${digits(month, 2)}-${digits(day, 2)}`;
  const time = `${digits(hour, 2)}:${digits(minute, 2)}:${digits(second, 2)}`;
  const fraction = microsecond === 0 ? '' : `.${digits(microsecond, 6).replace(/0+$/, '')}`;
  return `${date}T${time}${fraction}${offsetText(offset)}`;
}

function offsetText(offset: number): string {
  if (offset === 0) return 'Z';
  const minutes = Math.abs(offset) / MINUTE_SECONDS;
  return `${offset < 0 ? '-' : '+'}${digits(Math.floor(minutes / 60), 2)}:${digits(minutes % 60, 2)}`;
}

/** The parts in the order asked. */
export function timeParts(micros: bigint, zone: TimeZone, wanted: readonly TimeField[]): number[] {
  const parts = partsOf(micros, zone);
  return wanted.map((field) => parts[field]);
}
