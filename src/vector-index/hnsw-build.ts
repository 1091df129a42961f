/** Building an HNSW index file. Takes the thread for as long as it lasts: run it in a worker. Other threads may help (hnsw-crew.ts). */

import { setImmediate } from 'node:timers/promises';
import { DbError } from '../errors/db-error.ts';
import { assert } from '../support/assert.ts';
import { type Random, seededRandom } from '../support/random.ts';
import { chainRows, chainScratchBytes } from './hnsw-chains.ts';
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
  sealHnsw,
} from './hnsw-file.ts';
import { gridBytes, gridLanes, writeGrid } from './hnsw-grid.ts';
import { finishImage, writeLevels } from './hnsw-image.ts';
import { buildSteps, MAX_STEP_ROWS, mostLists } from './hnsw-steps.ts';
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
const NO_GRID = { points: 0, rows: 0, mean: 0, pivots: 0, nearests: 0 };
const align = (value: number): number => Math.ceil(value / 64) * 64;

/** The index file as bytes of its own. Throws `parameter-invalid`, `resource-exhausted`, `cancelled`. */
export function buildHnsw({ vectors, onProgress, ...shape }: BuildHnswInput): Uint8Array<ArrayBuffer> {
  const rowCount = vectors.length / shape.dim;
  assert(Number.isInteger(rowCount), 'vectors are whole rows');
  const build = new HnswBuild({ ...shape, rowCount });
  build.vectors.set(vectors);
  return build.run(onProgress);
}

type GridAreas = Readonly<Record<keyof typeof NO_GRID, number>>;

interface LaidBuild {
  readonly build: SharedBuild;
  readonly levels: Uint8Array;
  /** The row at each place of the grid; undefined: there is no grid. */
  readonly rows: Uint32Array | undefined;
  readonly own: Scratch;
  readonly others: readonly Scratch[];
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
    const laid = this.#lay(this.#prepare());
    const crew = new BuildCrew(laid.build, this.#kernels.withScratch(laid.own), () => undefined);
    const inserting = this.#insert(crew, laid, onProgress);
    const { done, value } = inserting.next();
    assert(done === true, 'nobody else keeps a build waiting');
    return this.#seal(value);
  }

  /** The same bytes with help of other threads. Throws `internal` too, when one of them fails. */
  async runWith(helpers: Helpers, onProgress: OnProgress = () => true): Promise<Uint8Array<ArrayBuffer>> {
    const laid = this.#lay(this.#prepare());
    const { build } = laid;
    let failure: unknown;
    const crew = new BuildCrew(build, this.#kernels.withScratch(laid.own), () => failure);
    const tasks = laid.others.slice(0, helpers.count).map((scratch) => ({ build, scratch }));
    const help = callHelpers(helpers, tasks, (error) => {
      failure ??= error;
    });
    const inserting = this.#insert(crew, laid, onProgress);
    try {
      for (;;) {
        const { done, value } = inserting.next();
        if (done) return this.#seal(value);
        await setImmediate();
      }
    } finally {
      crew.end();
      await help;
    }
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
    const { rowCount, metric, params } = this.#shape;
    return {
      ...(lanes === undefined ? NO_GRID : gridBytes(this.#shape, lanes)),
      heights: metric === 'IP' ? rowCount * 4 : 0,
      control: CONTROL_BYTES,
      slots: MAX_STEP_ROWS * 4,
      proposals: mostLists(this.#drawn) * params.M * 4,
      hand: this.#handBytes(),
    };
  }

  #scratchBytes(lanes: number | undefined): number {
    const { hand, ...once } = this.#sizes(lanes);
    const inserting =
      Object.values(once).reduce((sum, bytes) => sum + pieceBytes(bytes), 0) + this.#hands * pieceBytes(hand);
    return align(Math.max(inserting, chainScratchBytes(this.#shape.rowCount)));
  }

  /** The image without links; the levels with rows identical to earlier ones taken out. */
  #prepare(): Uint8Array {
    const { dim, rowCount } = this.#shape;
    const { levels, chains, duplicates } = chainRows(this.#kernels, this.#vectorsAt, dim, this.#drawn);
    const upperCount = levels.reduce((sum, level) => sum + (level > HNSW_MAX_LEVEL ? 0 : level), 0);
    this.#header = { ...this.#header, upperCount, hasChains: duplicates > 0 };
    const layout = hnswLayout(this.#header);
    const image = this.#image();
    image.fill(0);
    writeLevels(image, this.#header, levels);
    if (layout.chains !== undefined) this.#kernels.words(this.#imageAt + layout.chains, rowCount).set(chains);
    if (layout.norms !== undefined)
      this.#kernels.run.writeInverseNorms(this.#vectorsAt, dim, rowCount, this.#imageAt + layout.norms);
    return levels;
  }

  #image(): Uint8Array {
    return this.#kernels.bytes(this.#imageAt, hnswLayout(this.#header).totalBytes);
  }

  #seal(rows: Uint32Array | undefined): Uint8Array<ArrayBuffer> {
    const { file, header } = finishImage(this.#image(), this.#header, rows);
    sealHnsw(file, header);
    return file;
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
  #lay(levels: Uint8Array): LaidBuild {
    const sizes = this.#sizes(this.#lanes);
    const layout = this.#kernels.layout();
    const at = {
      points: layout.take(sizes.points),
      rows: layout.take(sizes.rows),
      mean: layout.take(sizes.mean),
      pivots: layout.take(sizes.pivots),
      nearests: layout.take(sizes.nearests),
    };
    const heightsAt = layout.take(sizes.heights);
    const heights = sizes.heights === 0 ? 0 : heightsAt;
    if (heights !== 0) this.#writeHeights(heights);
    const rows = this.#lanes === undefined ? undefined : this.#writeGrid(levels, at, heights, this.#lanes);
    const build = {
      memory: this.#kernels.memory,
      header: this.#header,
      place: { vectorsOffset: this.#vectorsAt, graphOffset: this.#imageAt },
      candidates: this.#candidateLimit(),
      heights,
      grid: rows && this.#lanes !== undefined ? { offset: at.points, lanes: this.#lanes } : undefined,
      control: layout.take(sizes.control),
      slots: layout.take(sizes.slots),
      proposals: layout.take(sizes.proposals),
    };
    const hand = (): Scratch => ({ byteOffset: layout.take(sizes.hand), byteLength: sizes.hand });
    return { build, levels, rows, own: hand(), others: Array.from({ length: this.#hands - 1 }, hand) };
  }

  #writeGrid(levels: Uint8Array, at: GridAreas, heights: number, lanes: number): Uint32Array | undefined {
    const { dim, rowCount } = this.#shape;
    const sections = hnswLayout(this.#header);
    return writeGrid(this.#kernels, {
      ...at,
      vectors: this.#vectorsAt,
      dim,
      rowCount,
      levels,
      levelsAt: this.#imageAt + sections.levels,
      inverses: sections.norms === undefined ? 0 : this.#imageAt + sections.norms,
      heights,
      lanes,
    });
  }

  /**
   * By the grid; by the vectors themselves when there is none, or when it turns out too coarse for these rows. Returns the row at each
   * place of the image, undefined when they stand in order.
   */
  *#insert(
    crew: BuildCrew,
    { levels, rows }: LaidBuild,
    onProgress: OnProgress,
  ): Generator<void, Uint32Array | undefined> {
    if (rows !== undefined) {
      crew.begin(true);
      const inOrder = Uint8Array.from(rows, (row) => levels[row] ?? 0);
      if (yield* this.#insertAll(crew, inOrder, onProgress)) return rows;
    }
    crew.begin(false);
    yield* this.#insertAll(crew, levels, onProgress);
    return undefined;
  }

  /** False: too many rows have neighbours that the grid does not tell apart. */
  *#insertAll(crew: BuildCrew, levels: Uint8Array, onProgress: OnProgress): Generator<void, boolean> {
    writeLevels(this.#image(), this.#header, levels);
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
