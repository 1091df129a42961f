/**
 * Jobs and tasks of the catalog, with what is counted from them as they change: how many tasks of a job stand in which state, how much
 * they have copied, and when a job last moved. Counts are rebuilt at start; moves of running attempts live in memory only.
 */
import type { Catalog, Change } from '../../catalog/catalog.ts';
import type { NodeProgress } from '../../datanode/api.ts';
import type { CollectionId, JobId, TaskId } from '../../model/ids.ts';
import type { CollectionRecord } from '../../model/records.ts';
import type { Clock } from '../../support/clock.ts';
import { collections } from '../tables.ts';
import { type CopyJob, copyJobs } from './job.ts';
import type { CopyTaskState } from './state.ts';
import { type CopyTask, copyTasks } from './task.ts';

/** What a job's tasks add up to. */
export interface JobTally {
  readonly tasks: Readonly<Record<CopyTaskState, number>>;
  /** Of completed tasks, and of running attempts as far as they have reported. */
  readonly copiedBytes: number;
  readonly copiedFiles: number;
  /** Wall clock, ms: the last time something was copied, a task changed its state for the better, or a first node took up work. */
  readonly movedAtMs: number;
}

export type CopyChange = 'job' | 'task' | 'progress';

interface Tally {
  tasks: Record<CopyTaskState, number>;
  doneBytes: number;
  doneFiles: number;
  readonly running: Map<TaskId, NodeProgress>;
  movedAtMs: number;
}

const total = (running: ReadonlyMap<TaskId, NodeProgress>, what: keyof NodeProgress): number => {
  let sum = 0;
  for (const progress of running.values()) sum += progress[what];
  return sum;
};

export class CopyMeta {
  readonly #catalog: Catalog;
  readonly #clock: Clock;
  readonly #tallies = new Map<JobId, Tally>();
  readonly #listeners = new Set<(jobId: JobId, what: CopyChange) => void>();

  /** Follows the catalog from here on; what stands in it already is counted. */
  constructor(catalog: Catalog, clock: Clock) {
    this.#catalog = catalog;
    this.#clock = clock;
    for (const task of catalog.all(copyTasks)) this.#count(task, 1);
    catalog.onChange((changes) => this.#follow(changes));
  }

  job(jobId: JobId): CopyJob | undefined {
    return this.#catalog.get(copyJobs, jobId);
  }

  jobs(): Iterable<CopyJob> {
    return this.#catalog.all(copyJobs);
  }

  jobsOf(collectionId: CollectionId): readonly CopyJob[] {
    return this.#catalog.find(copyJobs, 'collection', collectionId);
  }

  task(taskId: TaskId): CopyTask | undefined {
    return this.#catalog.get(copyTasks, taskId);
  }

  tasksOf(jobId: JobId): readonly CopyTask[] {
    return this.#catalog.find(copyTasks, 'job', jobId);
  }

  tasksIn(jobId: JobId, state: CopyTaskState): readonly CopyTask[] {
    return this.#catalog.find(copyTasks, 'jobState', `${jobId}/${state}`);
  }

  /** The target, undefined once it was dropped. */
  target(job: CopyJob): CollectionRecord | undefined {
    return this.#catalog.get(collections, job.collectionId);
  }

  tally(jobId: JobId): JobTally {
    const { tasks, doneBytes, doneFiles, running, movedAtMs } = this.#tally(jobId);
    return {
      tasks,
      copiedBytes: doneBytes + total(running, 'bytes'),
      copiedFiles: doneFiles + total(running, 'files'),
      movedAtMs,
    };
  }

  /** A running attempt has got further. */
  noteProgress(jobId: JobId, taskId: TaskId, progress: NodeProgress): void {
    const tally = this.#tally(jobId);
    if (tally.running.get(taskId)?.bytes === progress.bytes) return;
    tally.running.set(taskId, progress);
    tally.movedAtMs = this.#clock.nowMs();
    this.#tell(jobId, 'progress');
  }

  /** An ending, as a comparison, has got further. */
  noteMoved(jobId: JobId): void {
    this.#tally(jobId).movedAtMs = this.#clock.nowMs();
  }

  /** Told whenever something of a job has changed. `job`: its record or its target. */
  onChange(listener: (jobId: JobId, what: CopyChange) => void): void {
    this.#listeners.add(listener);
  }

  #follow(changes: readonly Change[]): void {
    const touched = new Map<JobId, CopyChange>();
    for (const change of changes) {
      if (change.table === copyTasks) {
        const jobId = this.#followTask(change.was as CopyTask | undefined, change.is as CopyTask | undefined);
        if (!touched.has(jobId)) touched.set(jobId, 'task');
      } else for (const jobId of this.#followJob(change)) touched.set(jobId, 'job');
    }
    for (const [jobId, what] of touched) this.#tell(jobId, what);
  }

  #followTask(was: CopyTask | undefined, is: CopyTask | undefined): JobId {
    if (was !== undefined) this.#count(was, -1);
    if (is !== undefined) this.#count(is, 1);
    return (is ?? (was as CopyTask)).jobId;
  }

  /** Jobs whose record or target has changed. */
  #followJob({ table, was, is }: Change): readonly JobId[] {
    if (table === copyJobs) {
      const { jobId } = (is ?? was) as CopyJob;
      if (is === undefined) this.#tallies.delete(jobId);
      return is === undefined ? [] : [jobId];
    }
    if (table !== collections || is !== undefined) return [];
    return this.jobsOf((was as CollectionRecord).collectionId).map(({ jobId }) => jobId);
  }

  #count({ taskId, jobId, state, range }: CopyTask, sign: 1 | -1): void {
    const tally = this.#tally(jobId);
    tally.tasks[state] += sign;
    if (sign === 1) tally.running.delete(taskId);
    if (state === 'completed') {
      tally.doneBytes += sign * range.bytes;
      tally.doneFiles += sign * range.files;
    }
    const isFirstAtWork = state === 'in-progress' && sign === 1 && tally.tasks['in-progress'] === 1;
    if (state === 'completed' || isFirstAtWork) tally.movedAtMs = this.#clock.nowMs();
  }

  #tally(jobId: JobId): Tally {
    const present = this.#tallies.get(jobId);
    if (present !== undefined) return present;
    const fresh: Tally = {
      tasks: { pending: 0, 'in-progress': 0, completed: 0, failed: 0 },
      doneBytes: 0,
      doneFiles: 0,
      running: new Map(),
      movedAtMs: this.#clock.nowMs(),
    };
    this.#tallies.set(jobId, fresh);
    return fresh;
  }

  #tell(jobId: JobId, what: CopyChange): void {
    for (const listener of this.#listeners) listener(jobId, what);
  }
}
