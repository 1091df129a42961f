/**
 * What the rows must be, known from the workload alone: an in-memory multi-version map of keys. It knows no rule of the product. A write
 * whose answer was lost may or may not have happened; until an answer settles it, both are right.
 */
export type Value = string | undefined;

interface Version {
  readonly ts: bigint;
  readonly value: Value;
}

export class Oracle {
  readonly #versions = new Map<bigint, Version[]>();
  /** Sent, answer lost: any of these may be the value of the key from `order` on. */
  readonly #maybe = new Map<bigint, { readonly order: bigint; readonly value: Value }[]>();

  /** An acknowledged write; `value` undefined deletes the key. */
  acknowledge(ts: bigint, key: bigint, value: Value): void {
    const versions = this.#versions.get(key) ?? [];
    versions.push({ ts, value });
    this.#versions.set(key, versions);
  }

  /** A write sent after everything with a timestamp up to `order`, whose answer was lost. */
  lose(order: bigint, key: bigint, value: Value): void {
    const maybe = this.#maybe.get(key) ?? [];
    maybe.push({ order, value });
    this.#maybe.set(key, maybe);
  }

  keys(): Iterable<bigint> {
    return new Set([...this.#versions.keys(), ...this.#maybe.keys()]);
  }

  /** The values a key may have at `ts`: one, unless an answer was lost. */
  allowed(key: bigint, ts: bigint): ReadonlySet<Value> {
    let last: Version = { ts: 0n, value: undefined };
    for (const version of this.#versions.get(key) ?? [])
      if (version.ts <= ts && version.ts > last.ts) last = version;
    const maybe = (this.#maybe.get(key) ?? []).filter(({ order }) => order >= last.ts && order <= ts);
    return new Set([last.value, ...maybe.map(({ value }) => value)]);
  }

  /** Differences between `rows` and what the keys may be at `ts`; empty when there are none. */
  compare(rows: ReadonlyMap<bigint, string>, ts: bigint): string[] {
    const known = new Set(this.keys());
    const strangers = [...rows.keys()]
      .filter((key) => !known.has(key))
      .map((key) => `key ${key} was never written`);
    const wrong = [...known]
      .filter((key) => !this.allowed(key, ts).has(rows.get(key)))
      .map((key) => `key ${key} is ${rows.get(key)}, not ${[...this.allowed(key, ts)].join(' or ')}`);
    return [...strangers, ...wrong];
  }
}
