/** Searching every type of vector through the official client. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { DataType, type MilvusClient } from '@zilliz/milvus2-sdk-node';
import { flush, load, refused, restore, sharedServer, succeed } from './fixture.ts';

const DIM = 8;
const BITS = 64;
const COUNT = 1300;

type Sparse = Record<number, number>;
interface Row {
  readonly id: number;
  readonly third: number;
  readonly f32: number[];
  readonly f16: number[];
  readonly bf16: number[];
  readonly i8: number[];
  readonly bits: number[];
  readonly sparse: Sparse;
}

/** Small whole numbers: every type has them exactly, and their sums are exact. */
function rowOf(id: number): Row {
  let state = Math.imul(id + 1, 2_654_435_761) >>> 0;
  const below = (limit: number): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
  const numbers = (limit: number) => Array.from({ length: DIM }, () => below(limit) - (limit >> 1));
  const pairs = Array.from({ length: 1 + below(6) }, () => [below(40) * 1001, 1 + below(20)] as const);
  return {
    id,
    third: id % 3,
    f32: numbers(40),
    f16: numbers(40),
    bf16: numbers(40),
    i8: numbers(200),
    bits: Array.from({ length: BITS / 8 }, () => below(256)),
    sparse: Object.fromEntries(pairs),
  };
}
const rows = Array.from({ length: COUNT }, (_, id) => rowOf(id));
const query = rowOf(-1000);

type Field = Exclude<keyof Row, 'id' | 'third'>;
const dataTypes: Readonly<Record<Field, DataType>> = {
  f32: DataType.FloatVector,
  f16: DataType.Float16Vector,
  bf16: DataType.BFloat16Vector,
  i8: DataType.Int8Vector,
  bits: DataType.BinaryVector,
  sparse: DataType.SparseFloatVector,
};

const sum = (a: readonly number[], b: readonly number[], of: (x: number, y: number) => number): number =>
  a.reduce((total, x, i) => total + of(x, b[i]!), 0);
const ones = (value: number): number => value.toString(2).replaceAll('0', '').length;
const dense = (metric: string, a: readonly number[], b: readonly number[]): number => {
  const dot = sum(a, b, (x, y) => x * y);
  if (metric === 'L2') return sum(a, b, (x, y) => (x - y) ** 2);
  return metric === 'IP' ? dot : dot / Math.sqrt(sum(a, a, (x) => x * x) * sum(b, b, (x) => x * x));
};
const binary = (metric: string, a: readonly number[], b: readonly number[]): number => {
  if (metric === 'HAMMING') return sum(a, b, (x, y) => ones(x ^ y));
  if (metric === 'MHJACCARD') return sum(a, b, (x, y) => Number(x !== y)) / a.length;
  return 1 - sum(a, b, (x, y) => ones(x & y)) / sum(a, b, (x, y) => ones(x | y));
};
const sparse = (a: Sparse, b: Sparse): number =>
  Object.entries(a).reduce((total, [dim, value]) => total + value * (b[Number(dim)] ?? 0), 0);

function scoreOf(field: Field, metric: string, row: Row): number {
  if (field === 'sparse') return sparse(row.sparse, query.sparse);
  return field === 'bits' ? binary(metric, row.bits, query.bits) : dense(metric, row[field], query[field]);
}
const isDistance = (metric: string) => ['L2', 'HAMMING', 'JACCARD', 'MHJACCARD'].includes(metric);

function nearest(field: Field, metric: string, keep: (row: Row) => boolean = () => true) {
  const sign = isDistance(metric) ? 1 : -1;
  return rows
    .filter(keep)
    .map((row) => ({ id: row.id, score: scoreOf(field, metric, row) }))
    .filter(({ score }) => field !== 'sparse' || score !== 0)
    .sort((a, b) => sign * (a.score - b.score) || a.id - b.id);
}

type Found = { readonly id: unknown; readonly score: number; readonly [field: string]: unknown }[];

function assertHits(found: Found, expected: readonly { id: number; score: number }[], where: string): void {
  assert.equal(found.length, expected.length, where);
  for (const [i, { score }] of expected.entries())
    assert.ok(Math.abs(found[i]!.score - score) < 1e-4, `${where}: ${i}: ${found[i]!.score}, not ${score}`);
  if (!where.includes('COSINE'))
    assert.deepEqual(
      found.map(({ id }) => Number(id)),
      expected.map(({ id }) => id),
      where,
    );
}

/** The vector as the client gives it back, in plain form. */
const plain = (value: unknown): unknown =>
  ArrayBuffer.isView(value) ? [...(value as Uint8Array)] : Array.isArray(value) ? [...value] : value;

interface Index {
  readonly index_type: string;
  readonly metric_type: string;
  readonly params?: Record<string, unknown>;
}

async function collection(
  client: MilvusClient,
  collection_name: string,
  indexes: Partial<Record<Field, Index>>,
  nullable = false,
): Promise<void> {
  const fields = Object.keys(indexes) as Field[];
  await succeed(
    client.createCollection({
      collection_name,
      fields: [
        { name: 'id', data_type: DataType.Int64, is_primary_key: true },
        { name: 'third', data_type: DataType.Int8 },
        ...fields.map((name) => ({
          name,
          data_type: dataTypes[name],
          ...(nullable ? { nullable } : {}),
          ...(name === 'sparse' ? {} : { dim: name === 'bits' ? BITS : DIM }),
        })),
      ] as never,
    }),
  );
  for (const field_name of fields)
    await succeed(client.createIndex({ collection_name, field_name, ...indexes[field_name]! } as never));
  await load(client, collection_name);
}

const insert = (
  client: MilvusClient,
  collection_name: string,
  fields: readonly Field[],
  some: readonly Row[],
) =>
  succeed(
    client.insert({
      collection_name,
      data: some.map((row) => ({
        id: row.id,
        third: row.third,
        ...Object.fromEntries(fields.map((field) => [field, row[field]])),
      })) as never,
    }),
  );

async function indexed(client: MilvusClient, collection_name: string): Promise<void> {
  for (;;) {
    const { index_descriptions } = await succeed(client.describeIndex({ collection_name }));
    if (index_descriptions.every(({ state }) => state === 'Finished')) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const metricsOf = (field: Field): readonly string[] => {
  if (field === 'sparse') return ['IP'];
  return field === 'bits' ? ['HAMMING', 'JACCARD'] : ['L2', 'IP', 'COSINE'];
};
const kindsOf = (field: Field): readonly string[] => {
  if (field === 'sparse') return ['SPARSE_INVERTED_INDEX', 'SPARSE_WAND'];
  return field === 'bits' ? ['BIN_FLAT', 'BIN_IVF_FLAT'] : ['FLAT', 'HNSW', 'AUTOINDEX'];
};

describe('search of every type of vector', () => {
  const fixture = sharedServer();
  const fields = Object.keys(dataTypes) as Field[];

  async function check(collection_name: string, field: Field, metric: string, where: string): Promise<void> {
    const { client } = fixture;
    const base = { collection_name, anns_field: field, data: query[field] as never };
    const search = async (more: object): Promise<Found> =>
      (await succeed(client.search({ ...base, limit: 10, params: { ef: 500 }, ...more } as never)))
        .results as never;
    const at = `${where} ${field} ${metric}`;
    const ranked = nearest(field, metric);
    const found = await search({ output_fields: ['id', field] });
    assertHits(found, ranked.slice(0, 10), at);
    for (const hit of found)
      assert.deepEqual(plain(hit[field]), rows[Number(hit.id)]![field], `${at}: output`);
    assertHits(await search({ offset: 3, limit: 5 }), ranked.slice(3, 8), `${at}, offset`);
    const filtered = nearest(field, metric, ({ third, id }) => third === 1 && id < 900);
    assertHits(await search({ filter: 'third == 1 and id < 900' }), filtered.slice(0, 10), `${at}, filter`);
    const bound = (i: number) => (ranked[i]!.score + ranked[i + 1]!.score) / 2;
    const edges = [4, 40].map((from) => {
      let i = from;
      while (ranked[i]!.score === ranked[i + 1]!.score) i++;
      return i;
    }) as [number, number];
    const params = { ef: 500, range_filter: bound(edges[0]), radius: bound(edges[1]) };
    assertHits(
      await search({ params, limit: 200 }),
      ranked.slice(edges[0] + 1, edges[1] + 1),
      `${at}, range`,
    );
    const rounded = await search({ round_decimal: 1, params: { ef: 500, round_decimal: 1 } });
    // The client cuts what the server has rounded: 0.9 as a float is a little less.
    for (const [i, { score }] of rounded.entries()) {
      assert.ok(Math.abs(score - ranked[i]!.score) < 0.151, `${at}, rounded`);
      assert.ok(Math.abs(score * 10 - Math.round(score * 10)) < 1e-3, `${at}: ${score} is rounded`);
    }
    if (kindOfAll.has(where)) {
      const all = await search({ limit: 5000, params: { ef: 5000 } });
      assertHits(all, ranked, `${at}, more than all`);
    }
  }
  const kindOfAll = new Set(['flushed 0']);

  for (const [round, metricAt] of [0, 1, 2].entries())
    test(`a collection of all types of vectors, each with an index of its own (${round + 1}): growing, flushed, both, restored`, async () => {
      const { client } = fixture;
      const name = `all_${round}`;
      const metricOf = (field: Field) => metricsOf(field)[metricAt % metricsOf(field).length]!;
      const indexes = Object.fromEntries(
        fields.map((field) => [
          field,
          {
            index_type: kindsOf(field)[round % kindsOf(field).length]!,
            metric_type: metricOf(field),
            ...(kindsOf(field)[round] === 'HNSW' ? { params: { M: 16, efConstruction: 200 } } : {}),
          },
        ]),
      ) as unknown as Record<Field, Index>;
      await collection(client, name, indexes);
      await insert(client, name, fields, rows.slice(0, 1100));
      await insert(client, name, fields, rows.slice(1100));
      for (const field of fields) await check(name, field, metricOf(field), 'growing');
      await flush(client, name);
      await indexed(client, name);
      for (const field of fields) await check(name, field, metricOf(field), `flushed ${round}`);
      await succeed(client.delete({ collection_name: name, filter: 'id >= 1000' }));
      await insert(client, name, fields, rows.slice(1000));
      for (const field of fields) await check(name, field, metricOf(field), 'growing and flushed');
      await succeed(client.createSnapshot({ collection_name: name, snapshot_name: 's' }));
      const target = `${name}_again`;
      await restore(client, {
        snapshot_name: 's',
        source_collection_name: name,
        target_collection_name: target,
      });
      await load(client, target);
      for (const field of fields) await check(target, field, metricOf(field), 'restored');
      const { index_descriptions } = await succeed(client.describeIndex({ collection_name: target }));
      for (const { field_name, params } of index_descriptions) {
        const given = indexes[field_name as Field];
        const shown = Object.fromEntries(params.map(({ key, value }) => [key, value]));
        assert.equal(shown['index_type'], given.index_type);
        assert.equal(shown['metric_type'], given.metric_type);
      }
    });

  test('after a kill -9 the same searches have the same answers', async () => {
    await fixture.restart('kill');
    for (const field of fields)
      for (const name of ['all_0', 'all_0_again'])
        await check(name, field, metricsOf(field)[0]!, `${name} after kill -9`);
  });

  test('several queries of every type are answered one by one, in slices', async () => {
    const { client } = fixture;
    for (const field of fields) {
      const data = rows.slice(0, 40).map((row) => row[field]);
      const { results } = await succeed(
        client.search({
          collection_name: 'all_1',
          anns_field: field,
          data,
          limit: 3,
          params: { ef: 500 },
        } as never),
      );
      assert.equal(results.length, 40);
      const metric = metricsOf(field)[1 % metricsOf(field).length]!;
      if (!isDistance(metric)) continue;
      for (const [i, hits] of (results as unknown as Found[]).entries())
        assert.equal(Number(hits[0]!.id), i, `${field}: a row is nearest to itself`);
    }
  });

  test('rows whose vector is null are no hits, of whatever type', async () => {
    const { client } = fixture;
    await collection(
      client,
      'nulls',
      Object.fromEntries(
        fields.map((field) => [field, { index_type: kindsOf(field)[0]!, metric_type: metricsOf(field)[0]! }]),
      ),
      true,
    );
    const data = rows.slice(0, 60).map((row) => ({
      ...row,
      ...Object.fromEntries(fields.map((field, i) => [field, (row.id + i) % 4 === 0 ? null : row[field]])),
    }));
    await succeed(client.insert({ collection_name: 'nulls', data: data as never }));
    const look = async (where: string) => {
      for (const [i, field] of fields.entries()) {
        const { results } = await succeed(
          client.search({
            collection_name: 'nulls',
            anns_field: field,
            data: query[field],
            limit: 100,
          } as never),
        );
        const expected = nearest(field, metricsOf(field)[0]!, ({ id }) => id < 60 && (id + i) % 4 !== 0);
        assertHits(results as never, expected, `${where} ${field} nulls`);
      }
    };
    await look('growing');
    await flush(client, 'nulls');
    await look('flushed');
  });

  test('MINHASH_LSH compares the elements of signatures by MHJACCARD', async () => {
    const { client } = fixture;
    await collection(client, 'minhash', {
      bits: {
        index_type: 'MINHASH_LSH',
        metric_type: 'MHJACCARD',
        params: { mh_lsh_band: 4, mh_element_bit_width: 8 },
      },
    });
    await insert(client, 'minhash', ['bits'], rows.slice(0, 200));
    const { results } = await succeed(
      client.search({ collection_name: 'minhash', data: query.bits, limit: 5 } as never),
    );
    assertHits(results as never, nearest('bits', 'MHJACCARD', ({ id }) => id < 200).slice(0, 5), 'MHJACCARD');
  });

  test('every index name of the types is accepted with its parameters and shown as asked; wrong ones are refused in words', async () => {
    const { client } = fixture;
    const collection_name = 'named';
    const create = (field_name: Field, index_type: string, metric_type: string, params: object = {}) =>
      client.createIndex({
        collection_name,
        field_name,
        index_name: 'mine',
        index_type,
        metric_type,
        params,
      } as never);
    await succeed(
      client.createCollection({
        collection_name,
        fields: [
          { name: 'id', data_type: DataType.Int64, is_primary_key: true },
          ...fields.map((name) => ({
            name,
            data_type: dataTypes[name],
            ...(name === 'sparse' ? {} : { dim: name === 'bits' ? BITS : DIM }),
          })),
        ] as never,
      }),
    );
    const right: readonly (readonly [Field, string, string, Record<string, unknown>])[] = [
      ['bits', 'BIN_FLAT', 'JACCARD', {}],
      ['bits', 'BIN_IVF_FLAT', 'HAMMING', { nlist: 64 }],
      ['bits', 'MINHASH_LSH', 'MHJACCARD', { mh_lsh_band: 4, mh_element_bit_width: 32, with_raw_data: true }],
      ['bits', 'AUTOINDEX', 'HAMMING', {}],
      ['sparse', 'SPARSE_INVERTED_INDEX', 'IP', { inverted_index_algo: 'DAAT_WAND', drop_ratio_build: 0.2 }],
      ['sparse', 'SPARSE_WAND', 'IP', {}],
      ['sparse', 'AUTOINDEX', 'IP', {}],
      ['i8', 'HNSW', 'L2', { M: 8, efConstruction: 64 }],
      ['f16', 'IVF_FLAT', 'COSINE', { nlist: 128 }],
      ['bf16', 'IVF_PQ', 'IP', { nlist: 128, m: 4, nbits: 8 }],
      [
        'f16',
        'HNSW_SQ',
        'L2',
        { M: 8, efConstruction: 64, sq_type: 'SQ8', refine: true, refine_type: 'FP32' },
      ],
      ['bf16', 'SCANN', 'L2', { nlist: 16, with_raw_data: true }],
      ['f16', 'DISKANN', 'L2', {}],
    ];
    for (const [field, type, metric, params] of right) {
      await succeed(create(field, type, metric, params));
      const { index_descriptions } = await succeed(
        client.describeIndex({ collection_name, field_name: field }),
      );
      const shown = Object.fromEntries(index_descriptions[0]!.params.map(({ key, value }) => [key, value]));
      assert.deepEqual([shown['index_type'], shown['metric_type']], [type, metric]);
      for (const [key, value] of Object.entries(params))
        assert.match(
          JSON.stringify(shown),
          new RegExp(`${key}\\\\?"?[:,]\\s*\\\\?"?${value}`),
          `${type} ${key}`,
        );
      await succeed(client.dropIndex({ collection_name, field_name: field, index_name: 'mine' }));
    }
    const wrong: readonly (readonly [Field, string, string, object, string])[] = [
      ['bits', 'BIN_FLAT', 'L2', {}, 'metric type'],
      ['bits', 'HNSW', 'HAMMING', {}, 'not supported'],
      ['bits', 'MINHASH_LSH', 'HAMMING', {}, 'metric type'],
      ['bits', 'BIN_IVF_FLAT', 'HAMMING', { nlist: 65_537 }, 'nlist'],
      ['sparse', 'SPARSE_INVERTED_INDEX', 'L2', {}, 'metric type'],
      ['sparse', 'SPARSE_INVERTED_INDEX', 'IP', { drop_ratio_build: 1 }, 'drop_ratio_build'],
      ['sparse', 'SPARSE_WAND', 'IP', { inverted_index_algo: 'FAST' }, 'inverted_index_algo'],
      ['sparse', 'FLAT', 'IP', {}, 'not supported'],
      ['f16', 'BIN_FLAT', 'HAMMING', {}, 'not supported'],
      ['bf16', 'IVF_PQ', 'L2', { m: 3 }, 'multiple'],
      ['i8', 'HNSW', 'JACCARD', {}, 'metric type'],
    ];
    for (const [field, type, metric, params, words] of wrong)
      await refused(create(field, type, metric, params), { code: 1100, words });
    for (const type of ['GPU_CAGRA', 'IVF_RABITQ'])
      await refused(create('f32', type, 'L2'), { code: 10, words: type });
  });

  test('a search with vectors of another type, a wrong length or a wrong parameter is refused in words', async () => {
    const { client } = fixture;
    const search = (anns_field: Field, more: object) =>
      client.search({
        collection_name: 'all_0',
        anns_field,
        data: query[anns_field],
        limit: 3,
        ...more,
      } as never);
    await refused(search('sparse', { metric_type: 'L2' }), { code: 1100, words: 'metric type' });
    await refused(search('bits', { metric_type: 'JACCARD' }), { code: 1100, words: 'metric type not match' });
    await refused(search('sparse', { params: { drop_ratio_search: 1 } }), {
      code: 1100,
      words: 'drop_ratio_search',
    });
    await refused(search('f16', { params: { nprobe: 0 } }), { code: 1100, words: 'nprobe' });
    await refused(search('bits', { data: query.bits.slice(1) }), { code: 1100, words: 'dimension' });
    await succeed(search('sparse', { params: { drop_ratio_search: 0.2 } }));
  });
});
