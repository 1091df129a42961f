/** Searches with dear filters that no index answers, each way: the filter first, the search first, and what is chosen. In this process. */
import { chooseWay } from '../src/querynode/ways.ts';
import { filteredWorld, JSON_KEYS, kinds, shares } from '../tests/filtered-world.ts';
import { clusteredVectors } from '../tests/vectors.ts';
import { median, ms, printTable } from './report.ts';

const ROWS = 100_000;
const DIM = 64;
const RUNS = 2 * JSON_KEYS - 1;

/** As if testing all rows cost more than anything. */
const overFetch: typeof chooseWay = (situation, progress) =>
  chooseWay({ ...situation, scanCost: 1e9 }, progress);
const ways: readonly (readonly [string, typeof chooseWay])[] = [
  ['pre', () => ({ kind: 'pre-filter' })],
  ['over', overFetch],
  ['chosen', chooseWay],
];

export async function filterWays(hasGraph: boolean): Promise<void> {
  let current: typeof chooseWay = chooseWay;
  let way = '';
  const world = await filteredWorld({
    rowCount: ROWS,
    dim: DIM,
    hasGraph,
    chooseWay(situation, progress) {
      const chosen = current(situation, progress);
      way = chosen.kind;
      return chosen;
    },
  });
  const queries = clusteredVectors(RUNS, DIM, { latent: 8, clusters: 60, offset: 5 });
  const queryAt = (run: number) => queries.subarray(run * DIM, (run + 1) * DIM);
  const timed = async (text: string, run: number): Promise<number> => {
    const started = performance.now();
    await world.search(queryAt(run), text);
    return performance.now() - started;
  };
  const table: (string | number)[][] = [];
  for (const [kind, textOf] of kinds)
    for (const [share, word] of shares) {
      const cells: string[] = [];
      let chosen = '';
      for (const [name, choose] of ways) {
        current = choose;
        const first: number[] = [];
        // A bound that nobody has asked for makes no new path; a key does, as long as there are some.
        const key = { pre: 0, over: 1, chosen: 2 }[name] ?? 0;
        for (let run = 0; run < RUNS; run++) first.push(await timed(textOf(share, word, key), run));
        chosen = way;
        cells.push(ms(first[0] ?? 0), ms(median(first.slice(1))));
      }
      table.push([kind, `${share * 100} %`, ...cells, chosen]);
    }
  console.log(
    `\n${ROWS} rows, ${DIM} floats, ${hasGraph ? 'HNSW (M 12, ef 64)' : 'FLAT'}, k = 10, median of ${RUNS - 1}; ms\n`,
  );
  printTable(
    [
      'filter',
      'rows that pass',
      'pre-filter, first',
      'later',
      'over-fetch, first',
      'later',
      'chosen, first',
      'later',
      'way',
    ],
    table,
  );
  await world.node.close();
}
