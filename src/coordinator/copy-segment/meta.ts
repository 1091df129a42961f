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
import { type CopyJob, type CopyOutcome, copyJobs, isOpen } from './job.ts';
import { CopyLatencies } from './metrics.ts';
import { MovingRate } from './rate.ts';
import type { CopyTaskState } from './state.ts';
import { type CopyTask, copyTasks } from './task.ts';

/** What a job's tasks add up to. */
export interface JobTally {
  readonly tasks: Readonly<Record<CopyTaskState, number>>;
  /** Of pending tasks. */
  readonly waitingSegments: number;
  /** Of completed tasks, and of running attempts as far as they have reported. */
  readonly copiedBytes: number;
  readonly copiedFiles: number;
  /** Wall clock, ms: the last time something was copied, a task changed its state for the better, or a first node took up work. */
  readonly movedAtMs: number;
}

/** The tally, and what is only shown. */
export interface JobDetail extends JobTally, CopyOutcome {
  /** Of the last seconds; undefined until it can be told. */
  readonly bytesPerSecond: number | undefined;
}

export type CopyChange = 'job' | 'task' | 'progress';

interface Tally {
  tasks: Record<CopyTaskState, number>;
  waitingSegments: number;
  doneBytes: number;
  doneFiles: number;
  readonly running: Map<TaskId, NodeProgress>;
  readonly bytesByMethod: Map<string, number>;
  readonly rate: MovingRate;
  copyingSinceMs: number | undefined;
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
  readonly latencies = new CopyLatencies();
  /** Tasks of all jobs. */
  readonly taskCounts: Record<CopyTaskState, number> = noTasks();

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

  /** Jobs that something is still to be done for, apart from forgetting them. */
  unsettled(): readonly CopyJob[] {
    return this.#catalog.find(copyJobs, 'unsettled', 'yes');
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
    return tallyOf(this.#tally(jobId));
  }

  detail({ jobId, ...job }: CopyJob): JobDetail {
    const tally = this.#tally(jobId);
    const counted = tallyOf(tally);
    const since = ('copyingSinceMs' in job ? job.copyingSinceMs : undefined) ?? tally.copyingSinceMs;
    return {
      ...counted,
      bytesByMethod: Object.fromEntries(tally.bytesByMethod),
      ...(since === undefined ? {} : { copyingSinceMs: since }),
      bytesPerSecond: tally.rate.bytesPerSecond(this.#clock.monotonicMs(), counted.copiedBytes),
    };
  }

  /** A running attempt has got further. */
  noteProgress(jobId: JobId, taskId: TaskId, progress: NodeProgress): void {
    const tally = this.#tally(jobId);
    // A node that is asked before it has copied anything has not moved.
    if ((tally.running.get(taskId)?.bytes ?? 0) === progress.bytes) return;
    tally.running.set(taskId, progress);
    tally.movedAtMs = this.#clock.monotonicMs();
    tally.rate.note(tally.movedAtMs, tally.doneBytes + total(tally.running, 'bytes'));
    this.#tell(jobId, 'progress');
  }

  /** An ending, as a comparison, has got further. */
  noteMoved(jobId: JobId): void {
    this.#tally(jobId).movedAtMs = this.#clock.monotonicMs();
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
    if (was?.state === 'pending' && is?.state === 'in-progress')
      this.latencies.task.pending.observe(this.#clock.nowMs() - (was.sinceMs ?? this.#clock.nowMs()));
    return (is ?? (was as CopyTask)).jobId;
  }

  /** Jobs whose record or target has changed. */
  #followJob({ table, was, is }: Change): readonly JobId[] {
    if (table === copyJobs) {
      const { jobId } = (is ?? was) as CopyJob;
      this.#timeJob(was as CopyJob | undefined, is as CopyJob | undefined);
      if (is === undefined) this.#tallies.delete(jobId);
      return is === undefined ? [] : [jobId];
    }
    if (table !== collections || is !== undefined) return [];
    return this.jobsOf((was as CollectionRecord).collectionId).map(({ jobId }) => jobId);
  }

  #timeJob(was: CopyJob | undefined, is: CopyJob | undefined): void {
    if (was === undefined || is === undefined || was.state === is.state) return;
    const { job } = this.latencies;
    const nowMs = this.#clock.nowMs();
    if (was.state === 'pending') job.pending.observe(nowMs - was.createdAtMs);
    if (isOpen(is)) return;
    if (was.state === 'executing') job.executing.observe(nowMs - (was.executingSinceMs ?? was.createdAtMs));
    job.total.observe(nowMs - was.createdAtMs);
  }

  #count(task: CopyTask, sign: 1 | -1): void {
    const { taskId, jobId, state } = task;
    const tally = this.#tally(jobId);
    tally.tasks[state] += sign;
    if (state === 'pending') tally.waitingSegments += sign * task.range.segmentCount;
    this.taskCounts[state] += sign;
    if (sign === 1) tally.running.delete(taskId);
    if (task.state === 'completed') countDone(tally, task, sign);
    if (state === 'in-progress' && sign === 1) tally.copyingSinceMs ??= task.sinceMs ?? this.#clock.nowMs();
    const isFirstAtWork = state === 'in-progress' && sign === 1 && tally.tasks['in-progress'] === 1;
    if (state === 'completed' || isFirstAtWork) tally.movedAtMs = this.#clock.monotonicMs();
    if (isFirstAtWork) tally.rate.note(tally.movedAtMs, tallyOf(tally).copiedBytes);
  }

  #tally(jobId: JobId): Tally {
    const present = this.#tallies.get(jobId);
    if (present !== undefined) return present;
    const fresh: Tally = {
      tasks: noTasks(),
      waitingSegments: 0,
      doneBytes: 0,
      doneFiles: 0,
      running: new Map(),
      bytesByMethod: new Map(),
      rate: new MovingRate(),
      copyingSinceMs: undefined,
      movedAtMs: this.#clock.monotonicMs(),
    };
    this.#tallies.set(jobId, fresh);
    return fresh;
  }

  #tell(jobId: JobId, what: CopyChange): void {
    for (const listener of this.#listeners) listener(jobId, what);
  }
}

const noTasks = (): Record<CopyTaskState, number> => ({
  pending: 0,
  'in-progress': 0,
  completed: 0,
  failed: 0,
});

/** Tasks of the job that have a record: the first ones. The others wait, too, and are written when it is their turn. */
export const plannedTasks = ({ tasks }: Pick<JobTally, 'tasks'>): number =>
  tasks.pending + tasks['in-progress'] + tasks.completed + tasks.failed;

const tallyOf = ({ tasks, waitingSegments, doneBytes, doneFiles, running, movedAtMs }: Tally): JobTally => ({
  tasks,
  waitingSegments,
  copiedBytes: doneBytes + total(running, 'bytes'),
  copiedFiles: doneFiles + total(running, 'files'),
  movedAtMs,
});

function countDone(
  tally: Tally,
  { range, bytesByMethod = {} }: CopyTask & { readonly state: 'completed' },
  sign: 1 | -1,
): void {
  tally.doneBytes += sign * range.bytes;
  tally.doneFiles += sign * range.files;
  for (const [method, bytes] of Object.entries(bytesByMethod))
    tally.bytesByMethod.set(method, (tally.bytesByMethod.get(method) ?? 0) + sign * bytes);
}
