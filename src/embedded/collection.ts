/**
 * Rows in columns: inserts and searches of this process whose vectors are never arrays of numbers. The requests are those of every client,
 * and go the same way through the server; only the client's own work is left out.
 */
import { DbError } from '../errors/db-error.ts';
import type { FieldSchema } from '../model/schema.ts';
import { CallRefused, grpcStatus } from '../proxy/transport.ts';
import type { MilvusSearchRequest } from '../proxy/wire/descriptor.generated.ts';
import { encodePlaceholders, encodeWriteRequest } from '../proxy/wire/requests.ts';
import type { RunningServer } from '../server.ts';
import { columnOf, rowsIn, valuesOf } from './column-values.ts';
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

type Calls = Pick<RunningServer['calls'], 'search' | 'write' | 'schemaOf'>;

export class ServerCollection implements Collection {
  readonly #calls: Calls;
  readonly #name: string;
  readonly #database: string;

  constructor(calls: Calls, name: string, database: string) {
    this.#calls = calls;
    this.#name = name;
    this.#database = database;
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
    const { fields } = await inWords(this.#calls.schemaOf(this.#database, this.#name));
    const given = Object.entries(columns).map(([name, values]) => {
      const field = fields.find((each) => each.name === name);
      if (field === undefined) throw this.#unknown(name, fields);
      return { field, values };
    });
    const body = encodeWriteRequest({
      database: this.#database,
      collection: this.#name,
      partition,
      rowCount: rowCountOf(given),
      columns: given.map(({ field, values }) => ({ field, column: columnOf(field, values) })),
    });
    const { keys } = await inWords(this.#calls.write(rpc, body));
    return { ids: keys.values };
  }

  #unknown(name: string, fields: readonly FieldSchema[]): DbError {
    const known = fields.map((field) => field.name).join(', ');
    return new DbError(
      'parameter-invalid',
      `collection '${this.#name}' has no field '${name}'. Its fields: ${known}`,
    );
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

/** Of every column. */
function rowCountOf(
  given: readonly { readonly field: FieldSchema; readonly values: ColumnValues }[],
): number {
  const counts = given.map(({ field, values }) => rowsIn(field, values));
  const [first = 0] = counts;
  for (const [i, { field }] of given.entries())
    if (counts[i] !== first)
      throw new DbError(
        'parameter-invalid',
        `column '${field.name}' has ${counts[i]} rows, the column before it ${first}`,
      );
  return first;
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
    placeholder_group: placeholdersOf(queries),
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

function placeholdersOf(queries: readonly Query[]): Uint8Array {
  const [first] = queries;
  const type = first === undefined ? undefined : queryType(first);
  if (type === undefined || queries.some((query) => queryType(query) !== type))
    throw new DbError(
      'parameter-invalid',
      'data: takes a Float32Array, an Int8Array, a Uint8Array (binary vectors) or a text, or an array of one of these',
    );
  return encodePlaceholders(type, queries.map(bytesOf));
}

const bytesOf = (query: Query): Uint8Array =>
  typeof query === 'string'
    ? Buffer.from(query)
    : new Uint8Array(query.buffer, query.byteOffset, query.byteLength);

function queryType(query: unknown): 'FloatVector' | 'Int8Vector' | 'BinaryVector' | 'VarChar' | undefined {
  if (query instanceof Float32Array) return 'FloatVector';
  if (query instanceof Int8Array) return 'Int8Vector';
  if (query instanceof Uint8Array) return 'BinaryVector';
  return typeof query === 'string' ? 'VarChar' : undefined;
}
