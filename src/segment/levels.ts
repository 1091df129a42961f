/** Parquet definition and repetition levels: always one run, of equal values or bit-packed. Bit widths 1 and 2. */
import { damaged } from './damage.ts';

function varint(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) | 0x80);
  bytes.push(rest);
  return bytes;
}

/** One level per entry to Parquet's RLE/bit-packed hybrid. */
export function encodeLevels(levels: Uint8Array, bitWidth: 1 | 2): Uint8Array {
  const first = levels[0] ?? 0;
  if (levels.every((level) => level === first)) return Uint8Array.from([...varint(levels.length * 2), first]);
  const perByte = 8 / bitWidth;
  const groups = Math.ceil(levels.length / 8);
  const header = varint(groups * 2 + 1);
  const bytes = new Uint8Array(header.length + groups * bitWidth);
  bytes.set(header);
  for (let i = 0; i < levels.length; i++) {
    const at = header.length + Math.floor(i / perByte);
    bytes[at] = (bytes[at] as number) | ((levels[i] as number) << ((i % perByte) * bitWidth));
  }
  return bytes;
}

/** Throws `data-integrity` for anything but one run of `count` levels, none above `max`. */
export function decodeLevels(bytes: Uint8Array, count: number, bitWidth: 1 | 2, max: number): Uint8Array {
  let header = 0;
  let at = 0;
  for (let scale = 1, more = true; more; scale *= 0x80) {
    const byte = bytes[at++];
    if (byte === undefined || at > 5) throw damaged('levels');
    header += (byte & 0x7f) * scale;
    more = byte >= 0x80;
  }
  const run = Math.floor(header / 2);
  const levels =
    header % 2 === 0
      ? equalRun(bytes.subarray(at), run, count)
      : packedRun(bytes.subarray(at), run, count, bitWidth);
  if (levels.some((level) => level > max)) throw damaged('levels');
  return levels;
}

function equalRun(bytes: Uint8Array, run: number, count: number): Uint8Array {
  if (run !== count || bytes.length !== 1) throw damaged('levels');
  return new Uint8Array(count).fill(bytes[0] as number);
}

function packedRun(bytes: Uint8Array, groups: number, count: number, bitWidth: 1 | 2): Uint8Array {
  if (groups !== Math.ceil(count / 8) || bytes.length !== groups * bitWidth) throw damaged('levels');
  const perByte = 8 / bitWidth;
  const mask = 2 ** bitWidth - 1;
  const levels = new Uint8Array(count);
  for (let i = 0; i < count; i++)
    levels[i] = ((bytes[Math.floor(i / perByte)] as number) >> ((i % perByte) * bitWidth)) & mask;
  return levels;
}
