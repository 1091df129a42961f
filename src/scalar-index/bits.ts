/** Row sets: bit `i` of a set is bit `i & 31` of word `i >>> 5`. Bits beyond the last row are 0. */
export const wordsFor = (rows: number): number => (rows + 31) >>> 5;

/** Every row. */
export function allRows(rowCount: number): Uint32Array<ArrayBuffer> {
  const words = new Uint32Array(wordsFor(rowCount)).fill(0xffff_ffff);
  const rest = rowCount & 31;
  if (rest !== 0) words[words.length - 1] = (1 << rest) - 1;
  return words;
}

export function setBit(words: Uint32Array, row: number): void {
  words[row >>> 5] = (words[row >>> 5] as number) | (1 << (row & 31));
}

/** What is in `words` and not in `other`. */
export function without(words: Uint32Array, other: Uint32Array): Uint32Array<ArrayBuffer> {
  const left = new Uint32Array(words.length);
  for (let i = 0; i < left.length; i++) left[i] = (words[i] as number) & ~(other[i] as number);
  return left;
}
