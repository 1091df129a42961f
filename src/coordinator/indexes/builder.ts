/**
 * Sees to it that segments have the index files their indexes ask for, and no others. It looks at a collection when something of
 * it has changed. A finished build is one commit on the segment record; a segment dropped meanwhile stays dropped, and the
 * file is garbage.
 */
import { type Catalog, type Change, put } from '../../catalog/catalog.ts';
import type { BuildIndexOutput, NodeWork } from '../../datanode/api.ts';
import type { BuildId, CollectionId, IndexId, SegmentId, TaskId } from '../../model/ids.ts';
import { flatParams } from '../../model/index-params.ts';
import type { IndexRecord, SegmentRecord } from '../../model/records.ts';
import type { FieldSchema } from '../../model/schema.ts';
import { mapLimited } from '../../support/limiter.ts';
import type { Log } from '../../support/log.ts';
import type { Signal } from '../../support/signal.ts';
import type { IdSource } from '../allocator.ts';
import { commitEach } from '../batches.ts';
import type { IndexBuilds, OutputIndexes, RestoreGate } from '../rooms.ts';
import type { Scheduler } from '../scheduler/task.ts';
import { isVisible } from '../segments/state.ts';
import { collections, indexes, segments } from '../tables.ts';
import { type BuildTarget, BuildTask } from './build-task.ts';
import { builtKind, lacksFile } from './params.ts';

export interface BuilderParts {
  readonly catalog: Catalog;
  readonly ids: IdSource;
  readonly scheduler: Scheduler;
  readonly gate: RestoreGate;
  readonly log: Log;
  readonly wake: Signal;
  readonly minRows: number;
}

/** What became of a build: a task, nothing to build (too small for the node's taste), or a failure that repeating does not cure. */
type Build =
  | { readonly state: 'running'; readonly taskId: TaskId | undefined; readonly target: BuildTarget }
  | { readonly state: 'needless' }
  | { readonly state: 'failed'; readonly reason: string };

const CANCELS_AT_ONCE = 16;
const keyOf = ({ segmentId, indexId }: BuildTarget): string => `${segmentId}/${indexId}`;

export class IndexBuilder implements IndexBuilds, OutputIndexes {
  readonly #parts: BuilderParts;
  /** What to look at in the next pass: everything of a collection, or some segments. */
  readonly #changed = new Map<CollectionId, Set<SegmentId> | 'all'>();
  readonly #builds = new Map<string, Build>();
  /** Woken whenever a build ends. */
  readonly #waiting = new Set<() => void>();
  /** Running builds of which an attempt has failed: who waits for them is not kept waiting. */
  readonly #stumbled = new Set<string>();

  constructor(parts: BuilderParts) {
    this.#parts = parts;
  }

  /** After a start everything has to be looked at once. */
  recover(): void {
    for (const { collectionId } of this.#parts.catalog.all(collections))
      this.#changed.set(collectionId, 'all');
    this.#parts.wake.set();
  }

  /** Told of every commit. */
  changed(changes: readonly Change[]): void {
    for (const { table, was, is } of changes) {
      if (was === is) continue;
      if (table === indexes) this.#look(((is ?? was) as IndexRecord).collectionId);
      if (table !== segments) continue;
      const segment = (is ?? was) as SegmentRecord;
      if (is === undefined || segment.state === 'dropped') this.#forget(segment);
      // Nobody sees the target of a restore before it is an ordinary record, which is a change of its own.
      else if (segment.state === 'flushed' && segment.restoreJobId === undefined)
        this.#look(segment.collectionId, segment.segmentId);
    }
  }

  /** Looks at what has changed. A collection that could not be dealt with is looked at again. */
  async pass(): Promise<void> {
    for (const [collectionId, what] of [...this.#changed]) {
      this.#changed.delete(collectionId);
      try {
        if (what === 'all') await this.#removeOrphans(collectionId);
        await this.#start(
          collectionId,
          what === 'all' ? this.#segmentsOf(collectionId) : this.#visible(what),
        );
      } catch (error) {
        this.#changed.set(collectionId, 'all');
        throw error;
      }
    }
  }

  /** Whether this segment counts as indexed: it has the file, or will never have one. */
  isBuilt(segment: SegmentRecord, index: IndexRecord): boolean {
    return (
      !lacksFile(segment, index, this.#fieldOf(index), this.#parts.minRows) ||
      this.#builds.get(keyOf({ ...segment, ...index }))?.state === 'needless'
    );
  }

  isBuilding(segmentId: SegmentId): boolean {
    for (const build of this.#builds.values())
      if (build.state === 'running' && build.target.segmentId === segmentId) return true;
    return false;
  }

  async buildAll(segmentId: SegmentId, signal: AbortSignal): Promise<void> {
    const segment = this.#parts.catalog.get(segments, segmentId);
    if (segment === undefined || signal.aborted) return;
    try {
      await this.#start(segment.collectionId, [segment]);
    } catch (error) {
      this.#parts.log.error('output-not-indexed', { segmentId, error });
    }
    while (this.#isGettingOn(segmentId) && !signal.aborted) await this.#someEnd(signal);
  }

  troubles(): readonly string[] {
    return [...this.#builds].flatMap(([key, build]) =>
      build.state === 'failed' ? [`index build of segment/index ${key}: ${build.reason}`] : [],
    );
  }

  /** Ends every build that `isUnwanted`; resolves when no node works on it. */
  async cancel(isUnwanted: (target: BuildTarget) => boolean): Promise<void> {
    const taskIds: TaskId[] = [];
    for (const [key, build] of this.#builds) {
      if (!isUnwanted(targetOf(key))) continue;
      this.#builds.delete(key);
      this.#stumbled.delete(key);
      if (build.state === 'running' && build.taskId !== undefined) taskIds.push(build.taskId);
    }
    this.#wakeWaiting();
    await mapLimited(taskIds, CANCELS_AT_ONCE, (taskId) => this.#parts.scheduler.cancel(taskId));
  }

  /** Takes entries of dropped indexes out of the segments: their files are garbage from then on, unless a snapshot needs them. */
  async #removeOrphans(collectionId: CollectionId): Promise<void> {
    const { catalog } = this.#parts;
    if (catalog.get(collections, collectionId) === undefined) return;
    const isKept = ({ indexId }: { readonly indexId: IndexId }) =>
      catalog.get(indexes, indexId) !== undefined;
    const orphaned = this.#segmentsOf(collectionId).filter((segment) => !segment.indexes.every(isKept));
    await commitEach(
      catalog,
      orphaned.map(({ segmentId }) => segmentId),
      (segmentId) => {
        const was = catalog.get(segments, segmentId);
        if (was === undefined || was.state === 'dropped' || was.indexes.every(isKept)) return undefined;
        return put(segments, { ...was, indexes: was.indexes.filter(isKept) }, was);
      },
    );
  }

  /** The segment is gone. A build that runs finds out itself. */
  #forget({ collectionId, segmentId }: SegmentRecord): void {
    for (const { indexId } of this.#parts.catalog.find(indexes, 'collection', collectionId)) {
      const key = keyOf({ segmentId, indexId });
      if (this.#builds.get(key)?.state !== 'running') this.#builds.delete(key);
    }
  }

  #look(collectionId: CollectionId, segmentId?: SegmentId): void {
    const what = this.#changed.get(collectionId) ?? new Set();
    if (segmentId === undefined) this.#changed.set(collectionId, 'all');
    else if (what !== 'all') this.#changed.set(collectionId, what.add(segmentId));
    this.#parts.wake.set();
  }

  async #start(collectionId: CollectionId, among: readonly SegmentRecord[]): Promise<void> {
    const { catalog, minRows } = this.#parts;
    if (catalog.get(collections, collectionId) === undefined) return;
    const ofCollection = catalog.find(indexes, 'collection', collectionId);
    for (const { segmentId } of among)
      for (const { indexId } of ofCollection) {
        const target = { segmentId, indexId };
        const segment = catalog.get(segments, segmentId);
        const index = catalog.get(indexes, indexId);
        if (segment === undefined || index === undefined || this.#builds.has(keyOf(target))) continue;
        if (lacksFile(segment, index, this.#fieldOf(index), minRows)) await this.#enqueue(target);
      }
  }

  async #enqueue(target: BuildTarget): Promise<void> {
    const taskId = await this.#parts.ids.next<TaskId>();
    this.#builds.set(keyOf(target), { state: 'running', taskId, target });
    this.#parts.scheduler.enqueue(
      new BuildTask(taskId, target, {
        work: (wanted) => this.#work(taskId, wanted),
        finish: (wanted, buildId, output) => this.#finish(taskId, wanted, buildId, output),
        ended: (wanted, failure) => this.#ended(taskId, wanted, failure),
        stumbled: (wanted) => {
          this.#stumbled.add(keyOf(wanted));
          this.#wakeWaiting();
        },
      }),
    );
  }

  async #work(
    taskId: TaskId,
    target: BuildTarget,
  ): Promise<{ readonly work: NodeWork; readonly buildId: BuildId } | undefined> {
    const buildId = await this.#parts.ids.next<BuildId>();
    const found = this.#wanted(taskId, target);
    const rowsFile = found?.segment.files.find(({ kind }) => kind === 'rows');
    if (found === undefined || rowsFile === undefined) return undefined;
    const { segment, index, field } = found;
    const place = {
      collectionId: segment.collectionId,
      partitionId: segment.partitionId,
      segmentId: segment.segmentId,
    };
    const params = { ...flatParams(index.params), index_type: builtKind(index, field) };
    const { rowCount } = segment;
    return { buildId, work: { kind: 'build-index', place, rowsFile, rowCount, field, buildId, params } };
  }

  /** Segment, index and field while the build is still wanted. */
  #wanted(taskId: TaskId, target: BuildTarget) {
    const { catalog, minRows } = this.#parts;
    const build = this.#builds.get(keyOf(target));
    const segment = catalog.get(segments, target.segmentId);
    const index = catalog.get(indexes, target.indexId);
    if (build?.state !== 'running' || build.taskId !== taskId) return undefined;
    if (segment === undefined || index === undefined) return undefined;
    const field = this.#fieldOf(index);
    if (field === undefined || !lacksFile(segment, index, field, minRows)) return undefined;
    return { segment, index, field };
  }

  #fieldOf({ collectionId, fieldId }: IndexRecord): FieldSchema | undefined {
    const schema = this.#parts.catalog.get(collections, collectionId)?.schema;
    return schema?.fields.find((field) => field.fieldId === fieldId);
  }

  async #finish(
    taskId: TaskId,
    target: BuildTarget,
    buildId: BuildId,
    { file }: BuildIndexOutput,
  ): Promise<void> {
    for (;;) {
      const found = this.#wanted(taskId, target);
      if (found === undefined) break;
      if (file === undefined) {
        this.#builds.set(keyOf(target), { state: 'needless' });
        this.#wakeWaiting();
        return;
      }
      const { segment, index, field } = found;
      const kind = builtKind(index, field);
      const entry = { ...target, buildId, fieldId: index.fieldId, kind, file };
      const { segmentId: _, ...built } = entry;
      const is = { ...segment, indexes: [...segment.indexes, built] };
      // The index stands in the commit too: dropped in the same moment, it must not leave an entry.
      const outcome = await this.#parts.catalog.commit([
        put(segments, is, segment),
        put(indexes, index, index),
      ]);
      if (outcome === 'committed') break;
    }
    this.#ended(taskId, target);
  }

  #ended(taskId: TaskId, target: BuildTarget, failure?: string): void {
    const build = this.#builds.get(keyOf(target));
    if (build?.state !== 'running' || build.taskId !== taskId) return;
    this.#stumbled.delete(keyOf(target));
    const segment = this.#parts.catalog.get(segments, target.segmentId);
    const isGone = segment === undefined || segment.state === 'dropped';
    if (failure === undefined || isGone) this.#builds.delete(keyOf(target));
    else {
      this.#builds.set(keyOf(target), { state: 'failed', reason: failure });
      this.#parts.log.error('index-build-failed', { ...target, reason: failure });
    }
    this.#wakeWaiting();
  }

  #someEnd(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        signal.removeEventListener('abort', done);
        this.#waiting.delete(done);
        resolve();
      };
      this.#waiting.add(done);
      signal.addEventListener('abort', done, { once: true });
    });
  }

  #isGettingOn(segmentId: SegmentId): boolean {
    for (const [key, build] of this.#builds)
      if (build.state === 'running' && build.target.segmentId === segmentId && !this.#stumbled.has(key))
        return true;
    return false;
  }

  #wakeWaiting(): void {
    for (const wake of [...this.#waiting]) wake();
  }

  #segmentsOf(collectionId: CollectionId): readonly SegmentRecord[] {
    return this.#parts.catalog.find(segments, 'collection', collectionId).filter(this.#isMine);
  }

  #visible(segmentIds: ReadonlySet<SegmentId>): readonly SegmentRecord[] {
    return [...segmentIds]
      .map((segmentId) => this.#parts.catalog.get(segments, segmentId))
      .filter((segment) => segment !== undefined)
      .filter(this.#isMine);
  }

  readonly #isMine = (segment: SegmentRecord): boolean =>
    segment.state === 'flushed' && isVisible(segment, this.#parts.gate);
}

function targetOf(key: string): BuildTarget {
  const [segmentId, indexId] = key.split('/');
  return { segmentId: BigInt(segmentId ?? 0) as SegmentId, indexId: BigInt(indexId ?? 0) as IndexId };
}
