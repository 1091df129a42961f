/** Calls that the official client has no method for, as other clients make them. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { DataType } from '@zilliz/milvus2-sdk-node';
import { flush, sharedServer, succeed } from './fixture.ts';
import { RawClient } from './raw-client.ts';

describe('calls of other clients', () => {
  const fixture = sharedServer();

  test('ComputePhraseMatchSlop tells the least slop with which PHRASE_MATCH finds a phrase in each text, and where it cannot', async () => {
    const raw = new RawClient(fixture.server.address);
    const ask = async (query_text: string, data_texts: string[], analyzer_params = '') => {
      const answer = await raw.answer('ComputePhraseMatchSlop', { query_text, data_texts, analyzer_params });
      return { is_match: answer['is_match'], slops: (answer['slops'] as string[]).map(Number) };
    };
    const text = 'I like swimming and riding!';
    const phrases = ['swimming and riding', 'swimming riding', 'riding swimming', 'swimming walking'];
    assert.deepEqual(await ask('swimming riding', [text, 'Riding, no swimming', 'riding alone', '']), {
      is_match: [true, true, false, false],
      slops: [1, 3, 0, 0],
    });
    assert.deepEqual(await ask('quick foxes', ['quick brown fox', 'the quick fox'], '{"type":"english"}'), {
      is_match: [true, true],
      slops: [1, 0],
    });
    // What it says is what PHRASE_MATCH does.
    const { client } = fixture;
    const collection_name = 'phrases';
    await succeed(
      client.createCollection({
        collection_name,
        fields: [
          { name: 'id', data_type: DataType.Int64, is_primary_key: true },
          {
            name: 'text',
            data_type: DataType.VarChar,
            max_length: 100,
            enable_analyzer: true,
            enable_match: true,
          },
          { name: 'vector', data_type: DataType.FloatVector, dim: 2 },
        ],
        index_params: [{ field_name: 'vector', index_type: 'FLAT', metric_type: 'L2' }],
      }),
    );
    await succeed(client.loadCollection({ collection_name }));
    await succeed(client.insert({ collection_name, data: [{ id: 1, text, vector: [1, 2] }] }));
    const isFound = async (phrase: string, slop: number) =>
      (await succeed(client.query({ collection_name, filter: `PHRASE_MATCH(text, '${phrase}', ${slop})` })))
        .data.length === 1;
    for (const phrase of phrases) {
      const { is_match, slops } = await ask(phrase, [text]);
      const slop = slops[0]!;
      const found = [await isFound(phrase, slop), slop > 0 && (await isFound(phrase, slop - 1))];
      assert.deepEqual(found, [(is_match as boolean[])[0], false], phrase);
    }
    const long = await raw.status('ComputePhraseMatchSlop', {
      query_text: 'a',
      data_texts: ['x'.repeat(2 ** 21)],
    });
    assert.equal(long.code, 1102);
    assert.equal(
      (await raw.status('ComputePhraseMatchSlop', { query_text: '', data_texts: ['x'] })).code,
      1100,
    );
    const hostile = { query_text: 'a b '.repeat(64), data_texts: ['b a '.repeat(200_000)] };
    assert.equal((await raw.status('ComputePhraseMatchSlop', hostile)).code, 1100);
    raw.close();
  });

  test('ListIndexedSegment names the flushed segments that have the index', async () => {
    const { client } = fixture;
    const collection_name = 'listed';
    await succeed(
      client.createCollection({
        collection_name,
        fields: [
          { name: 'id', data_type: DataType.Int64, is_primary_key: true },
          { name: 'vector', data_type: DataType.FloatVector, dim: 2 },
        ],
      }),
    );
    const raw = new RawClient(fixture.server.address);
    const listed = async () =>
      (await raw.answer('ListIndexedSegment', { collection_name, index_name: 'by_vector' }))[
        'segmentIDs'
      ] as string[];
    const missing = await raw.status('ListIndexedSegment', { collection_name, index_name: 'by_vector' });
    assert.equal(missing.code, 700);
    await succeed(
      client.createIndex({
        collection_name,
        field_name: 'vector',
        index_name: 'by_vector',
        index_type: 'HNSW',
        metric_type: 'L2',
      }),
    );
    assert.deepEqual(await listed(), []);
    await succeed(client.insert({ collection_name, data: [{ id: 1, vector: [1, 2] }] }));
    await flush(client, collection_name);
    const { infos } = (await client.getPersistentSegmentInfo({
      collectionName: collection_name,
    } as never)) as unknown as { infos: { segmentID: string }[] };
    for (let tries = 0; (await listed()).length === 0 && tries < 200; tries++)
      await new Promise((resolve) => setTimeout(resolve, 20));
    assert.deepEqual(
      await listed(),
      infos.map(({ segmentID }) => String(segmentID)),
    );
    raw.close();
  });
});
