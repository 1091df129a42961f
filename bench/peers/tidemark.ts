/** Tidemark through the official client, of a server in another process or opened in this one, and by columns. */
import { DataType, FunctionType, MilvusClient } from '@zilliz/milvus2-sdk-node';
import { ok } from '../../demo/table.ts';
import { type Collection, Tidemark } from '../../src/index.ts';
import type { Knob, TextSystem, VectorShape, VectorSystem } from './system.ts';

/** How rows go in and questions are asked. */
export type Way =
  | { readonly kind: 'client' }
  /** `db.collection(name)`. */
  | { readonly kind: 'columns' }
  | { readonly kind: 'server'; readonly address: string };

/** Larger requests cost the client's encoder more for each number: it makes one array, and one text, of all of them. */
const REQUEST_FLOATS = 500_000;

interface Door {
  /** One for each lane. */
  readonly clients: readonly MilvusClient[];
  /** Rows and questions go by columns where it is there. */
  readonly collection?: Collection;
  close(): Promise<void>;
}

/** Eight clients of a server, each with its own connection; else the database in this process and the client it hands out. */
async function enter(dir: string, way: Way, name: string): Promise<Door> {
  if (way.kind !== 'server') {
    const db = await Tidemark.open({ dir });
    const columns = way.kind === 'columns' ? { collection: db.collection(name) } : {};
    return { clients: [await db.client()], ...columns, close: () => db.close() };
  }
  const { address } = way;
  const clients = Array.from({ length: 8 }, () => new MilvusClient({ address }));
  await Promise.all(clients.map(({ connectPromise }) => connectPromise));
  return {
    clients,
    close: async () => {
      await Promise.all(clients.map((client) => client.closeConnection()));
    },
  };
}

function first({ clients }: Door): MilvusClient {
  const [client] = clients;
  if (client === undefined) throw new Error('no client');
  return client;
}

const laneOf = (door: Door, lane: number): MilvusClient =>
  door.clients[lane % door.clients.length] ?? first(door);

async function indexed(client: MilvusClient, collection_name: string): Promise<void> {
  for (;;) {
    const { index_descriptions } = await client.describeIndex({ collection_name });
    if (index_descriptions.every((i) => String(i.state) === 'Finished' && Number(i.pending_index_rows) === 0))
      return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const about = ({ kind }: Way) =>
  ({
    client: 'Tidemark.open and the official client it hands out, in the same process',
    columns: 'Tidemark.open and db.collection(name), in the same process',
    server: 'server process, official client in another (a connection a client)',
  })[kind];

export async function tidemarkVectors(
  dir: string,
  { dim, metric }: VectorShape,
  way: Way,
): Promise<VectorSystem> {
  const collection_name = 'rows';
  const door = await enter(dir, way, collection_name);
  const client = first(door);
  const fields = [
    { name: 'id', data_type: DataType.Int64, is_primary_key: true },
    { name: 'number', data_type: DataType.Int64 },
    { name: 'vector', data_type: DataType.FloatVector, dim },
  ];
  await ok(client.createCollection({ collection_name, fields }));
  await ok(
    client.createIndex({
      collection_name,
      field_name: 'vector',
      index_type: 'HNSW',
      metric_type: metric,
      params: { M: 16, efConstruction: 128 },
    }),
  );
  await ok(client.createIndex({ collection_name, field_name: 'number', index_type: 'STL_SORT' }));
  await ok(client.loadCollectionSync({ collection_name }));
  return {
    about: `${about(way)}; HNSW, M 16, efConstruction 128, STL_SORT on the number`,
    ladders: [[16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768].map((ef) => ({ ef }))],
    insert: async (firstId, vectors, numbers) => {
      if (door.collection) {
        const id = BigInt64Array.from(numbers, (_, i) => BigInt(firstId + i));
        await door.collection.insert({ id, number: numbers, vector: vectors });
        return;
      }
      const step = Math.max(1, Math.floor(REQUEST_FLOATS / dim));
      for (let from = 0; from < numbers.length; from += step) {
        const data = Array.from(numbers.subarray(from, from + step), (number, i) => ({
          id: firstId + from + i,
          number: Number(number),
          vector: [...vectors.subarray((from + i) * dim, (from + i + 1) * dim)],
        }));
        await ok(client.insert({ collection_name, data }).then(({ status }) => status));
      }
    },
    flush: async () => {
      await ok(client.flushSync({ collection_names: [collection_name] }).then(({ status }) => status));
    },
    index: () => indexed(client, collection_name),
    search: async (vector, limit, knob: Knob, lane, below) => {
      const filter = below === undefined ? {} : { filter: `number < ${below}` };
      if (door.collection) {
        const hits = await door.collection.search({ data: vector, limit, params: knob as never, ...filter });
        return Array.from(hits.ids as BigInt64Array, Number);
      }
      const { status, results } = await laneOf(door, lane).search({
        collection_name,
        anns_field: 'vector',
        data: [...vector],
        limit,
        params: knob,
        // The client asks for every field, the vector too, when it is not told.
        output_fields: ['id'],
        ...filter,
      } as never);
      await ok(Promise.resolve(status));
      return (results as unknown as { id: string }[]).map(({ id }) => Number(id));
    },
    close: () => door.close(),
  };
}

export async function tidemarkTexts(dir: string, way: Way): Promise<TextSystem> {
  const collection_name = 'texts';
  const door = await enter(dir, way, collection_name);
  const client = first(door);
  await ok(
    client.createCollection({
      collection_name,
      fields: [
        { name: 'id', data_type: DataType.Int64, is_primary_key: true },
        { name: 'text', data_type: DataType.VarChar, max_length: 4000, enable_analyzer: true },
        { name: 'sparse', data_type: DataType.SparseFloatVector },
      ] as never,
      functions: [
        {
          name: 'bm25',
          type: FunctionType.BM25,
          input_field_names: ['text'],
          output_field_names: ['sparse'],
          params: {},
        },
      ],
    }),
  );
  await ok(
    client.createIndex({
      collection_name,
      field_name: 'sparse',
      index_type: 'SPARSE_INVERTED_INDEX',
      metric_type: 'BM25',
    }),
  );
  await ok(client.loadCollectionSync({ collection_name }));
  return {
    about: `${about(way)}; BM25 function, standard analyzer, SPARSE_INVERTED_INDEX`,
    insert: async (firstId, texts) => {
      if (door.collection) {
        await door.collection.insert({ id: texts.map((_, i) => firstId + i), text: texts });
        return;
      }
      const data = texts.map((text, i) => ({ id: firstId + i, text }));
      await ok(client.insert({ collection_name, data }).then(({ status }) => status));
    },
    flush: async () => {
      await ok(client.flushSync({ collection_names: [collection_name] }).then(({ status }) => status));
    },
    index: () => indexed(client, collection_name),
    search: async (words, limit, lane) => {
      if (door.collection) {
        const { ids } = await door.collection.search({ data: words, limit });
        return Array.from(ids as BigInt64Array, Number);
      }
      const { status, results } = await laneOf(door, lane).search({
        collection_name,
        anns_field: 'sparse',
        data: words,
        limit,
        output_fields: ['id'],
      } as never);
      await ok(Promise.resolve(status));
      return (results as unknown as { id: string }[]).map(({ id }) => Number(id));
    },
    close: () => door.close(),
  };
}
