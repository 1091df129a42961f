/** Faults of a port, on command or by chance, and the log of its calls, so that a test can fail the n-th call for every n. */

import type { ErrorName } from '../../src/errors/codes.ts';
import { DbError } from '../../src/errors/db-error.ts';
import type { Clock } from '../../src/support/clock.ts';
import type { Random } from '../../src/support/random.ts';

export type Fault =
  /** Rejects, nothing happened. */
  | { readonly kind: 'error-before'; readonly code?: ErrorName }
  /** It happened, but the answer is an error: a lost response. */
  | { readonly kind: 'error-after'; readonly code?: ErrorName }
  | { readonly kind: 'delay'; readonly ms: number }
  /** This call and every later one rejects until `heal`; `hasEffect` says whether this one still happened. */
  | { readonly kind: 'crash'; readonly hasEffect: boolean };

/** Chances of one call, each from 0 to 1. */
export interface Chances {
  readonly errorBefore?: number;
  readonly errorAfter?: number;
  readonly delay?: number;
  readonly maxDelayMs?: number;
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
}

const never = new AbortController().signal;

export class Faults {
  readonly #clock: Clock | undefined;
  readonly #random: Random | undefined;
  readonly #calls: Call[] = [];
  readonly #planned = new Map<number, Fault>();
  #chances: Chances;
  #isCrashed = false;
  #crashes = 0;

  constructor({ clock, random, chances = {} }: FaultsOptions = {}) {
    this.#clock = clock;
    this.#random = random;
    this.#chances = chances;
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

  setChances(chances: Chances): void {
    this.#chances = chances;
  }

  /** From now on every call rejects, also those that are running. */
  crash(): void {
    this.#isCrashed = true;
    this.#crashes++;
  }

  /** Ends a crash and forgets planned faults and chances. */
  heal(): void {
    this.#isCrashed = false;
    this.#planned.clear();
    this.#chances = {};
  }

  /** Runs one call of the port under the fault that is due. */
  async run<T>(name: string, key: string, work: () => Promise<T>): Promise<T> {
    const number = this.#calls.length + 1;
    const fault = this.#planned.get(number) ?? this.#byChance();
    this.#calls.push({ number, name, key, fault });
    this.#planned.delete(number);
    const what = `${name} '${key}' (call ${number})`;
    if (this.#isCrashed) throw crashed(what);
    const crashes = this.#crashes;
    if (fault?.kind === 'delay') await this.#clock?.sleep(fault.ms, never);
    if (fault?.kind === 'error-before') throw failed(fault.code, `${what}: failed before it had an effect`);
    if (fault?.kind === 'crash') this.crash();
    if (fault?.kind === 'crash' ? !fault.hasEffect : this.#crashes !== crashes) throw crashed(what);
    const result = await work();
    if (this.#crashes !== crashes) throw crashed(what);
    if (fault?.kind === 'error-after') throw failed(fault.code, `${what}: its answer was lost`);
    return result;
  }

  #byChance(): Fault | undefined {
    const random = this.#random;
    if (random === undefined) return undefined;
    const { errorBefore = 0, errorAfter = 0, delay = 0, maxDelayMs = 100 } = this.#chances;
    const draw = random.next();
    if (draw < errorBefore) return { kind: 'error-before' };
    if (draw < errorBefore + errorAfter) return { kind: 'error-after' };
    if (draw < errorBefore + errorAfter + delay) return { kind: 'delay', ms: 1 + random.below(maxDelayMs) };
    return undefined;
  }
}

const failed = (code: ErrorName = 'storage-failed', message: string): DbError => new DbError(code, message);
const crashed = (what: string): DbError => new DbError('storage-failed', `${what}: the store is down`);
