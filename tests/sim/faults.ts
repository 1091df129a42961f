/** Faults of a port, on command or by chance, and the log of its calls, so that a test can fail the n-th call for every n. */

import type { ErrorName } from '../../src/errors/codes.ts';
import { DbError } from '../../src/errors/db-error.ts';
import type { Clock } from '../../src/support/clock.ts';
import type { Random } from '../../src/support/random.ts';

export type Fault =
  /** Rejects, nothing happened. */
  | { readonly kind: 'error-before'; readonly code?: ErrorName }
  /** It happened, but the answer is an error: a lost response. `and`: what happens then. */
  | { readonly kind: 'error-after'; readonly code?: ErrorName; readonly and?: () => void }
  /** `isAfter`: the effect comes first, the answer is late. */
  /** It breaks off in the middle and says so: a read gives nothing, a put leaves what it has. Of other calls it is an error before. */
  | { readonly kind: 'torn' }
  | { readonly kind: 'delay'; readonly ms: number; readonly isAfter?: boolean }
  /** This call and every later one rejects until `heal`, or is never answered (`onCrash`); `hasEffect`: this one still happened. */
  | { readonly kind: 'crash'; readonly hasEffect: boolean | 'half' };

/** Chances of one call, each from 0 to 1. */
export interface Chances {
  readonly errorBefore?: number;
  readonly errorAfter?: number;
  /** Storage is full: rejects, nothing happened. */
  readonly full?: number;
  /** A call that moves bytes breaks off in the middle. */
  readonly torn?: number;
  readonly delay?: number;
  readonly maxDelayMs?: number;
  /** Names of calls that may fail; all when absent. Delays come to every call. */
  readonly only?: ReadonlySet<string>;
}

export interface Call {
  /** 1 is the first call since the port was wrapped. */
  readonly number: number;
  readonly name: string;
  readonly key: string;
  readonly fault: Fault | undefined;
}

export interface FaultsOptions {
  readonly clock?: Clock;
  readonly random?: Random;
  readonly chances?: Chances;
  /** Told of a planned crash. With it a crash is the end of the caller's process: no call is answered any more, not even an error. */
  readonly onCrash?: () => void;
  /** Told of every fault. */
  readonly onFault?: (call: Call) => void;
  /** Asked at each call that `at` and `next` leave alone, before chance is. */
  readonly plan?: (name: string, key: string) => Fault | undefined;
}

const unanswered = (): Promise<never> => new Promise(() => undefined);
const never = (): AbortSignal => new AbortController().signal;

export class Faults {
  readonly #options: FaultsOptions;
  readonly #calls: Call[] = [];
  readonly #planned = new Map<number, Fault>();
  readonly #plannedByName = new Map<string, { readonly skipped: number; readonly fault: Fault }>();
  #chances: Chances;
  #isCrashed = false;
  #crashes = 0;
  #held: Promise<void> | undefined;

  constructor(options: FaultsOptions = {}) {
    this.#options = options;
    this.#chances = options.chances ?? {};
  }

  /** Every call so far, in the order they were made. */
  get calls(): readonly Call[] {
    return this.#calls;
  }

  /** Plans a fault for call `number`, counted from the first call of all. */
  at(number: number, fault: Fault): void {
    this.#planned.set(number, fault);
  }

  /** Plans a fault for the next call. */
  next(fault: Fault): void {
    this.at(this.#calls.length + 1, fault);
  }

  /** Plans a fault for a call of that name, behind `skipped` others of it. */
  nextNamed(name: string, skipped: number, fault: Fault): void {
    this.#plannedByName.set(name, { skipped, fault });
  }

  setChances(chances: Chances): void {
    this.#chances = chances;
  }

  /** No call gets further until what is answered is called. */
  hold(): () => void {
    let release = (): void => undefined;
    const held = new Promise<void>((done) => {
      release = done;
    });
    this.#held = held;
    return () => {
      if (this.#held === held) this.#held = undefined;
      release();
    };
  }

  /** From now on every call rejects, or none is answered (`onCrash`), also those that are running. */
  crash(): void {
    this.#isCrashed = true;
    this.#crashes++;
  }

  /** Ends a crash and forgets planned faults and chances. */
  heal(): void {
    this.#isCrashed = false;
    this.#planned.clear();
    this.#plannedByName.clear();
    this.#chances = {};
  }

  /**
   * Runs one call of the port under the fault that is due. `tear`: what a call does that breaks off in the middle, by itself or because the
   * process dies; absent: nothing.
   */
  async run<T>(
    name: string,
    key: string,
    work: () => Promise<T>,
    tear: () => Promise<unknown> = () => Promise.resolve(),
  ): Promise<T> {
    const call = this.#begin(name, key);
    const { number, fault } = call;
    const what = `${name} '${key}' (call ${number})`;
    const crashes = this.#crashes;
    const isDead = () => this.#isCrashed || this.#crashes !== crashes;
    const { clock } = this.#options;
    if (isDead()) return this.#dead(what);
    while (this.#held !== undefined) await this.#held;
    if (fault?.kind === 'delay' && fault.isAfter !== true) await clock?.sleep(fault.ms, never());
    if (isDead()) return this.#dead(what);
    if (fault?.kind === 'error-before') throw failed(fault.code, `${what}: failed before it had an effect`);
    if (fault?.kind === 'torn') {
      await tear();
      throw failed(undefined, `${what}: it broke off in the middle`);
    }
    if (fault?.kind === 'crash') {
      this.#strike();
      if (fault.hasEffect === 'half') await tear();
      if (fault.hasEffect !== true) return this.#dead(what);
    }
    const result = await work();
    if (isDead()) return this.#dead(what);
    if (fault?.kind === 'error-after') fault.and?.();
    if (fault?.kind === 'error-after') throw failed(fault.code, `${what}: its answer was lost`);
    if (fault?.kind === 'delay' && fault.isAfter === true) await clock?.sleep(fault.ms, never());
    return isDead() ? this.#dead(what) : result;
  }

  #begin(name: string, key: string): Call {
    const number = this.#calls.length + 1;
    const fault =
      this.#planned.get(number) ??
      this.#byName(name) ??
      this.#options.plan?.(name, key) ??
      this.#byChance(name);
    const call = { number, name, key, fault };
    this.#calls.push(call);
    this.#planned.delete(number);
    if (fault !== undefined && !this.#isCrashed) this.#options.onFault?.(call);
    return call;
  }

  #strike(): void {
    this.crash();
    this.#options.onCrash?.();
  }

  #dead(what: string): Promise<never> {
    return this.#options.onCrash === undefined ? Promise.reject(crashed(what)) : unanswered();
  }

  #byName(name: string): Fault | undefined {
    const planned = this.#plannedByName.get(name);
    if (planned === undefined) return undefined;
    if (planned.skipped > 0) {
      this.#plannedByName.set(name, { ...planned, skipped: planned.skipped - 1 });
      return undefined;
    }
    this.#plannedByName.delete(name);
    return planned.fault;
  }

  #byChance(name: string): Fault | undefined {
    const { random } = this.#options;
    if (random === undefined) return undefined;
    const { errorBefore = 0, errorAfter = 0, full = 0, torn = 0 } = this.#chances;
    const { delay = 0, maxDelayMs = 100, only } = this.#chances;
    const mayFail = only === undefined || only.has(name);
    const draw = random.next();
    if (mayFail && draw < errorBefore + errorAfter + full + torn) {
      if (draw < errorBefore) return { kind: 'error-before' };
      if (draw < errorBefore + errorAfter) return { kind: 'error-after' };
      return draw < errorBefore + errorAfter + full
        ? { kind: 'error-before', code: 'storage-full' }
        : { kind: 'torn' };
    }
    if (draw >= 1 - delay)
      return { kind: 'delay', ms: 1 + random.below(maxDelayMs), isAfter: random.below(2) === 0 };
    return undefined;
  }
}

const failed = (code: ErrorName = 'storage-failed', message: string): DbError => new DbError(code, message);
const crashed = (what: string): DbError => new DbError('storage-failed', `${what}: the store is down`);
