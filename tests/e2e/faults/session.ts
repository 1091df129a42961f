/** One life of the server as its users meet it. */
import { spawn } from 'node:child_process';
import { request } from 'node:http';
import { MilvusClient } from '@zilliz/milvus2-sdk-node';
import { type SpawnedServer, type SpawnOptions, spawnServer } from '../../../demo/server.ts';
import { ownConnections } from '../../connections.ts';
import { succeed } from '../fixture.ts';
import { main } from '../run-cli.ts';

/** Longer than any stop that a run makes. */
const CALL_TIMEOUT_MS = 120_000;

export class HttpError extends Error {
  readonly status: number;

  constructor(status: number, text: string) {
    super(`HTTP ${status}: ${text}`);
    this.status = status;
  }
}

export class Session {
  readonly server: SpawnedServer;
  readonly client: MilvusClient;
  /** From the moment a fault is made: calls may then fail. */
  isDisturbed = false;
  /** Users end after what they are doing. */
  isOver = false;
  /** The process has ended. */
  isGone = false;

  private constructor(server: SpawnedServer) {
    this.server = server;
    this.client = new MilvusClient({
      address: server.address,
      // Without its own pings: they would end the connection of a server that is stopped for longer than five seconds.
      channelOptions: { ...ownConnections, 'grpc.keepalive_time_ms': 2 ** 31 - 1 },
      timeout: CALL_TIMEOUT_MS,
      // A call that is repeated behind our back would be two writes with one answer.
      maxRetries: 0,
    });
  }

  static async open(dir: string, flags: readonly string[], options?: SpawnOptions): Promise<Session> {
    const session = new Session(await spawnServer(dir, flags, options));
    await session.client.connectPromise;
    return session;
  }

  async ask<T>(method: 'GET' | 'POST', path: string): Promise<T> {
    return JSON.parse(await this.text(method, path)) as T;
  }

  async text(method: 'GET' | 'POST', path: string): Promise<string> {
    // A connection for each: one that was kept may be closed by the server in the moment in which it is used.
    const { status, body } = await new Promise<{ status: number; body: string }>((resolve, reject) => {
      const url = `http://${this.server.httpAddress}${path}`;
      const asked = request(url, { method, agent: false, timeout: CALL_TIMEOUT_MS }, (answer) => {
        const chunks: Buffer[] = [];
        answer.on('data', (chunk: Buffer) => chunks.push(chunk));
        answer.once('error', reject);
        answer.once('end', () =>
          resolve({ status: answer.statusCode ?? 0, body: Buffer.concat(chunks).toString() }),
        );
      });
      asked.once('error', reject);
      asked.once('timeout', () => asked.destroy(new Error(`no answer to ${path}`)));
      asked.end();
    });
    if (status !== 200) throw new HttpError(status, body);
    return body;
  }

  /** The values of an answer that has one a line. */
  async lines<T>(method: 'GET' | 'POST', path: string): Promise<readonly T[]> {
    const text = await this.text(method, path);
    return text
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as T);
  }

  async kill(): Promise<void> {
    this.isDisturbed = true;
    this.isOver = true;
    await this.server.kill();
    this.isGone = true;
    await this.client.closeConnection();
  }

  async stop(): Promise<number | null> {
    this.isDisturbed = true;
    this.isOver = true;
    const code = await this.server.stop();
    this.isGone = true;
    await this.client.closeConnection();
    return code;
  }
}

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Asks until it is so. Throws what was last seen when it takes too long: nothing may hang for ever. */
export async function eventually<T>(
  what: string,
  limitMs: number,
  look: () => Promise<T | undefined>,
): Promise<T> {
  const end = Date.now() + limitMs;
  for (let wait = 5; ; wait = Math.min(wait * 2, 200)) {
    const found = await look();
    if (found !== undefined) return found;
    if (Date.now() > end) throw new Error(`not within ${limitMs} ms: ${what}`);
    await pause(wait);
  }
}

/** Starts a server and kills it after so long, ready or not. */
export async function killedStart(dir: string, flags: readonly string[], afterMs: number): Promise<void> {
  const child = spawn(process.execPath, [main, '--data', dir, '--port', '0', '--http-port', '0', ...flags], {
    stdio: 'ignore',
  });
  const exited = new Promise((resolve) => child.once('exit', resolve));
  await pause(afterMs);
  child.kill('SIGKILL');
  await exited;
}

/** Loads, however long it takes: the server answers after some seconds whether or not it has come to the end. */
export async function load(client: MilvusClient, collection_name: string): Promise<void> {
  await succeed(client.loadCollectionAsync({ collection_name }));
  await eventually(`${collection_name} is loaded`, 60_000, async () =>
    (await succeed(client.getLoadState({ collection_name }))).state === 'LoadStateLoaded' ? true : undefined,
  );
}
