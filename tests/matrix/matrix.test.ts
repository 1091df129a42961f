import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { classes, classNames, manifestKinds, segmentClasses, storedKeys, victimOf } from './classes.ts';
import { damages } from './damage.ts';
import { runClass, tables, withWorld } from './run.ts';

/** All of them: `npm run matrix`. */
const short = damages.filter(({ isShort }) => isShort === true);

describe('corruption matrix', { concurrency: 3 }, () => {
  for (const name of classNames)
    test(`R14: ${classes[name].title} that is missing, truncated, flipped, swapped, stale, longer or rotten is never restored, is named, and leaves nothing`, async () => {
      await runClass(name, short);
    });
});

test('R14: the matrix has every class of object that storage holds', async () => {
  assert.deepEqual([...segmentClasses].sort(), [...manifestKinds].sort());
  await withWorld(async (world) => {
    const stored = new Set([...(await storedKeys(world)).values()].map(({ kind }) => kind));
    assert.deepEqual([...stored].sort(), [...classNames, 'identity'].sort());
    for (const name of classNames) await victimOf(world, name);
    return world;
  });
});

test('what may happen to damaged objects stands in docs/corruption.md as it is tested', () => {
  const text = readFileSync(new URL('../../../docs/corruption.md', import.meta.url), 'utf8');
  assert.ok(text.includes(tables()), `docs/corruption.md should hold:\n\n${tables()}`);
});
