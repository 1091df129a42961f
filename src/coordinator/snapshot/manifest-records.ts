/**
 * Segments as Avro records, in the order of the schema's fields. By hand: a snapshot may have a hundred thousand of them, and a library
 * believes the counts it reads, so that a crafted file would have it fill the memory.
 */
import type { HybridTime } from '../../model/hybrid-time.ts';
import type { BuildId, FieldId, IndexId, PartitionId, SegmentId } from '../../model/ids.ts';
import type { FileKind, SegmentFile, SegmentIndex, SegmentLevel } from '../../model/records.ts';
import { isKey } from '../../storage/object-store.ts';
import type { AvroCursor, AvroWriter } from './avro-bytes.ts';
import type { SnapshotSegment } from './segment.ts';

/** Avro enums: the order is the format. */
export const fileKinds: readonly FileKind[] = ['rows', 'stats', 'deletes', 'index'];
export const levels: readonly SegmentLevel[] = ['L0', 'L1'];

/** The records one after another. */
export function writeSegments(to: AvroWriter, segments: readonly SnapshotSegment[]): void {
  for (const segment of segments) writeSegment(to, segment);
}

function writeSegment(to: AvroWriter, segment: SnapshotSegment): void {
  to.long(segment.segmentId);
  to.long(segment.partitionId);
  to.text(segment.channel);
  to.count(levels.indexOf(segment.level));
  to.count(segment.rowCount);
  to.long(segment.minTs);
  to.long(segment.maxTs);
  to.array(segment.files, (file) => writeFile(to, file));
  to.array(segment.indexes, (index) => writeIndex(to, index));
}

function writeIndex(to: AvroWriter, { indexId, buildId, fieldId, kind, file }: SegmentIndex): void {
  to.long(indexId);
  to.long(buildId);
  to.count(fieldId);
  to.text(kind);
  writeFile(to, file);
}

function writeFile(to: AvroWriter, { kind, key, sizeBytes, crc32, etag }: SegmentFile): void {
  to.count(fileKinds.indexOf(kind));
  to.text(key);
  to.count(sizeBytes);
  to.count(crc32);
  to.text(etag);
}

/** Throws an Error for what `encodeSegments` does not write. Takes no more memory than the bytes it reads. */
export function readSegment(cursor: AvroCursor): SnapshotSegment {
  const segmentId = cursor.int64();
  if (segmentId <= 0n) throw new Error(`segment id ${segmentId}`);
  return {
    segmentId: segmentId as SegmentId,
    partitionId: cursor.int64() as PartitionId,
    channel: cursor.text(),
    level: oneOf(levels, cursor),
    rowCount: count(cursor, 'row count'),
    minTs: cursor.int64() as HybridTime,
    maxTs: cursor.int64() as HybridTime,
    files: list(cursor, readFile),
    indexes: list(cursor, readIndex),
  };
}

function readFile(cursor: AvroCursor): SegmentFile {
  const kind = oneOf(fileKinds, cursor);
  const key = cursor.text();
  if (!isKey(key)) throw new Error(`'${key}' is no object key`);
  return {
    kind,
    key,
    sizeBytes: count(cursor, 'size'),
    crc32: count(cursor, 'checksum', 0xffff_ffff),
    etag: cursor.text(),
  };
}

const readIndex = (cursor: AvroCursor): SegmentIndex => ({
  indexId: cursor.int64() as IndexId,
  buildId: cursor.int64() as BuildId,
  fieldId: count(cursor, 'field id', 0x7fff_ffff) as FieldId,
  kind: cursor.text(),
  file: readFile(cursor),
});

/** Blocks of items up to an empty one. Every item takes bytes, so a count that lies ends with the bytes. */
function list<T>(cursor: AvroCursor, read: (cursor: AvroCursor) => T): readonly T[] {
  const items: T[] = [];
  for (let left = count(cursor, 'list'); left > 0; left = count(cursor, 'list'))
    for (; left > 0; left--) items.push(read(cursor));
  return items;
}

function count(cursor: AvroCursor, what: string, limit = Number.MAX_SAFE_INTEGER): number {
  const value = cursor.long();
  if (value < 0 || value > limit) throw new Error(`${what} ${value}`);
  return value;
}

function oneOf<T>(symbols: readonly T[], cursor: AvroCursor): T {
  const at = cursor.long();
  const symbol = symbols[at];
  if (symbol === undefined) throw new Error(`symbol ${at}`);
  return symbol;
}
