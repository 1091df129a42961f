/** Pure: what stands in the place of a null is no value and is not checked: empty text in JSON, NaN among numbers. */
import type { FixedValues } from '../../model/rows.ts';
import type { WireData, WireField } from './field-data-decode.ts';

/** The field without the values of its null rows, when it has any: as if the client had left them out. */
export function withoutNullRows(field: WireField): WireField {
  const { data, valid } = field;
  if (!valid.includes(0)) return field;
  if ('values' in data && data.kind !== 'vector' && data.values.length === valid.length)
    return { ...field, data: { ...data, values: keptValues(data.values, valid) } };
  if ('offsets' in data && data.kind !== 'array' && data.offsets.length === valid.length + 1)
    return { ...field, data: keptTexts(data, valid) };
  return field;
}

function keptValues(values: FixedValues, valid: Uint8Array): FixedValues {
  const kept = values.slice();
  let count = 0;
  for (let row = 0; row < valid.length; row++) if (valid[row] === 1) kept[count++] = values[row] as never;
  return kept.subarray(0, count);
}

type Texts = Extract<WireData, { readonly data: Uint8Array }>;

function keptTexts(texts: Texts, valid: Uint8Array): Texts {
  const { offsets, data } = texts;
  const ends = [0];
  const kept = new Uint8Array(data.length);
  for (let row = 0; row < valid.length; row++) {
    if (valid[row] !== 1) continue;
    const bytes = data.subarray(offsets[row], offsets[row + 1]);
    const start = ends[ends.length - 1] as number;
    kept.set(bytes, start);
    ends.push(start + bytes.length);
  }
  return { ...texts, offsets: Uint32Array.from(ends), data: kept.subarray(0, ends.at(-1)) };
}
