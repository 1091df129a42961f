import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isDbError } from '../errors/db-error.ts';
import { wkbOf } from './read-wkt.ts';
import { normalizedWkb } from './wkb.ts';
import { wktOf } from './write-wkt.ts';

const again = (text: string): string => wktOf(wkbOf(text));
const isRefusal = (words: RegExp) => (error: unknown) =>
  isDbError(error, 'parameter-invalid') && words.test(error.message);

test('every kind of geometry is read and written, in the spelling of Milvus', () => {
  const same = [
    'POINT (1 2)',
    'POINT (-0 0.1)',
    'POINT (1e+300 1e-7)',
    'POINT (5e-324 1.7976931348623157e+308)',
    'POINT Z (1 2 3)',
    'POINT M (1 2 3)',
    'POINT ZM (1 2 3 4)',
    'LINESTRING (0 0, 1 1, 2 0)',
    'POLYGON ((0 0, 10 0, 10 10, 0 10, 0 0), (1 1, 1 2, 2 2, 1 1))',
    'MULTIPOINT ((1 2), (3 4))',
    'MULTIPOINT ((1 2), EMPTY)',
    'MULTILINESTRING ((0 0, 1 1), (2 2, 3 3))',
    'MULTILINESTRING Z ((0 0 1, 1 1 1), EMPTY)',
    'MULTIPOLYGON (((0 0, 1 0, 1 1, 0 0)), ((5 5, 6 5, 6 6, 5 5)))',
    'GEOMETRYCOLLECTION (POINT (1 2), LINESTRING (0 0, 1 1), GEOMETRYCOLLECTION (POINT EMPTY))',
    'GEOMETRYCOLLECTION Z (POINT Z (1 2 3))',
    'POINT EMPTY',
    'POINT ZM EMPTY',
    'LINESTRING EMPTY',
    'POLYGON EMPTY',
    'MULTIPOINT EMPTY',
    'MULTILINESTRING EMPTY',
    'MULTIPOLYGON EMPTY',
    'GEOMETRYCOLLECTION EMPTY',
  ];
  for (const text of same) assert.equal(again(text), text);
  const spelled: [string, string][] = [
    ['point(1 2)', 'POINT (1 2)'],
    [' Point ( +1.0\n\t2. ) ', 'POINT (1 2)'],
    ['POINTZ(1 2 3)', 'POINT Z (1 2 3)'],
    ['POINT(1 2 3)', 'POINT Z (1 2 3)'],
    ['LINESTRING(1 2 3 4,5 6 7 8)', 'LINESTRING ZM (1 2 3 4, 5 6 7 8)'],
    ['MULTIPOINT(1 2,3 4)', 'MULTIPOINT ((1 2), (3 4))'],
    ['POINT(.5 1E2)', 'POINT (0.5 100)'],
  ];
  for (const [text, shown] of spelled) assert.equal(again(text), shown);
});

test('text that is not exactly one valid geometry is refused with the place', () => {
  const table: [string, RegExp][] = [
    ['', /no geometry is called ''/],
    ['CIRCLE (1 2)', /'CIRCLE' at position 6/],
    ['SRID=4326;POINT(1 2)', /'SRID'/],
    ['POINT', /found the end instead of '\(' at position 5/],
    ['POINT (1)', /a point of 1 numbers, not 2/],
    ['POINT (1 2 3 4 5)', /a point of 5 numbers/],
    ['POINT (1 2', /instead of '\)'/],
    ['POINT (1 2) x', /found 'x' instead of the end at position 12/],
    ['POINT (1 x)', /a point of 1 numbers/],
    ['POINT (1 nan)', /a point of 1 numbers/],
    ['POINT (1 1e400)', /too large/],
    ['POINT (1 2abc)', /a point of 1 numbers/],
    ['POINT Z (1 2)', /a point of 2 numbers, not 3/],
    ['LINESTRING (0 0)', /two points or more/],
    ['LINESTRING (0 0, 1 1 1)', /a point of 3 numbers, not 2/],
    ['LINESTRING (0 0, )', /a point of 0 numbers/],
    ['POLYGON ((0 0, 1 0, 1 1, 0 1))', /not closed/],
    ['POLYGON ((0 0, 1 0, 0 0))', /four points or more, found 3/],
    ['POLYGON (EMPTY)', /four points or more, found 0/],
    ['POLYGON (0 0, 1 0, 1 1, 0 0)', /instead of '\('/],
    ['GEOMETRYCOLLECTION (POINT (1 2), POINT Z (1 2 3))', /differ in dimension/],
    [`${'GEOMETRYCOLLECTION ('.repeat(40)}POINT (1 2)${')'.repeat(40)}`, /nested too deeply/],
  ];
  for (const [text, words] of table) assert.throws(() => wkbOf(text), isRefusal(words), text);
});

test('a megabyte of anything is read or refused at once', () => {
  const million = 1_000_000;
  const table = [
    `POINT (${'1'.repeat(million)}x 1)`,
    `POINT (${'1'.repeat(million)} 1)`,
    `POINT (1${'e1'.repeat(million / 2)})`,
    `POINT${' '.repeat(million)}`,
    `POINT (1 ${'\n'.repeat(million)}x`,
    'A'.repeat(million),
    'Z'.repeat(million),
    `POLYGON ${'('.repeat(million)}`,
    `MULTIPOINT ${'(EMPTY,'.repeat(million / 7)}`,
  ];
  for (const text of table) {
    const started = process.cpuUsage();
    assert.throws(() => wkbOf(text), isRefusal(/invalid geometry/), text.slice(0, 20));
    const { user, system } = process.cpuUsage(started);
    assert.ok(user + system < 500_000, `${user + system} us: ${text.slice(0, 20)}`);
  }
});

test('binary of either byte order and of PostGIS becomes the one form that is kept', () => {
  const point = wkbOf('POINT (1 2)');
  assert.equal(Buffer.from(point).toString('hex'), '0101000000000000000000f03f0000000000000040');
  assert.deepEqual(normalizedWkb(point), point);
  const big = Buffer.from('00000000013ff00000000000004000000000000000', 'hex');
  assert.deepEqual(normalizedWkb(big), point);
  const mixed = Buffer.from(`010700000001000000${big.toString('hex')}`, 'hex');
  assert.equal(wktOf(normalizedWkb(mixed)), 'GEOMETRYCOLLECTION (POINT (1 2))');
  const ewkb = Buffer.from('0101000080000000000000f03f00000000000000400000000000000840', 'hex');
  assert.equal(wktOf(normalizedWkb(ewkb)), 'POINT Z (1 2 3)');
});

test('binary that is not exactly one valid geometry is refused', () => {
  const hex = (text: string) => Buffer.from(wkbOf(text)).toString('hex');
  const table: [string, RegExp][] = [
    ['', /ends too early/],
    ['02', /ends too early/],
    ['0201000000', /byte order 2/],
    ['0108000000', /type 8 is unknown/],
    ['0100000000', /type 0 is unknown/],
    ['01e9030080', /is unknown/],
    ['0101000020e6100000000000000000f03f0000000000000040', /SRID/],
    ['0101000000000000000000f03f', /ends too early/],
    [`${hex('POINT (1 2)')}00`, /left over/],
    ['0102000000ffffffff', /ends too early/],
    ['0107000000ffffffff', /ends too early/],
    [hex('POINT (1 2)').replace('f03f', 'f07f'), /infinite/],
    [hex('POINT (1 2)').replace('f03f', 'f87f'), /not a number/],
    [hex('LINESTRING EMPTY').replace('00000000', '0000000000'), /left over/],
    [`010400000001000000${hex('LINESTRING EMPTY')}`, /a LINESTRING stands where a POINT belongs/],
    [`010700000001000000${hex('POINT Z EMPTY')}`, /differ in dimension/],
    [`${'010700000001000000'.repeat(40)}${hex('POINT (1 2)')}`, /nested too deeply/],
    [hex('POLYGON ((0 0, 1 0, 1 1, 0 0))').replace(/.{16}$/, '000000000000f03f'), /not closed/],
  ];
  for (const [bytes, words] of table)
    assert.throws(() => normalizedWkb(Buffer.from(bytes, 'hex')), isRefusal(words), bytes);
});
