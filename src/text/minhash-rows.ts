/** The column that a MinHash function writes. */
import type { VectorColumn } from '../model/rows.ts';
import { ELEMENT_BITS, type MinHashRules, type Pieces, signatureInto } from './minhash.ts';
import type { RowTexts } from './row-texts.ts';
import type { Token } from './token.ts';

/** Of rows `from` to `to`. Elements are little-endian. */
export function signatureColumn(
  { textAt, analyzerAt }: RowTexts,
  rules: MinHashRules,
  from: number,
  to: number,
): VectorColumn {
  const { numHashes, tokenLevel } = rules;
  const elements = new Uint32Array((to - from) * numHashes);
  for (let row = from; row < to; row++) {
    const text = textAt(row);
    const pieces =
      tokenLevel === 'char' ? characters(text) : words(text === '' ? [] : analyzerAt(row).analyze(text));
    const first = (row - from) * numHashes;
    signatureInto(elements.subarray(first, first + numHashes), pieces, rules);
  }
  return {
    layout: 'vector',
    type: 'BinaryVector',
    dim: numHashes * ELEMENT_BITS,
    values: new Uint8Array(elements.buffer),
  };
}

/** Tokens with spaces in between. */
function words(tokens: readonly Token[]): Pieces {
  const starts = new Uint32Array(tokens.length);
  const ends = new Uint32Array(tokens.length);
  let length = 0;
  for (let i = 0; i < tokens.length; i++) {
    starts[i] = length;
    length += Buffer.byteLength((tokens[i] as Token).text);
    ends[i] = length++;
  }
  const bytes = Buffer.from(tokens.map(({ text }) => text).join(' '));
  return { bytes, starts, ends };
}

/** Code points. */
function characters(text: string): Pieces {
  const bytes = Buffer.from(text);
  const starts = new Uint32Array(bytes.length);
  let count = 0;
  for (let i = 0; i < bytes.length; i++) if (((bytes[i] as number) & 0xc0) !== 0x80) starts[count++] = i;
  const ends = starts.slice(1, count + 1);
  if (count > 0) ends[count - 1] = bytes.length;
  return { bytes, starts: starts.subarray(0, count), ends };
}
