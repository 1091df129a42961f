/** Starts of the server, each over what a crash in the middle of something has left. */
import type { Coll } from '../sim/model.ts';
import { check } from '../sim/properties.ts';
import type { Operation, Script } from './operation.ts';
import { captured } from './rpc-operations.ts';
import type { Stage } from './stage.ts';

/** Up, what snapshots need is known, and what was loaded is read again. */
async function started(s: Stage, colls: Iterable<Coll> = s.colls): Promise<void> {
  await s.world.up();
  for (const coll of colls) {
    if (coll.isGone || coll.restoring !== undefined) continue;
    await s.referencesKnown(coll);
    if (coll.load === 'loaded') await s.readSurely(coll);
  }
}

/** Rows in the log and in files, an index, a snapshot, a pin, and a restore that has ended. */
const start = (s: Stage): Script => {
  const { of, prepare } = captured(s);
  return {
    prepare: async () => {
      await prepare();
      await s.pin(of.coll, of.snap);
      const target = await s.surely(s.beginWhole(of.coll, of.snap), 'a restore');
      await s.followed(target, of.snap);
      await s.writes(of.coll, 5);
    },
    run: async () => {
      s.world.crash();
      await started(s);
    },
    after: () => started(s),
  };
};

/** The process dies in the middle of `what`, after the first call like `strike`; calls of the start after it count. */
const startAfter =
  (
    strike: RegExp,
    steps: {
      readonly prepare?: (s: Stage, of: ReturnType<typeof captured>['of']) => Promise<void>;
      readonly what: (s: Stage, of: ReturnType<typeof captured>['of']) => Promise<void>;
      /** With everything over: `what`, once more if need be, is done. */
      readonly done: (s: Stage, of: ReturnType<typeof captured>['of']) => Promise<void>;
    },
  ) =>
  (s: Stage): Script => {
    const { of, prepare } = captured(s);
    return {
      prepare: async () => {
        await prepare();
        await steps.prepare?.(s, of);
      },
      run: async () => {
        s.trigger.strike(strike);
        await steps.what(s, of);
        check('ends', s.trigger.hasStruck, () => `no call is like ${strike}`);
        await started(s);
      },
      after: async () => {
        await steps.done(s, of);
        await started(s);
      },
    };
  };

const hasStruck = (s: Stage): boolean => s.trigger.hasStruck;

const halfCreated = startAfter(/^store put snapshots\/\d+\/metadata/, {
  what: async (s, { coll }) => {
    await s.snapshot(coll, 's2');
    await s.removed();
  },
  done: async (s, { coll }) => {
    check('exact', !coll.snapshots.has('s2'), () => 'a half-made snapshot is there after the start');
    await s.snapshotSurely(coll, 's2');
  },
});

const halfDropped = startAfter(/^catalog commit snapshot\//, {
  what: async (s, { coll, snap }) => {
    await s.dropSnapshot(coll, snap);
    await s.removed();
  },
  done: async (s, { coll, snap }) => {
    if (coll.snapshots.has('s1')) await s.dropSnapshot(coll, snap);
    check('ends', !coll.snapshots.has('s1'), () => 'the snapshot cannot be dropped');
  },
});

const halfDroppedCollection = startAfter(/^catalog commit .*collection\//, {
  prepare: async (s, { coll }) => {
    await s.snapshotSurely(coll, 's2');
    // Others are there, too, and stay.
    await s.filled('elk', 1);
  },
  what: async (s, { coll }) => {
    await s.drop(coll);
    await s.removed();
  },
  done: async (s, { coll }) => {
    if (!coll.isGone) await s.drop(coll);
    check('ends', coll.isGone, () => 'the collection cannot be dropped');
  },
});

/** `strike` at some moment of a restore: it goes on where it stood. */
const halfRestored =
  (strike: RegExp) =>
  (s: Stage): Script => {
    let target: Coll | undefined;
    return startAfter(strike, {
      what: async (_, { coll, snap }) => {
        target = await s.beginWhole(coll, snap);
        if (target === undefined) return;
        await s.followed(target, snap);
        await s.tidied();
      },
      done: async (_, { coll, snap }) => {
        if (target === undefined) {
          target = await s.surely(s.beginWhole(coll, snap), 'a restore');
          await s.followed(target, snap);
        }
        check('ends', !target.isGone, () => 'the restore has failed');
      },
    })(s);
  };

const halfFlushed = startAfter(/^node-store put segments\//, {
  prepare: (s, { coll }) => s.writes(coll, 6),
  what: (s, { coll }) => s.flushNow(coll),
  done: (s, { coll }) => s.flushNow(coll),
});

/** The output is written, and nothing of it is committed. */
const halfCompacted = startAfter(/^node-store put segments\//, {
  prepare: async (s, { coll }) => {
    await s.writes(coll, 4);
    await s.flushNow(coll);
  },
  what: async (s, { coll }) => {
    await s.call('compact', coll, (life) =>
      s.ask(life).compact({ collectionId: coll.id, isDeletesOnly: false }),
    );
    await s.quiet();
  },
  done: async (s, { coll }) => {
    const again = await s.call('compact', coll, (life) =>
      s.ask(life).compact({ collectionId: coll.id, isDeletesOnly: false }),
    );
    s.is(again, 'a compaction');
    await s.quiet();
  },
});

/** The process dies right after a restore was ended before its time. */
const halfCleared = (s: Stage): Script => {
  const { of, prepare } = captured(s);
  let target: Coll;
  return {
    prepare: async () => {
      await prepare();
      s.holdNodes();
      target = await s.surely(s.beginWhole(of.coll, of.snap), 'a restore');
      target.mayFail.push(/^cancelled$/);
      await s.until(() => s.jobs().some(({ state }) => state === 'executing'), 'the restore copies', 5);
    },
    run: async () => {
      const { jobId } = s.only(s.jobs());
      s.trigger.strike(/^catalog commit .*copy-job\//);
      await s.world.call('cancel', (life) => s.ask(life).cancelRestore(jobId));
      await s.followed(target, of.snap);
      await s.tidied();
      check('ends', s.trigger.hasStruck, () => 'no job was ended');
      await started(s);
    },
    after: async () => {
      const again = target.isGone ? await s.surely(s.beginWhole(of.coll, of.snap), 'a restore') : undefined;
      if (again !== undefined) await s.followed(again, of.snap);
      check('ends', again?.isGone !== true, () => 'the restore has failed');
    },
  };
};

/** Every step of a start, whatever there is for it to do. */
const everyStep = [
  'recover:identify',
  'recover:streamingNode',
  'recover:databases',
  'recover:drops',
  'recover:snapshots',
  'recover:compactor',
  'recover:segments',
  'recover:load',
  'recover:builder',
  'recover:references',
];

const isStarting = (s: Stage): boolean => hasStruck(s) && !s.world.life.hasBegun;
/** The start, and what is left of the restore. */
const isGoingOn = (s: Stage): boolean =>
  hasStruck(s) &&
  (!s.world.life.hasBegun ||
    s.jobs().some((job) => (job.state !== 'completed' && job.state !== 'failed') || !job.isTidy));

export const startOperations: readonly Operation[] = [
  {
    name: 'start',
    make: start,
    during: (s) => !s.world.life.hasBegun,
    covers: [...everyStep, 'loop:references'],
    reaches: [/^catalog range/, /^log replay/, /^store get identity/, /^store get snapshots\//],
  },
  {
    name: 'start: what was loaded is loaded again',
    make: start,
    during: (s) => s.world.life.hasBegun,
    covers: ['loop:load', 'recover:load'],
    reaches: [/^store get(Range)? segments\//],
  },
  {
    name: 'start after half a CreateSnapshot',
    make: halfCreated,
    during: isStarting,
    covers: ['recover:collector', 'recover:removal'],
    reaches: [/^store delete snapshots\//, /^catalog commit/],
  },
  {
    name: 'start after half a DropSnapshot',
    make: halfDropped,
    during: isStarting,
    covers: ['recover:removal'],
    reaches: [/^store delete snapshots\//, /^catalog commit/],
  },
  {
    name: 'start after half a drop of a collection',
    make: halfDroppedCollection,
    during: isStarting,
    covers: ['recover:drops', 'recover:removal'],
    reaches: [/^catalog commit .*partition\//],
  },
  {
    name: 'start after half a restore: its tasks',
    make: halfRestored(/^catalog commit .*copy-task\//),
    during: isGoingOn,
    covers: ['recover:inspector'],
    reaches: [/^node create copy-segment/],
  },
  {
    name: 'start after half a restore: its files',
    make: halfRestored(/^node-store copy/),
    during: isGoingOn,
    covers: ['recover:inspector'],
    reaches: [/^node create copy-segment/, /^node-store copy/],
  },
  {
    name: 'start after half a clearing of a failed restore',
    make: halfCleared,
    during: isGoingOn,
    covers: ['recover:inspector'],
    reaches: [/^catalog commit .*copy-job\//],
  },
  {
    name: 'start after half a flush',
    make: halfFlushed,
    during: isStarting,
    covers: ['recover:segments', 'recover:streamingNode'],
    reaches: [/^log replay/],
  },
  {
    name: 'start after half a compaction',
    make: halfCompacted,
    during: isStarting,
    covers: ['recover:compactor'],
    reaches: [/^log replay/, /^catalog commit/],
  },
];
