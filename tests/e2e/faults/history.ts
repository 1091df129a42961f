/**
 * What the rows must be, known from what was sent and answered alone. Rows live in blocks of keys; every write covers a whole block,
 * so what a block shows is one state: a version with the positions it has, or nothing. Half a write is a state nobody wrote.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';

/** `v` and the positions left, or `GONE`. */
export type State = string;
export const GONE: State = 'gone';

/** A write of one block. */
export interface Write {
  readonly block: number;
  readonly state: State;
  /** When it was sent, in the order of this process. */
  readonly sentAt: number;
  /** Timestamps that were answered before it was sent. */
  readonly after: bigint;
  answeredAt?: number;
  /** The server's, when it answered. */
  ts?: bigint;
  /** Unanswered and found done: it was done before this timestamp. */
  before?: bigint;
  /** `lost`: no answer, and nobody has looked yet. `undone`: it was refused, or somebody looked. */
  fate: 'sent' | 'answered' | 'lost' | 'done' | 'undone';
}

export interface SnapshotOf {
  readonly name: string;
  readonly sentAt: number;
  answeredAt?: number;
  ts?: bigint;
  /** Once read: every later reading must find the same. */
  content?: string;
}

export const BLOCK_KEYS = 10_000;
export const firstKey = (block: number): number => block * BLOCK_KEYS;

export class History {
  readonly #writes = new Map<number, Write[]>();
  #clock = 0;
  /** The highest timestamp answered so far. */
  highest = 0n;

  tick(): number {
    return ++this.#clock;
  }

  blocks(): readonly number[] {
    return [...this.#writes.keys()].sort((a, b) => a - b);
  }

  writesOf(block: number): readonly Write[] {
    return this.#writes.get(block) ?? [];
  }

  send(block: number, state: State): Write {
    const write: Write = { block, state, sentAt: this.tick(), after: this.highest, fate: 'sent' };
    const writes = this.#writes.get(block) ?? [];
    assert.ok(
      !writes.some(({ fate }) => fate === 'sent' || fate === 'lost'),
      `block ${block} is not settled`,
    );
    writes.push(write);
    this.#writes.set(block, writes);
    return write;
  }

  answered(write: Write, ts: bigint): void {
    write.answeredAt = this.tick();
    write.ts = ts;
    write.fate = 'answered';
    if (ts > this.highest) this.highest = ts;
  }

  /** The last state that is known to be there, when nothing is open. */
  settled(block: number): State | undefined {
    const writes = this.writesOf(block);
    if (writes.some(({ fate }) => fate === 'sent' || fate === 'lost')) return undefined;
    return writes.findLast(({ fate }) => fate !== 'undone')?.state ?? GONE;
  }

  /** What a question asked and answered between these two ticks may find. */
  allowedBetween(block: number, asked: number, answered: number): ReadonlySet<State> {
    let allowed = new Set<State>([GONE]);
    for (const write of this.writesOf(block)) {
      if (write.fate === 'undone' || write.sentAt > answered) continue;
      const isSure = write.fate === 'done' || (write.answeredAt ?? Number.POSITIVE_INFINITY) < asked;
      if (isSure) allowed = new Set();
      allowed.add(write.state);
    }
    return allowed;
  }

  /** What a snapshot at this timestamp may hold. */
  allowedAt(block: number, ts: bigint): ReadonlySet<State> {
    let allowed = new Set<State>([GONE]);
    for (const write of this.writesOf(block)) {
      if (write.fate === 'undone') continue;
      const upTo = write.ts ?? write.before;
      if ((write.ts ?? write.after + 1n) > ts) continue;
      if (upTo !== undefined && upTo <= ts) allowed = new Set();
      allowed.add(write.state);
    }
    return allowed;
  }

  /** Every write answered before the snapshot was asked for lies before it; every one sent after its answer lies behind it. */
  checkTime({ name, sentAt, answeredAt = Number.POSITIVE_INFINITY, ts }: SnapshotOf): void {
    assert.ok(ts !== undefined);
    for (const writes of this.#writes.values())
      for (const write of writes) {
        if (write.ts === undefined) continue;
        if ((write.answeredAt ?? 0) < sentAt)
          assert.ok(
            write.ts <= ts,
            `snapshot ${name} at ${ts} lacks a write answered before, at ${write.ts}`,
          );
        if (write.sentAt > answeredAt)
          assert.ok(write.ts > ts, `snapshot ${name} at ${ts} holds a write sent later, at ${write.ts}`);
      }
  }

  /** The server is gone: what has no answer will get none. */
  cutOff(): void {
    for (const writes of this.#writes.values())
      for (const write of writes) if (write.fate === 'sent') write.fate = 'lost';
  }

  /** Decides lost writes by what is there now; `now` is a timestamp of later than that. */
  settle(found: ReadonlyMap<number, State>, now: bigint): void {
    for (const [block, writes] of this.#writes)
      for (const write of writes) {
        if (write.fate !== 'lost') continue;
        write.fate = (found.get(block) ?? GONE) === write.state ? 'done' : 'undone';
        if (write.fate === 'done') write.before = now;
      }
  }

  /** Forgets what no snapshot from `oldest` on and no reader can ask for. */
  prune(oldest: bigint): void {
    for (const [block, writes] of this.#writes) {
      const at = writes.findLastIndex(
        ({ fate, ts, before }) =>
          (fate === 'answered' || fate === 'done') && (ts ?? before ?? oldest + 1n) <= oldest,
      );
      if (at > 0) this.#writes.set(block, writes.slice(at));
    }
  }

  /** Throws unless every block shows a state that is allowed. */
  check(
    found: ReadonlyMap<number, State>,
    allowed: (block: number) => ReadonlySet<State>,
    where: string,
  ): void {
    for (const block of new Set([...found.keys(), ...this.#writes.keys()])) {
      const state = found.get(block) ?? GONE;
      const right = allowed(block);
      if (right.has(state)) continue;
      const writes = this.writesOf(block)
        .slice(-5)
        .map(
          ({ state: s, fate, ts, sentAt, answeredAt }) =>
            `${s} ${fate} ts=${ts} sent=${sentAt} answered=${answeredAt}`,
        );
      throw new Error(
        `${where}: block ${block} shows ${state}, may show ${[...right].join(' or ')}\n  ${writes.join('\n  ')}`,
      );
    }
  }
}

/** By which two contents are the same: a hash over the state of every block that is there. Each state stands for full rows. */
export const hashOf = (found: ReadonlyMap<number, State>): string => {
  const hash = createHash('sha256');
  for (const [block, state] of [...found].sort(([a], [b]) => a - b))
    if (state !== GONE) hash.update(`${block}=${state};`);
  return hash.digest('hex');
};
