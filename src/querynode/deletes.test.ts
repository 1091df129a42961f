import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { keysOf } from '../../tests/query-world.ts';
import type { HybridTime } from '../model/hybrid-time.ts';
import { ALL_PARTITIONS, type PartitionId } from '../model/ids.ts';
import { DeleteMap } from '../segment/delete-map.ts';
import { keyList } from '../segment/key-column.ts';
import { CollectionDeletes } from './collection-deletes.ts';
import { KeyIndex } from './key-index.ts';
import { Pacer, Turns } from './pacer.ts';

const here = 1n as PartitionId;
const other = 2n as PartitionId;
const deletion = fc.record({
  key: fc.oneof(fc.nat(20), fc.nat(300)),
  ts: fc.bigInt(1n, 50n),
  scope: fc.constantFrom(here, other, ALL_PARTITIONS),
});

for (const type of ['Int64', 'VarChar'] as const)
  test(`R02: deletes of ${type} keys give the same result in any order and any number of times`, () => {
    fc.assert(
      fc.property(
        fc.array(deletion, { maxLength: 600, size: 'max' }),
        fc.infiniteStream(fc.double({ noNaN: true })),
        (all, chance) => {
          const shuffled = [...all, ...all.slice(0, 20)]
            .map((each) => ({ each, at: chance.next().value as number }))
            .sort((a, b) => a.at - b.at)
            .map(({ each }) => each);
          const maps = [all, shuffled].map((list) => {
            const map = new DeleteMap();
            for (const { key, ts, scope } of list)
              map.put(scope, keyList(keysOf(type, [key])).column, 0, ts as HybridTime);
            return map;
          });
          for (let key = 0; key < 301; key++) {
            const expected =
              all
                .filter((each) => each.key === key && each.scope !== other)
                .map(({ ts }) => ts)
                .sort((a, b) => Number(a - b))
                .at(-1) ?? 0n;
            for (const map of maps)
              assert.equal(map.get(here, keyList(keysOf(type, [key])).column, 0), expected);
          }
          assert.equal(maps[0]?.size, maps[1]?.size);
          assert.equal(maps[0]?.size, new Set(all.map(({ key, scope }) => `${key} ${scope}`)).size);
        },
      ),
      { seed: 20260731, numRuns: 30 },
    );
  });

test('what is pruned is gone and nothing else, in slices', () => {
  const values = BigInt64Array.from({ length: 5000 }, (_, i) => BigInt(i));
  const { column, count } = keyList({ type: 'Int64', values });
  const map = new DeleteMap();
  for (let at = 0; at < count; at++) {
    map.put(here, column, at, BigInt(at + 1) as HybridTime);
    map.put(other, column, at, 3n as HybridTime);
  }
  const before = 4001n;
  const slices = [...map.prune(here, before)];
  assert.ok(slices.length > 100);
  assert.equal(
    slices.reduce((sum, keys) => sum + keys, 0),
    count,
  );
  for (let at = 0; at < count; at++) {
    assert.equal(map.get(here, column, at), at + 1 >= before ? BigInt(at + 1) : 0n);
    assert.equal(map.get(other, column, at), 3n);
  }
  assert.equal(map.size, 1000 + count);
  assert.deepEqual(map.scopes(), [
    { partitionId: here, size: 1000, minTs: before, maxTs: 5000n },
    { partitionId: other, size: count, minTs: 3n, maxTs: 3n },
  ]);
  for (const _ of map.prune(other, 4n));
  assert.equal(map.size, 1000);
  assert.equal(map.put(other, column, 0, 9n as HybridTime), true);
  assert.equal(map.put(other, column, 0, 8n as HybridTime), false);
});

test('a delete that arrives while older ones are forgotten stays, whatever its channel', async () => {
  const deletes = new CollectionDeletes();
  const erase = (channel: string, key: number, ts: bigint) =>
    deletes.apply(
      { channel, partitionId: here, units: () => [] },
      keyList(keysOf('Int64', [key])),
      ts as HybridTime,
    );
  erase('first', 1, 10n);
  erase('second', 2, 10n);
  const pruned = deletes.prune([], new Pacer(new Turns({ turnUnits: 1 }), new AbortController().signal));
  erase('first', 3, 20n);
  erase('second', 4, 20n);
  await pruned;
  assert.equal(deletes.count, 2);
  for (const [channel, key] of [
    ['first', 3],
    ['second', 4],
  ] as const)
    assert.equal(deletes.of(channel).get(here, keyList(keysOf('Int64', [key])).column, 0), 20n, channel);
});

test('keys at the ends of Int64 and keys that share a half are told apart', () => {
  const values = BigInt64Array.from([
    0n,
    -1n,
    2n ** 63n - 1n,
    -(2n ** 63n),
    1n,
    2n ** 32n,
    2n ** 32n + 1n,
    -(2n ** 32n),
  ]);
  const { column, count } = keyList({ type: 'Int64', values });
  const map = new DeleteMap();
  const index = new KeyIndex(count);
  for (let i = 0; i < count; i++) {
    map.put(ALL_PARTITIONS, column, i, BigInt(i + 1) as HybridTime);
    index.add(column, i);
  }
  for (let i = 0; i < count; i++) {
    assert.equal(map.get(here, column, i), BigInt(i + 1));
    assert.equal(index.find(column, column, i), i);
  }
});

test('a key that comes many times costs no more than many keys, and all its rows are found, newest first', () => {
  const count = 200_000;
  const { column } = keyList({ type: 'Int64', values: new BigInt64Array(count).fill(7n) });
  const index = new KeyIndex(count);
  for (let row = 0; row < count; row++) index.add(column, row);
  let row = index.find(column, column, 0);
  for (let expected = count - 1; expected >= 0; expected--) {
    assert.equal(row, expected);
    row = index.older(row);
  }
  assert.equal(row, -1);
});
