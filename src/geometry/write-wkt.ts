/** A kept geometry (wkb.ts) as text, in the spelling of Milvus: `POINT (1 2)`. Numbers have all their digits. */
import { present } from '../support/assert.ts';
import {
  type Dimensions,
  dimensionNames,
  type GeometryName,
  geometryNames,
  HEADER_BYTES,
  widthOf,
} from './wkb.ts';

const numberText = (value: number): string => (Object.is(value, -0) ? '-0' : String(value));

class Printer {
  readonly #view: DataView;
  #at = 0;
  #width = 2;

  constructor(bytes: Uint8Array) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  geometry(): string {
    const { name, dimensions } = this.#header();
    return `${name}${dimensions === '' ? '' : ` ${dimensions}`} ${this.#body(name)}`;
  }

  #header(): { readonly name: GeometryName; readonly dimensions: Dimensions } {
    const wire = this.#view.getUint32(this.#at + 1, true);
    const name = present(geometryNames[(wire % 1000) - 1], 'geometry type');
    const dimensions = present(dimensionNames[Math.floor(wire / 1000)], 'dimensions');
    this.#at += HEADER_BYTES;
    this.#width = widthOf(dimensions);
    return { name, dimensions };
  }

  #body(name: GeometryName): string {
    switch (name) {
      case 'POINT':
        return this.#single();
      case 'LINESTRING':
        return this.#list(() => this.#point());
      case 'POLYGON':
        return this.#list(() => this.#list(() => this.#point()));
      case 'GEOMETRYCOLLECTION':
        return this.#list(() => this.geometry());
      default:
        return this.#list(() => this.#body(this.#header().name));
    }
  }

  #list(item: () => string): string {
    const count = this.#view.getUint32(this.#at, true);
    this.#at += 4;
    if (count === 0) return 'EMPTY';
    let text = item();
    for (let i = 1; i < count; i++) text += `, ${item()}`;
    return `(${text})`;
  }

  #single(): string {
    const isEmpty = Number.isNaN(this.#view.getFloat64(this.#at, true));
    const text = this.#point();
    return isEmpty ? 'EMPTY' : `(${text})`;
  }

  #point(): string {
    let text = '';
    for (let i = 0; i < this.#width; i++) {
      text += `${i === 0 ? '' : ' '}${numberText(this.#view.getFloat64(this.#at, true))}`;
      this.#at += 8;
    }
    return text;
  }
}

/** `bytes` must be a geometry as we keep it. */
export const wktOf = (bytes: Uint8Array): string => new Printer(bytes).geometry();
