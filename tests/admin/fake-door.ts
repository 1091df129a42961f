/** What the admin server asks, answered from a few records in memory; the streams wait, fail and notice an abort as real ones do. */

import type { AdminDoor } from '../../src/admin/routes.ts';
import type {
  GarbageVerdict,
  PinInfo,
  RestorePreview,
  SnapshotAt,
  SnapshotContent,
  SnapshotDiff,
  SnapshotReport,
  VerifyStep,
} from '../../src/coordinator/admin-api.ts';
import type { RestoreJobInfo, RestoreSnapshot } from '../../src/coordinator/api.ts';
import { DbError } from '../../src/errors/db-error.ts';
import { hybridTime } from '../../src/model/hybrid-time.ts';
import type { FieldSchema } from '../../src/model/schema.ts';
import { fieldSchema } from '../field-schema.ts';

export const createdAtMs = Date.UTC(2025, 10, 22, 9, 30, 15, 250);

export const pin = (fields: Partial<PinInfo> = {}): PinInfo => ({
  pinId: 8_123_456_789_012_345_678n as never,
  snapshotId: 462n as never,
  snapshotName: 'monday',
  databaseName: 'default',
  collectionName: 'films',
  owner: 'restore job 501',
  createdAtMs,
  ...fields,
});

export const report = (fields: Partial<SnapshotReport> = {}): SnapshotReport => ({
  snapshotId: 462n as never,
  name: 'monday',
  description: 'before the import',
  databaseName: 'default',
  collectionName: 'films',
  collectionId: 451n as never,
  createTs: hybridTime(createdAtMs, 7),
  createdAtMs,
  location: 'snapshots/451/metadata/462.json',
  rowCount: 100_000,
  segmentCount: 12,
  sizeBytes: 40_123_456,
  protectedUntilMs: 0,
  pins: [],
  ...fields,
});

const fieldOf = (of: Partial<FieldSchema>): FieldSchema =>
  fieldSchema('id', { fieldId: 100 as never, ...of });

export const content: SnapshotContent = {
  deleteCount: 17,
  exclusiveBytes: 1_234_567,
  sharedBytes: 38_888_889,
  fileCount: 36,
  schema: {
    description: '',
    enableDynamicField: false,
    version: 0,
    fields: [
      fieldOf({ isPrimaryKey: true, defaultValue: 2n ** 62n }),
      fieldOf({ fieldId: 101 as never, name: 'title', dataType: 'VarChar', maxLength: 200, nullable: true }),
      fieldOf({ fieldId: 102 as never, name: 'vector', dataType: 'FloatVector', dim: 4 }),
    ],
  },
  shardsNum: 2,
  consistencyLevel: 'Bounded',
  properties: { 'collection.ttl.seconds': '86400' },
  partitions: [
    {
      partitionId: 452n as never,
      name: '_default',
      segmentCount: 12,
      rowCount: 100_000,
      sizeBytes: 40_000_000,
    },
  ],
  indexes: [
    {
      name: 'vector_index',
      fieldName: 'vector',
      params: { index_type: 'HNSW', metric_type: 'COSINE' },
      segmentCount: 11,
      sizeBytes: 9_000_000,
    },
  ],
};

export const job = (fields: Partial<RestoreJobInfo> = {}): RestoreJobInfo => ({
  jobId: 501n as never,
  snapshotName: 'monday',
  databaseName: 'default',
  collectionName: 'films_again',
  state: 'executing',
  progress: 40,
  reason: '',
  startedAtMs: createdAtMs,
  durationMs: 1500,
  totalBytes: 40_000_000,
  copiedBytes: 16_000_000,
  totalFiles: 36,
  copiedFiles: 14,
  totalSegments: 12,
  totalRows: 100_000,
  bytesPerSecond: 16_000_000,
  remainingMs: 1500,
  bytesByMethod: { 'hard-link': 12_000_000, stream: 4_000_000 },
  tasks: { queued: 3, running: 2, completed: 1 },
  nodes: [{ nodeId: 1n as never, taskIds: [611n as never, 612n as never] }],
  stages: { waitingMs: 500, copyingMs: 1000 },
  ...fields,
});

export const preview = (fields: Partial<RestorePreview> = {}): RestorePreview => ({
  snapshotName: 'monday',
  databaseName: 'default',
  collectionName: 'films_again',
  segmentCount: 12,
  taskCount: 2,
  totalBytes: 40_000_000,
  totalFiles: 36,
  totalRows: 100_000,
  mode: 'shared',
  method: 'hard-link',
  problems: [],
  problemCount: 0,
  freeBytes: 5_000_000_000,
  estimatedMs: 1500,
  ...fields,
});

export const verdict = (fields: Partial<GarbageVerdict> = {}): GarbageVerdict => ({
  key: 'segments/451/452/460/rows.parquet',
  sizeBytes: 1_200_000,
  verdict: 'keep',
  reason: 'snapshot',
  detail: "snapshot 'monday'",
  ...fields,
});

const end: VerifyStep = {
  kind: 'end',
  objects: 3,
  bytes: 3000,
  totalObjects: 3,
  totalBytes: 3000,
  problems: 0,
};

export class FakeDoor implements AdminDoor {
  reports: SnapshotReport[] = [report()];
  pins: PinInfo[] = [pin()];
  jobs: RestoreJobInfo[] = [job()];
  verdicts: GarbageVerdict[] = [verdict()];
  diff: SnapshotDiff | undefined;
  preview: RestorePreview = preview();
  steps: readonly VerifyStep[] = [end];
  /** Thrown after the steps or verdicts. */
  failure: Error | undefined;
  /** After the steps, verify waits for its signal, and so does a preview. */
  isEndless = false;
  isHealthy = true;
  readonly asked: string[] = [];
  /** Resolves with the reason when an endless verify has been aborted. */
  readonly aborted: Promise<unknown>;
  #abort: (reason: unknown) => void = () => undefined;

  constructor() {
    this.aborted = new Promise((resolve) => {
      this.#abort = resolve;
    });
  }

  health() {
    return { isHealthy: this.isHealthy, reasons: this.isHealthy ? [] : ['the log is full'] };
  }
  listDatabases() {
    return [];
  }
  listCollections() {
    return [];
  }
  listRestoreJobs(database: string, collection: string) {
    return this.jobs.filter(
      (each) =>
        (database === '' || each.databaseName === database) &&
        (collection === '' || each.collectionName === collection),
    );
  }
  copySegmentStats() {
    const state = { boundsMs: [10, 1000], counts: [2, 1, 1], sumMs: 5015 };
    const jobs = { pending: 0, executing: 0, completed: 0, failed: 0 };
    for (const { state: of } of this.jobs) jobs[of]++;
    return {
      jobs,
      tasks: { pending: 3, 'in-progress': 2, completed: 1, failed: 0 },
      latencies: {
        job: { pending: state, executing: state, total: state },
        task: { pending: state, executing: state, settled: state },
      },
      scheduler: {
        waiting: { restore: 3, flush: 1, index: 0, compaction: 0 },
        nodes: [{ nodeId: 1n as never, slots: 4, usedSlots: 3, restoreSlots: 2 }],
      },
    };
  }
  restoreState(jobId: bigint) {
    const found = this.jobs.find((each) => each.jobId === jobId);
    if (found === undefined) throw new DbError('job-not-found', `restore job not found: jobID=${jobId}`);
    return found;
  }
  async restoreSnapshot(request: RestoreSnapshot) {
    this.#find({ at: request.source, name: request.name });
    this.asked.push(`restore ${describe(request)}`);
    const jobId = 600n as never;
    this.jobs.push(job({ jobId, state: 'pending', progress: 0, collectionName: request.target.name }));
    return jobId;
  }
  async previewRestore(request: RestoreSnapshot, signal: AbortSignal) {
    this.#find({ at: request.source, name: request.name });
    this.asked.push(`preview ${describe(request)}`);
    if (!this.isEndless) return this.preview;
    await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
    this.#abort(signal.reason);
    throw signal.reason;
  }
  snapshotReports(database: string, collection: string) {
    return this.reports.filter(
      (each) =>
        (database === '' || each.databaseName === database) &&
        (collection === '' || each.collectionName === collection),
    );
  }
  #find({ at, name }: SnapshotAt): SnapshotReport {
    const found = this.snapshotReports(at.database, at.name).find((each) => each.name === name);
    if (found === undefined)
      throw new DbError('snapshot-not-found', `snapshot not found: '${name}' in collection '${at.name}'`);
    return found;
  }
  snapshotReport(snapshot: SnapshotAt) {
    const found = this.#find(snapshot);
    return Promise.resolve(found.damage === undefined ? { ...found, content } : found);
  }
  async *verifySnapshot(snapshot: SnapshotAt, fraction: number, signal: AbortSignal) {
    this.#find(snapshot);
    this.asked.push(`verify ${snapshot.at.database}/${snapshot.at.name}/${snapshot.name} ${fraction}`);
    yield* this.steps;
    if (this.failure !== undefined) throw this.failure;
    if (!this.isEndless) return;
    await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
    this.#abort(signal.reason);
    throw signal.reason;
  }
  async diffSnapshots(from: SnapshotAt, to: SnapshotAt) {
    return this.diff ?? sameDiff(this.#find(from), this.#find(to));
  }
  listPins() {
    return this.pins;
  }
  compactionStats() {
    return { running: 1, completed: 2, failed: 3, rowsRemoved: 4 };
  }
  lastCollection() {
    return { endedAtMs: 5000, deletedObjects: 6, deletedBytes: 7, keptObjects: 8, keptBytes: 9 };
  }
  snapshotStats() {
    return { snapshots: this.reports.length, pins: this.pins.length, referencesNotLoaded: 1 };
  }
  async *planGarbage() {
    yield* this.verdicts;
    if (this.failure !== undefined) throw this.failure;
  }
  async collectGarbage() {
    if (this.failure !== undefined) throw this.failure;
    return { deletedObjects: 3, deletedBytes: 1_234_567, keptObjects: 40, keptBytes: 40_000_000 };
  }
  async restoreInPlace({ at, name }: SnapshotAt, mode?: string) {
    this.#find({ at, name });
    this.asked.push(`in-place ${at.database}/${at.name}/${name} ${mode}`);
    return 501n as never;
  }
  async settleSwap(jobId: bigint, decision: string) {
    this.restoreState(jobId);
    this.asked.push(`${decision} ${jobId}`);
  }
  async drillRestore({ at, name }: SnapshotAt) {
    this.#find({ at, name });
    this.asked.push(`drill ${at.database}/${at.name}/${name}`);
    return 501n as never;
  }
  async cancelRestore(jobId: bigint, reason = 'cancelled') {
    const found = this.restoreState(jobId);
    this.asked.push(`cancel ${jobId}: ${reason}`);
    if (found.state === 'completed' || found.state === 'failed') return false;
    this.jobs = this.jobs.map((each) =>
      each === found ? { ...each, state: 'failed' as const, reason } : each,
    );
    return true;
  }
}

const describe = ({ source, name, target, partitions, mode }: RestoreSnapshot): string =>
  `${source.database}/${source.name}/${name} to ${target.database}/${target.name} ${partitions ?? 'all'} ${mode ?? 'as configured'}`;

export const sameDiff = (from: SnapshotReport, to: SnapshotReport): SnapshotDiff => ({
  from,
  to,
  segments: { added: [], removed: [], common: from.segmentCount },
  addedRows: 0,
  removedRows: 0,
  addedBytes: 0,
  removedBytes: 0,
  definition: [],
});
