/**
 * Threads that share the building of one graph. The one that builds posts the halves of a step (`hnsw-steps.ts`); each thread,
 * itself too, claims unit after unit of the half until there is none left. A helper that comes late, or never, only means less help.
 */

import { DbError } from '../errors/db-error.ts';
import type { Workers, WorkerTasks } from '../support/workers.ts';
import { type GraphPlace, type HnswHeader, layGraph, useGrid } from './hnsw-file.ts';
import { type BuildStep, MAX_STEP_ROWS, slotsOf } from './hnsw-steps.ts';
import { Kernels, type Scratch, type WasmMemory } from './kernels.ts';

/** What the threads of one build share, as plain data. */
export interface SharedBuild {
  readonly memory: WasmMemory;
  readonly header: HnswHeader;
  readonly place: GraphPlace;
  readonly candidates: number;
  /** 0, or the rows' heights for IP. */
  readonly heights: number;
  /** Undefined: this build has none. */
  readonly grid: { readonly offset: number; readonly lanes: number } | undefined;
  readonly control: number;
  readonly slots: number;
  readonly proposals: number;
}

/** One thread's place in a build. */
export interface HelpTask {
  readonly build: SharedBuild;
  readonly scratch: Scratch;
}

/** Words of the control area. */
const CLAIM = 0;
const DONE = 1;
const HALF = 2;
const FROM = 3;
const TO = 4;
const ENTRY = 5;
const MAX_LEVEL = 6;
const IS_GRID = 7;
const BLURRED = 8;
const FAILED = 9;
export const CONTROL_BYTES = 64;

const PROPOSE = 0;
const LINK = 1;
const OVER = 2;

/** The claim word counts units in its low bits and halves in the others: a thread that slept through a half claims nothing of the next. */
const UNIT_BITS = 12;
const UNIT_MASK = (1 << UNIT_BITS) - 1;
/** As the number of the next unit: there is none. */
const CLOSED = UNIT_MASK;
const HALF_MASK = 0x7_ffff;
/** Rows are linked back in so many parts. */
const SHARDS = 32;
const WAIT_MS = 10;
const HELPER_WAIT_MS = 1000;

export const choiceBytes = (M: number): number => (2 * M + 8) * 8;

/** Distances of the grid this near are told wrong by some percent: rounding moves every point by a third of a unit each way. */
const blurOf = (lanes: number): number => 256 + lanes;

/** One thread's share of the work. */
export class BuildHand {
  readonly #build: SharedBuild;
  readonly #kernels: Kernels;
  readonly #words: Int32Array;
  readonly #table: number;
  readonly #sorted: number;
  readonly #chosen: number;
  readonly #floats: Uint32Array;

  constructor(build: SharedBuild, kernels: Kernels) {
    const { header, place, candidates, heights } = build;
    this.#build = build;
    this.#kernels = kernels;
    this.#words = controlOf(build);
    const layout = kernels.layout();
    const limits = { results: header.efConstruction, candidates };
    this.#table = layGraph(kernels, layout, header, place, limits, heights).table;
    this.#sorted = layout.take(choiceBytes(header.M));
    this.#chosen = layout.take(choiceBytes(header.M));
    this.#floats = kernels.words(this.#table, 16).slice();
  }

  /** Works until no unit of the half that is posted is left; the claim word as it was seen then. */
  takePart(): number {
    const words = this.#words;
    for (;;) {
      const claim = Atomics.load(words, CLAIM);
      const unit = claim & UNIT_MASK;
      // What was posted stays as it is until the word says CLOSED.
      if (unit === CLOSED || unit >= unitsOf(words)) return claim;
      const half = words[HALF] === LINK ? LINK : PROPOSE;
      const step = { from: words[FROM] ?? 0, to: words[TO] ?? 0 };
      if (Atomics.compareExchange(words, CLAIM, claim, claim + 1) !== claim) continue;
      this.#prepare();
      if (half === PROPOSE) this.#propose(step, unit);
      else this.#link(step, unit);
      Atomics.add(words, DONE, 1);
      Atomics.notify(words, DONE);
    }
  }

  #prepare(): void {
    const { grid } = this.#build;
    const table = this.#kernels.words(this.#table, 16);
    table.set(this.#floats);
    if (this.#words[IS_GRID] === 1 && grid !== undefined)
      useGrid(this.#kernels, this.#table, grid.offset, grid.lanes);
    table.set([this.#words[ENTRY] ?? 0, this.#words[MAX_LEVEL] ?? 0], 11);
  }

  #propose({ from }: Pick<BuildStep, 'from'>, unit: number): void {
    const { header, slots, proposals, grid } = this.#build;
    const { M, efConstruction } = header;
    const slot = this.#kernels.words(slots, unit + 1)[unit] ?? 0;
    const isGrid = this.#words[IS_GRID] === 1 && grid !== undefined;
    const isBlurred = this.#kernels.run.proposeLinks(
      this.#table,
      from + unit,
      from,
      efConstruction,
      this.#chosen,
      proposals + slot * M * 4,
      isGrid ? blurOf(grid.lanes) : Number.NEGATIVE_INFINITY,
    );
    if (isBlurred !== 0) Atomics.add(this.#words, BLURRED, 1);
  }

  #link({ from, to }: Pick<BuildStep, 'from' | 'to'>, shard: number): void {
    const { slots, proposals } = this.#build;
    this.#kernels.run.linkBack(
      this.#table,
      from,
      to,
      shard,
      SHARDS,
      this.#sorted,
      this.#chosen,
      slots,
      proposals,
    );
  }
}

const controlOf = ({ memory, control }: SharedBuild): Int32Array =>
  new Int32Array(memory.buffer, control, CONTROL_BYTES / 4);

function unitsOf(words: Int32Array): number {
  if (words[HALF] === PROPOSE) return (words[TO] ?? 0) - (words[FROM] ?? 0);
  return words[HALF] === LINK ? SHARDS : 0;
}

/** The side of the thread that builds. */
export class BuildCrew {
  readonly #words: Int32Array;
  readonly #slots: Uint32Array;
  readonly #own: BuildHand;
  readonly #failure: () => unknown;
  #half = 0;

  /** `failure`: what went wrong with a helper, if anything did. */
  constructor(build: SharedBuild, own: Kernels, failure: () => unknown) {
    this.#words = controlOf(build);
    this.#words.fill(0);
    this.#words[CLAIM] = CLOSED;
    this.#slots = own.words(build.slots, MAX_STEP_ROWS);
    this.#own = new BuildHand(build, own);
    this.#failure = failure;
  }

  /** Rows whose neighbours the grid could not tell apart, since `begin`. */
  get blurred(): number {
    return this.#words[BLURRED] ?? 0;
  }

  begin(isGrid: boolean): void {
    this.#words[IS_GRID] = isGrid ? 1 : 0;
    this.#words[BLURRED] = 0;
  }

  /** Does a step, and yields when others keep it waiting. Throws `internal` when a helper has failed. */
  *step(levels: Uint8Array, step: BuildStep): Generator<void, void> {
    const { from, to, entryRow, maxLevel } = step;
    slotsOf(levels, step, this.#slots);
    this.#words.set([from, to, entryRow, maxLevel], FROM);
    yield* this.#share(PROPOSE, to - from);
    yield* this.#share(LINK, SHARDS);
  }

  /** Lets the helpers go. */
  end(): void {
    this.#post(OVER);
  }

  *#share(half: number, units: number): Generator<void, void> {
    const words = this.#words;
    words[DONE] = 0;
    this.#post(half);
    this.#own.takePart();
    Atomics.store(words, CLAIM, (this.#half << UNIT_BITS) | CLOSED);
    for (;;) {
      const done = Atomics.load(words, DONE);
      if (done === units) return;
      const failure = this.#failure();
      if (failure !== undefined || words[FAILED] === 1)
        throw new DbError('internal', 'a thread that helped building an index failed', { cause: failure });
      // Its failure is told on the event loop.
      if (Atomics.wait(words, DONE, done, WAIT_MS) === 'timed-out') yield;
    }
  }

  #post(half: number): void {
    this.#half = (this.#half + 1) & HALF_MASK;
    this.#words[HALF] = half;
    Atomics.store(this.#words, CLAIM, this.#half << UNIT_BITS);
    Atomics.notify(this.#words, CLAIM);
  }
}

export const HELP_HNSW = 'help-hnsw';

/** What a worker thread does for a build of another thread: it takes part until that is over. */
export const helpTasks = (): WorkerTasks => ({
  async [HELP_HNSW]({ build, scratch }: HelpTask) {
    help(build, scratch);
    return { output: undefined, transfer: [] };
  },
});

function help(build: SharedBuild, scratch: Scratch): void {
  const words = controlOf(build);
  try {
    const hand = new BuildHand(build, new Kernels(build.memory, scratch));
    while (words[HALF] !== OVER) Atomics.wait(words, CLAIM, hand.takePart(), HELPER_WAIT_MS);
  } catch (error) {
    Atomics.store(words, FAILED, 1);
    throw error;
  }
}

/** Threads at a build's disposal. */
export interface Helpers {
  readonly workers: Workers;
  readonly count: number;
}

/** Asks for help; resolves when all helpers have gone. Never rejects: `onFailure` is told. */
export async function callHelpers(
  { workers }: Helpers,
  tasks: readonly HelpTask[],
  onFailure: (error: unknown) => void,
): Promise<void> {
  await Promise.all(tasks.map((task) => workers.run<HelpTask, void>(HELP_HNSW, task).catch(onFailure)));
}
