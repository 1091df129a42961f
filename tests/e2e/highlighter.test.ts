import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { DataType, FunctionType, HighlightType, type MilvusClient } from '@zilliz/milvus2-sdk-node';
import { load, refused, sharedServer, succeed } from './fixture.ts';

const texts = [
  'my first test doc',
  'my second test doc',
  'my first test doc. Milvus is an open-source vector database built for GenAI applications.',
  'my second test doc. Milvus is an open-source vector database that suits AI applications of every size from running a demo chatbot to building web-scale search.',
];

async function create(client: MilvusClient, collection_name: string, data = texts): Promise<void> {
  await succeed(
    client.createCollection({
      collection_name,
      fields: [
        { name: 'id', data_type: DataType.Int64, is_primary_key: true },
        {
          name: 'text',
          data_type: DataType.VarChar,
          max_length: 2000,
          enable_analyzer: true,
          enable_match: true,
        },
        { name: 'sparse', data_type: DataType.SparseFloatVector },
      ] as never,
      functions: [
        {
          name: 'f',
          type: FunctionType.BM25,
          input_field_names: ['text'],
          output_field_names: ['sparse'],
          params: {},
        },
      ],
    }),
  );
  await succeed(
    client.createIndex({
      collection_name,
      field_name: 'sparse',
      index_type: 'AUTOINDEX',
      metric_type: 'BM25',
    }),
  );
  await load(client, collection_name);
  await succeed(client.insert({ collection_name, data: data.map((text, id) => ({ id, text })) }));
}

interface Hit {
  readonly id: string;
  readonly text?: string;
  readonly highlight?: { readonly text: { readonly fragments: string[] } };
}

const braces = { type: HighlightType.Lexical, pre_tags: ['{'], post_tags: ['}'] };

async function highlights(
  client: MilvusClient,
  data: string | string[],
  highlighter: object,
  more: object = {},
): Promise<string[][]> {
  const { results } = await succeed(
    client.search({
      collection_name: 'docs',
      data,
      anns_field: 'sparse',
      limit: 10,
      output_fields: ['text'],
      highlighter,
      ...more,
    } as never),
  );
  const hits = (results as unknown as (Hit | Hit[])[]).flat();
  return hits
    .toSorted((a, b) => Number(a.id) - Number(b.id))
    .map(({ highlight }) => highlight!.text.fragments);
}

describe('the lexical highlighter', () => {
  const fixture = sharedServer();

  test('marks the words of a search by text, in pieces of a hundred characters from the first one on', async () => {
    const { client } = fixture;
    await create(client, 'docs');
    assert.deepEqual(await highlights(client, 'test', { ...braces, highlight_search_text: true }), [
      ['{test} doc'],
      ['{test} doc'],
      ['{test} doc. Milvus is an open-source vector database built for GenAI applications.'],
      [
        '{test} doc. Milvus is an open-source vector database that suits AI applications of every size from run',
      ],
    ]);
  });

  test('marks the words of a text match too', async () => {
    const highlight_query = [{ type: 'TextMatch', field: 'text', text: 'my doc' }];
    const found = await highlights(fixture.client, 'test', {
      ...braces,
      highlight_search_text: true,
      highlight_query,
    });
    assert.deepEqual(found, [
      ['{my} first {test} {doc}'],
      ['{my} second {test} {doc}'],
      ['{my} first {test} {doc}. Milvus is an open-source vector database built for GenAI applications.'],
      [
        '{my} second {test} {doc}. Milvus is an open-source vector database that suits AI applications of every siz',
      ],
    ]);
  });

  test('pieces have the offset, the size and the number asked for', async () => {
    const { client } = fixture;
    const sized = { ...braces, highlight_search_text: true, fragment_offset: 20, fragment_size: 60 };
    assert.deepEqual(await highlights(client, 'Milvus', sized), [
      ['my first test doc. {Milvus} is an open-source vector database '],
      ['my second test doc. {Milvus} is an open-source vector database'],
    ]);
    const small = { ...braces, highlight_search_text: true, fragment_size: 10 };
    assert.deepEqual((await highlights(client, 'my vector demo', small)).at(-1), [
      '{my} second ',
      '{vector} dat',
      '{demo} chatb',
    ]);
    assert.deepEqual((await highlights(client, 'my vector demo', { ...small, num_of_fragments: 1 })).at(-1), [
      '{my} second ',
    ]);
  });

  test('several tags take turns; each query marks its own hits; the text need not be among the output', async () => {
    const { client } = fixture;
    const turns = {
      type: HighlightType.Lexical,
      pre_tags: ['<b>', '<i>'],
      post_tags: ['</b>', '</i>'],
      highlight_search_text: true,
    };
    assert.deepEqual((await highlights(client, 'my test doc', turns))[0], [
      '<b>my</b> first <i>test</i> <b>doc</b>',
    ]);
    const { results } = await succeed(
      client.search({
        collection_name: 'docs',
        data: ['first', 'Milvus'],
        anns_field: 'sparse',
        limit: 2,
        output_fields: ['id'],
        highlighter: { ...braces, highlight_search_text: true, fragment_size: 9 },
      } as never),
    );
    const [first, second] = results as unknown as Hit[][];
    assert.deepEqual(
      first!.map(({ highlight }) => highlight!.text.fragments),
      [['{first} tes'], ['{first} tes']],
    );
    assert.deepEqual(
      second!.map(({ highlight }) => highlight!.text.fragments),
      [['{Milvus} is'], ['{Milvus} is']],
    );
    assert.equal(first![0]!.text, undefined);
  });

  test('a highlighter that cannot be is refused, a semantic one by name', async () => {
    const ask = (highlighter: object) =>
      fixture.client.search({
        collection_name: 'docs',
        data: 'test',
        anns_field: 'sparse',
        limit: 1,
        highlighter,
      } as never);
    await refused(ask({ ...braces }), { code: 1100, words: 'highlight_search_text or highlight_query' });
    await refused(ask({ ...braces, highlight_query: [{ type: 'TextMatch', field: 'id', text: 'x' }] }), {
      code: 1100,
      words: 'has no analyzer',
    });
    await refused(ask({ ...braces, highlight_query: [{ type: 'Term', field: 'text', text: 'x' }] }), {
      code: 1100,
      words: 'TextMatch',
    });
    await refused(ask({ ...braces, highlight_search_text: true, fragment_size: 0 }), {
      code: 1100,
      words: 'fragment_size',
    });
    await refused(ask({ type: HighlightType.Semantic, queries: ['x'], input_fields: ['text'] }), {
      code: 10,
      words: 'semantic highlighter',
    });
  });
});
