/** What the outside world does to a stored object, and how it is made good again. */
import { execFileSync } from 'node:child_process';
import { copyFile, readFile, rename, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ObjectProblem } from '../../src/coordinator/admin-api.ts';

/**
 * gone: the file is not there. rewritten: other bytes in the same file, which changes its modification time. replaced: another file
 * in its place. rot: other bytes in the same file, which looks untouched.
 */
export type Manner = 'gone' | 'rewritten' | 'replaced' | 'rot';

interface Base {
  readonly name: string;
  /** For the table of `docs/corruption.md`: damages of one group do the same everywhere. */
  readonly group: string;
  /** Among those that every test run goes through. */
  readonly isShort?: boolean;
}
export type Damage = Base &
  (
    | { readonly manner: 'gone' }
    | { readonly manner: 'rewritten' | 'rot'; readonly change: (bytes: Buffer) => Buffer }
    /** `swapped`: both objects change places. `older`: the bytes of an earlier one. */
    | { readonly manner: 'replaced'; readonly by: 'swapped' | 'older' }
  );

const flipped =
  (at: (length: number) => number) =>
  (bytes: Buffer): Buffer => {
    const place = at(bytes.length);
    return Buffer.from(bytes.map((byte, i) => (i === place ? byte ^ 0x10 : byte)));
  };

const POSITIONS: readonly (readonly [string, (length: number) => number, boolean?])[] = [
  ['first byte', () => 0],
  ['in the header', () => 5],
  ['in the middle', (length) => length >> 1, true],
  ['in the footer', (length) => length - 9],
  ['last byte', (length) => length - 1],
];
const LENGTHS: readonly (readonly [string, (length: number) => number, boolean?])[] = [
  ['to nothing', () => 0],
  ['to one byte', () => 1],
  ['to its half', (length) => length >> 1, true],
  ['by one byte', (length) => length - 1],
];

export const damages: readonly Damage[] = [
  { name: 'missing', group: 'missing', manner: 'gone', isShort: true },
  ...LENGTHS.map(
    ([name, length, isShort = false]): Damage => ({
      name: `truncated ${name}`,
      group: 'truncated',
      manner: 'rewritten',
      isShort,
      change: (bytes) => bytes.subarray(0, length(bytes.length)),
    }),
  ),
  ...POSITIONS.map(
    ([name, at, isShort = false]): Damage => ({
      name: `flipped ${name}`,
      group: 'bit-flipped',
      manner: 'rewritten',
      isShort,
      change: flipped(at),
    }),
  ),
  { name: 'swapped', group: 'swapped', manner: 'replaced', by: 'swapped', isShort: true },
  { name: 'stale version', group: 'stale version', manner: 'replaced', by: 'older', isShort: true },
  {
    name: 'one byte appended',
    group: 'bytes appended',
    manner: 'rewritten',
    isShort: true,
    change: (bytes) => Buffer.concat([bytes, Buffer.of(0)]),
  },
  {
    name: 'appended to itself',
    group: 'bytes appended',
    manner: 'rewritten',
    change: (bytes) => Buffer.concat([bytes, bytes]),
  },
  ...POSITIONS.map(
    ([name, at, isShort = false]): Damage => ({
      name: `rotten ${name}`,
      group: 'bit rot under an unchanged mark',
      manner: 'rot',
      isShort,
      change: flipped(at),
    }),
  ),
];

export interface Victim {
  readonly key: string;
  /** Another one of the same class, in the same snapshot when it is of a segment. */
  readonly twin: string;
  /** An earlier one of the same class, which the snapshot does not name. */
  readonly older: string;
}

/** What was done, and how it is taken back, to the mark. */
export interface Done {
  /** Keys that do not hold what was written there, with what a verification has to say of them. */
  readonly wrong: ReadonlyMap<string, ObjectProblem>;
  heal(): Promise<void>;
}

const problemOf = (whole: Buffer, is: Buffer): ObjectProblem =>
  is.length === whole.length ? 'corrupt' : is.length < whole.length ? 'short' : 'long';

/** Sets the times of one file to those of another, to the nanosecond: Node would round them. */
const sameTimes = (from: string, to: string): void => {
  execFileSync('touch', ['-r', from, to]);
};

export async function inflict(root: string, { key, twin, older }: Victim, damage: Damage): Promise<Done> {
  const path = join(root, key);
  const aside = join(root, '..', 'aside');
  if (damage.manner === 'gone') {
    await rename(path, aside);
    return { wrong: new Map([[key, 'missing']]), heal: () => rename(aside, path) };
  }
  const whole = await readFile(path);
  if (damage.manner === 'replaced') {
    const other = join(root, damage.by === 'swapped' ? twin : older);
    const its = await readFile(other);
    const wrong = new Map([[key, problemOf(whole, its)]]);
    await rename(path, aside);
    if (damage.by === 'older') {
      await copyFile(other, path);
      return { wrong, heal: () => rename(aside, path) };
    }
    wrong.set(twin, problemOf(its, whole));
    await rename(other, path);
    await rename(aside, other);
    return {
      wrong,
      async heal() {
        await rename(path, aside);
        await rename(other, path);
        await rename(aside, other);
      },
    };
  }
  const times = join(root, '..', 'times');
  await writeFile(times, '');
  sameTimes(path, times);
  const bytes = damage.change(whole);
  await writeFile(path, bytes, { flag: 'r+' });
  await truncate(path, bytes.length);
  if (damage.manner === 'rot') sameTimes(times, path);
  return {
    wrong: new Map([[key, problemOf(whole, bytes)]]),
    async heal() {
      await writeFile(path, whole, { flag: 'r+' });
      await truncate(path, whole.length);
      sameTimes(times, path);
      await rm(times);
    },
  };
}
