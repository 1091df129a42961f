import { randomBytes, randomInt } from 'node:crypto';
import type { Random } from './random.ts';

/** Chance from the operating system. */
export const systemRandom: Random = {
  next: () => randomBytes(4).readUInt32LE() / 0x1_0000_0000,
  below: (bound) => randomInt(bound),
  positiveInt64() {
    const value = randomBytes(8).readBigUInt64LE() & 0x7fff_ffff_ffff_ffffn;
    return value === 0n ? 1n : value;
  },
};
