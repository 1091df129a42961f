import assert from 'node:assert/strict';
import { test } from 'node:test';
import { settle } from '../../tests/heart/manual-clock.ts';
import { isDbError } from '../errors/db-error.ts';
import type { NodeId, TaskId } from '../model/ids.ts';
import { silentLog } from '../support/log.ts';
import type { FlushOutput, FlushWork, NodeTaskReport } from './api.ts';
import { LocalDataNode } from './datanode.ts';

const id = (n: number) => BigInt(n) as TaskId;
const work = { kind: 'flush' } as unknown as FlushWork;
const output: FlushOutput = { kind: 'flush', files: [], rowCount: 0 };

/** A node whose flushes end when `finish` is called; `stopped` counts aborted ones. */
function world(options: { slots?: number; maxFinished?: number } = {}) {
  const state = { started: 0, stopped: 0, finish: [] as (() => void)[] };
  const node = new LocalDataNode({
    nodeId: 1n as NodeId,
    slots: options.slots ?? 4,
    log: silentLog,
    ...(options.maxFinished === undefined ? {} : { maxFinished: options.maxFinished }),
    executors: {
      flush: (_, { signal }) => {
        state.started++;
        return new Promise((resolve, reject) => {
          state.finish.push(() => resolve(output));
          signal.addEventListener('abort', () => {
            state.stopped++;
            reject(signal.reason as Error);
          });
        });
      },
    },
  });
  const reports: NodeTaskReport[] = [];
  node.onReport((report) => reports.push(report));
  return { node, state, reports };
}

test('creating an attempt twice runs it once', async () => {
  const { node, state, reports } = world();
  await node.create({ taskId: id(1), attempt: 1, work });
  await node.create({ taskId: id(1), attempt: 1, work });
  await settle();
  assert.equal(state.started, 1);
  state.finish[0]?.();
  await settle();
  await node.create({ taskId: id(1), attempt: 1, work });
  assert.deepEqual([state.started, reports.map((r) => r.state)], [1, ['completed']]);
  assert.equal((await node.query(id(1), 1)).state, 'completed');
  assert.equal((await node.query(id(1), 2)).state, 'unknown');
  await node.close();
});

test('an older attempt is refused, a newer one replaces it', async () => {
  const { node, state, reports } = world();
  await node.create({ taskId: id(1), attempt: 2, work });
  await settle();
  await assert.rejects(node.create({ taskId: id(1), attempt: 1, work }), (e) => isDbError(e, 'cancelled'));
  await node.create({ taskId: id(1), attempt: 3, work });
  await settle();
  assert.deepEqual([state.started, state.stopped, reports], [2, 1, []]);
  await node.drop(id(1), 2);
  assert.equal((await node.query(id(1), 3)).state, 'in-progress');
  await node.close();
});

test('a drop stops the attempt, and a create that comes after its drop is refused', async () => {
  const { node, state } = world();
  await node.create({ taskId: id(1), attempt: 1, work });
  await settle();
  await node.drop(id(1), 1);
  await node.drop(id(1), 1);
  assert.equal(state.stopped, 1);
  await node.drop(id(2), 1);
  for (const taskId of [id(1), id(2)])
    await assert.rejects(node.create({ taskId, attempt: 1, work }), (e) => isDbError(e, 'cancelled'));
  await node.create({ taskId: id(1), attempt: 2, work });
  await node.close();
  await assert.rejects(node.create({ taskId: id(9), attempt: 1, work }), (e) =>
    isDbError(e, 'service-unavailable'),
  );
});

test('a node takes no more attempts than it has slots and keeps a bounded number of reports', async () => {
  const { node, state } = world({ slots: 2, maxFinished: 3 });
  await node.create({ taskId: id(1), attempt: 1, work });
  await node.create({ taskId: id(2), attempt: 1, work });
  await assert.rejects(node.create({ taskId: id(3), attempt: 1, work }), (e) =>
    isDbError(e, 'resource-exhausted'),
  );
  for (let n = 3; n < 10; n++) {
    await settle(2);
    for (const finish of state.finish.splice(0)) finish();
    await settle(2);
    await node.create({ taskId: id(n), attempt: 1, work });
  }
  assert.equal((await node.query(id(1), 1)).state, 'unknown');
  assert.equal((await node.query(id(8), 1)).state, 'completed');
  await node.close();
});

test('work of a kind the node cannot do fails by name', async () => {
  const { node, reports } = world();
  await node.create({ taskId: id(1), attempt: 1, work: { kind: 'build-index' } as never });
  await settle();
  const [report] = reports;
  assert.equal(report?.state === 'failed' && report.code, 'unimplemented');
  await node.close();
});
