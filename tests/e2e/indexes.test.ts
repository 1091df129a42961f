import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { DataType, type MilvusClient } from '@zilliz/milvus2-sdk-node';
import { flush, item, load, refused, sharedServer, succeed } from './fixture.ts';

async function bare(client: MilvusClient, collection_name: string): Promise<void> {
  await succeed(
    client.createCollection({
      collection_name,
      fields: [
        { name: 'id', data_type: DataType.Int64, is_primary_key: true },
        { name: 'name', data_type: DataType.VarChar, max_length: 64 },
        { name: 'vector', data_type: DataType.FloatVector, dim: 8 },
      ],
    }),
  );
}

const described = async (client: MilvusClient, collection_name: string, field_name = '') => {
  const { index_descriptions } = await succeed(
    client.describeIndex({ collection_name, ...(field_name !== '' && { field_name }) }),
  );
  return index_descriptions.map(({ params, ...index }) => ({
    ...index,
    params: Object.fromEntries(params.map(({ key, value }) => [key, String(value)])),
  }));
};

describe('indexes', () => {
  const fixture = sharedServer();

  test('every index type of a float vector is accepted and shown with its parameters, also after kill -9', async () => {
    const table: readonly (readonly [string, Record<string, number>])[] = [
      ['FLAT', {}],
      ['HNSW', { M: 12, efConstruction: 99 }],
      ['HNSW_SQ', { M: 12, efConstruction: 99 }],
      ['AUTOINDEX', {}],
      ['IVF_FLAT', { nlist: 128 }],
      ['IVF_SQ8', { nlist: 128 }],
      ['IVF_PQ', { nlist: 128, m: 4, nbits: 8 }],
      ['SCANN', { nlist: 128 }],
      ['DISKANN', {}],
    ];
    const { client } = fixture;
    for (const [index_type, params] of table) {
      const collection_name = `of_${index_type}`;
      await bare(client, collection_name);
      await succeed(
        client.createIndex({
          collection_name,
          field_name: 'vector',
          index_name: 'mine',
          index_type,
          metric_type: 'IP',
          params,
        }),
      );
      await load(client, collection_name);
      await succeed(client.insert({ collection_name, data: [item(1), item(2)] }));
    }
    await fixture.restart('kill');
    for (const [index_type, params] of table) {
      const [index] = await described(fixture.client, `of_${index_type}`);
      assert.deepEqual([index?.index_name, index?.field_name], ['mine', 'vector']);
      const shown = JSON.stringify(index?.params);
      assert.equal(index?.params['index_type'], index_type);
      assert.equal(index?.params['metric_type'], 'IP');
      for (const [key, value] of Object.entries(params))
        assert.match(
          shown,
          new RegExp(`"${key}\\\\?":\\s*\\\\?"?${value}`),
          `${index_type} ${key} in ${shown}`,
        );
      const { results } = await succeed(
        fixture.client.search({ collection_name: `of_${index_type}`, data: item(1).vector, limit: 2 }),
      );
      assert.equal(results.length, 2);
    }
  });

  test('rows are indexed after a flush: progress, state and statistics say so', async () => {
    const { client } = fixture;
    const collection_name = 'progressing';
    await bare(client, collection_name);
    const data = Array.from({ length: 2000 }, (_, id) => item(id));
    await succeed(client.insert({ collection_name, data }));
    await flush(client, collection_name);
    await succeed(
      client.createIndex({
        collection_name,
        field_name: 'vector',
        index_type: 'HNSW',
        metric_type: 'L2',
        params: { M: 8 },
      }),
    );
    for (;;) {
      const { state } = await succeed(client.getIndexState({ collection_name, field_name: 'vector' }));
      if (String(state) === 'Finished') break;
      assert.equal(String(state), 'InProgress');
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    const progress = await succeed(client.getIndexBuildProgress({ collection_name, field_name: 'vector' }));
    assert.deepEqual([Number(progress.indexed_rows), Number(progress.total_rows)], [2000, 2000]);
    const [index] = await described(client, collection_name);
    assert.equal(index?.index_name, 'vector', 'the default name is the field name');
    assert.deepEqual(
      [index?.state, index?.indexed_rows, index?.total_rows, index?.pending_index_rows],
      ['Finished', '2000', '2000', '0'],
    );
    await succeed(client.getIndexStatistics({ collection_name }));
  });

  test('scalar indexes of each type are accepted, shown and dropped; filters answer the same', async () => {
    const { client } = fixture;
    const collection_name = 'scalars';
    await bare(client, collection_name);
    await succeed(
      client.createIndex({ collection_name, field_name: 'vector', index_type: 'FLAT', metric_type: 'L2' }),
    );
    await load(client, collection_name);
    await succeed(client.insert({ collection_name, data: [item(1), item(2)] }));
    for (const index_type of ['INVERTED', 'Trie', 'BITMAP', 'AUTOINDEX']) {
      await succeed(
        client.createIndex({ collection_name, field_name: 'name', index_name: 'by_name', index_type }),
      );
      const [index] = await described(client, collection_name, 'name');
      assert.deepEqual([index?.params['index_type'], index?.state], [index_type, 'Finished']);
      const { data } = await succeed(client.query({ collection_name, filter: 'name == "item 2 v0"' }));
      assert.equal(data.length, 1);
      await succeed(client.dropIndex({ collection_name, field_name: 'name', index_name: 'by_name' }));
    }
    await succeed(client.createIndex({ collection_name, field_name: 'id', index_type: 'STL_SORT' }));
    assert.deepEqual((await described(client, collection_name)).map(({ field_name }) => field_name).sort(), [
      'id',
      'vector',
    ]);
  });

  test('the same index again is success; another one for the field, or of the name, is refused', async () => {
    const { client } = fixture;
    const collection_name = 'twice';
    await bare(client, collection_name);
    const request = {
      collection_name,
      field_name: 'vector',
      index_type: 'HNSW',
      metric_type: 'L2',
      params: { M: 8 },
    };
    await succeed(client.createIndex(request));
    await succeed(client.createIndex(request));
    await refused(client.createIndex({ ...request, metric_type: 'IP' }), {
      code: 702,
      words: 'inconsistent',
    });
    await refused(client.createIndex({ ...request, index_name: 'second' }), {
      code: 702,
      words: 'at most one',
    });
  });

  test('an index is dropped from a released collection only; then it is not found', async () => {
    const { client } = fixture;
    const collection_name = 'dropped';
    await bare(client, collection_name);
    await succeed(
      client.createIndex({ collection_name, field_name: 'vector', index_type: 'HNSW', metric_type: 'L2' }),
    );
    await load(client, collection_name);
    await refused(client.dropIndex({ collection_name, field_name: 'vector' }), {
      code: 1100,
      words: 'release',
    });
    await succeed(client.releaseCollection({ collection_name }));
    await succeed(client.dropIndex({ collection_name, field_name: 'vector' }));
    await refused(client.describeIndex({ collection_name }), {
      code: 700,
      words: 'index not found',
      legacy: 'IndexNotExist',
    });
    await succeed(client.dropIndex({ collection_name, field_name: 'vector' }));
  });

  test('what cannot be indexed is refused by name', async () => {
    const { client } = fixture;
    const collection_name = 'wrong';
    await bare(client, collection_name);
    const request = { collection_name, field_name: 'vector', index_type: 'HNSW', metric_type: 'L2' };
    const unexpected = 'UnexpectedError';
    await refused(client.createIndex({ ...request, index_type: 'HNWS' }), {
      code: 1100,
      words: 'HNWS',
      legacy: unexpected,
    });
    await refused(client.createIndex({ ...request, field_name: 'nope' }), {
      code: 65535,
      words: 'non-exist field',
      legacy: unexpected,
    });
    await refused(client.createIndex({ ...request, metric_type: 'JACCARD' }), {
      code: 1100,
      words: 'JACCARD',
    });
    await refused(client.createIndex({ ...request, params: { M: 1 } }), { code: 1100, words: 'M' });
    await refused(client.createIndex({ ...request, params: { efConstruction: 0 } }), {
      code: 1100,
      words: 'efConstruction',
    });
    await refused(client.createIndex({ ...request, field_name: 'name' }), {
      code: 1100,
      words: 'not supported',
    });
    await refused(client.createIndex({ ...request, index_type: 'INVERTED' }), {
      code: 1100,
      words: 'not supported',
    });
    await refused(client.createIndex({ ...request, index_name: '../x' }), {
      code: 1100,
      words: 'index name',
    });
    await refused(client.describeIndex({ collection_name }), { code: 700, words: 'index not found' });
  });
});
