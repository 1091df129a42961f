/** What goes wrong: crashes, lost nodes, failing stores, damage, jumps of the clock; and collections of garbage in the midst of it. */
import { snapshots } from '../../src/coordinator/snapshot/record.ts';
import type { SegmentId } from '../../src/model/ids.ts';
import type { Coll } from './model.ts';
import { check } from './properties.ts';
import { SwapSteps } from './swap-steps.ts';

/** Virtual seconds in which references that can be read again have to be read. */
const REFERENCES_WITHIN = 120;

export abstract class Chaos extends SwapSteps {
  /** What may go wrong, by weight. */
  readonly #disturbances: readonly (readonly [number, () => Promise<void> | void])[] = [
    [18, () => this.#failing()],
    [6, () => this.world.crash()],
    [9, () => this.world.crashWhileWriting()],
    [12, () => this.world.crashSoon(24)],
    [5, () => this.world.crashAtAwait()],
    [9, () => this.world.failSoon()],
    [4, () => this.world.breakLog()],
    [3, () => this.world.fillLog(100 + this.random.below(2000))],
    [6, () => this.world.setClock()],
    [6, () => this.world.stallNode(1000 + this.random.below(40_000))],
    [14, () => this.world.disturbNode(200 + this.random.below(8000))],
    [9, () => this.world.jump(1000 + this.random.below(this.chance(20) ? 7_200_000 : 90_000))],
    [3, () => this.jumpToAnEnd()],
    [6, () => this.damageMetadata()],
    [6, () => this.collectUnderFaults()],
  ];

  protected async disturb(): Promise<void> {
    const all = this.#disturbances.reduce((sum, [weight]) => sum + weight, 0);
    let draw = this.random.below(all);
    for (const [weight, strike] of this.#disturbances) {
      if (draw < weight) return strike();
      draw -= weight;
    }
  }

  /** Calls and messages fail for a while. */
  async #failing(): Promise<void> {
    const chance = 0.02 + this.random.next() * 0.15;
    const more = { full: chance / 4, torn: chance / 3, delay: 0.3, maxDelayMs: 40 };
    this.world.setChances({ errorBefore: chance, errorAfter: chance / 2, ...more });
    await this.world.sleep(200 + this.random.below(3000));
    this.world.setChances({});
  }

  /** To about the moment at which a pin or a protection ends. */
  protected jumpToAnEnd(): void {
    const { world } = this;
    const nowMs = world.clock.nowMs();
    const ends = [...this.colls]
      .flatMap(({ snapshots }) => [...snapshots.values()])
      .flatMap(({ protectedUntilMs, pins }) => [
        protectedUntilMs,
        ...[...pins.values()].map(({ surelyUntilMs }) => surelyUntilMs),
      ])
      .filter((endMs) => endMs > nowMs && Number.isFinite(endMs));
    const end = this.one(ends);
    if (end === undefined) return;
    world.jump(Math.max(1, end - nowMs + this.random.below(400) - 200));
    world.note(`jump to about ${end}`);
    this.done.set('jump-to-end', (this.done.get('jump-to-end') ?? 0) + 1);
  }

  /** Listings and deletions fail while garbage is collected. */
  protected async collectUnderFaults(): Promise<void> {
    const { life } = this.world;
    const only = new Set(['delete', 'list', 'stat', 'get']);
    this.world.disturbances++;
    life.store.faults.setChances({ errorBefore: 0.25, errorAfter: 0.15, only });
    await this.collect();
    life.store.faults.setChances({});
  }

  /**
   * The metadata of a snapshot is damaged for a while. Whoever starts meanwhile cannot know what the snapshot needs: its collection
   * keeps everything, others are not touched by it, and when the object is whole again nothing is left of the matter.
   */
  protected async damageMetadata(): Promise<void> {
    const { world } = this;
    const coll = this.pick((c) => [...c.snapshots.values()].some((s) => !s.isBusy && s.restores === 0));
    const snap = this.one([...(coll?.snapshots.values() ?? [])].filter((s) => !s.isBusy && s.restores === 0));
    const life = await world.up();
    if (coll === undefined || snap === undefined || coll.isGone || snap.isBusy || snap.restores > 0) return;
    const record = this.recordOf(life, coll, snap.name);
    if (record === undefined) return;
    snap.isBusy = true;
    const { metadataKey } = record;
    const isNeeded = () => world.life.planes.catalog.get(snapshots, record.snapshotId)?.state === 'committed';
    this.keeper.damaged.add(metadataKey);
    const whole = await world.damage(metadataKey);
    this.done.set('damage', (this.done.get('damage') ?? 0) + 1);
    await this.mustBeNoticed(coll, snap, metadataKey);
    const isAsked = this.chance(75);
    if (isAsked) world.crash();
    for (let pass = 0; pass < 3; pass++) {
      await this.collect();
      await this.keeper.kept();
      this.recordOf(await world.up(), coll, snap.name);
      check(
        'kept',
        !isAsked || !isNeeded() || this.#isUnknown(coll),
        () => `what ${coll.name} needs counts as known, and ${metadataKey} is damaged`,
      );
      await world.sleep(this.random.below(4000));
      if (this.chance(30)) world.jump(3_600_000);
    }
    await world.up();
    if (isNeeded()) await world.disks.store.put(metadataKey, whole);
    this.keeper.damaged.delete(metadataKey);
    world.note(`whole again ${metadataKey}`);
    snap.isBusy = false;
    await this.#knownAgain(coll);
  }

  /** A collection of garbage. */
  async collect(): Promise<void> {
    await this.call('gc', undefined, async (life) => {
      await this.world.plant.gc?.(this.world);
      const { collector } = life.planes.service;
      await Promise.all(Array.from({ length: this.chance(30) ? 2 : 1 }, () => collector.pass()));
    });
  }

  /** Whether what snapshots of the collection need is unknown to the system: then it keeps even what no snapshot can name. */
  #isUnknown(coll: Coll): boolean {
    const { life } = this.world;
    return life.hasBegun && life.planes.service.isSegmentReferenced(coll.id, 0n as SegmentId);
  }

  async #knownAgain(coll: Coll): Promise<void> {
    for (let second = 0; !coll.isGone; second++) {
      await this.world.up();
      if (!this.#isUnknown(coll)) return;
      check(
        'ends',
        second < REFERENCES_WITHIN,
        () => `references of ${coll.name} stay unknown with its objects whole`,
      );
      await this.world.sleep(1000);
    }
  }
}
