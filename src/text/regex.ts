/**
 * Regular expressions that a client gives, matched in bounded time: a nondeterministic automaton (Thompson, 1968) in which no
 * state is tried twice at one place. Everything that needs no memory of what was matched: classes, groups, alternatives, repetitions,
 * anchors, `\b`, and looking ahead; no back references, no looking behind.
 */
import { DbError } from '../errors/db-error.ts';
import { unreachable } from '../support/assert.ts';

/** Units of a pattern. */
const MAX_PATTERN = 1024;
/** States of an automaton: what a matching may cost for each character of a text. */
const MAX_STATES = 512;
const MAX_DEPTH = 32;
const MAX_REPEAT = 1000;

type Node =
  | { readonly kind: 'empty' }
  | { readonly kind: 'one'; readonly test: (sign: string) => boolean }
  | { readonly kind: 'place'; readonly test: (signs: readonly string[], at: number) => boolean }
  | { readonly kind: 'ahead'; readonly inner: Node; readonly negated: boolean }
  | { readonly kind: 'all' | 'any'; readonly items: readonly Node[] }
  | { readonly kind: 'repeat'; readonly inner: Node; readonly min: number; readonly max: number };

type State =
  | { readonly kind: 'accept' }
  | { readonly kind: 'one'; readonly test: (sign: string) => boolean; readonly next: number }
  | {
      readonly kind: 'place';
      readonly test: (signs: readonly string[], at: number) => boolean;
      readonly next: number;
    }
  | { readonly kind: 'ahead'; readonly start: number; readonly negated: boolean; readonly next: number }
  | { kind: 'split'; next: number[] };

/** Whether the expression matches anywhere in a text. Throws `parameter-invalid` for what is no expression, too large, or has memory. */
export function regexTest(pattern: string): (text: string) => boolean {
  if (pattern.length > MAX_PATTERN) throw invalid(pattern, `it is longer than ${MAX_PATTERN} characters`);
  const states: State[] = [{ kind: 'accept' }];
  const start = stateOf(new PatternReader(pattern).whole(), 0, states, pattern);
  return (text) => new Run(states, [...text]).anywhere(start);
}

const invalid = (pattern: string, what: string): DbError =>
  new DbError('parameter-invalid', `invalid regular expression ${pattern.slice(0, 60)}: ${what}`);

/** Adds the states that match `node` and go on to `next`; answers the first. */
function stateOf(node: Node, next: number, states: State[], pattern: string): number {
  const add = (state: State): number => {
    if (states.length >= MAX_STATES) throw invalid(pattern, 'it is too large');
    return states.push(state) - 1;
  };
  const build = (each: Node, to: number): number => stateOf(each, to, states, pattern);
  switch (node.kind) {
    case 'empty':
      return next;
    case 'one':
    case 'place':
      return add({ ...node, next } as State);
    case 'ahead':
      return add({ kind: 'ahead', start: build(node.inner, 0), negated: node.negated, next });
    case 'all':
      return node.items.reduceRight((to, item) => build(item, to), next);
    case 'any':
      return add({ kind: 'split', next: node.items.map((item) => build(item, next)) });
    case 'repeat': {
      let to = next;
      if (node.max === Number.POSITIVE_INFINITY) {
        const loop: State = { kind: 'split', next: [] };
        to = add(loop);
        loop.next = [build(node.inner, to), next];
      } else
        for (let i = node.min; i < node.max; i++)
          to = add({ kind: 'split', next: [build(node.inner, to), next] });
      for (let i = 0; i < node.min; i++) to = build(node.inner, to);
      return to;
    }
    default:
      return unreachable(node);
  }
}

/** What one text may cost, whatever the expression: beyond it the text does not match. */
const MAX_STEPS = 2 ** 18;

/** One matching. What has been tried at a place is not tried again. */
class Run {
  readonly #states: readonly State[];
  readonly #signs: readonly string[];
  readonly #budget: { steps: number };
  readonly #tried = new Set<number>();

  constructor(states: readonly State[], signs: readonly string[], budget = { steps: MAX_STEPS }) {
    this.#states = states;
    this.#signs = signs;
    this.#budget = budget;
  }

  anywhere(start: number): boolean {
    for (let at = 0; at <= this.#signs.length && this.#budget.steps > 0; at++)
      if (this.matches(start, at)) return true;
    return false;
  }

  /** By a stack of its own: a long text would be too deep for calls. */
  matches(start: number, from: number): boolean {
    const stack = [start, from];
    while (stack.length > 0 && this.#budget.steps-- > 0) {
      const at = stack.pop() as number;
      const index = stack.pop() as number;
      const mark = at * this.#states.length + index;
      if (this.#tried.has(mark)) continue;
      this.#tried.add(mark);
      const state = this.#states[index] as State;
      if (state.kind === 'accept') return true;
      this.#step(state, at, stack);
    }
    return false;
  }

  #step(state: Exclude<State, { kind: 'accept' }>, at: number, stack: number[]): void {
    const sign = this.#signs[at];
    if (state.kind === 'split') for (const next of state.next.toReversed()) stack.push(next, at);
    else if (state.kind === 'one') {
      if (sign !== undefined && state.test(sign)) stack.push(state.next, at + 1);
    } else if (state.kind === 'place') {
      if (state.test(this.#signs, at)) stack.push(state.next, at);
    } else if (this.#ahead(state.start, at) !== state.negated && this.#budget.steps > 0)
      stack.push(state.next, at);
  }

  /** In a run of its own: what it tries counts for nothing outside. */
  #ahead(start: number, at: number): boolean {
    return new Run(this.#states, this.#signs, this.#budget).matches(start, at);
  }
}

const isWordSign = (sign: string | undefined): boolean => sign !== undefined && /^[\p{L}\p{N}_]$/u.test(sign);
const isBoundary = (signs: readonly string[], at: number): boolean =>
  isWordSign(signs[at - 1]) !== isWordSign(signs[at]);

const classes: Readonly<Record<string, (sign: string) => boolean>> = {
  d: (sign) => /^\p{Nd}$/u.test(sign),
  w: isWordSign,
  s: (sign) => /^\s$/u.test(sign),
};
function propertyTest(name: string): RegExp | undefined {
  try {
    return new RegExp(`^\\p{${name}}$`, 'u');
  } catch {
    return undefined;
  }
}
const escapes: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', f: '\f', v: '\v', '0': '\0' };

class PatternReader {
  readonly #pattern: string;
  readonly #signs: readonly string[];
  #at = 0;
  #depth = 0;

  constructor(pattern: string) {
    this.#pattern = pattern;
    this.#signs = [...pattern];
  }

  whole(): Node {
    const node = this.#alternatives();
    if (this.#at < this.#signs.length) throw this.#fail(`unexpected '${this.#signs[this.#at]}'`);
    return node;
  }

  #alternatives(): Node {
    if (++this.#depth > MAX_DEPTH) throw this.#fail('it is nested too deeply');
    const items = [this.#sequence()];
    while (this.#take('|')) items.push(this.#sequence());
    this.#depth--;
    return items.length === 1 ? (items[0] as Node) : { kind: 'any', items };
  }

  #sequence(): Node {
    const items: Node[] = [];
    for (let sign = this.#signs[this.#at]; sign !== undefined && sign !== '|' && sign !== ')'; ) {
      items.push(this.#repeated(this.#atom()));
      sign = this.#signs[this.#at];
    }
    return { kind: 'all', items };
  }

  #repeated(inner: Node): Node {
    let node = inner;
    for (let bounds = this.#bounds(); bounds !== undefined; bounds = this.#bounds()) {
      if (inner.kind === 'place' || inner.kind === 'ahead') throw this.#fail('nothing to repeat');
      node = { kind: 'repeat', inner: node, ...bounds };
      // Lazy or greedy: whether there is a match is the same.
      this.#take('?');
    }
    return node;
  }

  #bounds(): { readonly min: number; readonly max: number } | undefined {
    if (this.#take('*')) return { min: 0, max: Number.POSITIVE_INFINITY };
    if (this.#take('+')) return { min: 1, max: Number.POSITIVE_INFINITY };
    if (this.#take('?')) return { min: 0, max: 1 };
    const rest = this.#signs.slice(this.#at, this.#at + 12).join('');
    const found = /^\{(\d{1,4})(,(\d{0,4}))?\}/.exec(rest);
    if (found === null) return undefined;
    this.#at += found[0].length;
    const min = Number(found[1]);
    const max = found[2] === undefined ? min : found[3] === '' ? Number.POSITIVE_INFINITY : Number(found[3]);
    if (min > max || min > MAX_REPEAT || (max > MAX_REPEAT && max !== Number.POSITIVE_INFINITY))
      throw this.#fail('a repetition out of range');
    return { min, max };
  }

  #atom(): Node {
    const sign = this.#next();
    switch (sign) {
      case '(':
        return this.#group();
      case '[':
        return { kind: 'one', test: this.#class() };
      case '.':
        return { kind: 'one', test: (each) => each !== '\n' };
      case '^':
        return { kind: 'place', test: (_, at) => at === 0 };
      case '$':
        return { kind: 'place', test: (signs, at) => at === signs.length };
      case '\\':
        return this.#escaped();
      case '*':
      case '+':
      case '?':
        throw this.#fail('nothing to repeat');
      default:
        return { kind: 'one', test: (each) => each === sign };
    }
  }

  #group(): Node {
    let look: { readonly negated: boolean } | undefined;
    if (this.#take('?')) {
      const kind = this.#next();
      if (kind === '=' || kind === '!') look = { negated: kind === '!' };
      else if (kind !== ':') throw this.#fail('groups are (…), (?:…), (?=…) and (?!…)');
    }
    const inner = this.#alternatives();
    if (!this.#take(')')) throw this.#fail('a group is not closed');
    return look === undefined ? inner : { kind: 'ahead', inner, ...look };
  }

  #escaped(): Node {
    const sign = this.#next();
    if (sign === 'b') return { kind: 'place', test: isBoundary };
    if (sign === 'B') return { kind: 'place', test: (signs, at) => !isBoundary(signs, at) };
    if (/^[1-9k]$/.test(sign)) throw this.#fail('back references are not served');
    return { kind: 'one', test: this.#escape(sign) };
  }

  #escape(sign: string): (each: string) => boolean {
    if (sign === 'p' || sign === 'P') return this.#property(sign === 'P');
    const test = classes[sign.toLowerCase()];
    if (test !== undefined) return sign === sign.toLowerCase() ? test : (each) => !test(each);
    const literal = escapes[sign] ?? sign;
    if (escapes[sign] === undefined && /^[A-Za-z0-9]$/.test(sign))
      throw this.#fail(`unknown escape \\${sign}`);
    return (each) => each === literal;
  }

  #property(negated: boolean): (each: string) => boolean {
    const rest = this.#signs.slice(this.#at, this.#at + 40).join('');
    const name = /^\{([A-Za-z_=]{1,36})\}/.exec(rest)?.[1] ?? /^[A-Z]/.exec(rest)?.[0];
    if (name === undefined) throw this.#fail('a property without a name');
    this.#at += rest.startsWith('{') ? name.length + 2 : 1;
    const test = propertyTest(name) ?? propertyTest(`Script=${name}`);
    if (test === undefined) throw this.#fail(`unknown property of characters ${name}`);
    return (each) => test.test(each) !== negated;
  }

  #class(): (sign: string) => boolean {
    const negated = this.#take('^');
    const tests: ((sign: string) => boolean)[] = [];
    for (let isFirst = true; isFirst || this.#signs[this.#at] !== ']'; isFirst = false)
      tests.push(this.#range());
    this.#at++;
    return (sign) => tests.some((test) => test(sign)) !== negated;
  }

  #range(): (sign: string) => boolean {
    const first = this.#next();
    if (first === '\\') {
      const sign = this.#next();
      if (sign === 'b') return (each) => each === '\b';
      if (this.#signs[this.#at] !== '-' || classes[sign.toLowerCase()] !== undefined)
        return this.#escape(sign);
      return this.#upTo(escapes[sign] ?? sign);
    }
    return this.#upTo(first);
  }

  #upTo(first: string): (sign: string) => boolean {
    const isRange = this.#signs[this.#at] === '-' && this.#signs[this.#at + 1] !== ']';
    if (!isRange) return (each) => each === first;
    this.#at++;
    let last = this.#next();
    if (last === '\\') last = this.#next();
    const [low, high] = [first.codePointAt(0) ?? 0, last.codePointAt(0) ?? 0];
    if (low > high) throw this.#fail('a range out of order');
    return (each) => {
      const code = each.codePointAt(0) ?? 0;
      return code >= low && code <= high;
    };
  }

  #next(): string {
    const sign = this.#signs[this.#at++];
    if (sign === undefined) throw this.#fail('it ends too early');
    return sign;
  }

  #take(sign: string): boolean {
    if (this.#signs[this.#at] !== sign) return false;
    this.#at++;
    return true;
  }

  #fail(what: string): DbError {
    return invalid(this.#pattern, what);
  }
}
