import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { TurnBudget } from './turn-budget.ts';

/** Turns that a test takes by hand. */
function byHand(perTurn: number) {
  const turns: (() => void)[] = [];
  const budget = new TurnBudget(perTurn, (run) => turns.push(run));
  const nextTurn = async () => {
    for (const run of turns.splice(0)) run();
    for (let i = 0; i < 10; i++) await Promise.resolve();
  };
  return { budget, nextTurn, isQuiet: () => turns.length === 0 };
}

test('whatever is asked for, a turn holds no more than its budget or one piece alone, first come first served', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 30 }), { maxLength: 60 }), async (costs) => {
      const { budget, nextTurn, isQuiet } = byHand(10);
      let turn: number[] = [];
      const order: number[] = [];
      const taken = costs.map((cost, n) =>
        budget.take(cost).then(() => {
          turn.push(cost);
          order.push(n);
        }),
      );
      for (let turns = 0; order.length < costs.length; turns++) {
        turn = turns === 0 ? turn : [];
        await nextTurn();
        const spent = turn.reduce((sum, cost) => sum + cost, 0);
        assert.ok(turns === 0 || spent <= 10 || turn.length === 1, `a turn of ${turn.join(' + ')}`);
        assert.ok(turns <= costs.length, 'it comes to an end');
      }
      await Promise.all(taken);
      assert.deepEqual(
        order,
        costs.map((_, n) => n),
      );
      while (!isQuiet()) await nextTurn();
    }),
  );
});

test('what fits the turn does not wait, and a budget that nobody asks schedules nothing', async () => {
  const { budget, nextTurn, isQuiet } = byHand(10);
  assert.ok(isQuiet());
  await Promise.all([budget.take(4), budget.take(6)]);
  let isOver = false;
  const third = budget.take(1).then(() => {
    isOver = true;
  });
  for (let i = 0; i < 10; i++) await Promise.resolve();
  assert.ok(!isOver);
  await nextTurn();
  await third;
  while (!isQuiet()) await nextTurn();
});
