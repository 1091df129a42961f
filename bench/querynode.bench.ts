/** The query node by itself: load, reads by key, filtered searches exact and by graph, the cost of a delete. 100,000 rows of 100 floats. */

import { filterOf } from '../src/expr/check.ts';
import { compileFilter } from '../src/expr/evaluate.ts';
import { primaryKeysOf } from '../src/expr/primary-keys.ts';
import type { HybridTime } from '../src/model/hybrid-time.ts';
import {
  ALL_PARTITIONS,
  type BuildId,
  type FieldId,
  type IndexId,
  type SegmentId,
} from '../src/model/ids.ts';
import type { FileKind, SegmentFile, SegmentRecord } from '../src/model/records.ts';
import type { Column } from '../src/model/rows.ts';
import { ArenaEngine } from '../src/querynode/arena-engine.ts';
import { LocalQueryNode } from '../src/querynode/querynode.ts';
import { WorkerFiles } from '../src/querynode/segment-files.ts';
import { loadTasks } from '../src/segment/load.ts';
import { encodeRows } from '../src/segment/rows-file.ts';
import { MemoryStore } from '../src/storage/memory.ts';
import { systemClock } from '../src/support/system-clock.ts';
import type { Workers } from '../src/support/workers.ts';
import { VectorArena } from '../src/vector-index/arena.ts';
import { buildHnsw } from '../src/vector-index/hnsw-build.ts';
import {
  channels,
  collectionId,
  keysOf,
  PK,
  PlainLog,
  partitions,
  schemaOf,
  TAG,
  VECTOR,
  viewOf,
} from '../tests/query-world.ts';
import { clusteredVectors, floatQueries } from '../tests/vectors.ts';

const COUNT = 100_000;
const DIM = 100;
const plain = schemaOf('Int64');
const schema = {
  ...plain,
  fields: plain.fields
    .filter(({ fieldId }) => [PK, TAG, VECTOR].includes(fieldId))
    .map((field) => (field.fieldId === VECTOR ? { ...field, dim: DIM } : field)),
};
const vectors = clusteredVectors(COUNT, DIM);
const queries = clusteredVectors(300, DIM, { offset: 5 });
const key = (i: number) => (i * 7919) % 100_003;
const columns = new Map<FieldId, Column>([
  [
    PK,
    {
      layout: 'fixed',
      type: 'Int64',
      values: BigInt64Array.from({ length: COUNT }, (_, i) => BigInt(key(i))),
    },
  ],
  [TAG, { layout: 'fixed', type: 'Int32', values: Int32Array.from({ length: COUNT }, (_, i) => i % 1000) }],
  [VECTOR, { layout: 'vector', type: 'FloatVector', dim: DIM, values: vectors }],
]);
const store = new MemoryStore(() => 0);
const tasks = loadTasks({ store });
const workers = {
  run: async (task: string, input: unknown) => (await tasks[task]!(input as never)).output,
  close: () => Promise.resolve(),
} as Workers;
const arena = new VectorArena({ maxBytes: 2 ** 30 });
const engine = new ArenaEngine({ arena });
const log = new PlainLog();
const node = new LocalQueryNode({
  streamingNode: log.node(),
  engine,
  files: new WorkerFiles({ workers, store, engine }),
  filters: { compile: compileFilter, primaryKeys: primaryKeysOf },
  clock: systemClock,
});
const put = async (kind: FileKind, name: string, bytes: Uint8Array): Promise<SegmentFile> => ({
  kind,
  key: name,
  sizeBytes: bytes.length,
  ...(await store.put(name, bytes)),
});
const flat: SegmentRecord = {
  collectionId,
  segmentId: 1n as SegmentId,
  partitionId: partitions[0]!,
  channel: channels[0]!,
  level: 'L1',
  state: 'flushed',
  rowCount: COUNT,
  minTs: 5n as HybridTime,
  maxTs: 5n as HybridTime,
  files: [
    await put(
      'rows',
      'rows',
      encodeRows(schema.fields, [{ ts: 5n as HybridTime, rows: { rowCount: COUNT, columns } }]),
    ),
  ],
  indexes: [],
};

async function p50(name: string, count: number, work: (i: number) => unknown): Promise<void> {
  const times: number[] = [];
  for (let i = 0; i < count; i++) {
    const start = performance.now();
    await work(i);
    times.push(performance.now() - start);
  }
  times.sort((a, b) => a - b);
  console.log(
    `${name}: p50 ${times[count >> 1]!.toFixed(3)} ms, p99 ${times[Math.floor(count * 0.99)]!.toFixed(3)} ms`,
  );
}
const search = (i: number, filter?: string, ef = 64) =>
  node.search({
    collectionId,
    fieldId: VECTOR,
    queries: floatQueries(DIM, queries.subarray((i % 300) * DIM, ((i % 300) + 1) * DIM)),
    queryCount: 1,
    topK: 10,
    offset: 0,
    metric: 'L2',
    ef,
    outputFields: [PK, TAG],
    ...(filter === undefined ? {} : { filter: filterOf(filter, schema) }),
  });

let longest = 0;
let last = performance.now();
let isRunning = true;
const watch = () => {
  longest = Math.max(longest, performance.now() - last);
  last = performance.now();
  if (isRunning) setImmediate(watch);
};
const loading = performance.now();
await node.load(viewOf(schema, [flat]));
console.log(`load of ${COUNT} rows, decoding on this thread: ${(performance.now() - loading).toFixed(0)} ms`);
await p50('query by one key', 2000, (i) =>
  node.query({ collectionId, outputFields: [TAG], filter: filterOf(`pk == ${key(i)}`, schema) }),
);
await p50('query of the first 10 by key', 200, () =>
  node.query({ collectionId, outputFields: [TAG], limit: 10 }),
);
await p50('count', 500, () => node.count({ collectionId }));
await p50('count with filter', 200, () =>
  node.count({ collectionId, filter: filterOf('tag < 300', schema) }),
);
await p50('query of all keys in order', 10, () => node.query({ collectionId, outputFields: [PK] }));
await p50('flat, no filter', 300, (i) => search(i));
await p50('flat, tag < 300 (30 %)', 300, (i) => search(i, 'tag < 300'));
await p50('flat, tag == 3 (0.1 %)', 300, (i) => search(i, 'tag == 3'));
await p50('delete of one key after a read', 2000, async (i) => {
  log.write([
    {
      kind: 'delete',
      channel: channels[0]!,
      partitionId: ALL_PARTITIONS,
      keys: keysOf('Int64', [key(i + 5000)]),
    },
  ]);
});
const lots = Array.from({ length: 30_000 }, (_, i) => key(i + 10_000));
const bulk = performance.now();
log.write([
  { kind: 'delete', channel: channels[0]!, partitionId: ALL_PARTITIONS, keys: keysOf('Int64', lots) },
]);
await node.count({ collectionId });
console.log(`30,000 deletes in one write until visible: ${(performance.now() - bulk).toFixed(1)} ms`);
const building = performance.now();
const image = buildHnsw({ vectors, dim: DIM, metric: 'L2', params: { M: 16, efConstruction: 100 } });
console.log(`(graph built in ${(performance.now() - building).toFixed(0)} ms)`);
const file = await put('index', 'graph', image);
const opening = performance.now();
await node.update(
  viewOf(schema, [
    {
      ...flat,
      indexes: [{ indexId: 1n as IndexId, buildId: 1n as BuildId, fieldId: VECTOR, kind: 'HNSW', file }],
    },
  ]),
);
console.log(
  `graph of ${(image.length / 2 ** 20).toFixed(0)} MB opened in ${(performance.now() - opening).toFixed(0)} ms`,
);
await p50('graph ef 64, live rows only', 1000, (i) => search(i));
await p50('graph ef 64, tag < 300 (30 %)', 500, (i) => search(i, 'tag < 300'));
await p50('graph ef 64, tag == 3 (0.1 %)', 500, (i) => search(i, 'tag == 3'));
last = performance.now();
setImmediate(watch);
await Promise.all([
  node.query({ collectionId, outputFields: [PK, TAG] }),
  ...Array.from({ length: 10 }, (_, i) => search(i, 'tag < 900')),
]);
isRunning = false;
console.log(`longest turn of the event loop under 11 reads at once: ${longest.toFixed(1)} ms`);
await node.close();
console.log(`arena after close: ${arena.usedBytes} bytes`);
