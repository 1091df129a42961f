/** Decoders of values that clients tell as text: geometries and moments. */
import assert from 'node:assert/strict';
import { isDbError } from '../../src/errors/db-error.ts';
import { wkbOf } from '../../src/geometry/read-wkt.ts';
import { normalizedWkb } from '../../src/geometry/wkb.ts';
import { wktOf } from '../../src/geometry/write-wkt.ts';
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
  covers: ['geometry/wkb.ts', 'geometry/write-wkt.ts'],
  corpus: [...texts.map(wkbOf), Buffer.from('00000000013ff00000000000004000000000000000', 'hex')],
  words: ['\x01\x01\x00\x00\x00', '\x01\x07\x00\x00\x00', '\xff\xff\xff\xff', '\x00\x00\xf0\x7f', '\x80'],
  decode: (bytes) => {
    const kept = normalizedWkb(bytes);
    assert.deepEqual(normalizedWkb(kept), kept);
    assert.deepEqual(wktOf(wkbOf(wktOf(kept))), wktOf(kept));
  },
  refuses: isInvalid,
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

export const toldDecoders: readonly Decoder[] = [wkt, wkb, moments];
