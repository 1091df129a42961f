/** What may happen to bytes on their way: bits turned over, cut off, parts swapped, doubled, left out, overwritten, counts grown. */
import fc, { type Arbitrary } from 'fast-check';

export type Mutation = (bytes: Buffer) => Buffer;

/** Of all places alike: `fc.double` favours the numbers next to 0, and would change first bytes only. */
export const place: Arbitrary<number> = fc.noBias(fc.nat(2 ** 32 - 1)).map((n) => n / 2 ** 32);
const at = (bytes: Buffer, part: number) => Math.floor(part * bytes.length);
const spot = (bytes: Buffer, x: number, y: number): readonly [number, number] => {
  const [a, b] = [at(bytes, x), at(bytes, y)];
  return a < b ? [a, b] : [b, a];
};
const overwrite = (bytes: Buffer, start: number, by: Uint8Array): Buffer =>
  Buffer.concat([bytes.subarray(0, start), by, bytes.subarray(start + by.length)]);
const named = (what: string, mutate: Mutation): Mutation =>
  Object.assign(mutate, { [fc.toStringMethod]: () => what });

const flip = fc.tuple(place, fc.nat(7)).map(([where, bit]) =>
  named('flip', (bytes) => {
    const changed = Buffer.from(bytes);
    const position = at(bytes, where);
    if (position < changed.length) changed[position] = (changed[position] ?? 0) ^ (1 << bit);
    return changed;
  }),
);
const setByte = fc
  .tuple(place, fc.constantFrom(0, 1, 0x7f, 0x80, 0xff), fc.nat(255), fc.boolean())
  .map(([where, edge, any, isEdge]) =>
    named('set', (bytes) =>
      bytes.length === 0 ? bytes : overwrite(bytes, at(bytes, where), Uint8Array.of(isEdge ? edge : any)),
    ),
  );
const cutEnd = place.map((where) => named('cut end', (bytes) => bytes.subarray(0, at(bytes, where))));
const cutStart = place.map((where) => named('cut start', (bytes) => bytes.subarray(at(bytes, where))));
const swap = fc.tuple(place, place, place).map((places) =>
  named('swap', (bytes) => {
    const [a = 0, b = 0, c = 0] = places.map((where) => at(bytes, where)).sort((x, y) => x - y);
    return Buffer.concat([
      bytes.subarray(0, a),
      bytes.subarray(b, c),
      bytes.subarray(a, b),
      bytes.subarray(c),
    ]);
  }),
);
const double = fc.tuple(place, place).map(([x, y]) =>
  named('double', (bytes) => {
    const [a, b] = spot(bytes, x, y);
    return Buffer.concat([bytes.subarray(0, b), bytes.subarray(a)]);
  }),
);
const leaveOut = fc.tuple(place, place).map(([x, y]) =>
  named('leave out', (bytes) => {
    const [a, b] = spot(bytes, x, y);
    return Buffer.concat([bytes.subarray(0, a), bytes.subarray(b)]);
  }),
);
const noise = fc
  .tuple(place, fc.uint8Array({ minLength: 1, maxLength: 12 }))
  .map(([where, by]) => named('noise', (bytes) => overwrite(bytes, at(bytes, where), by)));
const append = fc
  .uint8Array({ minLength: 1, maxLength: 40 })
  .map((by) => named('append', (bytes) => Buffer.concat([bytes, by])));

/** 7 bits a byte, the lowest first: counts and lengths of Avro, Thrift and protobuf. */
export function varint(value: bigint): Uint8Array {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, value);
  for (; rest > 0x7fn; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80);
  return Uint8Array.from([...bytes, Number(rest)]);
}

const hugeNumbers = fc.oneof(
  fc.constantFrom(
    0n,
    1n,
    -1n,
    127n,
    2n ** 16n,
    2n ** 25n,
    2n ** 27n,
    2n ** 31n - 1n,
    2n ** 31n,
    2n ** 32n - 1n,
  ),
  fc.constantFrom(2n ** 32n, 2n ** 50n, 2n ** 53n, 2n ** 62n, 2n ** 63n - 1n, -(2n ** 63n)),
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
);
function fixed(value: bigint, width: 1 | 2 | 4 | 8, isLittle: boolean): Uint8Array {
  const wide = new Uint8Array(8);
  new DataView(wide.buffer).setBigInt64(0, BigInt.asIntN(64, value), isLittle);
  return isLittle ? wide.subarray(0, width) : wide.subarray(8 - width);
}
/** A count, length or size in one of the forms that numbers have, over what stands there or in front of it. */
const hugeCount = fc
  .tuple(place, hugeNumbers, fc.constantFrom('varint', 'zigzag', 2, 4, 8, -4, -2), fc.boolean())
  .map(([where, value, form, inserts]) =>
    named('huge', (bytes) => {
      const start = at(bytes, where);
      const by =
        form === 'varint'
          ? varint(value)
          : form === 'zigzag'
            ? varint((value << 1n) ^ (value >> 63n))
            : fixed(value, Math.abs(form as number) as 2, (form as number) > 0);
      return inserts
        ? Buffer.concat([bytes.subarray(0, start), by, bytes.subarray(start)])
        : Buffer.concat([
            bytes.subarray(0, start),
            by,
            bytes.subarray(start + (typeof form === 'string' ? 1 : by.length)),
          ]);
    }),
  );

/** A run of equal bytes or words: how deep nesting and long numbers look. */
const run = (words: readonly Uint8Array[]): Arbitrary<Mutation> =>
  fc
    .tuple(
      place,
      fc.oneof(
        fc.uint8Array({ minLength: 1, maxLength: 4 }),
        ...(words.length === 0 ? [] : [fc.constantFrom(...words)]),
      ),
      fc.oneof({ weight: 6, arbitrary: fc.integer({ min: 1, max: 8 }) }, fc.constantFrom(64, 500, 5000)),
    )
    .map(([where, word, times]) =>
      named('run', (bytes) => {
        const start = at(bytes, where);
        return Buffer.concat([
          bytes.subarray(0, start),
          ...Array<Uint8Array>(times).fill(word),
          bytes.subarray(start),
        ]);
      }),
    );

/** One mutation. `words`: what the format is made of, put in anywhere. */
export const mutation = (words: readonly Uint8Array[] = []): Arbitrary<Mutation> =>
  fc.oneof(
    flip,
    setByte,
    cutEnd,
    cutStart,
    swap,
    double,
    leaveOut,
    noise,
    append,
    { weight: 2, arbitrary: hugeCount },
    { weight: words.length === 0 ? 1 : 4, arbitrary: run(words) },
  );

/** Some, one after another. */
export const mutationsOf = (words: readonly Uint8Array[] = [], most = 4): Arbitrary<Mutation> =>
  fc
    .array(mutation(words), { minLength: 1, maxLength: most })
    .map((all) => (bytes: Buffer) => all.reduce((now, mutate) => mutate(now), bytes));
