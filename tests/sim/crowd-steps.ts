/** Many restores at once, the same one again, captures amid everything else, and snapshots that have outlived their collection. */
import { JobSteps } from './job-steps.ts';
import { type Coll, CROWD_NAMES, type Snap } from './model.ts';
import { check } from './properties.ts';

export abstract class CrowdSteps extends JobSteps {
  protected abstract compact(coll: Coll): Promise<unknown>;

  /** Many small restores that have to share what nodes there are: of up to three collections, each to several targets. */
  protected async crowd(): Promise<void> {
    const from = [...this.colls]
      .filter((coll) => !coll.isGone && coll.restoring === undefined)
      .flatMap((coll) => [...coll.snapshots.values()].map((snap) => ({ coll, snap })))
      .filter(({ snap }) => !snap.isBusy && !snap.isTorn)
      .slice(0, 3);
    const names = CROWD_NAMES.filter((name) => !this.names.has(name));
    if (from.length === 0 || names.length < CROWD_NAMES.length / 2) return;
    this.noteDone('crowd');
    for (const { snap } of from) snap.isBusy = true;
    const begun = await Promise.all(
      names.map(async (name, i) => {
        const source = from[i % from.length] as (typeof from)[number];
        return { snap: source.snap, target: await this.begin(source.coll, source.snap, name) };
      }),
    );
    for (const { snap } of from) snap.isBusy = false;
    for (const { snap, target } of begun)
      if (target !== undefined) this.spawn(this.followed(target, snap).then(() => this.dropTarget(target)));
  }

  /** Restored, dropped, and restored to the same name once more. */
  protected async again(coll: Coll, snap: Snap): Promise<void> {
    const first = await this.restore(coll, snap);
    if (first === undefined) return;
    const { target } = first;
    await first.ended;
    const { name } = target;
    while (target.isBusy) await this.world.sleep(20);
    if (target.isGone || coll.isGone || coll.snapshots.get(snap.name) !== snap || snap.isBusy) return;
    await this.dropTarget(target);
    // It may have been dropped meanwhile.
    if (this.names.has(name) || coll.isGone || coll.snapshots.get(snap.name) !== snap || snap.isBusy) return;
    if ((await this.restore(coll, snap, name)) !== undefined) this.noteDone('again');
  }

  /** A capture while the collection flushes, is compacted, loaded or redefined. */
  protected async snapshotAmid(coll: Coll): Promise<void> {
    const others: readonly (readonly [string, () => Promise<unknown>])[] = [
      ['flush', () => this.flush(coll)],
      ['compact', () => this.compact(coll)],
      ['load', () => this.alone(coll, () => this.loadUp(coll))],
      ['partition', () => this.alone(coll, () => this.dropPartition(coll))],
      ['index', () => this.alone(coll, () => this.dropIndex(coll))],
    ];
    const [name, other] = others[this.random.below(others.length)] as (typeof others)[number];
    this.noteDone(`snapshot-amid-${name}`);
    await Promise.all([other(), this.snapshot(coll)]);
  }

  async alone(coll: Coll, work: () => Promise<void>): Promise<void> {
    if (!coll.isBusy && !coll.isGone) await this.busy(coll, work);
  }

  /** A pinned snapshot stays when its collection is dropped, whole, for as long as its pin. */
  protected async outlived(): Promise<void> {
    for (const orphan of this.orphans) {
      const { coll, snap } = orphan;
      const { life, clock } = this.world;
      if (life.isOver || !life.hasBegun) return;
      const nowMs = clock.nowMs();
      const isPinned = [...snap.pins.values()].some(({ surelyUntilMs }) => surelyUntilMs > nowMs);
      if (!isPinned) this.orphans.delete(orphan);
      const isThere = this.recordOf(life, coll, snap.name) !== undefined;
      check(
        'kept',
        !isPinned || isThere,
        () => `pinned snapshot ${snap.name} went with its collection ${coll.name}`,
      );
      if (isThere) await this.contentIsExact(coll, snap);
    }
  }
}
