/** The query node: which collections are loaded, and who may read them when. */
import { DbError, isDbError, messageOf } from '../errors/db-error.ts';
import type { HybridTime } from '../model/hybrid-time.ts';
import type { CollectionId, PartitionId } from '../model/ids.ts';
import type { RowBatch } from '../model/rows.ts';
import type { CollectionSchema } from '../model/schema.ts';
import type { StreamingNode } from '../streamingnode/api.ts';
import type { Clock } from '../support/clock.ts';
import type { Workers } from '../support/workers.ts';
import type { CollectionView, QueryNode, QueryRequest, SearchRequest, SearchResult } from './api.ts';
import { unexpired } from './expired.ts';
import type { Filters } from './filter.ts';
import { LoadedCollection } from './loaded.ts';
import type { SegmentFiles } from './loader.ts';
import { Pacer, type SliceLimits, Turns } from './pacer.ts';
import { countRowsOf, queryRows } from './query.ts';
import type { ReadContext } from './reads.ts';
import { searchRows } from './search.ts';
import type { VectorEngine } from './vectors.ts';

export interface QueryNodeLimits {
  /** Segments of a collection loaded at once. */
  readonly parallelLoads: number;
  /** Units of a search looked at at once. */
  readonly parallelUnits: number;
  /** Reads that may wait for loading collections. */
  readonly waitingReads: number;
  /** How long such a read waits. */
  readonly waitMs: number;
  /** Largest answer. */
  readonly answerBytes: number;
}

export const defaultLimits: QueryNodeLimits = {
  parallelLoads: 4,
  parallelUnits: 4,
  waitingReads: 1024,
  waitMs: 30_000,
  answerBytes: 256 * 2 ** 20,
};

export interface QueryNodeOptions {
  readonly streamingNode: StreamingNode;
  readonly files: SegmentFiles;
  readonly engine: VectorEngine;
  readonly filters: Filters;
  readonly clock: Clock;
  /** Analyze texts for matches (`textTasks`). Absent: the calling thread does. */
  readonly workers?: Workers;
  readonly limits?: Partial<QueryNodeLimits>;
  readonly slices?: Partial<SliceLimits>;
}

export class LocalQueryNode implements QueryNode {
  readonly #options: QueryNodeOptions;
  readonly #limits: QueryNodeLimits;
  readonly #collections = new Map<CollectionId, LoadedCollection>();
  /** Loads that met what may pass, and why; whoever keeps the collection loaded sends its view again. */
  readonly #interrupted = new Map<CollectionId, string>();
  readonly #turns: Turns;
  #waiting = 0;
  #appliedTs = 0n as HybridTime;
  #isClosed = false;

  constructor(options: QueryNodeOptions) {
    this.#options = options;
    this.#limits = { ...defaultLimits, ...options.limits };
    this.#turns = new Turns(options.slices);
  }

  /** Takes its place in the log before it returns a promise: `view` must be the catalog's at the moment of the call. */
  async load(view: CollectionView): Promise<void> {
    if (this.#isClosed) throw new DbError('service-unavailable', 'the query node is closed');
    const present = this.#collections.get(view.collectionId);
    if (present !== undefined) {
      await Promise.all([present.whenLoaded(), present.update(view)]);
      return;
    }
    const { files, engine, streamingNode } = this.#options;
    const collection = new LoadedCollection(view, {
      files,
      engine,
      parallelLoads: this.#limits.parallelLoads,
      turns: this.#turns,
    });
    this.#collections.set(view.collectionId, collection);
    this.#interrupted.delete(view.collectionId);
    try {
      await collection.load(view, streamingNode, (ts) => {
        if (ts > this.#appliedTs) this.#appliedTs = ts;
      });
    } catch (error) {
      if (this.#collections.get(view.collectionId) === collection) {
        this.#collections.delete(view.collectionId);
        if (mayPass(error)) this.#interrupted.set(view.collectionId, messageOf(error));
      }
      await collection.close(whyNotLoaded(view.collectionId, error));
      throw error;
    }
  }

  async update(view: CollectionView): Promise<void> {
    await this.#collections.get(view.collectionId)?.update(view);
  }

  noteSchema(collectionId: CollectionId, schema: CollectionSchema): void {
    this.#collections.get(collectionId)?.rows.noteSchema(schema);
  }

  async release(collectionId: CollectionId): Promise<void> {
    this.#interrupted.delete(collectionId);
    const collection = this.#collections.get(collectionId);
    if (collection === undefined) return;
    this.#collections.delete(collectionId);
    await collection.close(notLoaded(collectionId, 'it was released'));
  }

  progress(collectionId: CollectionId): number | undefined {
    return this.#collections.get(collectionId)?.progress;
  }

  search(request: SearchRequest): Promise<SearchResult> {
    const { engine } = this.#options;
    const { parallelUnits } = this.#limits;
    return this.#read(request, (context) => searchRows({ ...context, engine, parallelUnits }, request));
  }

  query(request: QueryRequest): Promise<RowBatch> {
    return this.#read(request, (context) => queryRows(context, request));
  }

  async count(request: Omit<QueryRequest, 'outputFields' | 'limit' | 'offset'>): Promise<number> {
    if (request.filter !== undefined)
      return this.#read(request, (context) => countRowsOf(context, request.filter));
    const collection = await this.#open(request.collectionId);
    if (collection.rows.view.expiry !== undefined)
      return this.#read(request, (context) => countRowsOf(context, undefined));
    return collection.whileOpen(() => collection.rows.count(request.partitionIds));
  }

  get visibleTs(): HybridTime {
    let visible: bigint = this.#appliedTs;
    for (const { rows } of this.#collections.values()) {
      const { backlogTs } = rows;
      if (backlogTs !== undefined && backlogTs <= visible) visible = backlogTs - 1n;
    }
    return visible as HybridTime;
  }

  /** Deletes held in memory for rows still to be loaded. */
  get deleteCount(): number {
    let count = 0;
    for (const { rows } of this.#collections.values()) count += rows.deletes.count;
    return count;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    const collections = [...this.#collections.values()];
    this.#collections.clear();
    this.#interrupted.clear();
    const reason = new DbError('service-unavailable', 'the query node is closing');
    await Promise.all(collections.map((collection) => collection.close(reason)));
  }

  async #read<T>(
    request: { readonly collectionId: CollectionId; readonly partitionIds?: readonly PartitionId[] },
    work: (context: ReadContext) => Promise<T>,
  ): Promise<T> {
    const collection = await this.#open(request.collectionId);
    return collection.whileOpen(async () => {
      const views = await collection.rows.read(request.partitionIds);
      const pacer = new Pacer(this.#turns, collection.signal);
      const { expiry } = collection.rows.view;
      try {
        return await work({
          schema: collection.rows.schema,
          views: await unexpired(views, expiry, this.#options.clock.nowMs(), pacer),
          filters: this.#options.filters,
          workers: this.#options.workers,
          pacer,
          maxBytes: this.#limits.answerBytes,
        });
      } finally {
        for (const view of views) view.release();
      }
    });
  }

  /** The collection once it is loaded. */
  async #open(collectionId: CollectionId): Promise<LoadedCollection> {
    const collection = this.#collections.get(collectionId);
    if (collection === undefined) throw this.#absent(collectionId);
    if (collection.isLoaded) return collection;
    if (this.#waiting >= this.#limits.waitingReads)
      throw new DbError('resource-exhausted', `${this.#waiting} reads wait for loading collections`);
    this.#waiting++;
    const timer = new AbortController();
    try {
      await Promise.race([collection.whenLoaded(), this.#timeOut(collectionId, timer.signal)]);
      return collection;
    } catch (error) {
      if (isDbError(error, 'collection-on-recovering') || isDbError(error, 'service-unavailable'))
        throw error;
      throw whyNotLoaded(collectionId, error);
    } finally {
      this.#waiting--;
      timer.abort();
    }
  }

  #absent(collectionId: CollectionId): DbError {
    const why = this.#interrupted.get(collectionId);
    return why === undefined ? notLoaded(collectionId, 'load it first') : loadingAgain(collectionId, why);
  }

  async #timeOut(collectionId: CollectionId, signal: AbortSignal): Promise<void> {
    const isLate = await this.#options.clock.sleep(this.#limits.waitMs, signal).then(
      () => true,
      () => false,
    );
    if (isLate)
      throw new DbError('collection-on-recovering', `collection ${collectionId} is still being loaded`);
  }
}

const notLoaded = (collectionId: CollectionId, why: string, cause?: unknown): DbError =>
  new DbError('collection-not-loaded', `collection ${collectionId} is not loaded: ${why}`, { cause });

const loadingAgain = (collectionId: CollectionId, why: string, cause?: unknown): DbError =>
  new DbError('collection-on-recovering', `collection ${collectionId} is being loaded again: ${why}`, {
    cause,
  });

const mayPass = (error: unknown): boolean => isDbError(error) && error.retriable;

/** A reader is told to come again when what the load met may pass. */
const whyNotLoaded = (collectionId: CollectionId, error: unknown): DbError =>
  mayPass(error)
    ? loadingAgain(collectionId, messageOf(error), error)
    : notLoaded(collectionId, messageOf(error), error);
