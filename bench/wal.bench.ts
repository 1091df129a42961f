/** Appends per second of the log in files, and its throughput. An argument names the directory. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { HybridTime } from '../src/model/hybrid-time.ts';
import { systemRandom } from '../src/support/system-random.ts';
import { FileWal } from '../src/wal/file.ts';

const root = await mkdtemp(
  join(process.argv.slice(2).find((arg) => !arg.startsWith('--')) ?? tmpdir(), 'tidemark-bench-'),
);
const wal = await FileWal.open(root, { random: systemRandom });
let ts = 0n;

async function run(name: string, writers: number, records: number, bytes: number): Promise<void> {
  const payload = [new Uint8Array(bytes).fill(7)];
  const latencies: number[] = [];
  let left = records;
  const started = performance.now();
  const writer = async () => {
    while (left-- > 0) {
      const from = performance.now();
      await wal.append(++ts as HybridTime, payload).durable;
      latencies.push(performance.now() - from);
    }
  };
  await Promise.all(Array.from({ length: writers }, writer));
  const seconds = (performance.now() - started) / 1000;
  latencies.sort((a, b) => a - b);
  const at = (q: number) => latencies[Math.floor(latencies.length * q)]?.toFixed(2);
  const rate = Math.round(records / seconds);
  const megabytes = Math.round((records * bytes) / seconds / 1e6);
  console.log(`${name}: ${rate} appends/s, ${megabytes} MB/s, p50 ${at(0.5)} ms, p99 ${at(0.99)} ms`);
}

try {
  await run('200 B, 1 writer', 1, 2000, 200);
  await run('200 B, 64 writers', 64, 40_000, 200);
  await run('5 MB, 1 writer', 1, 60, 5 << 20);
  await run('5 MB, 4 writers', 4, 60, 5 << 20);
  await wal.close();
  const started = performance.now();
  const again = await FileWal.open(root, { random: systemRandom });
  let bytes = 0;
  for await (const { payload } of again.replay()) bytes += payload.length;
  console.log(`replay: ${Math.round(bytes / (performance.now() - started) / 1e3)} MB/s`);
  await again.close();
} finally {
  await rm(root, { recursive: true });
}
