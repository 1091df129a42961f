/** Who uses the server while faults are made. Each does one bounded step at a time and takes up after a restart what was cut off. */
import assert from 'node:assert/strict';
import type { MilvusClient } from '@zilliz/milvus2-sdk-node';
import { flush, succeed } from '../fixture.ts';
import type { Chance } from './chance.ts';
import { firstKey, GONE, type History, type State, type Write } from './history.ts';
import { readStates, rowOf, rowsOfState, schemaOf, statesOf } from './rows.ts';
import { load, type Session } from './session.ts';

export const MAIN = 'main';

export interface User {
  readonly name: string;
  /** Throws what its calls throw. */
  act(session: Session): Promise<void>;
}

export const counts = new Map<string, number>();
export const count = (what: string, by = 1): void => void counts.set(what, (counts.get(what) ?? 0) + by);

export async function createMain(client: MilvusClient, name: string, shards: number): Promise<void> {
  await succeed(client.createCollection(schemaOf(name, shards)));
  await succeed(
    client.createIndex({
      collection_name: name,
      field_name: 'vector',
      index_type: 'HNSW',
      metric_type: 'L2',
      params: { M: 8, efConstruction: 40 },
    }),
  );
  await load(client, name);
}

/** A refusal of the server that says that nothing was done. */
const isRefusal = (error: unknown): boolean => /\((1002|3)\):/.test(String(error));

let versions = 0;
export const nextVersion = (): number => ++versions;

/** Writes blocks of its own. */
export class Writer implements User {
  readonly name = 'writer';
  readonly #history: History;
  readonly #chance: Chance;
  readonly #blocks: readonly number[];
  readonly #rows: number;

  constructor(history: History, chance: Chance, blocks: readonly number[], rows: number) {
    this.#history = history;
    this.#chance = chance;
    this.#blocks = blocks;
    this.#rows = rows;
  }

  async act({ client }: Session): Promise<void> {
    const block = this.#chance.pick(this.#blocks);
    const before = this.#history.settled(block);
    assert.ok(before !== undefined, `block ${block} is not settled`);
    if (before === GONE) return this.#put(client, block, 'insert');
    if (this.#chance.maybe(0.6)) return this.#put(client, block, 'upsert');
    return this.#delete(client, block, before);
  }

  async #put(client: MilvusClient, block: number, how: 'insert' | 'upsert'): Promise<void> {
    const version = nextVersion();
    const positions = Array.from({ length: this.#rows }, (_, i) => i);
    const data = positions.map((at) => rowOf(firstKey(block) + at, version)) as never;
    const write = this.#history.send(block, rowsOfState(version, positions));
    await this.#answer(write, client[how]({ collection_name: MAIN, data }));
  }

  async #delete(client: MilvusClient, block: number, before: State): Promise<void> {
    const [version = '', list = ''] = before.split(':');
    const there = list.split(',').map(Number);
    const isAll = this.#chance.maybe(0.4);
    const gone = isAll ? there : there.filter(() => this.#chance.maybe(0.3));
    if (gone.length === 0) return;
    const left = there.filter((at) => !gone.includes(at));
    const ids = gone.map((at) => firstKey(block) + at);
    const filter = isAll
      ? `id >= ${firstKey(block)} && id < ${firstKey(block + 1)}`
      : `id in [${ids.join(', ')}]`;
    const state = left.length === 0 ? GONE : rowsOfState(Number(version.slice(1)), left);
    const write = this.#history.send(block, state);
    await this.#answer(write, client.delete({ collection_name: MAIN, filter }));
  }

  async #answer(write: Write, call: ReturnType<MilvusClient['insert']>): Promise<void> {
    try {
      const { timestamp } = await succeed(call);
      this.#history.answered(write, BigInt(timestamp));
      count('writes answered');
    } catch (error) {
      write.fate = isRefusal(error) ? 'undone' : 'lost';
      count(write.fate === 'lost' ? 'writes without an answer' : 'writes refused');
      throw error;
    }
  }
}

/** Reads everything and compares it with what may be there at that moment; searches, too. */
export class Reader implements User {
  readonly name = 'reader';
  readonly #history: History;
  readonly #chance: Chance;

  constructor(history: History, chance: Chance) {
    this.#history = history;
    this.#chance = chance;
  }

  async act({ client }: Session): Promise<void> {
    const asked = this.#history.tick();
    const found = this.#chance.maybe(0.3) ? await this.#search(client) : await readStates(client, MAIN);
    const answered = this.#history.tick();
    if (found === undefined) return;
    this.#history.check(found, (block) => this.#history.allowedBetween(block, asked, answered), 'a query');
    count('reads compared');
  }

  /** A hit is a row that was written. */
  async #search(client: MilvusClient): Promise<undefined> {
    const { results } = await succeed(
      client.search({
        collection_name: MAIN,
        data: rowOf(firstKey(this.#chance.int(0, 20)), 1).vector,
        limit: 5,
        output_fields: ['id', 'version', 'name', 'score', 'flag', 'tags', 'info', 'vector'],
      }),
    );
    for (const row of results) statesOf([row], 'a search');
    count('searches');
  }
}

/** Flush, compaction, release and load, garbage. */
export class Caretaker implements User {
  readonly name = 'caretaker';
  readonly #chance: Chance;

  constructor(chance: Chance) {
    this.#chance = chance;
  }

  async act(session: Session): Promise<void> {
    const { client } = session;
    const what = this.#chance.pick(['flush', 'flush', 'compact', 'load', 'gc', 'gc'] as const);
    count(what);
    if (what === 'flush') await flush(client, MAIN);
    else if (what === 'compact') await succeed(client.compact({ collection_name: MAIN }));
    else if (what === 'load') await load(client, MAIN);
    else await session.ask('POST', '/gc');
  }
}
