/** The table of the n-th-call loops is total, and the short ones of it hold. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import type { RestoreAdmin, SnapshotAdmin } from '../../src/coordinator/admin-api.ts';
import type { Snapshots } from '../../src/coordinator/api.ts';
import type { CopyJob } from '../../src/coordinator/copy-segment/job.ts';
import type { NodeWork } from '../../src/datanode/api.ts';
import { allRpcs } from '../../src/proxy/wire/descriptor.ts';
import { plantList } from '../sim/plant-list.ts';
import { report, runAll, runCase } from './loop.ts';
import type { Operation } from './operation.ts';
import { operations } from './operations.ts';
import { NEWER_RPCS } from './rpc-operations.ts';

const root = join(import.meta.dirname, '../../../src');
const sourceOf = (file: string) => readFileSync(join(root, file), 'utf8');
const found = (file: string, what: RegExp) =>
  [...sourceOf(file).matchAll(what)].map((match) => match[1] ?? '');
const covered = new Set(operations.flatMap(({ covers }) => covers));
const allCovered = (names: readonly string[], least: number) => {
  assert.ok(names.length >= least, `${names.length} found: the check looks at the wrong place`);
  assert.deepEqual(
    names.filter((name) => !covered.has(name)),
    [],
  );
};

/** Answered from memory: no port can fail. */
type FromMemory = 'listPins' | 'snapshotStats' | 'lastCollection' | 'copySegmentStats';
/** The compiler knows when one is missing. */
const doors: Readonly<Record<Exclude<keyof (Snapshots & SnapshotAdmin & RestoreAdmin), FromMemory>, true>> = {
  createSnapshot: true,
  dropSnapshot: true,
  listSnapshots: true,
  describeSnapshot: true,
  pinSnapshot: true,
  unpinSnapshot: true,
  restoreSnapshot: true,
  restoreState: true,
  listRestoreJobs: true,
  snapshotReports: true,
  snapshotReport: true,
  verifySnapshot: true,
  diffSnapshots: true,
  planGarbage: true,
  collectGarbage: true,
  cancelRestore: true,
  previewRestore: true,
  restoreInPlace: true,
  settleSwap: true,
  drillRestore: true,
};
const nodeWork: Readonly<Record<NodeWork['kind'], true>> = {
  flush: true,
  'build-index': true,
  'copy-segment': true,
  compact: true,
  'compact-deletes': true,
};
const purposes: Readonly<Record<NonNullable<CopyJob['purpose']>['kind'], true>> = {
  'in-place': true,
  drill: true,
};

describe('the table of operations that are failed at their n-th call', () => {
  test('names every snapshot RPC of the wire, twelve in all', () => {
    const names = [...allRpcs.filter((rpc) => rpc.includes('Snapshot')), ...NEWER_RPCS];
    assert.equal(new Set(names).size, 12);
    allCovered(
      names.map((rpc) => `rpc:${rpc}`),
      12,
    );
  });

  test('names every call of the doors of snapshots and restores, every kind of work of a data node, every purpose of a restore', () => {
    const names = (prefix: string, of: object) => Object.keys(of).map((name) => `${prefix}:${name}`);
    allCovered([...names('door', doors), ...names('node', nodeWork), ...names('purpose', purposes)], 27);
  });

  test('names every loop that the coordinator and the scheduler run', () => {
    const loops = ['coordinator/coordinator.ts', 'coordinator/snapshot-service.ts'].flatMap((file) =>
      found(file, /\bloop\(\s*'([a-z-]+)'/g),
    );
    allCovered(
      [...loops, 'scheduler'].map((name) => `loop:${name}`),
      10,
    );
    const starters = readdirSync(root, { recursive: true, encoding: 'utf8' }).filter(
      (file) => /(?<!\.test)\.ts$/.test(file) && /\brunLoop\(\{/.test(sourceOf(file)),
    );
    assert.deepEqual(starters.sort(), [
      'coordinator/coordinator.ts',
      'coordinator/scheduler/scheduler.ts',
      'coordinator/snapshot-service.ts',
    ]);
  });

  test('names every step of a start', () => {
    const body = (file: string) =>
      /async recover\(\): Promise<void> \{(.*?)\n {2}\}/s.exec(sourceOf(file))?.[1] ?? '';
    const calls = (file: string) =>
      [...body(file).matchAll(/(?:this\.#?)?(\w+)\.(recover|identify|removeOrphans|pass|reload)\(/g)].map(
        ([, who, what]) => `recover:${what === 'identify' ? what : who}`,
      );
    const steps = ['coordinator/coordinator.ts', 'coordinator/snapshot-service.ts'].flatMap(calls);
    allCovered(steps, 13);
    const ways = new Set(
      ['coordinator/coordinator.ts', 'coordinator/snapshot-service.ts'].flatMap((file) =>
        [...body(file).matchAll(/^ {4}(?:await )?([\w.#]+)\(/gm)].map((match) => match[1] ?? ''),
      ),
    );
    // A step that is called otherwise would be missed above.
    for (const way of ways)
      assert.match(way, /\.(recover|identify|removeOrphans|pass|reload|observe|onChange)$/, way);
  });

  test('has each name once', () => {
    const names = operations.map(({ name }) => name);
    assert.equal(new Set(names).size, names.length);
  });
});

const named = (wanted: string): Operation => {
  const operation = operations.find(({ name }) => name === wanted);
  if (operation === undefined) throw new Error(`no operation is called '${wanted}'`);
  return operation;
};

describe('fail the n-th call', () => {
  for (const operation of operations.filter(({ isShort }) => isShort === true))
    test(`${operation.name}: an error before, an error after the effect, a crash at each call of each port leaves nothing wrong`, async () => {
      const { failures, cases } = await runAll(operation, { maxFailures: 3 });
      assert.equal(failures.length, 0, failures.join('\n\n'));
      assert.ok(cases > 0);
    });

  test('the same case has the same history', async () => {
    const operation = named('DropSnapshot');
    const aim = { port: 'store', at: 2, flavour: 'crash-after' } as const;
    const [once, again] = [await runCase(operation, { aim }), await runCase(operation, { aim })];
    assert.deepEqual(again.trace, once.trace);
    assert.notEqual(once.hit, undefined);
  });

  test('a planted bug that shows only when a call fails is noticed: a copy that is not tried again', async () => {
    const operation = named('restore: tasks are dispatched and copied');
    const plant = plantList.find(({ name }) => name === 'lostTask')?.make();
    assert.ok(plant !== undefined);
    const withinMs = 60_000;
    assert.equal((await runCase(operation, { plant, withinMs })).failure, undefined);
    const aim = { port: 'node-store', at: 1, flavour: 'error-before' } as const;
    const done = await runCase(operation, { plant, withinMs, aim });
    assert.equal(done.failure?.property, 'ends', done.failure?.message);
    const again =
      /again: npm run nth -- --only 'restore: .*' --at 1 --port node-store --flavour error-before$/;
    assert.match(report(operation, aim, done), again);
  });
});
