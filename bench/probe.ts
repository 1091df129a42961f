/** A thread that sends a small RPC every few milliseconds and tells how long the answers took: what other callers notice. */

import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { Client, credentials } from '@grpc/grpc-js';

export interface Probe {
  /** Answer times since the last call, milliseconds. */
  take(): Promise<number[]>;
  stop(): Promise<void>;
}

const EVERY_MS = 5;
const RPC = '/milvus.proto.milvus.MilvusService/GetVersion';

export function startProbe(address: string): Probe {
  const worker = new Worker(new URL(import.meta.url), { workerData: { address } });
  return {
    take: () =>
      new Promise((resolve) => {
        worker.once('message', resolve);
        worker.postMessage('take');
      }),
    stop: async () => {
      await worker.terminate();
    },
  };
}

function run(address: string): void {
  const client = new Client(address, credentials.createInsecure());
  const same = (bytes: Buffer) => bytes;
  let times: number[] = [];
  setInterval(() => {
    const from = performance.now();
    client.makeUnaryRequest(RPC, same, same, Buffer.alloc(0), (error) => {
      if (error) throw error;
      times.push(performance.now() - from);
    });
  }, EVERY_MS);
  parentPort?.on('message', () => {
    parentPort?.postMessage(times);
    times = [];
  });
}

if (!isMainThread && parentPort !== null) run((workerData as { address: string }).address);
