/** Distances on the globe, in metres. x is the longitude, y the latitude, in degrees. */
import type { Points, Shape } from './shapes.ts';

/** The mean radius of the Earth (IUGG). */
export const EARTH_RADIUS_METERS = 6_371_008.8;
const RADIANS = Math.PI / 180;

/** Haversine: exact also for points that lie close together. */
export function pointDistance(x1: number, y1: number, x2: number, y2: number): number {
  const across = Math.sin(((y2 - y1) * RADIANS) / 2);
  const along = Math.sin(((x2 - x1) * RADIANS) / 2);
  const h = across * across + Math.cos(y1 * RADIANS) * Math.cos(y2 * RADIANS) * along * along;
  return 2 * EARTH_RADIUS_METERS * Math.asin(Math.min(1, Math.sqrt(h)));
}

type Vector = readonly [number, number, number];

function vectorOf(x: number, y: number): Vector {
  const [longitude, latitude] = [x * RADIANS, y * RADIANS];
  return [
    Math.cos(latitude) * Math.cos(longitude),
    Math.cos(latitude) * Math.sin(longitude),
    Math.sin(latitude),
  ];
}

const dot = (a: Vector, b: Vector): number => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
const cross = (a: Vector, b: Vector): Vector => [
  a[1] * b[2] - a[2] * b[1],
  a[2] * b[0] - a[0] * b[2],
  a[0] * b[1] - a[1] * b[0],
];

/** From a point to the shorter arc of the great circle between two others. */
export function segmentDistance(
  [x, y]: readonly [number, number],
  [x1, y1]: readonly [number, number],
  [x2, y2]: readonly [number, number],
): number {
  const ends = Math.min(pointDistance(x, y, x1, y1), pointDistance(x, y, x2, y2));
  const [p, a, b] = [vectorOf(x, y), vectorOf(x1, y1), vectorOf(x2, y2)];
  const normal = cross(a, b);
  const length = Math.hypot(...normal);
  if (length === 0) return ends;
  // The foot of the point on the circle lies on the arc when it is behind neither end.
  const isBeside = dot(cross(normal, a), p) > 0 && dot(cross(b, normal), p) > 0;
  return isBeside
    ? Math.min(ends, EARTH_RADIUS_METERS * Math.asin(Math.min(1, Math.abs(dot(normal, p)) / length)))
    : ends;
}

/** From a point to the nearest place of a shape; 0 inside of a polygon. Infinite for an empty shape. */
export function shapeDistance(point: readonly [number, number], shape: Shape): number {
  switch (shape.kind) {
    case 'point':
    case 'line':
      return pathDistance(point, shape.points);
    case 'polygon':
      return isInside(point, shape.rings) ? 0 : least(shape.rings.map((ring) => pathDistance(point, ring)));
    default:
      return least(shape.parts.map((part) => shapeDistance(point, part)));
  }
}

const least = (distances: readonly number[]): number =>
  distances.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY);

function pathDistance(point: readonly [number, number], points: Points): number {
  const at = (i: number): readonly [number, number] => [points[i] as number, points[i + 1] as number];
  if (points.length === 0) return Number.POSITIVE_INFINITY;
  if (points.length === 2) return pointDistance(...point, ...at(0));
  let nearest = Number.POSITIVE_INFINITY;
  for (let i = 0; i + 3 < points.length; i += 2)
    nearest = Math.min(nearest, segmentDistance(point, at(i), at(i + 2)));
  return nearest;
}

/** Counts the sides that a ray to the right crosses, those of holes too. */
function isInside([x, y]: readonly [number, number], rings: readonly Points[]): boolean {
  let crossings = 0;
  for (const ring of rings)
    for (let i = 0; i + 3 < ring.length; i += 2) {
      const [x1, y1, x2, y2] = ring.subarray(i, i + 4) as unknown as [number, number, number, number];
      if (y1 > y !== y2 > y && x < x1 + ((y - y1) / (y2 - y1)) * (x2 - x1)) crossings++;
    }
  return crossings % 2 === 1;
}
