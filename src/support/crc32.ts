import zlib from 'node:zlib';

/** CRC-32 (zlib polynomial), continued from `seed`. Unsigned. */
export const crc32 = (bytes: Uint8Array, seed = 0): number => zlib.crc32(bytes, seed);
