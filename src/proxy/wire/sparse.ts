/** Sparse vectors: pairs of a dimension (32 bits, unsigned) and a float of 32 bits, little-endian. */
import { DbError } from '../../errors/db-error.ts';

const PAIR_BYTES = 8;
/** Dimensions are below this: the highest 32-bit number stands for none. */
const MAX_DIMENSION = 2 ** 32 - 2;

const invalid = (message: string): DbError => new DbError('parameter-invalid', message);

/**
 * The vectors `offsets` tells apart in `data`, the pairs of each in the order of their dimensions. Throws `parameter-invalid` for half a
 * pair, a dimension that stands twice, and a value that is no finite number.
 */
export function sortedSparse(field: string, offsets: Uint32Array, data: Uint8Array): Uint8Array {
  const view = new DataView(data.buffer, data.byteOffset, data.length);
  let out = data;
  for (let row = 0; row + 1 < offsets.length; row++) {
    const from = offsets[row] as number;
    const to = offsets[row + 1] as number;
    if ((to - from) % PAIR_BYTES !== 0)
      throw invalid(`invalid sparse vector of field ${field}: its length ${to - from} is no multiple of 8`);
    if (isRising(view, from, to, field)) continue;
    if (out === data) out = data.slice();
    sortPairs(out, view, from, to, field);
  }
  return out;
}

/** Whether the pairs stand in order; their values are checked. */
function isRising(view: DataView, from: number, to: number, field: string): boolean {
  let before = -1;
  let isInOrder = true;
  for (let at = from; at < to; at += PAIR_BYTES) {
    const dimension = view.getUint32(at, true);
    if (dimension > MAX_DIMENSION)
      throw invalid(`invalid sparse vector of field ${field}: dimension ${dimension} is out of range`);
    if (!Number.isFinite(view.getFloat32(at + 4, true)))
      throw invalid(`invalid sparse vector of field ${field}: a value is not a number or infinity`);
    if (dimension <= before) isInOrder = false;
    before = dimension;
  }
  return isInOrder;
}

function sortPairs(out: Uint8Array, view: DataView, from: number, to: number, field: string): void {
  const pairs = Array.from({ length: (to - from) / PAIR_BYTES }, (_, i) => from + i * PAIR_BYTES);
  pairs.sort((a, b) => view.getUint32(a, true) - view.getUint32(b, true));
  pairs.forEach((at, i) => {
    const before = pairs[i - 1];
    if (before !== undefined && view.getUint32(before, true) === view.getUint32(at, true))
      throw invalid(
        `invalid sparse vector of field ${field}: dimension ${view.getUint32(at, true)} stands twice`,
      );
    for (let byte = 0; byte < PAIR_BYTES; byte++)
      out[from + i * PAIR_BYTES + byte] = view.getUint8(at + byte);
  });
}
