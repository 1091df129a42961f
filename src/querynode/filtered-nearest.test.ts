/** Searches with filters that no index answers: recall and exactness whichever way they go, and what is tested. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { filteredWorld, kinds, shares } from '../../tests/filtered-world.ts';
import { collectionId } from '../../tests/query-world.ts';
import { clusteredVectors, slowSearch } from '../../tests/vectors.ts';
import { filterOf } from '../expr/check.ts';
import { chooseWay } from './ways.ts';

const ROWS = 9000;
const DIM = 8;
const QUERIES = 12;
const K = 10;

/** As if a test of all rows cost more than anything. */
const overFetch: typeof chooseWay = (situation, progress) =>
  chooseWay({ ...situation, scanCost: 1e9 }, progress);

async function open(options: { hasGraph: boolean; isCorrelated?: boolean; choose?: typeof chooseWay }) {
  const ways: string[] = [];
  const choose = options.choose ?? chooseWay;
  const world = await filteredWorld({
    rowCount: ROWS,
    dim: DIM,
    ...options,
    chooseWay(situation, progress) {
      const way = choose(situation, progress);
      ways.push(way.kind);
      return way;
    },
  });
  const queries = clusteredVectors(QUERIES, DIM, { latent: 8, clusters: 60, offset: 5 });
  const inOrder = Array.from({ length: QUERIES }, (_, query) =>
    slowSearch('L2', world.vectors, DIM, queries.subarray(query * DIM, (query + 1) * DIM)),
  );
  /** The part of the true nearest that is found, over all queries, each asked for by itself. */
  const recallOf = async (text: string, share: number): Promise<number> => {
    let hits = 0;
    let wanted = 0;
    for (const [query, all] of inOrder.entries()) {
      const { keys } = await world.search(queries.subarray(query * DIM, (query + 1) * DIM), text);
      const best = all.filter(({ row }) => world.place(row) < share).slice(0, K);
      const found = new Set(Array.from(keys.values, Number));
      hits += best.filter(({ row }) => found.has(row)).length;
      wanted += best.length;
      assert.equal(found.size, best.length, text);
      for (const row of found) assert.ok(world.place(row) < share, `${text}: ${row} does not pass`);
    }
    return hits / wanted;
  };
  return { ...world, ways, queries, recallOf };
}

for (const isCorrelated of [false, true])
  for (const [name, choose] of [
    ['as chosen', chooseWay],
    ['over-fetching', overFetch],
  ] as const)
    test(`a filter without an index keeps recall@10 at 0.95 at 50, 10, 1 and 0.1 %, ${name}, ${isCorrelated ? 'when rows that pass are neighbours' : 'when they are anywhere'}`, async () => {
      const { recallOf, node } = await open({ hasGraph: true, isCorrelated, choose });
      for (const [kind, textOf] of kinds)
        for (const [share, word] of shares) {
          const recall = await recallOf(textOf(share, word, 0), share);
          assert.ok(recall >= 0.95, `${kind} at ${share * 100} %: ${recall}`);
        }
      await node.close();
    });

test('without a graph the answer of a filtered search is exact, over-fetching or not', async () => {
  const { recallOf, node, ways } = await open({ hasGraph: false, choose: overFetch });
  for (const [kind, textOf] of kinds)
    for (const [share, word] of shares)
      assert.equal(await recallOf(textOf(share, word, 0), share), 1, `${kind} at ${share * 100} %`);
  assert.deepEqual([...new Set(ways)].sort(), ['over-fetch', 'pre-filter']);
  await node.close();
});

test('a dear filter that lets much pass is tested on a sample and on candidates; one that lets little pass, on every row once', async () => {
  const { search, queries, counts, ways, node } = await open({ hasGraph: true });
  const one = queries.subarray(0, DIM);
  await search(one, 'text like "%halfway%"');
  assert.equal(ways.at(-1), 'over-fetch');
  assert.ok(counts.tests < 1000, `${counts.tests}`);
  counts.tests = 0;
  await search(one, 'text like "%thousandth%"');
  assert.equal(ways.at(-1), 'pre-filter');
  assert.ok(counts.tests >= ROWS && counts.tests < ROWS + 1000, `${counts.tests}`);
  await node.close();
});

test('what a first test of all rows leaves behind is worth its price in the end: then it is paid, and later searches find it', async () => {
  const { search, queries, ways, node } = await open({ hasGraph: true });
  const one = queries.subarray(0, DIM);
  for (let i = 0; i < 100; i++) await search(one, 'meta["p1"] < 0.02');
  assert.ok(ways.includes('over-fetch'));
  assert.equal(ways.at(-1), 'pre-filter');
  await node.close();
});

test('what indexes answer narrows the candidates; only the rest of the filter is tested on them', async () => {
  const { search, queries, view, node, ways, counts, place, indexOn, FIELDS } = await open({
    hasGraph: true,
  });
  await node.update({ ...view, indexes: [...view.indexes, indexOn(FIELDS.NUMBER)] });
  const one = queries.subarray(0, DIM);
  const { keys } = await search(one, 'number >= 300 and text like "%halfway%"');
  assert.equal(ways.at(-1), 'over-fetch');
  assert.ok(counts.tests < 1000, `${counts.tests}`);
  assert.equal(keys.values.length, K);
  for (const key of keys.values) assert.ok(Number(key) >= 300 && place(Number(key)) < 0.5);
  await node.close();
});

test('an index that reads texts as the numbers they spell answers for them; without its structure each row is tested, with the same answer', async () => {
  const { node, view, counts, indexOn, FIELDS, schema } = await open({ hasGraph: false });
  const count = () => node.count({ collectionId, filter: filterOf('meta["spelled"] < 0.25', schema) });
  assert.equal(await count(), 0);
  const index = indexOn(FIELDS.META, {
    json_path: 'meta["spelled"]',
    json_cast_type: 'DOUBLE',
    json_cast_function: 'string_to_double',
  });
  counts.tests = 0;
  await node.update({ ...view, indexes: [...view.indexes, index] });
  assert.deepEqual([await count(), counts.tests], [ROWS / 4, 0]);
  const both = 'meta["spelled"] < 0.25 and text like "number 1%"';
  const some = await node.count({ collectionId, filter: filterOf(both, schema) });
  assert.ok(some > 0 && some < ROWS / 4 && counts.tests > 0);
  await node.close();
});

test('ranges, offsets, several queries and hybrid parts find the same whichever way they go', async () => {
  const first = await open({ hasGraph: false, choose: () => ({ kind: 'pre-filter' }) });
  const last = await open({ hasGraph: false, choose: overFetch });
  const text = kinds[0]?.[1](0.1, '', 0) ?? '';
  const several = first.queries.subarray(0, 3 * DIM);
  const near = await first.search(first.queries.subarray(0, DIM));
  const bound = near.scores.at(-1) ?? 0;
  for (const more of [
    {},
    { offset: 4 },
    { radius: bound * 40, topK: 50 },
    { radius: bound * 40, rangeFilter: bound * 4, topK: 50 },
    { topK: 700 },
  ]) {
    const wanted = await first.search(several, text, more);
    const found = await last.search(several, text, more);
    assert.deepEqual([found.counts, found.keys, found.scores], [wanted.counts, wanted.keys, wanted.scores]);
  }
  assert.ok(last.ways.includes('over-fetch'));
  await first.node.close();
  await last.node.close();
});

test('three-valued answers are the same for candidates: null, missing and by zero match neither a test nor its negation', async () => {
  const { search, queries, node, ways } = await open({ hasGraph: false, choose: overFetch });
  const one = queries.subarray(0, DIM);
  for (const [text, count] of [
    ['meta["nothing"] > 1 or meta["p0"] < 0.5', K],
    ['not (meta["nothing"] > 1) and meta["p0"] < 0.5', 0],
    ['meta["p0"] / (number - number) > 1', 0],
    ['not (number / (number - number) > 1) and text like "%halfway%"', 0],
    ['meta["kind"] > 3', 0],
  ] as const)
    assert.equal((await search(one, text)).keys.values.length, count, text);
  assert.ok(ways.length > 0);
  await node.close();
});
