/** Snapshots, restores and their garbage, wired: what the coordinator's door offers of them, and the loops behind it. */
import type { AnyTable, Catalog } from '../catalog/catalog.ts';
import { DbError } from '../errors/db-error.ts';
import type { BuildId, CollectionId, JobId, PinId, SegmentId, SnapshotId } from '../model/ids.ts';
import type { ObjectStore } from '../storage/object-store.ts';
import type { Clock } from '../support/clock.ts';
import type { Log } from '../support/log.ts';
import { runLoop } from '../support/loop.ts';
import type { Random } from '../support/random.ts';
import { Signal } from '../support/signal.ts';
import type {
  GarbageResult,
  GarbageVerdict,
  PinInfo,
  RestoreAdmin,
  RestorePreview,
  SnapshotAdmin,
  SnapshotAt,
  SnapshotContent,
  SnapshotDiff,
  SnapshotReport,
  SnapshotStats,
  VerifyStep,
} from './admin-api.ts';
import type { IdSource, TimeSource } from './allocator.ts';
import type {
  CollectionName,
  CopySegmentStats,
  CreateSnapshot,
  RestoreJobInfo,
  RestoreSnapshot,
  SnapshotInfo,
  Snapshots,
} from './api.ts';
import type { CaptureGate } from './capture-gate.ts';
import { CopySegmentChecker } from './copy-segment/checker.ts';
import { CopySegmentInspector } from './copy-segment/inspector.ts';
import { copyJobs, type DrillOutcome } from './copy-segment/job.ts';
import { CopyMeta } from './copy-segment/meta.ts';
import { SnapshotSource } from './copy-segment/source.ts';
import { copyTasks } from './copy-segment/task.ts';
import { Collector } from './gc/collector.ts';
import { StoreIdentity, storeIdentities } from './gc/identity.ts';
import { ObjectRemover } from './gc/remover.ts';
import { RestoreDrills } from './restore/drill.ts';
import { RestoreEndings } from './restore/endings.ts';
import { restoreGate } from './restore/gate.ts';
import { InPlaceRestores } from './restore/in-place.ts';
import { RestoreJobs } from './restore/jobs.ts';
import { Restore } from './restore/restore.ts';
import type {
  AheadLoads,
  CollectionDrops,
  CollectionLookup,
  IndexBuilds,
  ObjectChecker,
  RestoreGate,
  SegmentFingerprints,
  SegmentFlusher,
} from './rooms.ts';
import type { Scheduler } from './scheduler/task.ts';
import { KnownDamage } from './snapshot/damage.ts';
import { SnapshotDiffer } from './snapshot/diff.ts';
import { defaultSnapshotLimits, type SnapshotLimits } from './snapshot/limits.ts';
import { SnapshotLookup } from './snapshot/lookup.ts';
import { SnapshotManager } from './snapshot/manager.ts';
import { SnapshotReferences } from './snapshot/meta.ts';
import { overdueCreations } from './snapshot/overdue.ts';
import { pinInfos } from './snapshot/pin-infos.ts';
import { freesSnapshot, Pins } from './snapshot/pins.ts';
import { pins, snapshots } from './snapshot/record.ts';
import { SnapshotRemoval } from './snapshot/removal.ts';
import { SnapshotReports } from './snapshot/report.ts';
import { SnapshotVerifier } from './snapshot/verify.ts';

/** To be opened with the catalog, next to `coreTables`. */
export const snapshotTables: readonly AnyTable[] = [snapshots, pins, copyJobs, copyTasks, storeIdentities];

export interface SnapshotServiceOptions {
  readonly catalog: Catalog;
  readonly store: ObjectStore;
  readonly ids: IdSource;
  readonly time: TimeSource;
  readonly clock: Clock;
  readonly random: Random;
  readonly scheduler: Scheduler;
  readonly checker: ObjectChecker;
  readonly fingerprints: SegmentFingerprints;
  readonly loads: AheadLoads;
  readonly drops: CollectionDrops;
  readonly flusher: SegmentFlusher;
  readonly captureGate: CaptureGate;
  readonly resolve: CollectionLookup;
  readonly builds: IndexBuilds;
  readonly log: Log;
  readonly limits?: Partial<SnapshotLimits>;
}

export class SnapshotService implements Snapshots, SnapshotAdmin, RestoreAdmin {
  /** Whether the target of a restore may be seen. */
  readonly gate: RestoreGate;
  readonly collector: Collector;
  readonly #options: SnapshotServiceOptions;
  readonly #limits: SnapshotLimits;
  readonly #meta: CopyMeta;
  readonly #references: SnapshotReferences;
  readonly #pins: Pins;
  readonly #identity: StoreIdentity;
  readonly #removal: SnapshotRemoval;
  readonly #manager: SnapshotManager;
  readonly #restore: Restore;
  readonly #jobs: RestoreJobs;
  readonly #checker: CopySegmentChecker;
  readonly #inspector: CopySegmentInspector;
  readonly #inPlace: InPlaceRestores;
  readonly #drills: RestoreDrills;
  readonly #endings: RestoreEndings;
  readonly #reports: SnapshotReports;
  readonly #verifier: SnapshotVerifier;
  readonly #differ: SnapshotDiffer;
  readonly #wakeCollector = new Signal();
  readonly #wakeReferences = new Signal();

  constructor(options: SnapshotServiceOptions) {
    this.#options = options;
    const limits = { ...defaultSnapshotLimits, ...options.limits };
    this.#limits = limits;
    const { catalog, store } = options;
    this.#meta = new CopyMeta(catalog, options.clock);
    this.gate = restoreGate(this.#meta);
    this.#references = new SnapshotReferences({ ...options, loadTimeoutMs: limits.refIndexLoadTimeoutMs });
    this.#pins = new Pins(catalog, options.clock, options.random);
    this.#identity = new StoreIdentity(options);
    const shared = {
      ...options,
      limits,
      gate: this.gate,
      meta: this.#meta,
      references: this.#references,
      identity: this.#identity,
      remover: new ObjectRemover(store, this.#identity),
      pins: this.#pins,
      source: new SnapshotSource(catalog, store, limits.objectsAtOnce),
      lookup: new SnapshotLookup(catalog, options.resolve),
      damage: new KnownDamage(catalog),
    };
    this.#removal = new SnapshotRemoval(shared);
    this.#manager = new SnapshotManager({ ...shared, removal: this.#removal });
    this.#restore = new Restore({ ...shared, manager: this.#manager });
    this.#checker = new CopySegmentChecker({ ...shared, finish: (job) => this.#endings.begin(job) });
    this.#inspector = new CopySegmentInspector(shared);
    const ending = {
      ...shared,
      restore: this.#restore,
      end: (jobId: JobId, reason: string, outcome?: DrillOutcome) =>
        this.#checker.end(jobId, reason, outcome),
    };
    this.#inPlace = new InPlaceRestores(ending);
    this.#drills = new RestoreDrills(ending);
    this.#endings = new RestoreEndings({ ...ending, inPlace: this.#inPlace, drills: this.#drills });
    this.#jobs = new RestoreJobs({ ...shared, trouble: (jobId) => this.#endings.trouble(jobId) });
    this.collector = new Collector({ ...shared, removal: this.#removal });
    this.#reports = new SnapshotReports(shared);
    this.#verifier = new SnapshotVerifier(shared);
    this.#differ = new SnapshotDiffer({ ...shared, reports: this.#reports });
    catalog.onChange((changes) => {
      if (changes.some((change) => freesSnapshot(catalog, change))) this.#wakeCollector.set();
    });
  }

  /** Once, before anything else writes to catalog or store: whether they belong together. */
  identify(): Promise<void> {
    return this.#identity.open();
  }

  /**
   * Once, after `identify` and before anything is asked of it: what a crash left half done is finished or taken back, running
   * attempts go back to the scheduler. References are read by `run`: until then everything of collections with snapshots is kept, and no start waits for them.
   */
  async recover(): Promise<void> {
    this.#references.recover();
    await this.collector.removeOrphans();
    await this.#removal.pass();
    this.#inspector.reload();
  }

  /** The loops, until `signal` aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#options;
    const { checkIntervalMs, gcIntervalMs, refIndexLoadIntervalMs, objectsAtOnce } = this.#limits;
    const close = () => {
      this.#references.close();
      this.#removal.close();
    };
    signal.addEventListener('abort', close, { once: true });
    const loop = (name: string, pass: () => Promise<unknown>, wake: Signal, fallbackMs: number) =>
      runLoop({
        pass: async () => void (await pass()),
        wake,
        fallbackMs,
        clock,
        signal,
        onError: (error) => log.error('pass-failed', { loop: name, error }),
      });
    await Promise.all([
      loop(
        'references',
        async () => {
          await this.#references.load(objectsAtOnce);
          // What kept the collector from the store may be over long before its next pass.
          if (await this.#identity.isOverNow()) this.#wakeCollector.set();
        },
        this.#wakeReferences,
        refIndexLoadIntervalMs,
      ),
      loop('checker', () => this.#checker.pass(), this.#checker.wake, checkIntervalMs),
      loop('inspector', () => this.#inspector.pass(), this.#inspector.wake, checkIntervalMs),
      loop('collector', () => this.collector.pass(signal), this.#wakeCollector, gcIntervalMs),
    ]);
    await this.#checker.settle();
    await this.#endings.close();
    await this.#inspector.settle();
    await this.#removal.settled();
  }

  createSnapshot(request: CreateSnapshot): Promise<SnapshotId> {
    return this.#manager.create(request);
  }

  dropSnapshot(at: CollectionName, name: string): Promise<void> {
    return this.#manager.drop(at, name);
  }

  listSnapshots(at: CollectionName): readonly string[] {
    return this.#manager.list(at);
  }

  describeSnapshot(at: CollectionName, name: string): SnapshotInfo {
    return this.#manager.describe(at, name);
  }

  pinSnapshot(at: CollectionName, name: string, ttlSeconds: number, owner?: string): Promise<PinId> {
    return this.#manager.pin(at, name, ttlSeconds, owner);
  }

  unpinSnapshot(pinId: PinId): Promise<void> {
    return this.#manager.unpin(pinId);
  }

  listPins(): readonly PinInfo[] {
    return pinInfos(this.#options.catalog, this.#pins);
  }

  snapshotStats(): SnapshotStats {
    return {
      snapshots: this.#options.catalog.find(snapshots, 'state', 'committed').length,
      pins: this.#pins.allActive().length,
      referencesNotLoaded: this.#references.unknown.length,
    };
  }

  /** The store is not ours, references could not be read, creations take too long. */
  troubles(): readonly string[] {
    const { catalog, clock } = this.#options;
    const overdue = overdueCreations(catalog, clock.nowMs() - this.#limits.pendingTimeoutMs);
    return [...this.#identity.troubles(), ...this.#references.troubles(), ...overdue];
  }

  /** Why the snapshot's objects cannot be believed, as far as is known. */
  damageOf(snapshotId: SnapshotId): string | undefined {
    return this.#references.damageOf(snapshotId);
  }

  restoreSnapshot(request: RestoreSnapshot): Promise<JobId> {
    return this.#restore.start(request);
  }

  previewRestore(request: RestoreSnapshot, signal: AbortSignal): Promise<RestorePreview> {
    return this.#restore.preview(request, signal);
  }

  restoreState(jobId: JobId): RestoreJobInfo {
    return this.#jobs.state(jobId);
  }

  listRestoreJobs(database: string, collection: string): readonly RestoreJobInfo[] {
    return this.#jobs.list(database, collection);
  }

  copySegmentStats(): CopySegmentStats {
    return this.#jobs.stats();
  }

  snapshotReports(database: string, collection: string): readonly SnapshotReport[] {
    return this.#reports.list(database, collection);
  }

  snapshotReport(at: SnapshotAt): Promise<SnapshotReport & { readonly content?: SnapshotContent }> {
    return this.#reports.report(at);
  }

  verifySnapshot(at: SnapshotAt, fraction: number, signal: AbortSignal): AsyncIterable<VerifyStep> {
    return this.#verifier.verify(at, fraction, signal);
  }

  diffSnapshots(from: SnapshotAt, to: SnapshotAt, signal: AbortSignal): Promise<SnapshotDiff> {
    return this.#differ.diff(from, to, signal);
  }

  /** Ends a restore: target, files and pin go, the job stays listed as failed with `reason`. False when it has ended already. */
  async cancelRestore(jobId: JobId, reason = 'cancelled'): Promise<boolean> {
    if (this.#meta.job(jobId) === undefined)
      throw new DbError('job-not-found', `restore job not found: jobID=${jobId}`);
    const isEnded = await this.#checker.end(jobId, reason);
    if (isEnded) await this.#inspector.clear(jobId);
    return isEnded;
  }

  restoreInPlace(at: SnapshotAt, mode?: 'shared' | 'physical'): Promise<JobId> {
    return this.#inPlace.start(at, mode);
  }

  settleSwap(jobId: JobId, decision: 'confirm' | 'revert'): Promise<void> {
    return this.#inPlace.settle(jobId, decision);
  }

  drillRestore(at: SnapshotAt): Promise<JobId> {
    return this.#drills.start(at);
  }

  lastCollection(): ReturnType<SnapshotAdmin['lastCollection']> {
    return this.collector.last;
  }

  planGarbage(signal: AbortSignal): AsyncIterable<GarbageVerdict> {
    return this.collector.plan(signal);
  }

  collectGarbage(signal: AbortSignal): Promise<GarbageResult> {
    return this.collector.pass(signal);
  }

  /** After the record of a collection was removed: its unpinned snapshots go, and a restore that fills it ends. */
  async collectionDropped(collectionId: CollectionId): Promise<void> {
    for (const { jobId } of this.#meta.jobsOf(collectionId)) {
      await this.#checker.end(jobId, 'the target collection was dropped');
      await this.#inspector.clear(jobId);
    }
    await this.#removal.dropAllOf(collectionId);
  }

  /** Whether a snapshot needs the segment's files, or may need them. */
  isSegmentReferenced(collectionId: CollectionId, segmentId: SegmentId): boolean {
    return this.#references.isSegmentReferenced(collectionId, segmentId);
  }

  /** Whether a snapshot's compaction protection forbids to replace the segment now. */
  isProtected(collectionId: CollectionId, segmentId: SegmentId): boolean {
    return this.#references.isProtected(collectionId, segmentId);
  }

  isBuildReferenced(collectionId: CollectionId, buildId: BuildId): boolean {
    return this.#references.isBuildReferenced(collectionId, buildId);
  }
}
