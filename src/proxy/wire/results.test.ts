import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { HybridTime } from '../../model/hybrid-time.ts';
import { decodeMessage } from './descriptor.ts';
import { encodeSearchResults } from './results.ts';

interface Decoded {
  readonly results: {
    readonly element_indices: { readonly data: bigint[] } | null;
    readonly topks: bigint[];
  };
}

test('hits of single vectors in lists say which item of its row each is; other answers say nothing of it', () => {
  const answer = {
    collectionName: 'c',
    primaryField: 'id',
    outputNames: [],
    fields: [],
    rows: { rowCount: 3, columns: new Map() },
    topK: 2,
    counts: Uint32Array.of(2, 1),
    keys: { type: 'Int64', values: BigInt64Array.of(5n, 5n, 6n) },
    scores: Float32Array.of(1, 2, 1),
    sessionTs: 7n as HybridTime,
  } as const;
  const decode = (bytes: Uint8Array) => decodeMessage<Decoded>('milvus.proto.milvus.SearchResults', bytes);
  const { results } = decode(encodeSearchResults({ ...answer, elements: Uint32Array.of(0, 3, 200) }));
  assert.deepEqual(results.element_indices?.data, [0n, 3n, 200n]);
  assert.deepEqual(results.topks, [2n, 1n]);
  assert.equal(decode(encodeSearchResults(answer)).results.element_indices ?? null, null);
});
