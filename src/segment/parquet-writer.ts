/**
 * Parquet files as we write them: one row group, one uncompressed page per column, values starting at multiples of 8. Footer and
 * page headers are made and parsed by hyparquet; the values never pass through it. Layout in docs/formats.md, "Segment files".
 */
import type { FileMetaData } from 'hyparquet';
import { ByteWriter } from 'hyparquet-writer';
import { writePageHeader } from 'hyparquet-writer/src/datapage.js';
import { writeMetadata } from 'hyparquet-writer/src/metadata.js';
import { DbError } from '../errors/db-error.ts';
import { type ColumnType, elementsOf, leafOf, pathOf } from './column-schema.ts';
import type { PageBody } from './encode-column.ts';

const MAGIC = 0x3152_4150; // "PAR1"
/** Values begin at multiples of this. */
export const ALIGNMENT = 8;
/** The first column of every file: the hybrid timestamp of the write. */
export const TIMESTAMP_NAME = '$ts';
/** Of the description in the footer. */
export const VERSION = 1;
/** Key of the description in the footer's metadata. */
export const DESCRIPTION_KEY = 'tidemark';
/** The bound of Parquet's page sizes. */
export const MAX_PAGE_BYTES = 2 ** 31 - 1;

export type FileContent = 'rows' | 'deletes';

export interface ColumnToWrite extends ColumnType {
  readonly name: string;
  readonly fieldId?: number | undefined;
  readonly isOptional: boolean;
  readonly body: PageBody;
}

interface PlacedColumn {
  readonly column: ColumnToWrite;
  readonly header: Uint8Array;
  readonly offset: number;
  readonly length: number;
}

/** The bytes of a file. Same columns, same bytes. Throws `parameter-too-large` when a column is beyond Parquet's page size. */
export function encodeFile(
  content: FileContent,
  rowCount: number,
  columns: readonly ColumnToWrite[],
): Uint8Array<ArrayBuffer> {
  let offset = 4;
  const placed = columns.map((column): PlacedColumn => {
    const { body } = column;
    const header = encodePageHeader(column, rowCount);
    const before = header.length + body.repetition.length + body.definition.length;
    offset += (ALIGNMENT - ((offset + before) % ALIGNMENT)) % ALIGNMENT;
    const at = offset;
    offset += before + body.valueBytes;
    return { column, header, offset: at, length: offset - at };
  });
  const footer = encodeFooter(content, rowCount, placed);
  const bytes = new Uint8Array(offset + footer.length + 4);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, MAGIC, true);
  for (const { column, header, offset: at, length } of placed) {
    let position = at;
    for (const piece of [header, column.body.repetition, column.body.definition]) {
      bytes.set(piece, position);
      position += piece.length;
    }
    column.body.write(bytes.subarray(position, at + length));
  }
  bytes.set(footer, offset);
  view.setUint32(bytes.length - 4, MAGIC, true);
  return bytes;
}

function encodePageHeader({ name, body }: ColumnToWrite, rowCount: number): Uint8Array {
  const pageBytes = body.repetition.length + body.definition.length + body.valueBytes;
  if (pageBytes > MAX_PAGE_BYTES)
    throw new DbError('parameter-too-large', `column '${name}' has ${pageBytes} bytes in one segment`);
  const writer = new ByteWriter();
  writePageHeader(writer, {
    type: 'DATA_PAGE_V2',
    uncompressed_page_size: pageBytes,
    compressed_page_size: pageBytes,
    data_page_header_v2: {
      num_values: body.entryCount,
      num_nulls: body.nullCount,
      num_rows: rowCount,
      encoding: 'PLAIN',
      definition_levels_byte_length: body.definition.length,
      repetition_levels_byte_length: body.repetition.length,
      is_compressed: false,
    },
  });
  return writer.getBytes();
}

function encodeFooter(content: FileContent, rowCount: number, placed: readonly PlacedColumn[]): Uint8Array {
  const total = BigInt(placed.reduce((sum, { length }) => sum + length, 0));
  const description = {
    format: content,
    version: VERSION,
    columns: placed.map(({ column: { name, fieldId, dataType, elementType, dim, isOptional } }) => ({
      name,
      fieldId,
      dataType,
      elementType,
      dim,
      isOptional,
    })),
  };
  const metadata: FileMetaData = {
    version: 2,
    created_by: 'tidemark',
    schema: [
      { name: 'schema', num_children: placed.length },
      ...placed.flatMap(({ column }) => elementsOf(column)),
    ],
    num_rows: BigInt(rowCount),
    row_groups: [
      {
        columns: placed.map((chunk) => columnChunk(chunk)),
        total_byte_size: total,
        num_rows: BigInt(rowCount),
        total_compressed_size: total,
      },
    ],
    key_value_metadata: [{ key: DESCRIPTION_KEY, value: JSON.stringify(description) }],
    metadata_length: 0,
  };
  const writer = new ByteWriter();
  writeMetadata(writer, metadata);
  return writer.getBytes();
}

function columnChunk({ column, offset, length }: PlacedColumn) {
  const { type } = leafOf(column);
  return {
    file_offset: BigInt(offset),
    meta_data: {
      type: type ?? 'BYTE_ARRAY',
      encodings: ['PLAIN' as const, 'RLE' as const],
      path_in_schema: pathOf(column),
      codec: 'UNCOMPRESSED' as const,
      num_values: BigInt(column.body.entryCount),
      total_uncompressed_size: BigInt(length),
      total_compressed_size: BigInt(length),
      data_page_offset: BigInt(offset),
      statistics: { null_count: BigInt(column.body.nullCount) },
    },
  };
}
