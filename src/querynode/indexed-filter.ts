/**
 * A filter over a unit with indexes. Negations stand at the leaves, so that a set of rows that pass says all there is to say of a leaf. What
 * indexes answer is put together as sets; the rest is tested on rows that are still undecided: of a conjunction those that everything
 * answered lets pass, of a disjunction those that nothing answered has let pass.
 */
import type { CheckedFilter } from '../expr/check.ts';
import type { Predicate } from '../expr/predicate.ts';
import { type PlannedFilter, planRows, predicateOf, type RowPlan } from '../expr/row-plan.ts';
import type { IndexAnswer } from '../scalar-index/scalar-index.ts';
import { intersect } from './bitmap.ts';
import type { CompiledFilter, Filters } from './filter.ts';
import type { Pacer } from './pacer.ts';
import type { UnitView } from './unit.ts';

/** Filters with more leaves are all tests. */
const MAX_LEAVES = 256;

/** A test of rows that no index answers. */
export interface OpenTest {
  readonly compiled: CompiledFilter;
  readonly root: Predicate;
}

/** The rows that indexes let pass, and what has still to be tested of them. */
export interface OpenRows {
  readonly rows: Uint32Array;
  readonly rest: readonly OpenTest[];
}

/** What is left to do once indexes have answered. */
type Step =
  | { readonly kind: 'always'; readonly value: boolean }
  | { readonly kind: 'answer'; readonly leaf: number }
  | ({ readonly kind: 'scan' } & OpenTest)
  | { readonly kind: 'and' | 'or'; readonly items: readonly Step[] };

/** The rows within that pass. */
type Scan = (compiled: CompiledFilter, within: Uint32Array) => Promise<Uint32Array>;

/** By leaf. */
type Answers = readonly (IndexAnswer | undefined)[];

export class IndexedFilter {
  readonly #filter: CheckedFilter;
  readonly #compiled: CompiledFilter;
  readonly #filters: Filters;
  #plan: PlannedFilter | undefined;
  /** By which leaves are answered, and how. Units differ little. */
  readonly #steps = new Map<string, Step>();

  constructor(filter: CheckedFilter, compiled: CompiledFilter, filters: Filters) {
    this.#filter = filter;
    this.#compiled = compiled;
    this.#filters = filters;
  }

  /** Not made for units without indexes. */
  get #planned(): PlannedFilter {
    this.#plan ??= planRows(this.#filter.root);
    return this.#plan;
  }

  /** The live rows of the view, as far as indexes say which match. They are not the caller's to change. */
  async open(view: UnitView, scan: Scan, pacer: Pacer): Promise<OpenRows> {
    const answers = await this.#answers(view, pacer);
    if (answers === undefined)
      return { rows: view.live, rest: [{ compiled: this.#compiled, root: this.#filter.root }] };
    const rest: OpenTest[] = [];
    let rows = view.live;
    for (const step of conjunction(this.#stepsFor(answers)))
      if (step.kind === 'scan') rest.push(step);
      else rows = await run(step, { answers, scan }, rows);
    return { rows, rest };
  }

  /** Undefined: there are none. */
  async #answers({ scalarIndexes }: UnitView, pacer: Pacer): Promise<Answers | undefined> {
    if (scalarIndexes.size === 0) return undefined;
    const { leaves, negated } = this.#planned;
    if (leaves.length > MAX_LEAVES) return undefined;
    const paced = (units: number): Promise<void> | undefined => pacer.spend(units);
    const answers: (IndexAnswer | undefined)[] = [];
    for (const [i, leaf] of leaves.entries())
      for (const { index } of scalarIndexes.values())
        answers[i] ??= await index.answer(leaf, negated[i] === true, paced);
    return answers.some((answer) => answer !== undefined) ? answers : undefined;
  }

  #stepsFor(answers: Answers): Step {
    const key = Array.from(this.#planned.leaves, (_, i) => answers[i]?.isExact ?? '-').join();
    const known = this.#steps.get(key);
    if (known !== undefined) return known;
    const steps = this.#stepOf(this.#planned.plan, answers);
    this.#steps.set(key, steps);
    return steps;
  }

  #stepOf(plan: RowPlan, answers: Answers): Step {
    if (plan.kind === 'always') return plan;
    if (plan.kind === 'leaf') {
      const answer = answers[plan.index];
      if (answer === undefined) return this.#scan(plan);
      const step: Step = { kind: 'answer', leaf: plan.index };
      return answer.isExact ? step : { kind: 'and', items: [step, this.#scan(plan)] };
    }
    const isAnswered = (item: RowPlan): boolean => hasAnswer(item, answers);
    const answered = plan.items.filter(isAnswered).map((item) => this.#stepOf(item, answers));
    const others = plan.items.filter((item) => !isAnswered(item));
    if (others.length === 0) return { kind: plan.kind, items: inOrder(answered) };
    const rest = this.#scan({ kind: plan.kind, items: others });
    return answered.length === 0 ? rest : { kind: plan.kind, items: [...inOrder(answered), rest] };
  }

  #scan(plan: RowPlan): Step {
    const { fields } = this.#filter;
    const root = predicateOf(plan);
    return { kind: 'scan', root, compiled: this.#filters.compile({ fields, root }) };
  }
}

/** Steps that all have to hold. */
const conjunction = (step: Step): readonly Step[] =>
  step.kind === 'and' ? step.items.flatMap(conjunction) : [step];

/** What is known already comes first: it leaves less to test. */
const inOrder = (steps: readonly Step[]): readonly Step[] => [
  ...steps.filter(({ kind }) => kind === 'answer' || kind === 'always'),
  ...steps.filter(({ kind }) => kind !== 'answer' && kind !== 'always'),
];

function hasAnswer(plan: RowPlan, answers: Answers): boolean {
  if (plan.kind === 'leaf') return answers[plan.index] !== undefined;
  return plan.kind !== 'always' && plan.items.some((item) => hasAnswer(item, answers));
}

interface Known {
  readonly answers: Answers;
  readonly scan: Scan;
}

/** The rows within that pass, in a set of its own. */
async function run(step: Step, known: Known, within: Uint32Array): Promise<Uint32Array> {
  switch (step.kind) {
    case 'always':
      return step.value ? within.slice() : new Uint32Array(within.length);
    case 'answer': {
      const rows = within.slice();
      intersect(rows, known.answers[step.leaf]?.rows ?? new Uint32Array(0));
      return rows;
    }
    case 'scan':
      return isEmpty(within) ? within.slice() : known.scan(step.compiled, within);
    case 'and': {
      let rows = within;
      for (const item of step.items) rows = await run(item, known, rows);
      return rows;
    }
    case 'or': {
      const rows = new Uint32Array(within.length);
      const open = within.slice();
      for (const item of step.items) {
        const found = await run(item, known, open);
        for (let i = 0; i < rows.length; i++) {
          rows[i] = (rows[i] as number) | (found[i] as number);
          open[i] = (open[i] as number) & ~(found[i] as number);
        }
      }
      return rows;
    }
  }
}

export const isEmpty = (rows: Uint32Array): boolean => rows.every((word) => word === 0);
