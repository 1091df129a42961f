/** `schema.ScalarField` off the wire: values of one type as sent, merged as protobuf has it. */
import type { WireData } from './field-data-decode.ts';
import { BytesList, type FixedKind, FixedList } from './lists.ts';
import { malformed, type WireReader } from './reader.ts';

const fixedMembers: ReadonlyMap<number, FixedKind> = new Map([
  [1, 'bool'],
  [2, 'int'],
  [3, 'long'],
  [4, 'float'],
  [5, 'double'],
  [11, 'timestamptz'],
]);
type BytesKind = 'string' | 'json' | 'wkb' | 'wkt';
const bytesMembers: ReadonlyMap<number, BytesKind> = new Map([
  [6, 'string'],
  [9, 'json'],
  [10, 'wkb'],
  [12, 'wkt'],
]);
const ARRAYS = 8;
/** Members of `ScalarField` that are not served. */
const otherScalars: ReadonlyMap<number, string> = new Map([
  [7, 'bytes_data'],
  [13, 'mol_data'],
  [14, 'mol_smiles_data'],
  [15, 'date_data'],
  [16, 'time_data'],
]);
/** Collects one oneof: repeated messages of the same member are merged, another member replaces it, as protobuf has it. */
export class ScalarCollector {
  #fixed: FixedList | undefined;
  #bytes: BytesList | undefined;
  #bytesKind: BytesKind = 'string';
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
    return this.#fixed?.kind ?? (this.#bytes === undefined ? (this.#other ?? '') : this.#bytesKind);
  }

  /** Reads one `ScalarField`; the reader stands inside it. */
  read(reader: WireReader, depth = 0): void {
    while (reader.next()) {
      const fixed = fixedMembers.get(reader.field);
      const bytes = bytesMembers.get(reader.field);
      if (fixed !== undefined) this.#readFixed(reader, fixed);
      else if (bytes !== undefined) this.#readBytes(reader, bytes);
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

  #readBytes(reader: WireReader, kind: BytesKind): void {
    if (this.#bytes === undefined || this.#bytesKind !== kind) this.#replace();
    this.#bytesKind = kind;
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
    if (this.#bytes !== undefined) return { kind: this.#bytesKind, ...this.#bytes.finish() };
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
export function eachData(reader: WireReader, read: () => void, sized?: (size: number) => void): void {
  const outer = reader.enter();
  sized?.(reader.end - reader.pos);
  while (reader.next()) {
    if (reader.field === 1) read();
    else reader.skip();
  }
  reader.leave(outer);
}
