/** `InsertRequest` and `UpsertRequest` off the wire. */

import { invalid } from './checks.ts';
import { decodeFieldData, type WireField } from './field-data-decode.ts';
import type { ListOp } from './merge-lists.ts';
import { WireReader } from './reader.ts';

/** Where a write goes: all but its columns. */
export interface WriteTarget {
  readonly db_name: string;
  readonly collection_name: string;
  readonly partition_name: string;
  readonly numRows: number;
  /** A namespace was named: not served. */
  readonly hasNamespace: boolean;
  /** Upsert only: partial update or array operations were asked for. */
  readonly isPartial: boolean;
}

/** What an upsert does with the values of one field. */
export interface FieldOp {
  readonly field: string;
  readonly op: 'replace' | ListOp;
}

export interface WriteRequest extends WriteTarget {
  readonly fields: readonly WireField[];
  /** Of a partial upsert; fields that are not named are replaced. */
  readonly fieldOps: readonly FieldOp[];
}

/** Fields 1 to 8 are the same in both messages; what follows is not. */
const namespaceField = { insert: 9, upsert: 10 } as const;
const PARTIAL_UPDATE = 9;
const FIELD_OPS = 11;
const opsFromWire = ['replace', 'append', 'remove'] as const satisfies FieldOp['op'][];
/** A schema has no more fields. */
const MAX_FIELD_OPS = 64;

class Collector {
  readonly kind: 'insert' | 'upsert';
  readonly #wantsFields: boolean;
  readonly names = { db_name: '', collection_name: '', partition_name: '' };
  readonly fields: WireField[] = [];
  readonly fieldOps: FieldOp[] = [];
  numRows = 0;
  hasNamespace = false;
  isPartial = false;

  constructor(kind: 'insert' | 'upsert', wantsFields: boolean) {
    this.kind = kind;
    this.#wantsFields = wantsFields;
  }

  read(reader: WireReader): void {
    switch (reader.field) {
      case 2:
        this.names.db_name = reader.string();
        break;
      case 3:
        this.names.collection_name = reader.string();
        break;
      case 4:
        this.names.partition_name = reader.string();
        break;
      case 5: {
        const outer = reader.enter();
        if (this.#wantsFields) this.fields.push(decodeFieldData(reader));
        reader.leave(outer);
        break;
      }
      case 7:
        this.numRows = reader.number();
        break;
      default:
        this.#readOther(reader);
    }
  }

  #readOther(reader: WireReader): void {
    if (reader.field === namespaceField[this.kind]) this.hasNamespace = reader.string() !== '';
    else if (this.kind === 'upsert' && reader.field === PARTIAL_UPDATE)
      this.isPartial ||= reader.number() !== 0;
    else if (this.kind === 'upsert' && reader.field === FIELD_OPS) {
      const outer = reader.enter();
      this.fieldOps.push(decodeOp(reader));
      reader.leave(outer);
      this.isPartial ||= this.fieldOps.at(-1)?.op !== 'replace';
      if (this.fieldOps.length > MAX_FIELD_OPS) throw invalid('too many field operations');
    } else reader.skip();
  }
}

function decodeOp(reader: WireReader): FieldOp {
  let field = '';
  let op: FieldOp['op'] | undefined = 'replace';
  while (reader.next())
    if (reader.field === 1) field = reader.string();
    else if (reader.field === 2) op = opsFromWire[reader.number()];
    else reader.skip();
  if (op === undefined) throw invalid(`an unknown operation on field ${field}`);
  return { field, op };
}

function decode(kind: 'insert' | 'upsert', bytes: Uint8Array, wantsFields: boolean): WriteRequest {
  const reader = new WireReader(bytes);
  const collector = new Collector(kind, wantsFields);
  while (reader.next()) collector.read(reader);
  const { names, numRows, fields, fieldOps, hasNamespace, isPartial } = collector;
  return { ...names, numRows, fields, fieldOps, hasNamespace, isPartial };
}

/** Throws `parameter-invalid` for bytes that are no such message. Nothing in the result refers to `bytes`. */
export const decodeWriteRequest = (kind: 'insert' | 'upsert', bytes: Uint8Array): WriteRequest =>
  decode(kind, bytes, true);

/** As `decodeWriteRequest`, but the columns are skipped over: no work that grows with the rows. */
export const decodeWriteTarget = (kind: 'insert' | 'upsert', bytes: Uint8Array): WriteTarget =>
  decode(kind, bytes, false);
