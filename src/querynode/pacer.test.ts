import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Pacer, Turns } from './pacer.ts';

test('many pieces of work together do no more in one turn of the event loop than one alone', async () => {
  const turns = new Turns({ turnUnits: 100 });
  const { signal } = new AbortController();
  let inTurn = 0;
  let most = 0;
  let isRunning = true;
  const count = () => {
    most = Math.max(most, inTurn);
    inTurn = 0;
    if (isRunning) setImmediate(count);
  };
  setImmediate(count);
  const work = async () => {
    const pacer = new Pacer(turns, signal);
    for (let i = 0; i < 40; i++) {
      inTurn += 20;
      await pacer.spend(20);
    }
  };
  await Promise.all(Array.from({ length: 12 }, work));
  isRunning = false;
  // The turn in which all begin lets each take its first step.
  assert(most <= 100 + 12 * 20, `${most} units in a turn`);
});

test('work that waits for its turn ends when it is told to', async () => {
  const stop = new AbortController();
  const waiting = new Pacer(new Turns({ turnUnits: 1 }), stop.signal).spend(1);
  stop.abort(new Error('enough'));
  await assert.rejects(async () => waiting, /enough/);
});

test('of those who wait, small steps go on together in one turn, large ones one at a time', async () => {
  const { signal } = new AbortController();
  /** In how many turns each of eight that wait goes on, when their steps are of this size. */
  const turnsTaken = async (units: number): Promise<number> => {
    const turns = new Turns({ turnUnits: 100 });
    void turns.spend(100);
    let turn = 0;
    let isOver = false;
    const count = () => {
      turn++;
      if (!isOver) setImmediate(count);
    };
    setImmediate(count);
    const wait = async () => {
      await new Pacer(turns, signal).spend(units);
      return turn;
    };
    const ends = await Promise.all(Array.from({ length: 8 }, wait));
    isOver = true;
    return new Set(ends).size;
  };
  assert.deepEqual([await turnsTaken(5), await turnsTaken(40), await turnsTaken(1000)], [1, 4, 8]);
});
