/** Offsets of time zones from UTC. The rules are those that come with the JavaScript engine. */
import { DbError } from '../errors/db-error.ts';
import { present } from '../support/assert.ts';

const DAY_SECONDS = 86_400;
/** Days whose offset is remembered; then all are forgotten. */
const MAX_DAYS = 4096;

const utcNames = new Set(['UTC', 'Etc/UTC', 'GMT', 'Etc/GMT', 'Z']);

/** A zone of the IANA list, such as `Asia/Shanghai`. Makes its tables when it is first asked. */
export class TimeZone {
  readonly name: string;
  readonly #isUtc: boolean;
  #format: Intl.DateTimeFormat | undefined;
  /** By days since 1970: the offset all day long; undefined for a day on which it changes. */
  readonly #days = new Map<number, number | undefined>();

  /** Throws `parameter-invalid` for a name that is none. */
  constructor(name: string) {
    this.name = name;
    this.#isUtc = utcNames.has(name);
    if (!this.#isUtc) this.#format = formatOf(name);
  }

  /** Seconds to add to UTC, whole minutes always: a text cannot say more. `epochSeconds`: since 1970 UTC. */
  offsetSeconds(epochSeconds: number): number {
    if (this.#isUtc) return 0;
    const day = Math.floor(epochSeconds / DAY_SECONDS);
    if (!this.#days.has(day)) {
      const offset = this.#exact(day * DAY_SECONDS);
      const isConstant = offset === this.#exact((day + 1) * DAY_SECONDS);
      if (this.#days.size >= MAX_DAYS) this.#days.clear();
      this.#days.set(day, isConstant ? offset : undefined);
    }
    return this.#days.get(day) ?? this.#exact(epochSeconds);
  }

  /** Seconds since 1970 UTC of what a clock on the wall shows. Of a time that is shown twice or never, one of the two it may mean. */
  epochSeconds(wallSeconds: number): number {
    const near = wallSeconds - this.offsetSeconds(wallSeconds);
    return wallSeconds - this.offsetSeconds(near);
  }

  #exact(epochSeconds: number): number {
    const text = present(this.#format, 'format').format(epochSeconds * 1000);
    const [, sign, hours = '0', minutes = '0'] = /GMT(?:([+-])(\d\d):(\d\d))?/.exec(text) ?? [];
    return (sign === '-' ? -60 : 60) * (Number(hours) * 60 + Number(minutes));
  }
}

export const utc = new TimeZone('UTC');

function formatOf(name: string): Intl.DateTimeFormat {
  try {
    // Offsets such as `+08:00` are no names of zones.
    if (/^[A-Za-z]/.test(name))
      return new Intl.DateTimeFormat('en-US', { timeZone: name, timeZoneName: 'longOffset' });
  } catch (cause) {
    throw unknownZone(name, cause);
  }
  throw unknownZone(name);
}

const unknownZone = (name: string, cause?: unknown): DbError =>
  new DbError(
    'parameter-invalid',
    `invalid timezone, should be a IANA timezone name: unknown time zone ${name.slice(0, 50)}`,
    { cause },
  );
