/** `schema.FieldData` off the wire: one column as the client sent it, not yet checked against any schema. */
import type { FixedValues, VectorValues } from '../../model/rows.ts';
import type { VectorType } from '../../model/schema.ts';
import { type FixedKind, FixedList } from './lists.ts';
import { malformed, type WireReader } from './reader.ts';
import { ScalarCollector } from './scalar-decode.ts';
import { VectorCollector } from './vector-decode.ts';

/** Values as sent; nulls may be left out, `valid` says where they belong. */
export type WireData =
  | { readonly kind: FixedKind; readonly values: FixedValues }
  | {
      readonly kind: 'string' | 'json' | 'wkb' | 'wkt' | 'sparse';
      readonly offsets: Uint32Array;
      readonly data: Uint8Array;
    }
  | { readonly kind: 'array'; readonly offsets: Uint32Array; readonly items: WireData }
  | {
      readonly kind: 'vector';
      readonly type: VectorType;
      readonly dim: number;
      readonly values: VectorValues;
    }
  /** `ends`: values (for bytes: bytes) of `items` up to the end of each row, 0 first. */
  | {
      readonly kind: 'vector-array';
      readonly dim: number;
      readonly ends: readonly number[];
      readonly items: WireData;
    }
  /** A column for each field of the struct. */
  | { readonly kind: 'struct'; readonly fields: readonly WireField[] }
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

class FieldCollector {
  name = '';
  type = 0;
  isDynamic = false;
  readonly #valid = new FixedList('bool');
  #data: ScalarCollector | VectorCollector | undefined;
  #struct: WireField[] | undefined;
  readonly #depth: number;

  constructor(depth: number) {
    this.#depth = depth;
  }

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
      case 8:
        this.#readStruct(reader);
        break;
      default:
        reader.skip();
    }
  }

  #readStruct(reader: WireReader): void {
    if (this.#depth > 0) throw malformed('struct arrays inside struct arrays');
    this.#data = undefined;
    this.#struct ??= [];
    const outer = reader.enter();
    while (reader.next()) {
      if (reader.field !== 1) {
        reader.skip();
        continue;
      }
      const field = reader.enter();
      this.#struct.push(decodeFieldData(reader, this.#depth + 1));
      reader.leave(field);
    }
    reader.leave(outer);
  }

  #readData(reader: WireReader, Collector: typeof ScalarCollector | typeof VectorCollector): void {
    if (!(this.#data instanceof Collector)) this.#data = new Collector();
    this.#struct = undefined;
    const outer = reader.enter();
    this.#data.read(reader);
    reader.leave(outer);
  }

  finish(): WireField {
    const data: WireData =
      this.#struct === undefined
        ? (this.#data?.finish() ?? { kind: 'none' })
        : { kind: 'struct', fields: this.#struct };
    const { name, type, isDynamic } = this;
    return { name, type, isDynamic, valid: this.#valid.finish() as Uint8Array, data };
  }
}

/** Reads one `FieldData`; the reader stands inside it. */
export function decodeFieldData(reader: WireReader, depth = 0): WireField {
  const collector = new FieldCollector(depth);
  while (reader.next()) collector.read(reader);
  return collector.finish();
}
