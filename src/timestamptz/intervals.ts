/** ISO 8601 durations, and moments moved by them. */
import { DbError } from '../errors/db-error.ts';
import { dateOf, daysOf, daysOfMonth } from './calendar.ts';

/** Months differ in length, so they are counted by the calendar; all the rest is microseconds. */
export interface Interval {
  readonly months: number;
  readonly micros: bigint;
}

const SECOND = 1_000_000n;
const DAY = 86_400n * SECOND;
const MAX_SHOWN = 50;
/** Years beyond those that can be told: no longer interval has a use. */
const MAX_YEARS = 20_000;
const MAX_MONTHS = MAX_YEARS * 12;
const MAX_MICROS = BigInt(MAX_YEARS) * 366n * DAY;

const shape =
  /^P(?=.)(?:(\d{1,12})Y)?(?:(\d{1,12})M)?(?:(\d{1,12})W)?(?:(\d{1,12})D)?(?:T(?=.)(?:(\d{1,12})H)?(?:(\d{1,12})M)?(?:(\d{1,12})(?:[.,](\d{1,9}))?S)?)?$/;

/** `P1Y2M3DT4H5M6.5S`; weeks too. Throws `parameter-invalid` for any other text and for more than 20,000 years. */
export function parseInterval(text: string): Interval {
  const found = shape.exec(text);
  if (found === null) throw invalid(text, 'it must look like P1Y2M3DT4H5M6S');
  const [years, months, weeks, days, hours, minutes, seconds] = found
    .slice(1, 8)
    .map((part: string | undefined) => BigInt(part ?? 0)) as [
    bigint,
    bigint,
    bigint,
    bigint,
    bigint,
    bigint,
    bigint,
  ];
  const allMonths = Number(years * 12n + months);
  const micros =
    (weeks * 7n + days) * DAY +
    (hours * 3600n + minutes * 60n + seconds) * SECOND +
    BigInt((found[8] ?? '').padEnd(6, '0').slice(0, 6));
  if (allMonths > MAX_MONTHS || micros > MAX_MICROS)
    throw invalid(text, `it is longer than ${MAX_YEARS} years`);
  return { months: allMonths, micros };
}

const invalid = (text: string, why: string): DbError =>
  new DbError('parameter-invalid', `invalid interval '${text.slice(0, MAX_SHOWN)}': ${why}`);

export const opposite = ({ months, micros }: Interval): Interval => ({ months: -months, micros: -micros });

/** First the months, by the calendar of UTC, on the last day of a month that is too short; then the rest. */
export const addInterval = (moment: bigint, { months, micros }: Interval): bigint =>
  (months === 0 ? moment : addMonths(moment, months)) + micros;

function addMonths(moment: bigint, months: number): bigint {
  const ofDay = ((moment % DAY) + DAY) % DAY;
  return BigInt(laterDay(Number((moment - ofDay) / DAY), months)) * DAY + ofDay;
}

/** Days since 1970. */
function laterDay(days: number, months: number): number {
  const { year, month, day } = dateOf(days);
  const all = year * 12 + (month - 1) + months;
  const target = { year: Math.floor(all / 12), month: (((all % 12) + 12) % 12) + 1 };
  return daysOf({ ...target, day: Math.min(day, daysOfMonth(target)) });
}

const DAY_NUMBER = Number(DAY);

/** The same by numbers, several times faster; undefined where they would not be exact. */
export function addSmallInterval(moment: number, months: number, micros: number): number | undefined {
  const day = Math.floor(moment / DAY_NUMBER);
  const moved = laterDay(day, months) * DAY_NUMBER + (moment - day * DAY_NUMBER) + micros;
  return Number.isSafeInteger(moved) && Number.isSafeInteger(micros) ? moved : undefined;
}
