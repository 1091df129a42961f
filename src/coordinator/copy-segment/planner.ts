/**
 * Writes a job's tasks. Which segments a task holds follows from the snapshot and the job's grouping, and its id from its position: tasks
 * are written in that order, each in one commit with the target segments it fills (O5), and only so many ahead of those that a node has
 * taken up. So where writing goes on follows from the tasks that are there, after a crash too, and a job costs what is under way of it.
 */
import { type Catalog, type Change, MAX_CHANGES_PER_COMMIT, put } from '../../catalog/catalog.ts';
import type { CollectionRecord } from '../../model/records.ts';
import { assert, present } from '../../support/assert.ts';
import type { Clock } from '../../support/clock.ts';
import { sizeOf } from '../snapshot/segment.ts';
import { segments } from '../tables.ts';
import { PLANNED_AHEAD } from './decide.ts';
import { copyJobs, cutTasks, idAt, type OpenCopyJob, type TaskRange } from './job.ts';
import { type CopyMeta, plannedTasks } from './meta.ts';
import { targetSegment } from './request.ts';
import type { OpenedSnapshot, SnapshotSource, SourceSegment } from './source.ts';
import { copyTasks } from './task.ts';

interface PlannedTask {
  readonly range: TaskRange;
  readonly sources: readonly SourceSegment[];
}

export interface PlannerParts {
  readonly catalog: Catalog;
  readonly meta: CopyMeta;
  readonly source: SnapshotSource;
  readonly clock: Clock;
}

export class TaskPlanner {
  readonly #parts: PlannerParts;

  constructor(parts: PlannerParts) {
    this.#parts = parts;
  }

  /** Until enough tasks wait or all are there; the last commit turns the job into `then`. False: the job has changed meanwhile. */
  async plan(job: OpenCopyJob, then: OpenCopyJob = job): Promise<boolean> {
    const { catalog, meta, source } = this.#parts;
    const snapshot = await source.open(job);
    for (let isLast = false; !isLast; ) {
      const target = meta.target(job);
      if (target === undefined) return false;
      const tally = meta.tally(job.jobId);
      const position = plannedTasks(tally);
      const changes: Change[] = [];
      let waiting = tally.waitingSegments;
      const ranges = waiting < PLANNED_AHEAD.max ? await this.#next(job, snapshot, position) : [];
      for (const [n, { range, sources }] of ranges.entries()) {
        changes.push(
          ...this.#targets(job, target, snapshot, range, sources),
          this.#task(job, position + n, range),
        );
        waiting += range.segmentCount;
      }
      isLast = position + ranges.length >= job.taskCount || waiting >= PLANNED_AHEAD.max;
      // The job stands in every commit: once it has ended, nothing more is written that its clearing would have to find.
      changes.push(put(copyJobs, isLast ? then : job, job));
      if ((await catalog.commit(changes)) === 'stale') return false;
    }
    return true;
  }

  /** The tasks from `position` on, as many as one commit holds, each with its segments. */
  async #next(job: OpenCopyJob, snapshot: OpenedSnapshot, position: number): Promise<readonly PlannedTask[]> {
    const first = position === 0 ? 0 : this.#endOf(job, position - 1);
    const sources = await snapshot.segments(
      first,
      Math.min(MAX_CHANGES_PER_COMMIT, job.segmentCount - first),
    );
    const sizes = sources.map((source) => ({
      bytes: sizeOf(source),
      files: source.files.length + source.indexes.length,
    }));
    const isEnd = first + sources.length === job.segmentCount;
    const tasks: PlannedTask[] = [];
    let room = MAX_CHANGES_PER_COMMIT - 1;
    for (const range of cutTasks(sizes, job.grouping, first, isEnd)) {
      room -= range.segmentCount + 1;
      if (room < 0) break;
      const from = range.firstSegment - first;
      tasks.push({ range, sources: sources.slice(from, from + range.segmentCount) });
    }
    assert(tasks.length > 0, `job ${job.jobId} has no task ${position} of ${job.taskCount}`);
    return tasks;
  }

  /** Where the segments of a task end. */
  #endOf({ firstTaskId }: OpenCopyJob, position: number): number {
    const taskId = idAt(firstTaskId, position);
    const { firstSegment, segmentCount } = present(this.#parts.meta.task(taskId), `task ${taskId}`).range;
    return firstSegment + segmentCount;
  }

  /** An older server wrote all targets before the tasks: those that are there stay. */
  #targets(
    job: OpenCopyJob,
    target: CollectionRecord,
    { metadata }: OpenedSnapshot,
    { firstSegment }: TaskRange,
    sources: readonly SourceSegment[],
  ): readonly Change[] {
    return sources
      .map((source, i) => targetSegment(job, target, metadata, source, firstSegment + i))
      .filter(({ segmentId }) => this.#parts.catalog.get(segments, segmentId) === undefined)
      .map((record) => put(segments, record, undefined));
  }

  #task({ jobId, firstTaskId }: OpenCopyJob, position: number, range: TaskRange): Change {
    const taskId = idAt(firstTaskId, position);
    const sinceMs = this.#parts.clock.nowMs();
    return put(copyTasks, { taskId, jobId, range, sinceMs, state: 'pending', attempt: 0 }, undefined);
  }
}
