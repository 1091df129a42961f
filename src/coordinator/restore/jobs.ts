/** Restore jobs as they are asked for: one, all, and what they add up to. */
import type { Catalog } from '../../catalog/catalog.ts';
import { DbError } from '../../errors/db-error.ts';
import type { JobId } from '../../model/ids.ts';
import type { Clock } from '../../support/clock.ts';
import type { CopySegmentStats, RestoreJobInfo } from '../api.ts';
import { isAside } from '../collections/names.ts';
import type { CopyJob } from '../copy-segment/job.ts';
import { type CopyMeta, plannedTasks } from '../copy-segment/meta.ts';
import type { Scheduler } from '../scheduler/task.ts';
import { snapshots } from '../snapshot/record.ts';
import { collections, databases } from '../tables.ts';
import { purposeInfo, restoreJobInfo } from './progress.ts';

export interface RestoreJobsParts {
  readonly catalog: Catalog;
  readonly clock: Clock;
  readonly meta: CopyMeta;
  readonly scheduler: Scheduler;
  /** What the last try to end the job met. */
  readonly trouble: (jobId: JobId) => string | undefined;
}

export class RestoreJobs {
  readonly #parts: RestoreJobsParts;

  constructor(parts: RestoreJobsParts) {
    this.#parts = parts;
  }

  /** Throws `job-not-found`. */
  state(jobId: JobId): RestoreJobInfo {
    const job = this.#parts.meta.job(jobId);
    if (job === undefined) throw new DbError('job-not-found', `restore job not found: jobID=${jobId}`);
    return this.#info(job);
  }

  /** By target database and collection; both may be empty. Oldest first. */
  list(database: string, collection: string): readonly RestoreJobInfo[] {
    return [...this.#parts.meta.jobs()]
      .map((job) => this.#info(job))
      .filter((info) => database === '' || info.databaseName === database)
      .filter((info) => collection === '' || info.collectionName === collection)
      .toSorted((a, b) => (a.jobId < b.jobId ? -1 : 1));
  }

  stats(): CopySegmentStats {
    const { meta, scheduler } = this.#parts;
    const jobs = { pending: 0, executing: 0, completed: 0, failed: 0 };
    const tasks = { ...meta.taskCounts };
    for (const { jobId, state, taskCount } of meta.jobs()) {
      jobs[state]++;
      // Those that are not written yet wait, too.
      if (state === 'executing') tasks.pending += taskCount - plannedTasks(meta.tally(jobId));
    }
    return {
      jobs,
      tasks,
      latencies: meta.latencies.state(),
      scheduler: scheduler.stats(),
    };
  }

  #info(job: CopyJob): RestoreJobInfo {
    const { catalog, clock, meta, trouble } = this.#parts;
    const target = catalog.get(collections, job.collectionId);
    const database = catalog.get(databases, target?.databaseId ?? job.databaseId);
    const isNamed = target !== undefined && !isAside(target.name);
    const detail = meta.detail(job);
    const info = restoreJobInfo(job, detail, clock.nowMs(), {
      running: meta.tasksIn(job.jobId, 'in-progress'),
      databaseName: database?.name ?? job.databaseName,
      collectionName: isNamed ? target.name : job.collectionName,
    });
    const purpose = purposeInfo(
      job,
      detail.tasks.completed === job.taskCount,
      catalog.find(snapshots, 'collection', job.sourceCollectionId).length,
      trouble(job.jobId),
    );
    return purpose === undefined ? info : { ...info, purpose };
  }
}
