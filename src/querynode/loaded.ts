/**
 * The life of one collection in memory: loading, loaded, closed. Views are applied one after another, in the order in which they
 * came: a segment that is flushed in one view and compacted away in the next must not stay as rows of the log.
 */
import type { DbError } from '../errors/db-error.ts';
import type { HybridTime } from '../model/hybrid-time.ts';
import { ALL_PARTITIONS, type SegmentId } from '../model/ids.ts';
import type { AppliedWrite, LogSegment, StreamingNode } from '../streamingnode/api.ts';
import type { WalPosition } from '../wal/wal.ts';
import type { CollectionView } from './api.ts';
import { CollectionRows } from './collection.ts';
import { applyView, type LoadOptions } from './loader.ts';
import { Pacer, type Turns } from './pacer.ts';

export interface LoadSettings extends Pick<LoadOptions, 'files' | 'engine' | 'workers' | 'parallelLoads'> {
  readonly turns: Turns;
}

/** Log records read at once, and their bytes. */
const READ_RECORDS = 256;
const READ_BYTES = 8 * 2 ** 20;

export class LoadedCollection {
  readonly rows: CollectionRows;
  /** Aborted with what readers are to be told. */
  readonly signal: AbortSignal;
  readonly #settings: LoadSettings;
  readonly #stop = new AbortController();
  #stopFollowing: (() => void) | undefined;
  #loading: Promise<void> = Promise.resolve();
  #views: Promise<void> = Promise.resolve();
  #state: 'loading' | 'loaded' | 'closed' = 'loading';
  #done = 0;
  #total = 1;
  #reads = 0;
  #whenIdle: (() => void) | undefined;

  constructor(view: CollectionView, settings: LoadSettings) {
    this.#settings = settings;
    this.signal = this.#stop.signal;
    this.rows = new CollectionRows(view, settings.engine, new Pacer(settings.turns, this.signal));
  }

  get isLoaded(): boolean {
    return this.#state === 'loaded';
  }

  /** 100 exactly when it is loaded. */
  get progress(): number {
    return this.isLoaded ? 100 : Math.min(99, Math.floor((100 * this.#done) / this.#total));
  }

  /** Follows the log before it returns its promise: `view` must be the catalog's at this moment. */
  load(view: CollectionView, log: StreamingNode, onApplied: (ts: HybridTime) => void): Promise<void> {
    this.#loading = this.#load(view, log, onApplied);
    this.#views = this.#loading;
    return this.#loading;
  }

  /**
   * Waits its turn; `view` must be the catalog's at the moment of the call. Of a view that cannot be applied only the drop of
   * partitions shows; the next one is tried none the less.
   */
  update(view: CollectionView): Promise<void> {
    this.rows.noteDropped(view.partitionIds);
    const handedOver = this.rows.handedOver(view);
    // Files may hold rows of writes that still wait: a read before them must not see those, and never half a write.
    const written = this.rows.settled();
    const applied = this.#views
      .catch(() => undefined)
      .then(() => {
        if (!this.isLoaded) return undefined;
        this.rows.removeDropped();
        return this.#apply(view, handedOver, written);
      });
    this.#views = applied.then(
      () => (this.isLoaded ? this.#tidy() : undefined),
      // The caller hears of it.
      () => undefined,
    );
    return applied;
  }

  /** Resolves when it is loaded; rejects with why it will not be. */
  async whenLoaded(): Promise<void> {
    await this.#loading;
    this.signal.throwIfAborted();
  }

  /** `close` waits for `work`. */
  async whileOpen<T>(work: () => Promise<T>): Promise<T> {
    this.signal.throwIfAborted();
    this.#reads++;
    try {
      return await work();
    } finally {
      this.#reads--;
      if (this.#reads === 0) this.#whenIdle?.();
    }
  }

  /** Ends loading and reading with `reason`, then frees all memory. Idempotent. */
  async close(reason: DbError): Promise<void> {
    if (!this.signal.aborted) this.#stop.abort(reason);
    this.#stopFollowing?.();
    this.#stopFollowing = undefined;
    await this.#views.catch(() => undefined);
    if (this.#reads > 0)
      await new Promise<void>((resolve) => {
        this.#whenIdle = resolve;
      });
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.rows.release();
  }

  /** Runs up to `follow` before it returns its promise. */
  async #load(view: CollectionView, log: StreamingNode, onApplied: (ts: HybridTime) => void): Promise<void> {
    const following = log.follow(view.collectionId, {
      applied: (write) => {
        this.rows.apply(write);
        onApplied(write.ts);
      },
      backlog: () => this.rows.backlog(),
    });
    this.#stopFollowing = following.stop;
    // What the log holds beyond them was flushed; compaction may have taken it on.
    const unflushed = new Set(view.unflushed);
    const segments = following.segments.filter(
      ({ segmentId, partitionId }) =>
        unflushed.has(segmentId) &&
        (partitionId === ALL_PARTITIONS || view.partitionIds.includes(partitionId)),
    );
    for (const segment of segments) this.rows.expect(segment);
    const positions = positionsOf(segments);
    this.#total = 1 + positions.length + view.segments.length;
    const wanted = new Set(segments.map(({ segmentId }) => segmentId));
    const failures: unknown[] = [];
    const ends = (part: Promise<void>): Promise<void> =>
      part.catch((error: unknown) => {
        failures.push(error);
        // The other half need not go on.
        if (!this.signal.aborted) this.#stop.abort(error);
      });
    await Promise.all([
      ends(this.#readLog(log, positions, wanted)),
      ends(this.#apply(view, [], Promise.resolve())),
    ]);
    if (failures.length > 0) throw failures[0];
    this.signal.throwIfAborted();
    this.#state = 'loaded';
  }

  async #tidy(): Promise<void> {
    await this.rows.prune(this.#pacer());
    await this.rows.settleGhosts(this.#pacer());
  }

  #pacer(): Pacer {
    return new Pacer(this.#settings.turns, this.signal);
  }

  #apply(view: CollectionView, handedOver: readonly SegmentId[], written: Promise<void>): Promise<void> {
    return applyView(this.rows, view, handedOver, {
      ...this.#settings,
      written,
      signal: this.signal,
      pacer: this.#pacer(),
      onLoaded: () => {
        this.#done++;
      },
    });
  }

  async #readLog(
    log: StreamingNode,
    positions: readonly WalPosition[],
    wanted: ReadonlySet<SegmentId>,
  ): Promise<void> {
    for (let from = 0; from < positions.length; ) {
      this.signal.throwIfAborted();
      const to = batchEnd(positions, from);
      for (const write of await log.read(positions.slice(from, to))) {
        this.rows.apply(onlySegments(write, wanted));
        this.#done++;
      }
      from = to;
      // Large writes are applied in slices; no more of the log than one batch waits in memory.
      await this.rows.settled();
    }
    // Throws what a write met.
    await this.rows.count(undefined);
  }
}

/** Every record once, in log order: one record may hold rows of several segments. */
function positionsOf(segments: readonly LogSegment[]): WalPosition[] {
  const positions = segments
    .flatMap((segment) => segment.positions)
    .sort((a, b) => a.file - b.file || a.offset - b.offset);
  return positions.filter((each, i) => {
    const before = positions[i - 1];
    return before === undefined || before.file !== each.file || before.offset !== each.offset;
  });
}

function batchEnd(positions: readonly WalPosition[], from: number): number {
  let bytes = 0;
  let to = from;
  while (to < positions.length && to - from < READ_RECORDS && bytes < READ_BYTES)
    bytes += positions[to++]?.length ?? 0;
  return to;
}

function onlySegments(write: AppliedWrite, wanted: ReadonlySet<SegmentId>): AppliedWrite {
  const isWanted = (_: unknown, i: number): boolean => {
    const segmentId = write.segmentIds[i];
    return segmentId !== undefined && wanted.has(segmentId);
  };
  return { ...write, parts: write.parts.filter(isWanted), segmentIds: write.segmentIds.filter(isWanted) };
}
