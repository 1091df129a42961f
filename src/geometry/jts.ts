/**
 * The one door to JSTS, which knows how two geometries lie to each other. Only what is used is loaded, and only by who compares
 * geometries. JSTS's prepared geometries are left alone: their constructors fail.
 */
import IndexedPointInAreaLocator from 'jsts/org/locationtech/jts/algorithm/locate/IndexedPointInAreaLocator.js';
import Coordinate from 'jsts/org/locationtech/jts/geom/Coordinate.js';
import GeometryFactory from 'jsts/org/locationtech/jts/geom/GeometryFactory.js';
import RelateOp from 'jsts/org/locationtech/jts/operation/relate/RelateOp.js';
import IsValidOp from 'jsts/org/locationtech/jts/operation/valid/IsValidOp.js';
import type { Points, Shape } from './shapes.ts';

/** A geometry of JSTS. */
export interface JtsGeometry {
  getCoordinate(): unknown;
}

/** Where a point lies to an area. */
export type Place = 'inside' | 'boundary' | 'outside';

const factory = new GeometryFactory();

function coordinates(points: Points): unknown[] {
  const all: unknown[] = [];
  for (let i = 0; i < points.length; i += 2) all.push(new Coordinate(points[i], points[i + 1]));
  return all;
}

export function jtsOf(shape: Shape): JtsGeometry {
  switch (shape.kind) {
    case 'point':
      return shape.points.length === 0
        ? factory.createPoint()
        : factory.createPoint(coordinates(shape.points)[0]);
    case 'line':
      return factory.createLineString(coordinates(shape.points));
    case 'polygon': {
      const [shell, ...holes] = shape.rings.map((ring) => factory.createLinearRing(coordinates(ring)));
      return shell === undefined ? factory.createPolygon() : factory.createPolygon(shell, holes);
    }
    case 'points':
      return factory.createMultiPoint(shape.parts.map(jtsOf));
    case 'lines':
      return factory.createMultiLineString(shape.parts.map(jtsOf));
    case 'polygons':
      return factory.createMultiPolygon(shape.parts.map(jtsOf));
    case 'collection':
      return factory.createGeometryCollection(shape.parts.map(jtsOf));
  }
}

type Relation = (a: JtsGeometry, b: JtsGeometry) => boolean;

/** The predicates of the simple features, by the names of the filter language. Throws for pairs that have no answer. */
export const relations = {
  equals: (a, b) => RelateOp.equalsTopo(a, b),
  touches: (a, b) => RelateOp.touches(a, b),
  overlaps: (a, b) => RelateOp.overlaps(a, b),
  crosses: (a, b) => RelateOp.crosses(a, b),
  contains: (a, b) => RelateOp.contains(a, b),
  intersects: (a, b) => RelateOp.intersects(a, b),
  within: (a, b) => RelateOp.contains(b, a),
} as const satisfies Record<string, Relation>;

export const isValid = (geometry: JtsGeometry): boolean => IsValidOp.isValid(geometry);

const places: readonly Place[] = ['inside', 'boundary', 'outside'];

/** Answers in logarithmic time; the first call makes the index. */
export function areaLocator(area: JtsGeometry): (point: JtsGeometry) => Place {
  const locator = new IndexedPointInAreaLocator(area);
  return (point) => places[locator.locate(point.getCoordinate())] ?? 'outside';
}
