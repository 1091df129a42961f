/** Encoded Insert requests of synthetic rows, made once: the field numbers are those of the wire's descriptor. */
import { createRequire } from 'node:module';
import protobuf from 'protobufjs';
import { seededRandom } from '../src/support/random.ts';

const requireFrom = createRequire(import.meta.url);
const root = (() => {
  const module = requireFrom('@zilliz/milvus2-sdk-node/dist/milvus/proto-json/milvus.js') as {
    default: object;
  };
  return protobuf.Root.fromJSON(module.default as protobuf.INamespace);
})();

export const lookup = (name: string): protobuf.Type => root.lookupType(name);

/** Rows with an Int64 key counting from `firstId` and a vector of `dim` floats. */
export function insertRequest(
  collection: string,
  firstId: number,
  rows: number,
  dim: number,
  partition = '',
): Buffer {
  const random = seededRandom(firstId + 1);
  const data = new Array<number>(rows * dim);
  for (let i = 0; i < data.length; i++) data[i] = Math.fround(random.next() - 0.5);
  const ids = Array.from({ length: rows }, (_, i) => firstId + i);
  const type = lookup('milvus.proto.milvus.InsertRequest');
  const message = type.fromObject({
    collection_name: collection,
    partition_name: partition,
    num_rows: rows,
    fields_data: [
      { type: 5, field_name: 'id', scalars: { long_data: { data: ids } } },
      { type: 101, field_name: 'vector', vectors: { dim, float_vector: { data } } },
    ],
  });
  return Buffer.from(type.encode(message).finish());
}

/** Throws unless an encoded MutationResult says success. */
export function checkMutation(answer: Buffer): void {
  const { status } = lookup('milvus.proto.milvus.MutationResult').decode(answer) as unknown as {
    status?: { code?: number; error_code?: number; reason?: string };
  };
  if ((status?.code ?? 0) !== 0 || (status?.error_code ?? 0) !== 0)
    throw new Error(`insert failed: ${status?.reason}`);
}
