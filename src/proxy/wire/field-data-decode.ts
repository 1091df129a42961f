/** `schema.FieldData` off the wire: one column as the client sent it, not yet checked against any schema. */
import type { FixedValues } from '../../model/rows.ts';
import { BytesList, type FixedKind, FixedList } from './lists.ts';
import { malformed, type WireReader } from './reader.ts';

/** Values as sent; nulls may be left out, `valid` says where they belong. */
export type WireData =
  | { readonly kind: FixedKind; readonly values: FixedValues }
  | { readonly kind: 'string' | 'json'; readonly offsets: Uint32Array; readonly data: Uint8Array }
  | { readonly kind: 'array'; readonly offsets: Uint32Array; readonly items: WireData }
  | { readonly kind: 'vector'; readonly dim: number; readonly values: Float32Array }
  /** Nothing, or something that is not served: `name` is the member of the message. */
  | { readonly kind: 'none' }
  | { readonly kind: 'other'; readonly name: string };

export interface WireField {
  readonly name: string;
  /** Wire data type; 0 when the client left it out. */
  readonly type: number;
  readonly isDynamic: boolean;
  /** 1 for a row with a value; empty when the client sent none. */
  readonly valid: Uint8Array;
  readonly data: WireData;
}

const fixedMembers: ReadonlyMap<number, FixedKind> = new Map([
  [1, 'bool'],
  [2, 'int'],
  [3, 'long'],
  [4, 'float'],
  [5, 'double'],
]);
const STRINGS = 6;
const ARRAYS = 8;
const JSONS = 9;
/** Members of `ScalarField` that are not served. */
const otherScalars: ReadonlyMap<number, string> = new Map([
  [7, 'bytes_data'],
  [10, 'geometry_data'],
  [11, 'timestamptz_data'],
  [12, 'geometry_wkt_data'],
  [13, 'mol_data'],
  [14, 'mol_smiles_data'],
  [15, 'date_data'],
  [16, 'time_data'],
]);
const otherVectors: ReadonlyMap<number, string> = new Map([
  [3, 'binary_vector'],
  [4, 'float16_vector'],
  [5, 'bfloat16_vector'],
  [6, 'sparse_float_vector'],
  [7, 'int8_vector'],
  [8, 'vector_array'],
]);

/** Collects one oneof: repeated messages of the same member are merged, another member replaces it, as protobuf has it. */
class ScalarCollector {
  #fixed: FixedList | undefined;
  #bytes: BytesList | undefined;
  #isJson = false;
  #rows: ScalarRows | undefined;
  #other: string | undefined;
  /** Whether a member has taken the place of another. */
  isReplaced = false;

  /** Values collected so far. */
  get length(): number {
    return this.#fixed?.length ?? this.#bytes?.length ?? 0;
  }

  /** The member collected; empty when there is none. */
  get kind(): string {
    return (
      this.#fixed?.kind ??
      (this.#bytes === undefined ? (this.#other ?? '') : this.#isJson ? 'json' : 'string')
    );
  }

  /** Reads one `ScalarField`; the reader stands inside it. */
  read(reader: WireReader, depth = 0): void {
    while (reader.next()) {
      const kind = fixedMembers.get(reader.field);
      if (kind !== undefined) this.#readFixed(reader, kind);
      else if (reader.field === STRINGS || reader.field === JSONS) this.#readBytes(reader);
      else if (reader.field === ARRAYS && depth === 0) this.#readArrays(reader);
      else this.#readOther(reader);
    }
  }

  #readFixed(reader: WireReader, kind: FixedKind): void {
    if (this.#fixed?.kind !== kind) this.#replace();
    this.#fixed ??= new FixedList(kind);
    const list = this.#fixed;
    eachData(reader, () => list.read(reader));
  }

  #readBytes(reader: WireReader): void {
    const isJson = reader.field === JSONS;
    if (this.#bytes === undefined || this.#isJson !== isJson) this.#replace();
    this.#isJson = isJson;
    this.#bytes ??= new BytesList();
    const list = this.#bytes;
    eachData(
      reader,
      () => list.read(reader),
      (size) => list.reserve(size),
    );
  }

  #readArrays(reader: WireReader): void {
    if (this.#rows === undefined) this.#replace();
    this.#rows ??= new ScalarRows();
    const rows = this.#rows;
    eachData(reader, () => rows.read(reader));
  }

  #readOther(reader: WireReader): void {
    const name = reader.field === ARRAYS ? 'array_data' : otherScalars.get(reader.field);
    if (name !== undefined) {
      this.#replace();
      this.#other = name;
    }
    reader.skip();
  }

  #replace(): void {
    this.isReplaced ||= this.kind !== '';
    this.#fixed = undefined;
    this.#bytes = undefined;
    this.#rows = undefined;
    this.#other = undefined;
  }

  finish(): WireData {
    if (this.#fixed !== undefined) return { kind: this.#fixed.kind, values: this.#fixed.finish() };
    if (this.#bytes !== undefined) return { kind: this.#isJson ? 'json' : 'string', ...this.#bytes.finish() };
    if (this.#rows !== undefined) return this.#rows.finish();
    return this.#other === undefined ? { kind: 'none' } : { kind: 'other', name: this.#other };
  }
}

/** `ArrayArray`: the items of all rows in one list, with offsets. */
class ScalarRows {
  readonly #items = new ScalarCollector();
  readonly #offsets: number[] = [0];
  #kind = '';

  /** The reader stands on one row's `ScalarField`. */
  read(reader: WireReader): void {
    const outer = reader.enter();
    this.#items.read(reader, 1);
    reader.leave(outer);
    // A member that gives way to another would take the items of earlier rows with it.
    if (this.#items.isReplaced || (this.#kind !== '' && this.#kind !== this.#items.kind))
      throw malformed('rows of an array field hold different types');
    this.#kind = this.#items.kind;
    const count = this.#items.length;
    this.#offsets.push(count);
  }

  finish(): WireData {
    return { kind: 'array', offsets: Uint32Array.from(this.#offsets), items: this.#items.finish() };
  }
}

/** Goes through a message whose only field of interest is `repeated … data = 1`. */
function eachData(reader: WireReader, read: () => void, sized?: (size: number) => void): void {
  const outer = reader.enter();
  sized?.(reader.end - reader.pos);
  while (reader.next()) {
    if (reader.field === 1) read();
    else reader.skip();
  }
  reader.leave(outer);
}

class VectorCollector {
  #dim = 0;
  #floats: FixedList | undefined;
  #other: string | undefined;

  read(reader: WireReader): void {
    while (reader.next()) {
      const other = otherVectors.get(reader.field);
      if (reader.field === 1) this.#dim = reader.number();
      else if (reader.field === 2) {
        this.#other = undefined;
        this.#floats ??= new FixedList('float');
        const floats = this.#floats;
        eachData(reader, () => floats.read(reader));
      } else {
        if (other !== undefined) {
          this.#other = other;
          this.#floats = undefined;
        }
        reader.skip();
      }
    }
  }

  finish(): WireData {
    if (this.#other !== undefined) return { kind: 'other', name: this.#other };
    const values = this.#floats?.finish() ?? new Float32Array(0);
    return { kind: 'vector', dim: this.#dim, values: values as Float32Array };
  }
}

class FieldCollector {
  name = '';
  type = 0;
  isDynamic = false;
  readonly #valid = new FixedList('bool');
  #data: ScalarCollector | VectorCollector | undefined;
  #other: string | undefined;

  read(reader: WireReader): void {
    switch (reader.field) {
      case 1:
        this.type = reader.number();
        break;
      case 2:
        this.name = reader.string();
        break;
      case 3:
      case 4:
        this.#readData(reader, reader.field === 3 ? ScalarCollector : VectorCollector);
        break;
      case 6:
        this.isDynamic = reader.number() !== 0;
        break;
      case 7:
        this.#valid.read(reader);
        break;
      default:
        if (reader.field === 8) this.#other = 'struct_arrays';
        reader.skip();
    }
  }

  #readData(reader: WireReader, Collector: typeof ScalarCollector | typeof VectorCollector): void {
    if (!(this.#data instanceof Collector)) this.#data = new Collector();
    this.#other = undefined;
    const outer = reader.enter();
    this.#data.read(reader);
    reader.leave(outer);
  }

  finish(): WireField {
    const data: WireData =
      this.#other === undefined
        ? (this.#data?.finish() ?? { kind: 'none' })
        : { kind: 'other', name: this.#other };
    const { name, type, isDynamic } = this;
    return { name, type, isDynamic, valid: this.#valid.finish() as Uint8Array, data };
  }
}

/** Reads one `FieldData`; the reader stands inside it. */
export function decodeFieldData(reader: WireReader): WireField {
  const collector = new FieldCollector();
  while (reader.next()) collector.read(reader);
  return collector.finish();
}
