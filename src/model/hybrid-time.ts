import type { Brand } from '../support/brand.ts';

/**
 * Milvus hybrid timestamp: 46 bits of milliseconds since the Unix epoch, then an 18-bit counter. Compares like time and
 * orders every write. Fits a signed 64-bit integer.
 */
export type HybridTime = Brand<bigint, 'HybridTime'>;

const COUNTER_BITS = 18n;

export const hybridTime = (ms: number, counter = 0): HybridTime =>
  ((BigInt(ms) << COUNTER_BITS) | BigInt(counter)) as HybridTime;

/** The wall-clock part, milliseconds since the Unix epoch. */
export const physicalMs = (time: HybridTime): number => Number(time >> COUNTER_BITS);
