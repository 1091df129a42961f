/** Seeded steps of several clients at once, each legal for what the model knows; the model is what their answers say. */
import { pins } from '../../src/coordinator/snapshot/record.ts';
import { ExpirySteps } from './expiry-steps.ts';
import { at, type Coll, CROWD_NAMES, NAMES, type Snap, shownIn } from './model.ts';
import { check, keysOf } from './properties.ts';
import { schema } from './rows.ts';

const holdsRows = (snap: Snap): boolean =>
  [...snap.source.keys()].some((key) =>
    [...snap.source.allowed(key, snap.ts)].some((value) => shownIn(snap)(value) !== undefined),
  );

export class Workload extends ExpirySteps {
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
      const compacted = this.chance(20) ? this.pick() : undefined;
      if (this.colls.size < 2) await this.create();
      else if (compacted !== undefined) await this.compact(compacted);
      else await this.define();
      if (this.world.life.hasBegun) await this.world.plant.gc?.(this.world);
      await this.keeper.kept();
    }
  };

  alterer = async (steps: number): Promise<void> => {
    for (let i = 0; i < steps; i++) {
      await this.pause(250);
      const coll = this.pick((c) => !c.isBusy);
      if (this.chance(8)) this.spawn(this.expiry());
      if (coll !== undefined) await this.busy(coll, () => this.alterSomehow(coll));
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

  restorer = async (steps: number): Promise<void> => {
    for (let i = 0; i < steps; i++) {
      await this.pause(300);
      // Most are of collections that were made a moment ago.
      const isWorth = this.chance(20) ? () => true : holdsRows;
      const isOpen = (snap: Snap) => !snap.isBusy && isWorth(snap);
      const coll = this.pick((c) => [...c.snapshots.values()].some(isOpen));
      const snap = this.one([...(coll?.snapshots.values() ?? [])].filter(isOpen));
      if (this.chance(12)) await this.damageSource();
      else if (coll !== undefined && snap !== undefined) {
        const draw = this.random.below(100);
        if (draw < 14) this.spawn(this.drill(coll, snap));
        else if (draw < 32) this.spawn(this.inPlace(coll, snap));
        else await this.restoreSomehow(coll, snap);
      }
      await this.keeper.kept();
    }
  };

  chaos = async (steps: number): Promise<void> => {
    for (let i = 0; i < steps; i++) {
      await this.pause(500);
      await this.disturb();
      await this.keeper.kept();
      await this.outlived();
    }
  };

  /** Faults go on until `isOver`. */
  unrest = async (isOver: () => boolean): Promise<void> => {
    while (!isOver()) await this.chaos(1);
  };

  protected async snapshotStep(coll: Coll): Promise<void> {
    const draw = this.random.below(100);
    const snap = this.one([...coll.snapshots.values()].filter(({ isBusy }) => !isBusy));
    if (draw < 26 || snap === undefined) await this.snapshot(coll);
    else if (draw < 32) await this.snapshotAmid(coll);
    else if (draw < 38) await this.duel(coll);
    else if (draw < 44) await this.snapshotTwo(coll);
    else if (draw < 60) await this.restoreSomehow(coll, snap);
    else if (draw < 83) await this.dropSnapshot(coll, snap);
    else if (draw < 88) await this.pin(coll, snap);
    else if (draw < 95) await this.dropPinned(coll, snap);
    else await this.unpin(coll, snap);
  }

  /** Of two collections at once. */
  protected async snapshotTwo(coll: Coll): Promise<void> {
    const other = this.pick((each) => each !== coll);
    await Promise.all([this.snapshot(coll), ...(other === undefined ? [] : [this.snapshot(other)])]);
  }

  // The end.

  /** With faults gone: everything is read, captured, restored, compared once more; then nothing is left of what is dropped. */
  async teardown(): Promise<void> {
    const { world } = this;
    for (const coll of [...this.colls].slice(0, 3)) {
      await this.loadUp(coll);
      check('ends', await this.isAllRead(coll), () => `${coll.name} cannot be read with faults gone`);
      const flushed = await this.call('flush', coll, (life) => this.ask(life).flush(coll.id));
      if (flushed.is === 'ok') await this.flushed(coll, flushed.value);
      if (this.chance(50)) await this.compactNow(coll);
      const snap = await this.snapshot(coll, 'last');
      check('ends', snap !== undefined, () => `no snapshot of ${coll.name} can be made`);
      if (snap !== undefined && this.colls.size < NAMES.length) await (await this.restore(coll, snap))?.ended;
    }
    if (this.chance(50)) await (await this.damageSource())?.ended;
    if (this.chance(25)) await this.crowd();
    await this.allFollowed();
    for (const coll of this.colls)
      for (const snap of coll.snapshots.values()) {
        await this.contentIsExact(coll, snap);
        await this.accounted(coll, snap);
      }
    for (const coll of this.colls) {
      const [first, second] = coll.snapshots.values();
      if (first !== undefined && second !== undefined) await this.compared(coll, first, second);
    }
    await this.outlived();
    await this.collectAll();
    await this.keeper.clean();
    await this.keeper.kept();
    // From the catalog: the answer to a pin may have been lost, and nobody lists pins yet.
    const pinIds = [...world.life.planes.catalog.all(pins)].map(({ pinId }) => pinId);
    for (const pinId of pinIds)
      await this.call('unpin', undefined, (life) => this.ask(life).unpinSnapshot(pinId));
    for (const { snapshots } of this.colls) for (const snap of snapshots.values()) snap.pins.clear();
    for (const coll of [...this.colls])
      check('ends', await this.drop(coll), () => `${coll.name} cannot be dropped with faults gone`);
    await this.collectAll();
    await this.keeper.clean();
    const left = await keysOf(world.disks);
    check('clean', left.length === 0, () => `objects left when everything is dropped: ${left.join(', ')}`);
    await this.nothingHeld();
    for (const name of [...NAMES.slice(0, 2), ...CROWD_NAMES.slice(0, 2)]) {
      const request = {
        ...at(name),
        schema,
        shardsNum: 1,
        consistencyLevel: 'Bounded' as const,
        properties: {},
      };
      const outcome = await world.call(`create ${name}`, (life) => this.ask(life).createCollection(request));
      check('clean', outcome.is === 'ok', () => `name ${name} is not free when everything is dropped`);
    }
  }

  /** Clients that were begun meanwhile. */
  protected async allFollowed(): Promise<void> {
    for (let followed = 0; followed < this.spawned.length; ) {
      const all = this.spawned.slice();
      await Promise.all(all);
      followed = all.length;
    }
  }

  /** With everything dropped nothing waits, no node is held, no pin is listed, and nobody has to look at anything. */
  protected async nothingHeld(): Promise<void> {
    const coordinator = this.ask(await this.world.up());
    const { waiting, nodes } = coordinator.copySegmentStats().scheduler;
    const held = [
      ...Object.entries(waiting).filter(([, tasks]) => tasks > 0),
      ...nodes.filter(({ usedSlots }) => usedSlots > 0).map(({ nodeId, usedSlots }) => [nodeId, usedSlots]),
      ...coordinator.listPins().map(({ owner }) => ['pin', owner]),
    ].map((each) => each.join(' '));
    check('clean', held.length === 0, () => `held when everything is dropped: ${held.join(', ')}`);
    const { reasons } = coordinator.health();
    check('clean', reasons.length === 0, () => `health has ${reasons.join('; ')} when everything is dropped`);
  }

  protected async collectAll(): Promise<void> {
    for (let pass = 0; pass < 3; pass++) {
      await this.world.sleep(3000);
      this.world.clock.jump(3_600_000);
      await this.collect();
    }
  }
}
