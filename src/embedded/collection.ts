/**
 * Rows in columns: inserts and searches of this process whose vectors are never arrays of numbers. The requests are those of every client,
 * and go the same way through the server; only the client's own work is left out.
 */
import { DbError } from '../errors/db-error.ts';
import { CallRefused, type IncomingCall } from '../proxy/transport.ts';
import { type MilvusDescribeCollectionResponse, rpcTypes } from '../proxy/wire/descriptor.generated.ts';
import { decodeMessage } from '../proxy/wire/descriptor.ts';
import { dataTypeFromWire, dataTypeToWire } from '../proxy/wire/enums.ts';
import { decodeFieldData, type WireField } from '../proxy/wire/field-data-decode.ts';
import { BytesList, FixedList } from '../proxy/wire/lists.ts';
import { join, nested, type Part, part, rawBytes, text, textItem, uint } from '../proxy/wire/parts.ts';
import { WireReader } from '../proxy/wire/reader.ts';
import { type ColumnField, fieldData, rowsIn, valuesOf } from './column-values.ts';
import type {
  Collection,
  Columns,
  ColumnValues,
  Hits,
  Query,
  SearchOptions,
  WriteOptions,
  Written,
} from './columns.ts';

/** Answers a request; rejects with what went wrong. */
export type Ask = (call: IncomingCall) => Promise<Uint8Array>;

export class ServerCollection implements Collection {
  readonly #ask: Ask;
  /** Fields 2 and 3 of requests. */
  readonly #named: Part;
  readonly #name: string;

  constructor(ask: Ask, name: string, database: string) {
    this.#ask = ask;
    this.#name = name;
    this.#named = join(text(2, database), text(3, name));
  }

  insert(columns: Columns, options: WriteOptions = {}): Promise<Written> {
    return this.#write('Insert', columns, options);
  }

  upsert(columns: Columns, options: WriteOptions = {}): Promise<Written> {
    return this.#write('Upsert', columns, options);
  }

  async search(options: SearchOptions): Promise<Hits> {
    return hitsOf(await this.#call('Search', join(this.#named, searchPart(options))));
  }

  async #write(
    rpc: 'Insert' | 'Upsert',
    columns: Columns,
    { partition = '' }: WriteOptions,
  ): Promise<Written> {
    const fields = await this.#fields();
    const parts: Part[] = [];
    let rowCount = 0;
    for (const [name, values] of Object.entries(columns)) {
      const field = fields.get(name);
      if (field === undefined) throw this.#unknown(name, fields);
      if (parts.length === 0) rowCount = rowsIn(field, values);
      else requireRows(field, values, rowCount);
      parts.push(nested(5, fieldData(field, values)));
    }
    const body = join(this.#named, text(4, partition), ...parts, uint(7, rowCount));
    return { ids: writtenIds(await this.#call(rpc, body)) };
  }

  #unknown(name: string, fields: ReadonlyMap<string, ColumnField>): DbError {
    const known = [...fields.keys()].join(', ');
    return new DbError(
      'parameter-invalid',
      `collection '${this.#name}' has no field '${name}'. Its fields: ${known}`,
    );
  }

  /** As they are now. */
  async #fields(): Promise<ReadonlyMap<string, ColumnField>> {
    const answer = await this.#call('DescribeCollection', this.#named);
    const { schema } = decodeMessage<MilvusDescribeCollectionResponse>(
      rpcTypes.DescribeCollection.response,
      answer,
    );
    const fields = (schema?.fields ?? []).flatMap(({ name, data_type, type_params }): ColumnField[] => {
      const dataType = dataTypeFromWire.get(data_type);
      const dim = Number(type_params.find(({ key }) => key === 'dim')?.value ?? 0);
      return dataType === undefined ? [] : [{ name, dataType, dim }];
    });
    return new Map(fields.map((field) => [field.name, field]));
  }

  async #call(rpc: string, body: Part): Promise<Uint8Array> {
    try {
      return await this.#ask({ rpc, body: ownBytes(body), metadata: () => undefined });
    } catch (error) {
      if (!(error instanceof CallRefused)) throw error;
      throw new DbError('service-unavailable', error.message, { cause: error });
    }
  }
}

/** Not of the common pool: large requests move to another thread. */
function ownBytes({ size, pieces }: Part): Uint8Array {
  const bytes = new Uint8Array(size);
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}

function requireRows(field: ColumnField, values: ColumnValues, rowCount: number): void {
  const rows = rowsIn(field, values);
  if (rows !== rowCount)
    throw new DbError(
      'parameter-invalid',
      `column '${field.name}' has ${rows} rows, the column before it ${rowCount}`,
    );
}

function searchPart(options: SearchOptions): Part {
  const {
    data,
    limit,
    field,
    filter = '',
    outputFields = [],
    offset,
    partitions = [],
    params = {},
  } = options;
  const queries = (Array.isArray(data) ? data : [data]) as readonly Query[];
  const settings = {
    ...params,
    topk: limit,
    offset: offset ?? 0,
    ...(field !== undefined && { anns_field: field }),
  };
  return join(
    ...partitions.map((name) => textItem(4, name)),
    text(5, filter),
    nested(6, nested(1, placeholder(queries))),
    uint(7, 1),
    ...outputFields.map((name) => textItem(8, name)),
    ...Object.entries(settings).map(([key, value]) => nested(9, join(text(1, key), text(2, String(value))))),
  );
}

function placeholder(queries: readonly Query[]): Part {
  const [first] = queries;
  const type = first === undefined ? undefined : queryType(first);
  if (type === undefined || queries.some((query) => queryType(query) !== type))
    throw new DbError(
      'parameter-invalid',
      'data: takes a Float32Array, an Int8Array, a Uint8Array (binary vectors) or a text, or an array of one of these',
    );
  const values = queries.map((query) =>
    nested(3, typeof query === 'string' ? part(Buffer.from(query)) : rawBytes(query)),
  );
  return join(text(1, '$0'), uint(2, dataTypeToWire[type]), ...values);
}

function queryType(query: unknown): 'FloatVector' | 'Int8Vector' | 'BinaryVector' | 'VarChar' | undefined {
  if (query instanceof Float32Array) return 'FloatVector';
  if (query instanceof Int8Array) return 'Int8Vector';
  if (query instanceof Uint8Array) return 'BinaryVector';
  return typeof query === 'string' ? 'VarChar' : undefined;
}

/** Calls `read` at every field of a message. */
function eachField(reader: WireReader, read: (field: number) => boolean): void {
  while (reader.next()) if (!read(reader.field)) reader.skip();
}

function inside(reader: WireReader, read: (field: number) => boolean): true {
  const outer = reader.enter();
  eachField(reader, read);
  reader.leave(outer);
  return true;
}

const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

/** `schema.IDs`. */
class Ids {
  readonly #longs = new FixedList('long');
  readonly #texts = new BytesList();

  read(reader: WireReader): true {
    return inside(reader, (field) => {
      if (field > 2) return false;
      return inside(reader, (member) => {
        if (member !== 1) return false;
        if (field === 1) this.#longs.read(reader);
        else this.#texts.read(reader);
        return true;
      });
    });
  }

  get values(): BigInt64Array | readonly string[] {
    if (this.#texts.length === 0) return this.#longs.finish() as BigInt64Array;
    const { offsets, data } = this.#texts.finish();
    return Array.from({ length: offsets.length - 1 }, (_, i) =>
      decoder.decode(data.subarray(offsets[i], offsets[i + 1])),
    );
  }
}

function writtenIds(answer: Uint8Array): Written['ids'] {
  const reader = new WireReader(answer);
  const ids = new Ids();
  eachField(reader, (field) => field === 2 && ids.read(reader));
  return ids.values;
}

function hitsOf(answer: Uint8Array): Hits {
  const reader = new WireReader(answer);
  const fields: WireField[] = [];
  const ids = new Ids();
  const scores = new FixedList('float');
  const counts = new FixedList('int');
  const read = (field: number): boolean => {
    if (field === 5) return ids.read(reader);
    if (field === 4) scores.read(reader);
    else if (field === 6) counts.read(reader);
    else if (field === 3) {
      const outer = reader.enter();
      fields.push(decodeFieldData(reader));
      reader.leave(outer);
    } else return false;
    return true;
  };
  eachField(reader, (field) => field === 2 && inside(reader, read));
  return {
    counts: Uint32Array.from(counts.finish() as Int32Array),
    ids: ids.values,
    scores: scores.finish() as Float32Array,
    columns: Object.fromEntries(fields.map((field) => [field.name, valuesOf(field)])),
  };
}
