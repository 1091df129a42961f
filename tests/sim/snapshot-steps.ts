/** Snapshots: made, looked into, pinned, dropped. */
import { type SnapshotRecord, snapshots } from '../../src/coordinator/snapshot/record.ts';
import type { DbError } from '../../src/errors/db-error.ts';
import type { SnapshotId } from '../../src/model/ids.ts';
import { type Content, contentOf } from './content.ts';
import { DefinitionSteps } from './definition-steps.ts';
import type { Life } from './life.ts';
import { at, type Coll, type Extra, noSnap, passing, SNAPSHOTS, type Snap, shownIn } from './model.ts';
import { Oracle } from './oracle.ts';
import { check, Violation } from './properties.ts';
import { markOf } from './rows.ts';
import type { Outcome } from './world.ts';

const isTaken = (outcome: Outcome<unknown>): boolean =>
  outcome.is === 'error' && outcome.error.code === 'parameter-invalid';
const LATER_THAN_ALL = 2n ** 63n;

export abstract class SnapshotSteps extends DefinitionSteps {
  async snapshot(coll: Coll, wanted?: string): Promise<Snap | undefined> {
    return this.#made(coll, wanted, async (name, protectionSeconds) => [
      await this.call('snapshot', coll, (life) => this.#create(life, coll, name, protectionSeconds)),
    ]);
  }

  /** Two creates of one name at once: one of them wins, unless something fails both. */
  protected async duel(coll: Coll): Promise<void> {
    await this.#made(coll, undefined, async (name, protectionSeconds) => {
      const { disturbances } = this.world;
      const { epoch } = coll;
      const one = async () => {
        const outcome = await this.world.call(`duel ${coll.name}/${name}`, (life) =>
          this.#create(life, coll, name, protectionSeconds),
        );
        if (outcome.is === 'error' && !isTaken(outcome)) this.excuse(coll, outcome.error, 'duel');
        return outcome;
      };
      const both = await Promise.all([one(), one()]);
      const won = both.filter(({ is }) => is === 'ok').length;
      check('exact', won < 2, () => `two creates of snapshot ${name} of ${coll.name} have won`);
      const isCalm = disturbances === this.world.disturbances && epoch === coll.epoch && epoch % 2 === 0;
      // Each may lose to the other one, which fails then; not both to one another.
      const isMeant = won === 1 || !isCalm || both.some((outcome) => !isTaken(outcome));
      check('exact', isMeant, () => `no create of snapshot ${name} of ${coll.name} has won`);
      this.done.set('duel', (this.done.get('duel') ?? 0) + 1);
      return both;
    });
  }

  #create(life: Life, coll: Coll, name: string, compactionProtectionSeconds: number): Promise<SnapshotId> {
    return this.ask(life).createSnapshot({
      at: at(coll.name),
      name,
      description: '',
      compactionProtectionSeconds,
    });
  }

  /** Whatever the answers were: when the snapshot is there, it must be right. */
  async #made(
    coll: Coll,
    wanted: string | undefined,
    create: (name: string, protectionSeconds: number) => Promise<readonly Outcome<SnapshotId>[]>,
  ): Promise<Snap | undefined> {
    const name = wanted ?? this.one(SNAPSHOTS.filter((s) => !coll.snapshots.has(s)));
    if (name === undefined) return undefined;
    while (coll.isTruncating) await this.world.sleep(20);
    if (coll.isGone || coll.snapshots.has(name)) return undefined;
    const { altered, extra } = coll;
    const protectionSeconds = this.chance(50) ? 0 : 1 + this.random.below(120);
    const beforeMs = this.world.clock.nowMs();
    const placeholder: Snap = { ...noSnap, name, source: coll.oracle, pins: new Map(), isBusy: true };
    coll.snapshots.set(name, placeholder);
    coll.capturing++;
    const from = this.lastTs;
    const { flushedTs } = coll;
    const isDone = (await create(name, protectionSeconds)).some(({ is }) => is === 'ok');
    coll.capturing--;
    const to = await this.timestamp();
    const life = await this.calm(coll);
    const record = coll.isGone ? undefined : this.recordOf(life, coll, name);
    if (record === undefined) coll.snapshots.delete(name);
    if (coll.isGone) return undefined;
    check('exact', !isDone || record !== undefined, () => `snapshot ${name} of ${coll.name} is not listed`);
    if (record === undefined) return undefined;
    if (to > this.lastTs) this.lastTs = to;
    const { createTs, compactionProtectedUntilMs } = record;
    const least = this.world.shape.capture === 'flushed' ? flushedTs : from;
    check(
      'exact',
      createTs >= least && createTs < to,
      () => `snapshot ${name} is of ${createTs}, not of ${least} to ${to}`,
    );
    check(
      'exact',
      protectionSeconds === 0
        ? compactionProtectedUntilMs === 0
        : compactionProtectedUntilMs >= beforeMs - this.world.slackMs + protectionSeconds * 1000,
      () => `snapshot ${name} is protected until ${compactionProtectedUntilMs}`,
    );
    const seen = await this.#extraOf(record);
    const isSure = extra !== undefined && altered % 2 === 0 && altered === coll.altered;
    check(
      'exact',
      !isSure || seen === undefined || seen.mark === extra.mark,
      () => `snapshot ${name} of ${coll.name} has extra field ${seen?.mark}, not ${extra?.mark}`,
    );
    const snap: Snap = {
      ...placeholder,
      ...(seen === undefined ? {} : { extra: seen }),
      ts: createTs,
      partitions: record.partitions.map((partition) => partition.name),
      protectedUntilMs: compactionProtectedUntilMs,
      isBusy: false,
    };
    coll.snapshots.set(name, snap);
    if (this.world.shape.capture === 'acknowledged') {
      await this.contentIsExact(coll, snap);
      return snap;
    }
    snap.isBusy = true;
    const found = await this.#foundFlushed(coll, snap, to);
    coll.snapshots.delete(name);
    if (found !== undefined) coll.snapshots.set(name, found);
    return found;
  }

  /** A crash may come between the making and the look at it: the snapshot is there all the same. */
  async #foundFlushed(coll: Coll, snap: Snap, to: bigint): Promise<Snap | undefined> {
    for (;;) {
      const found = await this.#flushedIsThere(coll, snap, to);
      if (found !== undefined) return found;
      const life = await this.calm(coll);
      if (coll.isGone || this.recordOf(life, coll, snap.name) === undefined) return undefined;
    }
  }

  /**
   * `snapshot.capture: flushed`: every write up to its time is in it, none that began after it returned, and those between are or are
   * not, part by part. What it holds is what it has to hold from now on.
   */
  async #flushedIsThere(coll: Coll, snap: Snap, to: bigint): Promise<Snap | undefined> {
    const content = await this.#contentOf(coll, snap, to);
    if (content === undefined) return undefined;
    const { rows, twice, wrong } = content;
    const show = shownIn(snap);
    const differences = [...wrong];
    for (const key of new Set([...rows.keys(), ...coll.oracle.keys()])) {
      const value = rows.get(key);
      const isTouched = coll.oracle.isTouchedAfter(key, snap.ts);
      const until = isTouched ? to : snap.ts;
      const allowed = new Set([...coll.oracle.allowedWithin(key, snap.ts, until)].map(show));
      const isRight = allowed.has(value) || (isTouched && value === undefined);
      if (!isRight || (twice.has(key) && !isTouched))
        differences.push(`key ${key} is ${value}, not ${[...allowed].join(' or ')}`);
    }
    this.#mustBeNone(coll, snap, differences);
    const source = new Oracle();
    for (const [key, value] of rows) source.know(1n, key, value);
    return { ...snap, source, ts: 1n, isTorn: twice.size > 0, isBusy: false };
  }

  async #extraOf(record: SnapshotRecord): Promise<Extra | undefined> {
    try {
      return { mark: markOf((await this.keeper.snapshotFiles(record)).metadata.collection.schema) };
    } catch {
      // It is gone already, or damaged: others say so.
      return undefined;
    }
  }

  /** *exact*: what its objects hold, read the plain way, against the rows of its moment. */
  protected async contentIsExact(coll: Coll, snap: Snap): Promise<void> {
    const content = await this.#contentOf(coll, snap);
    if (content === undefined || snap.isTorn) return;
    const { rows, twice, wrong } = content;
    const doubles = [...twice].map((key) => `key ${key} is there twice`);
    const differences = snap.source.compare(rows, snap.ts, shownIn(snap));
    this.#mustBeNone(coll, snap, [...wrong, ...doubles, ...differences]);
  }

  #mustBeNone(coll: Coll, snap: Snap, differences: readonly string[]): void {
    check(
      'exact',
      differences.length === 0,
      () => `snapshot ${snap.name} of ${coll.name}: ${differences.slice(0, 3).join('; ')}`,
    );
  }

  /** Undefined: the snapshot is not there any more, or nobody is there to ask. */
  async #contentOf(coll: Coll, snap: Snap, until?: bigint): Promise<Content | undefined> {
    const { life, disks } = this.world;
    const record = life.hasBegun && !life.isOver ? this.recordOf(life, coll, snap.name) : undefined;
    if (record === undefined) return undefined;
    const isThere = () => life.planes.catalog.get(snapshots, record.snapshotId)?.state === 'committed';
    try {
      const { metadata, segments } = await this.keeper.snapshotFiles(record);
      const partitions = new Map(metadata.partitions.map((p) => [p.partitionId, p.name]));
      const { schema } = metadata.collection;
      const latest = this.world.shape.capture === 'flushed' ? LATER_THAN_ALL : snap.ts;
      return await contentOf(disks.store, schema, partitions, segments, until ?? latest, this.extras);
    } catch (error) {
      if (isThere() && !life.isOver)
        throw new Violation('kept', `snapshot ${snap.name} of ${coll.name} cannot be read: ${String(error)}`);
      return undefined;
    }
  }

  /** Resolves when nobody shakes the collection, and the system is up. */
  protected async calm(coll: Coll): Promise<Life> {
    for (;;) {
      const life = await this.world.up();
      if (coll.isGone || coll.epoch % 2 === 0) return life;
      await this.world.sleep(10);
    }
  }

  /** The committed snapshot of this name; it has to be listed and described, too. */
  protected recordOf(life: Life, coll: Coll, name: string): SnapshotRecord | undefined {
    const { catalog } = life.planes;
    const record = catalog.find(snapshots, 'name', `${coll.id}/${name}`)[0];
    if (coll.isGone || coll.epoch % 2 === 1) return record;
    const isListed = this.ask(life).listSnapshots(at(coll.name)).includes(name);
    check('exact', isListed === (record !== undefined), () => `${name} of ${coll.name} is not listed right`);
    if (record === undefined) return undefined;
    const { createTs, partitionNames } = this.ask(life).describeSnapshot(at(coll.name), name);
    check(
      'exact',
      createTs === record.createTs && partitionNames.length === record.partitions.length,
      () => `${name} of ${coll.name} is not described right`,
    );
    return record;
  }

  protected async dropSnapshot(coll: Coll, snap: Snap): Promise<void> {
    snap.isBusy = true;
    const beforeMs = this.world.clock.nowMs();
    const before = snap.restores;
    const outcome = await this.world.call(`drop-snapshot ${coll.name}/${snap.name}`, (life) =>
      this.ask(life).dropSnapshot(at(coll.name), snap.name),
    );
    const afterMs = this.world.clock.nowMs();
    const isPinned = [...snap.pins.values()].some(({ surelyUntilMs }) => surelyUntilMs > afterMs);
    const mayBePinned =
      before + snap.restores > 0 ||
      snap.lostPinsUntilMs > beforeMs ||
      [...snap.pins.values()].some(({ maybeUntilMs }) => maybeUntilMs >= beforeMs);
    if (outcome.is === 'error' && !(outcome.error.code === 'snapshot-pinned' && mayBePinned))
      this.excuse(coll, outcome.error, 'drop-snapshot');
    if (outcome.is === 'error' && outcome.error.code === 'snapshot-pinned')
      this.done.set('drop-refused', (this.done.get('drop-refused') ?? 0) + 1);
    check(
      'kept',
      outcome.is !== 'ok' || !isPinned,
      () => `pinned snapshot ${snap.name} of ${coll.name} was dropped`,
    );
    const life = await this.calm(coll);
    if (!coll.isGone && this.recordOf(life, coll, snap.name) === undefined) coll.snapshots.delete(snap.name);
    snap.isBusy = false;
  }

  protected excuse(coll: Coll, error: DbError, what: string): void {
    const isShaken = coll.epoch > 0 && passing.has(error.code);
    if (!isShaken && !this.isFault(error))
      throw new Violation('exact', `${what} of ${coll.name} is refused: ${error.code}: ${error.message}`);
  }

  protected async pin(coll: Coll, snap: Snap, seconds?: number): Promise<void> {
    const ttlSeconds = seconds ?? (this.chance(50) ? 0 : 100 + this.random.below(1000));
    const endOf = (nowMs: number) =>
      ttlSeconds === 0 ? Number.POSITIVE_INFINITY : nowMs + ttlSeconds * 1000;
    const surelyUntilMs = endOf(this.world.clock.nowMs() - this.world.slackMs);
    const pinned = await this.call('pin', coll, (life) =>
      this.ask(life).pinSnapshot(at(coll.name), snap.name, ttlSeconds),
    );
    const maybeUntilMs = endOf(this.world.clock.nowMs() + this.world.slackMs);
    if (pinned.is === 'ok') snap.pins.set(pinned.value, { surelyUntilMs, maybeUntilMs });
    else snap.lostPinsUntilMs = Math.max(snap.lostPinsUntilMs, maybeUntilMs);
  }

  /** A drop that is tried while a pin holds, and about when it ends. */
  protected async dropPinned(coll: Coll, snap: Snap): Promise<void> {
    await this.pin(coll, snap, 5 + this.random.below(500));
    const nowMs = this.world.clock.nowMs();
    const ends = [...snap.pins.values()].map(({ surelyUntilMs }) => surelyUntilMs);
    const endMs = Math.min(...ends.filter((each) => each > nowMs && Number.isFinite(each)));
    const isHeld = () => coll.isGone || coll.snapshots.get(snap.name) !== snap || snap.isBusy;
    if (isHeld()) return;
    await this.dropSnapshot(coll, snap);
    if (isHeld() || !Number.isFinite(endMs)) return;
    this.noteDone('drop-pinned');
    this.world.jump(Math.max(1, endMs - this.world.clock.nowMs() + this.random.below(2000) - 1000));
    await this.dropSnapshot(coll, snap);
  }

  protected async unpin(coll: Coll, snap: Snap): Promise<void> {
    const pinId = this.one([...snap.pins.keys()]);
    const was = pinId === undefined ? undefined : snap.pins.get(pinId);
    if (pinId === undefined || was === undefined) return;
    // Until it is answered the pin may hold or not.
    snap.pins.set(pinId, { ...was, surelyUntilMs: 0 });
    const outcome = await this.call('unpin', coll, (life) => this.ask(life).unpinSnapshot(pinId));
    if (outcome.is === 'ok') snap.pins.delete(pinId);
  }
}
