/** Time to create, describe and drop a snapshot against the number of segments; every segment is made by a real flush. */
import { parseArgs } from 'node:util';
import { DataType } from '@zilliz/milvus2-sdk-node';
import { ok } from '../demo/table.ts';
import { type Bench, peak, withBench } from './fixture.ts';
import { checkMutation, insertRequest } from './insert-request.ts';
import { heading, ms, printTable, quantile, timed } from './report.ts';

const DIM = 8;
const REPEATS = 100;
const SHARDS = 16;

const { values: flags } = parseArgs({ options: { segments: { type: 'string' } }, strict: false });
const COUNTS = String(flags['segments'] ?? '1,100,10000')
  .split(',')
  .map(Number);

heading('Snapshot');
const rows: (string | number)[][] = [];
for (const segments of COUNTS)
  await withBench([], async (bench) => {
    const setupMs = await timed(() => makeSegments(bench, segments));
    rows.push(await measure(bench, segments, setupMs));
  });
printTable(
  [
    'segments',
    'create p50 ms',
    'create p99 ms',
    'first create ms',
    'describe p50 ms',
    'drop p50 ms',
    'making the segments, s',
    'peak RSS',
  ],
  rows,
);

async function makeSegments({ client, call }: Bench, wanted: number): Promise<void> {
  const shards = wanted < SHARDS ? 1 : wanted === 100 ? 10 : SHARDS;
  await ok(
    client.createCollection({
      collection_name: 'many',
      shards_num: shards,
      fields: [
        { name: 'id', data_type: DataType.Int64, is_primary_key: true },
        { name: 'vector', data_type: DataType.FloatVector, dim: DIM },
      ],
    }),
  );
  const partitions = wanted >= 10_000 ? 125 : wanted / shards;
  for (let p = 0; p < partitions; p++)
    await ok(client.createPartition({ collection_name: 'many', partition_name: `p${p}` }));
  let id = 0;
  for (let made = 0; made < wanted; made += partitions * shards) {
    for (let p = 0; p < partitions; p++) {
      const rowsPerInsert = shards === 1 ? 1 : shards * 12;
      checkMutation(await call('Insert', insertRequest('many', id, rowsPerInsert, DIM, `p${p}`)));
      id += rowsPerInsert;
    }
    await ok(client.flushSync({ collection_names: ['many'] }).then((r) => r.status));
  }
}

async function measure(bench: Bench, wanted: number, setupMs: number): Promise<(string | number)[]> {
  const { client } = bench;
  const at = { collection_name: 'many' };
  const create: number[] = [];
  const describe: number[] = [];
  const drop: number[] = [];
  for (let i = 0; i < (wanted >= 10_000 ? 20 : REPEATS); i++) {
    const snapshot = { ...at, snapshot_name: `s${i}` };
    create.push(await timed(() => ok(client.createSnapshot(snapshot))));
    describe.push(await timed(() => ok(client.describeSnapshot(snapshot).then((r) => r.status))));
    drop.push(await timed(() => ok(client.dropSnapshot(snapshot))));
  }
  return [
    wanted,
    ms(quantile(create, 0.5)),
    ms(quantile(create, 0.99)),
    ms(create[0] as number),
    ms(quantile(describe, 0.5)),
    ms(quantile(drop, 0.5)),
    (setupMs / 1000).toFixed(1),
    await peak(bench.server),
  ];
}
