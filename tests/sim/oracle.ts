/**
 * What the rows must be, known from the workload alone: an in-memory multi-version map of keys. It knows no rule of the product. A write
 * that has no answer yet, or whose answer was lost, may or may not have happened; until something settles it, both are right.
 */
export type Value = string | undefined;

interface Version {
  readonly ts: bigint;
  readonly value: Value;
}

export type Entries = readonly { readonly key: bigint; readonly value: Value }[];

/** A write under way or lost: if it happened, then after `after` and, once `before` is known, not after that. */
interface Sent {
  readonly entries: Entries;
  readonly after: bigint;
  before: bigint | undefined;
}

export type Show = (value: Value) => Value;
const asItIs: Show = (value) => value;

export class Oracle {
  readonly #versions = new Map<bigint, Version[]>();
  readonly #sent = new Set<Sent>();

  /** A write is sent; everything with a timestamp up to `after` was answered before. An undefined value deletes the key. */
  send(after: bigint, entries: Entries): Sent {
    const sent = { entries, after, before: undefined };
    this.#sent.add(sent);
    return sent;
  }

  /** It was answered. */
  acknowledge(sent: Sent, ts: bigint): void {
    this.#sent.delete(sent);
    for (const { key, value } of sent.entries) this.know(ts, key, value);
  }

  /** Whoever worked on writes without an answer is gone: what was not done by `ts` never will be. */
  endSent(ts: bigint): void {
    for (const sent of this.#sent) sent.before ??= ts;
  }

  know(ts: bigint, key: bigint, value: Value): void {
    const versions = this.#versions.get(key) ?? [];
    versions.push({ ts, value });
    this.#versions.set(key, versions);
  }

  keys(): ReadonlySet<bigint> {
    const sent = [...this.#sent].flatMap(({ entries }) => entries.map(({ key }) => key));
    return new Set([...this.#versions.keys(), ...sent]);
  }

  /** Keys that no insert under way brings. */
  settledKeys(): readonly bigint[] {
    const open = [...this.#sent].filter(({ before }) => before === undefined);
    const moving = new Set(open.flatMap(({ entries }) => entries.map(({ key }) => key)));
    return [...this.keys()].filter((key) => this.#versions.has(key) || !moving.has(key));
  }

  /** The values a key may have at `ts`: one, unless an answer is missing. */
  allowed(key: bigint, ts: bigint): ReadonlySet<Value> {
    let last: Version = { ts: 0n, value: undefined };
    for (const version of this.#versions.get(key) ?? [])
      if (version.ts <= ts && version.ts >= last.ts) last = version;
    const values = new Set([last.value]);
    for (const { entries, after, before } of this.#sent) {
      if (after > ts || (before !== undefined && before <= last.ts)) continue;
      for (const entry of entries) if (entry.key === key) values.add(entry.value);
    }
    return values;
  }

  /** Differences between `rows` and what the keys may be at `ts`; empty when there are none. */
  compare(rows: ReadonlyMap<bigint, string>, ts: bigint, show: Show = asItIs): string[] {
    const known = this.keys();
    const strangers = [...rows.keys()]
      .filter((key) => !known.has(key))
      .map((key) => `key ${key} was never written`);
    const wrong: string[] = [];
    for (const key of known) {
      const allowed = new Set([...this.allowed(key, ts)].map(show));
      if (!allowed.has(rows.get(key)))
        wrong.push(`key ${key} is ${rows.get(key)}, not ${[...allowed].join(' or ')}`);
    }
    return [...strangers, ...wrong];
  }

  /** As `compare`, of a read at one moment between `from` and `to`: every write up to that moment and none after it. */
  compareWithin(rows: ReadonlyMap<bigint, string>, from: bigint, to: bigint, show: Show = asItIs): string[] {
    return this.#within(from, to, (ts) => this.compare(rows, ts, show));
  }

  /** Each of `rows` must have been so at one moment between `from` and `to`; that others are missing is right. */
  partWithin(rows: ReadonlyMap<bigint, string>, from: bigint, to: bigint, show: Show = asItIs): string[] {
    return this.#within(from, to, (ts) => this.#strangersIn(rows, ts, show));
  }

  /**
   * The first `limit` of all rows, in the order of `rank`, at one moment between `from` and `to`: each of `rows` is right, none that
   * comes before the last of them is missing, and there are as many as there can be.
   */
  firstWithin(
    rows: ReadonlyMap<bigint, string>,
    { limit, rank }: { readonly limit: number; rank(key: bigint, value: string): number },
    from: bigint,
    to: bigint,
    show: Show = asItIs,
  ): string[] {
    const last = Math.max(...[...rows].map(([key, value]) => rank(key, value)), Number.NEGATIVE_INFINITY);
    return this.#within(from, to, (ts) => {
      const wrong = this.#strangersIn(rows, ts, show);
      for (const key of this.keys()) {
        const allowed = [...new Set([...this.allowed(key, ts)].map(show))];
        const isSure = allowed.length === 1 && allowed[0] !== undefined;
        if (!isSure || rows.has(key)) continue;
        const isBefore = rank(key, allowed[0] as string) < last;
        if (rows.size < limit || isBefore) wrong.push(`key ${key}, ${allowed[0]}, is missing`);
      }
      if (rows.size > limit) wrong.push(`${rows.size} rows, not ${limit}`);
      return wrong;
    });
  }

  #strangersIn(rows: ReadonlyMap<bigint, string>, ts: bigint, show: Show): string[] {
    return [...rows].flatMap(([key, value]) => {
      const allowed = [...this.allowed(key, ts)].map(show);
      return allowed.includes(value) ? [] : [`key ${key} is ${value}, not ${allowed.join(' or ')}`];
    });
  }

  /** That many rows must have been shown at one moment between `from` and `to`. */
  countWithin(count: number, from: bigint, to: bigint, show: Show = asItIs): string[] {
    return this.#within(from, to, (ts) => {
      let least = 0;
      let most = 0;
      for (const key of this.keys()) {
        const shown = [...this.allowed(key, ts)].map((value) => show(value) !== undefined);
        if (shown.every((isShown) => isShown)) least++;
        if (shown.some((isShown) => isShown)) most++;
      }
      return count >= least && count <= most ? [] : [`${count} rows, not ${least} to ${most}`];
    });
  }

  /** Nothing wrong at one of the moments between `from` and `to` at which something changed, or what is wrong at the first. */
  #within(from: bigint, to: bigint, wrongAt: (ts: bigint) => string[]): string[] {
    const moments = new Set([from]);
    for (const versions of this.#versions.values())
      for (const { ts } of versions) if (ts > from && ts <= to) moments.add(ts);
    for (const sent of this.#sent) if (sent.after > from && sent.after <= to) moments.add(sent.after);
    let first: string[] = [];
    for (const ts of moments) {
      const wrong = wrongAt(ts);
      if (wrong.length === 0) return [];
      if (ts === from) first = wrong;
    }
    return first;
  }

  /** The key was written, or may have been, after `from`. */
  isTouchedAfter(key: bigint, from: bigint): boolean {
    const isSent = [...this.#sent].some(({ entries }) => entries.some((entry) => entry.key === key));
    return isSent || (this.#versions.get(key) ?? []).some(({ ts }) => ts > from);
  }

  /** Every value the key may have had at a moment from `from` to `to`. */
  allowedWithin(key: bigint, from: bigint, to: bigint): ReadonlySet<Value> {
    const written = (this.#versions.get(key) ?? []).map(({ ts }) => ts);
    const sent = [...this.#sent].map(({ after }) => after);
    const moments = [...written, ...sent].filter((ts) => ts > from && ts <= to);
    return new Set([from, ...moments, to].flatMap((ts) => [...this.allowed(key, ts)]));
  }

  /** What a read showed of everything at `ts`: open questions about ended writes are settled by it. */
  observe(ts: bigint, rows: ReadonlyMap<bigint, string>): void {
    for (const sent of this.#sent) {
      if (sent.before === undefined || sent.before > ts) continue;
      for (const { key } of sent.entries)
        if (this.allowed(key, ts).size > 1) this.know(ts, key, rows.get(key));
    }
  }

  /** Every value becomes what `change` makes of it, at `ts`. Nothing may be under way. */
  changeAll(ts: bigint, change: Show): void {
    for (const key of this.keys()) {
      const before = [...this.allowed(key, ts)];
      const [first, ...others] = new Set(before.map(change));
      if (before.every((value) => change(value) === value)) continue;
      this.know(ts, key, first);
      for (const value of others) this.#sent.add({ entries: [{ key, value }], after: ts, before: ts + 1n });
    }
  }

  /** What a copy made at `ts` holds, of what `show` leaves. */
  at(ts: bigint, show: Show = asItIs): Oracle {
    const copy = new Oracle();
    for (const key of this.keys()) {
      const [first, ...others] = new Set([...this.allowed(key, ts)].map(show));
      copy.know(1n, key, first);
      for (const value of others) copy.#sent.add({ entries: [{ key, value }], after: 1n, before: 2n });
    }
    return copy;
  }
}
