import assert from 'node:assert/strict';
import { test } from 'node:test';
import { IllegalTransition, type Machine } from '../../support/machine.ts';
import { copyJobMachine, copyTaskMachine } from './state.ts';

/** One line per state and event, as a reader would write them down. */
function printed<S extends string, E extends string>({ table }: Machine<S, E>): readonly string[] {
  return Object.entries(table).flatMap(([from, row]) =>
    Object.entries(row as Record<E, S | null>).map(
      ([event, to]) => `${from} + ${event} -> ${to === null ? 'never' : String(to)}`,
    ),
  );
}

test('the job machine is a total table: every state answers every event', () => {
  assert.deepEqual(printed(copyJobMachine), [
    'pending + execute -> executing',
    'pending + complete -> completed',
    'pending + fail -> failed',
    'executing + execute -> never',
    'executing + complete -> completed',
    'executing + fail -> failed',
    'completed + execute -> never',
    'completed + complete -> never',
    'completed + fail -> never',
    'failed + execute -> never',
    'failed + complete -> never',
    'failed + fail -> never',
  ]);
});

test('the task machine is a total table: every state answers every event', () => {
  assert.deepEqual(printed(copyTaskMachine), [
    'pending + dispatch -> in-progress',
    'pending + requeue -> never',
    'pending + complete -> never',
    'pending + fail -> failed',
    'in-progress + dispatch -> never',
    'in-progress + requeue -> pending',
    'in-progress + complete -> completed',
    'in-progress + fail -> failed',
    'completed + dispatch -> never',
    'completed + requeue -> never',
    'completed + complete -> never',
    'completed + fail -> never',
    'failed + dispatch -> never',
    'failed + requeue -> never',
    'failed + complete -> never',
    'failed + fail -> never',
  ]);
});

function assertTotal<S extends string, E extends string>(
  machine: Machine<S, E>,
  first: S,
  events: readonly E[],
): void {
  const states = Object.keys(machine.table) as S[];
  const reached = new Set<S>([first]);
  for (const from of reached)
    for (const event of events) {
      const to = machine.table[from][event];
      if (to === null) assert.throws(() => machine.next(from, event), IllegalTransition);
      else reached.add(machine.next(from, event));
    }
  assert.deepEqual([...reached].toSorted(), states.toSorted());
  for (const state of states) {
    assert.deepEqual(Object.keys(machine.table[state]).toSorted(), events.toSorted());
    const ends = state === 'completed' || state === 'failed';
    assert.equal(machine.isTerminal(state), ends, state);
  }
}

test('every state is reached from pending, only completed and failed are ends, and what never happens throws', () => {
  assertTotal(copyJobMachine, 'pending', ['execute', 'complete', 'fail']);
  assertTotal(copyTaskMachine, 'pending', ['dispatch', 'requeue', 'complete', 'fail']);
});
