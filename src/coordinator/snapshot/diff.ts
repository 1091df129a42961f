/** What lies between two snapshots. Of the manifests only those are read that list an added or removed segment. */
import { setImmediate } from 'node:timers/promises';
import type { Catalog } from '../../catalog/catalog.ts';
import type { SegmentId } from '../../model/ids.ts';
import type { ObjectStore } from '../../storage/object-store.ts';
import type { Clock } from '../../support/clock.ts';
import type { Random } from '../../support/random.ts';
import { inSlices } from '../../support/slices.ts';
import type { DiffSegment, SnapshotAt, SnapshotDiff } from '../admin-api.ts';
import { partitionName } from './content.ts';
import { compareDefinitions } from './definition.ts';
import type { SnapshotLookup } from './lookup.ts';
import type { SnapshotMetadata } from './metadata.ts';
import { readManifest, readMetadata } from './reader.ts';
import type { SnapshotRecord } from './record.ts';
import type { SnapshotReports } from './report.ts';
import { type SnapshotSegment, sizeOf } from './segment.ts';
import { withTries } from './tries.ts';

export interface SnapshotDifferParts {
  readonly catalog: Catalog;
  readonly store: ObjectStore;
  readonly clock: Clock;
  readonly random: Random;
  readonly lookup: SnapshotLookup;
  readonly reports: SnapshotReports;
}

/** Positions in the lists of segments, and how many stand in both. */
export interface SegmentsDiff {
  readonly added: readonly number[];
  readonly removed: readonly number[];
  readonly common: number;
}

/** Compares by id alone: a segment never changes. */
export async function compareSegments(
  from: readonly SegmentId[],
  to: readonly SegmentId[],
): Promise<SegmentsDiff> {
  const added = await missingIn(from, to);
  const removed = await missingIn(to, from);
  return { added, removed, common: to.length - added.length };
}

/** Positions in `ids` of those that `others` lacks. */
async function missingIn(
  others: readonly SegmentId[],
  ids: readonly SegmentId[],
): Promise<readonly number[]> {
  const known = new Set<SegmentId>();
  await inSlices(others, (id) => known.add(id));
  const missing: number[] = [];
  await inSlices(ids, (id, at) => {
    if (!known.has(id)) missing.push(at);
  });
  return missing;
}

export class SnapshotDiffer {
  readonly #parts: SnapshotDifferParts;

  constructor(parts: SnapshotDifferParts) {
    this.#parts = parts;
  }

  /** Of two snapshots of one collection, or of two. Throws `snapshot-not-found`, `object-not-found`, `data-integrity`. */
  async diff(fromAt: SnapshotAt, toAt: SnapshotAt, signal: AbortSignal): Promise<SnapshotDiff> {
    const { lookup, reports } = this.#parts;
    const from = lookup.require(fromAt);
    const to = lookup.require(toAt);
    const fromMetadata = await this.#read(from, signal, () => readMetadata(this.#parts.store, from));
    const toMetadata = await this.#read(to, signal, () => readMetadata(this.#parts.store, to));
    const { added, removed, common } = await compareSegments(fromMetadata.segmentIds, toMetadata.segmentIds);
    const addedSegments = await this.#segmentsAt(to, toMetadata, added, signal);
    const removedSegments = await this.#segmentsAt(from, fromMetadata, removed, signal);
    return {
      from: reports.ofRecord(lookup.requireStill(from)),
      to: reports.ofRecord(lookup.requireStill(to)),
      segments: { added: addedSegments, removed: removedSegments, common },
      addedRows: rowsOf(addedSegments),
      removedRows: rowsOf(removedSegments),
      addedBytes: bytesOf(addedSegments),
      removedBytes: bytesOf(removedSegments),
      definition: compareDefinitions(fromMetadata, toMetadata),
    };
  }

  /** `positions` ascend. */
  async #segmentsAt(
    record: SnapshotRecord,
    metadata: SnapshotMetadata,
    positions: readonly number[],
    signal: AbortSignal,
  ): Promise<readonly DiffSegment[]> {
    const names = new Map(metadata.partitions.map(({ partitionId, name }) => [partitionId, name]));
    const found: DiffSegment[] = [];
    let first = 0;
    for (const [n, { segmentCount }] of metadata.manifests.entries()) {
      const end = first + segmentCount;
      if ((positions[found.length] ?? end) < end) {
        const listed = await this.#read(record, signal, () => readManifest(this.#parts.store, metadata, n));
        await setImmediate();
        for (let at = positions[found.length]; at !== undefined && at < end; at = positions[found.length])
          found.push(this.#toDiff(listed[at - first] as SnapshotSegment, names));
      }
      first = end;
    }
    return found;
  }

  #toDiff(segment: SnapshotSegment, names: Parameters<typeof partitionName>[1]): DiffSegment {
    const { segmentId, partitionId, level, rowCount } = segment;
    return {
      segmentId,
      partitionName: partitionName(partitionId, names, this.#parts.catalog),
      level,
      rowCount,
      sizeBytes: sizeOf(segment),
    };
  }

  /** Nothing holds the snapshot: when it was dropped meanwhile, that is what the caller hears. */
  async #read<T>(record: SnapshotRecord, signal: AbortSignal, read: () => Promise<T>): Promise<T> {
    signal.throwIfAborted();
    try {
      return await withTries(read, this.#parts, signal);
    } catch (error) {
      this.#parts.lookup.requireStill(record);
      throw error;
    }
  }
}

/** Rows only: deletes are not rows. */
const rowsOf = (segments: readonly DiffSegment[]): number =>
  segments.reduce((sum, { level, rowCount }) => (level === 'L0' ? sum : sum + rowCount), 0);
const bytesOf = (segments: readonly DiffSegment[]): number =>
  segments.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
