/**
 * The snapshots that open jobs read, as each job sees them: the segments it restores, in manifest order. Metadata and a count for each
 * manifest are kept while a job is open, of the manifests only the last few: memory does not grow with the snapshot.
 */
import type { Catalog } from '../../catalog/catalog.ts';
import { DbError } from '../../errors/db-error.ts';
import { ALL_PARTITIONS, type JobId, type PartitionId } from '../../model/ids.ts';
import type { ObjectStore } from '../../storage/object-store.ts';
import { present } from '../../support/assert.ts';
import type { SnapshotMetadata } from '../snapshot/metadata.ts';
import { manifestsInOrder, readManifest, readMetadata } from '../snapshot/reader.ts';
import { snapshots } from '../snapshot/record.ts';
import type { SnapshotSegment } from '../snapshot/segment.ts';
import type { CopyJob } from './job.ts';

export interface SourceSegment extends SnapshotSegment {
  /** Position of its first index build among those of all restored segments, in manifest order: where its new build ids begin. */
  readonly firstBuild: number;
}

export interface OpenedSnapshot {
  readonly metadata: SnapshotMetadata;
  /** `count` restored segments from position `first` in manifest order. */
  segments(first: number, count: number): Promise<readonly SourceSegment[]>;
}

/** What a job restores of one manifest. */
export interface ManifestCount {
  readonly segments: number;
  readonly builds: number;
}

/** What names the source of a job. */
export type JobSource = Pick<CopyJob, 'jobId' | 'snapshotId' | 'selection'>;

/** Those of the chosen partitions, and deletes that are about every partition; everything when none was chosen. */
export function selectedOf(
  segments: readonly SnapshotSegment[],
  selection: readonly PartitionId[] | undefined,
): readonly SnapshotSegment[] {
  if (selection === undefined) return segments;
  const chosen = new Set(selection).add(ALL_PARTITIONS);
  return segments.filter(({ partitionId }) => chosen.has(partitionId));
}

/** `selected`: of one manifest. */
export const countSelected = (selected: readonly SnapshotSegment[]): ManifestCount => ({
  segments: selected.length,
  builds: selected.reduce((sum, { indexes }) => sum + indexes.length, 0),
});

/** Manifests of one snapshot that are kept decoded. */
export const MANIFESTS_KEPT = 4;

export class SnapshotSource {
  readonly #catalog: Catalog;
  readonly #store: ObjectStore;
  readonly #objectsAtOnce: number;
  readonly #opened = new Map<JobId, Promise<OpenedSnapshot>>();

  constructor(catalog: Catalog, store: ObjectStore, objectsAtOnce: number) {
    this.#catalog = catalog;
    this.#store = store;
    this.#objectsAtOnce = objectsAtOnce;
  }

  /** Throws `object-not-found`, `data-integrity`, or a retriable error of the store; then the next call tries again. */
  open(job: JobSource): Promise<OpenedSnapshot> {
    const { jobId } = job;
    const present = this.#opened.get(jobId);
    if (present !== undefined) return present;
    const opening = this.#read(job).catch((error: unknown) => {
      if (this.#opened.get(jobId) === opening) this.#opened.delete(jobId);
      throw error;
    });
    this.#opened.set(jobId, opening);
    return opening;
  }

  /** What an admission has just read: the job that it admits does not read it again. `first`: the first manifests, at most `MANIFESTS_KEPT`. */
  admit(
    job: Pick<JobSource, 'jobId' | 'selection'>,
    metadata: SnapshotMetadata,
    counts: readonly ManifestCount[],
    first: readonly (readonly SnapshotSegment[])[],
  ): void {
    const manifests = new SelectedManifests(this.#store, metadata, job.selection, counts);
    manifests.keep(first);
    this.#opened.set(job.jobId, Promise.resolve(opened(metadata, manifests)));
  }

  forget(jobId: JobId): void {
    this.#opened.delete(jobId);
  }

  /** After a restart: every manifest is read once for the counts. */
  async #read({ snapshotId, selection }: JobSource): Promise<OpenedSnapshot> {
    const record = this.#catalog.get(snapshots, snapshotId);
    if (record?.state !== 'committed')
      throw new DbError('data-integrity', `snapshot ${snapshotId} is gone although a restore pins it`);
    const metadata = await readMetadata(this.#store, record);
    const counts: ManifestCount[] = [];
    for await (const segments of manifestsInOrder(this.#store, metadata, this.#objectsAtOnce))
      counts.push(countSelected(selectedOf(segments, selection)));
    return opened(metadata, new SelectedManifests(this.#store, metadata, selection, counts));
  }
}

/** Build ids are found in the manifests: the list of them is not kept. */
const opened = (metadata: SnapshotMetadata, manifests: SelectedManifests): OpenedSnapshot => ({
  metadata: { ...metadata, buildIds: [] },
  segments: (first, count) => manifests.segments(first, count),
});

interface ManifestPlace extends ManifestCount {
  readonly firstSegment: number;
  readonly firstBuild: number;
}

class SelectedManifests {
  readonly #store: ObjectStore;
  readonly #metadata: SnapshotMetadata;
  readonly #selection: readonly PartitionId[] | undefined;
  readonly #places: readonly ManifestPlace[];
  /** Most recently used last. */
  readonly #kept = new Map<number, Promise<readonly SourceSegment[]>>();

  constructor(
    store: ObjectStore,
    metadata: SnapshotMetadata,
    selection: readonly PartitionId[] | undefined,
    counts: readonly ManifestCount[],
  ) {
    this.#store = store;
    this.#metadata = { ...metadata, buildIds: [] };
    this.#selection = selection;
    let [firstSegment, firstBuild] = [0, 0];
    this.#places = counts.map((count) => {
      const place = { ...count, firstSegment, firstBuild };
      firstSegment += count.segments;
      firstBuild += count.builds;
      return place;
    });
  }

  keep(first: readonly (readonly SnapshotSegment[])[]): void {
    for (const [n, segments] of first.entries()) this.#kept.set(n, Promise.resolve(this.#place(n, segments)));
  }

  async segments(first: number, count: number): Promise<readonly SourceSegment[]> {
    const found: SourceSegment[] = [];
    const end = first + count;
    for (let n = this.#manifestOf(first); n < this.#places.length; n++) {
      const { firstSegment, segments } = present(this.#places[n], `place of manifest ${n}`);
      if (firstSegment >= end) break;
      const from = Math.max(first, firstSegment) - firstSegment;
      const to = Math.min(end, firstSegment + segments) - firstSegment;
      if (from < to) found.push(...(await this.#manifest(n)).slice(from, to));
    }
    return found;
  }

  /** The last manifest that begins at or before this segment. */
  #manifestOf(segment: number): number {
    let [low, high] = [0, this.#places.length - 1];
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if ((this.#places[middle]?.firstSegment ?? 0) <= segment) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  #manifest(n: number): Promise<readonly SourceSegment[]> {
    const reading =
      this.#kept.get(n) ??
      readManifest(this.#store, this.#metadata, n)
        .then((segments) => this.#place(n, segments))
        .catch((error: unknown) => {
          this.#kept.delete(n);
          throw error;
        });
    this.#kept.delete(n);
    this.#kept.set(n, reading);
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size <= MANIFESTS_KEPT) break;
      this.#kept.delete(oldest);
    }
    return reading;
  }

  #place(n: number, segments: readonly SnapshotSegment[]): readonly SourceSegment[] {
    let { firstBuild } = present(this.#places[n], `count of manifest ${n}`);
    return selectedOf(segments, this.#selection).map((segment) => {
      const placed = { ...segment, firstBuild };
      firstBuild += segment.indexes.length;
      return placed;
    });
  }
}
