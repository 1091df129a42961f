/** `common.PlaceholderGroup`: the query vectors of a search. */
import { DbError } from '../../errors/db-error.ts';
import { dataTypeName, dataTypeToWire } from './enums.ts';
import { WireReader } from './reader.ts';

export interface QueryVectors {
  readonly values: Float32Array;
  readonly count: number;
}

const invalid = (message: string): DbError => new DbError('parameter-invalid', message);

/** Vectors of one search, as in Milvus. */
export const MAX_QUERIES = 16_384;

/** Float vectors of `dim` dimensions. Throws `parameter-invalid` for anything else, `unimplemented` for other types. */
export function decodeQueryVectors(bytes: Uint8Array, field: string, dim: number): QueryVectors {
  const vectors: Uint8Array[] = [];
  const reader = new WireReader(bytes);
  while (reader.next()) {
    if (reader.field === 1) {
      const outer = reader.enter();
      readPlaceholder(reader, vectors);
      reader.leave(outer);
    } else reader.skip();
  }
  if (vectors.length === 0) throw invalid('nq [0] is invalid: the search has no query vectors');
  const wrong = vectors.find(({ length }) => length !== dim * 4);
  if (wrong !== undefined)
    throw invalid(
      `invalid dimension: vector dimension mismatch, expected vector size(byte) ${dim * 4} of field ${field}, actual ${wrong.length}`,
    );
  const values = new Float32Array(vectors.length * dim);
  const target = new Uint8Array(values.buffer);
  vectors.forEach((vector, row) => {
    target.set(vector, row * dim * 4);
  });
  for (const value of values)
    if (!Number.isFinite(value))
      throw invalid('a query vector holds a value that is not a number or infinity');
  return { values, count: vectors.length };
}

function readPlaceholder(reader: WireReader, vectors: Uint8Array[]): void {
  let type = 0;
  const found: Uint8Array[] = [];
  while (reader.next()) {
    if (reader.field === 2) type = reader.number();
    else if (reader.field === 3) {
      found.push(reader.view());
      if (vectors.length + found.length > MAX_QUERIES)
        throw invalid(`nq should be in range [1, ${MAX_QUERIES}]`);
    } else reader.skip();
  }
  if (type !== dataTypeToWire.FloatVector)
    throw new DbError('unimplemented', `searching with ${dataTypeName(type)} is not implemented`);
  vectors.push(...found);
}
