/**
 * The metadata object of a snapshot: JSON, written last, enough by itself to protect every segment and build it names. Pure.
 * Field by field in docs/formats.md, "Snapshot".
 */
import { setImmediate } from 'node:timers/promises';
import { DbError, isDbError, messageOf } from '../../errors/db-error.ts';
import type { AgePause } from '../../model/expiry.ts';
import type { HybridTime } from '../../model/hybrid-time.ts';
import type {
  BuildId,
  CollectionId,
  FieldId,
  IndexId,
  PartitionId,
  SegmentId,
  SnapshotId,
} from '../../model/ids.ts';
import type { ConsistencyLevel, Properties } from '../../model/records.ts';
import type { CollectionSchema } from '../../model/schema.ts';
import { parseJson } from '../../support/json.ts';
import { inSlices, SLICE } from '../../support/slices.ts';
import { scanIds } from './id-scan.ts';
import { JsonReader } from './json-reader.ts';
import { checkVersion, SNAPSHOT_FORMAT_VERSION } from './manifest.ts';
import { schemaFromJson, schemaToJson } from './schema-json.ts';

export interface SnapshotIndex {
  readonly indexId: IndexId;
  readonly fieldId: FieldId;
  readonly name: string;
  readonly params: Properties;
}

export interface ManifestEntry {
  readonly key: string;
  readonly sizeBytes: number;
  readonly crc32: number;
  readonly segmentCount: number;
}

export interface SnapshotMetadata {
  readonly snapshot: {
    readonly snapshotId: SnapshotId;
    readonly collectionId: CollectionId;
    readonly name: string;
    readonly description: string;
    readonly createTs: HybridTime;
  };
  readonly collection: {
    readonly name: string;
    readonly schema: CollectionSchema;
    readonly shardsNum: number;
    readonly channels: readonly string[];
    readonly consistencyLevel: ConsistencyLevel;
    readonly properties: Properties;
    /** Absent: none. */
    readonly agePauses?: readonly AgePause[];
  };
  readonly partitions: readonly { readonly partitionId: PartitionId; readonly name: string }[];
  readonly indexes: readonly SnapshotIndex[];
  /** In manifest order, over all manifests: target ids are computed from the position. */
  readonly segmentIds: readonly SegmentId[];
  readonly buildIds: readonly BuildId[];
  readonly manifests: readonly ManifestEntry[];
}

const consistencyLevels = Object.keys({
  Strong: 0,
  Session: 0,
  Bounded: 0,
  Eventually: 0,
  Customized: 0,
} satisfies Record<ConsistencyLevel, 0>) as ConsistencyLevel[];

/** The lists of ids, which grow with the snapshot, are written in slices. */
export async function encodeMetadata(metadata: SnapshotMetadata): Promise<Uint8Array> {
  const head = JSON.stringify(headOf(metadata));
  return Buffer.concat([
    Buffer.from(`${head.slice(0, -1)},"segment_ids":[`),
    ...(await idsToJson(metadata.segmentIds)),
    Buffer.from('],"build_ids":['),
    ...(await idsToJson(metadata.buildIds)),
    Buffer.from(']}'),
  ]);
}

/** Ids are decimal digits: nothing in them needs escaping. */
async function idsToJson(ids: readonly bigint[]): Promise<readonly Uint8Array[]> {
  const parts: Uint8Array[] = [];
  for (let at = 0; at < ids.length; at += SLICE) {
    if (at > 0) await setImmediate();
    const text = `"${ids.slice(at, at + SLICE).join('","')}"`;
    parts.push(Buffer.from(at === 0 ? text : `,${text}`));
  }
  return parts;
}

function headOf(metadata: SnapshotMetadata) {
  const { snapshot, collection, partitions, indexes, manifests } = metadata;
  return {
    format_version: SNAPSHOT_FORMAT_VERSION,
    snapshot: {
      id: String(snapshot.snapshotId),
      collection_id: String(snapshot.collectionId),
      name: snapshot.name,
      description: snapshot.description,
      create_ts: String(snapshot.createTs),
    },
    collection: {
      name: collection.name,
      schema: schemaToJson(collection.schema),
      shards_num: collection.shardsNum,
      channels: collection.channels,
      consistency_level: collection.consistencyLevel,
      properties: collection.properties,
      age_pauses: collection.agePauses?.map(({ upTo, ms }) => ({ up_to: String(upTo), ms })),
    },
    partitions: partitions.map(({ partitionId, name }) => ({ id: String(partitionId), name })),
    indexes: indexes.map(({ indexId, fieldId, name, params }) => ({
      id: String(indexId),
      field_id: fieldId,
      name,
      params,
    })),
    manifest_list: manifests.map(({ key, sizeBytes, crc32, segmentCount }) => ({
      key,
      size_bytes: sizeBytes,
      crc32,
      segment_count: segmentCount,
    })),
  };
}

/** Throws `data-integrity`, naming `what`. Fields it does not know are ignored. */
export function decodeMetadata(bytes: Uint8Array, what: string): SnapshotMetadata {
  try {
    const metadata = parse(textOf(bytes));
    if (new Set(metadata.segmentIds).size !== metadata.segmentIds.length) throw listedTwice();
    return metadata;
  } catch (error) {
    throw invalid(error, what);
  }
}

/** As `decodeMetadata`, with the same answer to any bytes, in slices when they are as `encodeMetadata` writes them. */
export async function decodeMetadataInSlices(bytes: Uint8Array, what: string): Promise<SnapshotMetadata> {
  let metadata: SnapshotMetadata | undefined;
  try {
    const text = textOf(bytes);
    const split = await splitOff(text);
    if (split !== undefined) metadata = parse(split.head, split);
    if (metadata !== undefined && (await isAscending(metadata.segmentIds))) return metadata;
  } catch {
    // What is wrong is said by the reader that looks at all of it.
  }
  return decodeMetadata(bytes, what);
}

interface IdLists {
  readonly segmentIds: readonly bigint[];
  readonly buildIds: readonly bigint[];
}

const SEGMENT_IDS = ',"segment_ids":[';
const BUILD_IDS = ',"build_ids":[';

/**
 * The lists of ids when they are the last two members. `,"` is not part of any string in JSON (a quote in one follows a backslash), and
 * a member further inside would be closed by more than one brace.
 */
async function splitOff(text: string): Promise<(IdLists & { readonly head: string }) | undefined> {
  const at = text.lastIndexOf(SEGMENT_IDS);
  if (at < 0) return undefined;
  const segments = await scanIds(text, at + SEGMENT_IDS.length);
  if (segments === undefined || !text.startsWith(BUILD_IDS, segments.end)) return undefined;
  const builds = await scanIds(text, segments.end + BUILD_IDS.length);
  if (builds === undefined || builds.end !== text.length - 1 || !text.endsWith('}')) return undefined;
  return { head: `${text.slice(0, at)}}`, segmentIds: segments.ids, buildIds: builds.ids };
}

async function isAscending(ids: readonly bigint[]): Promise<boolean> {
  let isSo = true;
  await inSlices(ids, (id, i) => {
    isSo &&= i === 0 || (ids[i - 1] ?? id) < id;
  });
  return isSo;
}

const textOf = (bytes: Uint8Array): string => new TextDecoder('utf-8', { fatal: true }).decode(bytes);

function parse(text: string, lists?: IdLists): SnapshotMetadata {
  const json = new JsonReader(parseJson(text), '$');
  checkVersion(json.field('format_version').count());
  return consistent(read(json, lists));
}

const listedTwice = (): Error => new Error('a segment is listed twice');

function invalid(error: unknown, what: string): DbError {
  const prefix = isDbError(error) ? '' : 'invalid snapshot metadata: ';
  return new DbError('data-integrity', `${what}: ${prefix}${messageOf(error)}`, { cause: error });
}

function read(json: JsonReader, lists: IdLists = listsOf(json)): SnapshotMetadata {
  const [snapshot, collection] = [json.field('snapshot'), json.field('collection')];
  return {
    snapshot: {
      snapshotId: snapshot.field('id').int64<SnapshotId>(),
      collectionId: snapshot.field('collection_id').int64<CollectionId>(),
      name: snapshot.field('name').text(),
      description: snapshot.field('description').text(),
      createTs: snapshot.field('create_ts').int64<HybridTime>(),
    },
    collection: {
      name: collection.field('name').text(),
      schema: schemaFromJson(collection.field('schema')),
      shardsNum: collection.field('shards_num').count(),
      channels: texts(collection.field('channels')),
      consistencyLevel: collection.field('consistency_level').oneOf(consistencyLevels),
      properties: collection.field('properties').map(),
      ...agePausesFrom(collection.field('age_pauses')),
    },
    partitions: json
      .field('partitions')
      .list()
      .map((at) => ({ partitionId: at.field('id').int64<PartitionId>(), name: at.field('name').text() })),
    indexes: json
      .field('indexes')
      .list()
      .map((at) => ({
        indexId: at.field('id').int64<IndexId>(),
        fieldId: at.field('field_id').count() as FieldId,
        name: at.field('name').text(),
        params: at.field('params').map(),
      })),
    segmentIds: lists.segmentIds as readonly SegmentId[],
    buildIds: lists.buildIds as readonly BuildId[],
    manifests: json
      .field('manifest_list')
      .list()
      .map((at) => ({
        key: at.field('key').text(),
        sizeBytes: at.field('size_bytes').count(),
        crc32: at.field('crc32').count(),
        segmentCount: at.field('segment_count').count(),
      })),
  };
}

const listsOf = (json: JsonReader): IdLists => ({
  segmentIds: json
    .field('segment_ids')
    .list()
    .map((at) => at.int64<SegmentId>()),
  buildIds: json
    .field('build_ids')
    .list()
    .map((at) => at.int64<BuildId>()),
});

const texts = (json: JsonReader): readonly string[] => json.list().map((at) => at.text());

function consistent(metadata: SnapshotMetadata): SnapshotMetadata {
  const { segmentIds, manifests, collection } = metadata;
  const listed = manifests.reduce((sum, { segmentCount }) => sum + segmentCount, 0);
  if (listed !== segmentIds.length)
    throw new Error(`manifests list ${listed} segments, segment_ids ${segmentIds.length}`);
  if (collection.channels.length !== collection.shardsNum) throw new Error('channels are not one per shard');
  return metadata;
}

const agePausesFrom = (json: JsonReader): { readonly agePauses?: readonly AgePause[] } =>
  json.isAbsent
    ? {}
    : {
        agePauses: json
          .list()
          .map((each) => ({ upTo: each.field('up_to').int64<HybridTime>(), ms: each.field('ms').count() })),
      };
