import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PartitionId } from './ids.ts';
import { isPartitionLoaded, type Load, movedTo, NOT_LOADED, withLoaded, withReleased } from './load-scope.ts';

const ids = (...all: number[]) => all.map((id) => BigInt(id) as PartitionId);
const none = NOT_LOADED;
const all: Load = { load: 'loaded' };
const only = (...of: number[]): Load => ({
  load: 'loaded',
  loadScope: { kind: 'only', partitionIds: ids(...of) },
});
const except = (...of: number[]): Load => ({
  load: 'loaded',
  loadScope: { kind: 'except', partitionIds: ids(...of) },
});
const there = ids(1, 2, 3);

// biome-ignore format: read down the columns.
const steps: readonly (readonly [string, Load, 'load' | 'release', readonly PartitionId[] | undefined, Load])[] = [
  ['a collection',                              none,         'load',    undefined, all],
  ['a partition alone',                         none,         'load',    ids(2),    only(2)],
  ['another partition besides',                 only(2),      'load',    ids(1, 2), only(1, 2)],
  ['the rest of the collection',                only(2),      'load',    undefined, all],
  ['a partition of a loaded collection',        all,          'load',    ids(2),    all],
  ['a released partition again',                except(1, 2), 'load',    ids(2),    except(1)],
  ['the last released partition again',         except(2),    'load',    ids(2),    all],
  ['a collection with released partitions',     except(2),    'load',    undefined, all],
  ['a collection',                              all,          'release', undefined, none],
  ['a collection with some partitions',         only(2),      'release', undefined, none],
  ['a partition of a loaded collection',        all,          'release', ids(2),    except(2)],
  ['another one',                               except(2),    'release', ids(1),    except(1, 2)],
  ['the last one',                              except(1, 2), 'release', ids(3),    none],
  ['a partition that was loaded alone',         only(1, 2),   'release', ids(2),    only(1)],
  ['a partition that is not loaded',            only(1),      'release', ids(2),    only(1)],
  ['the last that was loaded alone',            only(2),      'release', ids(2),    none],
  ['what is not loaded',                        none,         'release', ids(2),    none],
];
for (const [name, was, step, partitionIds, is] of steps)
  test(`${step === 'load' ? 'loading' : 'releasing'} ${name} (${was.loadScope?.kind ?? was.load})`, () => {
    const got = step === 'load' ? withLoaded(was, partitionIds) : withReleased(was, partitionIds, there);
    assert.deepEqual(got, is);
  });

test('a partition that is created later is loaded with its collection, unless partitions were loaded one by one', () => {
  const [later] = ids(9) as [PartitionId];
  assert.deepEqual(
    [none, all, only(1), except(1)].map((load) => isPartitionLoaded(load, later)),
    [false, true, false, true],
  );
});

test('a collection that takes the place of another is loaded in the partitions of the same names', () => {
  const place = (id: PartitionId) => (id === 3n ? undefined : ((id + 10n) as PartitionId));
  const targets = ids(11, 12, 13);
  assert.deepEqual(movedTo(all, place, targets), all);
  assert.deepEqual(movedTo(none, place, targets), none);
  assert.deepEqual(movedTo(only(1, 3), place, targets), only(11));
  assert.deepEqual(movedTo(except(2, 3), place, targets), except(12));
  assert.deepEqual(movedTo(only(3), place, targets), none);
});
