/** The only source of time. Implementations: the system clock, and the virtual clock of the simulation. */
export interface Clock {
  /** Wall clock, milliseconds since the Unix epoch. May jump, forward and back; never used alone to order events, nor to measure how long something takes. */
  nowMs(): number;
  /** Milliseconds since some moment of this process. Never goes back, whatever is done to the wall clock: for waits, leases and rates. Not to be stored. */
  monotonicMs(): number;
  /** Resolves after `ms`; rejects with the signal's reason as soon as it is aborted, at once if it already is. */
  sleep(ms: number, signal: AbortSignal): Promise<void>;
}
