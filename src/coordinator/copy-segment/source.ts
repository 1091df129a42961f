/** The snapshots that open jobs read. Metadata is kept while a job is open, of the manifests only the last few: memory does not grow with the snapshot. */
import type { Catalog } from '../../catalog/catalog.ts';
import { DbError } from '../../errors/db-error.ts';
import type { BuildId, SnapshotId } from '../../model/ids.ts';
import type { ObjectStore } from '../../storage/object-store.ts';
import type { SnapshotMetadata } from '../snapshot/metadata.ts';
import { readManifest, readMetadata } from '../snapshot/reader.ts';
import { snapshots } from '../snapshot/record.ts';
import type { SnapshotSegment } from '../snapshot/segment.ts';

export interface OpenedSnapshot {
  readonly metadata: SnapshotMetadata;
  /** Position of a build in the manifests, which is its position in the job's range of new build ids. */
  readonly buildPosition: ReadonlyMap<BuildId, number>;
  /** `count` segments from position `first` in manifest order. */
  segments(first: number, count: number): Promise<readonly SnapshotSegment[]>;
}

const MANIFESTS_KEPT = 4;

export class SnapshotSource {
  readonly #catalog: Catalog;
  readonly #store: ObjectStore;
  readonly #opened = new Map<SnapshotId, Promise<OpenedSnapshot>>();

  constructor(catalog: Catalog, store: ObjectStore) {
    this.#catalog = catalog;
    this.#store = store;
  }

  /** Throws `object-not-found`, `data-integrity`, or a retriable error of the store; then the next call tries again. */
  open(snapshotId: SnapshotId): Promise<OpenedSnapshot> {
    const present = this.#opened.get(snapshotId);
    if (present !== undefined) return present;
    const opening = this.#read(snapshotId).catch((error: unknown) => {
      if (this.#opened.get(snapshotId) === opening) this.#opened.delete(snapshotId);
      throw error;
    });
    this.#opened.set(snapshotId, opening);
    return opening;
  }

  /** What an admission has just read: the job that it admits does not read it again. `listed`: all segments, in manifest order. */
  admit(snapshotId: SnapshotId, metadata: SnapshotMetadata, listed: readonly SnapshotSegment[]): void {
    if (this.#opened.has(snapshotId)) return;
    const manifests = new ManifestCache(this.#store, metadata);
    manifests.keep(listed);
    this.#opened.set(snapshotId, Promise.resolve(opened(metadata, manifests)));
  }

  forget(snapshotId: SnapshotId): void {
    this.#opened.delete(snapshotId);
  }

  async #read(snapshotId: SnapshotId): Promise<OpenedSnapshot> {
    const record = this.#catalog.get(snapshots, snapshotId);
    if (record?.state !== 'committed')
      throw new DbError('data-integrity', `snapshot ${snapshotId} is gone although a restore pins it`);
    const metadata = await readMetadata(this.#store, record);
    return opened(metadata, new ManifestCache(this.#store, metadata));
  }
}

const opened = (metadata: SnapshotMetadata, manifests: ManifestCache): OpenedSnapshot => ({
  metadata,
  buildPosition: new Map(metadata.buildIds.map((buildId, position) => [buildId, position])),
  segments: (first, count) => manifests.segments(first, count),
});

class ManifestCache {
  readonly #store: ObjectStore;
  readonly #metadata: SnapshotMetadata;
  /** Most recently used last. */
  readonly #kept = new Map<number, Promise<readonly SnapshotSegment[]>>();

  constructor(store: ObjectStore, metadata: SnapshotMetadata) {
    this.#store = store;
    this.#metadata = metadata;
  }

  /** Keeps the first manifests of `listed`, as many as may be kept. */
  keep(listed: readonly SnapshotSegment[]): void {
    let start = 0;
    for (const [n, { segmentCount }] of this.#metadata.manifests.slice(0, MANIFESTS_KEPT).entries()) {
      this.#kept.set(n, Promise.resolve(listed.slice(start, start + segmentCount)));
      start += segmentCount;
    }
  }

  async segments(first: number, count: number): Promise<readonly SnapshotSegment[]> {
    const found: SnapshotSegment[] = [];
    let start = 0;
    for (const [n, { segmentCount }] of this.#metadata.manifests.entries()) {
      const from = Math.max(first, start);
      const to = Math.min(first + count, start + segmentCount);
      if (from < to) found.push(...(await this.#manifest(n)).slice(from - start, to - start));
      start += segmentCount;
    }
    return found;
  }

  #manifest(n: number): Promise<readonly SnapshotSegment[]> {
    const reading =
      this.#kept.get(n) ??
      readManifest(this.#store, this.#metadata, n).catch((error: unknown) => {
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
}
