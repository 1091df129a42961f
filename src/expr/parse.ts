/**
 * Milvus's boolean expression language as a syntax tree: a Pratt parser (Pratt, "Top down operator precedence", 1973).
 * Time and memory are linear in the text; depth, length and lists are bounded. Precedence follows Milvus's documentation,
 * except that `not` takes a whole comparison, so that the documented `NOT color == "green"` means what it says.
 */

import { type Infix, infixOf, NOT, RELATIONAL, UNARY } from './operators.ts';
import {
  type ArithmeticOp,
  type CompareOp,
  type FilterSyntax,
  invalidAt,
  MAX_DEPTH,
  MAX_LIST_LENGTH,
  MAX_NODES,
  MAX_TEXT_LENGTH,
  type RelationalOp,
  type Syntax,
} from './syntax.ts';
import { shorten, type Token, Tokens } from './tokens.ts';

/** The tree of a filter. Throws `filter-invalid` with the place, `unimplemented` for known words that are not served. */
export function parseFilter(text: string): FilterSyntax {
  if (text.length > MAX_TEXT_LENGTH)
    throw invalidAt(
      '',
      0,
      `the filter has ${text.length} characters, at most ${MAX_TEXT_LENGTH} are allowed`,
    );
  return { text, root: new Parser(text).whole() };
}

/** Words that stand before a string; elsewhere they are names like any other. */
const timeWords = new Set(['ISO', 'iso', 'INTERVAL', 'interval']);

class Parser {
  readonly #text: string;
  readonly #tokens: Tokens;
  #token: Token;
  #depth = 0;
  #nodes = 0;

  constructor(text: string) {
    this.#text = text;
    this.#tokens = new Tokens(text);
    this.#token = this.#tokens.next();
  }

  whole(): Syntax {
    const root = this.#expression(0);
    if (this.#token.kind !== 'end') throw this.#unexpected('an operator or the end');
    return root;
  }

  #expression(power: number): Syntax {
    if (++this.#depth > MAX_DEPTH) throw this.#tooDeep(this.#token.at);
    let left = this.#prefix();
    for (let infix = infixOf(this.#token); infix !== undefined && infix.power > power; ) {
      left = this.#infix(left, infix);
      infix = infixOf(this.#token);
    }
    this.#depth--;
    return left;
  }

  #infix(left: Syntax, infix: Infix): Syntax {
    const { at } = this.#token;
    switch (infix.kind) {
      case 'or':
      case 'and':
        return this.#junction(left, infix.kind, infix.power);
      case 'equality':
      case 'arithmetic': {
        const op = this.#takeSign();
        const right = this.#expression(infix.power);
        const height = this.#heightOver(at, [left, right]);
        return infix.kind === 'equality'
          ? { kind: 'compare', at, height, op: op as CompareOp, left, right }
          : { kind: 'arithmetic', at, height, op: op as ArithmeticOp, left, right };
      }
      case 'relational':
        return this.#relational(left);
      case 'like':
        this.#take();
        return this.#pattern('like', left, at);
      case 'regex': {
        const sign = this.#takeSign();
        const test = this.#pattern('regex', left, at);
        return sign === '=~' ? test : this.#negation(test, at);
      }
      case 'is':
        return this.#isNull(left);
      case 'in':
        return this.#in(left);
      case 'not': {
        this.#take();
        const isIn = this.#isWord('in');
        if (!isIn && !this.#isWord('like')) throw this.#unexpected("'in' or 'like' after 'not'");
        if (!isIn) this.#take();
        return this.#negation(isIn ? this.#in(left) : this.#pattern('like', left, at), at);
      }
    }
  }

  #pattern(kind: 'like' | 'regex', value: Syntax, at: number): Syntax {
    const pattern = this.#expression(RELATIONAL);
    return { kind, at, height: this.#heightOver(at, [value, pattern]), value, pattern };
  }

  #negation(value: Syntax, at: number): Syntax {
    return { kind: 'not', at, height: this.#heightOver(at, [value]), value };
  }

  #junction(first: Syntax, kind: 'and' | 'or', power: number): Syntax {
    const { at } = this.#token;
    const items = [first];
    while (infixOf(this.#token)?.kind === kind) {
      this.#take();
      items.push(this.#expression(power));
    }
    return { kind, at, height: this.#heightOver(at, items), items };
  }

  /** `1 < a <= 5` is `1 < a and a <= 5`; both ends must point the same way, as in Milvus. */
  #relational(first: Syntax): Syntax {
    const start = this.#token.at;
    const items: Syntax[] = [];
    let left = first;
    let direction = '';
    while (infixOf(this.#token)?.kind === 'relational') {
      const { at } = this.#token;
      const op = this.#takeSign() as RelationalOp;
      if (direction !== '' && op.charAt(0) !== direction)
        throw invalidAt(
          this.#text,
          at,
          `a range continues with '${direction}' or '${direction}=', not '${op}'`,
        );
      direction = op.charAt(0);
      const right = this.#expression(RELATIONAL);
      items.push({ kind: 'compare', at, height: this.#heightOver(at, [left, right]), op, left, right });
      left = right;
    }
    const [only] = items;
    if (only !== undefined && items.length === 1) return only;
    if (items.length > 2) throw invalidAt(this.#text, start, 'a range has two ends');
    return { kind: 'and', at: start, height: this.#heightOver(start, items), items };
  }

  #isNull(value: Syntax): Syntax {
    const { at } = this.#take();
    const negated = this.#isWord('not');
    if (negated) this.#take();
    if (!this.#isWord('null')) throw this.#unexpected(negated ? "'null'" : "'null' or 'not null'");
    this.#take();
    const test: Syntax = { kind: 'null', at, height: this.#heightOver(at, [value]), value };
    return negated ? this.#negation(test, at) : test;
  }

  #in(value: Syntax): Syntax {
    const { at } = this.#take();
    if (!this.#isSign('[') && !this.#isSign('{')) throw this.#unexpected("a list '[…]' or a template '{…}'");
    const list = this.#prefix();
    return { kind: 'in', at, height: this.#heightOver(at, [value, list]), value, list };
  }

  #prefix(): Syntax {
    const token = this.#token;
    const { at } = token;
    switch (token.kind) {
      case 'number':
      case 'text':
        this.#take();
        return { kind: 'literal', at, height: 0, value: token.value };
      case 'name':
        this.#take();
        return this.#word(token.word, at);
      case 'keyword':
        return this.#prefixWord(token.word, at);
      case 'sign':
        return this.#prefixSign(token.sign, at);
      case 'end':
        throw this.#unexpected("a field, a value or '('");
    }
  }

  #prefixWord(word: string, at: number): Syntax {
    if (word === 'true' || word === 'false') {
      this.#take();
      return { kind: 'literal', at, height: 0, value: word === 'true' };
    }
    if (word === 'not') return this.#not(at);
    if (word === 'exists') {
      this.#take();
      const value = this.#expression(UNARY);
      return { kind: 'exists', at, height: this.#heightOver(at, [value]), value };
    }
    throw this.#unexpected("a field, a value or '('");
  }

  #prefixSign(sign: string, at: number): Syntax {
    switch (sign) {
      case '(': {
        this.#take();
        const inner = this.#expression(0);
        this.#expectSign(')');
        return inner;
      }
      case '[':
        return this.#list(at);
      case '{':
        return this.#template(at);
      case '!':
      case '~':
        return this.#not(at);
      case '+':
      case '-': {
        this.#take();
        const value = this.#expression(UNARY);
        return sign === '+' ? value : { kind: 'negate', at, height: this.#heightOver(at, [value]), value };
      }
      default:
        throw this.#unexpected("a field, a value or '('");
    }
  }

  #not(at: number): Syntax {
    this.#take();
    return this.#negation(this.#expression(NOT), at);
  }

  #word(word: string, at: number): Syntax {
    if (this.#token.kind === 'text' && timeWords.has(word)) {
      const text = this.#token.value;
      this.#take();
      return { kind: word.toUpperCase() === 'ISO' ? 'moment' : 'interval', at, height: 0, text };
    }
    if (this.#isSign('(')) return this.#call(word, at);
    return word === '$' ? this.#item(at) : this.#name(word, at);
  }

  /** `$[name]` or `$`. */
  #item(at: number): Syntax {
    if (!this.#isSign('[')) return { kind: 'item', at, height: 0, name: undefined };
    this.#take();
    const token = this.#token;
    if (token.kind !== 'name' && token.kind !== 'text')
      throw this.#unexpected('the name of a field of the struct');
    this.#take();
    this.#expectSign(']');
    return { kind: 'item', at, height: 0, name: token.kind === 'name' ? token.word : token.value };
  }

  #name(word: string, at: number): Syntax {
    let name = word;
    const keys: (string | number)[] = [];
    while (this.#isSign('[')) {
      this.#take();
      const token = this.#token;
      // `chunks[text]` is the name of a field: that of a struct.
      if (token.kind === 'name' && name === word && keys.length === 0) name = `${word}[${token.word}]`;
      else if (token.kind === 'text') keys.push(token.value);
      else if (token.kind === 'number' && typeof token.value === 'bigint' && token.value <= 0xffff_ffffn)
        keys.push(Number(token.value));
      else throw this.#unexpected('a key in quotes or an index');
      this.#take();
      this.#expectSign(']');
      if (keys.length > MAX_DEPTH) throw this.#tooDeep(token.at);
    }
    return { kind: 'name', at, height: 0, name, keys };
  }

  #call(name: string, at: number): Syntax {
    this.#take();
    const args = this.#items(')', true);
    return { kind: 'call', at, height: this.#heightOver(at, args), name, args };
  }

  #list(at: number): Syntax {
    this.#take();
    const items = this.#items(']');
    return { kind: 'list', at, height: this.#heightOver(at, items), items };
  }

  #items(close: string, mayBeNamed = false): Syntax[] {
    const items: Syntax[] = [];
    while (!this.#isSign(close)) {
      if (items.length === MAX_LIST_LENGTH)
        throw invalidAt(this.#text, this.#token.at, `a list has at most ${MAX_LIST_LENGTH} items`);
      const item = this.#expression(0);
      items.push(mayBeNamed && this.#isSign('=') ? this.#named(item) : item);
      if (!this.#isSign(',')) break;
      this.#take();
    }
    this.#expectSign(close, items.length === 0 ? undefined : "','");
    return items;
  }

  #named(name: Syntax): Syntax {
    if (name.kind !== 'name' || name.keys.length > 0) throw this.#unexpected("','");
    this.#take();
    const value = this.#expression(0);
    return {
      kind: 'named',
      at: name.at,
      height: this.#heightOver(name.at, [value]),
      name: name.name,
      value,
    };
  }

  #template(at: number): Syntax {
    this.#take();
    const token = this.#token;
    if (token.kind !== 'name') throw this.#unexpected('the name of a template variable');
    this.#take();
    this.#expectSign('}');
    return { kind: 'template', at, height: 0, name: token.word };
  }

  #take(): Token {
    const token = this.#token;
    this.#token = this.#tokens.next();
    return token;
  }

  #takeSign(): string {
    const token = this.#take();
    return token.kind === 'sign' ? token.sign : '';
  }

  #isSign(sign: string): boolean {
    return this.#token.kind === 'sign' && this.#token.sign === sign;
  }

  #isWord(word: string): boolean {
    return this.#token.kind === 'keyword' && this.#token.word === word;
  }

  #expectSign(sign: string, or?: string): void {
    if (!this.#isSign(sign)) throw this.#unexpected(or === undefined ? `'${sign}'` : `${or} or '${sign}'`);
    this.#take();
  }

  #heightOver(at: number, children: readonly Syntax[]): number {
    if (++this.#nodes > MAX_NODES)
      throw invalidAt(this.#text, at, `the filter has more than ${MAX_NODES} operators`);
    let height = 0;
    for (const child of children) height = Math.max(height, child.height);
    if (height >= MAX_DEPTH) throw this.#tooDeep(at);
    return height + 1;
  }

  #tooDeep(at: number): Error {
    return invalidAt(this.#text, at, `nested deeper than ${MAX_DEPTH} levels`);
  }

  #unexpected(expected: string): Error {
    const { at, end, kind } = this.#token;
    const found = kind === 'end' ? 'the end' : `'${shorten(this.#text.slice(at, Math.min(end, at + 41)))}'`;
    const hint = this.#isSign('=') ? " (equality is written '==')" : '';
    return invalidAt(this.#text, at, `expected ${expected}, found ${found}${hint}`);
  }
}
