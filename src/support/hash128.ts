/** Tells different contents apart; no protection against somebody who looks for two with the same hash. */

const C1 = 0x239b961b;
const C2 = 0xab0e9789;
const C3 = 0x38b34ae5;
const C4 = 0xa1e38b93;

const rotate = (value: number, by: number): number => (value << by) | (value >>> (32 - by));

function finish(value: number): number {
  let h = value;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}

/** 128 bits of hash, as four words into `into`. Source: A. Appleby, MurmurHash3_x86_128 with seed 0, for whole words only. */
export function hash128(words: Uint32Array, into: Uint32Array): void {
  let h1 = 0;
  let h2 = 0;
  let h3 = 0;
  let h4 = 0;
  const mix = (k: number, c: number, by: number, d: number) => Math.imul(rotate(Math.imul(k, c), by), d);
  const { length } = words;
  const whole = length - (length % 4);
  for (let i = 0; i < whole; i += 4) {
    h1 ^= mix(words[i] as number, C1, 15, C2);
    h1 = (Math.imul(rotate(h1, 19) + h2, 5) + 0x561ccd1b) | 0;
    h2 ^= mix(words[i + 1] as number, C2, 16, C3);
    h2 = (Math.imul(rotate(h2, 17) + h3, 5) + 0x0bcaa747) | 0;
    h3 ^= mix(words[i + 2] as number, C3, 17, C4);
    h3 = (Math.imul(rotate(h3, 15) + h4, 5) + 0x96cd1c35) | 0;
    h4 ^= mix(words[i + 3] as number, C4, 18, C1);
    h4 = (Math.imul(rotate(h4, 13) + h1, 5) + 0x32ac3b17) | 0;
  }
  const tail = length % 4;
  if (tail > 2) h3 ^= mix(words[whole + 2] as number, C3, 17, C4);
  if (tail > 1) h2 ^= mix(words[whole + 1] as number, C2, 16, C3);
  if (tail > 0) h1 ^= mix(words[whole] as number, C1, 15, C2);
  const bytes = length * 4;
  h1 ^= bytes;
  h2 ^= bytes;
  h3 ^= bytes;
  h4 ^= bytes;
  h1 = (h1 + h2 + h3 + h4) | 0;
  h2 = (h2 + h1) | 0;
  h3 = (h3 + h1) | 0;
  h4 = (h4 + h1) | 0;
  h1 = finish(h1);
  h2 = finish(h2);
  h3 = finish(h3);
  h4 = finish(h4);
  h1 = (h1 + h2 + h3 + h4) | 0;
  into[0] = h1;
  into[1] = h2 + h1;
  into[2] = h3 + h1;
  into[3] = h4 + h1;
}
