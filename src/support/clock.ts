/** The only source of time. Implementations: the system clock, and the virtual clock of the simulation. */
export interface Clock {
  /** Wall clock, milliseconds since the Unix epoch. May jump; never used alone to order events. */
  nowMs(): number;
  /** Resolves after `ms`; rejects with the signal's reason as soon as it is aborted, at once if it already is. */
  sleep(ms: number, signal: AbortSignal): Promise<void>;
}
