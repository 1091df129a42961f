/**
 * Vectors of half floats and small integers are searched as the floats they stand for. Every one of their numbers is a 32-bit float, so
 * the way back gives the same bits.
 */
import type { VectorType } from './schema.ts';

/** Dense vectors of numbers. */
export type NumberVectorType = Exclude<VectorType, 'BinaryVector'>;
/** Their values where they are kept. */
export type NumberValues = Float32Array | Uint16Array | Int8Array;

let halves: Float32Array | undefined;

/** The floats of all 16-bit patterns. */
function halfFloats(): Float32Array {
  halves ??= Float32Array.from({ length: 0x10000 }, (_, bits) => {
    const sign = bits & 0x8000 ? -1 : 1;
    const exponent = (bits >>> 10) & 31;
    const fraction = bits & 0x3ff;
    if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
    return sign * (exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15));
  });
  return halves;
}

/** The floats of `source`, one each, into `target`. */
export function widen(type: NumberVectorType, source: NumberValues, target: Float32Array): void {
  switch (type) {
    case 'FloatVector':
    case 'Int8Vector':
      target.set(source);
      return;
    case 'Float16Vector': {
      const floats = halfFloats();
      for (let i = 0; i < source.length; i++) target[i] = floats[source[i] as number] as number;
      return;
    }
    case 'BFloat16Vector': {
      const words = new Uint32Array(target.buffer, target.byteOffset, source.length);
      for (let i = 0; i < source.length; i++) words[i] = (source[i] as number) << 16;
    }
  }
}

/** What `widen` made the floats of, into `target`. */
export function narrow(type: NumberVectorType, source: Float32Array, target: NumberValues): void {
  switch (type) {
    case 'FloatVector':
    case 'Int8Vector':
      target.set(source);
      return;
    case 'Float16Vector': {
      const words = new Uint32Array(source.buffer, source.byteOffset, source.length);
      for (let i = 0; i < words.length; i++) target[i] = halfOf(words[i] as number);
      return;
    }
    case 'BFloat16Vector': {
      const words = new Uint32Array(source.buffer, source.byteOffset, source.length);
      for (let i = 0; i < words.length; i++) target[i] = (words[i] as number) >>> 16;
    }
  }
}

/** The half float of a 32-bit float's bits that is equal to it. */
function halfOf(bits: number): number {
  const sign = (bits >>> 16) & 0x8000;
  const exponent = ((bits >>> 23) & 0xff) - 112;
  const fraction = bits & 0x7f_ffff;
  if (exponent >= 31) return sign | 0x7c00 | (fraction >>> 13);
  if (exponent > 0) return sign | (exponent << 10) | (fraction >>> 13);
  if (exponent < -10) return sign;
  return sign | ((fraction | 0x80_0000) >>> (14 - exponent));
}
