/**
 * Rows in columns: inserts and searches of this process whose vectors are never arrays of numbers. The requests are those of every client,
 * and go the same way through the server; only the client's own work is left out.
 */
import { DbError } from '../errors/db-error.ts';
import { CallRefused, grpcStatus } from '../proxy/transport.ts';
import {
  type MilvusDescribeCollectionResponse,
  type MilvusSearchRequest,
  rpcTypes,
} from '../proxy/wire/descriptor.generated.ts';
import { decodeMessage } from '../proxy/wire/descriptor.ts';
import { dataTypeFromWire, dataTypeToWire } from '../proxy/wire/enums.ts';
import { BytesList, FixedList } from '../proxy/wire/lists.ts';
import { join, nested, type Part, part, rawBytes, text, uint } from '../proxy/wire/parts.ts';
import { WireReader } from '../proxy/wire/reader.ts';
import type { RunningServer } from '../server.ts';
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

type Calls = Pick<RunningServer['calls'], 'ask' | 'search'>;

export class ServerCollection implements Collection {
  readonly #calls: Calls;
  /** Fields 2 and 3 of requests. */
  readonly #named: Part;
  readonly #name: string;
  readonly #database: string;

  constructor(calls: Calls, name: string, database: string) {
    this.#calls = calls;
    this.#name = name;
    this.#database = database;
    this.#named = join(text(2, database), text(3, name));
  }

  insert(columns: Columns, options: WriteOptions = {}): Promise<Written> {
    return this.#write('Insert', columns, options);
  }

  upsert(columns: Columns, options: WriteOptions = {}): Promise<Written> {
    return this.#write('Upsert', columns, options);
  }

  async search(options: SearchOptions): Promise<Hits> {
    const request = searchRequest(this.#database, this.#name, options);
    const { counts, keys, scores, fields, rows } = await inWords(this.#calls.search(request));
    const columns = fields.map((field) => [field.name, valuesOf(field, rows)] as const);
    return { counts, ids: keys.values, scores, columns: Object.fromEntries(columns) };
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

  #call(rpc: string, body: Part): Promise<Uint8Array> {
    return inWords(this.#calls.ask({ rpc, body: ownBytes(body), metadata: () => undefined }));
  }
}

/** Too large, or too many at once; else the database is closing. */
const codeOf = (refused: CallRefused): 'resource-exhausted' | 'service-unavailable' =>
  refused.grpcStatus === grpcStatus.resourceExhausted ? 'resource-exhausted' : 'service-unavailable';

/** What goes wrong, as a `DbError`. */
async function inWords<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof DbError) throw error;
    if (error instanceof CallRefused) throw new DbError(codeOf(error), error.message, { cause: error });
    throw new DbError('internal', 'internal error; the log has the details', { cause: error });
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

function searchRequest(
  db_name: string,
  collection_name: string,
  options: SearchOptions,
): MilvusSearchRequest {
  const { data, limit, field, filter, outputFields, offset, partitions, params } = options;
  const queries = (Array.isArray(data) ? data : [data]) as readonly Query[];
  const search_params = [{ key: 'topk', value: String(limit) }];
  if (offset !== undefined) search_params.push({ key: 'offset', value: String(offset) });
  if (field !== undefined) search_params.push({ key: 'anns_field', value: field });
  for (const key in params) search_params.push({ key, value: String(params[key]) });
  return {
    db_name,
    collection_name,
    partition_names: partitions === undefined ? [] : [...partitions],
    dsl: filter ?? '',
    dsl_type: 1,
    placeholder_group: ownBytes(nested(1, placeholder(queries))),
    output_fields: outputFields === undefined ? [] : [...outputFields],
    search_params,
    nq: BigInt(queries.length),
    // What says nothing.
    travel_timestamp: 0n,
    guarantee_timestamp: 0n,
    not_return_all_meta: false,
    consistency_level: 0,
    use_default_consistency: false,
    search_by_primary_keys: false,
    sub_reqs: [],
    expr_template_values: {},
    function_chains: [],
  };
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
