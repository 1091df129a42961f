/** Pure: vectors as sent to columns of the model, every value checked against its field. */
import { vectorArrays, vectorBytes, vectorWidth } from '../../model/columns.ts';
import type { BytesColumn, Column, VectorColumn } from '../../model/rows.ts';
import { type FieldSchema, isDenseVector, type VectorType } from '../../model/schema.ts';
import { assert } from '../../support/assert.ts';
import { describe, invalid, mismatch, requireCapacity, requireNumbers } from './checks.ts';
import type { WireData } from './field-data-decode.ts';
import { sortedSparse } from './sparse.ts';

/** The vectors sent for one field, nulls not yet put in. Throws `parameter-invalid` for a wrong type, dimension or number. */
export function checkedVectors(field: FieldSchema, data: WireData): Column {
  const { dataType } = field;
  if (dataType === 'SparseFloatVector') return sparseColumn(field, data);
  if (dataType === 'ArrayOfVector') return vectorLists(field, data);
  assert(isDenseVector(dataType), `${dataType} is a vector`);
  return denseColumn(field, dataType, data);
}

function denseColumn(field: FieldSchema, type: VectorType, data: WireData): VectorColumn {
  const { dim = 0 } = field;
  if (data.kind === 'none') return { layout: 'vector', type, dim, values: new vectorArrays[type](0) };
  if (data.kind !== 'vector') throw mismatch(field, describe(data));
  const { dim: sentDim, values } = data;
  // An empty list of floats is what a client sends for any vector when every row is null.
  if (values.length === 0) return { layout: 'vector', type, dim, values: new vectorArrays[type](0) };
  if (data.type !== type) throw mismatch(field, `${data.type} data`);
  if (sentDim !== dim || values.length % vectorWidth(type, dim) !== 0)
    throw invalid(
      `invalid dimension: the dim (${sentDim}) of field data ${field.name} is not equal to schema dim (${dim})`,
    );
  requireNumbers(field, type, values);
  return { layout: 'vector', type, dim, values };
}

function sparseColumn(field: FieldSchema, data: WireData): BytesColumn {
  const type = 'SparseFloatVector';
  const isNothing = data.kind === 'none' || (data.kind === 'vector' && data.values.length === 0);
  if (isNothing) return { layout: 'bytes', type, offsets: new Uint32Array(1), data: new Uint8Array(0) };
  if (data.kind !== 'sparse') throw mismatch(field, describe(data));
  const { offsets } = data;
  return { layout: 'bytes', type, offsets, data: sortedSparse(field.name, offsets, data.data) };
}

function vectorLists(field: FieldSchema, data: WireData): Column {
  const { dim = 0, elementType: type } = field;
  assert(type !== undefined && isDenseVector(type), `field ${field.name} holds vectors`);
  if (data.kind === 'none') {
    const items = { layout: 'vector', type, dim, values: new vectorArrays[type](0) } as const;
    return { layout: 'list', type: 'ArrayOfVector', offsets: new Uint32Array(1), items };
  }
  if (data.kind !== 'vector-array') throw mismatch(field, describe(data));
  const { ends, items: sent } = data;
  const items = denseColumn(field, type, sent.kind === 'vector' ? { ...sent, dim: data.dim } : sent);
  const perVector = type === 'FloatVector' ? vectorWidth(type, dim) : vectorBytes(type, dim);
  const offsets = Uint32Array.from(ends, (end) => end / perVector);
  if (ends.some((end) => end % perVector !== 0))
    throw invalid(
      `invalid dimension: a row of field ${field.name} does not hold whole vectors of dimension ${dim}`,
    );
  requireCapacity(field, offsets);
  return { layout: 'list', type: 'ArrayOfVector', offsets, items };
}
