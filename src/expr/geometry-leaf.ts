/** What bounding boxes, points and boxes tell of a geometry predicate; the rest is compared by a worker. */
import {
  type Bounds,
  boundsOf,
  coverBounds,
  intersectBounds,
  isBox,
  isEmptyBounds,
  isPointType,
} from '../geometry/bounds.ts';
import { EARTH_RADIUS_METERS, pointDistance } from '../geometry/sphere.ts';
import { type Answer, NO, YES } from './answer.ts';
import type { GeometryOp, GeometryTest } from './predicate.ts';

/** Undefined: nothing. */
type Decide = (wkb: Uint8Array) => Answer | undefined;

/** What boxes tell of `test`. */
export function boxTest({ op, wkb, distance }: GeometryTest): Decide {
  if (wkb === undefined) return () => undefined;
  const constant = boundsOf(wkb);
  if (op === 'dwithin') return distanceBox(constant, distance ?? 0);
  const box = isBox(wkb) ? constant : undefined;
  return (row) => {
    const bounds = boundsOf(row);
    if (isEmptyBounds(bounds) || isEmptyBounds(constant)) return emptyAnswer(op, bounds, constant);
    if (!mayHold(op, bounds, constant)) return NO;
    if (box !== undefined && isPointType(row)) return pointInBox(op, bounds, box);
    return undefined;
  };
}

/** Nothing has no place: it equals itself and is in no other relation. */
const emptyAnswer = (op: GeometryOp, a: Bounds, b: Bounds): Answer =>
  op === 'equals' && isEmptyBounds(a) && isEmptyBounds(b) ? YES : NO;

function mayHold(op: GeometryOp, row: Bounds, constant: Bounds): boolean {
  switch (op) {
    case 'equals':
      return coverBounds(row, constant) && coverBounds(constant, row);
    case 'contains':
      return coverBounds(row, constant);
    case 'within':
      return coverBounds(constant, row);
    default:
      return intersectBounds(row, constant);
  }
}

/** The boxes are known to meet: the point is inside of the box or on its boundary. */
function pointInBox(op: GeometryOp, [x, y]: Bounds, [minX, minY, maxX, maxY]: Bounds): Answer {
  const isInside = x > minX && x < maxX && y > minY && y < maxY;
  if (op === 'intersects') return YES;
  if (op === 'within') return isInside ? YES : NO;
  return op === 'touches' && !isInside ? YES : NO;
}

const METERS_PER_DEGREE = (Math.PI / 180) * EARTH_RADIUS_METERS;
/** So that rounding never decides against a row. */
const SLACK = 1.000001;

/** No two places are closer than their latitudes are; points are measured at once. */
function distanceBox([x, y]: Bounds, distance: number): Decide {
  return (row) => {
    const bounds = boundsOf(row);
    if (isEmptyBounds(bounds)) return NO;
    if (isPointType(row)) return pointDistance(x, y, bounds[0], bounds[1]) <= distance ? YES : NO;
    const apart = Math.max(bounds[1] - y, y - bounds[3], 0) * METERS_PER_DEGREE;
    return apart > distance * SLACK ? NO : undefined;
  };
}
