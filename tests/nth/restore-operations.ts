/** What a restore goes through behind its call, and how it ends. */
import { type CopyJob, copyJobs } from '../../src/coordinator/copy-segment/job.ts';
import { allFiles } from '../../src/coordinator/snapshot/segment.ts';
import { segments } from '../../src/coordinator/tables.ts';
import type { JobId } from '../../src/model/ids.ts';
import { at, type Coll, indexOf, shownIn } from '../sim/model.ts';
import { check } from '../sim/properties.ts';
import type { Operation, Script } from './operation.ts';
import { captured } from './rpc-operations.ts';
import type { Stage } from './stage.ts';

/** A restore to its very end; then once more, with the fault over, when it was never begun. */
const restored =
  (begin: (s: Stage, of: ReturnType<typeof captured>['of']) => Promise<Coll | undefined>) =>
  (s: Stage): Script => {
    const { of, prepare } = captured(s);
    let target: Coll | undefined;
    const once = async () => {
      target = await begin(s, of);
      if (target === undefined) return;
      await s.followed(target, of.snap);
      await s.tidied();
    };
    return {
      prepare,
      run: once,
      after: async () => {
        if (target === undefined) await once();
        check('ends', target?.isGone === false, () => 'the restore has failed');
      },
    };
  };

const whole = restored((s, { coll, snap }) => s.beginWhole(coll, snap));
const part = restored((s, { coll, snap }) => s.beginPart(coll, snap, snap.partitions.at(-1) ?? ''));

const stateIs =
  (...states: readonly CopyJob['state'][]) =>
  (s: Stage) =>
    s.jobs().some(({ state }) => states.includes(state));
const isUntidy = (s: Stage) => s.jobs().some((job) => job.state === 'completed' && !job.isTidy);

/** An object that only the snapshot names is damaged: the restore fails, names it, leaves nothing, and succeeds when it is whole again. */
const failing = (s: Stage): Script => {
  const { of, prepare } = captured(s);
  let key = '';
  let bytes: Uint8Array = new Uint8Array();
  let target: Coll | undefined;
  const once = async () => {
    target = await s.beginWhole(of.coll, of.snap);
    if (target === undefined) return;
    target.mayFail.push(new RegExp(key.replaceAll('.', '\\.')));
    await s.followed(target, of.snap);
    await s.tidied();
  };
  return {
    prepare: async () => {
      await prepare();
      key = await onlyInSnapshot(s, of);
      s.keeper.damaged.add(key);
      bytes = await s.world.damage(key);
    },
    run: once,
    after: async () => {
      if (target === undefined) await once();
      check('exact', target?.isGone === true, () => `a restore from the damaged '${key}' is completed`);
      await s.world.disks.store.put(key, bytes);
      s.keeper.damaged.delete(key);
      const again = await s.surely(s.beginWhole(of.coll, of.snap), 'a restore to the same name');
      await s.followed(again, of.snap);
      check('ends', !again.isGone, () => 'the restore has failed, and the object is whole again');
    },
  };
};

/** Compacts until it has replaced a segment of the snapshot. */
async function onlyInSnapshot(s: Stage, { coll, snap }: ReturnType<typeof captured>['of']): Promise<string> {
  for (let tries = 0; tries < 20; tries++) {
    await s.writes(coll, 4);
    await s.flushNow(coll);
    await (await s.compact(coll))?.ended;
    const { life } = s.world;
    const record = s.recordOf(life, coll, snap.name);
    if (record === undefined) break;
    const held = (await s.keeper.snapshotFiles(record)).segments;
    const gone = held.find(
      ({ segmentId }) => life.planes.catalog.get(segments, segmentId)?.state !== 'flushed',
    );
    const [file] = gone === undefined ? [] : allFiles(gone);
    if (file !== undefined) return file.key;
  }
  throw new Error('no compaction replaces a segment of the snapshot');
}

const cancelled = (s: Stage): Script => {
  const { of, prepare } = captured(s);
  let target: Coll;
  return {
    prepare: async () => {
      await prepare();
      s.holdNodes();
      target = await s.surely(s.beginWhole(of.coll, of.snap), 'a restore');
      await s.until(() => stateIs('executing')(s), 'the restore copies', 5);
    },
    run: async () => {
      const followed = s.followed(target, of.snap);
      const asked = s.cancel(target, target.restoring as JobId, 1);
      // It waits until they have let go of what they copy.
      await s.world.sleep(500);
      s.letNodesGoOn();
      await asked;
      await followed;
      await s.tidied();
    },
    after: async () => {
      if (!target.isGone) return;
      const again = await s.surely(s.beginWhole(of.coll, of.snap), 'a restore to the same name');
      await s.followed(again, of.snap);
      check('ends', !again.isGone, () => 'the restore has failed');
    },
  };
};

const SHORT_TIMEOUT_MS = 15_000;
const timedOut = (s: Stage): Script => {
  const { of, prepare } = captured(s);
  let target: Coll;
  return {
    prepare: async () => {
      await prepare();
      s.holdNodes();
      target = await s.surely(s.beginWhole(of.coll, of.snap), 'a restore');
      target.mayFail.push(/^timeout/);
      await s.world.sleep(SHORT_TIMEOUT_MS - 3000);
    },
    run: async () => {
      await s.until(
        () => s.jobs().every(({ state }) => state === 'failed' || state === 'completed'),
        'the restore ends',
      );
      s.letNodesGoOn();
      await s.followed(target, of.snap);
      await s.tidied();
    },
    after: async () => {
      if (!target.isGone) return;
      const again = await s.surely(s.beginWhole(of.coll, of.snap), 'a restore to the same name');
      await s.followed(again, of.snap);
      check('ends', !again.isGone, () => 'the restore has failed');
    },
  };
};

const RETENTION_MS = 4000;
const forgotten = (s: Stage): Script => {
  const { of, prepare } = captured(s);
  let target: Coll;
  return {
    prepare: async () => {
      await prepare();
      target = await s.surely(s.beginWhole(of.coll, of.snap), 'a restore');
      await s.until(() => stateIs('completed')(s), 'the restore is completed', 20);
      await s.tidied();
    },
    run: async () => {
      await s.until(() => s.jobs().length === 0, 'the ended job is forgotten');
      await s.followed(target, of.snap);
    },
    after: () => {
      check(
        'ends',
        !target.isGone && s.jobs().length === 0,
        () => 'the job is not forgotten, or its target is',
      );
      return Promise.resolve();
    },
  };
};

const drilled = (s: Stage): Script => {
  const { of, prepare } = captured(s);
  const isDone = () => (s.done.get('drilled') ?? 0) > 0;
  const once = async () => {
    // Nobody cancels it, and its copy is not damaged.
    s.luck = false;
    await s.drill(of.coll, of.snap);
    s.luck = undefined;
    await s.tidied();
  };
  return {
    prepare,
    run: once,
    after: async () => {
      if (!isDone()) await once();
      check('ends', isDone(), () => 'no drill says what it has found');
    },
  };
};

/** The rows of `s1` take the place of what came after it. */
class Swap {
  readonly of: ReturnType<typeof captured>['of'];
  readonly #s: Stage;
  readonly #prepare: () => Promise<void>;
  fresh: Coll | undefined;
  jobId: JobId | undefined;

  constructor(s: Stage) {
    this.#s = s;
    const { of, prepare } = captured(s);
    this.of = of;
    this.#prepare = prepare;
  }

  readonly prepare = async (): Promise<void> => {
    await this.#prepare();
    this.of.coll.isBusy = true;
  };

  /** To its end, when it is begun. */
  readonly swap = async (): Promise<void> => {
    const s = this.#s;
    const { coll, snap } = this.of;
    const outcome = await s.call('in-place', coll, (life) =>
      s.ask(life).restoreInPlace({ at: at(coll.name), name: snap.name }),
    );
    await s.world.up();
    this.jobId = outcome.is === 'ok' ? outcome.value : this.#job()?.jobId;
    check('exact', outcome.is !== 'ok' || this.#job() !== undefined, () => 'its job is not there');
    if (this.jobId === undefined) return;
    await s.tidied();
  };

  #job(): CopyJob | undefined {
    return this.#s.jobs().find(({ purpose }) => purpose?.kind === 'in-place');
  }

  /** Begins it anew when it was never begun; it must have been completed; the model follows. */
  readonly swapped = async (): Promise<void> => {
    const s = this.#s;
    if (this.jobId === undefined) await this.swap();
    const job = this.#job();
    const state = job?.state === 'failed' ? `failed: ${job.reason}` : job?.state;
    check('ends', state === 'completed', () => `the restore in place is ${state}`);
    if (job?.purpose?.kind !== 'in-place') return;
    const { coll: old, snap } = this.of;
    const { name } = old;
    old.name = job.purpose.keptName;
    const rows = snap.source.at(snap.ts, shownIn(snap));
    this.fresh = s.model(name, job.collectionId, rows, snap.partitions);
    this.fresh.index = indexOf(s.world.life, this.fresh.id);
    this.fresh.load = 'loaded';
    check('whole', (await s.idOf(name)) === this.fresh.id, () => `${name} is not what was restored`);
    for (const each of [this.fresh, old]) await s.readSurely(each);
  };

  readonly settle = async (decision: 'confirm' | 'revert'): Promise<boolean> => {
    const s = this.#s;
    const { jobId } = this;
    if (jobId === undefined) return false;
    const outcome = await s.call('settle', undefined, (life) => s.ask(life).settleSwap(jobId, decision));
    return outcome.is === 'ok';
  };

  readonly settled = async (decision: 'confirm' | 'revert'): Promise<void> => {
    const s = this.#s;
    const { coll: old } = this.of;
    const { fresh } = this;
    if (fresh === undefined) return;
    const { name } = fresh;
    check('ends', await this.settle(decision), () => `${decision} fails with the fault over`);
    const [goes, stays] = decision === 'confirm' ? [old, fresh] : [fresh, old];
    s.forget(goes);
    stays.name = name;
    s.own(name);
    stays.isBusy = false;
    check('whole', (await s.idOf(name)) === stays.id, () => `${name} is another after ${decision}`);
    await s.readSurely(stays);
    const job = s.world.life.planes.catalog.get(copyJobs, this.jobId as JobId);
    const stage = job?.purpose?.kind === 'in-place' ? job.purpose.stage : undefined;
    check('ends', stage === `${decision === 'confirm' ? 'confirmed' : 'reverted'}`, () => `it is ${stage}`);
  };
}

const inPlace = (s: Stage): Script => {
  const swap = new Swap(s);
  return {
    prepare: swap.prepare,
    run: swap.swap,
    after: async () => {
      await swap.swapped();
      await swap.settled('confirm');
    },
  };
};

const settling =
  (decision: 'confirm' | 'revert') =>
  (s: Stage): Script => {
    const swap = new Swap(s);
    return {
      prepare: async () => {
        await swap.prepare();
        await swap.swap();
        await swap.swapped();
        // What of the two is called what is open while it is decided.
        if (swap.fresh !== undefined) swap.fresh.isBusy = true;
      },
      run: async () => void (await swap.settle(decision)),
      after: () => swap.settled(decision),
    };
  };

const physical = { copyMode: 'physical' } as const;

export const restoreOperations: readonly Operation[] = [
  {
    name: 'restore: targets and tasks are written',
    make: whole,
    during: stateIs('pending'),
    covers: ['loop:checker'],
    reaches: [/^catalog commit .*copy-task\//],
  },
  {
    name: 'restore: tasks are dispatched and copied',
    make: whole,
    during: stateIs('executing'),
    covers: ['loop:inspector', 'loop:scheduler', 'node:copy-segment'],
    reaches: [/^node create copy-segment/, /^node-store copy/, /^catalog commit .*segment\//],
  },
  {
    name: 'restore: what is completed is tidied',
    make: whole,
    during: isUntidy,
    covers: ['loop:checker'],
    reaches: [/^catalog commit/],
  },
  {
    name: 'restore: one partition, by bytes',
    make: part,
    shape: physical,
    covers: ['restore of partitions'],
    reaches: [/^node-store copy/],
  },
  {
    name: 'restore: one that fails is cleared away',
    make: failing,
    during: stateIs('executing', 'failed'),
    covers: ['loop:inspector'],
    reaches: [/^store list segments\//, /^catalog commit .*copy-job\//],
  },
  {
    name: 'restore: one that is cancelled is cleared away',
    make: cancelled,
    covers: ['door:cancelRestore'],
    reaches: [/^node drop/, /^catalog commit .*copy-job\//],
  },
  {
    name: 'restore: one without progress times out',
    make: timedOut,
    shape: { jobTimeoutMs: SHORT_TIMEOUT_MS },
    covers: ['loop:checker'],
    reaches: [/^catalog commit .*copy-job\//],
  },
  {
    name: 'restore: an ended one is forgotten',
    make: forgotten,
    shape: { jobRetentionMs: RETENTION_MS },
    during: (s) => s.jobs().length > 0,
    covers: ['retention of jobs'],
    reaches: [/^catalog commit .*copy-job\//],
  },
  {
    name: 'restore in place: rows are swapped',
    make: inPlace,
    covers: ['door:restoreInPlace', 'purpose:in-place', 'restore endings'],
    reaches: [/^catalog commit .*collection\//, /^store get/],
  },
  {
    name: 'restore in place: confirm',
    make: settling('confirm'),
    covers: ['door:settleSwap'],
    reaches: [/^catalog commit .*copy-job\//],
  },
  {
    name: 'restore in place: revert',
    make: settling('revert'),
    covers: ['door:settleSwap'],
    reaches: [/^catalog commit .*copy-job\//],
  },
  {
    name: 'restore drill',
    make: drilled,
    covers: ['door:drillRestore', 'purpose:drill', 'restore endings'],
    reaches: [/^catalog commit .*copy-job\//, /^node-store copy/],
  },
];
