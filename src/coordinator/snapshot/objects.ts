import type { CollectionId } from '../../model/ids.ts';
import type { SegmentFile } from '../../model/records.ts';
import { segmentPrefix } from '../../storage/keys.ts';
import { allFiles, type SnapshotSegment } from './segment.ts';

/**
 * The distinct objects of a snapshot, segment by segment. A segment writes below its own prefix only, so a key may stand in several
 * segments only if in one of them it lies elsewhere: `shared` are those keys, none in any snapshot we make. Only they are remembered;
 * when they are not known yet, one run over all segments finds them.
 */
export class DistinctObjects {
  readonly #collectionId: CollectionId;
  readonly #shared: ReadonlySet<string>;
  readonly #seen = new Set<string>();
  /** Keys seen that do not lie below their segment's prefix. */
  readonly elsewhere = new Set<string>();

  constructor(collectionId: CollectionId, shared: ReadonlySet<string>) {
    this.#collectionId = collectionId;
    this.#shared = shared;
  }

  /** Whether the run has found more than `shared`: then it has counted wrong, and is to be repeated with `elsewhere`. */
  get isWrong(): boolean {
    return this.elsewhere.size !== this.#shared.size;
  }

  /** Those of the segment's files that were not seen before. */
  of(segment: SnapshotSegment): readonly SegmentFile[] {
    const { partitionId, segmentId } = segment;
    const prefix = segmentPrefix({ collectionId: this.#collectionId, partitionId, segmentId });
    const own = new Set<string>();
    return allFiles(segment).filter(({ key }) => {
      if (!key.startsWith(prefix)) this.elsewhere.add(key);
      const seen = this.#shared.has(key) ? this.#seen : own;
      const isNew = !seen.has(key);
      seen.add(key);
      return isNew;
    });
  }
}
