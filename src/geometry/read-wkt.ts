/** Well-known text to the geometry we keep (wkb.ts). Strict: one whole geometry, every ring closed, every number finite. */
import { present } from '../support/assert.ts';
import {
  badGeometry,
  type Dimensions,
  dimensionNames,
  type GeometryName,
  geometryNames,
  MAX_GEOMETRY_DEPTH,
  partOf,
  requireLine,
  requireRing,
  typeNumber,
  widthOf,
} from './wkb.ts';

const names: ReadonlySet<string> = new Set(geometryNames);

const isEndOfNumber = (next: string | undefined): boolean => next === undefined || /[\s,()]/.test(next);

/** Bytes that grow. */
class Bytes {
  #view = new DataView(new ArrayBuffer(64));
  length = 0;

  /** Writes `count` bytes later; returns where. */
  reserve(count: number): number {
    const at = this.length;
    this.length += count;
    if (this.length > this.#view.byteLength) {
      const larger = new Uint8Array(Math.max(this.length, 2 * this.#view.byteLength));
      larger.set(new Uint8Array(this.#view.buffer));
      this.#view = new DataView(larger.buffer);
    }
    return at;
  }

  byte(value: number): void {
    const at = this.reserve(1);
    this.#view.setUint8(at, value);
  }

  word(value: number, at = this.reserve(4)): void {
    this.#view.setUint32(at, value, true);
  }

  double(value: number): void {
    const at = this.reserve(8);
    this.#view.setFloat64(at, value, true);
  }

  readDouble(at: number): number {
    return this.#view.getFloat64(at, true);
  }

  finish(): Uint8Array {
    return new Uint8Array(this.#view.buffer, 0, this.length).slice();
  }
}

/** Places of the types' numbers: they are known when the dimension of the points is. */
interface Header {
  readonly at: number;
  readonly name: GeometryName;
}

class Parser {
  readonly #text: string;
  readonly #word = /\s*([A-Za-z]+)/y;
  /** Never taken back in part: a look at what follows stands apart, or a long row of digits would be tried at every length. */
  readonly #number = /\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)/y;
  #pos = 0;
  readonly #out = new Bytes();
  readonly #headers: Header[] = [];
  /** Undefined until a word or the first point tells. */
  #dimensions: Dimensions | undefined;

  constructor(text: string) {
    this.#text = text;
  }

  whole(): Uint8Array {
    this.#geometry(0);
    this.#space();
    if (this.#pos < this.#text.length) throw this.#fault('the end');
    for (const { at, name } of this.#headers) this.#out.word(typeNumber(name, this.#dimensions ?? ''), at);
    return this.#out.finish();
  }

  #geometry(depth: number): void {
    const [name, tag] = this.#name();
    if (tag !== '' || depth === 0) this.#tell(tag);
    this.#header(name);
    this.#body(name, depth);
  }

  /** `POINT`, `POINT Z`, `POINTZ`; in any case. */
  #name(): readonly [GeometryName, Dimensions] {
    const word = this.#readWord()?.toUpperCase() ?? '';
    const [, stem = '', glued = ''] = /^(.*?)(ZM|Z|M)?$/.exec(word) ?? [];
    if (!names.has(stem))
      throw badGeometry(`no geometry is called '${word.slice(0, 30)}' at position ${this.#pos}`);
    const before = this.#pos;
    const next = glued === '' ? (this.#readWord()?.toUpperCase() ?? '') : glued;
    const tag = dimensionNames.find((each) => each === next);
    if (tag === undefined || tag === '') this.#pos = before;
    return [stem as GeometryName, tag ?? ''];
  }

  /** A word `Z`, `M` or `ZM` was read; none leaves it to the first point. */
  #tell(tag: Dimensions): void {
    if (tag === '') return;
    if (this.#dimensions !== undefined && this.#dimensions !== tag)
      throw badGeometry('its points differ in dimension');
    this.#dimensions = tag;
  }

  #header(name: GeometryName): void {
    this.#out.byte(1);
    this.#headers.push({ at: this.#out.reserve(4), name });
  }

  #body(name: GeometryName, depth: number): void {
    if (name === 'POINT') this.#single();
    else if (name === 'LINESTRING') requireLine(this.#points());
    else if (name === 'POLYGON') this.#list(() => this.#ring());
    else this.#parts(partOf[name], depth);
  }

  #parts(part: GeometryName | undefined, depth: number): void {
    if (depth >= MAX_GEOMETRY_DEPTH) throw badGeometry('it is nested too deeply');
    this.#list(() => {
      if (part === undefined) {
        this.#geometry(depth + 1);
        return;
      }
      this.#header(part);
      // The points of a multipoint may stand without brackets.
      if (part === 'POINT' && !this.#isNext('(') && !this.#isNext('E')) this.#point();
      else this.#body(part, depth + 1);
    });
  }

  #single(): void {
    if (this.#isEmpty()) {
      this.#dimensions ??= '';
      for (let i = widthOf(this.#dimensions); i > 0; i--) this.#out.double(Number.NaN);
      return;
    }
    this.#expect('(');
    this.#point();
    this.#expect(')');
  }

  #points(): number {
    return this.#list(() => this.#point());
  }

  #ring(): void {
    const start = this.#out.length + 4;
    const count = this.#points();
    const last = this.#out.length - 8 * widthOf(this.#dimensions ?? '');
    const isSame = (offset: number): boolean =>
      this.#out.readDouble(start + offset) === this.#out.readDouble(last + offset);
    requireRing(count, count > 0 && isSame(0) && isSame(8));
  }

  /** `EMPTY`, or what stands in brackets between commas. Returns the count, which is written before the items. */
  #list(item: () => void): number {
    const at = this.#out.reserve(4);
    let count = 0;
    if (!this.#isEmpty()) {
      this.#expect('(');
      do {
        item();
        count++;
      } while (this.#skip(','));
      this.#expect(')');
    }
    this.#out.word(count, at);
    return count;
  }

  #point(): void {
    let count = 0;
    for (let value = this.#readNumber(); value !== undefined; value = this.#readNumber()) {
      this.#out.double(value);
      count++;
    }
    this.#dimensions ??= count === 3 ? 'Z' : count === 4 ? 'ZM' : '';
    const wanted = widthOf(this.#dimensions);
    if (count !== wanted)
      throw badGeometry(`a point of ${count} numbers, not ${wanted}, at position ${this.#pos}`);
  }

  #readNumber(): number | undefined {
    this.#number.lastIndex = this.#pos;
    const found = this.#number.exec(this.#text);
    const end = this.#number.lastIndex;
    if (found === null || !isEndOfNumber(this.#text[end])) return undefined;
    this.#pos = end;
    const value = Number(present(found[1], 'number'));
    if (!Number.isFinite(value)) throw badGeometry(`a coordinate is too large at position ${this.#pos}`);
    return value;
  }

  #readWord(): string | undefined {
    this.#word.lastIndex = this.#pos;
    const found = this.#word.exec(this.#text);
    if (found !== null) this.#pos = this.#word.lastIndex;
    return found?.[1];
  }

  #isEmpty(): boolean {
    const before = this.#pos;
    const word = this.#readWord();
    if (word?.toUpperCase() === 'EMPTY') return true;
    this.#pos = before;
    return false;
  }

  #space(): void {
    while (/\s/.test(this.#text[this.#pos] ?? '')) this.#pos++;
  }

  #isNext(char: string): boolean {
    this.#space();
    return this.#text[this.#pos]?.toUpperCase() === char;
  }

  #skip(char: string): boolean {
    const isThere = this.#isNext(char);
    if (isThere) this.#pos++;
    return isThere;
  }

  #expect(char: string): void {
    if (!this.#skip(char)) throw this.#fault(`'${char}'`);
  }

  #fault(wanted: string): Error {
    const found = this.#text[this.#pos];
    const shown = found === undefined ? 'the end' : `'${found}'`;
    return badGeometry(`found ${shown} instead of ${wanted} at position ${this.#pos}`);
  }
}

/** Throws `parameter-invalid` for text that is not exactly one geometry. */
export const wkbOf = (text: string): Uint8Array => new Parser(text).whole();
