/** Everything else that goes on behind the calls: flushes, indexes, loads, compactions, drops, garbage, and what only looks. */
import type { VerifyStep } from '../../src/coordinator/admin-api.ts';
import { pins, snapshots } from '../../src/coordinator/snapshot/record.ts';
import { indexes, segments } from '../../src/coordinator/tables.ts';
import { at, type Coll } from '../sim/model.ts';
import { check } from '../sim/properties.ts';
import type { Operation, Script } from './operation.ts';
import { type Captured, captured } from './rpc-operations.ts';
import type { Stage } from './stage.ts';

const never = (): AbortSignal => new AbortController().signal;
const HOUR = 3_600_000;

/** With a collection `ant`. */
const on =
  (steps: {
    readonly prepare: (s: Stage) => Promise<Coll>;
    readonly run: (s: Stage, coll: Coll) => Promise<void>;
    readonly after: (s: Stage, coll: Coll) => Promise<void>;
  }) =>
  (s: Stage): Script => {
    let coll: Coll;
    return {
      prepare: async () => {
        coll = await steps.prepare(s);
      },
      run: () => steps.run(s, coll),
      after: () => steps.after(s, coll),
    };
  };

const flush = on({
  prepare: async (s) => {
    const coll = await s.filled('ant', 1);
    await s.writes(coll, 20);
    return coll;
  },
  run: async (s, coll) => {
    await s.flushNow(coll);
    // The log is cut.
    await s.world.sleep(500);
  },
  after: (s, coll) => s.flushNow(coll),
});

const seal = on({
  prepare: async (s) => {
    const coll = await s.made('ant');
    await s.writes(coll, 12);
    return coll;
  },
  run: (s) => s.world.sleep(4500),
  after: (s, coll) => s.flushNow(coll),
});

/** Segments of enough rows to be worth an index. */
const rowsOnly = async (s: Stage): Promise<Coll> => {
  const coll = await s.made('ant');
  await s.writes(coll, 16);
  await s.flushNow(coll);
  await s.quiet();
  return coll;
};

const isIndexed = (s: Stage, { id }: Coll) => {
  const { catalog } = s.world.life.planes;
  const [index] = catalog.find(indexes, 'collection', id);
  return (
    index !== undefined &&
    catalog
      .find(segments, 'collection', id)
      .filter(({ state, level, rowCount }) => state === 'flushed' && level !== 'L0' && rowCount >= 6)
      .every((segment) => segment.indexes.some(({ indexId }) => indexId === index.indexId))
  );
};

const makeIndex = async (s: Stage, coll: Coll): Promise<void> => {
  const params = { index_type: 'HNSW', metric_type: 'L2', M: '4', efConstruction: '8' };
  if ((await s.indexNow(coll)) === undefined)
    await s.call('index', coll, (life) => s.ask(life).createIndex(at(coll.name), 'vec', '', params));
  coll.index = await s.indexNow(coll);
  if (coll.index !== undefined) await s.until(() => isIndexed(s, coll), 'every segment has its index');
};

const indexBuild = on({
  prepare: rowsOnly,
  run: makeIndex,
  after: async (s, coll) => {
    await makeIndex(s, coll);
    check('ends', isIndexed(s, coll), () => 'the index cannot be built');
  },
});

const load = on({
  prepare: async (s) => {
    const coll = await s.filled();
    await s.release(coll);
    return coll;
  },
  run: (s, coll) => s.loadUp(coll),
  after: async (s, coll) => {
    await s.loadUp(coll);
    check('ends', coll.load === 'loaded', () => 'the collection cannot be loaded');
    await s.readSurely(coll);
  },
});

/** Rows that are loaded from the log come from files afterwards. */
const handover = on({
  prepare: (s) => s.filled('ant', 1),
  run: async (s, coll) => {
    const flushed = s.flushNow(coll);
    for (let i = 0; i < 5; i++) {
      await s.isAllRead(coll);
      await s.world.sleep(30);
    }
    await flushed;
  },
  after: (s, coll) => s.readSurely(coll),
});

/** Many rows, and few deletes of them: nobody rewrites the rows unless somebody asks for it. */
const littleDeleted = async (s: Stage): Promise<Coll> => {
  const coll = await s.made('ant');
  const keys = Array.from({ length: 60 }, (_, i) => BigInt(100 + i));
  await s.put(coll, keys);
  await s.flushNow(coll);
  await s.put(coll, [101n], true);
  await s.flushNow(coll);
  await s.quiet();
  return coll;
};

const loadedAndRead = async (s: Stage, coll: Coll): Promise<void> => {
  await s.loadUp(coll);
  await s.readSurely(coll);
};

const compactNow = async (s: Stage, coll: Coll): Promise<boolean> => {
  const asked = { life: s.world.life };
  const outcome = await s.call('compact', coll, (life) => {
    asked.life = life;
    return s.ask(life).compact({ collectionId: coll.id, isDeletesOnly: false });
  });
  if (outcome.is !== 'ok') return false;
  await s.compacted(asked.life, outcome.value.compactionId);
  return true;
};

const compaction = on({
  prepare: littleDeleted,
  run: async (s, coll) => void (await compactNow(s, coll)),
  after: async (s, coll) => {
    check('ends', await compactNow(s, coll), () => 'nothing can be compacted');
    await loadedAndRead(s, coll);
  },
});

/** Nobody asks for it. */
const mergedDeletes = on({
  prepare: async (s) => {
    const coll = await littleDeleted(s);
    await s.put(coll, [102n], true);
    return coll;
  },
  run: async (s, coll) => {
    await s.flushNow(coll);
    await s.world.sleep(3000);
  },
  after: loadedAndRead,
});

/** Nobody asks for it. */
const automatic = on({
  prepare: rowsOnly,
  run: async (s, coll) => {
    await s.writes(coll, 4);
    await s.flushNow(coll);
    await s.world.sleep(3000);
  },
  after: loadedAndRead,
});

const dropCollection = (s: Stage): Script => {
  const { of, prepare } = captured(s);
  return {
    prepare: async () => {
      await prepare();
      s.luck = true;
      await s.pin(of.coll, of.snap);
      s.luck = undefined;
    },
    run: async () => {
      await s.drop(of.coll);
      await s.world.sleep(6000);
    },
    after: async () => {
      if (!of.coll.isGone) await s.drop(of.coll);
      check('ends', of.coll.isGone, () => 'the collection cannot be dropped');
      const { catalog } = s.world.life.planes;
      check('kept', catalog.count(snapshots) === 1, () => 'the pinned snapshot is gone');
    },
  };
};

const dropPartition = on({
  prepare: async (s) => {
    const coll = await s.filled();
    await s.snapshotSurely(coll);
    await s.quiet();
    return coll;
  },
  run: async (s, coll) => {
    await s.dropPartition(coll);
    await s.world.sleep(6000);
  },
  after: async (s, coll) => {
    await s.dropPartition(coll);
    check('ends', coll.partitions.size === 1, () => 'the partition cannot be dropped');
  },
});

const release = on({
  prepare: (s) => s.filled(),
  run: (s, coll) => s.release(coll),
  after: async (s, coll) => {
    await s.release(coll);
    check('ends', coll.load === 'none', () => 'the collection cannot be released');
  },
});

const collected = (s: Stage) => s.call('gc', undefined, (life) => s.ask(life).collectGarbage(never()));

/** Of a dropped snapshot, of a dropped collection, of nobody, and half-written ones. */
const garbage = (s: Stage): Script => {
  const { of, prepare } = captured(s);
  return {
    prepare: async () => {
      await prepare();
      const other = await s.filled('elk');
      await s.flushNow(other);
      await s.drop(other);
      await (await s.compact(of.coll))?.ended;
      await s.dropSnapshot(of.coll, of.snap);
      await s.snapshotSurely(of.coll, 's2');
      await s.removed();
      const { store } = s.world.disks;
      await store.put('segments/900/901/902/rows.parquet', Uint8Array.of(1, 2, 3));
      await store.put('snapshots/900/metadata/903.json', Uint8Array.of(1));
      store.leaveTemporary('half-written', 10);
      s.world.clock.jump(HOUR);
    },
    run: async () => void (await collected(s)),
    after: async () => void s.is(await collected(s), 'garbage is collected'),
  };
};

/** What outlived its collection by a pin goes when the pin has ended. */
const overduePins = (s: Stage): Script => {
  const { of, prepare } = captured(s);
  const collectTwice = async () => {
    for (let pass = 0; pass < 2; pass++) {
      await collected(s);
      await s.removed();
    }
  };
  return {
    prepare: async () => {
      await prepare();
      const pinned = await s.call('pin', of.coll, (life) =>
        s.ask(life).pinSnapshot(at(of.coll.name), of.snap.name, 100),
      );
      s.is(pinned, 'a pin');
      await s.drop(of.coll);
      await s.quiet();
      s.world.clock.jump(101_000);
    },
    run: collectTwice,
    after: async () => {
      await collectTwice();
      const { catalog } = s.world.life.planes;
      check('clean', catalog.count(pins) === 0, () => 'the overdue pin is left');
      check('clean', catalog.count(snapshots) === 0, () => 'the snapshot is left, and nothing pins it');
    },
  };
};

/** An answer that only says what could not be read just now. */
const UNREADABLE = 'unreadable';

/** `ask` changes nothing: its answer is right, or an error; with the fault over it is right. */
const looks =
  (what: string, ask: (s: Stage, of: Captured) => Promise<string>) =>
  (s: Stage): Script => {
    const { of, prepare } = captured(s);
    const once = () => s.call(what, of.coll, () => ask(s, of));
    return {
      prepare: async () => {
        await prepare();
        await s.snapshotSurely(of.coll, 's2');
      },
      run: async () => {
        const outcome = await once();
        const wrong = outcome.is === 'ok' ? outcome.value : '';
        const isExcused = wrong.startsWith(UNREADABLE) && s.trigger.hit !== undefined;
        check('exact', wrong === '' || isExcused, () => `${what}: ${wrong}`);
      },
      after: async () => {
        const wrong = s.is(await once(), what);
        check('exact', wrong === '', () => `${what}: ${wrong}`);
      },
    };
  };

const which = ({ coll, snap }: Captured) => ({ at: at(coll.name), name: snap.name });

const verify = looks('verify', async (s, of) => {
  const steps: VerifyStep[] = [];
  const { coordinator } = s.world.life.planes;
  for await (const step of coordinator.verifySnapshot(which(of), 1, never())) steps.push(step);
  const problems = steps.filter((step) => step.kind === 'problem');
  if (problems.length === 0) return steps.at(-1)?.kind === 'end' ? '' : 'it does not say that it has ended';
  const isDamage = problems.some(({ problem }) => problem !== 'unreadable');
  return `${isDamage ? '' : UNREADABLE} ${JSON.stringify(problems, textOf)}`;
});

const preview = looks('preview', async (s, of) => {
  const { coordinator } = s.world.life.planes;
  const asked = { source: at(of.coll.name), name: of.snap.name, target: at('bee') };
  const { problemCount } = await coordinator.previewRestore(asked, never());
  return problemCount === 0 ? '' : `${problemCount} problems`;
});

const reportOf = looks('report', async (s, of) => {
  const { content, damage } = await s.world.life.planes.coordinator.snapshotReport(which(of));
  return content !== undefined && damage === undefined ? '' : `damaged: ${damage}`;
});

const diff = looks('diff', async (s, of) => {
  const { coordinator } = s.world.life.planes;
  await coordinator.diffSnapshots(which(of), { ...which(of), name: 's2' }, never());
  return '';
});

const planOfGarbage = looks('plan', async (s) => {
  let count = 0;
  for await (const { verdict } of s.world.life.planes.coordinator.planGarbage(never()))
    if (verdict === 'keep') count++;
  return count > 0 ? '' : 'nothing is kept';
});

const textOf = (_: string, value: unknown): unknown => (typeof value === 'bigint' ? String(value) : value);

export const stepOperations: readonly Operation[] = [
  {
    name: 'flush',
    make: flush,
    covers: ['node:flush', 'log truncation'],
    reaches: [
      /^log read/,
      /^log truncateBefore/,
      /^node-store put/,
      /^node create flush/,
      /^catalog commit .*segment\//,
    ],
  },
  {
    name: 'seal of idle segments',
    make: seal,
    covers: ['loop:seal', 'node:flush'],
    reaches: [/^node-store put/, /^catalog commit .*segment\//],
  },
  {
    name: 'index build',
    make: indexBuild,
    covers: ['loop:index', 'node:build-index'],
    reaches: [/^node create build-index/, /^node-store put .*index/, /^catalog commit .*segment\//],
  },
  {
    name: 'load',
    make: load,
    covers: ['loop:load'],
    reaches: [/^store get/, /^catalog commit .*collection\//],
  },
  { name: 'release', make: release, covers: ['loop:load'], reaches: [/^catalog commit/] },
  {
    name: 'handover of loaded rows',
    make: handover,
    covers: ['loop:load', 'handover'],
    reaches: [/^node-store put/, /^store get/],
  },
  {
    name: 'compaction on request',
    make: compaction,
    covers: ['node:compact'],
    reaches: [/^node create compact /, /^node-store put/, /^catalog commit .*segment\//],
  },
  {
    name: 'compaction of deletes',
    make: mergedDeletes,
    covers: ['node:compact-deletes', 'loop:compaction'],
    reaches: [/^node create compact-deletes/, /^catalog commit .*segment\//],
  },
  {
    name: 'compaction that nobody asks for',
    make: automatic,
    covers: ['loop:compaction'],
    reaches: [/^node create compact /, /^node-store put/, /^catalog commit .*segment\//],
  },
  {
    name: 'drop of a collection with a pinned snapshot',
    make: dropCollection,
    covers: ['loop:drop', 'cascade of a drop'],
    reaches: [/^catalog commit .*collection\//, /^catalog commit .*partition\//],
  },
  {
    name: 'drop of a partition',
    make: dropPartition,
    covers: ['loop:drop'],
    reaches: [/^catalog commit .*partition\//],
  },
  {
    name: 'collection of garbage',
    make: garbage,
    covers: ['loop:collector', 'door:collectGarbage'],
    reaches: [/^store delete /, /^store list/, /^store deleteTemporary/, /^catalog commit/],
  },
  {
    name: 'overdue pins',
    make: overduePins,
    covers: ['overdue pins', 'removal of dropped snapshots'],
    reaches: [/^catalog commit .*pin\//, /^store delete snapshots\//],
  },
  {
    name: 'verification',
    make: verify,
    covers: ['door:verifySnapshot'],
    reaches: [/^store get/],
  },
  {
    name: 'preview of a restore',
    make: preview,
    covers: ['door:previewRestore'],
    reaches: [/^store stat/],
  },
  {
    name: 'report of a snapshot',
    make: reportOf,
    covers: ['door:snapshotReport', 'door:snapshotReports'],
    reaches: [/^store get/],
  },
  {
    name: 'difference of two snapshots',
    make: diff,
    covers: ['door:diffSnapshots'],
    reaches: [/^store get/],
  },
  { name: 'plan of garbage', make: planOfGarbage, covers: ['door:planGarbage'], reaches: [/^store list/] },
];
