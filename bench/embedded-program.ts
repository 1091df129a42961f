/**
 * A program of its own for one measurement of bench/embedded.bench.ts: opens the directory in this process, or connects to a server,
 * asks once, closes; prints what each step took. Arguments: directory, address of a server or nothing.
 */
import { createRequire } from 'node:module';

const [dir = '', address = ''] = process.argv.slice(2);
const collection_name = 'c0';
const rssMb = () => process.memoryUsage().rss / 2 ** 20;
let from = performance.now();
const lap = () => {
  const now = performance.now();
  const took = now - from;
  from = now;
  return took;
};

const plainMb = rssMb();
const sdk = await import('@zilliz/milvus2-sdk-node');
const sdkMs = lap();
const sdkMb = rssMb();
const db = address === '' ? await (await import('../src/index.ts')).Tidemark.open({ dir }) : undefined;
const openMs = lap();
const openMb = rssMb();
const client = db === undefined ? new sdk.MilvusClient({ address }) : await db.client();
await client.connectPromise;
const connectMs = lap();
const hasRows = (await client.hasCollection({ collection_name })).value === true;
lap();
const ask = () =>
  hasRows
    ? client.search({ collection_name, data: [Array.from({ length: 32 }, () => 0.5)], limit: 5 } as never)
    : client.listCollections({});
const { error_code, reason } = (await ask()).status;
const firstMs = lap();
if (String(error_code) !== 'Success') throw new Error(reason);
const rounds: number[] = [];
for (let i = 0; i < 200; i++) {
  lap();
  await ask();
  rounds.push(lap());
}
const nextMs = rounds.sort((a, b) => a - b)[100];
const endMb = rssMb();
lap();
if (db === undefined) await client.closeConnection();
else await db.close();
const closeMs = lap();

let lanceMs: number | undefined;
try {
  const lance = createRequire(import.meta.url)('@lancedb/lancedb') as {
    connect(dir: string): Promise<unknown>;
  };
  lap();
  await lance.connect(`${dir}-lance`);
  lanceMs = lap();
} catch {
  // Not installed.
}
console.log(
  JSON.stringify({
    sdkMs,
    openMs,
    connectMs,
    firstMs,
    nextMs,
    closeMs,
    lanceMs,
    plainMb,
    clientMb: sdkMb - plainMb,
    openMb: openMb - sdkMb,
    endMb: endMb - sdkMb,
  }),
);
