import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { DataType, type MilvusClient } from '@zilliz/milvus2-sdk-node';
import { refused, sharedServer, succeed } from './fixture.ts';

type Request = Parameters<MilvusClient['runAnalyzer']>[0];

describe('analyzers', () => {
  const fixture = sharedServer();

  const words = async (request: Request): Promise<string[][]> => {
    const { results } = await succeed(fixture.client.runAnalyzer(request));
    return results.map(({ tokens }) => tokens.map(({ token }) => token));
  };

  test('runAnalyzer answers the words of each text, by the parameters given', async () => {
    assert.deepEqual(
      await words({ text: ['Milvus is Built', 'for scale!'], analyzer_params: { type: 'english' } }),
      [['milvus', 'built'], ['scale']],
    );
    assert.deepEqual(await words({ text: 'No params, standard' }), [['no', 'params', 'standard']]);
    assert.deepEqual(
      await words({
        text: '我来到北京清华大学',
        analyzer_params: { tokenizer: { type: 'jieba', mode: 'exact' } },
      }),
      [['我', '来到', '北京', '清华大学']],
    );
    assert.deepEqual(await words({ text: '', analyzer_params: {} }), [[]]);
  });

  test('details are positions and offsets in bytes, hashes the terms of BM25', async () => {
    const request: Request = { text: 'Größe of 😀 Running', analyzer_params: { type: 'english' } };
    const [plain] = (await succeed(fixture.client.runAnalyzer(request))).results;
    const [detailed] = (
      await succeed(fixture.client.runAnalyzer({ ...request, with_detail: true, with_hash: true }))
    ).results;
    assert.deepEqual(
      plain!.tokens.map(({ token }) => token),
      ['größe', 'run'],
    );
    const shown = detailed!.tokens.map(({ token, start_offset, end_offset, position, position_length }) => [
      token,
      ...[start_offset, end_offset, position, position_length].map(Number),
    ]);
    assert.deepEqual(shown, [
      ['größe', 0, 7, 0, 1],
      ['run', 16, 23, 2, 1],
    ]);
    const [a, b] = detailed!.tokens;
    assert.ok(a!.hash > 0 && b!.hash > 0 && a!.hash !== b!.hash);
  });

  test('a collection’s field is asked for its own analyzer, or for one of its several', async () => {
    const { client } = fixture;
    const multi_analyzer_params = {
      analyzers: { english: { type: 'english' }, default: { type: 'standard' } },
      by_field: 'language',
      alias: { en: 'english' },
    };
    await succeed(
      client.createCollection({
        collection_name: 'speaking',
        fields: [
          { name: 'id', data_type: DataType.Int64, is_primary_key: true },
          {
            name: 'text',
            data_type: DataType.VarChar,
            max_length: 100,
            enable_analyzer: true,
            analyzer_params: { tokenizer: 'whitespace' },
          },
          {
            name: 'many',
            data_type: DataType.VarChar,
            max_length: 100,
            enable_analyzer: true,
            multi_analyzer_params,
          },
          { name: 'language', data_type: DataType.VarChar, max_length: 20 },
          { name: 'plain', data_type: DataType.VarChar, max_length: 20 },
          { name: 'vector', data_type: DataType.FloatVector, dim: 2 },
        ] as never,
      }),
    );
    const at = { collection_name: 'speaking', text: 'Runs, fast' };
    assert.deepEqual(await words({ ...at, field_name: 'text' }), [['Runs,', 'fast']]);
    assert.deepEqual(await words({ ...at, field_name: 'many' }), [['runs', 'fast']]);
    assert.deepEqual(await words({ ...at, field_name: 'many', analyzer_names: ['en'] }), [['run', 'fast']]);
    await refused(client.runAnalyzer({ ...at, field_name: 'plain' }), {
      code: 1100,
      words: 'has no analyzer',
    });
    await refused(client.runAnalyzer({ ...at, field_name: 'absent' }), {
      code: 65535,
      words: 'field not found',
    });
    const { schema } = await succeed(client.describeCollection({ collection_name: 'speaking' }));
    const params = schema.fields.find(({ name }) => name === 'many')!.type_params as {
      key: string;
      value: string;
    }[];
    assert.deepEqual(
      JSON.parse(params.find(({ key }) => key === 'multi_analyzer_params')!.value),
      multi_analyzer_params,
    );
  });

  test('wrong parameters are refused, those that are not served by name, too much text too', async () => {
    const run = (analyzer_params: Record<string, unknown>, text = 'x') =>
      fixture.client.runAnalyzer({ text, analyzer_params });
    await refused(run({ type: 'klingon' }), { code: 1100, words: 'unknown analyzer type klingon' });
    await refused(run({ tokenizer: 'standard', filter: [{ type: 'regex', expr: '(' }] }), {
      code: 1100,
      words: 'regular expression',
    });
    await refused(run({ tokenizer: { type: 'lindera', dict_kind: 'ipadic' } }), {
      code: 10,
      words: 'the lindera tokenizer',
    });
    await refused(run({ type: 'standard', stop_words: Array(200_000).fill('aa') }), {
      code: 1102,
      words: 'analyzer params',
    });
    await refused(run({}, 'x'.repeat((1 << 20) + 1)), { code: 1102, words: 'at once' });
  });

  test('a catastrophic expression does not hold up the server', async () => {
    const text = `${'a'.repeat(50_000)}!`;
    const slow = words({
      text,
      analyzer_params: { tokenizer: 'whitespace', filter: [{ type: 'regex', expr: '^(a+)+$' }] },
    });
    await succeed(fixture.client.checkHealth() as never);
    assert.deepEqual(await slow, [[]]);
  });
});
