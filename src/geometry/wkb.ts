/**
 * Well-known binary of simple features, as ISO 13249 has it: points of two to four numbers, everything nested in itself. In memory, in
 * files and in the log every geometry is this, little-endian, and valid: rings are closed, numbers finite.
 */
import { DbError } from '../errors/db-error.ts';

/** By number, from 1 on. */
export const geometryNames = [
  'POINT',
  'LINESTRING',
  'POLYGON',
  'MULTIPOINT',
  'MULTILINESTRING',
  'MULTIPOLYGON',
  'GEOMETRYCOLLECTION',
] as const;
export type GeometryName = (typeof geometryNames)[number];

/** What a point has besides x and y; by the thousands of the type's number. */
export const dimensionNames = ['', 'Z', 'M', 'ZM'] as const;
export type Dimensions = (typeof dimensionNames)[number];
/** Numbers of a point. */
export const widthOf = (dimensions: Dimensions): number => 2 + dimensions.length;

/** What a geometry of several others may hold. */
export const partOf: Partial<Readonly<Record<GeometryName, GeometryName>>> = {
  MULTIPOINT: 'POINT',
  MULTILINESTRING: 'LINESTRING',
  MULTIPOLYGON: 'POLYGON',
};

/** Collections in collections. */
export const MAX_GEOMETRY_DEPTH = 32;
export const HEADER_BYTES = 5;

export const badGeometry = (why: string): DbError =>
  new DbError('parameter-invalid', `invalid geometry: ${why}`);

/** A closed ring of a polygon has no fewer points. */
const MIN_RING = 4;
export const requireLine = (count: number): void => {
  if (count === 1) throw badGeometry('a line needs two points or more');
};
export function requireRing(count: number, isClosed: boolean): void {
  if (count < MIN_RING) throw badGeometry(`a ring needs four points or more, found ${count}`);
  if (!isClosed) throw badGeometry('a ring is not closed: its last point must be its first');
}

/** Flags of PostGIS's form in the type's number; a number of a reference system would follow the last. */
const EWKB_Z = 0x8000_0000;
const EWKB_M = 0x4000_0000;
const EWKB_SRID = 0x2000_0000;

interface Header {
  readonly name: GeometryName;
  readonly dimensions: Dimensions;
}

/** The type's number, whoever wrote it. */
function headerOf(wire: number): Header {
  if ((wire & EWKB_SRID) !== 0) throw badGeometry('a number of a reference system (SRID) is not kept');
  const flags = ((wire & EWKB_Z) !== 0 ? 1 : 0) + ((wire & EWKB_M) !== 0 ? 2 : 0);
  const plain = wire % EWKB_SRID;
  const name = geometryNames[(plain % 1000) - 1];
  const dimensions = dimensionNames[flags === 0 ? Math.floor(plain / 1000) : flags];
  if (name === undefined || dimensions === undefined || (flags > 0 && plain >= 1000))
    throw badGeometry(`type ${wire >>> 0} is unknown`);
  return { name, dimensions };
}

/** The number of a type. */
export const typeNumber = (name: GeometryName, dimensions: Dimensions): number =>
  dimensionNames.indexOf(dimensions) * 1000 + geometryNames.indexOf(name) + 1;

/** Goes over the bytes of one geometry and turns them around, where they are, to little-endian and ISO's numbers of types. */
class Normalizer {
  readonly #view: DataView;
  #at = 0;
  #isLittle = true;
  #dimensions: Dimensions = '';

  constructor(bytes: Uint8Array) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  whole(): void {
    this.#geometry(0, undefined);
    if (this.#at !== this.#view.byteLength) throw badGeometry('bytes are left over behind it');
  }

  #geometry(depth: number, only: GeometryName | undefined): void {
    const outer = this.#isLittle;
    const { name, dimensions } = this.#header();
    if (only !== undefined && name !== only) throw badGeometry(`a ${name} stands where a ${only} belongs`);
    if (depth > 0 && dimensions !== this.#dimensions) throw badGeometry('its points differ in dimension');
    this.#dimensions = dimensions;
    this.#body(name, depth);
    this.#isLittle = outer;
  }

  #header(): Header {
    this.#need(HEADER_BYTES);
    const order = this.#view.getUint8(this.#at);
    if (order > 1) throw badGeometry(`byte order ${order} is unknown`);
    this.#isLittle = order === 1;
    const header = headerOf(this.#view.getUint32(this.#at + 1, this.#isLittle));
    this.#view.setUint8(this.#at, 1);
    this.#view.setUint32(this.#at + 1, typeNumber(header.name, header.dimensions), true);
    this.#at += HEADER_BYTES;
    return header;
  }

  #body(name: GeometryName, depth: number): void {
    if (name === 'POINT') this.#point(true);
    else if (name === 'LINESTRING') requireLine(this.#points());
    else if (name === 'POLYGON') {
      for (let rings = this.#count(4); rings > 0; rings--) this.#ring();
    } else {
      if (depth >= MAX_GEOMETRY_DEPTH) throw badGeometry('it is nested too deeply');
      for (let parts = this.#count(HEADER_BYTES); parts > 0; parts--) this.#geometry(depth + 1, partOf[name]);
    }
  }

  #points(): number {
    const count = this.#count(8 * widthOf(this.#dimensions));
    for (let i = 0; i < count; i++) this.#point(false);
    return count;
  }

  #ring(): void {
    const start = this.#at + 4;
    const count = this.#points();
    const last = this.#at - 8 * widthOf(this.#dimensions);
    const isSame = (offset: number): boolean =>
      this.#view.getFloat64(start + offset, true) === this.#view.getFloat64(last + offset, true);
    requireRing(count, count > 0 && isSame(0) && isSame(8));
  }

  /** An empty point is made of numbers that are none. */
  #point(mayBeEmpty: boolean): void {
    const width = widthOf(this.#dimensions);
    this.#need(8 * width);
    let finite = 0;
    for (let i = 0; i < width; i++) {
      const value = this.#view.getFloat64(this.#at, this.#isLittle);
      if (Number.isFinite(value)) finite++;
      else if (!Number.isNaN(value)) throw badGeometry('a coordinate is infinite');
      if (!this.#isLittle) this.#view.setBigUint64(this.#at, this.#view.getBigUint64(this.#at), true);
      this.#at += 8;
    }
    if (finite < width && !(mayBeEmpty && finite === 0)) throw badGeometry('a coordinate is not a number');
  }

  /** A count of things that take `least` bytes each. */
  #count(least: number): number {
    this.#need(4);
    const count = this.#view.getUint32(this.#at, this.#isLittle);
    this.#view.setUint32(this.#at, count, true);
    this.#at += 4;
    this.#need(count * least);
    return count;
  }

  #need(bytes: number): void {
    if (bytes > this.#view.byteLength - this.#at) throw badGeometry('it ends too early');
  }
}

/** The same geometry as we keep it. Throws `parameter-invalid` for bytes that are not exactly one. */
export function normalizedWkb(bytes: Uint8Array): Uint8Array {
  // Not `slice`: a Buffer's shares its bytes.
  const copy = new Uint8Array(bytes);
  new Normalizer(copy).whole();
  return copy;
}
