import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { inlineWorkers } from '../support/inline-workers.ts';
import { boundsOf, isBox, isPoint } from './bounds.ts';
import { wkbOf } from './read-wkt.ts';
import { type GeometryBatch, geometryTasks, NO_ANSWER, testGeometries, workerTester } from './relate.ts';
import { pointDistance } from './sphere.ts';

function batchOf(texts: readonly string[]): Pick<GeometryBatch, 'data' | 'offsets'> {
  const parts = texts.map(wkbOf);
  const offsets = new Uint32Array(parts.length + 1);
  for (const [i, part] of parts.entries()) offsets[i + 1] = offsets[i]! + part.length;
  return { data: new Uint8Array(Buffer.concat(parts)), offsets };
}

async function ask(op: GeometryBatch['op'], a: string, b?: string, distance?: number): Promise<number> {
  const constant = b === undefined ? {} : { constant: wkbOf(b) };
  const answers = await testGeometries({
    op,
    ...constant,
    ...(distance === undefined ? {} : { distance }),
    ...batchOf([a]),
  });
  return answers[0]!;
}

const square = 'POLYGON ((0 0, 4 0, 4 4, 0 4, 0 0))';
const holed = 'POLYGON ((0 0, 4 0, 4 4, 0 4, 0 0), (1 1, 3 1, 3 3, 1 3, 1 1))';
const triangle = 'POLYGON ((0 0, 4 0, 0 4, 0 0))';
const bowTie = 'POLYGON ((0 0, 4 4, 4 0, 0 4, 0 0))';

describe('how two geometries lie to each other', () => {
  const table: readonly (readonly [GeometryBatch['op'], string, string, boolean])[] = [
    ['intersects', 'POINT (1 1)', triangle, true],
    ['intersects', 'POINT (3 3)', triangle, false],
    ['intersects', 'POINT (2 2)', triangle, true],
    ['intersects', 'POINT (2 2)', holed, false],
    ['intersects', 'POINT (3 2)', holed, true],
    ['intersects', 'LINESTRING (-1 2, 5 2)', holed, true],
    ['intersects', 'LINESTRING (1.5 2, 2.5 2)', holed, false],
    ['intersects', 'GEOMETRYCOLLECTION (POINT (9 9), LINESTRING (0 0, 1 1))', square, true],
    ['within', 'POINT (1 1)', triangle, true],
    ['within', 'POINT (2 2)', triangle, false],
    ['within', 'POINT (0 0)', 'MULTIPOINT ((0 0), (1 1))', true],
    ['within', triangle, square, true],
    ['within', square, triangle, false],
    ['within', 'LINESTRING (0 0, 4 0)', square, false],
    ['contains', square, triangle, true],
    ['contains', square, 'POINT (0 0)', false],
    ['contains', 'LINESTRING (0 0, 2 2)', 'POINT (1 1)', true],
    ['touches', 'POINT (2 2)', triangle, true],
    ['touches', 'POINT (1 1)', triangle, false],
    ['touches', 'LINESTRING (0 0, 4 0)', square, true],
    ['touches', 'POLYGON ((4 4, 5 4, 5 5, 4 5, 4 4))', square, true],
    ['touches', 'POLYGON ((3 3, 5 3, 5 5, 3 5, 3 3))', square, false],
    ['overlaps', 'POLYGON ((3 3, 5 3, 5 5, 3 5, 3 3))', square, true],
    ['overlaps', triangle, square, false],
    ['overlaps', 'LINESTRING (0 0, 2 0)', 'LINESTRING (1 0, 3 0)', true],
    ['crosses', 'LINESTRING (-1 2, 5 2)', square, true],
    ['crosses', 'LINESTRING (0 2, 2 0)', 'LINESTRING (0 0, 2 2)', true],
    ['crosses', 'LINESTRING (1 1, 2 2)', square, false],
    ['equals', 'LINESTRING (0 0, 2 2)', 'LINESTRING (2 2, 1 1, 0 0)', true],
    ['equals', square, 'POLYGON ((4 4, 0 4, 0 0, 2 0, 4 0, 4 4))', true],
    ['equals', square, triangle, false],
    ['intersects', 'POLYGON Z ((0 0 9, 4 0 9, 4 4 9, 0 4 9, 0 0 9))', 'POINT ZM (1 1 5 6)', true],
    ['intersects', 'POINT EMPTY', square, false],
    ['within', 'POINT (1 2)', 'POLYGON EMPTY', false],
  ];
  for (const [op, a, b, expected] of table)
    test(`${a} ${op} ${b}: ${expected}`, async () => assert.equal(await ask(op, a, b), expected ? 1 : 0));
});

test('a polygon that crosses itself and one with its hole outside are not valid, empty and simple ones are', async () => {
  assert.equal(await ask('isvalid', bowTie), 0);
  assert.equal(await ask('isvalid', 'POLYGON ((0 0, 4 0, 4 4, 0 0), (8 8, 9 8, 9 9, 8 8))'), 0);
  for (const text of [square, holed, 'POINT (1 1)', 'POLYGON EMPTY', 'LINESTRING (0 0, 1 1, 0 1, 1 0)'])
    assert.equal(await ask('isvalid', text), 1, text);
});

test('an invalid geometry is answered or left without an answer, never an error', async () => {
  for (const op of ['intersects', 'within', 'contains', 'touches', 'overlaps', 'crosses', 'equals'] as const)
    assert.ok([0, 1, NO_ANSWER].includes(await ask(op, bowTie, triangle)), op);
});

test('distances are metres on the globe, to the nearest place of a line or a polygon', async () => {
  // A degree of a meridian is 111.195 km on a globe of the mean radius; Berlin to Paris is 878 km.
  assert.ok(Math.abs(pointDistance(0, 0, 0, 1) - 111_195) < 1);
  assert.ok(Math.abs(pointDistance(13.405, 52.52, 2.3522, 48.8566) - 877_500) < 2000);
  assert.ok(Math.abs(pointDistance(179.5, 0, -179.5, 0) - 111_195) < 1);
  const table: readonly (readonly [string, number, number])[] = [
    ['POINT (0 1)', 111_000, 0],
    ['POINT (0 1)', 111_200, 1],
    ['LINESTRING (-5 1, 5 1)', 111_800, 1],
    ['LINESTRING (-5 1, 5 1)', 110_000, 0],
    ['LINESTRING (1 0, 5 0)', 111_200, 1],
    ['LINESTRING (1 0, 5 0)', 111_100, 0],
    ['POLYGON ((-1 -1, 1 -1, 1 1, -1 1, -1 -1))', 0, 1],
    ['POLYGON ((-2 -2, 2 -2, 2 2, -2 2, -2 -2), (-1 -1, 1 -1, 1 1, -1 1, -1 -1))', 111_000, 0],
    ['POLYGON ((-2 -2, 2 -2, 2 2, -2 2, -2 -2), (-1 -1, 1 -1, 1 1, -1 1, -1 -1))', 111_200, 1],
    ['MULTIPOINT ((50 50), (0 1))', 111_200, 1],
    ['POLYGON EMPTY', 1e9, 0],
  ];
  for (const [text, distance, expected] of table)
    assert.equal(await ask('dwithin', text, 'POINT (0 0)', distance), expected, `${text} ${distance}`);
});

test('a worker answers a batch in its order', async () => {
  const tester = workerTester(inlineWorkers(geometryTasks()));
  const points = Array.from({ length: 50 }, (_, i) => `POINT (${i / 10} 1)`);
  const answers = await tester({ op: 'within', constant: wkbOf(triangle), ...batchOf(points) });
  assert.deepEqual(
    [...answers],
    points.map((_, i) => (i > 0 && i < 30 ? 1 : 0)),
  );
});

test('boxes and points are told from what only looks like them', () => {
  assert.deepEqual(boundsOf(wkbOf('LINESTRING ZM (1 2 9 9, -1 5 9 9)')), [-1, 2, 1, 5]);
  assert.ok(isBox(wkbOf(square)));
  assert.ok(isBox(wkbOf('POLYGON ((0 0, 0 4, 4 4, 4 0, 0 0))')));
  for (const text of [
    holed,
    triangle,
    bowTie,
    'POLYGON EMPTY',
    'POLYGON ((0 0, 4 0, 0 0, 4 0, 0 0))',
    'POINT (1 1)',
  ])
    assert.ok(!isBox(wkbOf(text)), text);
  assert.ok(isPoint(wkbOf('POINT M (1 2 3)')));
  assert.ok(!isPoint(wkbOf('POINT EMPTY')));
});
