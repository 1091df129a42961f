/**
 * The image of an index while it is built: in its final form, but in the order rows are inserted in. Its sections are found by
 * `hnswLayout`.
 */

import { HNSW_MAX_LEVEL, type HnswHeader, hnswLayout, NO_ROW } from './hnsw-file.ts';
import { entryOf } from './hnsw-steps.ts';

/** Writes the levels and what follows from them, and leaves every list of links empty. */
export function writeLevels(image: Uint8Array, header: HnswHeader, levels: Uint8Array): void {
  const sections = hnswLayout(header);
  image.fill(0xff, sections.links0, sections.upperRefs);
  image.set(levels, sections.levels);
  const refs = wordsIn(image, sections.upperRefs, levels.length);
  let next = 0;
  levels.forEach((level, place) => {
    const inUpper = level > 0 && level <= HNSW_MAX_LEVEL;
    refs[place] = inUpper ? next : NO_ROW;
    if (inUpper) next += level;
  });
}

/** The finished image as bytes of its own, all but the header, and where searches begin. `rows`: the row at each place; absent: rows stand in order. */
export function finishImage(
  image: Uint8Array,
  header: HnswHeader,
  rows: Uint32Array | undefined,
): { readonly file: Uint8Array<ArrayBuffer>; readonly header: HnswHeader } {
  const { rowCount } = header;
  const { levels } = hnswLayout(header);
  const entry = entryOf(image.subarray(levels, levels + rowCount));
  const file = new Uint8Array(image);
  if (rows === undefined) return { file, header: { ...header, ...entry } };
  putInOrder(image, file, header, rows);
  const entryRow = entry.entryRow === undefined ? undefined : rows[entry.entryRow];
  return { file, header: { ...header, ...entry, entryRow } };
}

function putInOrder(image: Uint8Array, file: Uint8Array, header: HnswHeader, rows: Uint32Array): void {
  const { rowCount, M, upperCount } = header;
  const { links0, upper, upperRefs, levels } = hnswLayout(header);
  const width = 2 * M;
  const from = wordsIn(image, links0, rowCount * width);
  const to = wordsIn(file, links0, rowCount * width);
  const fromRefs = wordsIn(image, upperRefs, rowCount);
  const toRefs = wordsIn(file, upperRefs, rowCount);
  rows.forEach((row, place) => {
    file[levels + row] = image[levels + place] ?? 0;
    toRefs[row] = fromRefs[place] ?? NO_ROW;
    copyLinks(from, place * width, to, row * width, width, rows);
  });
  copyLinks(
    wordsIn(image, upper, upperCount * M),
    0,
    wordsIn(file, upper, upperCount * M),
    0,
    upperCount * M,
    rows,
  );
}

function copyLinks(
  from: Uint32Array,
  fromAt: number,
  to: Uint32Array,
  toAt: number,
  count: number,
  rows: Uint32Array,
): void {
  for (let i = 0; i < count; i++) {
    const place = from[fromAt + i] ?? NO_ROW;
    to[toAt + i] = place === NO_ROW ? NO_ROW : (rows[place] ?? NO_ROW);
  }
}

const wordsIn = (bytes: Uint8Array, section: number, length: number): Uint32Array =>
  new Uint32Array(bytes.buffer, bytes.byteOffset + section, length);
