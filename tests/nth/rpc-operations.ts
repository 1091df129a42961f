/** The twelve snapshot calls of the wire, each up to its answer. */
import { pins } from '../../src/coordinator/snapshot/record.ts';
import { filterOf } from '../../src/expr/check.ts';
import { filterOfKeys, primaryKeysOf, valuesOf } from '../../src/expr/primary-keys.ts';
import type { PinId } from '../../src/model/ids.ts';
import { MilvusServer } from '../../src/proxy/server.ts';
import { silentLog } from '../../src/support/log.ts';
import { systemClock } from '../../src/support/system-clock.ts';
import { RawClient } from '../e2e/raw-client.ts';
import { type Coll, noSnap, type Snap } from '../sim/model.ts';
import { check } from '../sim/properties.ts';
import type { Outcome } from '../sim/world.ts';
import type { Operation, Script } from './operation.ts';
import type { Stage } from './stage.ts';

const nobody: Snap = { ...noSnap, name: '', source: undefined as never, pins: new Map(), isBusy: false };

/** A collection and a snapshot of it, and after it more rows. */
export interface Captured {
  coll: Coll;
  snap: Snap;
}

export const captured = (s: Stage): { readonly of: Captured; readonly prepare: () => Promise<void> } => {
  const of: Captured = { coll: undefined as never, snap: nobody };
  return {
    of,
    prepare: async () => {
      of.coll = await s.filled();
      of.snap = await s.snapshotSurely(of.coll);
      await s.writes(of.coll, 3);
      await s.quiet();
    },
  };
};

const createSnapshot = (s: Stage): Script => {
  let coll: Coll;
  return {
    prepare: async () => {
      coll = await s.filled();
    },
    run: async () => void (await s.snapshot(coll, 's1')),
    after: async () => {
      if (!coll.snapshots.has('s1')) await s.snapshotSurely(coll);
    },
  };
};

const dropSnapshot = (s: Stage): Script => {
  const { of, prepare } = captured(s);
  return {
    prepare,
    run: async () => {
      await s.dropSnapshot(of.coll, of.snap);
      await s.removed();
    },
    after: async () => {
      if (of.coll.snapshots.has('s1')) await s.dropSnapshot(of.coll, of.snap);
      check('ends', !of.coll.snapshots.has('s1'), () => 'the snapshot cannot be dropped');
      await s.removed();
      await s.snapshotSurely(of.coll);
    },
  };
};

const pinSnapshot = (s: Stage): Script => {
  const { of, prepare } = captured(s);
  return {
    prepare,
    run: () => s.pin(of.coll, of.snap),
    after: async () => {
      if (of.snap.pins.size === 0) await s.pin(of.coll, of.snap);
      check('ends', of.snap.pins.size > 0, () => 'the snapshot cannot be pinned');
      await s.dropSnapshot(of.coll, of.snap);
      check('kept', of.coll.snapshots.has('s1'), () => 'a pinned snapshot goes');
    },
  };
};

const unpinSnapshot = (s: Stage): Script => {
  const { of, prepare } = captured(s);
  let pinId = 0n as PinId;
  const unpin = () => s.call('unpin', of.coll, (life) => s.ask(life).unpinSnapshot(pinId));
  return {
    prepare: async () => {
      await prepare();
      await s.pin(of.coll, of.snap);
      pinId = s.only(of.snap.pins.keys());
    },
    run: async () => void (await unpin()),
    after: async () => {
      s.is(await unpin(), 'a pin is taken back, or is no more');
      of.snap.pins.clear();
      const { catalog } = s.world.life.planes;
      check('clean', catalog.count(pins) === 0, () => 'the pin is left');
      await s.dropSnapshot(of.coll, of.snap);
      check('ends', !of.coll.snapshots.has('s1'), () => 'the snapshot cannot be dropped without its pin');
    },
  };
};

const restoreSnapshot = (s: Stage): Script => {
  const { of, prepare } = captured(s);
  let target: Coll | undefined;
  return {
    prepare,
    run: async () => {
      target = await s.beginWhole(of.coll, of.snap);
    },
    after: async () => {
      target ??= await s.surely(s.beginWhole(of.coll, of.snap), 'a restore');
      await s.followed(target, of.snap);
      check('ends', !target.isGone, () => 'the restore has failed');
      await s.tidied();
    },
  };
};

/** `ask` answers what is wrong. */
const looks =
  (ask: (s: Stage, of: Captured) => Promise<Outcome<string>>) =>
  (s: Stage): Script => {
    const { of, prepare } = captured(s);
    const once = async () => {
      const wrong = s.is(await ask(s, of), 'a call that only looks');
      check('exact', wrong === '', () => wrong);
    };
    return {
      prepare: async () => {
        await prepare();
        const target = await s.surely(s.beginWhole(of.coll, of.snap), 'a restore');
        await s.followed(target, of.snap);
      },
      run: once,
      after: once,
    };
  };

const listSnapshots = looks((s, { coll }) =>
  s.call('list', coll, async (life) => {
    const { snapshots } = await s.rpc(life, 'ListSnapshots', { collection_name: coll.name });
    return snapshots.join() === 's1' ? '' : `snapshots are ${snapshots.join()}`;
  }),
);

const describeSnapshot = looks((s, { coll, snap }) =>
  s.call('describe', coll, async (life) => {
    const request = { collection_name: coll.name, name: snap.name };
    const { create_ts, collection_name } = await s.rpc(life, 'DescribeSnapshot', request);
    return create_ts === snap.ts && collection_name === coll.name ? '' : `it is of ${create_ts}`;
  }),
);

const getRestoreState = looks((s, { coll }) =>
  s.call('state', coll, async (life) => {
    const [job] = s.jobs();
    const { info } = await s.rpc(life, 'GetRestoreSnapshotState', { job_id: job?.jobId ?? 0n });
    return info?.progress === 100 && info.collection_name === 'bee' ? '' : `progress ${info?.progress}`;
  }),
);

const listRestoreJobs = looks((s, { coll }) =>
  s.call('jobs', coll, async (life) => {
    const { jobs } = await s.rpc(life, 'ListRestoreSnapshotJobs', {});
    return jobs.length === 1 && jobs[0]?.progress === 100 ? '' : `${jobs.length} jobs`;
  }),
);

const UNIMPLEMENTED = 12;

/** Asked over a real connection: refused by name, and nothing is touched. */
const refused =
  (rpc: string) =>
  (s: Stage): Script => {
    const { prepare } = captured(s);
    const ask = async () => {
      const { planes } = s.world.life;
      const filters = { check: filterOf, ofKeys: filterOfKeys, primaryKeysOf, valuesOf };
      const server = await MilvusServer.listen({
        ...planes,
        filters,
        clock: systemClock,
        log: silentLog,
        port: 0,
      });
      const client = new RawClient(`127.0.0.1:${server.port}`);
      try {
        const answered = await client.bytes(rpc, Buffer.alloc(0)).then(
          () => 'an answer',
          (error: { readonly code?: number; readonly details?: string }) =>
            error.code === UNIMPLEMENTED && error.details?.includes(rpc) ? '' : String(error),
        );
        check('exact', answered === '', () => `${rpc} is not refused by name: ${answered}`);
      } finally {
        client.close();
        await server.stop();
      }
    };
    return {
      prepare,
      run: ask,
      after: () => {
        check('clean', s.trigger.calls.length === 0, () => `${rpc} touches ${s.trigger.calls.join('; ')}`);
        return Promise.resolve();
      },
    };
  };

/** Not in the descriptor of the official client yet. */
export const NEWER_RPCS = ['GetExportSnapshotState'];

export const rpcOperations: readonly Operation[] = [
  {
    name: 'CreateSnapshot',
    make: createSnapshot,
    covers: ['rpc:CreateSnapshot', 'door:createSnapshot'],
    reaches: [/^store put snapshots\//, /^catalog commit/, /^node create/],
  },
  {
    name: 'DropSnapshot',
    make: dropSnapshot,
    covers: ['rpc:DropSnapshot', 'door:dropSnapshot', 'removal of dropped snapshots'],
    reaches: [/^store delete snapshots\//, /^catalog commit/],
  },
  {
    name: 'ListSnapshots',
    make: listSnapshots,
    covers: ['rpc:ListSnapshots', 'door:listSnapshots'],
    isShort: true,
  },
  {
    name: 'DescribeSnapshot',
    make: describeSnapshot,
    covers: ['rpc:DescribeSnapshot', 'door:describeSnapshot'],
    isShort: true,
  },
  {
    name: 'RestoreSnapshot',
    make: restoreSnapshot,
    covers: ['rpc:RestoreSnapshot', 'door:restoreSnapshot'],
    reaches: [/^catalog commit/, /^store get snapshots\//],
  },
  {
    name: 'GetRestoreSnapshotState',
    make: getRestoreState,
    covers: ['rpc:GetRestoreSnapshotState', 'door:restoreState'],
    isShort: true,
  },
  {
    name: 'ListRestoreSnapshotJobs',
    make: listRestoreJobs,
    covers: ['rpc:ListRestoreSnapshotJobs', 'door:listRestoreJobs'],
    isShort: true,
  },
  {
    name: 'PinSnapshotData',
    make: pinSnapshot,
    covers: ['rpc:PinSnapshotData', 'door:pinSnapshot'],
    reaches: [/^catalog commit/],
    isShort: true,
  },
  {
    name: 'UnpinSnapshotData',
    make: unpinSnapshot,
    covers: ['rpc:UnpinSnapshotData', 'door:unpinSnapshot'],
    reaches: [/^catalog commit/],
    isShort: true,
  },
  ...['ExportSnapshot', 'RestoreExternalSnapshot', ...NEWER_RPCS].map(
    (rpc): Operation => ({
      name: rpc,
      make: refused(rpc),
      covers: [`rpc:${rpc}`],
      isStill: true,
      isShort: true,
    }),
  ),
];
