/**
 * Copies the files of a task's segments, object by object, each proven by size and checksum. What is already there and right is
 * kept, so that a repeated attempt costs little; nothing is ever deleted. The store decides how bytes travel.
 */
import { DbError, isDbError, messageOf } from '../../errors/db-error.ts';
import type { SegmentFile, SegmentIndex } from '../../model/records.ts';
import type { ObjectStore } from '../../storage/object-store.ts';
import { Limiter, mapLimited } from '../../support/limiter.ts';
import type { CopiedSegment, CopySegmentOutput, CopySegmentWork } from '../api.ts';
import type { Executor, ExecutorContext } from '../executor.ts';
import type { Bandwidth } from './bandwidth.ts';
import { checkPairs, targetIndexKey, targetKey } from './key-map.ts';

export interface CopyLimits {
  /** Objects of one task copied at once, over all its segments. */
  readonly filesAtOnce: number;
  /** Objects copied at once over all tasks of the node; absent: as many as the tasks allow. */
  readonly nodeFilesAtOnce?: number;
  /** Shared by all tasks of the node; absent: as fast as it goes. */
  readonly bandwidth?: Bandwidth;
}

/** What every copy of a node goes through. */
interface CopyLane {
  readonly store: ObjectStore;
  readonly files: Limiter;
  readonly bandwidth: Bandwidth | undefined;
}

/** One object to copy, and where its result belongs. */
interface FileCopy {
  readonly segment: number;
  readonly source: SegmentFile;
  readonly key: string;
  /** The index it is the file of; absent for rows, stats and deletes. */
  readonly index?: SegmentIndex;
}

export function copySegmentExecutor(
  store: ObjectStore,
  { filesAtOnce, nodeFilesAtOnce = Number.POSITIVE_INFINITY, bandwidth }: CopyLimits,
): Executor<CopySegmentWork, CopySegmentOutput> {
  const lane = { store, files: new Limiter(nodeFilesAtOnce), bandwidth };
  return async (work, context) => {
    const copies = planCopies(work);
    const bytesByMethod: Record<string, number> = {};
    const done = { bytes: 0, files: 0 };
    const files = await mapLimited(copies, filesAtOnce, async (copy) => {
      const { file, method } = await lane.files.run(() => copyOne(lane, copy, work.mode, context));
      bytesByMethod[method] = (bytesByMethod[method] ?? 0) + file.sizeBytes;
      done.bytes += file.sizeBytes;
      done.files++;
      context.progress({ ...done });
      return file;
    });
    return { kind: 'copy-segment', segments: collect(work, copies, files), bytesByMethod };
  };
}

function planCopies({ sources, targets }: CopySegmentWork): readonly FileCopy[] {
  checkPairs(sources, targets);
  return sources.flatMap((source, segment): FileCopy[] => {
    const target = targets[segment];
    if (target === undefined) return [];
    return [
      ...source.files.map((file) => ({
        segment,
        source: file,
        key: targetKey(file.key, source.place, target.place),
      })),
      ...source.indexes.map((index) => {
        const { key, buildId } = targetIndexKey(index, source.place, target);
        return { segment, source: index.file, key, index: { ...index, buildId } };
      }),
    ];
  });
}

async function copyOne(
  { store, bandwidth }: CopyLane,
  { source, key }: FileCopy,
  mode: CopySegmentWork['mode'],
  { signal }: ExecutorContext,
): Promise<{ readonly file: SegmentFile; readonly method: string }> {
  signal.throwIfAborted();
  const { sizeBytes, crc32, etag } = source;
  try {
    const result = await store.copy(source.key, key, {
      sizeBytes,
      crc32,
      etag,
      mode,
      ...(bandwidth === undefined ? {} : { pace: bandwidth.paceFor(signal) }),
    });
    return { file: { ...source, key, etag: result.etag }, method: result.method };
  } catch (error) {
    // The caller has to learn which object it was, whatever the adapter says.
    const message = messageOf(error);
    const named = message.includes(source.key) ? message : `object '${source.key}': ${message}`;
    throw new DbError(isDbError(error) ? error.code : 'storage-failed', named, { cause: error });
  }
}

function collect(
  { targets }: CopySegmentWork,
  copies: readonly FileCopy[],
  files: readonly SegmentFile[],
): readonly CopiedSegment[] {
  const segments = targets.map(({ place }) => ({
    segmentId: place.segmentId,
    files: [] as SegmentFile[],
    indexes: [] as SegmentIndex[],
  }));
  for (const [i, { segment, index }] of copies.entries()) {
    const [into, file] = [segments[segment], files[i]];
    if (into === undefined || file === undefined) continue;
    if (index === undefined) into.files.push(file);
    else into.indexes.push({ ...index, file });
  }
  return segments;
}
