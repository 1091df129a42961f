/** A server over a directory that is to be hurt, and what was acknowledged there. For scenarios that are told one by one. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { SpawnOptions } from '../../../demo/server.ts';
import { succeed } from '../fixture.ts';
import { firstKey, History, type Write } from './history.ts';
import { readStates, rowOf, rowsOfState } from './rows.ts';
import { load, Session } from './session.ts';
import { createMain, MAIN, nextVersion } from './users.ts';

export class Life {
  readonly dir: string;
  readonly history = new History();
  session!: Session;
  readonly #flags: readonly string[];
  #block = 0;

  constructor(dir: string, flags: readonly string[] = []) {
    this.dir = dir;
    this.#flags = flags;
  }

  get client() {
    return this.session.client;
  }

  async start(options?: SpawnOptions, flags: readonly string[] = []): Promise<void> {
    this.session = await Session.open(this.dir, [...this.#flags, ...flags], options);
  }

  async begin(options?: SpawnOptions, flags: readonly string[] = []): Promise<void> {
    await this.start(options, flags);
    await createMain(this.client, MAIN, 2);
  }

  /** One write; the server's words when it refuses. */
  async write(
    rows = 50,
    how: 'insert' | 'upsert' = 'insert',
    block = this.#block++,
  ): Promise<string | undefined> {
    const version = nextVersion();
    const positions = Array.from({ length: rows }, (_, i) => i);
    const data = positions.map((at) => rowOf(firstKey(block) + at, version)) as never;
    const write = this.history.send(block, rowsOfState(version, positions));
    return this.#settle(write, this.client[how]({ collection_name: MAIN, data }));
  }

  async #settle(
    write: Write,
    call: Promise<{ status: { code?: number; reason?: string }; timestamp: string }>,
  ) {
    try {
      const { status, timestamp } = await call;
      if ((status.code ?? 0) === 0) {
        this.history.answered(write, BigInt(timestamp));
        return undefined;
      }
      // Full: nothing was done, and it does not come back. Anything else may have been.
      write.fate = status.code === 1002 || status.code === 3 ? 'undone' : 'lost';
      return `${status.code} ${status.reason}`;
    } catch (error) {
      write.fate = 'lost';
      return String(error);
    }
  }

  /** Throws unless everything acknowledged is there, and of what was not, all or nothing. */
  async compare(where: string): Promise<void> {
    const tick = this.history.tick();
    const found = await readStates(this.client, MAIN, { blocks: this.#block });
    this.history.check(found, (block) => this.history.allowedBetween(block, tick, tick), where);
  }

  async compareAgain(where: string): Promise<void> {
    await load(this.client, MAIN);
    await this.compare(where);
  }

  async snapshot(snapshot_name: string): Promise<void> {
    await succeed(this.client.createSnapshot({ collection_name: MAIN, snapshot_name }));
  }

  async health(): Promise<{ readonly isHealthy: boolean; readonly reasons: readonly string[] }> {
    const answer = await fetch(`http://${this.session.server.httpAddress}/healthz`);
    return (await answer.json()) as { isHealthy: boolean; reasons: string[] };
  }

  /** Ends the server as it should: asked once, with code 0. */
  async stop(): Promise<void> {
    const { server } = this.session;
    assert.equal(await this.session.stop(), 0, server.printed());
  }
}

export async function withLife(
  run: (life: Life) => Promise<void>,
  flags: readonly string[] = [],
): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'tidemark-fault-'));
  const life = new Life(dir, flags);
  try {
    await run(life);
  } finally {
    await life.session?.kill();
    await rm(dir, { recursive: true, force: true });
  }
}
