/** Where a file of a source segment lies in the target segment. Pure; the layout is that of storage/keys.ts. */
import { DbError } from '../../errors/db-error.ts';
import type { BuildId } from '../../model/ids.ts';
import type { SegmentIndex } from '../../model/records.ts';
import { indexKey, segmentPrefix } from '../../storage/keys.ts';
import type { CopySource, CopyTarget, SegmentPlace } from '../api.ts';

/** A name below a segment: path parts of harmless characters, no `.` or `..` part. */
const SAFE_REST = /^(?:(?!\.{1,2}(?:\/|$))[A-Za-z0-9._-]+\/)*(?!\.{1,2}$)[A-Za-z0-9._-]+$/;

/** The target's key of a file that lies under the source segment. Throws `data-integrity` for a key that lies elsewhere. */
export function targetKey(key: string, source: SegmentPlace, target: SegmentPlace): string {
  const prefix = segmentPrefix(source);
  const rest = key.slice(prefix.length);
  if (!key.startsWith(prefix) || !SAFE_REST.test(rest))
    throw new DbError('data-integrity', `object '${key}' does not lie in segment ${source.segmentId}`);
  return segmentPrefix(target) + rest;
}

/** The target's key of an index file, under its new build. The source's key has to be the one of its field and build. */
export function targetIndexKey(
  index: SegmentIndex,
  source: SegmentPlace,
  { place, newBuildIds }: CopyTarget,
): { readonly key: string; readonly buildId: BuildId } {
  const expected = indexKey(source, index.fieldId, index.buildId);
  if (index.file.key !== expected)
    throw new DbError('data-integrity', `object '${index.file.key}' should be '${expected}'`);
  const buildId = newBuildIds.get(index.buildId);
  if (buildId === undefined)
    throw new DbError('parameter-invalid', `build ${index.buildId} has no new id in the target segment`);
  return { key: indexKey(place, index.fieldId, buildId), buildId };
}

/** Throws unless sources and targets pair up and every source has something to copy. */
export function checkPairs(sources: readonly CopySource[], targets: readonly CopyTarget[]): void {
  if (sources.length === 0) throw new DbError('parameter-invalid', 'a copy task without segments');
  if (sources.length !== targets.length)
    throw new DbError(
      'parameter-invalid',
      `a copy task of ${sources.length} source and ${targets.length} target segments`,
    );
  for (const { place, files } of sources)
    if (files.length === 0)
      throw new DbError('data-integrity', `segment ${place.segmentId} of the snapshot has no files`);
}
