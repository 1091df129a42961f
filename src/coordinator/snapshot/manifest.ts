/**
 * Byte format of a manifest: an Avro object container file of segments (docs/formats.md, "Snapshot"). Pure. The container's sync
 * marker is the start of the SHA-256 of its records, so the same segments always give the same bytes, and a changed
 * byte is seen before a record is decoded.
 */
import { createHash } from 'node:crypto';
import { DbError, isDbError, messageOf } from '../../errors/db-error.ts';
import { AvroCursor, AvroWriter, writeBytes, writeLong } from './avro-bytes.ts';
import { fileKinds, levels, readSegment, writeSegments } from './manifest-records.ts';
import type { SnapshotSegment } from './segment.ts';

/** Version of manifests and metadata together; both name it. */
export const SNAPSHOT_FORMAT_VERSION = 1;
/** The most segments one manifest may hold; more are refused on both sides. */
export const MAX_SEGMENTS_PER_MANIFEST = 512;

const MAGIC = Buffer.from([0x4f, 0x62, 0x6a, 0x01]);
const SYNC_BYTES = 16;
const VERSION_KEY = 'tidemark.format_version';

const fileSchema = {
  name: 'File',
  type: 'record',
  fields: [
    {
      name: 'kind',
      type: { name: 'FileKind', type: 'enum', symbols: fileKinds },
    },
    { name: 'key', type: 'string' },
    { name: 'size_bytes', type: 'long' },
    { name: 'crc32', type: 'long' },
    { name: 'etag', type: 'string' },
  ],
};
const segmentSchema = {
  name: 'Segment',
  namespace: 'tidemark.snapshot.v1',
  type: 'record',
  fields: [
    { name: 'segment_id', type: 'long' },
    { name: 'partition_id', type: 'long' },
    { name: 'channel', type: 'string' },
    { name: 'level', type: { name: 'Level', type: 'enum', symbols: levels } },
    { name: 'row_count', type: 'long' },
    { name: 'min_ts', type: 'long' },
    { name: 'max_ts', type: 'long' },
    { name: 'files', type: { type: 'array', items: fileSchema } },
    {
      name: 'indexes',
      type: {
        type: 'array',
        items: {
          name: 'Index',
          type: 'record',
          fields: [
            { name: 'index_id', type: 'long' },
            { name: 'build_id', type: 'long' },
            { name: 'field_id', type: 'int' },
            { name: 'kind', type: 'string' },
            { name: 'file', type: 'File' },
          ],
        },
      },
    },
  ],
};
const schemaText = JSON.stringify(segmentSchema);

/** Everything before the sync marker. */
const HEADER = Buffer.concat([
  MAGIC,
  writeLong(3n),
  writeBytes(Buffer.from('avro.codec')),
  writeBytes(Buffer.from('null')),
  writeBytes(Buffer.from('avro.schema')),
  writeBytes(Buffer.from(schemaText)),
  writeBytes(Buffer.from(VERSION_KEY)),
  writeBytes(Buffer.from(String(SNAPSHOT_FORMAT_VERSION))),
  writeLong(0n),
]);
/** Room for what stands before the records; its last two longs are as long as what they count makes them. */
const ROOM_BYTES = HEADER.length + SYNC_BYTES + 20;

/** One block of 1 to `MAX_SEGMENTS_PER_MANIFEST` segments, in the order given. The bytes are those of `to`, until it is used again. */
export function encodeManifest(segments: readonly SnapshotSegment[], to = new AvroWriter()): Uint8Array {
  if (segments.length === 0 || segments.length > MAX_SEGMENTS_PER_MANIFEST)
    throw new DbError('internal', `a manifest of ${segments.length} segments`);
  to.restart(ROOM_BYTES);
  writeSegments(to, segments);
  const records = to.written.subarray(ROOM_BYTES);
  const sync = syncOf(records);
  const first = [HEADER, sync, writeLong(BigInt(segments.length)), writeLong(BigInt(records.length))];
  to.raw(sync);
  const before = Buffer.concat(first);
  const bytes = to.written.subarray(ROOM_BYTES - before.length);
  bytes.set(before);
  return bytes;
}

/** Throws `data-integrity`, naming `what`, for any bytes that `encodeManifest` did not make. */
export function decodeManifest(bytes: Uint8Array, what: string): readonly SnapshotSegment[] {
  try {
    return decode(bytes);
  } catch (error) {
    const prefix = isDbError(error) ? '' : 'not a manifest: ';
    throw new DbError('data-integrity', `${what}: ${prefix}${messageOf(error)}`, { cause: error });
  }
}

function decode(bytes: Uint8Array): readonly SnapshotSegment[] {
  const cursor = new AvroCursor(bytes);
  if (!cursor.take(MAGIC.length).equals(MAGIC)) throw new Error('no Avro container');
  checkHeader(readHeader(cursor));
  const sync = cursor.take(SYNC_BYTES);
  const count = cursor.long();
  if (count < 1 || count > MAX_SEGMENTS_PER_MANIFEST) throw new Error(`${count} segments`);
  const records = cursor.bytes();
  if (!cursor.take(SYNC_BYTES).equals(sync) || !syncOf(records).equals(sync))
    throw new Error('checksum of the records differs');
  if (!cursor.atEnd) throw new Error('bytes after the last block');
  const inside = new AvroCursor(records);
  const segments = Array.from({ length: count }, () => readSegment(inside));
  if (!inside.atEnd) throw new Error('bytes after the last record');
  return segments;
}

function readHeader(cursor: AvroCursor): ReadonlyMap<string, string> {
  const header = new Map<string, string>();
  for (let count = cursor.long(); count !== 0; count = cursor.long()) {
    if (count < 0 || count > 16) throw new Error(`${count} header entries`);
    for (let i = 0; i < count; i++) header.set(cursor.bytes().toString(), cursor.bytes().toString());
  }
  return header;
}

function checkHeader(header: ReadonlyMap<string, string>): void {
  checkVersion(Number(header.get(VERSION_KEY)));
  if (header.get('avro.codec') !== 'null' || header.get('avro.schema') !== schemaText)
    throw new Error('the schema is not that of its version');
}

/** Throws `data-integrity` for a version this program does not read. */
export function checkVersion(version: unknown): void {
  if (typeof version !== 'number' || !Number.isSafeInteger(version) || version < 1)
    throw new Error('no format version');
  if (version > SNAPSHOT_FORMAT_VERSION)
    throw new DbError(
      'data-integrity',
      `snapshot format version ${version} is too new, current supported version: ${SNAPSHOT_FORMAT_VERSION} (please upgrade Tidemark)`,
    );
}

const syncOf = (records: Uint8Array): Buffer =>
  createHash('sha256').update(records).digest().subarray(0, SYNC_BYTES);
