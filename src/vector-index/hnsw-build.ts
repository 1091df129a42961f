/** Building an HNSW index file. Takes the thread for as long as it lasts: run it in a worker. */

import { DbError } from '../errors/db-error.ts';
import { assert } from '../support/assert.ts';
import { type Random, seededRandom } from '../support/random.ts';
import {
  checkHnswParams,
  drawLevels,
  graphScratchBytes,
  HNSW_MAX_LEVEL,
  type HnswHeader,
  type HnswParams,
  hnswLayout,
  layGraph,
  NO_ROW,
  sealHnsw,
} from './hnsw-file.ts';
import { Kernels, MAX_MEMORY_BYTES, newMemory, SLACK_BYTES } from './kernels.ts';
import { MAX_DIM, type Metric } from './metric.ts';

export interface BuildHnswInput {
  /** `dim` floats a row; not changed. May lie in shared memory. */
  readonly vectors: Float32Array;
  readonly dim: number;
  readonly metric: Metric;
  readonly params: HnswParams;
  /** Draws the levels. The same generator, vectors and parameters give the same bytes. */
  readonly random?: Random;
  /** Called every few milliseconds with the rows done; false ends the build with `cancelled`. */
  readonly onProgress?: (rowsDone: number) => boolean;
}

const LEVEL_SEED = 20;
const align = (value: number): number => Math.ceil(value / 64) * 64;

/** The index file as bytes of its own. Throws `parameter-invalid`, `resource-exhausted`, `cancelled`. */
export function buildHnsw(input: BuildHnswInput): Uint8Array<ArrayBuffer> {
  const { dim, params } = input;
  checkHnswParams(params);
  if (!(Number.isInteger(dim) && dim >= 1 && dim <= MAX_DIM))
    throw new DbError('parameter-invalid', `dim ${dim}`);
  const rowCount = input.vectors.length / dim;
  assert(Number.isInteger(rowCount), 'vectors are whole rows');
  const random = input.random ?? seededRandom(LEVEL_SEED);
  const levels = drawLevels(rowCount, params.M, () => random.next());
  const build = new Build({ ...input, rowCount, levels });
  return build.run(input.onProgress ?? (() => true));
}

interface BuildSize {
  readonly vectors: Float32Array;
  readonly dim: number;
  readonly metric: Metric;
  readonly params: HnswParams;
  readonly rowCount: number;
  readonly levels: Uint8Array;
}

/** One memory: vectors, then the image in its final form, then scratch. */
class Build {
  readonly #size: BuildSize;
  readonly #vectorsAt = 64;
  readonly #kernels: Kernels;
  #header: HnswHeader;
  #imageAt = 0;

  constructor(size: BuildSize) {
    this.#size = size;
    const { rowCount, params, levels } = size;
    this.#header = {
      ...params,
      rowCount,
      dim: size.dim,
      metric: size.metric,
      entryRow: undefined,
      maxLevel: 0,
      // An upper bound until duplicates are known.
      upperCount: levels.reduce((sum, level) => sum + level, 0),
      hasChains: true,
    };
    this.#imageAt = align(this.#vectorsAt + size.vectors.byteLength + SLACK_BYTES);
    const scratchAt = this.#imageAt + hnswLayout(this.#header).totalBytes;
    const scratchBytes = this.#scratchBytes();
    const total = scratchAt + scratchBytes + SLACK_BYTES;
    if (total > MAX_MEMORY_BYTES)
      throw new DbError(
        'resource-exhausted',
        `an HNSW index of ${rowCount} rows needs ${total} bytes at once`,
      );
    let memory: ReturnType<typeof newMemory>;
    try {
      memory = newMemory(total, total);
    } catch (cause) {
      throw new DbError('resource-exhausted', `no memory for building an index: ${total} bytes`, { cause });
    }
    this.#kernels = new Kernels(memory, { byteOffset: scratchAt, byteLength: scratchBytes });
    this.#kernels.floats(this.#vectorsAt, size.vectors.length).set(size.vectors);
  }

  #slotCount(): number {
    return 2 ** Math.ceil(Math.log2(this.#size.rowCount * 2 + 2));
  }

  #scratchBytes(): number {
    const { rowCount, params } = this.#size;
    const choosing = (2 * params.M + 8) * 12 + 64;
    const inserting =
      graphScratchBytes(this.#header, params.efConstruction, this.#candidateLimit()) +
      choosing +
      rowCount * 4 +
      32;
    const chaining = this.#slotCount() * 4 + rowCount * 5 + 128;
    return align(Math.max(inserting, chaining));
  }

  #candidateLimit(): number {
    return this.#size.rowCount + 2 * this.#size.params.M;
  }

  run(onProgress: (rowsDone: number) => boolean): Uint8Array<ArrayBuffer> {
    const { levels, chains, duplicates } = this.#chain();
    const upperCount = levels.reduce((sum, level) => sum + (level > HNSW_MAX_LEVEL ? 0 : level), 0);
    this.#header = { ...this.#header, upperCount, hasChains: duplicates > 0 };
    const layout = hnswLayout(this.#header);
    const { rowCount } = this.#size;
    const image = new Uint8Array(this.#kernels.memory.buffer, this.#imageAt, layout.totalBytes);
    image.fill(0);
    image.fill(0xff, layout.links0, layout.upperRefs);
    image.set(levels, layout.levels);
    if (layout.chains !== undefined) this.#kernels.words(this.#imageAt + layout.chains, rowCount).set(chains);
    this.#fillUpperRefs(layout.upperRefs, levels);
    if (layout.norms !== undefined)
      this.#kernels.run.writeInverseNorms(
        this.#vectorsAt,
        this.#size.dim,
        rowCount,
        this.#imageAt + layout.norms,
      );
    this.#insert(onProgress);
    const file = image.slice();
    sealHnsw(file, this.#header);
    return new Uint8Array(file.buffer as unknown as ArrayBuffer);
  }

  /** Levels and chains with rows identical to earlier ones taken out of the graph. */
  #chain(): { readonly levels: Uint8Array; readonly chains: Uint32Array; readonly duplicates: number } {
    const { rowCount, levels, dim } = this.#size;
    const scratch = this.#kernels.layout();
    const slotCount = this.#slotCount();
    const slots = scratch.take(slotCount * 4);
    const chains = scratch.take(rowCount * 4);
    const levelsAt = scratch.take(rowCount);
    this.#kernels.words(slots, slotCount).fill(NO_ROW);
    const inMemory = new Uint8Array(this.#kernels.memory.buffer, levelsAt, rowCount);
    inMemory.set(levels);
    const { run } = this.#kernels;
    const duplicates = run.chainDuplicates(
      this.#vectorsAt,
      dim,
      rowCount,
      levelsAt,
      chains,
      slots,
      slotCount - 1,
    );
    return { levels: inMemory.slice(), chains: this.#kernels.words(chains, rowCount).slice(), duplicates };
  }

  #fillUpperRefs(section: number, levels: Uint8Array): void {
    const refs = this.#kernels.words(this.#imageAt + section, levels.length);
    let next = 0;
    levels.forEach((level, row) => {
      const inUpper = level > 0 && level <= HNSW_MAX_LEVEL;
      refs[row] = inUpper ? next : NO_ROW;
      if (inUpper) next += level;
    });
  }

  /** sqrt(R^2 - |row|^2), R the length of the longest row; see `keysOf4` in wasm/graph.ts. */
  #writeHeights(at: number): void {
    const { rowCount, dim } = this.#size;
    this.#kernels.run.writeInverseNorms(this.#vectorsAt, dim, rowCount, at);
    const heights = this.#kernels.floats(at, rowCount);
    // A row that is not finite has an inverse of 0 or NaN; it is not in the graph.
    const square = (inverse: number): number => (inverse > 0 ? 1 / (inverse * inverse) : 0);
    const longest = heights.reduce((most, inverse) => Math.max(most, square(inverse)), 0);
    heights.forEach((inverse, row) => {
      heights[row] = Math.sqrt(longest - square(inverse));
    });
  }

  #insert(onProgress: (rowsDone: number) => boolean): void {
    const { rowCount, params } = this.#size;
    const scratch = this.#kernels.layout();
    const place = { vectorsOffset: this.#vectorsAt, graphOffset: this.#imageAt };
    const limits = { results: params.efConstruction, candidates: this.#candidateLimit() };
    const heights = this.#size.metric === 'IP' ? scratch.take(rowCount * 4) : 0;
    if (heights !== 0) this.#writeHeights(heights);
    const { table } = layGraph(this.#kernels, scratch, this.#header, place, limits, heights);
    const sorted = scratch.take((2 * params.M + 8) * 8);
    const chosen = scratch.take((2 * params.M + 8) * 4);
    for (let row = 0; row < rowCount; row += ROWS_PER_STEP) {
      if (!onProgress(row)) throw new DbError('cancelled', 'the index build was cancelled');
      const end = Math.min(row + ROWS_PER_STEP, rowCount);
      this.#kernels.run.insertRows(table, row, end, params.efConstruction, sorted, chosen);
    }
    const [entryRow, maxLevel] = this.#kernels.words(table + 44, 2);
    this.#header = {
      ...this.#header,
      entryRow: entryRow === NO_ROW ? undefined : entryRow,
      maxLevel: maxLevel ?? 0,
    };
  }
}

const ROWS_PER_STEP = 32;
