/**
 * Restore drills: a snapshot is restored aside, byte by byte, and the copy compared with it; then the copy goes, whatever was found.
 * A copy that differs fails the job. The target is never visible: the commit that ends the job removes its record.
 */
import { type Catalog, put, remove } from '../../catalog/catalog.ts';
import type { JobId } from '../../model/ids.ts';
import type { Clock } from '../../support/clock.ts';
import type { SnapshotAt } from '../admin-api.ts';
import { type CopyJob, copyJobs, type DrillOutcome, isOpen } from '../copy-segment/job.ts';
import type { CopyMeta } from '../copy-segment/meta.ts';
import type { SnapshotSource } from '../copy-segment/source.ts';
import { copyJobMachine } from '../copy-segment/state.ts';
import type { Pins } from '../snapshot/pins.ts';
import { collections } from '../tables.ts';
import { type CompareParts, compareRestored } from './compare.ts';
import type { Restore } from './restore.ts';

export interface DrillParts extends CompareParts {
  readonly catalog: Catalog;
  readonly meta: CopyMeta;
  readonly pins: Pins;
  readonly clock: Clock;
  readonly source: SnapshotSource;
  readonly restore: Restore;
  /** Ends a job as failed. */
  readonly end: (jobId: JobId, reason: string, outcome: DrillOutcome) => Promise<boolean>;
}

export class RestoreDrills {
  readonly #parts: DrillParts;

  constructor(parts: DrillParts) {
    this.#parts = parts;
  }

  /** Physical: a link would be compared with itself, and writing is a part of what is tried. */
  start({ at, name }: SnapshotAt): Promise<JobId> {
    return this.#parts.restore.start(
      { source: at, name, target: at, mode: 'physical' },
      { check: () => undefined, purpose: () => ({ kind: 'drill' }) },
    );
  }

  /** Ends the open job, whose files are all copied. Rejects with what the store fails with for now, or the signal's reason. */
  async compare(jobId: JobId, signal: AbortSignal): Promise<void> {
    const { meta, source } = this.#parts;
    const job = meta.job(jobId);
    const target = job === undefined ? undefined : meta.target(job);
    if (job === undefined || target === undefined || !isOpen(job)) return;
    const snapshot = await source.open(job);
    const outcome = await compareRestored(
      this.#parts,
      job,
      target,
      snapshot,
      () => meta.noteMoved(jobId),
      signal,
    );
    if (outcome.isSame) await this.#complete(jobId, outcome);
    else await this.#parts.end(jobId, reasonOf(outcome), outcome);
  }

  async #complete(jobId: JobId, outcome: DrillOutcome): Promise<void> {
    const { catalog, meta, pins, clock } = this.#parts;
    for (;;) {
      const job = meta.job(jobId);
      const target = job === undefined ? undefined : meta.target(job);
      if (job === undefined || target === undefined || !isOpen(job)) return;
      const state = copyJobMachine.next(job.state, 'complete') as 'completed';
      const purpose = { kind: 'drill', outcome } as const;
      const is: CopyJob = { ...job, state, endedAtMs: clock.nowMs(), isTidy: false, purpose };
      const changes = [put(copyJobs, is, job), remove(collections, target), ...pins.releasing(job.pinId)];
      if ((await catalog.commit(changes)) === 'committed') return;
    }
  }
}

function reasonOf({ differences }: DrillOutcome): string {
  const more = differences.length > 1 ? `, and ${differences.length - 1} more` : '';
  return `the restored copy differs from the snapshot: ${differences[0]}${more}`;
}
