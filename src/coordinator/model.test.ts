import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Catalog, MAX_CHANGES_PER_COMMIT, put, remove } from '../catalog/catalog.ts';
import { MemoryKv } from '../catalog/memory.ts';
import { isDbError } from '../errors/db-error.ts';
import { hybridTime, physicalMs } from '../model/hybrid-time.ts';
import type { CollectionId, DatabaseId, JobId, PartitionId } from '../model/ids.ts';
import type { CollectionRecord, DatabaseRecord, PartitionRecord } from '../model/records.ts';
import { IdSource, TimeSource } from './allocator.ts';
import { commitEach } from './batches.ts';
import {
  asideName,
  checkCollectionName,
  claimNames,
  findCollection,
  isAside,
  keptName,
  requireCollection,
} from './collections/names.ts';
import { collections, coreTables, databases, partitions } from './tables.ts';

const openCatalog = (kv = new MemoryKv(), highWater = () => 0n) =>
  Catalog.open({ kv, tables: coreTables, highWater });

test('timestamps only grow, whatever the clock does and whatever was observed, and over restarts', () => {
  const step = fc.oneof(
    fc.record({ do: fc.constant('next' as const), ms: fc.constantFrom(0, 0, 1, 5000, -5000, -(10 ** 9)) }),
    fc.record({ do: fc.constant('observe' as const), ms: fc.constantFrom(-1000, 0, 1, 100_000) }),
    fc.record({ do: fc.constant('restart' as const), ms: fc.constantFrom(0, -60_000) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      let nowMs = 1_700_000_000_000;
      const clock = {
        nowMs: () => nowMs,
        monotonicMs: () => 0,
        sleep: () => Promise.reject(new Error('nobody sleeps')),
      };
      let source = new TimeSource(clock);
      let last = 0n;
      for (const { do: what, ms } of steps) {
        if (what === 'observe') {
          const ts = hybridTime(Math.max(0, nowMs + ms), 7);
          source.observe(ts);
          if (ts > last) last = ts;
        } else {
          nowMs = Math.max(0, nowMs + ms);
          if (what === 'restart') {
            // What the catalog and the log remember.
            source = new TimeSource(clock);
            source.observe(last);
          }
          const ts = source.next();
          assert.ok(ts > last && ts >= hybridTime(nowMs));
          assert.ok(physicalMs(ts) >= nowMs && source.last === ts);
          last = ts;
        }
        assert.equal(source.last, last);
      }
    }),
    { seed: 1, numRuns: 300 },
  );
});

test('ids are never given twice, in any number at once, and over restarts', async () => {
  const step = fc.oneof(
    {
      weight: 4,
      arbitrary: fc.array(fc.oneof(fc.integer({ min: 1, max: 50 }), fc.constantFrom(9_999, 10_001, 30_000)), {
        minLength: 1,
        maxLength: 4,
      }),
    },
    { weight: 1, arbitrary: fc.constant('restart' as const) },
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 15 }), async (steps) => {
      const kv = new MemoryKv();
      let source = new IdSource(await openCatalog(kv));
      let end = 0n;
      for (const each of steps) {
        if (each === 'restart') {
          source = new IdSource(await openCatalog(kv));
          continue;
        }
        const firsts = await Promise.all(each.map((count) => source.range(count)));
        const ranges = each.map((count, n) => [firsts[n]!, firsts[n]! + BigInt(count)] as const);
        for (const [from, to] of ranges.toSorted(([a], [b]) => (a < b ? -1 : 1))) {
          assert.ok(from >= end, 'ranges do not overlap');
          assert.ok(source.mayHaveGiven(to - 1n));
          end = to;
        }
      }
    }),
    { seed: 2, numRuns: 60 },
  );
});

test('changes in batches: every one is made exactly once, however many commits in between are lost to others', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.nat(2 * MAX_CHANGES_PER_COMMIT + 9),
      fc.array(fc.nat(300), { maxLength: 6 }),
      async (count, raced) => {
        const catalog = await openCatalog();
        const ids = Array.from({ length: count }, (_, n) => BigInt(n + 1) as PartitionId);
        const record = (partitionId: PartitionId, name: string) =>
          ({ partitionId, name, collectionId: 1n }) as PartitionRecord;
        const racers = raced.map((n) => ids[n % Math.max(1, count)]).filter((id) => id !== undefined);
        let made = 0;
        const writing = commitEach(catalog, ids, (id) => {
          const was = catalog.get(partitions, id);
          return was?.name === 'done' ? undefined : put(partitions, record(id, 'done'), was);
        });
        // Others write first; what they write is not what is wanted.
        const others = Promise.all(
          racers.map(async (id) => {
            if (
              (await catalog.commit([put(partitions, record(id, 'other'), catalog.get(partitions, id))])) ===
              'committed'
            )
              made++;
          }),
        );
        await Promise.all([writing, others]);
        const names = [...catalog.all(partitions)].map(({ name }) => name);
        assert.equal(names.length, count);
        // Only one that came behind may stand over it.
        assert.ok(names.filter((name) => name !== 'done').length <= made);
        await commitEach(catalog, ids, (id) => {
          const was = catalog.get(partitions, id);
          return was && remove(partitions, was);
        });
        assert.equal(catalog.count(partitions), 0);
      },
    ),
    { seed: 3, numRuns: 30 },
  );
});

const database = {
  databaseId: 1n as DatabaseId,
  name: 'default',
  properties: {},
  createdTs: 1n,
} as unknown as DatabaseRecord;

test('whatever is created, renamed and dropped at once, of every name there is one collection at most, and it is found', async () => {
  const name = fc.constantFrom('a', 'b', 'c');
  const step = fc.record({
    what: fc.constantFrom('create' as const, 'create' as const, 'rename' as const, 'drop' as const),
    name,
    to: name,
  });
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(step, { minLength: 1, maxLength: 4 }), { maxLength: 10 }),
      async (rounds) => {
        const catalog = await openCatalog();
        await catalog.commitSure([put(databases, database, undefined)]);
        const model = new Map<string, CollectionId>();
        let nextId = 1n;
        for (const round of rounds) {
          // All of a round look first, then all commit: as calls that race do.
          const db = catalog.get(databases, database.databaseId) as DatabaseRecord;
          const commits = round.map((each) => {
            const found = findCollection(catalog, db, each.name);
            const target = findCollection(catalog, db, each.to);
            if (each.what === 'create') {
              if (found !== undefined) return undefined;
              const collectionId = nextId++ as CollectionId;
              const made = { collectionId, databaseId: db.databaseId, name: each.name } as CollectionRecord;
              return {
                changes: [put(collections, made, undefined), claimNames(db)],
                apply: () => model.set(each.name, collectionId),
              };
            }
            if (found === undefined) return undefined;
            if (each.what === 'drop')
              return {
                changes: [remove(collections, found), claimNames(db)],
                apply: () => model.delete(each.name),
              };
            if (target !== undefined) return undefined;
            const apply = () => {
              model.delete(each.name);
              model.set(each.to, found.collectionId);
            };
            return { changes: [put(collections, { ...found, name: each.to }, found), claimNames(db)], apply };
          });
          const made = commits.filter((commit) => commit !== undefined);
          const outcomes = await Promise.all(made.map(({ changes }) => catalog.commit(changes)));
          // All claimed the same names: the first one wins.
          assert.deepEqual(
            outcomes,
            made.map((_, n) => (n === 0 ? 'committed' : 'stale')),
          );
          made[0]?.apply();
          for (const each of ['a', 'b', 'c']) {
            const expected = model.get(each);
            const find = () => requireCollection(catalog, { database: '', name: each }).collectionId;
            if (expected === undefined)
              assert.throws(find, (error) => isDbError(error, 'collection-not-found'));
            else assert.equal(find(), expected);
          }
          assert.equal(catalog.count(collections), model.size);
        }
      },
    ),
    { seed: 4, numRuns: 100 },
  );
});

test('the name under which an old collection is kept is one that a user may give, is free, and differs from the aside name', () => {
  const word = fc.stringMatching(/^[A-Za-z_][\w$]{0,254}$/);
  fc.assert(
    fc.property(word, fc.bigInt({ min: 1n, max: 2n ** 63n - 1n }), fc.nat(12), (name, id, taken) => {
      const used = new Set<string>();
      for (let n = 0; n <= taken; n++) {
        const kept = keptName(name, id as JobId, (each) => used.has(each));
        checkCollectionName(kept);
        assert.ok(!used.has(kept) && !isAside(kept));
        used.add(kept);
      }
      const aside = asideName(name, id as JobId);
      assert.ok(isAside(aside));
      assert.throws(
        () => checkCollectionName(aside),
        (error) => isDbError(error, 'parameter-invalid'),
      );
    }),
    { seed: 5, numRuns: 200 },
  );
});
