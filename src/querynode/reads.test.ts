import assert from 'node:assert/strict';
import { test } from 'node:test';
import { collectionId, schemaOf, viewOf } from '../../tests/query-world.ts';
import type { PartitionId } from '../model/ids.ts';
import { loadedOnly } from './reads.ts';

const [a, b, c] = [1n, 2n, 3n] as PartitionId[] as [PartitionId, PartitionId, PartitionId];
const view = viewOf(schemaOf('Int64'), [], [a, b, c]);

// biome-ignore format: read down the columns.
const cases: readonly (readonly [string, readonly PartitionId[] | undefined, { partitionIds?: readonly PartitionId[]; needsAll?: boolean }, readonly PartitionId[] | undefined | string])[] = [
  ['all of a loaded collection',          undefined, {},                              undefined],
  ['one of a loaded collection',          undefined, { partitionIds: [b] },           [b]],
  ['none named: those that are loaded',   [a, c],    {},                              [a, c]],
  ['one that is loaded',                  [a, c],    { partitionIds: [c] },           [c]],
  ['one that is not',                     [a, c],    { partitionIds: [a, b] },        'partition-not-loaded'],
  ['all are needed, and one is not',      [a, c],    { needsAll: true },              'partition-not-loaded'],
  ['all are needed, and all are',         [a, b, c], { needsAll: true },              [a, b, c]],
  ['those named are needed, and are',     [a],       { partitionIds: [a], needsAll: true }, [a]],
  ['the loaded ones were dropped',        [],        {},                              'collection-not-loaded'],
];
for (const [name, loadedPartitionIds, request, expected] of cases)
  test(`the partitions of a read: ${name}`, () => {
    const read = () =>
      loadedOnly(loadedPartitionIds === undefined ? view : { ...view, loadedPartitionIds }, {
        collectionId,
        ...request,
      });
    if (typeof expected === 'string') assert.throws(read, { code: expected });
    else assert.deepEqual(read(), expected);
  });
