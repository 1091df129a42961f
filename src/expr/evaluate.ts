/**
 * Runs a checked filter over blocks of rows. Large runs go through generated code, where the process allows it; small ones, very
 * large filters and processes under `--disallow-code-generation-from-strings` through closures. Both answer alike.
 */
import type { Workers } from '../support/workers.ts';
import type { CheckedFilter } from './check.ts';
import { Columns, type FilterSource } from './columns.ts';
import { type RowLoop, writeLoop } from './generate.ts';
import { type BoundLeaf, bindLeaf } from './leaf.ts';
import type { OpenAnswers } from './open-answers.ts';
import { planRows, type RowPlan, rowMatcher } from './row-plan.ts';
import { slowTests } from './slow.ts';
import { Binder, type BoundFilter } from './values.ts';
import { rowWeightOf, weightOf } from './weight.ts';

export type { FilterSource } from './columns.ts';

/** A filter ready to run. */
export interface CompiledFilter {
  /**
   * Writes bit `row & 31` of `out[row >>> 5]` for every row in `[from, to)`: 1 when the row matches. Other bits stay. `out` has a bit for
   * every row of the source. Work, decoding for the cache included, is in proportion to the rows up to `to` the first time,
   * to `to - from` later: a caller that must not block goes in slices. Rows that are not `within` need not be tested: their bits
   * are anything. `isDecoded`: something was decoded for the first time.
   */
  evaluate(
    source: FilterSource,
    from: number,
    to: number,
    out: Uint32Array,
    within?: Uint32Array,
  ): { readonly isDecoded: boolean };
  /**
   * After `evaluate`: undefined when the bits of `[from, to)` are final. Else some tests are still open in rows whose bit is set; once the
   * promise is fulfilled they are not, and `evaluate` and this are to be called again. Rows whose bit the caller has taken away cost nothing.
   */
  settle(
    source: FilterSource,
    from: number,
    to: number,
    out: Uint32Array,
    signal?: AbortSignal,
  ): Promise<void> | undefined;
  /** Steps a byte of what the filter reads may cost: 1 for all but patterns. */
  readonly weight: number;
  /** Steps a row costs besides. */
  readonly rowWeight: number;
}

/** How to compile. */
export interface CompileOptions {
  /** False: closures only. Otherwise code is generated unless the process forbids it. */
  readonly codeGeneration?: boolean;
  /** Answer what takes long (`filterTasks`); without them, the calling thread does. */
  readonly workers?: Workers;
}

/** Below this many rows compiling costs more than it saves. */
const MIN_GENERATED_ROWS = 512;
/** Of the rows of a slice. */
const MAX_FEW_SHARE = 1 / 8;
/** The engine does not optimise functions much larger than this many tests make. */
const MAX_GENERATED_LEAVES = 200;
/** Blocks differ in nulls and in how wide their integers are, which makes loops differ; few ever occur together. */
const MAX_LOOPS = 16;

/** The filter in a form that is quick to run, many times and on many blocks. Keep it for the length of a query. */
export const compileFilter = (filter: CheckedFilter, options: CompileOptions = {}): CompiledFilter =>
  compile(filter, options, false);

function compile(filter: CheckedFilter, options: CompileOptions, isInner: boolean): CompiledFilter {
  const { plan, leaves } = planRows(filter.root);
  const loops = new Loops(options.codeGeneration !== false && leaves.length <= MAX_GENERATED_LEAVES);
  const bindings = new WeakMap<object, Binding>();
  const parts: BoundFilter = {
    shared: new WeakMap(),
    slow: slowTests(options.workers),
    isInner,
    compile: (root) => compile({ root, fields: filter.fields }, options, true),
  };
  const bindingOf = (source: FilterSource): Binding => {
    let binding = bindings.get(source.cache);
    if (binding === undefined) {
      const binder = new Binder(new Columns(source), parts);
      binding = new Binding(
        plan,
        binder,
        leaves.map((leaf) => bindLeaf(binder, leaf)),
      );
      bindings.set(source.cache, binding);
    }
    return binding;
  };
  return {
    weight: weightOf(leaves),
    rowWeight: rowWeightOf(leaves),
    evaluate: (source, from, to, out, within) => ({
      isDecoded: bindingOf(source).run(loops, { from, to: Math.min(to, source.rowCount), out }, within),
    }),
    settle: (source, from, to, out, signal) =>
      bindingOf(source).settle({ from, to: Math.min(to, source.rowCount), out }, signal),
  };
}

/** Rows whose bit of `out` is set in `[from, to)`. */
interface SetRows {
  readonly from: number;
  readonly to: number;
  readonly out: Uint32Array;
}

/** A filter tied to one block. */
class Binding {
  readonly #plan: RowPlan;
  readonly #binder: Binder;
  readonly #leaves: readonly BoundLeaf[];
  readonly #open: readonly OpenAnswers[];
  #matches: ((row: number) => boolean) | undefined;

  constructor(plan: RowPlan, binder: Binder, leaves: readonly BoundLeaf[]) {
    this.#plan = plan;
    this.#binder = binder;
    this.#leaves = leaves;
    this.#open = leaves.map(({ open }) => open).filter((open) => open !== undefined);
  }

  settle({ from, to, out }: SetRows, signal?: AbortSignal): Promise<void> | undefined {
    if (this.#open.length === 0) return undefined;
    const rows: number[] = [];
    for (let row = from; row < to; row++)
      if ((((out[row >>> 5] as number) >>> (row & 31)) & 1) === 1 && this.#isOpen(row)) rows.push(row);
    return rows.length === 0 ? undefined : this.#settle(rows, signal);
  }

  #isOpen(row: number): boolean {
    return this.#open.some((answers) => answers.isOpen(row));
  }

  async #settle(rows: readonly number[], signal?: AbortSignal): Promise<void> {
    for (const answers of this.#open) await answers.settle(rows, signal);
  }

  /** Whether something had to be decoded. */
  run(loops: Loops, { from, to, out }: SetRows, within: Uint32Array | undefined): boolean {
    clearBits(out, from, to);
    if (from >= to) return false;
    const isDecoded = this.#binder.prepare(to);
    const few = within === undefined ? undefined : fewRows(within, from, to);
    if (few === undefined) this.#runAll(loops, from, to, out);
    else
      for (const row of few)
        if (this.#matcher(row)) out[row >>> 5] = (out[row >>> 5] as number) | (1 << (row & 31));
    return isDecoded;
  }

  #runAll(loops: Loops, from: number, to: number, out: Uint32Array): void {
    if (to - from >= MIN_GENERATED_ROWS && loops.allowed) {
      const text = writeLoop(this.#plan, this.#binder, this.#leaves);
      const loop = loops.get(text.parameters, text.body);
      if (loop !== undefined) {
        loop(from, to, out, ...text.args);
        return;
      }
    }
    setBits(this.#matcher, from, to, out);
  }

  get #matcher(): (row: number) => boolean {
    this.#matches ??= rowMatcher(
      this.#plan,
      this.#leaves.map(({ test }) => test),
    );
    return this.#matches;
  }
}

/** The rows within, when they are so few that testing them one by one is quicker. */
function fewRows(within: Uint32Array, from: number, to: number): readonly number[] | undefined {
  const most = (to - from) * MAX_FEW_SHARE;
  const rows: number[] = [];
  for (let word = from >>> 5; word << 5 < to; word++)
    for (let bits = within[word] as number; bits !== 0; bits &= bits - 1) {
      const row = (word << 5) + 31 - Math.clz32(bits & -bits);
      if (row >= from && row < to) rows.push(row);
      if (rows.length > most) return undefined;
    }
  return rows;
}

/** The generated loops of one filter, by their text. */
class Loops {
  allowed: boolean;
  readonly #loops = new Map<string, RowLoop>();

  constructor(allowed: boolean) {
    this.allowed = allowed;
  }

  get(parameters: readonly string[], body: string): RowLoop | undefined {
    let loop = this.#loops.get(body);
    if (loop !== undefined) return loop;
    try {
      loop = new Function('from', 'to', 'out', ...parameters, body) as RowLoop;
    } catch (error) {
      if (!(error instanceof EvalError)) throw error;
      this.allowed = false;
      return undefined;
    }
    if (this.#loops.size === MAX_LOOPS) this.#loops.clear();
    this.#loops.set(body, loop);
    return loop;
  }
}

function setBits(matches: (row: number) => boolean, from: number, to: number, out: Uint32Array): void {
  for (let row = from; row < to; ) {
    const word = row >>> 5;
    const end = Math.min(to, (word + 1) * 32);
    let bits = 0;
    for (; row < end; row++) if (matches(row)) bits |= 1 << row;
    out[word] = (out[word] as number) | bits;
  }
}

function clearBits(out: Uint32Array, from: number, to: number): void {
  for (let row = from; row < to; ) {
    const word = row >>> 5;
    const end = Math.min(to, (word + 1) * 32);
    const count = end - row;
    const mask = count === 32 ? -1 : ((1 << count) - 1) << row;
    out[word] = (out[word] as number) & ~mask;
    row = end;
  }
}
