/** Seeded steps of several clients at once, each legal for what the model knows; the model is what their answers say. */
import { pins, snapshots } from '../../src/coordinator/snapshot/record.ts';
import { at, type Coll, NAMES } from './model.ts';
import { check, keysOf } from './properties.ts';
import { RestoreSteps } from './restore-steps.ts';
import { schema } from './rows.ts';

export class Workload extends RestoreSteps {
  writer = async (steps: number): Promise<void> => {
    for (let i = 0; i < steps; i++) {
      await this.pause(60);
      const coll = this.pick((c) => !c.isPaused);
      if (coll !== undefined) await this.write(coll);
    }
  };

  reader = async (steps: number): Promise<void> => {
    for (let i = 0; i < steps; i++) {
      await this.pause(80);
      const coll = this.pick((c) => c.load === 'loaded');
      if (coll !== undefined) await this.readSomehow(coll);
    }
  };

  definer = async (steps: number): Promise<void> => {
    for (let i = 0; i < steps; i++) {
      await this.pause(120);
      if (this.colls.size < 2) await this.create();
      else await this.define();
      if (this.world.life.hasBegun) await this.world.plant.gc?.(this.world);
      await this.keeper.kept();
    }
  };

  keeperOfSnapshots = async (steps: number): Promise<void> => {
    for (let i = 0; i < steps; i++) {
      await this.pause(120);
      const coll = this.pick();
      if (coll !== undefined) await this.snapshotStep(coll);
      await this.keeper.kept();
    }
  };

  chaos = async (steps: number): Promise<void> => {
    for (let i = 0; i < steps; i++) {
      await this.pause(500);
      await this.disturb();
      await this.keeper.kept();
    }
  };

  protected async snapshotStep(coll: Coll): Promise<void> {
    const draw = this.random.below(100);
    const snap = this.one([...coll.snapshots.values()].filter(({ isBusy }) => !isBusy));
    if (draw < 32 || snap === undefined) await this.snapshot(coll);
    else if (draw < 38) await this.duel(coll);
    else if (draw < 44) await this.snapshotTwo(coll);
    else if (draw < 72) await this.restore(coll, snap);
    else if (draw < 85) await this.dropSnapshot(coll, snap);
    else if (draw < 93) await this.pin(coll, snap);
    else await this.unpin(coll, snap);
  }

  /** Of two collections at once. */
  protected async snapshotTwo(coll: Coll): Promise<void> {
    const other = this.pick((each) => each !== coll);
    await Promise.all([this.snapshot(coll), ...(other === undefined ? [] : [this.snapshot(other)])]);
  }

  protected async disturb(): Promise<void> {
    const { world } = this;
    const draw = this.random.below(100);
    if (draw < 30) {
      const chance = 0.02 + this.random.next() * 0.15;
      world.setChances({ errorBefore: chance, errorAfter: chance / 2, delay: 0.3, maxDelayMs: 40 });
      await world.sleep(200 + this.random.below(3000));
      world.setChances({});
    } else if (draw < 42) world.crash();
    else if (draw < 57) world.crashSoon(60);
    else if (draw < 72) await world.disturbNode(200 + this.random.below(8000));
    else if (draw < 84) {
      const ms = 1000 + this.random.below(this.chance(20) ? 7_200_000 : 90_000);
      world.note(`jump ${ms}`);
      world.disturbances++;
      world.clock.jump(ms);
    } else if (draw < 88) this.jumpToAnEnd();
    else if (draw < 94) await this.damageMetadata();
    else await this.collectUnderFaults();
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
    world.disturbances++;
    world.clock.jump(Math.max(1, end - nowMs + this.random.below(400) - 200));
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
    if (coll === undefined || snap === undefined || coll.isGone) return;
    const record = this.recordOf(life, coll, snap.name);
    if (record === undefined) return;
    snap.isBusy = true;
    const { metadataKey } = record;
    const isNeeded = () => world.life.planes.catalog.get(snapshots, record.snapshotId)?.state === 'committed';
    const whole = await world.damage(metadataKey);
    this.done.set('damage', (this.done.get('damage') ?? 0) + 1);
    if (this.chance(75)) world.crash();
    for (let pass = 0; pass < 3; pass++) {
      await this.collect();
      await this.keeper.kept();
      this.recordOf(await world.up(), coll, snap.name);
      await world.sleep(this.random.below(4000));
      if (this.chance(30)) world.clock.jump(3_600_000);
    }
    await world.up();
    if (isNeeded()) await world.disks.store.put(metadataKey, whole);
    world.note(`whole again ${metadataKey}`);
    snap.isBusy = false;
  }

  /** A collection of garbage. */
  async collect(): Promise<void> {
    await this.call('gc', undefined, async (life) => {
      await this.world.plant.gc?.(this.world);
      const { collector } = life.planes.service;
      await Promise.all(Array.from({ length: this.chance(30) ? 2 : 1 }, () => collector.pass()));
    });
  }

  // The end.

  /** With faults gone: everything is read, captured, restored, compared once more; then nothing is left of what is dropped. */
  async teardown(): Promise<void> {
    const { world } = this;
    for (const coll of [...this.colls].slice(0, 3)) {
      await this.loadUp(coll);
      check('ends', await this.isAllRead(coll), () => `${coll.name} cannot be read with faults gone`);
      const snap = await this.snapshot(coll, 'last');
      check('ends', snap !== undefined, () => `no snapshot of ${coll.name} can be made`);
      if (snap !== undefined && this.colls.size < NAMES.length) await await this.restore(coll, snap);
    }
    await this.collectAll();
    await this.keeper.clean();
    await this.keeper.kept();
    // From the catalog: the answer to a pin may have been lost, and nobody lists pins yet.
    const pinIds = [...world.life.planes.catalog.all(pins)].map(({ pinId }) => pinId);
    for (const pinId of pinIds)
      await this.call('unpin', undefined, (life) => this.ask(life).unpinSnapshot(pinId));
    for (const coll of [...this.colls])
      check('ends', await this.drop(coll), () => `${coll.name} cannot be dropped with faults gone`);
    await this.collectAll();
    await this.keeper.clean();
    const left = await keysOf(world.disks);
    check('clean', left.length === 0, () => `objects left when everything is dropped: ${left.join(', ')}`);
    for (const name of NAMES.slice(0, 2)) {
      check('clean', !this.names.has(name), () => `name ${name} is not free`);
      const request = {
        ...at(name),
        schema,
        shardsNum: 1,
        consistencyLevel: 'Bounded' as const,
        properties: {},
      };
      await this.call('create', undefined, (life) => this.ask(life).createCollection(request));
    }
  }

  protected async collectAll(): Promise<void> {
    for (let pass = 0; pass < 3; pass++) {
      await this.world.sleep(3000);
      this.world.clock.jump(3_600_000);
      await this.collect();
    }
  }
}
