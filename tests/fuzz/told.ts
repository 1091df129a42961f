/** Decoders of values that clients tell as text: geometries and moments. */
import assert from 'node:assert/strict';
import { isDbError } from '../../src/errors/db-error.ts';
import { filterSchema } from '../../src/expr/filter-rows.suite.ts';
import { boundsOf, isBox, isPoint } from '../../src/geometry/bounds.ts';
import { wkbOf } from '../../src/geometry/read-wkt.ts';
import { type Shape, shapeOf } from '../../src/geometry/shapes.ts';
import { normalizedWkb } from '../../src/geometry/wkb.ts';
import { wktOf } from '../../src/geometry/write-wkt.ts';
import type { CallContext } from '../../src/proxy/context.ts';
import { checkedFilter } from '../../src/proxy/handlers/filters.ts';
import { addInterval, addSmallInterval, opposite, parseInterval } from '../../src/timestamptz/intervals.ts';
import { formatTimestamp, parseTimestamp } from '../../src/timestamptz/text.ts';
import { TimeZone, utc } from '../../src/timestamptz/zones.ts';
import type { Decoder } from './harness.ts';

const isInvalid = (error: unknown): boolean => isDbError(error, 'parameter-invalid');
const utf8 = (text: string): Uint8Array => Buffer.from(text);

const texts = [
  'POINT (1 2)',
  'POINT ZM (1 -0 3e5 .4)',
  'LINESTRING (0 0, 1 1, 2 0)',
  'POLYGON ((0 0, 10 0, 10 10, 0 0), (1 1, 1 2, 2 2, 1 1))',
  'MULTIPOINT (1 2, (3 4), EMPTY)',
  'MULTILINESTRING M ((0 0 1, 1 1 1), EMPTY)',
  'MULTIPOLYGON (((0 0, 1 0, 1 1, 0 0)))',
  'GEOMETRYCOLLECTION (POINT (1 2), GEOMETRYCOLLECTION (LINESTRING EMPTY))',
];

const wkt: Decoder = {
  name: 'well-known-text',
  covers: ['geometry/read-wkt.ts'],
  corpus: texts.map(utf8),
  words: ['POINT', 'Z', 'M', 'EMPTY', '(', ')', ',', '1e400', '-0', 'GEOMETRYCOLLECTION (', 'MULTIPOINT ('],
  decode: (bytes) => {
    const kept = wkbOf(Buffer.from(bytes).toString());
    assert.deepEqual(normalizedWkb(kept), kept);
    assert.deepEqual(wkbOf(wktOf(kept)), kept);
  },
  refuses: isInvalid,
};

const wkb: Decoder = {
  name: 'well-known-binary',
  covers: ['geometry/wkb.ts', 'geometry/write-wkt.ts', 'geometry/bounds.ts', 'geometry/shapes.ts'],
  corpus: [...texts.map(wkbOf), Buffer.from('00000000013ff00000000000004000000000000000', 'hex')],
  words: ['\x01\x01\x00\x00\x00', '\x01\x07\x00\x00\x00', '\xff\xff\xff\xff', '\x00\x00\xf0\x7f', '\x80'],
  decode: (bytes) => {
    const kept = normalizedWkb(bytes);
    assert.deepEqual(normalizedWkb(kept), kept);
    assert.deepEqual(wktOf(wkbOf(wktOf(kept))), wktOf(kept));
    assert.deepEqual(
      boundsOf(kept).map((value) => value + 0),
      boundsOfAll(pointsOf(shapeOf(kept))),
    );
    assert.equal(isPoint(kept), shapeOf(kept).kind === 'point' && pointsOf(shapeOf(kept)).length > 0);
    if (isBox(kept)) assert.equal(pointsOf(shapeOf(kept)).length, 10);
  },
  refuses: isInvalid,
};

const pointsOf = (shape: Shape): number[] => {
  if ('points' in shape) return [...shape.points];
  return 'rings' in shape ? shape.rings.flatMap((ring) => [...ring]) : shape.parts.flatMap(pointsOf);
};
/** `-0` and `0` are one number here: which of the two comes first is nobody's business. */
const boundsOfAll = (points: readonly number[]): number[] => {
  const [xs, ys] = [0, 1].map((axis) => points.filter((_, i) => i % 2 === axis)) as [number[], number[]];
  return [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)].map((value) => value + 0);
};

const zones = [utc, new TimeZone('Asia/Shanghai'), new TimeZone('America/New_York')];
const moments: Decoder = {
  name: 'timestamptz',
  covers: ['timestamptz/text.ts'],
  corpus: [
    '2024-12-31T22:00:00Z',
    '2024-12-31 22:00:00.123456+08:00',
    '0001-01-01T00:00:00',
    '9999-12-31 23:59:59-0930',
  ].map(utf8),
  words: ['-', ':', 'T', 'Z', '+', '.', '9999', '00', '29'],
  decode: (bytes) => {
    for (const zone of zones) {
      const micros = parseTimestamp(Buffer.from(bytes).toString(), zone);
      for (const other of zones) assert.equal(parseTimestamp(formatTimestamp(micros, other), zone), micros);
    }
  },
  refuses: isInvalid,
};

const intervals: Decoder = {
  name: 'intervals',
  covers: ['timestamptz/intervals.ts'],
  corpus: ['P0D', 'P1Y2M3W4DT5H6M7.000008S', 'PT0,5S', 'P19999Y', 'P13M'].map(utf8),
  words: ['P', 'T', 'Y', 'M', 'W', 'D', 'H', 'S', '.', '99999', '0'],
  decode: (bytes) => {
    const interval = parseInterval(Buffer.from(bytes).toString());
    const { months, micros } = interval;
    for (const moment of [0n, -1n, 1_709_208_000_000_001n]) {
      const later = addInterval(moment, interval);
      assert.ok(later >= moment);
      // What was added can be taken away again, but for days that the month had not.
      const back = moment - addInterval(later, opposite(interval));
      assert.ok(
        back >= 0n && back <= (months === 0 ? 0n : 4n * 86_400_000_000n),
        `${moment} ${months} ${micros}`,
      );
      const quick = addSmallInterval(Number(moment), months, Number(micros));
      if (quick !== undefined) assert.equal(BigInt(quick), later);
    }
  },
  refuses: isInvalid,
};

const noFilters = { filters: { check: () => ({ fields: [], root: { kind: 'always', value: true } }) } };
const templates: Decoder = {
  name: 'JSON in filter templates',
  covers: ['proxy/handlers/filters.ts'],
  corpus: ['1', '-9223372036854775808', '"x"', '[1, [true, "y"], 0.5]', '[[[]]]'].map(utf8),
  words: ['[', ']', ',', '"', 'null', '{}', '1e999', '9'.repeat(30)],
  decode: (bytes) => {
    const value = { array_val: { json_data: { data: [bytes] } } };
    checkedFilter(noFilters as unknown as CallContext, 'a', filterSchema, { v: value }, utc);
  },
  refuses: isInvalid,
};

export const toldDecoders: readonly Decoder[] = [wkt, wkb, moments, intervals, templates];
