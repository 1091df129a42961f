/**
 * What must hold of restore jobs and their tasks at every commit, by the commits themselves: each is looked at as it happens, so that
 * what is wrong for a moment only is seen, too.
 */
import type { Catalog, Change } from '../../src/catalog/catalog.ts';
import { type CopyJob, copyJobs, isOpen } from '../../src/coordinator/copy-segment/job.ts';
import { type CopyTask, copyTasks } from '../../src/coordinator/copy-segment/task.ts';
import { pins } from '../../src/coordinator/snapshot/record.ts';
import { allFiles } from '../../src/coordinator/snapshot/segment.ts';
import { collections, segments } from '../../src/coordinator/tables.ts';
import type { NodeTask, NodeTaskReport } from '../../src/datanode/api.ts';
import type { NodeId } from '../../src/model/ids.ts';
import type { SegmentFile, SegmentRecord } from '../../src/model/records.ts';
import { check } from './properties.ts';

export class JobWatch {
  /** `task/attempt` to the node it was sent to. */
  readonly #sent = new Map<string, NodeId>();
  /** `task/attempt` that a node has really brought to its end. */
  readonly #done = new Set<string>();
  /** Copies that moved bytes, by target key, since the target was last taken away or torn. */
  readonly #copies = new Map<string, number>();

  /** Told when a task of a drill is done, before anything is compared. */
  onDrillCopied: (job: CopyJob, files: readonly SegmentFile[]) => void = () => undefined;

  /** A command goes out. */
  sent(catalog: Catalog | undefined, nodeId: NodeId, { taskId, attempt, work }: NodeTask): void {
    if (work.kind !== 'copy-segment') return;
    const name = `${taskId}/${attempt}`;
    const to = this.#sent.get(name);
    check('exact', to === undefined, () => `attempt ${name} is sent to node ${nodeId} after node ${to}`);
    this.#sent.set(name, nodeId);
    const stored = catalog?.get(copyTasks, taskId);
    check(
      'exact',
      stored === undefined || stored.attempt >= attempt,
      () => `attempt ${name} is sent, and ${stored?.attempt} is stored`,
    );
  }

  /** A node's own word, before anything happens to it on its way. */
  reported({ taskId, attempt, state }: NodeTaskReport): void {
    if (state === 'completed') this.#done.add(`${taskId}/${attempt}`);
  }

  copied(key: string, isTorn: boolean): void {
    const copies = isTorn ? 0 : (this.#copies.get(key) ?? 0) + 1;
    this.#copies.set(key, copies);
    check('once', copies < 2, () => `object '${key}' was there and right, and is copied again`);
  }

  deleted(key: string): void {
    this.#copies.delete(key);
  }

  committed(catalog: Catalog, changes: readonly Change[]): void {
    for (const { table, was, is } of changes) {
      if (table === copyTasks) {
        this.#task(was as CopyTask | undefined, is as CopyTask | undefined);
        this.#drill(catalog, is as CopyTask | undefined, changes);
      }
      if (table === copyJobs) this.#job(catalog, was as CopyJob | undefined, is as CopyJob | undefined);
      else if (table === segments)
        this.#segment(catalog, was as SegmentRecord | undefined, is as SegmentRecord | undefined);
    }
  }

  #task(was: CopyTask | undefined, is: CopyTask | undefined): void {
    if (is === undefined) return;
    const name = `task ${is.taskId}`;
    const before = was?.attempt ?? 0;
    check(
      'exact',
      is.attempt === before + (is.state === 'in-progress' ? 1 : 0),
      () => `${name} goes from attempt ${before} to ${is.attempt}, ${is.state}`,
    );
    const isEnded = was?.state === 'completed' || was?.state === 'failed';
    check('exact', !isEnded, () => `${name} goes from ${was?.state} to ${is.state}`);
    check(
      'exact',
      is.state !== 'completed' || this.#done.has(`${is.taskId}/${is.attempt}`),
      () => `${name} counts as completed by attempt ${is.attempt}, which is not`,
    );
  }

  #drill(catalog: Catalog, is: CopyTask | undefined, changes: readonly Change[]): void {
    const job = is?.state === 'completed' ? catalog.get(copyJobs, is.jobId) : undefined;
    if (job?.purpose?.kind !== 'drill') return;
    const copied = changes
      .filter(({ table }) => table === segments)
      .map(({ is: now }) => now as SegmentRecord);
    this.onDrillCopied(job, copied.flatMap(allFiles));
  }

  #job(catalog: Catalog, was: CopyJob | undefined, is: CopyJob | undefined): void {
    const name = `job ${(is ?? was)?.jobId}`;
    if (is === undefined) {
      const isTidy = was !== undefined && !isOpen(was) && was.isTidy;
      check('clean', isTidy, () => `${name} is forgotten before it is tidy`);
      return;
    }
    if (was !== undefined && !isOpen(was)) {
      const isSame = !isOpen(is) && is.state === was.state && is.endedAtMs === was.endedAtMs;
      check('ends', isSame, () => `${name} has ended ${was.state} and is ${is.state}`);
      return;
    }
    const progress = (job: CopyJob | undefined) => (job?.state === 'executing' ? job.progress : 0);
    if (is.state === 'executing')
      check(
        'ends',
        is.progress >= progress(was) && is.progress < 100,
        () => `${name} is at ${is.progress} %`,
      );
    if (isOpen(is)) return;
    const pin = catalog.get(pins, is.pinId);
    check('clean', pin === undefined, () => `${name} has ended and its pin is left`);
    if (is.state === 'completed') this.#complete(catalog, is);
    else {
      const target = catalog.get(collections, is.collectionId);
      check('clean', target === undefined, () => `${name} has failed and its target is left`);
      check('ends', is.reason !== '', () => `${name} fails without a reason`);
    }
  }

  /** Everything that was to be copied is named by the targets in this very commit. */
  #complete(catalog: Catalog, job: CopyJob): void {
    const done = catalog.find(copyTasks, 'jobState', `${job.jobId}/completed`).length;
    check(
      'whole',
      done === job.taskCount,
      () => `job ${job.jobId} completes with ${done} of ${job.taskCount} tasks`,
    );
    const targets = catalog
      .find(segments, 'collection', job.collectionId)
      .filter(({ restoreJobId, files }) => restoreJobId === job.jobId && files.length > 0);
    check(
      'whole',
      targets.length === job.segmentCount,
      () => `job ${job.jobId} completes with ${targets.length} of ${job.segmentCount} segments`,
    );
    const rows = targets.reduce((sum, { level, rowCount }) => (level === 'L0' ? sum : sum + rowCount), 0);
    check('whole', rows === job.totalRows, () => `job ${job.jobId}: ${rows} of ${job.totalRows} rows`);
  }

  #segment(catalog: Catalog, was: SegmentRecord | undefined, is: SegmentRecord | undefined): void {
    if (was?.restoreJobId === undefined || is === undefined || is.state === 'dropped') return;
    const job = catalog.get(copyJobs, was.restoreJobId);
    if (job === undefined || !isOpen(job)) return;
    const name = `segment ${is.segmentId} of job ${job.jobId}`;
    check('whole', is.restoreJobId === job.jobId, () => `${name} is anybody's before the job is completed`);
    const isFirst = was.files.length === 0;
    check('exact', isFirst || was.files === is.files, () => `${name} gets its files twice`);
    const keys = new Set(is.files.map(({ key }) => key));
    check('exact', keys.size === is.files.length, () => `${name} has a file twice`);
  }
}
