/** What else happens to restores: cancels, drops and renames while they run, several at once, and sources that are damaged. */
import { copyJobs } from '../../src/coordinator/copy-segment/job.ts';
import { snapshots } from '../../src/coordinator/snapshot/record.ts';
import { allFiles } from '../../src/coordinator/snapshot/segment.ts';
import { segments } from '../../src/coordinator/tables.ts';
import type { JobId, SnapshotId } from '../../src/model/ids.ts';
import type { Life } from './life.ts';
import { at, type Coll, MORE_NAMES, type Snap, shownIn } from './model.ts';
import { check } from './properties.ts';
import { RestoreSteps, type Restoring } from './restore-steps.ts';
import type { Outcome } from './world.ts';

/** An object, one of the snapshots that name it, and all of them. */
interface Held {
  readonly coll: Coll;
  readonly snap: Snap;
  readonly key: string;
  readonly snapshotId: SnapshotId;
  readonly holders: Snap[];
}

const isTaken = (outcome: Outcome<unknown>): boolean =>
  outcome.is === 'error' && outcome.error.code === 'collection-duplicate';
const isInUse = ({ isBusy, isTorn, restores }: Snap): boolean => isBusy || isTorn || restores > 0;
export const CANCELLED = 'the simulation has cancelled it';

export abstract class JobSteps extends RestoreSteps {
  protected abstract crowd(): Promise<void>;
  protected abstract again(coll: Coll, snap: Snap): Promise<void>;

  /** A restore, with company. */
  protected async restoreSomehow(coll: Coll, snap: Snap): Promise<void> {
    const draw = this.random.below(100);
    if (draw < 12) await this.burst(coll, snap);
    else if (draw < 24) await this.restoreDuel(coll, snap);
    else if (draw < 30) await this.crowd();
    else if (draw < 36) this.spawn(this.again(coll, snap));
    else {
      const restoring = await this.restore(coll, snap);
      if (restoring !== undefined && draw < 75) this.spawn(this.meddle(coll, restoring.target));
    }
  }

  /** Something happens to a restore at a moment of its life, or soon after. */
  protected async meddle(source: Coll, target: Coll): Promise<void> {
    await this.pause(this.world.shape.isSlow ? 2500 : 40);
    const jobId = target.restoring;
    if (jobId === undefined || target.isGone) return;
    const draw = this.random.below(100);
    if (draw < 38) await this.cancel(target, jobId, 1);
    else if (draw < 56) await this.cancel(target, jobId, 2);
    else if (draw < 68) await this.dropTarget(target);
    else if (draw < 90) await this.renameTarget(target, jobId);
    else if (!source.isBusy && !source.isGone) {
      this.noteDone('drop-source');
      await this.busy(source, async () => void (await this.drop(source)));
    }
  }

  protected async dropTarget(target: Coll): Promise<void> {
    if (target.isBusy || target.isGone) return;
    this.noteDone('drop-target');
    await this.busy(target, async () => void (await this.drop(target)));
  }

  /** A target has the name it was asked for until it is complete. */
  protected async renameTarget(target: Coll, jobId: JobId): Promise<void> {
    const name = this.freeName();
    if (name === undefined || target.isBusy || target.isGone) return;
    this.names.add(name);
    await this.busy(target, async () => {
      this.noteDone('rename-target');
      const outcome = await this.world.call(`rename-target ${target.name} ${name}`, (life) =>
        this.ask(life).renameCollection(at(target.name), name, ''),
      );
      if (outcome.is === 'error') {
        const isHidden = ['collection-on-recovering', 'collection-not-found'].includes(outcome.error.code);
        if (!isHidden) this.excuse(target, outcome.error, 'rename-target');
      }
      const isDone = (await this.idOf(name)) === target.id;
      const state = this.jobOf(await this.world.up(), jobId)?.state;
      check(
        'whole',
        // Forgotten: a job that is forgotten and has left its target was completed.
        !isDone || state === 'completed' || state === undefined,
        () => `${target.name} is renamed while it is ${state}`,
      );
      this.names.delete(isDone ? target.name : name);
      if (isDone) target.name = name;
    });
  }

  /** At any moment of a restore's life, its end included. Of several cancels at once one at most has ended it. */
  protected async cancel(target: Coll, jobId: JobId, times: number): Promise<void> {
    if (target.isBusy || target.isGone) return;
    await this.busy(target, async () => {
      target.mayFail.push(new RegExp(`^${CANCELLED}$`));
      const before = this.jobOf(await this.world.up(), jobId)?.state;
      const job = this.world.life.planes.catalog.get(copyJobs, jobId);
      const one = () =>
        this.world.call(`cancel ${target.name}`, (life) => this.ask(life).cancelRestore(jobId, CANCELLED));
      const outcomes = await Promise.all(Array.from({ length: times }, one));
      this.noteDone(before === 'completed' || before === 'failed' ? 'cancel-ended' : 'cancel');
      const isGone = (code: string) =>
        code === 'job-not-found' && this.jobOf(this.world.life, jobId) === undefined;
      for (const outcome of outcomes)
        if (outcome.is === 'error' && !isGone(outcome.error.code))
          this.excuse(target, outcome.error, 'cancel');
      const ended = outcomes.filter(({ is, ...rest }) => is === 'ok' && 'value' in rest && rest.value).length;
      check('ends', ended < 2, () => `two cancels have ended the restore of ${target.name}`);
      const wasEnded = before === 'completed' || before === 'failed' || before === undefined;
      check('ends', ended === 0 || !wasEnded, () => `a cancel has ended ${target.name}, which was ${before}`);
      const info = this.jobOf(await this.world.up(), jobId);
      const isAnswered = outcomes.some(({ is }) => is === 'ok');
      check(
        'ends',
        !isAnswered || info === undefined || info.state === 'completed' || info.state === 'failed',
        () => `${target.name} is ${info?.state} after its cancel`,
      );
      check(
        'ends',
        ended === 0 || info === undefined || info.reason === CANCELLED,
        () => `${target.name} was cancelled and says ${info?.state} ${info?.reason}`,
      );
      const isCalm = target.since.disturbances === this.world.disturbances;
      if (ended === 1 && isCalm && job !== undefined) {
        this.noteDone('cancel-clean');
        await this.keeper.nothingLeft(job);
      }
    });
  }

  /** One snapshot to several targets at once. */
  protected async burst(coll: Coll, snap: Snap): Promise<void> {
    const names = MORE_NAMES.filter((name) => !this.names.has(name)).slice(0, 2 + this.random.below(3));
    if (names.length === 0 || snap.isTorn) return;
    this.noteDone('burst');
    snap.isBusy = true;
    const targets = await Promise.all(names.map((name) => this.begin(coll, snap, name)));
    snap.isBusy = false;
    for (const target of targets)
      if (target !== undefined) this.spawn(this.followed(target, snap).then(() => this.dropTarget(target)));
  }

  /** Two restores to one name at once, perhaps of two snapshots: one of them wins, unless something fails both. */
  protected async restoreDuel(coll: Coll, snap: Snap): Promise<void> {
    const name = this.freeName();
    const others = [...coll.snapshots.values()].filter(({ isBusy, isTorn }) => !isBusy && !isTorn);
    const rival = this.one(others) ?? snap;
    if (name === undefined || snap.isTorn) return;
    this.names.add(name);
    const { since } = this.world;
    const { epoch } = coll;
    const pair = [...new Set([snap, rival])];
    for (const each of pair) {
      each.isBusy = true;
      each.restores++;
    }
    const ask = async (each: Snap) => {
      const outcome = await this.world.call(`restore-duel ${coll.name}/${each.name} ${name}`, (life) =>
        this.ask(life).restoreSnapshot({ source: at(coll.name), name: each.name, target: at(name) }),
      );
      if (outcome.is === 'error' && !isTaken(outcome)) this.excuse(coll, outcome.error, 'restore-duel');
      return outcome;
    };
    const both = await Promise.all([ask(snap), ask(rival)]);
    this.noteDone('restore-duel');
    for (const each of pair) each.isBusy = false;
    const won = both.filter(({ is }) => is === 'ok').length;
    check('exact', won < 2, () => `two restores to ${name} have won`);
    const isCalm = since.disturbances === this.world.disturbances && epoch === coll.epoch && epoch % 2 === 0;
    // Each may lose to the other one, which fails then; not both to one another.
    const isMeant = won === 1 || !isCalm || both.some((outcome) => !isTaken(outcome));
    check('exact', isMeant, () => `no restore to ${name} has won`);
    const answered = both.find(({ is }) => is === 'ok');
    const found = await this.restoreOf(name, answered?.is === 'ok' ? answered.value : undefined);
    const job = found === undefined ? undefined : this.world.life.planes.catalog.get(copyJobs, found.jobId);
    const isFirst = job === undefined ? both[0].is === 'ok' : job.snapshotName === snap.name;
    const winner = found === undefined ? undefined : isFirst ? snap : rival;
    for (const each of pair) if (each !== winner) each.restores--;
    if (found === undefined || winner === undefined) {
      check('exact', won === 0, () => `the restore to ${name} was answered and is not there`);
      this.names.delete(name);
      return;
    }
    const rows = winner.source.at(winner.ts, shownIn(winner));
    const target = await this.adopted(name, found, rows, winner.partitions, since);
    void this.followed(target, winner);
  }

  /**
   * An object that only snapshots name is missing, short or changed for a while. A restore must fail and name it, leave nothing, and
   * succeed to the same name when the object is whole again.
   */
  protected async damageSource(): Promise<Restoring | undefined> {
    const found = this.one(await this.#onlyInSnapshots());
    // Chosen last: while somebody looks, another client may take the name.
    const name = this.freeName();
    if (found === undefined || name === undefined || found.coll.isBusy) return undefined;
    const { coll, snap, key, snapshotId, holders } = found;
    if (holders.some(isInUse)) return undefined;
    for (const each of holders) each.isBusy = true;
    this.names.add(name);
    await this.busy(coll, async () => {
      this.noteDone('damage-source');
      this.keeper.damaged.add(key);
      const whole = await this.world.damage(key);
      await this.mustBeNoticed(coll, snap, key);
      await this.#mustFail(coll, snap, name, key);
      const { planes } = await this.world.up();
      if (planes.catalog.get(snapshots, snapshotId)?.state === 'committed')
        await this.world.disks.store.put(key, whole);
      this.world.note(`whole again ${key}`);
      this.keeper.damaged.delete(key);
    });
    for (const each of holders) each.isBusy = false;
    return coll.isGone || this.names.has(name) ? undefined : this.restore(coll, snap, name);
  }

  /** Objects of snapshots that no restore reads, and whose segments have been replaced since. */
  async #onlyInSnapshots(): Promise<readonly Held[]> {
    const life = await this.world.up();
    const found = new Map<string, Held>();
    for (const coll of this.colls)
      if (!coll.isGone && coll.restoring === undefined && !coll.isBusy)
        for (const snap of coll.snapshots.values()) await this.#heldBy(life, coll, snap, found);
    return [...found.values()].filter(({ holders }) => !holders.some(isInUse));
  }

  async #heldBy(life: Life, coll: Coll, snap: Snap, found: Map<string, Held>): Promise<void> {
    const record = this.recordOf(life, coll, snap.name);
    if (record === undefined) return;
    const { segments: listed } = await this.keeper.snapshotFiles(record);
    for (const segment of listed) {
      if (life.planes.catalog.get(segments, segment.segmentId)?.state === 'flushed') continue;
      for (const { key } of allFiles(segment)) {
        const known = found.get(key);
        if (known !== undefined) known.holders.push(snap);
        else found.set(key, { coll, snap, key, snapshotId: record.snapshotId, holders: [snap] });
      }
    }
  }

  /** A verification names it. Of a store that fails it may say no more than that it could not be read. */
  protected async mustBeNoticed(coll: Coll, snap: Snap, key: string): Promise<void> {
    const found: string[] = [];
    let isRead = true;
    const outcome = await this.call('verify-damaged', coll, async (life) => {
      const which = { at: at(coll.name), name: snap.name };
      for await (const step of this.ask(life).verifySnapshot(which, 1, new AbortController().signal))
        if (step.kind === 'problem') {
          found.push(step.key);
          // What names the object could not be read: it says so, and cannot know more.
          if (step.problem === 'unreadable' && step.segmentId === undefined) isRead = false;
        }
    });
    // One whose process died holds its snapshot for a minute.
    if (outcome.is !== 'ok')
      snap.lostPinsUntilMs = Math.max(
        snap.lostPinsUntilMs,
        this.world.clock.nowMs() + this.world.slackMs + 60_000,
      );
    // Dropped meanwhile, its name may tell of another that is gone too.
    const wasIt = outcome.is === 'ok' && (await this.idOf(coll.name)) === coll.id;
    check(
      'kept',
      !wasIt || found.includes(key) || !isRead,
      () => `${snap.name} of ${coll.name} verifies, and '${key}' is damaged`,
    );
  }

  async #mustFail(coll: Coll, snap: Snap, name: string, key: string): Promise<void> {
    const target = await this.begin(coll, snap, name, true);
    if (target === undefined) return;
    target.mayFail.push(new RegExp(key.replaceAll('.', '\\.')));
    await this.followed(target, snap);
    check(
      'exact',
      target.isGone,
      () => `${name} is restored from a snapshot whose object '${key}' is damaged`,
    );
  }
}
