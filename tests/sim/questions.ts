/** Filters of the simulation, each with what it means told in plain words of its own: the text of a row, as the oracle keeps it. */
import type { Random } from '../../src/support/random.ts';
import type { Value } from './oracle.ts';
import { withoutPartition } from './rows.ts';

interface Told {
  readonly key: bigint;
  readonly number: number;
  readonly text: string | null;
}

export interface Question {
  readonly filter: string;
  /** What of a value the answer shows, the partition taken off. */
  readonly show: (value: Value) => Value;
}

/** The text of a row: `key number text vector`, the text itself of two words or `null`. */
function told(value: string): Told {
  const [key = '', number = '', ...rest] = value.split(' ');
  return { key: BigInt(key), number: Number(number), text: rest[0] === 'null' ? null : `text ${rest[1]}` };
}

const asking = (filter: string, isMeant: (row: Told) => boolean): Question => ({
  filter,
  show(value) {
    const shown = withoutPartition(value);
    return shown !== undefined && isMeant(told(shown)) ? shown : undefined;
  },
});

/** `keys`: keys that may be asked for. `last`: numbers of writes go up to it. */
export function question(random: Random, keys: readonly bigint[], last: number): Question {
  const number = random.below(last + 1);
  const chosen = keys.filter(() => random.below(3) === 0).slice(0, 12);
  switch (random.below(6)) {
    case 0:
      return asking(`id in [${[0n, ...chosen].join(', ')}]`, ({ key }) => chosen.includes(key));
    case 1:
      return asking(`number >= ${number}`, (row) => row.number >= number);
    case 2:
      return asking('text is null', ({ text }) => text === null);
    case 3:
      return asking('text like "text 1%"', ({ text }) => text?.startsWith('text 1') === true);
    case 4:
      return asking(
        `id % 2 == 0 and not (number < ${number})`,
        (row) => row.key % 2n === 0n && row.number >= number,
      );
    default:
      return asking(
        `id in [${[0n, ...chosen].join(', ')}] or number > ${number}`,
        (row) => chosen.includes(row.key) || row.number > number,
      );
  }
}
