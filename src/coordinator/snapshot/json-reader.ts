/** Reads parsed JSON of unknown shape. Every miss throws an Error that names the place; the caller makes it `data-integrity`. */
export class JsonReader {
  readonly #value: unknown;
  readonly #path: string;

  constructor(value: unknown, path: string) {
    this.#value = value;
    this.#path = path;
  }

  field(name: string): JsonReader {
    const value = this.#value;
    if (typeof value !== 'object' || value === null || Array.isArray(value)) throw this.#wrong('an object');
    const own = Object.hasOwn(value, name) ? (value as Record<string, unknown>)[name] : undefined;
    return new JsonReader(own, `${this.#path}.${name}`);
  }

  get isAbsent(): boolean {
    return this.#value === undefined;
  }

  list(): readonly JsonReader[] {
    if (!Array.isArray(this.#value)) throw this.#wrong('a list');
    return this.#value.map((value, i) => new JsonReader(value, `${this.#path}[${i}]`));
  }

  text(): string {
    if (typeof this.#value !== 'string') throw this.#wrong('text');
    return this.#value;
  }

  bool(): boolean {
    if (typeof this.#value !== 'boolean') throw this.#wrong('true or false');
    return this.#value;
  }

  /** An integer from 0 to 2^53 - 1. */
  count(): number {
    const value = this.#value;
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) throw this.#wrong('a count');
    return value;
  }

  /** A signed 64-bit integer, written as a decimal string. */
  int64<T extends bigint>(): T {
    const value = this.#value;
    if (typeof value !== 'string' || !/^-?\d{1,19}$/.test(value)) throw this.#wrong('a 64-bit integer');
    const parsed = BigInt(value);
    if (BigInt.asIntN(64, parsed) !== parsed) throw this.#wrong('a 64-bit integer');
    return parsed as T;
  }

  oneOf<T extends string>(allowed: readonly T[]): T {
    const found = allowed.find((one) => one === this.#value);
    if (found === undefined) throw this.#wrong(`one of ${allowed.join(', ')}`);
    return found;
  }

  /** Text by text, in the order written. */
  map(): Readonly<Record<string, string>> {
    const value = this.#value;
    if (typeof value !== 'object' || value === null || Array.isArray(value)) throw this.#wrong('an object');
    return Object.fromEntries(
      Object.entries(value).map(([key, item]) => [key, new JsonReader(item, `${this.#path}.${key}`).text()]),
    );
  }

  #wrong(expected: string): Error {
    return new Error(`${this.#path} is not ${expected}`);
  }
}
