/** The bounding box of a geometry, and points, read from its bytes as they are kept (wkb.ts) without building anything. */
import { dimensionNames, HEADER_BYTES, widthOf } from './wkb.ts';

/** x from, y from, x to, y to. Of an empty geometry: infinite the wrong way round. */
export type Bounds = readonly [minX: number, minY: number, maxX: number, maxY: number];

const POINT = 1;
const LINESTRING = 2;
const POLYGON = 3;

/** Goes over all points. */
class Walk {
  readonly #view: DataView;
  #at = 0;
  minX = Number.POSITIVE_INFINITY;
  minY = Number.POSITIVE_INFINITY;
  maxX = Number.NEGATIVE_INFINITY;
  maxY = Number.NEGATIVE_INFINITY;

  constructor(wkb: Uint8Array) {
    this.#view = new DataView(wkb.buffer, wkb.byteOffset, wkb.length);
  }

  geometry(): void {
    const type = this.#view.getUint32(this.#at + 1, true);
    const kind = type % 1000;
    const width = 8 * widthOf(dimensionNames[Math.floor(type / 1000)] ?? '');
    this.#at += HEADER_BYTES;
    if (kind === POINT) this.#points(1, width);
    else if (kind === LINESTRING) this.#points(this.#count(), width);
    else if (kind === POLYGON)
      for (let rings = this.#count(); rings > 0; rings--) this.#points(this.#count(), width);
    else for (let parts = this.#count(); parts > 0; parts--) this.geometry();
  }

  #count(): number {
    this.#at += 4;
    return this.#view.getUint32(this.#at - 4, true);
  }

  /** An empty point is no number: it changes nothing. */
  #points(count: number, width: number): void {
    for (let i = 0; i < count; i++, this.#at += width) {
      const x = this.#view.getFloat64(this.#at, true);
      const y = this.#view.getFloat64(this.#at + 8, true);
      if (x < this.minX) this.minX = x;
      if (x > this.maxX) this.maxX = x;
      if (y < this.minY) this.minY = y;
      if (y > this.maxY) this.maxY = y;
    }
  }
}

export function boundsOf(wkb: Uint8Array): Bounds {
  const walk = new Walk(wkb);
  walk.geometry();
  return [walk.minX, walk.minY, walk.maxX, walk.maxY];
}

export const isEmptyBounds = ([minX, , maxX]: Bounds): boolean => minX > maxX;
export const intersectBounds = (a: Bounds, b: Bounds): boolean =>
  a[0] <= b[2] && b[0] <= a[2] && a[1] <= b[3] && b[1] <= a[3];
/** Whether `inner` is nowhere outside of `outer`. */
export const coverBounds = (outer: Bounds, inner: Bounds): boolean =>
  outer[0] <= inner[0] && outer[1] <= inner[1] && outer[2] >= inner[2] && outer[3] >= inner[3];

/** All types are numbers below 4000. */
export const isPointType = (wkb: Uint8Array): boolean =>
  ((wkb[1] as number) + 256 * (wkb[2] as number)) % 1000 === POINT;

/** A point that is somewhere. */
export const isPoint = (wkb: Uint8Array): boolean => isPointType(wkb) && !isEmptyBounds(boundsOf(wkb));

/** Whether the geometry is a polygon that is its own bounding box and has an inside. */
export function isBox(wkb: Uint8Array): boolean {
  const view = new DataView(wkb.buffer, wkb.byteOffset, wkb.length);
  const type = view.getUint32(1, true);
  if (type % 1000 !== POLYGON || view.getUint32(HEADER_BYTES, true) !== 1) return false;
  if (view.getUint32(HEADER_BYTES + 4, true) !== 5) return false;
  const [minX, minY, maxX, maxY] = boundsOf(wkb);
  const width = 8 * widthOf(dimensionNames[Math.floor(type / 1000)] ?? '');
  const corner = (i: number): readonly [number, number] => {
    const at = HEADER_BYTES + 8 + i * width;
    return [view.getFloat64(at, true), view.getFloat64(at + 8, true)];
  };
  const isCorner = ([x, y]: readonly [number, number]): boolean =>
    (x === minX || x === maxX) && (y === minY || y === maxY);
  // Each side goes along one axis only, so the four corners are visited in a round.
  const isSide = (i: number): boolean => {
    const [a, b] = [corner(i), corner(i + 1)];
    return (a[0] === b[0]) !== (a[1] === b[1]);
  };
  const turns = corner(0)[0] === corner(1)[0] ? corner(1)[0] !== corner(2)[0] : corner(1)[1] !== corner(2)[1];
  return minX < maxX && minY < maxY && turns && [0, 1, 2, 3].every((i) => isCorner(corner(i)) && isSide(i));
}
