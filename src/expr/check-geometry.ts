/** The geometry functions, `ST_…`: a field, a constant in well-known text, and for one of them a distance. */
import { isDbError, messageOf } from '../errors/db-error.ts';
import { isPoint } from '../geometry/bounds.ts';
import { wkbOf } from '../geometry/read-wkt.ts';
import { constantOf } from './check-value.ts';
import type { ConditionFunction } from './functions.ts';
import { type GeometryOp, geometryOps, type Predicate } from './predicate.ts';
import type { Scope } from './scope.ts';
import type { Syntax } from './syntax.ts';

/** Some 65,000 points: one comparison with it takes a worker about a tenth of a second. */
export const MAX_GEOMETRY_BYTES = 2 ** 20;

const argumentsOf: Partial<Readonly<Record<GeometryOp, string>>> = {
  isvalid: 'a Geometry field',
  dwithin: 'a Geometry field, a point as well-known text and a distance in metres',
};

const geometry =
  (op: GeometryOp): ConditionFunction =>
  (scope, { name, at, args }): Predicate => {
    const wanted = op === 'isvalid' ? 1 : op === 'dwithin' ? 3 : 2;
    const [field, constant, distance] = args;
    if (field === undefined || args.length !== wanted)
      throw scope.fail(at, `${name} takes ${argumentsOf[op] ?? 'a Geometry field and well-known text'}`);
    const fieldId = scope.geometry(field);
    if (constant === undefined) return { kind: 'geometry', op, fieldId };
    const wkb = geometryOf(scope, name, constant);
    if (distance === undefined) return { kind: 'geometry', op, fieldId, wkb };
    if (!isPoint(wkb)) throw scope.fail(constant.at, `${name} measures the distance from a point`);
    return { kind: 'geometry', op, fieldId, wkb, distance: distanceOf(scope, name, distance) };
  };

function geometryOf(scope: Scope, name: string, node: Syntax): Uint8Array {
  const text = constantOf(scope, node);
  if (typeof text !== 'string')
    throw scope.fail(node.at, `${name} takes well-known text, such as 'POINT (1 2)'`);
  const wkb = parsed(scope, node.at, text);
  if (wkb.length > MAX_GEOMETRY_BYTES)
    throw scope.fail(node.at, `the geometry has more than ${MAX_GEOMETRY_BYTES} bytes of well-known binary`);
  return wkb;
}

function parsed(scope: Scope, at: number, text: string): Uint8Array {
  try {
    return wkbOf(text);
  } catch (error) {
    if (isDbError(error)) throw scope.fail(at, messageOf(error));
    throw error;
  }
}

function distanceOf(scope: Scope, name: string, node: Syntax): number {
  const distance = Number(constantOf(scope, node));
  if (!(distance >= 0 && Number.isFinite(distance)))
    throw scope.fail(node.at, `the distance of ${name} is a number of metres from 0 on`);
  return distance;
}

export const geometryFunctions: readonly (readonly [string, ConditionFunction])[] = geometryOps.map((op) => [
  `st_${op}`,
  geometry(op),
]);
