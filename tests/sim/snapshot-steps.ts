/** Snapshots, pins, and restores followed to their end. */
import type { DbError } from '../../src/errors/db-error.ts';
import type { CollectionId, JobId } from '../../src/model/ids.ts';
import { DefinitionSteps } from './definition-steps.ts';
import type { Life } from './life.ts';
import { at, type Coll, indexOf, noSnap, passing, SNAPSHOTS, type Snap, VERIFY_TRIES } from './model.ts';
import { check, Violation } from './properties.ts';

export abstract class SnapshotSteps extends DefinitionSteps {
  protected async snapshotStep(coll: Coll): Promise<void> {
    const draw = this.random.below(100);
    const snap = this.one([...coll.snapshots.values()].filter(({ isBusy }) => !isBusy));
    if (draw < 40 || snap === undefined) await this.snapshot(coll);
    else if (draw < 75) await this.restore(coll, snap);
    else if (draw < 85) await this.dropSnapshot(coll, snap);
    else if (draw < 93) await this.pin(coll, snap);
    else await this.unpin(coll, snap);
  }

  async snapshot(coll: Coll, wanted?: string): Promise<Snap | undefined> {
    const name = wanted ?? this.one(SNAPSHOTS.filter((s) => !coll.snapshots.has(s)));
    if (name === undefined || coll.isPaused) return undefined;
    const placeholder: Snap = { ...noSnap, name, source: coll.oracle, pins: new Map(), isBusy: true };
    coll.snapshots.set(name, placeholder);
    coll.inflight++;
    const from = this.lastTs;
    const outcome = await this.call('snapshot', coll, (life) =>
      this.ask(life).createSnapshot({
        at: at(coll.name),
        name,
        description: '',
        compactionProtectionSeconds: 0,
      }),
    );
    coll.inflight--;
    const life = await this.calm(coll);
    coll.snapshots.delete(name);
    if (coll.isGone) return undefined;
    const listed = this.isListed(life, coll, name);
    check('exact', outcome.is !== 'ok' || listed, () => `snapshot ${name} of ${coll.name} is not listed`);
    if (!listed) return undefined;
    const { createTs, partitionNames } = this.ask(life).describeSnapshot(at(coll.name), name);
    const to = this.ask(life).timestamp();
    check(
      'exact',
      createTs >= from && createTs < to,
      () => `snapshot ${name} is of ${createTs}, not of ${from} to ${to}`,
    );
    if (to > this.lastTs) this.lastTs = to;
    const snap: Snap = { ...placeholder, ts: createTs, partitions: partitionNames, isBusy: false };
    coll.snapshots.set(name, snap);
    return snap;
  }

  /** Resolves when nobody shakes the collection, and the system is up. */
  protected async calm(coll: Coll): Promise<Life> {
    for (;;) {
      const life = await this.world.up();
      if (coll.isGone || coll.epoch % 2 === 0) return life;
      await this.world.sleep(10);
    }
  }

  protected isListed(life: Life, coll: Coll, name: string): boolean {
    return this.ask(life).listSnapshots(at(coll.name)).includes(name);
  }

  protected async dropSnapshot(coll: Coll, snap: Snap): Promise<void> {
    snap.isBusy = true;
    const nowMs = this.world.clock.nowMs();
    const isPinned = [...snap.pins.values()].some((endMs) => endMs === undefined || endMs >= nowMs + 60_000);
    const before = snap.restores;
    const outcome = await this.world.call(`drop-snapshot ${coll.name}/${snap.name}`, (life) =>
      this.ask(life).dropSnapshot(at(coll.name), snap.name),
    );
    const mayBePinned = snap.pins.size > 0 || before > 0 || snap.restores > 0;
    if (outcome.is === 'error' && !(outcome.error.code === 'snapshot-pinned' && mayBePinned))
      await this.excuse(coll, outcome.error, 'drop-snapshot');
    check(
      'kept',
      outcome.is !== 'ok' || !isPinned,
      () => `pinned snapshot ${snap.name} of ${coll.name} was dropped`,
    );
    const life = await this.calm(coll);
    if (!coll.isGone && !this.isListed(life, coll, snap.name)) coll.snapshots.delete(snap.name);
    snap.isBusy = false;
  }

  protected async excuse(coll: Coll, error: DbError, what: string): Promise<void> {
    const isShaken = coll.epoch > 0 && passing.has(error.code);
    if (!isShaken && !this.isFault(error))
      throw new Violation('exact', `${what} of ${coll.name} is refused: ${error.code}: ${error.message}`);
    await Promise.resolve();
  }

  protected async pin(coll: Coll, snap: Snap): Promise<void> {
    const ttlSeconds = this.chance(50) ? 0 : 100 + this.random.below(1000);
    const endMs = ttlSeconds === 0 ? undefined : this.world.clock.nowMs() + ttlSeconds * 1000;
    const pinned = await this.call('pin', coll, (life) =>
      this.ask(life).pinSnapshot(at(coll.name), snap.name, ttlSeconds),
    );
    if (pinned.is !== 'ok') return;
    snap.pins.set(pinned.value, endMs);
  }

  protected async unpin(coll: Coll, snap: Snap): Promise<void> {
    const pinId = this.one([...snap.pins.keys()]);
    if (pinId === undefined) return;
    const endMs = snap.pins.get(pinId);
    // Until it is answered the pin may hold or not.
    snap.pins.set(pinId, 0);
    const outcome = await this.call('unpin', coll, (life) => this.ask(life).unpinSnapshot(pinId));
    if (outcome.is === 'ok') snap.pins.delete(pinId);
    else if (outcome.is === 'error') snap.pins.set(pinId, endMs === undefined ? 0 : Math.min(endMs, 0));
  }

  // Restores.

  /** Starts one; it is followed to its end by a client of its own. */
  async restore(coll: Coll, snap: Snap): Promise<Promise<void> | undefined> {
    const name = this.freeName();
    if (name === undefined) return undefined;
    this.names.add(name);
    snap.restores++;
    snap.isBusy = true;
    const rows = snap.source.at(snap.ts);
    const outcome = await this.call('restore', coll, (life) =>
      this.ask(life).restoreSnapshot({ source: at(coll.name), name: snap.name, target: at(name) }),
    );
    snap.isBusy = false;
    const found = await this.restoreOf(name);
    const jobId = outcome.is === 'ok' ? outcome.value : found?.jobId;
    if (found === undefined || jobId === undefined) {
      check('exact', outcome.is !== 'ok', () => `restore ${name} was answered and is not there`);
      this.names.delete(name);
      snap.restores--;
      return undefined;
    }
    const target = this.model(name, found.collectionId, rows, snap.partitions);
    target.restoring = jobId;
    target.index = indexOf(await this.world.up(), target.id);
    const followed = this.follow(target, jobId).finally(() => {
      snap.restores--;
    });
    this.spawned.push(followed);
    return followed;
  }

  protected async restoreOf(
    name: string,
  ): Promise<{ jobId: JobId | undefined; collectionId: CollectionId } | undefined> {
    const life = await this.world.up();
    const found = this.ask(life)
      .listCollections('')
      .find(({ collection }) => collection.name === name)?.collection;
    if (found === undefined) return undefined;
    const job = this.ask(life).listRestoreJobs('', name).at(-1);
    return { jobId: found.restoreJobId ?? job?.jobId, collectionId: found.collectionId };
  }

  protected async follow(target: Coll, jobId: JobId): Promise<void> {
    let progress = 0;
    for (;;) {
      const life = await this.world.up();
      const info = this.ask(life).restoreState(jobId);
      check(
        'ends',
        info.progress >= progress,
        () => `progress of ${target.name} fell from ${progress} to ${info.progress}`,
      );
      progress = info.progress;
      check(
        'whole',
        (progress === 100) === (info.state === 'completed'),
        () => `${progress} % and ${info.state}`,
      );
      if (info.state === 'completed') break;
      if (info.state === 'failed') return this.failed(target, info.reason);
      await this.hidden(life, target);
      await this.world.sleep(30 + this.random.below(200));
    }
    await this.verify(target);
  }

  protected failed(target: Coll, reason: string): void {
    this.world.note(`restore ${target.name} failed: ${reason}`);
    if (target.isGone || target.epoch > 0) return;
    throw new Violation('ends', `restore ${target.name} failed: ${reason}`);
  }

  /** *whole*: a target cannot be read, loaded or captured before it is complete. Asked at one moment. */
  protected async hidden(life: Life, target: Coll): Promise<void> {
    if (target.isGone || target.epoch % 2 === 1 || life.isOver) return;
    const coordinator = this.ask(life);
    const isOpen = () =>
      ['pending', 'executing'].includes(coordinator.restoreState(target.restoring as JobId).state);
    const refused = async (what: string, work: () => Promise<unknown>): Promise<void> => {
      if (!isOpen()) return;
      const outcome = await this.world.ask(life, work);
      check(
        'whole',
        outcome.is !== 'ok' || !isOpen(),
        () => `${what} of ${target.name} before its restore is complete`,
      );
    };
    await refused('use', async () => coordinator.requireReady(at(target.name)));
    await refused('load', () => coordinator.load(at(target.name)));
    const request = { at: at(target.name), name: 'early', description: '', compactionProtectionSeconds: 0 };
    await refused('snapshot', () => coordinator.createSnapshot(request));
    const visible = isOpen() ? coordinator.rowCount(target.id) : 0;
    check(
      'whole',
      visible === 0,
      () => `${visible} rows of ${target.name} are counted before its restore is complete`,
    );
  }

  /** *exact*: partition by partition, every row as the source had it at the snapshot's moment. Then it is a collection like others. */
  protected async verify(target: Coll): Promise<void> {
    while (target.isBusy) await this.world.sleep(20);
    target.isBusy = true;
    for (let tries = 1; !target.isGone; tries++) {
      check('ends', tries < VERIFY_TRIES, () => `restored ${target.name} cannot be read`);
      await this.loadUp(target);
      if (target.load === 'loaded' && (await this.isAllRead(target))) break;
      await this.world.sleep(1000);
    }
    target.isBusy = false;
    target.restoring = undefined;
    this.done.set('verified', (this.done.get('verified') ?? 0) + 1);
  }

  protected async isAllRead(coll: Coll): Promise<boolean> {
    const seen = await this.partitionsOf(coll);
    check(
      'exact',
      coll.isGone || [...coll.partitions].sort().join() === [...seen].sort().join(),
      () => `${coll.name} has partitions ${seen.join()}, not ${[...coll.partitions].join()}`,
    );
    for (const partition of [...coll.partitions, undefined])
      if ((await this.read(coll, partition)).is !== 'ok') return false;
    return true;
  }
}
