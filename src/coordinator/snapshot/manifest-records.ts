/** Segments as Avro records, in the order of the schema's fields. Written by hand: a snapshot may have a hundred thousand of them. */
import type { FileKind, SegmentFile, SegmentIndex, SegmentLevel } from '../../model/records.ts';
import type { AvroWriter } from './avro-bytes.ts';
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
