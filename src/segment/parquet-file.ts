/**
 * Parquet files as we write them: one row group, one uncompressed page per column, values starting at multiples of 8. Footer and
 * page headers are made and parsed by hyparquet; the values never pass through it. Layout in docs/formats.md, "Segment files".
 */
import { type FileMetaData, parquetMetadata } from 'hyparquet';
import { deserializeTCompactProtocol } from 'hyparquet/src/thrift.js';
import { ByteWriter } from 'hyparquet-writer';
import { writePageHeader } from 'hyparquet-writer/src/datapage.js';
import { writeMetadata } from 'hyparquet-writer/src/metadata.js';
import { DbError } from '../errors/db-error.ts';
import type { DataType, ElementType } from '../model/schema.ts';
import { parseJson } from '../support/json.ts';
import { type ColumnType, elementsOf, leafOf, pathOf } from './column-schema.ts';
import { damaged } from './damage.ts';
import type { PageBody } from './encode-column.ts';

const MAGIC = 0x3152_4150; // "PAR1"
/** Values begin at multiples of this. */
export const ALIGNMENT = 8;
/** The first column of every file: the hybrid timestamp of the write. */
export const TIMESTAMP_NAME = '$ts';
const VERSION = 1;
const DESCRIPTION_KEY = 'tidemark';
/** The bound of Parquet's page sizes. */
const MAX_PAGE_BYTES = 2 ** 31 - 1;
/** Far above the footer of the widest collection. */
const MAX_FOOTER_BYTES = 1 << 20;
const DATA_PAGE_V2 = 3;
const PLAIN = 0;

export type FileContent = 'rows' | 'deletes';

export interface ColumnToWrite extends ColumnType {
  readonly name: string;
  readonly fieldId?: number | undefined;
  readonly isOptional: boolean;
  readonly body: PageBody;
}

/** Where a column stands in a file. */
export interface StoredColumn extends ColumnType {
  readonly name: string;
  readonly fieldId?: number | undefined;
  readonly isOptional: boolean;
  readonly rowCount: number;
  /** Of the page header; levels and values follow. */
  readonly offset: number;
  readonly length: number;
  readonly entryCount: number;
  readonly nullCount: number;
}

export interface StoredFile {
  readonly rowCount: number;
  readonly columns: readonly StoredColumn[];
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

/** A file, or part of one, that is read by ranges. */
export interface RangedReader {
  readonly sizeBytes: number;
  /** Exactly `length` bytes, in a buffer that is the caller's. */
  read(offset: number, length: number): Promise<Uint8Array<ArrayBuffer>>;
}

/** A reader over bytes in memory. */
export const bytesReader = (bytes: Uint8Array): RangedReader => ({
  sizeBytes: bytes.length,
  read: (offset, length) => Promise.resolve(new Uint8Array(bytes.subarray(offset, offset + length))),
});

/** Read at once from the end of a file: the footer is in it but for the widest collections. */
const TAIL_BYTES = 32_768;

/** Reads and checks the footer. Throws `data-integrity`. */
export async function readFooter(reader: RangedReader, content: FileContent): Promise<StoredFile> {
  const { sizeBytes } = reader;
  if (sizeBytes < 12) throw damaged('too short');
  const tailBytes = Math.min(TAIL_BYTES, sizeBytes);
  let tail = await reader.read(sizeBytes - tailBytes, tailBytes);
  const footerBytes = new DataView(tail.buffer, tail.byteOffset).getUint32(tailBytes - 8, true) + 8;
  if (footerBytes > sizeBytes || footerBytes > MAX_FOOTER_BYTES) throw damaged('footer length');
  if (footerBytes > tailBytes) tail = await reader.read(sizeBytes - footerBytes, footerBytes);
  try {
    return parseFooter(parquetMetadata(tail, { geoparquet: false }), content, sizeBytes - footerBytes);
  } catch (error) {
    if (error instanceof DbError) throw error;
    throw damaged('footer cannot be read', error);
  }
}

function parseFooter(metadata: FileMetaData, content: FileContent, dataBytes: number): StoredFile {
  const [group, ...others] = metadata.row_groups;
  if (group === undefined || others.length > 0) throw damaged('not one row group');
  const text = metadata.key_value_metadata?.find(({ key }) => key === DESCRIPTION_KEY)?.value;
  const described = checkDescription(parseJson(text ?? 'null'), content);
  if (described.length !== group.columns.length) throw damaged('columns differ from their description');
  const rowCount = sizeOf(metadata.num_rows);
  const columns = described.map((column, index): StoredColumn => {
    const chunk = group.columns[index]?.meta_data;
    const type = leafOf(column).type;
    if (chunk === undefined || chunk.codec !== 'UNCOMPRESSED' || chunk.type !== type)
      throw damaged(`column '${column.name}' is not as described`);
    const place = {
      offset: sizeOf(chunk.data_page_offset),
      length: sizeOf(chunk.total_compressed_size),
      entryCount: sizeOf(chunk.num_values),
      nullCount: sizeOf(chunk.statistics?.null_count),
    };
    if (place.offset < 4 || place.offset + place.length > dataBytes || place.nullCount > place.entryCount)
      throw damaged(`column '${column.name}' is out of bounds`);
    return { ...column, ...place, rowCount };
  });
  checkCounts(rowCount, columns);
  return { rowCount, columns };
}

/** Counts that cannot be true are found here, so that nobody allocates by them: every row has eight bytes of timestamp. */
function checkCounts(rowCount: number, columns: readonly StoredColumn[]): void {
  const [ts] = columns;
  if (ts?.dataType !== 'Int64' || ts.fieldId !== undefined || ts.isOptional || ts.length < rowCount * 8)
    throw damaged('no timestamps');
  for (const { name, dataType, dim = 0, entryCount, nullCount, length } of columns) {
    const isRight =
      dataType === 'Array'
        ? entryCount >= rowCount && nullCount <= rowCount && entryCount <= nullCount + length * 8
        : entryCount === rowCount;
    if (!isRight || rowCount * dim > MAX_PAGE_BYTES) throw damaged(`counts of column '${name}'`);
  }
}

function sizeOf(value: bigint | undefined): number {
  const size = Number(value);
  if (typeof value !== 'bigint' || !Number.isSafeInteger(size) || size < 0) throw damaged('a size');
  return size;
}

const dataTypes: ReadonlySet<unknown> = new Set<DataType>([
  'Bool',
  'Int8',
  'Int16',
  'Int32',
  'Int64',
  'Float',
  'Double',
  'VarChar',
  'JSON',
  'Array',
  'FloatVector',
]);
const elementTypes: ReadonlySet<unknown> = new Set(
  [...dataTypes].filter((type) => type !== 'JSON' && type !== 'Array' && type !== 'FloatVector'),
);

type Described = ColumnType & Pick<StoredColumn, 'name' | 'fieldId' | 'isOptional'>;

function checkDescription(value: unknown, content: FileContent): readonly Described[] {
  const { format, version, columns } = (value ?? {}) as Record<string, unknown>;
  if (format !== content) throw damaged(`no file of ${content}`);
  if (version !== VERSION) throw damaged(`unknown version ${version}; please upgrade`);
  if (!Array.isArray(columns)) throw damaged('no columns');
  return columns.map((column) => checkColumn((column ?? {}) as Record<string, unknown>));
}

function checkColumn({
  name,
  fieldId,
  dataType,
  elementType,
  dim,
  isOptional,
}: Record<string, unknown>): Described {
  const isRight =
    typeof name === 'string' &&
    typeof isOptional === 'boolean' &&
    (fieldId === undefined || Number.isSafeInteger(fieldId)) &&
    dataTypes.has(dataType) &&
    (dataType === 'Array') === elementTypes.has(elementType) &&
    (dataType === 'FloatVector' ? Number.isSafeInteger(dim) && (dim as number) > 0 : dim === undefined);
  if (!isRight) throw damaged('a column is described wrongly');
  return {
    name: name as string,
    fieldId: fieldId as number | undefined,
    dataType: dataType as DataType,
    elementType: elementType as ElementType | undefined,
    dim: dim as number | undefined,
    isOptional: isOptional as boolean,
  };
}

export interface StoredPage {
  readonly repetition: Uint8Array;
  readonly definition: Uint8Array;
  /** Where the values begin in `bytes`. */
  readonly valuesAt: number;
}

/** Parses the page of a column; `bytes` holds at least its header and levels. Throws `data-integrity`. */
export function decodePage(column: StoredColumn, bytes: Uint8Array): StoredPage {
  const reader = { view: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), offset: 0 };
  const wrong = (cause?: unknown) => damaged(`page of column '${column.name}'`, cause);
  let header: Record<string, unknown>;
  try {
    header = deserializeTCompactProtocol(reader);
  } catch (error) {
    throw wrong(error);
  }
  const page = (header['field_8'] ?? {}) as Record<string, unknown>;
  const repetitionBytes = page['field_6'];
  const definitionBytes = page['field_5'];
  const isRight =
    header['field_1'] === DATA_PAGE_V2 &&
    header['field_3'] === column.length - reader.offset &&
    page['field_1'] === column.entryCount &&
    page['field_2'] === column.nullCount &&
    page['field_3'] === column.rowCount &&
    page['field_4'] === PLAIN &&
    page['field_7'] === false &&
    isSize(repetitionBytes) &&
    isSize(definitionBytes);
  if (!isRight) throw wrong();
  const definitionAt = reader.offset + repetitionBytes;
  const valuesAt = definitionAt + definitionBytes;
  if (valuesAt > bytes.length) throw wrong();
  return {
    repetition: bytes.subarray(reader.offset, definitionAt),
    definition: bytes.subarray(definitionAt, valuesAt),
    valuesAt,
  };
}

const isSize = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
