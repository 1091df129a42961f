/** Adds up what the manifests of a snapshot list. Keeps sums by partition and index, nothing by segment. */
import type { Catalog } from '../../catalog/catalog.ts';
import { ALL_PARTITIONS, type IndexId, type PartitionId } from '../../model/ids.ts';
import type { SegmentFile, SegmentRecord } from '../../model/records.ts';
import type { SnapshotContent } from '../admin-api.ts';
import type { ReferenceCounts } from '../rooms.ts';
import { partitions, segments } from '../tables.ts';
import type { SnapshotMetadata } from './metadata.ts';
import type { DistinctObjects } from './objects.ts';
import type { SnapshotRecord } from './record.ts';
import { type SnapshotSegment, sizeOf } from './segment.ts';

interface PartitionSum {
  readonly partitionId: PartitionId;
  readonly name: string;
  segmentCount: number;
  rowCount: number;
  sizeBytes: number;
}

interface IndexSum {
  segmentCount: number;
  sizeBytes: number;
}

/**
 * A partition as people see it; never an empty name. Names of users cannot contain parentheses. `listed`: those of the snapshot,
 * which keep the names of partitions that were dropped since.
 */
export const partitionName = (
  partitionId: PartitionId,
  listed: ReadonlyMap<PartitionId, string>,
  catalog: Catalog,
): string =>
  partitionId === ALL_PARTITIONS
    ? '(all partitions)'
    : (listed.get(partitionId) ?? catalog.get(partitions, partitionId)?.name ?? `(partition ${partitionId})`);

export class ContentTally {
  readonly #record: SnapshotRecord;
  readonly #metadata: SnapshotMetadata;
  readonly #catalog: Catalog;
  readonly #references: ReferenceCounts;
  readonly #distinct: DistinctObjects;
  readonly #names: ReadonlyMap<PartitionId, string>;
  readonly #partitions = new Map<PartitionId, PartitionSum>();
  readonly #indexes = new Map<IndexId, IndexSum>();
  #deleteCount = 0;
  #exclusiveBytes: number;
  #sharedBytes = 0;
  #fileCount: number;

  constructor(
    record: SnapshotRecord,
    metadata: SnapshotMetadata,
    catalog: Catalog,
    references: ReferenceCounts,
    distinct: DistinctObjects,
  ) {
    this.#record = record;
    this.#metadata = metadata;
    this.#catalog = catalog;
    this.#references = references;
    this.#distinct = distinct;
    this.#names = new Map(metadata.partitions.map(({ partitionId, name }) => [partitionId, name]));
    for (const { partitionId } of metadata.partitions) this.#partition(partitionId);
    // Metadata and manifests are nobody else's.
    this.#fileCount = 1 + metadata.manifests.length;
    this.#exclusiveBytes = record.metadataSizeBytes + record.manifestSizeBytes;
  }

  add(segment: SnapshotSegment): void {
    const { segmentId, level, rowCount } = segment;
    const partition = this.#partition(segment.partitionId);
    partition.segmentCount++;
    partition.sizeBytes += sizeOf(segment);
    if (level === 'L0') this.#deleteCount += rowCount;
    else partition.rowCount += rowCount;
    for (const { indexId, file } of segment.indexes) {
      const index = this.#index(indexId);
      index.segmentCount++;
      index.sizeBytes += file.sizeBytes;
    }
    const live = this.#catalog.get(segments, segmentId);
    for (const file of this.#distinct.of(segment)) {
      this.#fileCount++;
      if (this.#isNeededElsewhere(file, segment, live)) this.#sharedBytes += file.sizeBytes;
      else this.#exclusiveBytes += file.sizeBytes;
    }
  }

  content(): SnapshotContent {
    const { schema, shardsNum, consistencyLevel, properties } = this.#metadata.collection;
    const fieldNames = new Map(schema.fields.map(({ fieldId, name }) => [fieldId, name]));
    return {
      deleteCount: this.#deleteCount,
      exclusiveBytes: this.#exclusiveBytes,
      sharedBytes: this.#sharedBytes,
      fileCount: this.#fileCount,
      schema,
      shardsNum,
      consistencyLevel,
      properties,
      partitions: [...this.#partitions.values()],
      indexes: this.#metadata.indexes.map(({ indexId, fieldId, name, params }) => ({
        name,
        fieldName: fieldNames.get(fieldId) ?? `(field ${fieldId})`,
        params,
        ...this.#index(indexId),
      })),
    };
  }

  /** By a segment that is alive, or by another snapshot; this one counts once. */
  #isNeededElsewhere(file: SegmentFile, segment: SnapshotSegment, live: SegmentRecord | undefined): boolean {
    const { collectionId } = this.#record;
    const isAlive = live !== undefined && live.state !== 'dropped';
    const build = segment.indexes.find((index) => index.file.key === file.key);
    if (build !== undefined)
      return (
        (isAlive && live.indexes.some((index) => index.file.key === file.key)) ||
        this.#references.buildCount(collectionId, build.buildId) > 1
      );
    return (
      (isAlive && live.files.some(({ key }) => key === file.key)) ||
      this.#references.segmentCount(collectionId, segment.segmentId) > 1
    );
  }

  #partition(partitionId: PartitionId): PartitionSum {
    const present = this.#partitions.get(partitionId);
    if (present !== undefined) return present;
    const name = partitionName(partitionId, this.#names, this.#catalog);
    const fresh = { partitionId, name, segmentCount: 0, rowCount: 0, sizeBytes: 0 };
    this.#partitions.set(partitionId, fresh);
    return fresh;
  }

  #index(indexId: IndexId): IndexSum {
    const present = this.#indexes.get(indexId);
    if (present !== undefined) return present;
    const fresh = { segmentCount: 0, sizeBytes: 0 };
    this.#indexes.set(indexId, fresh);
    return fresh;
  }
}
