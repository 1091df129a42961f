/**
 * What ends a job that restores for a purpose: it may take long, so no pass of the checker waits for it. Nothing of it is stored:
 * after a crash the checker begins it anew. What fails for now is tried again, later and later, until the job's timeout ends it.
 */
import { isDbError, messageOf } from '../../errors/db-error.ts';
import type { JobId } from '../../model/ids.ts';
import type { Log } from '../../support/log.ts';
import { type Backoff, backoffMs } from '../../support/retry.ts';
import { type DrillOutcome, isOpen, type OpenCopyJob } from '../copy-segment/job.ts';
import { isPermanent } from '../copy-segment/task.ts';
import { type DrillParts, RestoreDrills } from './drill.ts';
import { type InPlaceParts, InPlaceRestores } from './in-place.ts';

export interface EndingParts extends InPlaceParts, DrillParts {
  readonly log: Log;
  readonly limits: { readonly maxCopyAttempts: number };
  /** Ends a job as failed. */
  readonly end: (jobId: JobId, reason: string, outcome?: DrillOutcome) => Promise<boolean>;
}

interface Ending {
  stop: AbortController | undefined;
  done: Promise<void>;
  failures: number;
  nextMs: number;
  trouble: string | undefined;
}

const retryBackoff: Backoff = { baseMs: 1000, maxMs: 60_000 };

export class RestoreEndings {
  readonly inPlace: InPlaceRestores;
  readonly drills: RestoreDrills;
  readonly #parts: EndingParts;
  readonly #endings = new Map<JobId, Ending>();
  #isClosed = false;

  constructor(parts: EndingParts) {
    this.#parts = parts;
    this.inPlace = new InPlaceRestores(parts);
    this.drills = new RestoreDrills(parts);
    parts.meta.onChange((jobId, what) => {
      if (what === 'job') this.#follow(jobId);
    });
  }

  /** Unless it is under way, or waits for its next try. */
  begin({ jobId, purpose }: OpenCopyJob): void {
    const ending = this.#endings.get(jobId) ?? fresh();
    this.#endings.set(jobId, ending);
    const { clock } = this.#parts;
    if (this.#isClosed || ending.stop !== undefined || clock.monotonicMs() < ending.nextMs) return;
    const stop = new AbortController();
    ending.stop = stop;
    const work =
      purpose?.kind === 'drill' ? this.drills.compare(jobId, stop.signal) : this.inPlace.swap(jobId);
    ending.done = work
      .catch((error: unknown) => this.#failed(jobId, ending, error))
      .catch((error: unknown) => this.#log(jobId, error))
      .finally(() => {
        ending.stop = undefined;
      });
  }

  /** What the last try met; undefined once it is over. */
  trouble(jobId: JobId): string | undefined {
    return this.#endings.get(jobId)?.trouble;
  }

  /** Stops what runs; resolves when nothing does. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const { stop } of this.#endings.values()) stop?.abort();
    await Promise.all([...this.#endings.values()].map(({ done }) => done));
  }

  #follow(jobId: JobId): void {
    const ending = this.#endings.get(jobId);
    const job = this.#parts.meta.job(jobId);
    if (ending === undefined || (job !== undefined && isOpen(job))) return;
    ending.stop?.abort();
    this.#endings.delete(jobId);
  }

  async #failed(jobId: JobId, ending: Ending, error: unknown): Promise<void> {
    const { meta, clock, random, limits, end } = this.#parts;
    const job = meta.job(jobId);
    if (this.#isClosed || job === undefined || !isOpen(job)) return;
    const reason = messageOf(error);
    ending.failures++;
    ending.trouble = reason;
    ending.nextMs = clock.monotonicMs() + backoffMs(ending.failures, retryBackoff, random);
    this.#log(jobId, error);
    // Every try of a comparison counts as progress when it comes far: it does not run into the timeout.
    const isHopeless =
      isDbError(error) &&
      (isPermanent(error.code) ||
        error.code === 'index-not-found' ||
        (job.purpose?.kind === 'drill' && ending.failures >= limits.maxCopyAttempts));
    if (isHopeless) await end(jobId, reason);
  }

  #log(jobId: JobId, error: unknown): void {
    this.#parts.log.warn('restore-not-ended', { jobId, reason: messageOf(error) });
  }
}

const fresh = (): Ending => ({
  stop: undefined,
  done: Promise.resolve(),
  failures: 0,
  nextMs: 0,
  trouble: undefined,
});
