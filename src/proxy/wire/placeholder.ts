/** `common.PlaceholderGroup`: what a search looks for. */
import { isUtf8 } from 'node:buffer';
import { vectorArrays, vectorBytes } from '../../model/columns.ts';
import type { BytesColumn, QueryColumn, VectorColumn } from '../../model/rows.ts';
import { type DataType, type FieldSchema, isDenseVector, type VectorType } from '../../model/schema.ts';
import { invalid, requireNumbers } from './checks.ts';
import { dataTypeName, dataTypeToWire } from './enums.ts';
import { WireReader } from './reader.ts';
import { sortedSparse } from './sparse.ts';

/** Queries of one search, as in Milvus. */
export const MAX_QUERIES = 16_384;

/** What the values are. An embedding list is several vectors in one value. */
export type PlaceholderType =
  | { readonly kind: 'vector'; readonly type: VectorType | 'SparseFloatVector' }
  | { readonly kind: 'list'; readonly type: VectorType }
  /** Text, for a field that a function writes; Int64: keys. */
  | { readonly kind: 'scalar'; readonly type: 'VarChar' | 'Int64' };

export interface Placeholders {
  readonly type: PlaceholderType;
  /** One per query, as sent. */
  readonly values: readonly Uint8Array[];
  /** Each vector of a list field is searched by itself. */
  readonly isElementLevel: boolean;
}

const EMBEDDING_LISTS = 200;
const vectorTypes: readonly (VectorType | 'SparseFloatVector')[] = [
  'BinaryVector',
  'FloatVector',
  'Float16Vector',
  'BFloat16Vector',
  'SparseFloatVector',
  'Int8Vector',
];
const placeholderTypes: ReadonlyMap<number, PlaceholderType> = new Map<number, PlaceholderType>([
  ...vectorTypes.map((type) => [dataTypeToWire[type], { kind: 'vector', type } as const] as const),
  ...vectorTypes
    .filter(isDenseVector)
    .map((type) => [dataTypeToWire[type] + EMBEDDING_LISTS, { kind: 'list', type } as const] as const),
  ...(['VarChar', 'Int64'] as const).map(
    (type) => [dataTypeToWire[type], { kind: 'scalar', type } as const] as const,
  ),
]);

/** Throws `parameter-invalid` for none, too many, and a type that Milvus does not have. */
export function decodePlaceholders(bytes: Uint8Array): Placeholders {
  const reader = new WireReader(bytes);
  const values: Uint8Array[] = [];
  let found: Omit<Placeholders, 'values'> | undefined;
  while (reader.next()) {
    if (reader.field !== 1) {
      reader.skip();
      continue;
    }
    const outer = reader.enter();
    const next = readPlaceholder(reader, values);
    reader.leave(outer);
    if (found !== undefined && found.type !== next.type)
      throw invalid('the placeholders of a search are of one type');
    found = next;
  }
  if (found === undefined || values.length === 0)
    throw invalid('nq [0] is invalid: the search has no query vectors');
  return { ...found, values };
}

function readPlaceholder(reader: WireReader, values: Uint8Array[]): Omit<Placeholders, 'values'> {
  let wire = 0;
  let isElementLevel = false;
  while (reader.next()) {
    if (reader.field === 2) wire = reader.number();
    else if (reader.field === 3) {
      values.push(reader.view());
      if (values.length > MAX_QUERIES) throw invalid(`nq should be in range [1, ${MAX_QUERIES}]`);
    } else if (reader.field === 4) isElementLevel = reader.number() !== 0;
    else reader.skip();
  }
  const type = placeholderTypes.get(wire);
  if (type === undefined) throw invalid(`placeholders of ${dataTypeName(wire)} cannot be searched for`);
  return { type, isElementLevel };
}

/** The queries for a vector field. Throws `parameter-invalid` for vectors of another type or dimension, or with a NaN. */
export function queriesFor(field: FieldSchema, { type, values, isElementLevel }: Placeholders): QueryColumn {
  const { dataType, elementType, dim = 0 } = field;
  if (type.kind === 'scalar') throw mismatch(field, type.type);
  if (type.type === 'SparseFloatVector') {
    if (dataType !== 'SparseFloatVector') throw mismatch(field, type.type);
    return sparseQueries(field, values);
  }
  const wanted: DataType | undefined = dataType === 'ArrayOfVector' ? elementType : dataType;
  if (type.type !== wanted) throw mismatch(field, type.type);
  if (dataType !== 'ArrayOfVector') {
    if (type.kind === 'list') throw invalid(`field ${field.name} holds no embedding lists`);
    return denseQueries(field, type.type, dim, values);
  }
  if (type.kind === 'vector') return denseQueries(field, type.type, dim, values);
  if (isElementLevel) throw invalid(`an element-level search of field ${field.name} needs single vectors`);
  return listQueries(field, type.type, dim, values);
}

const mismatch = ({ name, dataType, elementType }: FieldSchema, sent: string) =>
  invalid(
    `vector type must be the same, field ${name} - type ${elementType ?? dataType}, search info type ${sent}`,
  );

function denseQueries(
  field: FieldSchema,
  type: VectorType,
  dim: number,
  values: readonly Uint8Array[],
): VectorColumn {
  const size = vectorBytes(type, dim);
  const wrong = values.find(({ length }) => length !== size);
  if (wrong !== undefined)
    throw invalid(
      `invalid dimension: vector dimension mismatch, expected vector size(byte) ${size} of field ${field.name}, actual ${wrong.length}`,
    );
  return joined(field, type, dim, values);
}

function joined(
  field: FieldSchema,
  type: VectorType,
  dim: number,
  values: readonly Uint8Array[],
): VectorColumn {
  // A copy of its own: the numbers of a request begin anywhere.
  const whole = new Uint8Array(values.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const value of values) {
    whole.set(value, at);
    at += value.length;
  }
  const Values = vectorArrays[type];
  const numbers = new Values(whole.buffer, 0, whole.length / Values.BYTES_PER_ELEMENT);
  requireNumbers(field, type, numbers);
  return { layout: 'vector', type, dim, values: numbers };
}

function sparseQueries(field: FieldSchema, values: readonly Uint8Array[]): BytesColumn {
  const offsets = new Uint32Array(values.length + 1);
  values.forEach(({ length }, i) => {
    offsets[i + 1] = (offsets[i] ?? 0) + length;
  });
  const data = sortedSparse(field.name, offsets, new Uint8Array(Buffer.concat(values)));
  return { layout: 'bytes', type: 'SparseFloatVector', offsets, data };
}

function listQueries(
  field: FieldSchema,
  type: VectorType,
  dim: number,
  values: readonly Uint8Array[],
): QueryColumn {
  const size = vectorBytes(type, dim);
  const wrong = values.find(({ length }) => length === 0 || length % size !== 0);
  if (wrong !== undefined)
    throw invalid(
      `invalid dimension: an embedding list of field ${field.name} holds whole vectors of ${size} bytes, not ${wrong.length} bytes`,
    );
  const offsets = new Uint32Array(values.length + 1);
  values.forEach(({ length }, i) => {
    offsets[i + 1] = (offsets[i] ?? 0) + length / size;
  });
  return { layout: 'list', type: 'ArrayOfVector', offsets, items: joined(field, type, dim, values) };
}

/** The texts, when that is what they are. Throws `parameter-invalid` for what is not UTF-8. */
export function placeholderTexts({ type, values }: Placeholders): readonly string[] | undefined {
  if (type.kind !== 'scalar' || type.type !== 'VarChar') return undefined;
  return values.map((value) => {
    if (!isUtf8(value)) throw invalid('the text to search for is not UTF-8');
    return Buffer.from(value.buffer, value.byteOffset, value.length).toString('utf8');
  });
}
