/** Reads what `parquet-writer.ts` writes, by ranges; everything is checked, any bytes give a file or `data-integrity`. */
import { type FileMetaData, parquetMetadata } from 'hyparquet';
import { deserializeTCompactProtocol } from 'hyparquet/src/thrift.js';
import { DbError } from '../errors/db-error.ts';
import { vectorWidth } from '../model/columns.ts';
import { type DataType, type FieldSchema, isDenseVector } from '../model/schema.ts';
import { parseJson } from '../support/json.ts';
import { type ColumnType, dataTypes, elementTypes, hasDim, isListType, leafOf } from './column-schema.ts';
import { damaged } from './damage.ts';
import { DESCRIPTION_KEY, type FileContent, MAX_PAGE_BYTES, VERSION } from './parquet-writer.ts';
import { checkThrift } from './thrift-check.ts';

/** Far above the footer of the widest collection. */
const MAX_FOOTER_BYTES = 1 << 20;
const DATA_PAGE_V2 = 3;
const PLAIN = 0;

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
  checkThrift(tail.subarray(tail.length - footerBytes, tail.length - 8));
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
    const isRight = isListType(dataType)
      ? entryCount >= rowCount && nullCount <= rowCount && entryCount <= nullCount + length * 8
      : entryCount === rowCount;
    if (!isRight || (isDenseVector(dataType) && rowCount * vectorWidth(dataType, dim) > MAX_PAGE_BYTES))
      throw damaged(`counts of column '${name}'`);
  }
}

function sizeOf(value: bigint | undefined): number {
  const size = Number(value);
  if (typeof value !== 'bigint' || !Number.isSafeInteger(size) || size < 0) throw damaged('a size');
  return size;
}

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
    isType(dataTypes, dataType) &&
    (isListType(dataType) ? isType(elementTypes[dataType], elementType) : elementType === undefined) &&
    (hasDim({ dataType, elementType: elementType as FieldSchema['elementType'] })
      ? Number.isSafeInteger(dim) && (dim as number) > 0
      : dim === undefined);
  if (!isRight) throw damaged('a column is described wrongly');
  return {
    name: name as string,
    fieldId: fieldId as number | undefined,
    dataType: dataType as DataType,
    elementType: elementType as FieldSchema['elementType'],
    dim: dim as number | undefined,
    isOptional: isOptional as boolean,
  };
}

const isType = <T>(types: ReadonlySet<T>, given: unknown): given is T => types.has(given as T);

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
  checkThrift(bytes);
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
