import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isDbError } from '../errors/db-error.ts';
import { formatTimestamp, parseTimestamp, requireTimestamp, timeFields, timeParts } from './text.ts';
import { TimeZone, utc } from './zones.ts';

const shanghai = new TimeZone('Asia/Shanghai');
const newYork = new TimeZone('America/New_York');
const again = (text: string, zone: TimeZone, shownIn = zone): string =>
  formatTimestamp(parseTimestamp(text, zone), shownIn);

test('ISO 8601 text with an offset, with Z and, in the zone given, without either', () => {
  const table: [string, TimeZone, string][] = [
    ['2024-12-31T22:00:00Z', utc, '2024-12-31T22:00:00Z'],
    ['2024-12-31T22:00:00+08:00', utc, '2024-12-31T14:00:00Z'],
    ['2024-12-31 22:00:00', utc, '2024-12-31T22:00:00Z'],
    ['2024-12-31 22:00:00', shanghai, '2024-12-31T22:00:00+08:00'],
    ['2024-12-31T22:00:00', shanghai, '2024-12-31T22:00:00+08:00'],
    ['2024-12-31 22:00:00+08', shanghai, '2024-12-31T22:00:00+08:00'],
    ['2024-12-31 22:00:00Z', shanghai, '2025-01-01T06:00:00+08:00'],
    ['2024-12-31 22:00:00+0530', utc, '2024-12-31T16:30:00Z'],
    ['2024-07-01T00:00:00.5', newYork, '2024-07-01T00:00:00.5-04:00'],
    ['2024-01-01T00:00:00.123456789', newYork, '2024-01-01T00:00:00.123456-05:00'],
    ['1969-12-31T23:59:59.999999Z', utc, '1969-12-31T23:59:59.999999Z'],
    ['2000-02-29T00:00:00Z', utc, '2000-02-29T00:00:00Z'],
    ['0001-01-01T00:00:00Z', utc, '0001-01-01T00:00:00Z'],
    ['9999-12-31T23:59:59.999999Z', utc, '9999-12-31T23:59:59.999999Z'],
    // At the ends of time a zone would need a year of five digits, or none.
    ['9999-12-31T23:59:59.999999Z', shanghai, '9999-12-31T23:59:59.999999Z'],
    ['0001-01-01T00:00:00Z', newYork, '0001-01-01T00:00:00Z'],
    // Before zones there was the sun: +08:05:43, of which a text says the minutes; it is the same moment.
    ['1890-01-01T00:00:00Z', shanghai, '1890-01-01T08:05:00+08:05'],
  ];
  for (const [text, zone, shown] of table) assert.equal(again(text, zone), shown, text);
});

test('clocks that are put forward and back', () => {
  assert.equal(again('2024-03-10T01:59:59', newYork), '2024-03-10T01:59:59-05:00');
  assert.equal(again('2024-03-10T03:00:00', newYork), '2024-03-10T03:00:00-04:00');
  // Never shown: one of its two neighbours.
  assert.match(again('2024-03-10T02:30:00', newYork, utc), /^2024-03-10T0[67]:30:00Z$/);
  // Shown twice.
  assert.match(again('2024-11-03T01:30:00', newYork, utc), /^2024-11-03T0[56]:30:00Z$/);
  assert.equal(again('2024-11-03T05:59:59Z', newYork), '2024-11-03T01:59:59-04:00');
  assert.equal(again('2024-11-03T06:00:00Z', newYork), '2024-11-03T01:00:00-05:00');
});

test('any moment written in any zone is the same moment when it is read', () => {
  const zones = [utc, shanghai, newYork, new TimeZone('Asia/Kathmandu'), new TimeZone('America/St_Johns')];
  const moment = fc.bigInt({ min: -62_135_596_800_000_000n, max: 253_402_300_799_999_999n });
  fc.assert(
    fc.property(moment, fc.constantFrom(...zones), (micros, zone) => {
      const text = formatTimestamp(micros, zone);
      assert.equal(parseTimestamp(text, shanghai), micros);
      const whole = new Date(Number((micros - (((micros % 1000n) + 1000n) % 1000n)) / 1000n));
      assert.equal(formatTimestamp(micros, utc).slice(0, 19), whole.toISOString().slice(0, 19));
    }),
    { numRuns: 500 },
  );
});

test('what is no moment is refused with the text and the reason', () => {
  const table: [string, RegExp][] = [
    ['', /must look like/],
    ['yesterday', /got invalid timestamptz string 'yesterday': it must look like/],
    ['2024-12-31', /must look like/],
    ['2024-12-31T22:00Z', /must look like/],
    ['2024-13-01T00:00:00Z', /no such day/],
    ['2023-02-29T00:00:00Z', /no such day/],
    ['1900-02-29T00:00:00Z', /no such day/],
    ['2024-04-31T00:00:00Z', /no such day/],
    ['2024-01-01T24:00:00Z', /no such time of day/],
    ['2024-01-01T00:60:00Z', /no such time of day/],
    ['2024-01-01T00:00:60Z', /no such time of day/],
    ['2024-01-01T00:00:00+15:00', /UTC offsets/],
    ['2024-01-01T00:00:00+08:60', /UTC offsets/],
    ['2024-01-01T00:00:00Z ', /must look like/],
    ['0000-01-01T00:00:00Z', /years count from 1/],
    ['0001-01-01T00:00:00+01:00', /years 1 to 9999/],
    ['9999-12-31T23:59:59-01:00', /years 1 to 9999/],
    ['12024-01-01T00:00:00Z', /must look like/],
  ];
  for (const [text, words] of table)
    assert.throws(
      () => parseTimestamp(text, utc),
      (error) => isDbError(error, 'parameter-invalid') && words.test(error.message),
      text,
    );
  for (const micros of [2n ** 63n - 1n, -(2n ** 63n), 253_402_300_800_000_000n])
    assert.throws(() => requireTimestamp(micros), /years 1 to 9999/);
});

test('a zone is a name of the IANA list', () => {
  for (const name of ['Mars/Olympus', '', '+08:00', 'Asia', '../etc/passwd'])
    assert.throws(
      () => new TimeZone(name),
      (error) => isDbError(error, 'parameter-invalid') && /invalid timezone.*IANA/.test(error.message),
      name,
    );
  for (const name of ['Europe/Berlin', 'Etc/UTC', 'EST5EDT']) assert.equal(new TimeZone(name).name, name);
});

test('parts of a moment, in the zone and in the order asked', () => {
  const moment = parseTimestamp('2024-12-31T22:01:02.000345Z', utc);
  assert.deepEqual(timeParts(moment, shanghai, timeFields), [2025, 1, 1, 6, 1, 2, 345]);
  assert.deepEqual(timeParts(moment, utc, ['hour', 'year']), [22, 2024]);
});
