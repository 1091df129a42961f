/** A geometry as kept (wkb.ts), taken apart: x and y of its points, whatever else they have left out. */
import { dimensionNames, geometryNames, HEADER_BYTES, widthOf } from './wkb.ts';

/** x and y in turn. */
export type Points = Float64Array;
export type Shape =
  /** No points: empty. */
  | { readonly kind: 'point' | 'line'; readonly points: Points }
  | { readonly kind: 'polygon'; readonly rings: readonly Points[] }
  | { readonly kind: 'points' | 'lines' | 'polygons' | 'collection'; readonly parts: readonly Shape[] };

class Reader {
  readonly #view: DataView;
  #at = 0;

  constructor(wkb: Uint8Array) {
    this.#view = new DataView(wkb.buffer, wkb.byteOffset, wkb.length);
  }

  shape(): Shape {
    const type = this.#view.getUint32(this.#at + 1, true);
    const width = widthOf(dimensionNames[Math.floor(type / 1000)] ?? '');
    this.#at += HEADER_BYTES;
    switch (geometryNames[(type % 1000) - 1]) {
      case 'POINT':
        return { kind: 'point', points: this.#point(width) };
      case 'LINESTRING':
        return { kind: 'line', points: this.#points(width) };
      case 'POLYGON':
        return { kind: 'polygon', rings: this.#list(() => this.#points(width)) };
      case 'MULTIPOINT':
        return { kind: 'points', parts: this.#list(() => this.shape()) };
      case 'MULTILINESTRING':
        return { kind: 'lines', parts: this.#list(() => this.shape()) };
      case 'MULTIPOLYGON':
        return { kind: 'polygons', parts: this.#list(() => this.shape()) };
      default:
        return { kind: 'collection', parts: this.#list(() => this.shape()) };
    }
  }

  #list<T>(item: () => T): T[] {
    return Array.from({ length: this.#count() }, item);
  }

  #count(): number {
    this.#at += 4;
    return this.#view.getUint32(this.#at - 4, true);
  }

  /** An empty point is written as numbers that are none. */
  #point(width: number): Points {
    const points = this.#take(1, width);
    return Number.isNaN(points[0]) ? new Float64Array(0) : points;
  }

  #points(width: number): Points {
    return this.#take(this.#count(), width);
  }

  #take(count: number, width: number): Points {
    const points = new Float64Array(count * 2);
    for (let i = 0; i < count; i++, this.#at += 8 * width) {
      points[2 * i] = this.#view.getFloat64(this.#at, true);
      points[2 * i + 1] = this.#view.getFloat64(this.#at + 8, true);
    }
    return points;
  }
}

export const shapeOf = (wkb: Uint8Array): Shape => new Reader(wkb).shape();
