/** A thread that sends a small RPC every few milliseconds and tells how long the answers took: what other callers notice. */

import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { Client, credentials } from '@grpc/grpc-js';

export interface Probe {
  /** Answer times since the last call, milliseconds. */
  take(): Promise<number[]>;
  stop(): Promise<void>;
}

const EVERY_MS = 5;

export interface ProbeCall {
  readonly rpc: string;
  /** Encoded request. */
  readonly body: Uint8Array;
}

const getVersion: ProbeCall = { rpc: 'GetVersion', body: new Uint8Array(0) };

/** Sends the calls in turn. */
export function startProbe(address: string, calls: readonly ProbeCall[] = [getVersion]): Probe {
  const worker = new Worker(new URL(import.meta.url), { workerData: { address, calls } });
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

function run({ address, calls }: { readonly address: string; readonly calls: readonly ProbeCall[] }): void {
  const client = new Client(address, credentials.createInsecure());
  const same = (bytes: Buffer) => bytes;
  let times: number[] = [];
  let sent = 0;
  setInterval(() => {
    const { rpc, body } = calls[sent++ % calls.length] ?? getVersion;
    const from = performance.now();
    client.makeUnaryRequest(
      `/milvus.proto.milvus.MilvusService/${rpc}`,
      same,
      same,
      Buffer.from(body),
      (error) => {
        if (error) throw error;
        times.push(performance.now() - from);
      },
    );
  }, EVERY_MS);
  parentPort?.on('message', () => {
    parentPort?.postMessage(times);
    times = [];
  });
}

if (!isMainThread && parentPort !== null) run(workerData as Parameters<typeof run>[0]);
