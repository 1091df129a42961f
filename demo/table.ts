import type { Words } from './words.ts';
import { DIM } from './words.ts';

export const COLLECTION = 'words';
export const RESTORED = 'words_restored';
export const SNAPSHOT = 'before_the_accident';

/** Partitions by frequency rank. */
export const PARTITIONS = [
  { name: 'common', below: 20_000 },
  { name: 'usual', below: 60_000 },
  { name: 'rare', below: Number.POSITIVE_INFINITY },
] as const;

export const partitionOf = (rank: number): string =>
  PARTITIONS.find(({ below }) => rank < below)?.name ?? 'rare';

export interface WordRow {
  [field: string]: string | number | number[] | { [key: string]: string[] | number | boolean };
  word: string;
  rank: number;
  length: number;
  first: string;
  vector: number[];
}

/** The row of one word; a pure function of the input, so that the proof needs no copy of what was stored. */
export function rowOf(words: Words, rank: number): WordRow {
  const word = words.words[rank] as string;
  return {
    word,
    rank,
    length: Math.min(127, [...word].length),
    first: [...word][0] as string,
    info: {
      vowels: (word.match(/[aeiou]/g) ?? []).length,
      letters: [...new Set(word)].slice(0, 5),
      even: rank % 2 === 0,
    },
    vector: [...words.vectors.subarray(rank * DIM, (rank + 1) * DIM)],
  };
}

/** Throws with the server's reason unless the status says success. */
export async function ok(
  call: Promise<{ error_code?: unknown; reason?: string; code?: number }>,
): Promise<void> {
  const status = await call;
  if (status.code !== 0 && String(status.error_code) !== 'Success')
    throw new Error(`the server answered ${String(status.error_code)} (${status.code}): ${status.reason}`);
}
