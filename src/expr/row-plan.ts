/**
 * A predicate with its negations pushed down to the leaves. Kleene's logic then needs no third value inside: a row matches when
 * every test of a conjunction, one of a disjunction, is known and has the wanted answer. "Not known" never matches, negated or not.
 */
import { NO, OPEN, type RowTest, YES } from './answer.ts';
import type { Leaf, Predicate } from './predicate.ts';

/** What has to hold for a row to match. */
export type RowPlan =
  | { readonly kind: 'always'; readonly value: boolean }
  | { readonly kind: 'and' | 'or'; readonly items: readonly RowPlan[] }
  /** `index` counts the leaves from left to right. */
  | { readonly kind: 'leaf'; readonly leaf: Leaf; readonly index: number; readonly negated: boolean };

/** The plan and its leaves in order. */
export interface PlannedFilter {
  readonly plan: RowPlan;
  readonly leaves: readonly Leaf[];
  /** By leaf. */
  readonly negated: readonly boolean[];
}

/** The plan of a checked filter. */
export function planRows(root: Predicate): PlannedFilter {
  const leaves: Leaf[] = [];
  const negations: boolean[] = [];
  const push = (predicate: Predicate, negated: boolean): RowPlan => {
    switch (predicate.kind) {
      case 'always':
        return { kind: 'always', value: predicate.value !== negated };
      case 'not':
        return push(predicate.item, !negated);
      case 'and':
      case 'or': {
        const kind = (predicate.kind === 'and') === negated ? 'or' : 'and';
        return { kind, items: predicate.items.map((item) => push(item, negated)) };
      }
      default:
        leaves.push(predicate);
        negations.push(negated);
        return { kind: 'leaf', leaf: predicate, index: leaves.length - 1, negated };
    }
  };
  return { plan: push(root, false), leaves, negated: negations };
}

/** The plan as a predicate again. */
export function predicateOf(plan: RowPlan): Predicate {
  if (plan.kind === 'always') return plan;
  if (plan.kind === 'leaf') return plan.negated ? { kind: 'not', item: plan.leaf } : plan.leaf;
  return { kind: plan.kind, items: plan.items.map(predicateOf) };
}

/** Whether a row matches, by calls alone. */
export function rowMatcher(plan: RowPlan, tests: readonly RowTest[]): (row: number) => boolean {
  switch (plan.kind) {
    case 'always': {
      const { value } = plan;
      return () => value;
    }
    case 'and': {
      const items = plan.items.map((item) => rowMatcher(item, tests));
      return (row) => {
        for (const item of items) if (!item(row)) return false;
        return true;
      };
    }
    case 'or': {
      const items = plan.items.map((item) => rowMatcher(item, tests));
      return (row) => {
        for (const item of items) if (item(row)) return true;
        return false;
      };
    }
    case 'leaf': {
      const test = tests[plan.index] as RowTest;
      return plan.leaf.kind === 'geometry' || plan.leaf.kind === 'regex'
        ? mayPass(test, plan.negated)
        : passes(test, plan.negated);
    }
  }
}

function passes(test: RowTest, negated: boolean): (row: number) => boolean {
  const wanted = negated ? NO : YES;
  return (row) => test(row) === wanted;
}

/** An open answer passes until it is settled. */
export function mayPass(test: RowTest, negated: boolean): (row: number) => boolean {
  const wanted = negated ? NO : YES;
  return (row) => {
    const answer = test(row);
    return answer === wanted || answer === OPEN;
  };
}
