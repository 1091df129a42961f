/** The matrix: every class of object, every damage, everything that meets it. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { actions, Cell, expected, type Outcome } from './cell.ts';
import { classes, classNames, type ObjectClass, victimOf } from './classes.ts';
import type { Damage } from './damage.ts';
import { DAMAGED, fill, memoryDisks, World } from './world.ts';

/** A full world in a directory of its own, which goes with it. `work` answers the world that runs at its end. */
export async function withWorld(work: (world: World) => Promise<World>): Promise<void> {
  const root = await mkdtemp(join(tmpdir(), 'tidemark-matrix-'));
  let world = await World.open(memoryDisks(join(root, 'objects')));
  try {
    await fill(world);
    world = await work(world);
  } finally {
    await world.close();
    await rm(root, { recursive: true });
  }
}

/** Throws when an outcome is not the one that `expected` states. Answers how many outcomes it has seen. */
export async function runClass(name: ObjectClass, damages: readonly Damage[]): Promise<number> {
  let outcomes = 0;
  await withWorld(async (first) => {
    let world = first;
    const victim = await victimOf(world, name);
    const rows = await world.rows(DAMAGED);
    for (const damage of damages) {
      const cell = new Cell(world, name, victim, damage, rows);
      const where = `${classes[name].title}, ${damage.name}`;
      try {
        world = await cell.run();
      } catch (error) {
        const passed = [...cell.outcomes.keys()].join(', ');
        world = cell.world;
        await world.close();
        throw new Error(`${where}, after ${passed}: ${String(error)}`, { cause: error });
      }
      for (const action of actions)
        assert.equal(cell.outcomes.get(action), expected(name, damage, action), `${where}: ${action}`);
      outcomes += cell.outcomes.size;
    }
    return world;
  });
  return outcomes;
}

const words: Readonly<Record<Outcome, string>> = {
  found: 'found',
  refused: 'refused',
  'refused-copy': '**refused, names its copy**',
  named: 'named',
  unaffected: 'unaffected',
  'refused-later': '**completes; load refuses**',
  'right-later': '**completes; rows right**',
};

const row = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;

/** The tables of `docs/corruption.md`. */
export function tables(): string {
  const table = (manner: Damage['manner']) =>
    [
      row(['', ...actions]),
      row(['', ...actions].map(() => '---')),
      ...classNames.map((name) =>
        row([classes[name].title, ...actions.map((action) => words[expected(name, { manner }, action)])]),
      ),
    ].join('\n');
  return [
    'Missing, truncated, bit-flipped, swapped, stale, bytes appended:',
    table('rewritten'),
    'Bit rot under an unchanged mark:',
    table('rot'),
  ].join('\n\n');
}
