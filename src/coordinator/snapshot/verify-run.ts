/** One verification under way: what it reads, in which order, and what it has found so far. */
import { setImmediate } from 'node:timers/promises';
import { isDbError } from '../../errors/db-error.ts';
import type { SegmentId } from '../../model/ids.ts';
import type { SegmentFile } from '../../model/records.ts';
import type { ObjectPart, PartFinding } from '../../storage/check-object.ts';
import { snapshotManifestKey } from '../../storage/keys.ts';
import type { ObjectStore } from '../../storage/object-store.ts';
import { assert } from '../../support/assert.ts';
import type { Clock } from '../../support/clock.ts';
import { crc32 } from '../../support/crc32.ts';
import { forEachLimited } from '../../support/limiter.ts';
import type { Random } from '../../support/random.ts';
import { backoffMs } from '../../support/retry.ts';
import type { ObjectProblem, VerifyStep } from '../admin-api.ts';
import type { ObjectChecker } from '../rooms.ts';
import type { SnapshotMetadata } from './metadata.ts';
import { DistinctObjects } from './objects.ts';
import { readManifest, readMetadata } from './reader.ts';
import type { SnapshotRecord } from './record.ts';
import type { SnapshotSegment } from './segment.ts';
import { isDamage, MAX_TRIES, tryBackoff, withTries } from './tries.ts';

export type ProblemStep = Extract<VerifyStep, { readonly kind: 'problem' }>;

export interface VerifyRunParts {
  readonly store: ObjectStore;
  readonly checker: ObjectChecker;
  readonly clock: Clock;
  readonly random: Random;
  readonly record: SnapshotRecord;
  readonly fraction: number;
  readonly onProblem: () => void;
}

/** Objects checked by one call of a thread: enough that a call costs little, few enough that it ends soon. */
const OBJECTS_PER_UNIT = 64;
const BYTES_PER_UNIT = 16 << 20;
/** A larger object is summed up part by part. */
const BYTES_PER_PART = 32 << 20;
/** Two for each thread: one that is read, one that waits for it. */
const UNITS_AT_ONCE = 4;
/** Problems that wait to be taken; beyond that nothing more is read. */
const MAX_WAITING_PROBLEMS = 1000;

interface Sought {
  readonly file: SegmentFile;
  readonly segmentId: SegmentId;
  /** False: only presence and size are looked at. */
  readonly isRead: boolean;
  /** How far it was summed up. */
  readonly offset: number;
  readonly crc32: number;
  readonly tries: number;
}

/** What metadata and manifests say of one of their own. */
interface Described {
  readonly key: string;
  readonly object: 'metadata' | 'manifest';
  readonly sizeBytes: number;
  readonly crc32: number;
}

export class VerifyRun {
  readonly #parts: VerifyRunParts;
  /** Those looked at so far. */
  readonly #manifests = new Map<number, 'whole' | 'damaged'>();
  #shared: ReadonlySet<string> = new Set();
  readonly #waiting: ProblemStep[] = [];
  #resume: (() => void)[] = [];
  #looked = 0;
  #read = 0;
  #totalObjects: number;
  /** Of the random choice: objects to come, and how many of them are still to be read. */
  #toCome = 0;
  #toRead = 0;
  bytes = 0;
  problemCount = 0;
  isOver = false;
  /** Objects that the store failed to read: nothing is known of them. */
  unknownCount = 0;
  /** The first damage of metadata and manifests, and of the segments' objects. */
  readonly first: { description?: ProblemStep; data?: ProblemStep } = {};
  /** Told when more was read. */
  onBytes: () => void = () => undefined;

  constructor(parts: VerifyRunParts) {
    this.#parts = parts;
    this.#totalObjects = 1 + parts.record.manifestCount;
  }

  async work(signal: AbortSignal): Promise<void> {
    try {
      const metadata = await this.#readMetadata(signal);
      if (metadata === undefined) return;
      await this.#count(metadata, signal);
      await forEachLimited(this.#units(metadata, signal), UNITS_AT_ONCE, (unit) => this.#check(unit, signal));
    } finally {
      this.isOver = true;
    }
  }

  takeProblems(): readonly ProblemStep[] {
    const resume = this.#resume;
    this.#resume = [];
    for (const go of resume) go();
    return this.#waiting.splice(0);
  }

  progress(): VerifyStep {
    return { kind: 'progress', objects: this.#looked, ...this.#totals() };
  }

  end(): VerifyStep {
    return { kind: 'end', objects: this.#read, ...this.#totals(), problems: this.problemCount };
  }

  #totals() {
    const { sizeBytes, metadataSizeBytes, manifestSizeBytes } = this.#parts.record;
    return {
      bytes: this.bytes,
      totalObjects: this.#totalObjects,
      totalBytes: sizeBytes + metadataSizeBytes + manifestSizeBytes,
    };
  }

  async #readMetadata(signal: AbortSignal): Promise<SnapshotMetadata | undefined> {
    const { store, record } = this.#parts;
    const { metadataKey: key, metadataSizeBytes: sizeBytes, metadataCrc32 } = record;
    const described = { key, object: 'metadata', sizeBytes, crc32: metadataCrc32 } as const;
    const metadata = await this.#describing(described, () => readMetadata(store, record), signal);
    this.#describedOne(sizeBytes, metadata !== undefined);
    return metadata;
  }

  /** All manifests first: then it is known how much there is, of which a part may be chosen. */
  async #count(metadata: SnapshotMetadata, signal: AbortSignal): Promise<void> {
    for (;;) {
      const distinct = new DistinctObjects(this.#parts.record.collectionId, this.#shared);
      let objects = 0;
      for await (const listed of this.#listed(metadata, signal))
        for (const segment of listed) objects += distinct.of(segment).length;
      this.#toCome = objects;
      if (!distinct.isWrong) break;
      this.#shared = distinct.elsewhere;
    }
    this.#totalObjects += this.#toCome;
    this.#toRead = Math.ceil(this.#toCome * this.#parts.fraction);
  }

  /** The segments of one manifest after the other, without those that are damaged. */
  async *#listed(
    metadata: SnapshotMetadata,
    signal: AbortSignal,
  ): AsyncGenerator<readonly SnapshotSegment[]> {
    for (const [n, { sizeBytes }] of metadata.manifests.entries()) {
      const known = this.#manifests.get(n);
      if (known === 'damaged') continue;
      const listed = await this.#readManifest(metadata, n, signal);
      this.#manifests.set(n, listed === undefined ? 'damaged' : 'whole');
      if (known === undefined) this.#describedOne(sizeBytes, listed !== undefined);
      await setImmediate();
      if (listed !== undefined) yield listed;
    }
  }

  #readManifest(
    metadata: SnapshotMetadata,
    n: number,
    signal: AbortSignal,
  ): Promise<readonly SnapshotSegment[] | undefined> {
    const { collectionId, snapshotId } = this.#parts.record;
    const entry = metadata.manifests[n];
    assert(entry !== undefined, `manifest ${n} of snapshot ${snapshotId}`);
    const key = snapshotManifestKey(collectionId, snapshotId, n);
    const described = { key, object: 'manifest', sizeBytes: entry.sizeBytes, crc32: entry.crc32 } as const;
    return this.#describing(described, () => readManifest(this.#parts.store, metadata, n), signal);
  }

  #describedOne(sizeBytes: number, isRead: boolean): void {
    this.#looked++;
    if (!isRead) return;
    this.#read++;
    this.#add(sizeBytes);
  }

  /** Undefined, and a problem, when it cannot be read. */
  async #describing<T>(
    described: Described,
    read: () => Promise<T>,
    signal: AbortSignal,
  ): Promise<T | undefined> {
    signal.throwIfAborted();
    try {
      return await withTries(read, this.#parts, signal);
    } catch (error) {
      signal.throwIfAborted();
      if (!isDbError(error)) throw error;
      const isKnown = isDamage(error);
      const problem = isKnown ? await this.#kindOf(described, error, signal) : 'unreadable';
      const { key, object } = described;
      this.#report({ kind: 'problem', key, object, problem, detail: error.message }, isKnown);
      return undefined;
    }
  }

  /** What is wrong with an object that was refused. Right bytes that are refused still, as a newer format is, count as unreadable. */
  async #kindOf(
    { key, sizeBytes, crc32: sum }: Described,
    error: unknown,
    signal: AbortSignal,
  ): Promise<ObjectProblem> {
    if (isDbError(error, 'object-not-found')) return 'missing';
    try {
      const bytes = await withTries(() => this.#parts.store.get(key), this.#parts, signal);
      if (bytes.length !== sizeBytes) return bytes.length < sizeBytes ? 'short' : 'long';
      return crc32(bytes) === sum ? 'unreadable' : 'corrupt';
    } catch (again) {
      signal.throwIfAborted();
      return isDbError(again, 'object-not-found') ? 'missing' : 'unreadable';
    }
  }

  /** The segments' objects, in the order of the manifests, some at a time. */
  async *#units(metadata: SnapshotMetadata, signal: AbortSignal): AsyncGenerator<readonly Sought[]> {
    const distinct = new DistinctObjects(this.#parts.record.collectionId, this.#shared);
    for await (const listed of this.#listed(metadata, signal))
      yield* inUnits(
        listed.flatMap((segment) => distinct.of(segment).map((file) => this.#seek(segment, file))),
      );
  }

  #seek({ segmentId }: SnapshotSegment, file: SegmentFile): Sought {
    return { file, segmentId, isRead: this.#choose(), offset: 0, crc32: 0, tries: 0 };
  }

  /** Every choice of that many objects is equally likely. Source: Knuth, The Art of Computer Programming 2, 3.4.2, algorithm S. */
  #choose(): boolean {
    const isChosen = this.#parts.random.next() * this.#toCome < this.#toRead;
    this.#toCome--;
    if (isChosen) this.#toRead--;
    return isChosen;
  }

  async #check(unit: readonly Sought[], signal: AbortSignal): Promise<void> {
    const { checker, clock, random } = this.#parts;
    while (this.#waiting.length >= MAX_WAITING_PROBLEMS && !signal.aborted)
      await new Promise<void>((go) => this.#resume.push(go));
    for (let open = unit; open.length > 0; ) {
      signal.throwIfAborted();
      const findings = await checker.check(open.map(partOf), signal);
      open = open.flatMap((sought, i) => this.#judge(sought, findings[i]));
      const tries = Math.max(0, ...open.map((sought) => sought.tries));
      if (tries > 0) await clock.sleep(backoffMs(tries, tryBackoff, random), signal);
    }
  }

  /** What is still to be done with the object: nothing, or the next part, or the same once more. */
  #judge(sought: Sought, finding: PartFinding | undefined): readonly Sought[] {
    assert(finding !== undefined, `nothing was found out about '${sought.file.key}'`);
    const { file, isRead, offset } = sought;
    if (finding.kind === 'unreadable' && sought.tries + 1 < MAX_TRIES)
      return [{ ...sought, tries: sought.tries + 1 }];
    if (finding.kind !== 'read') return this.#done(sought, finding.kind, finding.detail);
    if (!isRead) return this.#done(sought);
    const end = offset + partOf(sought).length;
    this.#add(end - offset);
    if (end < file.sizeBytes) return [{ ...sought, offset: end, crc32: finding.crc32, tries: 0 }];
    this.#read++;
    if (finding.crc32 === file.crc32) return this.#done(sought);
    const sums = `checksum ${finding.crc32}, recorded ${file.crc32}`;
    return this.#done(sought, 'corrupt', `object '${file.key}' is not what was written: ${sums}`);
  }

  #done({ file, segmentId }: Sought, problem?: ObjectProblem, detail = ''): readonly Sought[] {
    this.#looked++;
    if (problem !== undefined)
      this.#report(
        { kind: 'problem', key: file.key, object: file.kind, segmentId, problem, detail },
        problem !== 'unreadable',
      );
    return [];
  }

  #report(problem: ProblemStep, isDamaged: boolean): void {
    this.problemCount++;
    if (!isDamaged) this.unknownCount++;
    else if (problem.segmentId === undefined) this.first.description ??= problem;
    else this.first.data ??= problem;
    this.#waiting.push(problem);
    this.#parts.onProblem();
  }

  #add(bytes: number): void {
    this.bytes += bytes;
    this.onBytes();
  }
}

const partOf = ({ file, isRead, offset, crc32: sum }: Sought): ObjectPart => ({
  key: file.key,
  sizeBytes: file.sizeBytes,
  offset,
  length: isRead ? Math.min(BYTES_PER_PART, file.sizeBytes - offset) : 0,
  crc32: sum,
});

function* inUnits(all: readonly Sought[]): Generator<readonly Sought[]> {
  let unit: Sought[] = [];
  let bytes = 0;
  for (const sought of all) {
    unit.push(sought);
    if (sought.isRead) bytes += sought.file.sizeBytes;
    if (unit.length < OBJECTS_PER_UNIT && bytes < BYTES_PER_UNIT) continue;
    yield unit;
    [unit, bytes] = [[], 0];
  }
  if (unit.length > 0) yield unit;
}
