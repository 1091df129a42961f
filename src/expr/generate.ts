/**
 * Writes the loop of a filter as JavaScript. The text is made of fixed pieces and of names this file numbers itself; every value,
 * constants included, is an argument of the function, so nothing a caller writes ever becomes code.
 */
import type { FieldId } from '../model/ids.ts';
import { NO, YES } from './answer.ts';
import type { IntegerView } from './columns.ts';
import { type BoundLeaf, membersOf } from './leaf.ts';
import type { ArithmeticValue, Leaf, Value } from './predicate.ts';
import { rangeOf } from './ranges.ts';
import { mayPass, type RowPlan } from './row-plan.ts';
import type { CompareOp } from './syntax.ts';
import type { Binder } from './values.ts';

/** Sets the bits of `[from, to)` that pass; they are zero before. */
export type RowLoop = (from: number, to: number, out: Uint32Array, ...args: readonly unknown[]) => void;

/** A loop as text, and what it is called with. */
export interface LoopText {
  readonly parameters: readonly string[];
  readonly body: string;
  readonly args: readonly unknown[];
}

/** Lists up to this length are compared one by one. */
const MAX_UNROLLED = 6;

const operators: Readonly<Record<CompareOp, string>> = {
  '==': '==',
  '!=': '!=',
  '<': '<',
  '<=': '<=',
  '>': '>',
  '>=': '>=',
};

/** The loop of `plan`; tests it cannot write are called as functions. */
export function writeLoop(plan: RowPlan, binder: Binder, leaves: readonly BoundLeaf[]): LoopText {
  const writer = new Writer(binder);
  const condition = writer.plan(plan, leaves);
  const body = `'use strict';
for (let i = from; i < to; ) {
  const word = i >>> 5;
  const end = Math.min(to, (word + 1) * 32);
  let bits = 0;
  for (; i < end; i++) if (${condition}) bits |= 1 << i;
  out[word] |= bits;
}`;
  return { parameters: writer.parameters, body, args: writer.args };
}

/** JavaScript text over the row `i`. */
interface Code {
  readonly text: string;
  /** Tests that the row has the values the text reads. */
  readonly known: readonly string[];
  /** Some operand is a bigint. */
  readonly isBig: boolean;
}

class Writer {
  readonly args: unknown[] = [];
  readonly parameters: string[] = [];
  readonly #names = new Map<unknown, string>();
  readonly #binder: Binder;

  constructor(binder: Binder) {
    this.#binder = binder;
  }

  plan(plan: RowPlan, leaves: readonly BoundLeaf[]): string {
    switch (plan.kind) {
      case 'always':
        return plan.value ? 'true' : 'false';
      case 'and':
      case 'or':
        return `(${plan.items.map((item) => this.plan(item, leaves)).join(plan.kind === 'and' ? ' && ' : ' || ')})`;
      case 'leaf':
        return this.#leaf(plan.leaf, leaves[plan.index] as BoundLeaf, plan.negated);
    }
  }

  #leaf(leaf: Leaf, bound: BoundLeaf, negated: boolean): string {
    const inline = this.#inline(leaf, bound);
    if (bound.open !== undefined) return `${this.#argument(mayPass(bound.test, negated))}(i)`;
    if (inline === undefined) return `${this.#argument(bound.test)}(i) === ${negated ? NO : YES}`;
    return `(${[...inline.known, negated ? `!(${inline.text})` : inline.text].join(' && ')})`;
  }

  #inline(leaf: Leaf, { coded }: BoundLeaf): Pick<Code, 'text' | 'known'> | undefined {
    if (coded !== undefined) {
      const { codes, table, valid } = coded;
      return {
        text: `${this.#argument(table.hits)}[${this.#argument(codes)}[i]] === 1`,
        known: this.#known(valid),
      };
    }
    if (leaf.kind === 'compare') return this.#compare(leaf.op, leaf.left, leaf.right);
    if (leaf.kind === 'in') return this.#member(leaf);
    if (leaf.kind !== 'null' || leaf.value.kind !== 'column') return undefined;
    const valid = this.#binder.columns.valid(leaf.value.fieldId);
    return { text: valid === undefined ? 'false' : `${this.#argument(valid)}[i] === 0`, known: [] };
  }

  #compare(op: CompareOp, left: Value, right: Value): Pick<Code, 'text' | 'known'> | undefined {
    const a = this.#operand(left);
    const b = this.#operand(right);
    if (a === undefined || b === undefined) return undefined;
    // A bigint beside a bigint is compared as a machine word, beside a number it is not.
    const isBig = a.isBig || b.isBig;
    const x = isBig ? (this.#bigLiteral(left) ?? a) : a;
    const y = isBig ? (this.#bigLiteral(right) ?? b) : b;
    return { text: `${x.text} ${operators[op]} ${y.text}`, known: [...x.known, ...y.known] };
  }

  #member({ value, list }: Extract<Leaf, { kind: 'in' }>): Pick<Code, 'text' | 'known'> | undefined {
    if (!('type' in value) || (value.type !== 'int' && value.type !== 'float')) return undefined;
    const code = this.#operand(value);
    if (code === undefined || code.isBig) return undefined;
    const { numbers } = membersOf(this.#binder, list);
    // A Double is looked up as it is, so it would not find an integer that is kept as a bigint.
    if (value.type === 'float' && [...numbers].some((number) => typeof number === 'bigint')) return undefined;
    if (value.kind !== 'field' || numbers.size > MAX_UNROLLED)
      return { text: `${this.#argument(numbers)}.has(${code.text})`, known: code.known };
    const text = [...numbers].map((number) => `${code.text} == ${this.#argument(number)}`).join(' || ');
    return { text: text === '' ? 'false' : `(${text})`, known: code.known };
  }

  #bigLiteral(value: Value): Code | undefined {
    return value.kind === 'int' ? { text: this.#argument(value.value), known: [], isBig: true } : undefined;
  }

  /** A number or an Int64 read straight from its column; undefined for everything that needs more care. */
  #operand(value: Value): Code | undefined {
    switch (value.kind) {
      case 'int': {
        const number = Number(value.value);
        const isBig = !Number.isSafeInteger(number);
        return { text: this.#argument(isBig ? value.value : number), known: [], isBig };
      }
      case 'float':
        return { text: this.#argument(value.value), known: [], isBig: false };
      case 'field':
        return value.type === 'int' || value.type === 'float'
          ? this.#field(value.fieldId, value.type)
          : undefined;
      case 'arithmetic':
        return rangeOf(this.#binder.columns, value) === undefined ? undefined : this.#arithmetic(value);
      default:
        return undefined;
    }
  }

  #field(fieldId: FieldId, type: 'int' | 'float'): Code {
    const { columns } = this.#binder;
    const { values, isWide }: Pick<IntegerView, 'values' | 'isWide'> =
      type === 'int' ? columns.integers(fieldId) : { values: columns.fixed(fieldId).values, isWide: false };
    return {
      text: `${this.#argument(values)}[i]`,
      known: this.#known(columns.valid(fieldId)),
      isBig: isWide,
    };
  }

  #arithmetic({ type, op, left, right }: ArithmeticValue): Code | undefined {
    // A divisor from the row may be zero, which the row tests know how to answer.
    if ((op === '/' || op === '%') && right.kind !== 'int' && right.kind !== 'float') return undefined;
    if (op === '<<' || op === '>>') return undefined;
    const a = this.#operand(left);
    const b = this.#operand(right);
    if (a === undefined || b === undefined) return undefined;
    const text = `(${a.text} ${op} ${b.text})`;
    return {
      text: op === '/' && type === 'int' ? `Math.trunc${text}` : text,
      known: [...a.known, ...b.known],
      isBig: false,
    };
  }

  #known(valid: Uint8Array | undefined): readonly string[] {
    return valid === undefined ? [] : [`${this.#argument(valid)}[i] === 1`];
  }

  #argument(value: unknown): string {
    const known = this.#names.get(value);
    if (known !== undefined) return known;
    const name = `p${this.args.length}`;
    this.args.push(value);
    this.parameters.push(name);
    this.#names.set(value, name);
    return name;
  }
}
