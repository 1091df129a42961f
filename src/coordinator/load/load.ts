/**
 * Which collections are loaded, and that the query node knows what the catalog holds of them. Views of one collection are sent
 * one after another; changes that come while one is on its way are sent together in the next.
 */
import { isDeepStrictEqual } from 'node:util';
import { type Catalog, type Change, put } from '../../catalog/catalog.ts';
import { DbError, isDbError, messageOf } from '../../errors/db-error.ts';
import { expiryOf } from '../../model/expiry.ts';
import type { CollectionId, PartitionId } from '../../model/ids.ts';
import {
  isPartitionLoaded,
  type Load,
  NOT_LOADED,
  withLoaded,
  withReleased,
} from '../../model/load-scope.ts';
import type { CollectionRecord, SegmentRecord } from '../../model/records.ts';
import { isVectorType } from '../../model/schema.ts';
import type { QueryNode } from '../../querynode/api.ts';
import { mapLimited } from '../../support/limiter.ts';
import type { Log } from '../../support/log.ts';
import type { CollectionInfo, CollectionName, Collections } from '../api.ts';
import { collectionGone, requireDatabase, resolveCollection } from '../collections/names.ts';
import type { AheadLoads, RestoreGate } from '../rooms.ts';
import { collections, indexes, partitions, segments } from '../tables.ts';
import { viewOf } from './view.ts';

export interface LoadRoomParts {
  readonly catalog: Catalog;
  readonly queryNode: QueryNode;
  readonly gate: RestoreGate;
  readonly log: Log;
  readonly requireReady: (at: CollectionName) => CollectionInfo;
}

interface Loaded {
  /** Grows with every change of what a view shows. */
  version: number;
  /** Version of the last view sent, and of the last one taken; -1: none. */
  sent: number;
  taken: number;
  /** False until the query node has answered the first view. */
  isReady: boolean;
  /** The partitions of the view that was taken; undefined: all. */
  shown: readonly PartitionId[] | undefined;
  /** The view on its way. Rejects with what the query node said. */
  current: Promise<void> | undefined;
  /** The one that follows it. */
  next: Promise<void> | undefined;
  /** What the last view met; the next pass sends another. */
  trouble: string | undefined;
  /** Began before its restore was published: its readers are shown what they will see then. */
  isAhead: boolean;
}

const RETRIES_AT_ONCE = 4;
/** Reported while nothing is known: a loading collection is never at 100. */
const MAX_LOADING_PROGRESS = 99;

export class LoadRoom implements Pick<Collections, 'load' | 'release' | 'loadState'>, AheadLoads {
  readonly #parts: LoadRoomParts;
  readonly #loaded = new Map<CollectionId, Loaded>();
  /** Ends of the last changes of what the catalog says. */
  readonly #turns = new Map<CollectionId, Promise<void>>();
  #isClosed = false;

  constructor(parts: LoadRoomParts) {
    this.#parts = parts;
  }

  /** Starts loading everything that was loaded before the restart; does not wait. Queries wait at the query node. */
  recover(): void {
    for (const { collectionId, load } of this.#parts.catalog.all(collections))
      if (load === 'loaded') void this.#sync(this.#entry(collectionId), collectionId).catch(() => undefined);
  }

  async load(at: CollectionName, partitionIds?: readonly PartitionId[]): Promise<void> {
    const { collection } = this.#parts.requireReady(at);
    const { collectionId } = collection;
    this.#requireIndexes(collection);
    // First of all: callers that do not wait for the end must find it loaded after a restart too.
    const entry = await this.#inTurn(collectionId, () => this.#begin(collectionId, partitionIds));
    try {
      await this.#sync(entry, collectionId);
      if (this.#loaded.get(collectionId) !== entry) throw released(collection);
    } catch (error) {
      if (this.#isClosed) throw stopping();
      if (collection.load !== 'loaded') await this.#takeBack(entry, collectionId);
      throw error;
    }
  }

  /** The record does not say that it is loaded: only the commit that publishes the restore does. */
  async loadAhead(collectionId: CollectionId): Promise<void> {
    const collection = this.#get(collectionId);
    if (collection === undefined) throw collectionGone(collectionId);
    this.#requireIndexes(collection);
    const entry = this.#entry(collectionId);
    entry.isAhead = true;
    await this.#sync(entry, collectionId);
    if (this.#loaded.get(collectionId) !== entry) throw released(collection);
  }

  isLoadedAhead(collectionId: CollectionId): boolean {
    const entry = this.#loaded.get(collectionId);
    return entry?.isReady === true && entry.taken === entry.version;
  }

  async dropAhead(collectionId: CollectionId): Promise<void> {
    if (this.#loaded.has(collectionId)) await this.#forget(collectionId);
  }

  async #begin(collectionId: CollectionId, partitionIds?: readonly PartitionId[]): Promise<Loaded> {
    const isNew = !this.#loaded.has(collectionId);
    const entry = this.#entry(collectionId);
    try {
      await this.#record(collectionId, (was) => withLoaded(was, partitionIds));
      return entry;
    } catch (error) {
      if (isNew) await this.#forget(collectionId);
      if (this.#isClosed) throw stopping();
      throw error;
    }
  }

  /** Of a load that failed. Somebody else's, or a later one, stays. */
  async #takeBack(entry: Loaded, collectionId: CollectionId): Promise<void> {
    const isMine = (): boolean => this.#loaded.get(collectionId) === entry;
    await this.#inTurn(collectionId, async () => {
      if (isMine() && this.#get(collectionId) !== undefined)
        await this.#record(collectionId, () => NOT_LOADED);
      if (isMine()) await this.#forget(collectionId);
    });
  }

  async release(at: CollectionName, partitionIds?: readonly PartitionId[]): Promise<void> {
    const { collection, partitions: all } = this.#parts.requireReady(at);
    const { collectionId } = collection;
    const ids = all.map(({ partitionId }) => partitionId);
    const isLeft = await this.#inTurn(collectionId, async () => {
      const { load } = await this.#record(collectionId, (was) => withReleased(was, partitionIds, ids));
      if (load === 'none') await this.#forget(collectionId);
      return load === 'loaded';
    });
    if (isLeft) await this.publish(collectionId);
  }

  /** What the catalog says of a load and what is done about it change together, in the order of the calls. */
  #inTurn<T>(collectionId: CollectionId, work: () => Promise<T>): Promise<T> {
    const before = this.#turns.get(collectionId);
    const done = before === undefined ? work() : before.then(work);
    const turn = done
      .catch(() => undefined)
      .then(() => {
        if (this.#turns.get(collectionId) === turn) this.#turns.delete(collectionId);
      });
    this.#turns.set(collectionId, turn);
    return done;
  }

  loadState(at: CollectionName, partitionIds?: readonly PartitionId[]): ReturnType<Collections['loadState']> {
    const database = requireDatabase(this.#parts.catalog, at.database);
    const collection = resolveCollection(this.#parts.catalog, database, at.name);
    if (collection === undefined) return { state: 'not-exist', progress: 0 };
    const entry = this.#loaded.get(collection.collectionId);
    if (entry === undefined) return { state: 'not-load', progress: 0 };
    if (!this.#isWanted(collection, partitionIds)) return { state: 'not-load', progress: 0 };
    if (entry.isReady && collection.load === 'loaded' && shows(entry, partitionIds))
      return { state: 'loaded', progress: 100 };
    const progress = this.#parts.queryNode.progress(collection.collectionId) ?? 0;
    return { state: 'loading', progress: Math.min(progress, MAX_LOADING_PROGRESS) };
  }

  /** Whether the record says that they are to be loaded, all of them; of none named, one. */
  #isWanted(collection: CollectionRecord, partitionIds: readonly PartitionId[] | undefined): boolean {
    if (partitionIds !== undefined) return partitionIds.every((id) => isPartitionLoaded(collection, id));
    if (collection.loadScope === undefined) return true;
    const all = this.#parts.catalog.find(partitions, 'collection', collection.collectionId);
    return all.some(({ partitionId }) => isPartitionLoaded(collection, partitionId));
  }

  /** Loaded, or on the way. */
  isLoaded(collectionId: CollectionId): boolean {
    return this.#loaded.has(collectionId);
  }

  /** Resolves when the query node uses a view at least as new as the catalog is now. */
  async publish(collectionId: CollectionId): Promise<void> {
    const entry = this.#loaded.get(collectionId);
    if (entry !== undefined) await this.#sync(entry, collectionId);
  }

  /**
   * Resolves when readers do not need the log for what the catalog has in files now: they use a view as new, or could not take it
   * and go on with the rows they have in memory. A load of theirs that begins later begins with the files.
   */
  async offer(collectionId: CollectionId): Promise<void> {
    await this.publish(collectionId).catch(() => undefined);
  }

  /** The collection is dropped. */
  async drop(collectionId: CollectionId): Promise<void> {
    await this.#forget(collectionId);
  }

  /** Told of every commit: what touches a loaded collection is sent to its readers. */
  changed(changes: readonly Change[]): void {
    if (this.#loaded.size === 0) return;
    for (const change of changes) this.#noteSchema(change);
    const touched = new Set(changes.map(touchedBy));
    for (const collectionId of touched) {
      const entry = collectionId === undefined ? undefined : this.#loaded.get(collectionId);
      if (collectionId === undefined || entry === undefined) continue;
      entry.version++;
      void this.#sync(entry, collectionId).catch(() => undefined);
    }
  }

  /** At once: whoever reads the record from now on may write and ask for its fields. */
  #noteSchema({ table, was, is }: Change): void {
    if (table !== collections || was === undefined || is === undefined) return;
    const { collectionId, schema } = is as CollectionRecord;
    if ((was as CollectionRecord).schema === schema || !this.#loaded.has(collectionId)) return;
    this.#parts.queryNode.noteSchema(collectionId, schema);
  }

  /** Sends views again where the last one failed. */
  async pass(): Promise<void> {
    const troubled = [...this.#loaded].filter(([, { trouble }]) => trouble !== undefined);
    await mapLimited(troubled, RETRIES_AT_ONCE, ([collectionId, entry]) =>
      this.#sync(entry, collectionId).catch(() => undefined),
    );
  }

  /** Gives up the views that are on their way: the next start sends them again. */
  async close(): Promise<void> {
    this.#isClosed = true;
    const busy = [...this.#loaded].filter(([, { current }]) => current !== undefined);
    await Promise.all(busy.map(([collectionId]) => this.#parts.queryNode.release(collectionId)));
  }

  /** Resolves when no view is on its way. */
  async settled(): Promise<void> {
    for (;;) {
      const running = [...this.#loaded.values()].flatMap(({ current, next }) =>
        [current, next].filter((promise) => promise !== undefined),
      );
      if (running.length === 0) return;
      await Promise.allSettled(running);
    }
  }

  troubles(): readonly string[] {
    return [...this.#loaded].flatMap(([collectionId, { trouble }]) =>
      trouble === undefined ? [] : [`load of collection ${collectionId}: ${trouble}`],
    );
  }

  #entry(collectionId: CollectionId): Loaded {
    const entry = this.#loaded.get(collectionId) ?? {
      version: 0,
      sent: -1,
      taken: -1,
      isReady: false,
      shown: undefined,
      current: undefined,
      next: undefined,
      trouble: undefined,
      isAhead: false,
    };
    this.#loaded.set(collectionId, entry);
    return entry;
  }

  /** As `publish`; a view that says nothing new is not sent. */
  #sync(entry: Loaded, collectionId: CollectionId): Promise<void> {
    if (entry.taken === entry.version) return Promise.resolve();
    if (entry.current !== undefined && entry.sent === entry.version) return entry.current;
    if (entry.current === undefined) {
      entry.current = this.#send(entry, collectionId).finally(() => {
        entry.current = undefined;
      });
      return entry.current;
    }
    entry.next ??= entry.current
      .catch(() => undefined)
      .then(() => {
        entry.next = undefined;
        return this.#sync(entry, collectionId);
      });
    return entry.next;
  }

  async #send(entry: Loaded, collectionId: CollectionId): Promise<void> {
    const { catalog, queryNode, gate, log } = this.#parts;
    const collection = this.#get(collectionId);
    if (this.#isClosed) throw stopping();
    if (collection === undefined || this.#loaded.get(collectionId) !== entry) return;
    const view = viewOf(catalog, collection, entry.isAhead ? published : gate);
    const { version } = entry;
    entry.sent = version;
    try {
      await (entry.isReady ? queryNode.update(view) : queryNode.load(view));
      entry.isReady = true;
      entry.shown = view.loadedPartitionIds;
      entry.taken = version;
      entry.trouble = undefined;
    } catch (error) {
      const isWanted = !this.#isClosed && this.#loaded.get(collectionId) === entry;
      // What it named was replaced while it was read, and collected since: the next view names what took its place.
      if (isWanted && entry.version !== version && isDbError(error, 'object-not-found'))
        return this.#send(entry, collectionId);
      entry.trouble = messageOf(error);
      if (isWanted) log.error('view-not-taken', { collectionId, isReady: entry.isReady, error });
      throw error;
    }
  }

  async #forget(collectionId: CollectionId): Promise<void> {
    const entry = this.#loaded.get(collectionId);
    this.#loaded.delete(collectionId);
    const current = entry?.current;
    if (current !== undefined) {
      // Ends a load that is on its way.
      await this.#parts.queryNode.release(collectionId);
      await current.catch(() => undefined);
    }
    // Loaded again in the meantime: the release would take the new one away.
    if (!this.#loaded.has(collectionId)) await this.#parts.queryNode.release(collectionId);
  }

  /** What the record says then. */
  async #record(collectionId: CollectionId, change: (was: Load) => Load): Promise<Load> {
    for (;;) {
      const was = this.#get(collectionId);
      if (was === undefined) throw collectionGone(collectionId);
      const { load, loadScope, ...rest } = was;
      const is = change(was);
      if (is.load === load && isDeepStrictEqual(is.loadScope, loadScope)) return is;
      const { load: now, loadScope: scope } = is;
      const record = { ...rest, load: now, ...(scope === undefined ? {} : { loadScope: scope }) };
      if ((await this.#parts.catalog.commit([put(collections, record, was)])) === 'committed') return is;
    }
  }

  #get(collectionId: CollectionId): CollectionRecord | undefined {
    return this.#parts.catalog.get(collections, collectionId);
  }

  #requireIndexes({ collectionId, name, schema }: CollectionRecord): void {
    const indexed = new Set(
      this.#parts.catalog.find(indexes, 'collection', collectionId).map(({ fieldId }) => fieldId),
    );
    const bare = schema.fields.filter((f) => isVectorType(f.dataType) && !indexed.has(f.fieldId));
    if (bare.length > 0)
      throw new DbError(
        'index-not-found',
        `index not found[collection=${name}]: there is no vector index on field: [${bare.map((f) => f.name).join(' ')}], please create index firstly`,
      );
  }
}

/** Every restore. */
const published: RestoreGate = { isCompleted: () => true, progress: () => 100 };

const stopping = (): DbError =>
  new DbError('service-unavailable', 'the server is stopping; loading goes on after its restart');

const released = ({ name }: CollectionRecord): DbError =>
  new DbError('collection-not-loaded', `collection '${name}' was released while it was loading`);

const showsSame = (was: CollectionRecord, is: CollectionRecord): boolean =>
  was.schema === is.schema &&
  isDeepStrictEqual(expiryOf(was), expiryOf(is)) &&
  isDeepStrictEqual(was.loadScope, is.loadScope);

/** Whether readers have all of these partitions. */
const shows = ({ shown }: Loaded, partitionIds: readonly PartitionId[] | undefined): boolean =>
  shown === undefined || partitionIds === undefined || partitionIds.every((id) => shown.includes(id));

/** The collection whose view a change alters. Guards and renames alter none. */
function touchedBy({ table, was, is }: Change): CollectionId | undefined {
  if (was === is) return undefined;
  const { collectionId } = (is ?? was) as { readonly collectionId: CollectionId };
  if (table === indexes || table === partitions) return collectionId;
  if (table === segments) {
    const states = [was, is].map((record) => (record as SegmentRecord | undefined)?.state);
    return states.includes('flushed') ? collectionId : undefined;
  }
  if (table !== collections || was === undefined || is === undefined) return undefined;
  return showsSame(was as CollectionRecord, is as CollectionRecord) ? undefined : collectionId;
}
