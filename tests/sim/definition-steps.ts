/** Collections, partitions, indexes, loads and flushes. */
import type { CollectionInfo, FlushResult } from '../../src/coordinator/api.ts';
import { isDbError } from '../../src/errors/db-error.ts';
import type { CollectionId } from '../../src/model/ids.ts';
import { at, type Coll, type IndexType, indexOf, MAX_COLLECTIONS, PARTITIONS, type Snap } from './model.ts';
import { Violation } from './properties.ts';
import { RowSteps } from './row-steps.ts';
import { schema } from './rows.ts';

export abstract class DefinitionSteps extends RowSteps {
  /** Pinned snapshots whose collection was dropped. */
  protected readonly orphans = new Set<{ readonly coll: Coll; readonly snap: Snap }>();

  protected async create(): Promise<void> {
    const name = this.freeName();
    if (name === undefined) return;
    this.names.add(name);
    const request = {
      ...at(name),
      schema,
      shardsNum: 1 + this.random.below(3),
      consistencyLevel: 'Bounded' as const,
      properties: {},
    };
    const outcome = await this.call('create', undefined, (life) => this.ask(life).createCollection(request));
    const id = outcome.is === 'ok' ? outcome.value.collectionId : await this.idOf(name);
    if (id === undefined) {
      this.names.delete(name);
      return;
    }
    const coll = this.model(name, id);
    coll.extra = { mark: undefined };
    if (this.chance(80)) await this.busy(coll, () => this.loadUp(coll));
  }

  protected async idOf(name: string): Promise<CollectionId | undefined> {
    const coordinator = this.ask(await this.world.up());
    return coordinator.listCollections('').find(({ collection }) => collection.name === name)?.collection
      .collectionId;
  }

  protected async define(): Promise<void> {
    const coll = this.pick((c) => !c.isBusy);
    const draw = this.random.below(100);
    if (draw < 12 && this.colls.size < MAX_COLLECTIONS) await this.create();
    else if (draw < 22) await this.dropRestoring();
    else if (coll !== undefined) await this.busy(coll, () => this.change(coll, draw));
  }

  protected async busy(coll: Coll, work: () => Promise<void>): Promise<void> {
    coll.isBusy = true;
    try {
      await work();
    } finally {
      coll.isBusy = false;
    }
  }

  protected async change(coll: Coll, draw: number): Promise<void> {
    if (draw < 30) await this.dropSomehow(coll);
    else if (draw < 38) await this.rename(coll);
    else if (draw < 48) await this.createPartition(coll);
    else if (draw < 60) await this.dropPartition(coll);
    else if (draw < 76) await this.flush(coll);
    else if (draw < 90) await this.loadUp(coll);
    else if (draw < 95) await this.release(coll);
    else await this.dropIndex(coll);
  }

  protected abstract pin(coll: Coll, snap: Snap, ttlSeconds?: number): Promise<void>;

  /** Perhaps with a snapshot that is held, and has to outlive it. */
  protected async dropSomehow(coll: Coll): Promise<void> {
    const snap = this.one([...coll.snapshots.values()].filter(({ isBusy }) => !isBusy));
    if (snap !== undefined && this.chance(60)) await this.pin(coll, snap);
    await this.drop(coll);
  }

  /** `work` may fail what others do with the collection. */
  protected async shaking<T>(coll: Coll, work: () => Promise<T>): Promise<T> {
    coll.epoch++;
    try {
      return await work();
    } finally {
      coll.epoch++;
    }
  }

  async drop(coll: Coll): Promise<boolean> {
    if (coll.restoring !== undefined) coll.mayFail.push(/^the target collection was dropped$/);
    return this.shaking(coll, async () => {
      const outcome = await this.call('drop', coll, (life) => this.ask(life).dropCollection(at(coll.name)));
      if (outcome.is !== 'ok' && (await this.idOf(coll.name)) !== undefined) return false;
      this.forget(coll);
      this.#outlive(coll);
      return true;
    });
  }

  #outlive(coll: Coll): void {
    const nowMs = this.world.clock.nowMs();
    for (const snap of coll.snapshots.values())
      if ([...snap.pins.values()].some(({ surelyUntilMs }) => surelyUntilMs > nowMs)) {
        this.orphans.add({ coll, snap });
        this.noteDone('outlived');
      }
  }

  protected async dropRestoring(): Promise<void> {
    const coll = [...this.colls].find((c) => c.restoring !== undefined && !c.isBusy && !c.isGone);
    if (coll !== undefined && this.chance(40))
      await this.busy(coll, async () => void (await this.drop(coll)));
  }

  protected async rename(coll: Coll): Promise<void> {
    const name = this.freeName();
    if (name === undefined) return;
    this.names.add(name);
    await this.shaking(coll, async () => {
      const outcome = await this.call('rename', coll, (life) =>
        this.ask(life).renameCollection(at(coll.name), name, ''),
      );
      const isDone = outcome.is === 'ok' || (await this.idOf(name)) !== undefined;
      this.names.delete(isDone ? coll.name : name);
      if (isDone) coll.name = name;
    });
  }

  protected async partitionsOf(coll: Coll): Promise<readonly string[]> {
    return (await this.described(coll)).partitions.map(({ name }) => name);
  }

  /** It must be there, if nobody drops it. */
  protected async described(coll: Coll): Promise<CollectionInfo> {
    const life = await this.world.up();
    try {
      return this.ask(life).describeCollection(at(coll.name));
    } catch (error) {
      const isExcused = coll.isGone || coll.epoch % 2 === 1 || this.hasFailed(life, coll);
      if (isExcused || !isDbError(error, 'collection-not-found')) throw error;
      throw new Violation('exact', `${coll.name} is lost: ${error.message}`);
    }
  }

  protected async createPartition(coll: Coll): Promise<void> {
    const name = this.one(PARTITIONS.filter((p) => !coll.partitions.has(p)));
    if (name === undefined || coll.capturing > 0) return;
    await this.call('create-partition', coll, (life) => this.ask(life).createPartition(at(coll.name), name));
    if ((await this.partitionsOf(coll)).includes(name)) coll.partitions.add(name);
  }

  protected async dropPartition(coll: Coll): Promise<void> {
    const name = this.one([...coll.partitions].filter((p) => p !== '_default'));
    if (name === undefined) return;
    coll.isPaused = true;
    coll.partitions.delete(name);
    while (coll.inflight > 0) await this.world.sleep(20);
    await this.shaking(coll, async () => {
      await this.call('drop-partition', coll, (life) => this.ask(life).dropPartition(at(coll.name), name));
      if ((await this.partitionsOf(coll)).includes(name)) coll.partitions.add(name);
      else {
        const ts = await this.timestamp();
        this.lastTs = ts;
        coll.definedTs = ts;
        coll.oracle.changeAll(ts, (value) => (value?.startsWith(`${name}\t`) === true ? undefined : value));
      }
    });
    coll.isPaused = false;
  }

  protected async flush(coll: Coll): Promise<void> {
    const outcome = await this.call('flush', coll, (life) => this.ask(life).flush(coll.id));
    if (outcome.is !== 'ok' || this.chance(50)) return;
    this.spawn(this.flushed(coll, outcome.value));
  }

  protected async flushed(coll: Coll, { sealedIds, sealTs }: FlushResult): Promise<void> {
    for (;;) {
      await this.world.sleep(100);
      const life = await this.world.up();
      if (!coll.isGone && !this.ask(life).isFlushed(sealedIds)) continue;
      if (sealTs > coll.flushedTs) coll.flushedTs = sealTs;
      return;
    }
  }

  /** Index, then load. */
  protected async loadUp(coll: Coll): Promise<void> {
    if (coll.index === undefined) {
      const type = this.chance(60) ? 'HNSW' : 'FLAT';
      await this.call('index', coll, (life) =>
        this.ask(life).createIndex(at(coll.name), 'vec', '', {
          index_type: type,
          metric_type: 'L2',
          M: '4',
          efConstruction: '8',
        }),
      );
      coll.index = await this.indexNow(coll);
      if (coll.index === undefined) return;
    }
    if (coll.load === 'loaded') return;
    const outcome = await this.call('load', coll, (life) => this.ask(life).load(at(coll.name)));
    if (outcome.is === 'ok') coll.load = 'loaded';
    else coll.load = (await this.isLoaded(coll)) ? 'loaded' : 'none';
  }

  protected async indexNow(coll: Coll): Promise<IndexType | undefined> {
    return indexOf(await this.world.up(), coll.id);
  }

  /** A loaded collection keeps its index: it is released first. */
  protected async dropIndex(coll: Coll): Promise<void> {
    if (coll.load !== 'none') await this.release(coll);
    if (coll.load !== 'none') return;
    await this.shaking(coll, async () => {
      await this.call('drop-index', coll, (life) => this.ask(life).dropIndex(at(coll.name), 'vec', ''));
      coll.index = await this.indexNow(coll);
    });
  }

  protected async isLoaded(coll: Coll): Promise<boolean> {
    return (await this.described(coll)).collection.load === 'loaded';
  }

  protected async release(coll: Coll): Promise<void> {
    await this.shaking(coll, async () => {
      coll.load = 'unknown';
      await this.call('release', coll, (life) => this.ask(life).release(at(coll.name)));
      coll.load = (await this.isLoaded(coll)) ? 'loaded' : 'none';
    });
  }
}
