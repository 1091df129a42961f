/** Restores in place and restore drills, followed to their end. What is replaced is a collection that no other client knows. */
import { copyJobs } from '../../src/coordinator/copy-segment/job.ts';
import { collections } from '../../src/coordinator/tables.ts';
import type { CollectionId, JobId } from '../../src/model/ids.ts';
import { CrowdSteps } from './crowd-steps.ts';
import { CANCELLED } from './job-steps.ts';
import { at, type Coll, indexOf, MORE_NAMES, type Since, type Snap, shownIn } from './model.ts';
import { check, Violation } from './properties.ts';
import type { World } from './world.ts';

export abstract class SwapSteps extends CrowdSteps {
  /** Drills whose copy was damaged before it was compared, and the object. */
  readonly #rotten = new Map<JobId, string>();

  constructor(world: World) {
    super(world);
    world.jobs.onDrillCopied = (job, files) => {
      const file = this.#rotten.has(job.jobId) || !this.chance(50) ? undefined : this.one(files);
      if (file !== undefined) this.spawn(this.#rot(job.jobId, file.key));
    };
  }

  /** A copy of which an object is missing, short or changed. */
  async #rot(jobId: JobId, key: string): Promise<void> {
    this.#rotten.set(jobId, key);
    await this.world.damage(key);
    this.noteDone('rotten-copy');
  }

  /** A drill says that the copy is the same, and leaves nothing. */
  protected async drill(coll: Coll, snap: Snap): Promise<void> {
    if (snap.isTorn) return;
    snap.isBusy = true;
    snap.restores++;
    const { since } = this.world;
    const outcome = await this.call('drill', coll, (life) =>
      this.ask(life).drillRestore({ at: at(coll.name), name: snap.name }),
    );
    snap.isBusy = false;
    const jobIds = outcome.is === 'ok' ? [outcome.value] : await this.#openDrills(coll, snap);
    for (const jobId of jobIds) {
      if (this.chance(15)) this.spawn(this.#cancelled(jobId));
      await this.#drilled(jobId, since);
    }
    snap.restores--;
  }

  async #openDrills(coll: Coll, snap: Snap): Promise<readonly JobId[]> {
    const { catalog } = (await this.world.up()).planes;
    return [...catalog.all(copyJobs)]
      .filter(
        ({ purpose, sourceCollectionId }) => purpose?.kind === 'drill' && sourceCollectionId === coll.id,
      )
      .filter(({ snapshotName }) => snapshotName === snap.name)
      .map(({ jobId }) => jobId);
  }

  async #drilled(jobId: JobId, since: Since): Promise<void> {
    for (;;) {
      const life = await this.world.up();
      const job = life.planes.catalog.get(copyJobs, jobId);
      const info = this.jobOf(life, jobId);
      if (info === undefined || job === undefined) return;
      this.listed(life, info);
      const target = life.planes.catalog.get(collections, job.collectionId);
      const outcome = info.purpose?.kind === 'drill' ? info.purpose.outcome : undefined;
      const rotten = this.#rotten.get(jobId);
      if (rotten !== undefined && (info.state === 'completed' || outcome !== undefined)) {
        const isFound = info.state === 'failed' && outcome?.isSame === false && info.reason !== '';
        check('exact', isFound, () => `drill ${jobId} finds its copy right, of which '${rotten}' is damaged`);
        this.noteDone('rotten-found');
        return;
      }
      if (info.state === 'failed') return this.#mayHaveFailed('drill', info.reason, since);
      if (info.state === 'completed') {
        check('exact', outcome?.isSame === true, () => `drill ${jobId}: ${outcome?.differences.join('; ')}`);
        check('clean', target === undefined, () => `drill ${jobId} leaves its copy`);
        this.noteDone('drilled');
        return;
      }
      await this.world.sleep(50 + this.random.below(200));
    }
  }

  /** At some moment of its life; whoever follows it finds it ended by that, or by its own end. */
  async #cancelled(jobId: JobId): Promise<void> {
    await this.pause(this.world.shape.isSlow ? 600 : 15);
    const outcome = await this.call('cancel-aside', undefined, async (life) => {
      // Ended, and forgotten before it could be cancelled.
      if (this.jobOf(life, jobId) === undefined) return false;
      return this.ask(life).cancelRestore(jobId, CANCELLED);
    });
    if (outcome.is === 'ok' && outcome.value) this.noteDone('cancelled-aside');
  }

  /** Only time without progress ends what has no other reason, and only while something was in its way. */
  #mayHaveFailed(what: string, reason: string, since: Since): void {
    const { disturbances, standstills } = this.world;
    const wasDisturbed = disturbances > since.disturbances || standstills > since.standstills;
    const isExcused = reason === CANCELLED || (reason.startsWith('timeout') && wasDisturbed);
    if (!isExcused) throw new Violation('ends', `${what} failed: ${reason}`);
    if (reason !== CANCELLED) this.noteDone('timed-out');
  }

  /** The rows of a snapshot take the place of what came after it; then one or the other goes. */
  protected async inPlace(coll: Coll, snap: Snap): Promise<void> {
    const name = this.freeName(MORE_NAMES);
    if (name === undefined || snap.isTorn || this.world.shape.capture === 'flushed') return;
    const restoring = await this.restore(coll, snap, name);
    if (restoring === undefined) return;
    const { target: old } = restoring;
    this.private.add(old);
    await restoring.ended;
    while (old.isBusy) await this.world.sleep(20);
    if (old.isGone) return;
    old.isBusy = true;
    const taken = await this.snapshot(old);
    for (let i = 0; i < 3; i++) await this.write(old);
    if (taken !== undefined) await this.#replaced(old, taken, name);
    if (!old.isGone) await this.drop(old);
  }

  async #replaced(old: Coll, taken: Snap, name: string): Promise<void> {
    const { since } = this.world;
    const outcome = await this.call('in-place', old, (life) =>
      this.ask(life).restoreInPlace({ at: at(name), name: taken.name }),
    );
    const jobId = outcome.is === 'ok' ? outcome.value : await this.#openSwap(old.id);
    if (jobId === undefined) return;
    if (this.chance(25)) this.spawn(this.#cancelled(jobId));
    if (!(await this.#swapped(old, jobId, name, since))) {
      check('whole', (await this.idOf(name)) === old.id, () => `${name} has failed, and is another`);
      await this.#isRead(old);
      return;
    }
    const job = this.world.life.planes.catalog.get(copyJobs, jobId);
    const kept = job?.purpose?.kind === 'in-place' ? job.purpose.keptName : undefined;
    if (job === undefined || kept === undefined) throw new Violation('ends', `swap ${jobId} is forgotten`);
    old.name = kept;
    this.names.add(kept);
    const fresh = this.model(
      name,
      job.collectionId,
      taken.source.at(taken.ts, shownIn(taken)),
      taken.partitions,
    );
    fresh.restoring = jobId;
    fresh.isBusy = true;
    fresh.index = indexOf(await this.world.up(), fresh.id);
    check('whole', (await this.idOf(name)) === fresh.id, () => `${name} is not what was restored`);
    await this.#isRead(fresh);
    await this.#isRead(old);
    this.noteDone('swapped');
    const decision = this.chance(50) ? ('confirm' as const) : ('revert' as const);
    await this.#settled(jobId, decision);
    const [goes, stays] = decision === 'confirm' ? [old, fresh] : [fresh, old];
    const { catalog } = (await this.world.up()).planes;
    check(
      'clean',
      catalog.get(collections, goes.id) === undefined,
      () => `${goes.name} is there after ${decision}`,
    );
    this.forget(goes);
    if (decision === 'revert') {
      this.names.delete(kept);
      this.names.add(name);
      old.name = name;
    }
    check('whole', (await this.idOf(name)) === stays.id, () => `${name} is another after ${decision}`);
    await this.#isRead(stays);
    if (stays === fresh) await this.drop(fresh);
    this.noteDone(decision);
  }

  /** Until it has ended; whoever asks for the name finds the one or the other. */
  async #swapped(old: Coll, jobId: JobId, name: string, since: Since): Promise<boolean> {
    for (;;) {
      const life = await this.world.up();
      const info = this.jobOf(life, jobId);
      if (info === undefined) return false;
      if (info.state === 'completed') return true;
      if (info.state === 'failed') {
        this.#mayHaveFailed('in-place restore', info.reason, since);
        return false;
      }
      const found = await this.world.ask(life, async () => this.ask(life).requireReady(at(name)).collection);
      const isOld = found.is === 'ok' && found.value.collectionId === old.id;
      const isOver = life.isOver || this.jobOf(life, jobId)?.state !== info.state;
      check('whole', isOld || isOver, () => `${name} is another before its restore is completed`);
      await this.world.sleep(50 + this.random.below(200));
    }
  }

  async #openSwap(sourceId: CollectionId): Promise<JobId | undefined> {
    const { catalog } = (await this.world.up()).planes;
    return [...catalog.all(copyJobs)].find(
      ({ purpose, sourceCollectionId }) => purpose?.kind === 'in-place' && sourceCollectionId === sourceId,
    )?.jobId;
  }

  /** A decision whose answer was lost may have been taken, and its job forgotten since. */
  async #settled(jobId: JobId, decision: 'confirm' | 'revert'): Promise<void> {
    for (let wasLost = false; ; wasLost = true) {
      const isForgotten = wasLost && this.jobOf(await this.world.up(), jobId) === undefined;
      if (isForgotten) return;
      const outcome = await this.call('settle', undefined, (life) =>
        this.ask(life).settleSwap(jobId, decision),
      );
      if (outcome.is === 'ok') return;
      await this.world.sleep(500);
    }
  }

  async #isRead(coll: Coll): Promise<void> {
    for (;;) {
      await this.loadUp(coll);
      if (coll.load === 'loaded' && (await this.isAllRead(coll))) return;
      await this.world.sleep(500);
    }
  }
}
