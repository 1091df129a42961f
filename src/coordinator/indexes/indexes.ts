/** Index definitions: at most one per field, of a JSON field one per path. The commit of the definition is what makes an index; its files follow. */
import { isDeepStrictEqual } from 'node:util';
import { type Catalog, put, remove } from '../../catalog/catalog.ts';
import { DbError } from '../../errors/db-error.ts';
import type { CollectionId, IndexId, SegmentId } from '../../model/ids.ts';
import { flatParams } from '../../model/index-params.ts';
import type { CollectionRecord, IndexRecord, Properties, SegmentRecord } from '../../model/records.ts';
import type { FieldSchema } from '../../model/schema.ts';
import type { IdSource, TimeSource } from '../allocator.ts';
import type { CollectionInfo, CollectionName, Indexes, IndexProgress } from '../api.ts';
import { claimNamesIn, requireCollection } from '../collections/names.ts';
import type { RestoreGate } from '../rooms.ts';
import { isVisible } from '../segments/state.ts';
import { indexes, segments } from '../tables.ts';
import type { IndexBuilder } from './builder.ts';
import { checkIndexParams, isVectorIndex } from './params.ts';

export interface IndexRoomParts {
  readonly catalog: Catalog;
  readonly ids: IdSource;
  readonly time: TimeSource;
  readonly gate: RestoreGate;
  readonly builder: IndexBuilder;
  readonly requireReady: (at: CollectionName) => CollectionInfo;
  /** Whether readers use the collection now. */
  readonly isLoaded: (collectionId: CollectionId) => boolean;
}

export class IndexRoom implements Indexes {
  readonly #parts: IndexRoomParts;

  constructor(parts: IndexRoomParts) {
    this.#parts = parts;
  }

  /** The same index again is success; another one on the same field or with the same name is `index-duplicate`. */
  async createIndex(at: CollectionName, fieldName: string, name: string, given: Properties): Promise<void> {
    const { catalog, ids, time, requireReady } = this.#parts;
    const indexId = await ids.next<IndexId>();
    for (;;) {
      const { collection } = requireReady(at);
      const field = requireField(collection, fieldName);
      const params = checkIndexParams(field, given);
      const asked = { fieldId: field.fieldId, name: name === '' ? fieldName : name, params };
      const { collectionId } = collection;
      if (isPresent(catalog.find(indexes, 'collection', collectionId), asked)) return;
      const record: IndexRecord = { indexId, collectionId, ...asked, createdTs: time.next() };
      const outcome = await catalog.commit([claimNamesIn(collection), put(indexes, record, undefined)]);
      if (outcome === 'committed') return;
    }
  }

  /** By index name, or by field. Unknown ones are no error, as in Milvus; the vector index of a loaded collection is in use. */
  async dropIndex(at: CollectionName, fieldName: string, name: string): Promise<void> {
    const { catalog, builder, requireReady, isLoaded } = this.#parts;
    for (;;) {
      const { collection } = requireReady(at);
      const [found, second] = this.#named(collection, name === '' ? fieldName : name);
      if (found === undefined) return;
      if (second !== undefined)
        throw new DbError(
          'parameter-invalid',
          `there are multiple indexes on field ${fieldName}, please specify the index_name`,
        );
      if (isVectorIndex(found) && isLoaded(collection.collectionId))
        throw new DbError(
          'parameter-invalid',
          `vector index cannot be dropped on loaded collection: ${collection.name}, please release it first`,
        );
      if ((await catalog.commit([claimNamesIn(collection), remove(indexes, found)])) === 'stale') continue;
      await builder.cancel(({ indexId }) => indexId === found.indexId);
      return;
    }
  }

  describeIndexes(at: CollectionName, name: string): readonly IndexProgress[] {
    const collection = requireCollection(this.#parts.catalog, at);
    const found = this.#named(collection, name);
    if (found.length === 0)
      throw new DbError('index-not-found', `index not found[collection=${collection.name}][index=${name}]`);
    return found.map((index) => this.#progress(collection, index));
  }

  indexedSegments(at: CollectionName, name: string): readonly SegmentId[] {
    const collection = requireCollection(this.#parts.catalog, at);
    const found = this.#named(collection, name);
    if (found.length === 0)
      throw new DbError('index-not-found', `index not found[collection=${collection.name}][index=${name}]`);
    return this.#flushed(collection)
      .filter((segment) => found.every((index) => this.#parts.builder.isBuilt(segment, index)))
      .map(({ segmentId }) => segmentId);
  }

  /** '' means all. Definitions, oldest first. */
  #named(collection: CollectionRecord, name: string): readonly IndexRecord[] {
    const all = [...this.#parts.catalog.find(indexes, 'collection', collection.collectionId)];
    all.sort((a, b) => (a.indexId < b.indexId ? -1 : 1));
    if (name === '') return all;
    const byName = all.filter((index) => index.name === name);
    return byName.length > 0 ? byName : all.filter((index) => fieldOf(collection, index)?.name === name);
  }

  #flushed({ collectionId }: CollectionRecord): readonly SegmentRecord[] {
    const { catalog, gate } = this.#parts;
    return catalog
      .find(segments, 'collection', collectionId)
      .filter((s) => s.state === 'flushed' && s.level === 'L1' && isVisible(s, gate));
  }

  /** Flushed rows only, as in Milvus: growing ones are searched without an index. */
  #progress(collection: CollectionRecord, index: IndexRecord): IndexProgress {
    const { builder } = this.#parts;
    const flushed = this.#flushed(collection);
    let totalRows = 0;
    let indexedRows = 0;
    for (const segment of flushed) {
      totalRows += segment.rowCount;
      if (builder.isBuilt(segment, index)) indexedRows += segment.rowCount;
    }
    return {
      index,
      fieldName: fieldOf(collection, index)?.name ?? '',
      totalRows,
      indexedRows,
      state: indexedRows === totalRows ? 'finished' : 'in-progress',
    };
  }
}

type Asked = Pick<IndexRecord, 'fieldId' | 'name' | 'params'>;

function isPresent(present: readonly IndexRecord[], asked: Asked): boolean {
  for (const index of present) {
    const isSame = isDeepStrictEqual(flatParams(index.params), flatParams(asked.params));
    if (index.name === asked.name && index.fieldId === asked.fieldId && isSame) return true;
    if (index.name === asked.name)
      throw new DbError(
        'index-duplicate',
        `CreateIndex failed: index already exist, but parameters are inconsistent: ${asked.name}`,
      );
    if (index.fieldId === asked.fieldId && pathOf(index) === pathOf(asked))
      throw new DbError(
        'index-duplicate',
        `CreateIndex failed: at most one distinct index is allowed per field, it has '${index.name}'`,
      );
  }
  return false;
}

/** As it was written: two ways to write one path make two indexes. */
const pathOf = ({ params }: Asked): string | undefined => flatParams(params)['json_path'];

function requireField({ schema }: CollectionRecord, name: string): FieldSchema {
  const field = schema.fields.find((candidate) => candidate.name === name);
  if (field === undefined)
    throw new DbError('index-invalid', `cannot create index on non-exist field: ${name}`);
  return field;
}

const fieldOf = ({ schema }: CollectionRecord, { fieldId }: IndexRecord): FieldSchema | undefined =>
  schema.fields.find((field) => field.fieldId === fieldId);
