/**
 * A collection with a time to live, from its making to its end: what has expired is seen by nobody, however it is stored, and what has not
 * by everybody. A restored snapshot shows what was visible at its moment, and that has as long to live as it had then. No other client knows it.
 */
import { TTL_PROPERTY } from '../../src/model/expiry.ts';
import { physicalMs } from '../../src/model/hybrid-time.ts';
import type { CollectionId, JobId } from '../../src/model/ids.ts';
import { AlterSteps } from './alter-steps.ts';
import type { Life } from './life.ts';
import { at } from './model.ts';
import { check } from './properties.ts';
import { insertParts, type Row, rowsOf, schema } from './rows.ts';
import type { Outcome } from './world.ts';

const TTL_MS = 8000;
/** The wall clock and the timestamps are apart by no more. */
const GRACE_MS = 1000;
const NAMES = ['urn1', 'urn2', 'urn3'];

/** From when to when a row may have been written; `isSure`: the write was answered. */
interface Written {
  readonly key: bigint;
  readonly firstMs: number;
  readonly lastMs: number;
  readonly isSure: boolean;
}

/** What its rows did not age: at least and at most. */
interface Pause {
  readonly leastMs: number;
  readonly mostMs: number;
}

const NO_PAUSE: Pause = { leastMs: 0, mostMs: 0 };

export abstract class ExpirySteps extends AlterSteps {
  readonly #taken = new Set<string>();

  protected async expiry(): Promise<void> {
    // With clocks that are wrong nobody can tell what has expired.
    if (this.world.shape.maxSkewMs > 0) return;
    const free = NAMES.filter((each) => !this.#taken.has(each));
    const [name, copy] = free;
    if (name === undefined || copy === undefined) return;
    this.#taken.add(name).add(copy);
    const collectionId = await this.#made(name);
    if (collectionId !== undefined) {
      await this.#life(name, copy, collectionId);
      this.noteDone('expiry');
    }
    for (const each of [name, copy]) await this.#gone(each);
    this.#taken.delete(name);
    this.#taken.delete(copy);
  }

  async #life(name: string, copy: string, collectionId: CollectionId): Promise<void> {
    const rows: Written[] = [];
    for (let round = 0; round < 3; round++) {
      rows.push(...(await this.#insert(name, collectionId)));
      if (this.chance(50)) await this.#tried('ttl-flush', (life) => this.ask(life).flush(collectionId));
      await this.world.sleep(this.random.below(TTL_MS / 2));
      await this.#look(name, rows, NO_PAUSE);
      if (this.chance(40))
        await this.#tried('ttl-compact', (life) =>
          this.ask(life).compact({ collectionId, isDeletesOnly: false }),
        );
    }
    rows.push(...(await this.#insert(name, collectionId)));
    await this.#restored(name, copy, rows);
    await this.world.sleep(TTL_MS + 2 * GRACE_MS);
    await this.#look(name, rows, NO_PAUSE);
  }

  /** Undefined: it could not be made. */
  async #made(name: string): Promise<CollectionId | undefined> {
    const properties = { [TTL_PROPERTY]: String(TTL_MS / 1000) };
    const isLate = this.chance(50);
    const request = {
      ...at(name),
      schema,
      shardsNum: 1,
      consistencyLevel: 'Bounded' as const,
      properties: isLate ? {} : properties,
    };
    const made = await this.#tried('ttl-create', (life) => this.ask(life).createCollection(request));
    if (made.is !== 'ok') return undefined;
    const index = { index_type: 'FLAT', metric_type: 'L2' };
    await this.#until('ttl-index', (life) => this.ask(life).createIndex(at(name), 'vec', '', index));
    await this.#until('ttl-load', (life) => this.ask(life).load(at(name)));
    if (isLate)
      await this.#until('ttl-alter', (life) =>
        this.ask(life).alterCollection(at(name), { set: properties, unset: [] }),
      );
    return made.value.collectionId;
  }

  async #insert(name: string, collectionId: CollectionId): Promise<readonly Written[]> {
    const rows = Array.from({ length: 1 + this.random.below(4) }, (): Row => {
      this.key++;
      this.number++;
      return { key: this.key, number: this.number };
    });
    const firstMs = this.world.clock.nowMs();
    const outcome = await this.#tried('ttl-insert', (life) => {
      const { collection, partitions } = this.ask(life).requireReady(at(name));
      const [partition] = partitions;
      if (partition === undefined) throw new Error('no partition');
      const parts = insertParts(rows, collection.schema, collection.channels, partition.partitionId);
      return life.planes.streamingNode.write(collectionId, parts);
    });
    if (outcome.is === 'ok' && outcome.value > this.lastTs) this.lastTs = outcome.value;
    if (outcome.is === 'ok' && outcome.value > this.acknowledgedTs) this.acknowledgedTs = outcome.value;
    const ms = outcome.is === 'ok' ? physicalMs(outcome.value) : undefined;
    return rows.map(({ key }) => ({
      key,
      firstMs: ms ?? firstMs,
      lastMs: ms ?? Number.POSITIVE_INFINITY,
      isSure: ms !== undefined,
    }));
  }

  /** *exact*: every row that cannot have expired, none that must have. */
  async #look(name: string, rows: readonly Written[], { leastMs, mostMs }: Pause): Promise<void> {
    for (;;) {
      const fromMs = this.world.clock.nowMs();
      const outcome = await this.#tried('ttl-read', async (life) => {
        const { collection } = this.ask(life).requireReady(at(name));
        const outputFields = collection.schema.fields.map(({ fieldId }) => fieldId);
        const { collectionId } = collection;
        const answer = await life.planes.queryNode.query({ collectionId, outputFields });
        return rowsOf(answer, collection.schema, this.extras);
      });
      if (outcome.is !== 'ok') {
        await this.world.sleep(200);
        continue;
      }
      const toMs = this.world.clock.nowMs();
      const isTooOld = ({ lastMs }: Written) => fromMs - lastMs - mostMs >= TTL_MS + GRACE_MS;
      const isYoung = ({ firstMs }: Written) => toMs - firstMs - leastMs < TTL_MS - GRACE_MS;
      const seen = (each: Written) => outcome.value.has(each.key);
      const late = rows.find((each) => isTooOld(each) && seen(each));
      check('exact', late === undefined, () => `row ${late?.key} of ${name} has expired, and is read`);
      const lost = rows.find((each) => each.isSure && isYoung(each) && !seen(each));
      check(
        'exact',
        lost === undefined,
        () => `row ${lost?.key} of ${name} has not expired, and is not read`,
      );
      return;
    }
  }

  async #restored(name: string, copy: string, rows: readonly Written[]): Promise<void> {
    const taken = await this.#tried('ttl-snapshot', async (life) => {
      const request = { at: at(name), name: 'then', description: '', compactionProtectionSeconds: 0 };
      await this.ask(life).createSnapshot(request);
      return this.ask(life).describeSnapshot(at(name), 'then');
    });
    if (taken.is !== 'ok' || this.world.shape.capture === 'flushed') return;
    const thenMs = physicalMs(taken.value.createTs);
    await this.world.sleep(TTL_MS + this.random.below(TTL_MS));
    const askedMs = this.world.clock.nowMs();
    const begun = await this.#tried('ttl-restore', (life) =>
      this.ask(life).restoreSnapshot({ source: at(name), name: 'then', target: at(copy) }),
    );
    if (begun.is !== 'ok' || !(await this.#completed(begun.value))) return;
    const pause = { leastMs: askedMs - thenMs, mostMs: this.world.clock.nowMs() - thenMs };
    await this.#until('ttl-load', (life) => this.ask(life).load(at(copy)));
    const old = rows.filter(({ lastMs }) => lastMs <= thenMs);
    await this.#look(copy, old, pause);
    await this.world.sleep(this.random.below(TTL_MS));
    await this.#look(copy, old, pause);
    this.noteDone('expiry-restored');
  }

  async #completed(jobId: JobId): Promise<boolean> {
    for (;;) {
      const state = this.jobOf(await this.world.up(), jobId)?.state;
      if (state !== 'pending' && state !== 'executing') return state === 'completed';
      await this.world.sleep(50);
    }
  }

  async #gone(name: string): Promise<void> {
    await this.#until('ttl-drop', (life) => this.ask(life).dropCollection(at(name)));
  }

  /** An error that is no fault's is a violation, as in `call`. */
  #tried<T>(what: string, work: (life: Life) => Promise<T>): Promise<Outcome<T>> {
    return this.call(what, undefined, work);
  }

  async #until(what: string, work: (life: Life) => Promise<unknown>): Promise<void> {
    for (;;) {
      if ((await this.#tried(what, work)).is === 'ok') return;
      await this.world.sleep(100);
    }
  }
}
