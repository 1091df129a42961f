/** Every object key is built here, from ids only: no key holds a name that came from outside. */
import type { BuildId, CollectionId, FieldId, PartitionId, SegmentId, SnapshotId } from '../model/ids.ts';

interface Place {
  readonly collectionId: CollectionId;
  readonly partitionId: PartitionId;
  readonly segmentId: SegmentId;
}

/** Everything of a collection's segments lies below this. */
export const collectionSegmentsPrefix = (collectionId: CollectionId): string => `segments/${collectionId}/`;
/** Everything of a segment lies below this. Partition -1 stands for all partitions. */
export const segmentPrefix = ({ collectionId, partitionId, segmentId }: Place): string =>
  `segments/${collectionId}/${partitionId}/${segmentId}/`;

/**
 * `schemaVersion`: of the schema that the rows are written by, when it has been changed. A late attempt of a flush, by an older schema,
 * must not write over what a newer one has written.
 */
export const rowsKey = (place: Place, schemaVersion = 0): string =>
  `${segmentPrefix(place)}rows${schemaVersion === 0 ? '' : `-${schemaVersion}`}.parquet`;
export const statsKey = (place: Place): string => `${segmentPrefix(place)}stats.bin`;
export const deletesKey = (place: Place): string => `${segmentPrefix(place)}deletes.parquet`;
export const indexKey = (place: Place, fieldId: FieldId, buildId: BuildId): string =>
  `${segmentPrefix(place)}index/${fieldId}/${buildId}.index`;

export const snapshotMetadataKey = (collectionId: CollectionId, snapshotId: SnapshotId): string =>
  `snapshots/${collectionId}/metadata/${snapshotId}.json`;
export const snapshotManifestsPrefix = (collectionId: CollectionId, snapshotId: SnapshotId): string =>
  `snapshots/${collectionId}/manifests/${snapshotId}/`;
export const snapshotManifestKey = (collectionId: CollectionId, snapshotId: SnapshotId, n: number): string =>
  `${snapshotManifestsPrefix(collectionId, snapshotId)}${n}.avro`;

/** Says which catalog the store belongs to. */
export const IDENTITY_KEY = 'identity/store.json';
/** Everything that a catalog can own lies below these. */
export const OWNED_PREFIXES = ['segments/', 'snapshots/'] as const;

export type SegmentKey = Place &
  (
    | { readonly kind: 'stats' | 'deletes' }
    | { readonly kind: 'rows'; readonly schemaVersion?: number }
    | { readonly kind: 'index'; readonly fieldId: FieldId; readonly buildId: BuildId }
  );
export type SnapshotKey = { readonly collectionId: CollectionId; readonly snapshotId: SnapshotId } & (
  | { readonly kind: 'snapshot-metadata' }
  | { readonly kind: 'snapshot-manifest'; readonly n: number }
);

/** What a key stands for. `foreign`: none of those above builds it. */
export type ParsedKey =
  | SegmentKey
  | SnapshotKey
  | { readonly kind: 'identity' }
  | { readonly kind: 'foreign' };

const ID = '(0|[1-9]\\d{0,18})';
const SEGMENT_KEY = new RegExp(
  `^segments/${ID}/(-1|${ID})/${ID}/(?:(rows|deletes)(?:(?<=rows)-([1-9]\\d{0,8}))?\\.parquet|(stats)\\.bin|index/(0|[1-9]\\d{0,8})/${ID}\\.index)$`,
);
const METADATA_KEY = new RegExp(`^snapshots/${ID}/metadata/${ID}\\.json$`);
const MANIFEST_KEY = new RegExp(`^snapshots/${ID}/manifests/${ID}/(0|[1-9]\\d{0,8})\\.avro$`);

/** The inverse of the functions above; exact: a key that is only similar is foreign. */
export function parseKey(key: string): ParsedKey {
  if (key === IDENTITY_KEY) return { kind: 'identity' };
  return (key.startsWith('segments/') ? parseSegmentKey(key) : parseSnapshotKey(key)) ?? { kind: 'foreign' };
}

function parseSegmentKey(key: string): SegmentKey | undefined {
  const found = SEGMENT_KEY.exec(key);
  if (found === null) return undefined;
  const [, collectionId = '', partitionId = '', , segmentId = '', parquet, version, ...others] = found;
  const [stats, fieldId, buildId = ''] = others;
  const place = {
    collectionId: BigInt(collectionId) as CollectionId,
    partitionId: BigInt(partitionId) as PartitionId,
    segmentId: BigInt(segmentId) as SegmentId,
  };
  if (parquet === 'rows')
    return { ...place, kind: 'rows', ...(version === undefined ? {} : { schemaVersion: Number(version) }) };
  if (fieldId === undefined) return { ...place, kind: (parquet ?? stats) as 'stats' | 'deletes' };
  return {
    ...place,
    kind: 'index',
    fieldId: Number(fieldId) as FieldId,
    buildId: BigInt(buildId) as BuildId,
  };
}

function parseSnapshotKey(key: string): SnapshotKey | undefined {
  const [, collectionId, snapshotId, n] = METADATA_KEY.exec(key) ?? MANIFEST_KEY.exec(key) ?? [];
  if (collectionId === undefined || snapshotId === undefined) return undefined;
  const ids = {
    collectionId: BigInt(collectionId) as CollectionId,
    snapshotId: BigInt(snapshotId) as SnapshotId,
  };
  return n === undefined
    ? { ...ids, kind: 'snapshot-metadata' }
    : { ...ids, kind: 'snapshot-manifest', n: Number(n) };
}
