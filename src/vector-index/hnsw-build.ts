/** Building an HNSW index file. Takes the thread for as long as it lasts: run it in a worker. Other threads may help (hnsw-crew.ts). */

import { setImmediate } from 'node:timers/promises';
import { DbError } from '../errors/db-error.ts';
import { assert } from '../support/assert.ts';
import { type Random, seededRandom } from '../support/random.ts';
import {
  BuildCrew,
  CONTROL_BYTES,
  callHelpers,
  choiceBytes,
  type Helpers,
  type SharedBuild,
} from './hnsw-crew.ts';
import {
  checkHnswParams,
  drawLevels,
  graphScratchBytes,
  HNSW_MAX_LEVEL,
  type HnswHeader,
  type HnswParams,
  hnswLayout,
  NO_ROW,
  sealHnsw,
} from './hnsw-file.ts';
import { gridLanes, writeGrid } from './hnsw-grid.ts';
import { buildSteps, entryOf, mostLists, ROWS_PER_STEP } from './hnsw-steps.ts';
import {
  Kernels,
  MAX_MEMORY_BYTES,
  newMemory,
  pieceBytes,
  type Scratch,
  SLACK_BYTES,
  type WasmMemory,
} from './kernels.ts';
import { MAX_DIM, type Metric } from './metric.ts';

export interface HnswShape {
  readonly rowCount: number;
  readonly dim: number;
  readonly metric: Metric;
  readonly params: HnswParams;
  /** Draws the levels. The same generator, vectors and parameters give the same bytes, however many threads build. */
  readonly random?: Random;
}

/** Called before and after every step with the rows done, again from 0 when the grid was too coarse; false ends the build with `cancelled`. */
export type OnProgress = (rowsDone: number) => boolean;

export interface BuildHnswInput extends Omit<HnswShape, 'rowCount'> {
  /** `dim` floats a row; not changed. May lie in shared memory. */
  readonly vectors: Float32Array;
  readonly onProgress?: OnProgress;
}

const LEVEL_SEED = 20;
/** Rows after which a share of blurred ones says something. */
const MIN_JUDGED_ROWS = 1024;
/** One blurred row in so many is let pass. */
const MAX_BLURRED = 32;
const align = (value: number): number => Math.ceil(value / 64) * 64;

/** The index file as bytes of its own. Throws `parameter-invalid`, `resource-exhausted`, `cancelled`. */
export function buildHnsw({ vectors, onProgress, ...shape }: BuildHnswInput): Uint8Array<ArrayBuffer> {
  const rowCount = vectors.length / shape.dim;
  assert(Number.isInteger(rowCount), 'vectors are whole rows');
  const build = new HnswBuild({ ...shape, rowCount });
  build.vectors.set(vectors);
  return build.run(onProgress);
}

/** One memory: vectors, then the image in its final form, then scratch. */
export class HnswBuild {
  /** To be filled before the build is run: `dim` floats a row. */
  readonly vectors: Float32Array<SharedArrayBuffer>;
  readonly #shape: HnswShape;
  readonly #drawn: Uint8Array;
  readonly #vectorsAt = 64;
  readonly #imageAt: number;
  readonly #hands: number;
  readonly #lanes: number | undefined;
  readonly #kernels: Kernels;
  #header: HnswHeader;

  /** `helpers`: threads that may take part, beside the one that calls. Throws `parameter-invalid`, `resource-exhausted`. */
  constructor(shape: HnswShape, helpers = 0) {
    const { rowCount, dim, metric, params } = shape;
    checkHnswParams(params);
    if (!(Number.isInteger(dim) && dim >= 1 && dim <= MAX_DIM))
      throw new DbError('parameter-invalid', `dim ${dim}`);
    this.#shape = shape;
    this.#hands = helpers + 1;
    const random = shape.random ?? seededRandom(LEVEL_SEED);
    this.#drawn = drawLevels(rowCount, params.M, () => random.next());
    this.#header = {
      ...params,
      rowCount,
      dim,
      metric,
      entryRow: undefined,
      maxLevel: 0,
      // An upper bound until duplicates are known.
      upperCount: this.#drawn.reduce((sum, level) => sum + level, 0),
      hasChains: true,
    };
    this.#imageAt = align(this.#vectorsAt + rowCount * dim * 4 + SLACK_BYTES);
    const scratchAt = this.#imageAt + hnswLayout(this.#header).totalBytes;
    const sizeWith = (lanes: number | undefined) => scratchAt + this.#scratchBytes(lanes) + SLACK_BYTES;
    const lanes = gridLanes(shape);
    // A build without the grid is slower, one that does not fit into a memory is none.
    this.#lanes = sizeWith(lanes) > MAX_MEMORY_BYTES ? undefined : lanes;
    const memory = memoryOf(sizeWith(this.#lanes), rowCount);
    const scratch = { byteOffset: scratchAt, byteLength: this.#scratchBytes(this.#lanes) };
    this.#kernels = new Kernels(memory, scratch);
    this.vectors = this.#kernels.floats(this.#vectorsAt, rowCount * dim) as Float32Array<SharedArrayBuffer>;
  }

  /** Builds on this thread. Returns the index file as bytes of its own. Throws `cancelled`. Only once. */
  run(onProgress: OnProgress = () => true): Uint8Array<ArrayBuffer> {
    const levels = this.#prepare();
    const { build, hands } = this.#lay();
    const crew = new BuildCrew(build, this.#kernels.withScratch(hands[0] as Scratch), () => undefined);
    for (const _ of this.#insert(crew, levels, onProgress))
      assert(false, 'nobody else keeps a build waiting');
    return this.#seal(levels);
  }

  /** The same bytes with help of other threads. Throws `internal` too, when one of them fails. */
  async runWith(helpers: Helpers, onProgress: OnProgress = () => true): Promise<Uint8Array<ArrayBuffer>> {
    const levels = this.#prepare();
    const { build, hands } = this.#lay();
    let failure: unknown;
    const own = this.#kernels.withScratch(hands[0] as Scratch);
    const crew = new BuildCrew(build, own, () => failure);
    const tasks = hands.slice(1, helpers.count + 1).map((scratch) => ({ build, scratch }));
    const help = callHelpers(helpers, tasks, (error) => {
      failure ??= error;
    });
    try {
      for (const _ of this.#insert(crew, levels, onProgress)) await setImmediate();
    } finally {
      crew.end();
      await help;
    }
    return this.#seal(levels);
  }

  #slotCount(): number {
    return 2 ** Math.ceil(Math.log2(this.#shape.rowCount * 2 + 2));
  }

  #candidateLimit(): number {
    return this.#shape.rowCount + 2 * this.#shape.params.M;
  }

  #handBytes(): number {
    const { params } = this.#shape;
    return (
      graphScratchBytes(this.#header, params.efConstruction, this.#candidateLimit()) +
      2 * pieceBytes(choiceBytes(params.M))
    );
  }

  /** What is taken of the scratch area while rows are inserted, in this order. */
  #sizes(lanes: number | undefined) {
    const { rowCount, dim, metric, params } = this.#shape;
    return {
      grid: lanes === undefined ? 0 : rowCount * lanes * 2,
      mean: (dim + 8) * 4,
      heights: metric === 'IP' ? rowCount * 4 : 0,
      control: CONTROL_BYTES,
      slots: ROWS_PER_STEP * 4,
      proposals: mostLists(this.#drawn) * params.M * 4,
      hand: this.#handBytes(),
    };
  }

  #scratchBytes(lanes: number | undefined): number {
    const { hand, ...once } = this.#sizes(lanes);
    const inserting =
      Object.values(once).reduce((sum, bytes) => sum + pieceBytes(bytes), 0) + this.#hands * pieceBytes(hand);
    const chaining = this.#slotCount() * 4 + this.#shape.rowCount * 5 + 128;
    return align(Math.max(inserting, chaining));
  }

  /** The image without its links; the levels with rows identical to earlier ones taken out. */
  #prepare(): Uint8Array {
    const { levels, chains, duplicates } = this.#chain();
    const upperCount = levels.reduce((sum, level) => sum + (level > HNSW_MAX_LEVEL ? 0 : level), 0);
    this.#header = { ...this.#header, upperCount, hasChains: duplicates > 0 };
    const layout = hnswLayout(this.#header);
    const { rowCount, dim } = this.#shape;
    const image = this.#image();
    image.fill(0);
    image.set(levels, layout.levels);
    if (layout.chains !== undefined) this.#kernels.words(this.#imageAt + layout.chains, rowCount).set(chains);
    this.#fillUpperRefs(layout.upperRefs, levels);
    if (layout.norms !== undefined)
      this.#kernels.run.writeInverseNorms(this.#vectorsAt, dim, rowCount, this.#imageAt + layout.norms);
    return levels;
  }

  #image(): Uint8Array {
    return this.#kernels.bytes(this.#imageAt, hnswLayout(this.#header).totalBytes);
  }

  #seal(levels: Uint8Array): Uint8Array<ArrayBuffer> {
    this.#header = { ...this.#header, ...entryOf(levels) };
    const file = new Uint8Array(this.#image());
    sealHnsw(file, this.#header);
    return file;
  }

  #chain(): { readonly levels: Uint8Array; readonly chains: Uint32Array; readonly duplicates: number } {
    const { rowCount, dim } = this.#shape;
    const scratch = this.#kernels.layout();
    const slotCount = this.#slotCount();
    const slots = scratch.take(slotCount * 4);
    const chains = scratch.take(rowCount * 4);
    const levelsAt = scratch.take(rowCount);
    this.#kernels.words(slots, slotCount).fill(NO_ROW);
    const inMemory = this.#kernels.bytes(levelsAt, rowCount);
    inMemory.set(this.#drawn);
    const duplicates = this.#kernels.run.chainDuplicates(
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
    const { rowCount, dim } = this.#shape;
    this.#kernels.run.writeInverseNorms(this.#vectorsAt, dim, rowCount, at);
    const heights = this.#kernels.floats(at, rowCount);
    // A row that is not finite has an inverse of 0 or NaN; it is not in the graph.
    const square = (inverse: number): number => (inverse > 0 ? 1 / (inverse * inverse) : 0);
    const longest = heights.reduce((most, inverse) => Math.max(most, square(inverse)), 0);
    heights.forEach((inverse, row) => {
      heights[row] = Math.sqrt(longest - square(inverse));
    });
  }

  /** Lays out the scratch area for inserting, and fills what is the same for all of it. */
  #lay(): { readonly build: SharedBuild; readonly hands: readonly Scratch[] } {
    const { dim, rowCount } = this.#shape;
    const sizes = this.#sizes(this.#lanes);
    const layout = this.#kernels.layout();
    const offset = layout.take(sizes.grid);
    const mean = layout.take(sizes.mean);
    const heightsAt = layout.take(sizes.heights);
    const heights = sizes.heights === 0 ? 0 : heightsAt;
    if (heights !== 0) this.#writeHeights(heights);
    const sections = hnswLayout(this.#header);
    const inImage = (section: number | undefined) => (section === undefined ? 0 : this.#imageAt + section);
    const isGridded =
      this.#lanes !== undefined &&
      writeGrid(this.#kernels, {
        vectors: this.#vectorsAt,
        dim,
        rowCount,
        levels: inImage(sections.levels),
        inverses: inImage(sections.norms),
        heights,
        mean,
        offset,
        lanes: this.#lanes,
      });
    const build = {
      memory: this.#kernels.memory,
      header: this.#header,
      place: { vectorsOffset: this.#vectorsAt, graphOffset: this.#imageAt },
      candidates: this.#candidateLimit(),
      heights,
      grid: isGridded && this.#lanes !== undefined ? { offset, lanes: this.#lanes } : undefined,
      control: layout.take(sizes.control),
      slots: layout.take(sizes.slots),
      proposals: layout.take(sizes.proposals),
    };
    const hands = Array.from({ length: this.#hands }, () => ({
      byteOffset: layout.take(sizes.hand),
      byteLength: sizes.hand,
    }));
    return { build, hands };
  }

  /** By the grid; by the vectors themselves when there is none, or when it turns out too coarse for these rows. */
  *#insert(crew: BuildCrew, levels: Uint8Array, onProgress: OnProgress): Generator<void> {
    if (crew.hasGrid && (yield* this.#insertBy('grid', crew, levels, onProgress))) return;
    yield* this.#insertBy('vectors', crew, levels, onProgress);
  }

  /** False: too many rows have neighbours that the grid does not tell apart. */
  *#insertBy(
    what: 'grid' | 'vectors',
    crew: BuildCrew,
    levels: Uint8Array,
    onProgress: OnProgress,
  ): Generator<void, boolean> {
    const { links0, upperRefs } = hnswLayout(this.#header);
    this.#image().fill(0xff, links0, upperRefs);
    crew.begin(what === 'grid');
    const tell = (rowsDone: number): void => {
      if (!onProgress(rowsDone)) throw new DbError('cancelled', 'the index build was cancelled');
    };
    tell(0);
    for (const step of buildSteps(levels)) {
      yield* crew.step(levels, step);
      tell(step.to);
      if (crew.blurred * MAX_BLURRED > Math.max(step.to, MIN_JUDGED_ROWS)) return false;
    }
    return true;
  }
}

function memoryOf(bytes: number, rowCount: number): WasmMemory {
  const needs = `an HNSW index of ${rowCount} rows needs ${bytes} bytes at once`;
  if (bytes > MAX_MEMORY_BYTES) throw new DbError('resource-exhausted', needs);
  try {
    return newMemory(bytes, bytes);
  } catch (cause) {
    throw new DbError('resource-exhausted', `no memory: ${needs}`, { cause });
  }
}
