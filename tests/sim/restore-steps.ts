/** Restores followed to their end, and what they made compared row by row. */
import type { CollectionId, JobId } from '../../src/model/ids.ts';
import type { Life } from './life.ts';
import { at, type Coll, indexOf, type Snap, shownIn, VERIFY_TRIES } from './model.ts';
import { check, Violation } from './properties.ts';
import { SnapshotSteps } from './snapshot-steps.ts';

export abstract class RestoreSteps extends SnapshotSteps {
  /** Starts one; it is followed to its end by a client of its own. */
  async restore(coll: Coll, snap: Snap): Promise<Promise<void> | undefined> {
    const name = this.freeName();
    if (name === undefined || snap.isTorn) return undefined;
    this.names.add(name);
    snap.restores++;
    snap.isBusy = true;
    const rows = snap.source.at(snap.ts, shownIn(snap));
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
