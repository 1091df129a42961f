/** The only source of chance. Everything random in the product is drawn from one of these. */
export interface Random {
  /** A float in [0, 1). */
  next(): number;
  /** An integer in [0, bound). `bound` is a positive integer. */
  below(bound: number): number;
  /** A positive 63-bit integer, never 0. */
  positiveInt64(): bigint;
}

/** A small seeded generator: same seed, same sequence. Source: sfc32, Chris Doty-Humphrey's PractRand. */
export function seededRandom(seed: number): Random {
  let a = 0x9e3779b9;
  let b = 0x243f6a88;
  let c = seed >>> 0;
  let counter = 1;
  const next32 = (): number => {
    const result = (((a + b) >>> 0) + counter) >>> 0;
    counter = (counter + 1) >>> 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) >>> 0;
    c = (((c << 21) | (c >>> 11)) + result) >>> 0;
    return result;
  };
  for (let i = 0; i < 12; i++) next32();
  return {
    next: () => next32() / 0x1_0000_0000,
    below: (bound) => Math.floor((next32() / 0x1_0000_0000) * bound),
    positiveInt64() {
      const value = ((BigInt(next32()) << 32n) | BigInt(next32())) & 0x7fff_ffff_ffff_ffffn;
      return value === 0n ? 1n : value;
    },
  };
}
