/** `schema.VectorField` off the wire: vectors of one type as sent. */
import { vectorArrays } from '../../model/columns.ts';
import type { VectorType } from '../../model/schema.ts';
import type { WireData } from './field-data-decode.ts';
import { BytesList, FixedList } from './lists.ts';
import { malformed, type WireReader } from './reader.ts';
import { eachData } from './scalar-decode.ts';

const FLOATS = 2;
const SPARSE = 6;
const VECTOR_ARRAY = 8;
/** Members that are the bytes of all vectors. */
const byteMembers: ReadonlyMap<number, VectorType> = new Map([
  [3, 'BinaryVector'],
  [4, 'Float16Vector'],
  [5, 'BFloat16Vector'],
  [7, 'Int8Vector'],
]);

/** One oneof: the last member wins, as protobuf has it; parts of one member are joined. */
export class VectorCollector {
  #dim = 0;
  #floats: FixedList | undefined;
  #bytes: { readonly type: VectorType; readonly list: BytesList } | undefined;
  #sparse: BytesList | undefined;
  #rows: VectorRows | undefined;

  /** Reads one `VectorField`; the reader stands inside it. */
  read(reader: WireReader, depth = 0): void {
    while (reader.next()) {
      const type = byteMembers.get(reader.field);
      if (reader.field === 1) this.#dim = reader.number();
      else if (reader.field === FLOATS) this.#readFloats(reader);
      else if (type !== undefined) this.#readBytes(reader, type, depth > 0);
      else if (reader.field === SPARSE) this.#readSparse(reader);
      else if (reader.field === VECTOR_ARRAY && depth === 0) this.#readRows(reader);
      else if (reader.field === VECTOR_ARRAY) throw malformed('vector arrays inside vector arrays');
      else reader.skip();
    }
  }

  finish(): WireData {
    if (this.#rows !== undefined) return this.#rows.finish();
    if (this.#sparse !== undefined) return { kind: 'sparse', ...this.#sparse.finish() };
    if (this.#bytes !== undefined) return this.#finishBytes(this.#bytes.type, this.#bytes.list);
    const values = (this.#floats?.finish() ?? new Float32Array(0)) as Float32Array;
    return { kind: 'vector', type: 'FloatVector', dim: this.#dim, values };
  }

  /** Bytes or floats collected so far. */
  get size(): number {
    return this.#floats?.length ?? this.#bytes?.list.sizeBytes ?? 0;
  }

  get type(): VectorType | undefined {
    return this.#bytes?.type ?? (this.#floats === undefined ? undefined : 'FloatVector');
  }

  get dim(): number {
    return this.#dim;
  }

  #finishBytes(type: VectorType, list: BytesList): WireData {
    const { data } = list.finish();
    const Values = vectorArrays[type];
    if (data.length % Values.BYTES_PER_ELEMENT !== 0)
      throw malformed(`vectors of ${type} end inside a number`);
    const whole = data.slice();
    const values = new Values(whole.buffer, 0, whole.length / Values.BYTES_PER_ELEMENT);
    return { kind: 'vector', type, dim: this.#dim, values };
  }

  #readFloats(reader: WireReader): void {
    if (this.#floats === undefined) this.#replace();
    this.#floats ??= new FixedList('float');
    const floats = this.#floats;
    eachData(reader, () => floats.read(reader));
  }

  /** `isRow`: rows of an array are joined; otherwise a field that stands twice is replaced by its last. */
  #readBytes(reader: WireReader, type: VectorType, isRow: boolean): void {
    if (this.#bytes?.type !== type || !isRow) this.#replace();
    this.#bytes ??= { type, list: new BytesList() };
    this.#bytes.list.read(reader);
  }

  #readSparse(reader: WireReader): void {
    if (this.#sparse === undefined) this.#replace();
    this.#sparse ??= new BytesList();
    const sparse = this.#sparse;
    eachData(
      reader,
      () => sparse.read(reader),
      (size) => sparse.reserve(size),
    );
  }

  #readRows(reader: WireReader): void {
    if (this.#rows === undefined) this.#replace();
    this.#rows ??= new VectorRows();
    const outer = reader.enter();
    this.#rows.read(reader);
    reader.leave(outer);
  }

  #replace(): void {
    this.#floats = undefined;
    this.#bytes = undefined;
    this.#sparse = undefined;
    this.#rows = undefined;
  }
}

/** `VectorArray`: the vectors of all rows in one list, with the ends of the rows in it. */
class VectorRows {
  readonly #items = new VectorCollector();
  /** Values of the items after each row. */
  readonly #ends: number[] = [0];
  #type: VectorType | undefined;
  #dim = 0;

  /** The reader stands inside the message. */
  read(reader: WireReader): void {
    while (reader.next()) {
      if (reader.field === 1) this.#dim = reader.number();
      else if (reader.field === 2) this.#readRow(reader);
      else reader.skip();
    }
  }

  finish(): WireData {
    const items = this.#items.finish();
    return {
      kind: 'vector-array',
      dim: this.#dim === 0 ? this.#items.dim : this.#dim,
      ends: this.#ends,
      items,
    };
  }

  #readRow(reader: WireReader): void {
    const outer = reader.enter();
    this.#items.read(reader, 1);
    reader.leave(outer);
    const { type } = this.#items;
    // A member that gives way to another would take the vectors of earlier rows with it.
    if (this.#type !== undefined && type !== this.#type)
      throw malformed('rows of a vector array hold different types');
    this.#type = type;
    this.#ends.push(this.#items.size);
  }
}
