/** The query node: which collections are loaded, and who may read them when. */
import { isDeepStrictEqual } from 'node:util';
import { DbError, isDbError, messageOf } from '../errors/db-error.ts';
import { withCastTexts } from '../expr/cast-texts.ts';
import type { HybridTime } from '../model/hybrid-time.ts';
import type { CollectionId } from '../model/ids.ts';
import type { CollectionSchema } from '../model/schema.ts';
import type { StreamingNode } from '../streamingnode/api.ts';
import type { Clock } from '../support/clock.ts';
import type { Workers } from '../support/workers.ts';
import { aggregateRows } from './aggregate.ts';
import type {
  AggregateRequest,
  AggregateResult,
  CollectionView,
  HybridRequest,
  QueryNode,
  QueryRequest,
  QueryResult,
  SearchRequest,
  SearchResult,
} from './api.ts';
import { asOf } from './as-of.ts';
import type { CollectionRows } from './collection.ts';
import { unexpired } from './expired.ts';
import type { Filters } from './filter.ts';
import { LEASE_MS } from './ghosts.ts';
import { hybridRows } from './hybrid.ts';
import { IteratorCursors, iteratorPage } from './iterators.ts';
import { LoadedCollection } from './loaded.ts';
import type { SegmentFiles } from './loader.ts';
import { Pacer, type SliceLimits, Turns } from './pacer.ts';
import { checkOrder, countRowsOf, queryRows } from './query.ts';
import { loadedOnly, newestOf, partsOf, type ReadContext, type ReadRequest } from './reads.ts';
import { castPlaces } from './scalar-indexes.ts';
import { searchRows } from './search.ts';
import type { UnitView } from './unit.ts';
import type { VectorEngine } from './vectors.ts';
import type { chooseWay } from './ways.ts';

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
  /** Analyze texts for matches (`textTasks`), which the calling thread does without them, and make indexes (`scalarIndexTasks`). */
  readonly workers?: Workers;
  /** Which way searches with filters go. Absent: the cheaper. */
  readonly chooseWay?: typeof chooseWay;
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
  readonly #cursors = new IteratorCursors();
  /** Collections that keep deleted rows for readers, and what ends when they do not. */
  readonly #sweeps = new Map<LoadedCollection, Promise<void>>();
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
    const { files, engine, workers, streamingNode } = this.#options;
    const collection = new LoadedCollection(view, {
      files,
      engine,
      workers,
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
    const collection = this.#collections.get(view.collectionId);
    await collection?.update(view);
    if (collection?.rows.ghosts.isEmpty === false) this.#sweep(collection);
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
    const { engine, chooseWay } = this.#options;
    const { parallelUnits } = this.#limits;
    const { iterator } = request;
    if (iterator === undefined)
      return this.#read(request, async (context, readTs) => ({
        ...(await searchRows({ ...context, engine, chooseWay, parallelUnits }, request)),
        readTs,
      }));
    const known = iterator.token === undefined ? undefined : this.#cursors.get(iterator.token)?.ts;
    const ts = known ?? request.asOf;
    return this.#read(
      { ...request, ...(ts === undefined ? { asOf: 'now' } : { asOf: ts }) },
      async (context, readTs) => ({
        ...(await iteratorPage(
          { ...context, engine, chooseWay, parallelUnits },
          request,
          this.#cursors,
          readTs,
        )),
        readTs,
      }),
    );
  }

  hybridSearch(request: HybridRequest): Promise<SearchResult> {
    const { engine, chooseWay } = this.#options;
    const { parallelUnits } = this.#limits;
    return this.#read(partsOf(request), async (context, readTs) => ({
      ...(await hybridRows({ ...context, engine, chooseWay, parallelUnits }, request)),
      readTs,
    }));
  }

  query(request: QueryRequest): Promise<QueryResult> {
    checkOrder(request);
    return this.#read(request, async (context, readTs) => ({
      ...(await queryRows(context, request)),
      readTs,
    }));
  }

  aggregate(request: AggregateRequest): Promise<AggregateResult> {
    return this.#read(request, (context) => aggregateRows(context, request));
  }

  async count(request: Omit<QueryRequest, 'outputFields' | 'limit' | 'offset'>): Promise<number> {
    if (request.filter !== undefined)
      return this.#read(request, (context) => countRowsOf(context, request.filter));
    const collection = await this.#open(request.collectionId);
    if (collection.rows.view.expiry !== undefined)
      return this.#read(request, (context) => countRowsOf(context, undefined));
    const { rows } = collection;
    return collection.whileOpen(() => rows.count(loadedOnly(rows.view, request)));
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
    await Promise.all(this.#sweeps.values());
  }

  async #read<T>(
    request: ReadRequest,
    work: (context: ReadContext, readTs: HybridTime) => Promise<T>,
  ): Promise<T> {
    const collection = await this.#open(request.collectionId);
    return collection.whileOpen(async () => {
      const { rows } = collection;
      // Before the read: everything up to here is in it.
      const { newestTs } = rows;
      if (request.asOf !== undefined) rows.ghosts.lease(newestTs, this.#options.clock.monotonicMs());
      const views = await readLoaded(rows, request);
      const pacer = new Pacer(this.#turns, collection.signal);
      try {
        const newest = newestOf(newestTs, views);
        const readTs = request.asOf === undefined || request.asOf === 'now' ? newest : request.asOf;
        if (request.asOf !== undefined) rows.ghosts.lease(readTs, this.#options.clock.monotonicMs());
        const kept = request.ignoreGrowing === true ? views.filter(({ unit }) => !unit.isGrowing) : views;
        const then = request.asOf === undefined ? kept : await asOf(kept, readTs, pacer);
        const { expiry } = rows.view;
        const context = {
          schema: rows.schema,
          views: await unexpired(then, expiry, this.#options.clock.nowMs(), pacer),
          filters: filtersFor(this.#options.filters, rows.view),
          workers: this.#options.workers,
          pacer,
          maxBytes: this.#limits.answerBytes,
        };
        return await work(context, readTs);
      } finally {
        for (const view of views) view.release();
      }
    });
  }

  /** Until the last reader that might come back has not, deleted rows are looked through from time to time. */
  #sweep(collection: LoadedCollection): void {
    if (this.#sweeps.has(collection)) return;
    const { clock } = this.#options;
    const pass = async (): Promise<void> => {
      while (!collection.rows.ghosts.isEmpty) {
        await clock.sleep(LEASE_MS / 10, collection.signal);
        collection.rows.ghosts.expire(clock.monotonicMs());
      }
    };
    const ended = (): void => {
      this.#sweeps.delete(collection);
    };
    // It rejects when the collection is closed, which lets go of them all.
    this.#sweeps.set(collection, pass().then(ended, ended));
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

/** Filters as the indexes of the view make them mean. */
function filtersFor(filters: Filters, view: CollectionView): Filters {
  const places = castPlaces(view);
  return places.length === 0 ? filters : { ...filters, meaning: (filter) => withCastTexts(filter, places) };
}

/** What is visible in the partitions that are loaded. A view that comes while the read waits may have loaded others. */
async function readLoaded(rows: CollectionRows, request: ReadRequest): Promise<UnitView[]> {
  for (;;) {
    const { view } = rows;
    const views = await rows.read(loadedOnly(view, request), request.asOf !== undefined);
    if (isDeepStrictEqual(rows.view.loadedPartitionIds, view.loadedPartitionIds)) return views;
    for (const each of views) each.release();
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
