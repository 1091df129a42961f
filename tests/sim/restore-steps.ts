/** Restores followed to their end, and what they made compared row by row. */
import type { RestoreJobInfo } from '../../src/coordinator/api.ts';
import { copyJobs } from '../../src/coordinator/copy-segment/job.ts';
import { collections } from '../../src/coordinator/tables.ts';
import { isDbError } from '../../src/errors/db-error.ts';
import type { CollectionId, JobId } from '../../src/model/ids.ts';
import type { Life } from './life.ts';
import { at, type Coll, indexOf, type Snap, shownIn, VERIFY_TRIES } from './model.ts';
import { check, Violation } from './properties.ts';
import { markOf } from './rows.ts';
import { SnapshotSteps } from './snapshot-steps.ts';

/** No job has it. */
const NO_JOB = 0n as JobId;
const ENDED: ReadonlySet<string> = new Set(['completed', 'failed']);

/** `ended`: it was followed to its end. */
export interface Restoring {
  readonly target: Coll;
  readonly ended: Promise<void>;
}

export abstract class RestoreSteps extends SnapshotSteps {
  /** Targets that stay with whoever asked for them: to others they are being restored for ever. */
  protected readonly private = new Set<Coll>();

  /** Starts one; it is followed to its end by a client of its own. */
  async restore(coll: Coll, snap: Snap, name = this.freeName()): Promise<Restoring | undefined> {
    if (name === undefined || snap.isTorn) return undefined;
    snap.isBusy = true;
    const target = await this.begin(coll, snap, name);
    snap.isBusy = false;
    return target === undefined ? undefined : { target, ended: this.followed(target, snap) };
  }

  /** Asks for one; the name must be free, and the snapshot busy. */
  protected async begin(coll: Coll, snap: Snap, name: string, isWhole = false): Promise<Coll | undefined> {
    this.names.add(name);
    const chosen = !isWhole && this.chance(25) ? this.#chosen(snap) : undefined;
    const partitions = chosen ?? snap.partitions;
    const rows = snap.source.at(snap.ts, shownIn({ partitions }));
    snap.restores++;
    const { since } = this.world;
    const mode = this.chance(20) ? ('physical' as const) : undefined;
    const outcome = await this.call('restore', coll, (life) =>
      this.ask(life).restoreSnapshot({
        source: at(coll.name),
        name: snap.name,
        target: at(name),
        ...(mode === undefined ? {} : { mode }),
        ...(chosen === undefined ? {} : { partitions: chosen }),
      }),
    );
    const found = await this.restoreOf(name, outcome.is === 'ok' ? outcome.value : undefined);
    if (found === undefined) {
      check('exact', outcome.is !== 'ok', () => `restore ${name} was answered and is not there`);
      this.names.delete(name);
      snap.restores--;
      return undefined;
    }
    if (chosen !== undefined) this.noteDone('restore-partly');
    // Every collection has `_default`: of what was chosen or not, empty.
    const made = [...new Set(['_default', ...partitions])];
    const target = await this.adopted(name, found, rows, made, since);
    target.extra = snap.extra;
    return target;
  }

  #chosen({ partitions }: Snap): readonly string[] {
    const some = partitions.filter(() => this.chance(50));
    return some.length > 0 ? some : partitions.slice(0, 1);
  }

  /** `since`: what the world had seen when the restore was asked for. */
  protected async adopted(
    name: string,
    { jobId, collectionId }: { readonly jobId: JobId; readonly collectionId: CollectionId },
    rows: Coll['oracle'],
    partitions: readonly string[],
    since: Coll['since'],
  ): Promise<Coll> {
    const target = this.model(name, collectionId, rows, partitions);
    target.restoring = jobId;
    target.since = since;
    target.index = indexOf(await this.world.up(), target.id);
    return target;
  }

  /** `begin` has counted the restore. */
  protected followed(target: Coll, snap: Snap): Promise<void> {
    const followed = this.follow(target, target.restoring as JobId).finally(() => {
      snap.restores--;
    });
    this.spawn(followed);
    return followed;
  }

  /** `jobId`: when it was answered. */
  protected async restoreOf(
    name: string,
    jobId?: JobId,
  ): Promise<{ readonly jobId: JobId; readonly collectionId: CollectionId } | undefined> {
    const { catalog } = (await this.world.up()).planes;
    const job = jobId === undefined ? undefined : catalog.get(copyJobs, jobId);
    if (job !== undefined) return job;
    const known = new Set([...this.colls].map(({ id }) => id));
    const named = [...catalog.all(collections)].find((each) => each.name === name);
    if (named === undefined || known.has(named.collectionId)) return undefined;
    const { collectionId } = named;
    const open = [...catalog.all(copyJobs)].find((each) => each.collectionId === collectionId);
    // Ended, and forgotten before anybody asked; when the answer was lost, too, nobody knows its number.
    return open ?? { jobId: jobId ?? NO_JOB, collectionId };
  }

  /** What the system says of a job; undefined when it is forgotten. */
  protected jobOf(life: Life, jobId: JobId): RestoreJobInfo | undefined {
    try {
      return this.ask(life).restoreState(jobId);
    } catch (error) {
      if (isDbError(error, 'job-not-found')) return undefined;
      throw error;
    }
  }

  protected async follow(target: Coll, jobId: JobId): Promise<void> {
    let progress = 0;
    let openMs = target.since.nowMs;
    for (;;) {
      const life = await this.world.up();
      const info = this.jobOf(life, jobId);
      if (info === undefined) return this.forgotten(life, target, jobId, openMs);
      this.listed(life, info);
      check(
        'ends',
        info.progress >= progress,
        () => `progress of ${target.name} fell from ${progress} to ${info.progress}`,
      );
      progress = info.progress;
      if (info.state === 'completed') break;
      if (info.state === 'failed') return this.failed(target, jobId, info.reason);
      openMs = this.world.clock.stampMs();
      await this.hidden(life, target);
      await this.world.sleep(30 + this.random.below(200));
    }
    await this.verify(target);
    await this.told(jobId, 'completed');
  }

  /** It ended and was forgotten since it was last looked at. */
  protected async forgotten(life: Life, target: Coll, jobId: JobId, openMs: number): Promise<void> {
    const ageMs = this.world.clock.nowMs() - openMs;
    const { jobRetentionMs } = this.world.shape;
    check(
      'ends',
      ageMs >= jobRetentionMs - this.world.slackMs,
      () => `job ${jobId} is forgotten after ${ageMs} ms at most`,
    );
    this.noteDone('forgotten');
    if (life.planes.catalog.get(collections, target.id) === undefined && !target.isGone)
      return this.failed(target, jobId, undefined);
    await this.verify(target);
  }

  /** What is said of a job agrees with itself, alone and in the list of all. */
  protected listed(life: Life, info: RestoreJobInfo): void {
    const jobs = this.ask(life).listRestoreJobs('', '');
    const same = jobs.find(({ jobId }) => jobId === info.jobId);
    check('ends', same?.state === info.state, () => `job ${info.jobId} is listed as ${same?.state}`);
    const ids = jobs.map(({ jobId }) => jobId);
    check('ends', ids.join() === ids.toSorted((a, b) => (a < b ? -1 : 1)).join(), () => `jobs ${ids}`);
    for (const job of jobs) {
      const isDone = job.state === 'completed';
      const isRight =
        (job.progress === 100) === isDone &&
        job.progress >= 0 &&
        job.startedAtMs > 0 &&
        job.startedAtMs <= this.world.clock.nowMs() + this.world.slackMs &&
        (!ENDED.has(job.state) || job.durationMs >= 1) &&
        (job.state === 'failed') === (job.reason !== '') &&
        (isDone ? job.copiedBytes === job.totalBytes : job.copiedBytes <= job.totalBytes) &&
        (isDone ? job.copiedFiles === job.totalFiles : job.copiedFiles <= job.totalFiles);
      check(
        'ends',
        isRight,
        () => `job ${job.jobId} is ${job.state}, ${job.progress} %, ${job.copiedBytes} of \
${job.totalBytes} bytes, began at ${job.startedAtMs}, took ${job.durationMs}: ${job.reason}`,
      );
    }
  }

  /** An ended job stays as it is until it is forgotten. */
  protected async told(jobId: JobId, state: string): Promise<void> {
    const first = this.jobOf(await this.world.up(), jobId);
    await this.world.sleep(this.random.below(8000));
    const again = this.jobOf(await this.world.up(), jobId);
    if (again === undefined) this.noteDone('forgotten');
    const isSame =
      again === undefined ||
      (again.state === state &&
        again.durationMs === first?.durationMs &&
        again.startedAtMs === first.startedAtMs &&
        again.progress === first.progress);
    check('ends', isSame, () => `job ${jobId} was ${state}, ${first?.durationMs} ms, and changes`);
  }

  /** Its target must be gone, and its name free. `reason` undefined: it is forgotten, too. */
  protected async failed(target: Coll, jobId: JobId, reason: string | undefined): Promise<void> {
    this.world.note(`restore ${target.name} failed: ${reason}`);
    const life = await this.world.up();
    const isThere = life.planes.catalog.get(collections, target.id) !== undefined;
    check('clean', !isThere, () => `restore ${target.name} has failed, and its target is there`);
    if (target.isGone) return;
    const isTimeout = reason?.startsWith('timeout') === true;
    const mayTimeOut = this.world.standstills > target.since.standstills;
    const isExpected =
      target.mayFail.some((expected) => reason === undefined || expected.test(reason)) ||
      ((isTimeout || reason === undefined) && mayTimeOut);
    if (!isExpected) throw new Violation('ends', `restore ${target.name} failed: ${reason}`);
    this.noteDone(isTimeout ? 'timed-out' : 'failed');
    // Nobody asks for it by its name any more.
    while (target.isBusy) await this.world.sleep(20);
    this.forget(target);
    if (reason !== undefined) await this.told(jobId, 'failed');
  }

  /** *whole*: a target cannot be read, loaded or captured before it is complete. Asked at one moment. */
  protected async hidden(life: Life, target: Coll): Promise<void> {
    if (target.isGone || target.epoch % 2 === 1 || life.isOver) return;
    const coordinator = this.ask(life);
    const isOpen = () =>
      ['pending', 'executing'].includes(this.jobOf(life, target.restoring as JobId)?.state ?? '');
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
    await refused('read', () => life.planes.queryNode.query({ collectionId: target.id, outputFields: [] }));
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
      await this.sameFields(target);
      await this.loadUp(target);
      if (target.load === 'loaded' && (await this.isAllRead(target))) break;
      await this.world.sleep(1000);
    }
    target.isBusy = false;
    if (!this.private.has(target)) target.restoring = undefined;
    this.noteDone('verified');
  }

  /** It has the fields of the snapshot, whatever its source has by now. */
  protected async sameFields(target: Coll): Promise<void> {
    const { altered, extra } = target;
    if (extra === undefined) return;
    const mark = markOf((await this.described(target)).collection.schema);
    check(
      'exact',
      mark === extra.mark || altered !== target.altered || altered % 2 === 1,
      () => `restored ${target.name} has extra field ${mark}, not ${extra.mark}`,
    );
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
