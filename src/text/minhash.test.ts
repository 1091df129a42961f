/** Signatures of texts, judged by the Jaccard similarity of the sets of shingles themselves. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { bytesColumn } from '../../tests/arbitrary-rows.ts';
import { fieldSchema } from '../../tests/field-schema.ts';
import { isDbError } from '../errors/db-error.ts';
import type { FieldId } from '../model/ids.ts';
import type { RowBatch } from '../model/rows.ts';
import type { CollectionSchema } from '../model/schema.ts';
import { withFunctionOutputs } from './function-rows.ts';
import { type MinHashRules, minHashRules } from './minhash.ts';

const [TEXT, SIGNATURE] = [100, 101] as FieldId[] as [FieldId, FieldId];

interface Options {
  readonly params?: Record<string, string>;
  readonly numHashes?: number;
  readonly typeParams?: Record<string, string>;
}

function schemaOf({ params = {}, numHashes = 256, typeParams = {} }: Options): CollectionSchema {
  return {
    description: '',
    fields: [
      fieldSchema('text', {
        fieldId: TEXT,
        dataType: 'VarChar',
        maxLength: 65_535,
        typeParams: { enable_analyzer: 'true', ...typeParams },
      }),
      fieldSchema('signature', {
        fieldId: SIGNATURE,
        dataType: 'BinaryVector',
        dim: 32 * numHashes,
        isFunctionOutput: true,
      }),
    ],
    functions: [
      {
        functionId: 100,
        name: 'f',
        description: '',
        type: 'MinHash',
        inputFieldIds: [TEXT],
        outputFieldIds: [SIGNATURE],
        params,
      },
    ],
    enableDynamicField: false,
    version: 1,
  };
}

const rowsOf = (texts: readonly string[]): RowBatch => ({
  rowCount: texts.length,
  columns: new Map([[TEXT, bytesColumn('VarChar', texts)]]),
});

function signatures(texts: readonly string[], options: Options = {}): Uint32Array[] {
  const made = withFunctionOutputs(schemaOf(options), rowsOf(texts)).columns.get(SIGNATURE);
  assert.ok(made?.layout === 'vector' && made.type === 'BinaryVector');
  const { numHashes = 256 } = options;
  assert.equal(made.dim, 32 * numHashes);
  const all = new Uint32Array(made.values.buffer, made.values.byteOffset, texts.length * numHashes);
  return texts.map((_, row) => all.slice(row * numHashes, (row + 1) * numHashes));
}

const equalShare = (a: Uint32Array, b: Uint32Array): number =>
  a.filter((element, i) => element === b[i]).length / a.length;

function jaccard(a: ReadonlySet<string>, b: ReadonlySet<string>): number {
  const both = [...a].filter((each) => b.has(each)).length;
  return both / (a.size + b.size - both);
}

const wordShingles = (text: string, size: number): Set<string> => {
  const words = text.split(' ');
  return new Set(words.slice(size - 1).map((_, i) => words.slice(i, i + size).join(' ')));
};
const charShingles = (text: string, size: number): Set<string> => {
  const signs = [...text];
  return new Set(signs.slice(size - 1).map((_, i) => signs.slice(i, i + size).join('')));
};

/** Pairs of texts of `length` words of which some share is the same. */
const pairs = (length: number): readonly (readonly [string, string])[] =>
  [0, 0.1, 0.3, 0.5, 0.7, 0.9, 1].map((share) => {
    const same = Math.round(length * share);
    const words = (prefix: string, from: number) =>
      Array.from({ length }, (_, i) => (i < from ? `w${i}x${length}` : `${prefix}${i}`)).join(' ');
    return [words('a', same), words('b', same)];
  });

describe('a MinHash signature', () => {
  for (const hash_function of ['xxhash', 'sha1'])
    test(`estimates the Jaccard similarity of the shingles of words, short texts and long ones (${hash_function})`, () => {
      for (const length of [8, 40, 200, 3000])
        for (const shingle_size of [1, 3])
          for (const [a, b] of pairs(length)) {
            const params = { hash_function, shingle_size: String(shingle_size) };
            const numHashes = 1024;
            const [x, y] = signatures([a, b], { params, numHashes }) as [Uint32Array, Uint32Array];
            const expected = jaccard(wordShingles(a, shingle_size), wordShingles(b, shingle_size));
            // Five standard deviations.
            const allowed = 5 * Math.sqrt((expected * (1 - expected)) / numHashes);
            const estimated = equalShare(x, y);
            assert.ok(
              Math.abs(estimated - expected) <= allowed,
              `${length} words, shingles of ${shingle_size}: ${estimated}, expected ${expected}`,
            );
          }
    });

  test('is not biased: over many seeds the estimates are as far off as so many permutations would be', () => {
    const a = Array.from({ length: 12 }, (_, i) => `a${i}`).join(' ');
    const b = Array.from({ length: 12 }, (_, i) => (i < 6 ? `a${i}` : `b${i}`)).join(' ');
    const expected = jaccard(wordShingles(a, 1), wordShingles(b, 1));
    const numHashes = 64;
    const offs = Array.from({ length: 200 }, (_, seed) => {
      const params = { shingle_size: '1', seed: String(seed) };
      const [x, y] = signatures([a, b], { params, numHashes }) as [Uint32Array, Uint32Array];
      return equalShare(x, y) - expected;
    });
    const mean = offs.reduce((sum, off) => sum + off, 0) / offs.length;
    const variance = offs.reduce((sum, off) => sum + off ** 2, 0) / offs.length;
    const ofPermutations = (expected * (1 - expected)) / numHashes;
    assert.ok(Math.abs(mean) <= 4 * Math.sqrt(ofPermutations / offs.length), `mean ${mean}`);
    assert.ok(variance <= 1.3 * ofPermutations, `variance ${variance}, of permutations ${ofPermutations}`);
  });

  test('of characters needs no analyzer, and takes every code point as one', () => {
    const [a, b] = ['der schnelle braune Fuchs 🦊🦊🐶 springt', 'der schnelle braune Hund 🦊🐶🐶 springt'];
    const numHashes = 2048;
    for (const token_level of ['char', 'Character']) {
      const [x, y] = signatures([a, b], {
        params: { token_level, shingle_size: '3' },
        numHashes,
        typeParams: { enable_analyzer: 'false' },
      }) as [Uint32Array, Uint32Array];
      const expected = jaccard(charShingles(a, 3), charShingles(b, 3));
      assert.ok(Math.abs(equalShare(x, y) - expected) < 0.05, `${equalShare(x, y)}, expected ${expected}`);
    }
  });

  test('is the same for texts with the same shingles, whatever their case, punctuation and repetitions are', () => {
    const [x, y, z] = signatures(
      ['The fox, the fox, THE FOX.', 'the fox the fox', 'fox the fox the fox the'],
      {
        params: { shingle_size: '2' },
      },
    );
    assert.deepEqual(x, y);
    assert.deepEqual(x, z);
  });

  test('of a text shorter than a shingle is that of the text as one shingle; one without words, as a null, has all bits set', () => {
    const [one, other, two, empty, dots, none] = signatures(['fox', 'dog', 'fox dog', '', '...', '']);
    assert.ok(equalShare(one as Uint32Array, other as Uint32Array) === 0);
    assert.ok(equalShare(one as Uint32Array, two as Uint32Array) === 0);
    for (const each of [empty, dots, none]) assert.ok(each?.every((element) => element === 0xffff_ffff));
    assert.ok(one?.every((element) => element !== 0xffff_ffff));
  });

  test('is another one with another seed, and the same one with the names of parameters in any case', () => {
    const [a] = signatures(['the quick brown fox jumps']) as [Uint32Array];
    const [b] = signatures(['the quick brown fox jumps'], { params: { seed: '1' } }) as [Uint32Array];
    const [c] = signatures(['the quick brown fox jumps'], {
      params: { SEED: '1234', Shingle_Size: '3', Hash_Function: 'XXHash64', num_hashes: '256' },
    }) as [Uint32Array];
    assert.equal(equalShare(a, b), 0);
    assert.deepEqual(a, c);
  });

  test('is what it was when rows were first stored', () => {
    const first = (options: Options) =>
      signatures(['the quick brown fox jumps over the lazy dog'], { numHashes: 4, ...options }).map(
        (each) => [...each],
      )[0];
    assert.deepEqual(first({}), [3975667894, 1366050590, 733280674, 518929585]);
    assert.deepEqual(
      first({ params: { hash_function: 'sha1' } }),
      [1083238464, 733231856, 3108543014, 702835574],
    );
    assert.deepEqual(
      first({ params: { token_level: 'char', seed: '-5' } }),
      [438816865, 507756336, 438751339, 365519576],
    );
  });

  test('of the longest text with the most hashes takes milliseconds, one character repeated or all different', () => {
    const longest = [
      'a'.repeat(65_535),
      Array.from({ length: 16_000 }, (_, i) => String.fromCodePoint(0x10000 + i)).join(''),
      'a b '.repeat(16_383),
    ];
    const started = process.cpuUsage();
    signatures(longest, { numHashes: 8192, params: { token_level: 'char', shingle_size: '256' } });
    signatures(longest, { numHashes: 8192, params: { shingle_size: '1' } });
    const { user } = process.cpuUsage(started);
    // Without care it is a milliard of steps, seconds for each text.
    assert.ok(user < 3e6, `${user} µs`);
  });

  test('more signatures than a request may make are refused before any is made', () => {
    const schema = schemaOf({ numHashes: 8192 });
    const count = 8193;
    const column = bytesColumn(
      'VarChar',
      Array.from({ length: count }, () => ''),
    );
    const rows: RowBatch = { rowCount: count, columns: new Map([[TEXT, column]]) };
    assert.throws(
      () => withFunctionOutputs(schema, rows),
      (error) => isDbError(error, 'parameter-too-large') && /8193 texts/.test(error.message),
    );
  });
});

describe('parameters of a MinHash function', () => {
  const rules = (params: Record<string, string>, dim = 128): MinHashRules =>
    minHashRules({ name: 'f', params }, { name: 'signature', dim });

  test('have the defaults of Milvus', () => {
    assert.deepEqual(rules({}), {
      numHashes: 4,
      shingleSize: 3,
      hashFunction: 'xxhash',
      tokenLevel: 'word',
      seed: 1234,
    });
  });

  test('that cannot be are refused in words', () => {
    for (const [params, dim, words] of [
      [{}, 0, 'multiple of 32'],
      [{}, 40, 'multiple of 32'],
      [{ num_hashes: '5' }, 128, '32 * num_hashes'],
      [{ num_hashes: '0' }, 128, '32 * num_hashes'],
      [{ num_hashes: '4.5' }, 128, 'num_hashes is an integer'],
      [{ num_hashes: '99999999999' }, 128, 'num_hashes is an integer'],
      [{ shingle_size: '0' }, 128, 'shingle_size should be in range [1, 256]'],
      [{ shingle_size: '257' }, 128, 'shingle_size should be in range'],
      [{ shingle_size: '-1' }, 128, 'shingle_size is an integer'],
      [{ seed: 'x' }, 128, 'seed is an integer'],
      [{ seed: '1'.repeat(99) }, 128, 'seed is an integer'],
      [{ hash_function: 'md5' }, 128, 'hash_function is one of xxhash, xxhash64, sha1, not md5'],
      [{ token_level: 'line' }, 128, 'token_level is one of word, char, character, not line'],
      [{ shingles: '3' }, 128, 'unknown parameter shingles'],
    ] as const)
      assert.throws(
        () => rules({ ...params } as Record<string, string>, dim),
        (error) => isDbError(error, 'parameter-invalid') && error.message.includes(words),
        words,
      );
  });
});
