/** Whether a restored copy is its snapshot. Reads every byte of both, in worker threads. */
import { isDeepStrictEqual } from 'node:util';
import type { Catalog } from '../../catalog/catalog.ts';
import { DbError, messageOf } from '../../errors/db-error.ts';
import type { CollectionRecord, SegmentFile, SegmentRecord } from '../../model/records.ts';
import type { ObjectPart, PartFinding } from '../../storage/check-object.ts';
import { present } from '../../support/assert.ts';
import type { Clock } from '../../support/clock.ts';
import { mapLimited } from '../../support/limiter.ts';
import type { Random } from '../../support/random.ts';
import { type CopyJob, type DrillOutcome, idAt } from '../copy-segment/job.ts';
import { targetPartition } from '../copy-segment/request.ts';
import type { OpenedSnapshot } from '../copy-segment/source.ts';
import type { ObjectChecker, SegmentFingerprints } from '../rooms.ts';
import type { SnapshotMetadata } from '../snapshot/metadata.ts';
import type { SnapshotSegment } from '../snapshot/segment.ts';
import { isDamage, withTries } from '../snapshot/tries.ts';
import { indexes, partitions, segments } from '../tables.ts';

export interface CompareParts {
  readonly catalog: Catalog;
  readonly fingerprints: SegmentFingerprints;
  readonly checker: ObjectChecker;
  readonly clock: Clock;
  readonly random: Random;
}

const MAX_DIFFERENCES = 100;
const SEGMENTS_PER_READ = 256;
/** Pairs of segments: each thread of those that check has one side to read. */
const PAIRS_AT_ONCE = 2;

/** Throws what the store fails with for now, and the signal's reason. `moved`: called whenever a pair is done. */
export async function compareRestored(
  parts: CompareParts,
  job: CopyJob,
  target: CollectionRecord,
  snapshot: OpenedSnapshot,
  moved: () => void,
  signal: AbortSignal,
): Promise<DrillOutcome> {
  const found = new Findings();
  for (const what of definitionDiffers(parts.catalog, target, snapshot.metadata)) found.differs(what);
  for (let first = 0; first < job.segmentCount; first += SEGMENTS_PER_READ) {
    const count = Math.min(SEGMENTS_PER_READ, job.segmentCount - first);
    const sources = await snapshot.segments(first, count);
    await mapLimited(sources, PAIRS_AT_ONCE, async (source, i) => {
      signal.throwIfAborted();
      const pair = new Pair(parts, job, snapshot.metadata, source, first + i, found);
      await pair.compare(signal);
      moved();
    });
  }
  return found.outcome();
}

class Findings {
  segments = 0;
  rows = 0;
  deletes = 0;
  readonly #differences: string[] = [];

  differs(what: string): void {
    if (this.#differences.length < MAX_DIFFERENCES) this.#differences.push(what);
  }

  outcome(): DrillOutcome {
    const { segments, rows, deletes } = this;
    const differences = this.#differences.toSorted();
    return { isSame: differences.length === 0, segments, rows, deletes, differences };
  }
}

class Pair {
  readonly #parts: CompareParts;
  readonly #source: SnapshotSegment;
  readonly #target: SegmentRecord | undefined;
  readonly #partitionId: SegmentRecord['partitionId'];
  readonly #found: Findings;
  readonly #name: string;

  constructor(
    parts: CompareParts,
    job: CopyJob,
    metadata: SnapshotMetadata,
    source: SnapshotSegment,
    position: number,
    found: Findings,
  ) {
    this.#parts = parts;
    this.#source = source;
    const segmentId = idAt(job.firstSegmentId, position);
    this.#target = parts.catalog.get(segments, segmentId);
    this.#partitionId = targetPartition(job, metadata, source.partitionId);
    this.#found = found;
    this.#name = `segment ${source.segmentId} and its copy ${segmentId}`;
  }

  async compare(signal: AbortSignal): Promise<void> {
    const [source, target] = [this.#source, this.#target];
    this.#found.segments++;
    if (target?.state !== 'flushed') {
      this.#differs('the copy is missing');
      return;
    }
    const isPlaced = target.partitionId === this.#partitionId && target.level === source.level;
    if (!isPlaced) this.#differs('partition or level');
    if (target.rowCount !== source.rowCount)
      this.#differs(`${source.rowCount} rows recorded, ${target.rowCount} in the copy`);
    await this.#compareRows(source, target, signal);
    await this.#compareOthers(source, target, signal);
  }

  async #compareRows(source: SnapshotSegment, target: SegmentRecord, signal: AbortSignal): Promise<void> {
    const kind = source.level === 'L0' ? 'deletes' : 'rows';
    const of = (files: readonly SegmentFile[]) => files.find((file) => file.kind === kind);
    const [from, to] = [of(source.files), of(target.files)];
    if (from === undefined || to === undefined) {
      this.#differs(`no file of ${kind}`);
      return;
    }
    const was = await this.#fingerprint(from, signal);
    const is = await this.#fingerprint(to, signal);
    if (was === undefined || is === undefined) return;
    if (kind === 'rows') this.#found.rows += is.rowCount;
    else this.#found.deletes += is.rowCount;
    if (was.rowCount !== source.rowCount)
      this.#differs(`${source.rowCount} ${kind} recorded, ${was.rowCount} in the file`);
    if (was.rowCount !== is.rowCount) this.#differs(`${was.rowCount} ${kind}, ${is.rowCount} in the copy`);
    else if (was.digest !== is.digest) this.#differs(`${kind} are others`);
  }

  /** Undefined, and a difference, when the file is missing or damaged. */
  async #fingerprint(file: SegmentFile, signal: AbortSignal) {
    try {
      return await withTries(() => this.#parts.fingerprints.of(file, signal), this.#parts, signal);
    } catch (error) {
      if (!isDamage(error)) throw error;
      this.#differs(messageOf(error));
      return undefined;
    }
  }

  /** Statistics and graphs: both sides have the bytes that the snapshot recorded. */
  async #compareOthers(source: SnapshotSegment, target: SegmentRecord, signal: AbortSignal): Promise<void> {
    const [from, to] = [othersOf(source), othersOf(target)];
    if (from.length !== to.length || from.some(({ kind }, i) => kind !== to[i]?.kind)) {
      this.#differs(`${from.length} other files, ${to.length} in the copy`);
      return;
    }
    const recorded = [...from, ...from];
    const keys = [...from, ...to].map(({ key }) => key);
    const sought = keys.map((key, i): ObjectPart => {
      const { sizeBytes } = present(recorded[i], 'a file for each key');
      return { key, sizeBytes, offset: 0, length: sizeBytes, crc32: 0 };
    });
    const findings = await withTries(() => this.#check(sought, signal), this.#parts, signal);
    for (const [i, finding] of findings.entries()) {
      const expected = recorded[i]?.crc32;
      if (finding.kind === 'read' && finding.crc32 !== expected)
        this.#differs(`object '${keys[i]}' has checksum ${finding.crc32}, recorded ${expected}`);
      if (finding.kind !== 'read') this.#differs(finding.detail);
    }
  }

  /** Throws what the store fails with for now: it says nothing of the copy. */
  async #check(sought: readonly ObjectPart[], signal: AbortSignal): Promise<readonly PartFinding[]> {
    const findings = await this.#parts.checker.check(sought, signal);
    for (const finding of findings)
      if (finding.kind === 'unreadable') throw new DbError('storage-failed', finding.detail);
    return findings;
  }

  #differs(what: string): void {
    this.#found.differs(`${this.#name}: ${what}`);
  }
}

/** All but rows and deletes; index files by the build they came from, which keeps its place. */
const othersOf = ({ files, indexes }: Pick<SnapshotSegment, 'files' | 'indexes'>): readonly SegmentFile[] => [
  ...files.filter(({ kind }) => kind === 'stats'),
  ...indexes.map(({ file }) => file),
];

function definitionDiffers(
  catalog: Catalog,
  target: CollectionRecord,
  { collection, partitions: parts, indexes: defs }: SnapshotMetadata,
): readonly string[] {
  const { collectionId } = target;
  const wasAndIs: Readonly<Record<string, readonly [unknown, unknown]>> = {
    schema: [collection.schema, target.schema],
    shards: [collection.shardsNum, target.shardsNum],
    'consistency level': [collection.consistencyLevel, target.consistencyLevel],
    properties: [collection.properties, target.properties],
    partitions: [namesOf(parts), namesOf(catalog.find(partitions, 'collection', collectionId))],
    indexes: [
      defs.map(plain).sort(byName),
      catalog.find(indexes, 'collection', collectionId).map(plain).sort(byName),
    ],
  };
  return Object.entries(wasAndIs)
    .filter(([, [was, is]]) => !isDeepStrictEqual(structuredClone(was), structuredClone(is)))
    .map(([what]) => `${what} of the collection`);
}

const namesOf = (records: readonly { readonly name: string }[]): readonly string[] =>
  records.map(({ name }) => name).sort();

const plain = ({
  name,
  fieldId,
  params,
}: SnapshotMetadata['indexes'][number] | { name: string; fieldId: unknown; params: unknown }) => ({
  name,
  fieldId,
  params,
});

const byName = (a: { readonly name: string }, b: { readonly name: string }): number =>
  a.name < b.name ? -1 : 1;
