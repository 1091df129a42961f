/**
 * The HNSW index file (docs/formats.md): a header and sections that are searched as they lie, without the vectors, which stay in
 * the segment's rows file. Numbers are little-endian. Nothing is believed before `checkHnsw` has seen it: the header, the
 * checksum, and every link, so that no file can lead a search out of its memory or round in circles.
 */

import { DbError } from '../errors/db-error.ts';
import { assert } from '../support/assert.ts';
import { crc32 } from '../support/crc32.ts';
import type { Kernels, ScratchLayout } from './kernels.ts';
import { MAX_DIM, type Metric, metricCode } from './metric.ts';

/** Links per row and level (twice as many on level 0), and the width of the search for them while building. */
export interface HnswParams {
  /** 2 to 2048. */
  readonly M: number;
  /** 1 to 32768. */
  readonly efConstruction: number;
}

export interface HnswHeader extends HnswParams {
  readonly rowCount: number;
  readonly dim: number;
  readonly metric: Metric;
  /** Row where searches begin; undefined when there are no rows. */
  readonly entryRow: number | undefined;
  readonly maxLevel: number;
  /** Link lists above level 0. */
  readonly upperCount: number;
  /** Whether rows identical to others were found; they are chained to the first instead of linked. */
  readonly hasChains: boolean;
}

/** Byte offsets of the sections from the start of the file; absent ones are undefined. */
export interface HnswLayout {
  readonly links0: number;
  readonly upper: number;
  readonly upperRefs: number;
  readonly norms: number | undefined;
  readonly chains: number | undefined;
  readonly levels: number;
  readonly totalBytes: number;
}

export const HNSW_MAX_M = 2048;
export const HNSW_MAX_EF = 32_768;
export const HNSW_MAX_LEVEL = 31;
/** No row, and the end of a list. */
export const NO_ROW = 0xffff_ffff;
export const HNSW_HEADER_BYTES = 128;

const MAGIC = Buffer.from('TDMHNSW\n', 'latin1');
const VERSION = 1;
const CRC_FROM = 16;
const SECTION_ALIGNMENT = 64;
const metrics: readonly Metric[] = ['L2', 'IP', 'COSINE'];

type LayoutShape = Pick<HnswHeader, 'rowCount' | 'M' | 'metric' | 'upperCount' | 'hasChains'>;

export function hnswLayout({ rowCount, M, metric, upperCount, hasChains }: LayoutShape): HnswLayout {
  let at = HNSW_HEADER_BYTES;
  const section = (bytes: number): number => {
    const start = at;
    at += Math.ceil(bytes / SECTION_ALIGNMENT) * SECTION_ALIGNMENT;
    return start;
  };
  return {
    links0: section(rowCount * 2 * M * 4),
    upper: section(upperCount * M * 4),
    upperRefs: section(rowCount * 4),
    norms: metric === 'COSINE' ? section(rowCount * 4) : undefined,
    chains: hasChains ? section(rowCount * 4) : undefined,
    levels: section(rowCount),
    totalBytes: at,
  };
}

/** Writes the header of a finished image, its checksum included. */
export function sealHnsw(image: Uint8Array, header: HnswHeader): void {
  const view = new DataView(image.buffer, image.byteOffset, image.byteLength);
  image.fill(0, 0, HNSW_HEADER_BYTES);
  image.set(MAGIC, 0);
  const words = [
    header.rowCount,
    header.dim,
    metricCode[header.metric],
    header.M,
    header.efConstruction,
    header.entryRow ?? NO_ROW,
    header.maxLevel,
    header.upperCount,
    header.hasChains ? 1 : 0,
  ];
  view.setUint32(8, VERSION, true);
  words.forEach((word, i) => {
    view.setUint32(CRC_FROM + i * 4, word, true);
  });
  view.setUint32(12, crc32(image.subarray(CRC_FROM)), true);
}

const damaged = (what: string): DbError => new DbError('data-integrity', `HNSW index file: ${what}`);

function check(condition: boolean, what: string): asserts condition {
  if (!condition) throw damaged(what);
}

/** Reads the header and checks everything but checksum and links. Throws `data-integrity`. */
export function readHnswHeader(image: Uint8Array): HnswHeader {
  check(image.byteLength >= HNSW_HEADER_BYTES, 'too short');
  check(MAGIC.equals(image.subarray(0, MAGIC.length)), 'not an HNSW index file');
  const view = new DataView(image.buffer, image.byteOffset, image.byteLength);
  const version = view.getUint32(8, true);
  check(version === VERSION, `version ${version} is not known`);
  const word = (i: number): number => view.getUint32(CRC_FROM + i * 4, true);
  const metric = metrics[word(2)];
  check(metric !== undefined, 'metric is not known');
  const entry = word(5);
  const header: HnswHeader = {
    rowCount: word(0),
    dim: word(1),
    metric,
    M: word(3),
    efConstruction: word(4),
    entryRow: entry === NO_ROW ? undefined : entry,
    maxLevel: word(6),
    upperCount: word(7),
    hasChains: word(8) === 1,
  };
  check(word(8) <= 1, 'flags are not known');
  check(header.dim >= 1 && header.dim <= MAX_DIM, 'dim is out of range');
  check(header.M >= 2 && header.M <= HNSW_MAX_M, 'M is out of range');
  check(header.maxLevel <= HNSW_MAX_LEVEL, 'level is out of range');
  check(header.rowCount > 0 === (header.entryRow !== undefined), 'entry row is wrong');
  check(header.entryRow === undefined || header.entryRow < header.rowCount, 'entry row is out of range');
  check(hnswLayout(header).totalBytes === image.byteLength, 'size does not fit the counts');
  return header;
}

/** Words of the table that the graph kernels read; see `use` in wasm/graph.ts. */
const TABLE_WORDS = 19;

export interface GraphPlace {
  /** Offsets within the memory: the rows' floats, and the image. */
  readonly vectorsOffset: number;
  readonly graphOffset: number;
}

export interface GraphScratch {
  readonly table: number;
  readonly results: number;
}

/** Scratch that `layGraph` takes. */
export const graphScratchBytes = (header: HnswHeader, resultLimit: number, candidateLimit: number): number =>
  (TABLE_WORDS + (2 * header.M + 8) * 2 + Math.ceil(header.rowCount / 32)) * 4 +
  (candidateLimit + resultLimit) * 8 +
  6 * 32;

/** Writes the kernels' table into scratch and takes the areas they work in. `heights`: of the rows, while building for IP. */
export function layGraph(
  kernels: Kernels,
  layout: ScratchLayout,
  header: HnswHeader,
  place: GraphPlace,
  limits: { readonly results: number; readonly candidates: number },
  heights = 0,
): GraphScratch {
  const sections = hnswLayout(header);
  const table = layout.take(TABLE_WORDS * 4);
  const results = layout.take(limits.results * 8);
  const inMemory = (offset: number | undefined) => (offset === undefined ? 0 : place.graphOffset + offset);
  kernels
    .words(table, TABLE_WORDS)
    .set([
      place.vectorsOffset,
      header.dim,
      metricCode[header.metric],
      header.rowCount,
      header.M,
      inMemory(sections.links0),
      inMemory(sections.upper),
      inMemory(sections.upperRefs),
      inMemory(sections.levels),
      sections.norms === undefined ? heights : inMemory(sections.norms),
      inMemory(sections.chains),
      header.entryRow ?? NO_ROW,
      header.maxLevel,
      layout.take(Math.ceil(header.rowCount / 32) * 4),
      layout.take(limits.candidates * 8),
      limits.candidates,
      results,
      layout.take((2 * header.M + 8) * 4),
      layout.take((2 * header.M + 8) * 4),
    ]);
  return { table, results };
}

/** As `metric` in the table: points of the grid instead of rows. */
const GRID = 3;

/** Turns a table to the points of the grid (wasm/grid.ts) at `offset`, `lanes` 16-bit numbers each. */
export function useGrid(kernels: Kernels, table: number, offset: number, lanes: number): void {
  const words = kernels.words(table, TABLE_WORDS);
  words.set([offset, lanes, GRID]);
  words[9] = 0;
}

/** What a file must agree with to be this segment's index. */
export type HnswExpectation = Pick<HnswHeader, 'rowCount' | 'dim' | 'metric'>;

const CRC_STEP_BYTES = 16 * 1024 * 1024;
const CHECK_STEP_LINKS = 4_000_000;

/**
 * Checks an image that lies in the kernels' memory, in steps of some milliseconds: a caller on the event loop lets others
 * run at each `yield`. Returns the header. Throws `data-integrity` for a damaged or foreign file. Needs `graphScratchBytes(header, 0, 0)`.
 */
export function* checkHnsw(
  kernels: () => Kernels,
  image: Uint8Array,
  graphOffset: number,
  expected: HnswExpectation,
): Generator<void, HnswHeader> {
  const header = readHnswHeader(image);
  check(
    header.rowCount === expected.rowCount,
    `holds ${header.rowCount} rows, the segment ${expected.rowCount}`,
  );
  check(header.dim === expected.dim, `dim ${header.dim}, the field has ${expected.dim}`);
  check(header.metric === expected.metric, `metric ${header.metric}, the index has ${expected.metric}`);
  let crc = 0;
  for (let at = CRC_FROM; at < image.byteLength; at += CRC_STEP_BYTES) {
    crc = crc32(image.subarray(at, at + CRC_STEP_BYTES), crc);
    yield;
  }
  const stored = new DataView(image.buffer, image.byteOffset).getUint32(12, true);
  check(crc === stored, 'checksum is wrong');
  if (header.entryRow === undefined) return header;
  const levels = image.subarray(hnswLayout(header).levels);
  check(levels[header.entryRow] === header.maxLevel, 'entry row is not on the top level');
  const step = Math.max(1, Math.floor(CHECK_STEP_LINKS / (2 * header.M)));
  for (let row = 0; row < header.rowCount; row += step) {
    // Others may use this thread's scratch between two steps.
    const now = kernels();
    const { table } = layGraph(
      now,
      now.layout(),
      header,
      { vectorsOffset: 0, graphOffset },
      { results: 0, candidates: 0 },
    );
    const to = Math.min(row + step, header.rowCount);
    check(
      now.run.checkGraph(table, row, to, header.upperCount) !== 0,
      `links of rows ${row} to ${to} lead astray`,
    );
    yield;
  }
  return header;
}

/** Throws `parameter-invalid`. */
export function checkHnswParams({ M, efConstruction }: HnswParams): void {
  const within = (value: number, low: number, high: number) =>
    Number.isInteger(value) && value >= low && value <= high;
  if (!within(M, 2, HNSW_MAX_M))
    throw new DbError('parameter-invalid', `M ${M} is not between 2 and ${HNSW_MAX_M}`);
  if (!within(efConstruction, 1, HNSW_MAX_EF))
    throw new DbError(
      'parameter-invalid',
      `efConstruction ${efConstruction} is not between 1 and ${HNSW_MAX_EF}`,
    );
}

/** Levels of `rowCount` rows, as the paper draws them. */
export function drawLevels(rowCount: number, M: number, next: () => number): Uint8Array {
  assert(M >= 2, 'M is at least 2');
  const scale = 1 / Math.log(M);
  return Uint8Array.from({ length: rowCount }, () =>
    Math.min(HNSW_MAX_LEVEL, Math.floor(-Math.log(1 - next()) * scale)),
  );
}
