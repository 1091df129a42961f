import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc, { type Arbitrary } from 'fast-check';
import { bytesColumn, columnOf, columnType, fieldKind } from '../../tests/arbitrary-rows.ts';
import { fieldOf } from '../../tests/arbitrary-segment.ts';
import { isDbError } from '../errors/db-error.ts';
import { vectorWidth } from '../model/columns.ts';
import type { HybridTime } from '../model/hybrid-time.ts';
import type { CollectionId, FieldId, PartitionId, SegmentId } from '../model/ids.ts';
import type { SegmentFile } from '../model/records.ts';
import type { Column, PrimaryKeys } from '../model/rows.ts';
import type { FieldSchema } from '../model/schema.ts';
import { deletesKey, rowsKey, segmentPrefix, statsKey } from '../storage/keys.ts';
import { MemoryStore } from '../storage/memory.ts';
import type { ObjectStore } from '../storage/object-store.ts';
import { inlineWorkers } from '../support/inline-workers.ts';
import { putFile } from './checked-file.ts';
import {
  COMPACT_DELETES,
  COMPACT_SEGMENTS,
  type CompactDeletesInput,
  type CompactDeletesResult,
  type CompactInput,
  type CompactResult,
  compactTasks,
} from './compact.ts';
import { encodeDeletes } from './deletes-file.ts';
import { loadDeletes, loadSegment } from './load.ts';
import { encodeRows, type WrittenRows } from './rows-file.ts';
import { decodeStats, encodeStats, keyRange } from './stats.ts';

const KEY = 100 as FieldId;
/** A field that some sources do not have. */
const YOUNG = 101 as FieldId;
const hybrid = (n: number | bigint) => BigInt(n) as HybridTime;
const placeOf = (segmentId: number) => ({
  collectionId: 1n as CollectionId,
  partitionId: 2n as PartitionId,
  segmentId: BigInt(segmentId) as SegmentId,
});
const OUTPUT = placeOf(1000);

type KeyType = PrimaryKeys['type'];
/** Numbers become keys of both types; texts do not sort as their numbers do. */
const keyColumn = (type: KeyType, keys: readonly number[]): Column =>
  type === 'Int64'
    ? { layout: 'fixed', type, values: BigInt64Array.from(keys, (key) => BigInt(key - 5)) }
    : bytesColumn(
        type,
        keys.map((key) => `é${key}`),
      );
const keysFor = (type: KeyType, keys: readonly number[]): PrimaryKeys =>
  type === 'Int64'
    ? { type, values: BigInt64Array.from(keys, (key) => BigInt(key - 5)) }
    : { type, values: keys.map((key) => `é${key}`) };

interface TestSource {
  readonly writes: readonly (WrittenRows & { readonly keys: readonly number[] })[];
  readonly hasYoung: boolean;
}
type Deletion = readonly [key: number, ts: number];
interface Scenario {
  readonly keyType: KeyType;
  readonly fields: readonly FieldSchema[];
  readonly sources: readonly TestSource[];
  /** By L0 segment. */
  readonly deletes: readonly (readonly Deletion[])[];
}

const young = fieldOf(YOUNG, { layout: 'fixed', type: 'Int64', values: new BigInt64Array() }, true);
const keyFieldOf = (type: KeyType): FieldSchema => ({
  ...fieldOf(KEY, keyColumn(type, []), false),
  isPrimaryKey: true,
});

const key = fc.nat({ max: 12 });
const deletion = fc.tuple(key, fc.integer({ min: 1, max: 12 }));

function writeOf(keyType: KeyType, fields: readonly FieldSchema[]): Arbitrary<TestSource['writes'][number]> {
  return fc.array(key, { minLength: 1, maxLength: 5 }).chain((keys) =>
    fc
      .tuple(
        fc.integer({ min: 1, max: 12 }),
        ...fields
          .slice(1)
          .map((field) =>
            columnOf(
              { type: field.dataType, elementType: field.elementType, dim: field.dim },
              keys.length,
              field.nullable,
            ),
          ),
      )
      .map(([ts, ...columns]) => ({
        ts: hybrid(ts as number),
        keys,
        rows: {
          rowCount: keys.length,
          columns: new Map([
            [KEY, keyColumn(keyType, keys)],
            ...columns.map((column, i) => [fields[i + 1]!.fieldId, column] as [FieldId, Column]),
          ]),
        },
      })),
  );
}

const scenario: Arbitrary<Scenario> = fc
  .tuple(
    fc.constantFrom<KeyType>('Int64', 'VarChar'),
    fc.option(fc.constant(7n), { nil: undefined }),
    fc.array(fc.tuple(columnType, fc.boolean()), { maxLength: 4 }),
  )
  .chain(([keyType, defaultValue, types]) => {
    const fields: FieldSchema[] = [
      keyFieldOf(keyType),
      defaultValue === undefined ? young : { ...young, defaultValue },
      ...types.map(([kind, nullable], i) => ({
        ...young,
        fieldId: (102 + i) as FieldId,
        name: `field ${i}`,
        ...fieldKind(kind),
        nullable,
      })),
    ];
    const source = fc.record({
      writes: fc.array(writeOf(keyType, fields), { minLength: 1, maxLength: 4 }),
      hasYoung: fc.boolean(),
    });
    return fc.record({
      keyType: fc.constant(keyType),
      fields: fc.constant(fields),
      sources: fc.array(source, { minLength: 1, maxLength: 4 }),
      deletes: fc.array(fc.array(deletion, { minLength: 1, maxLength: 8 }), { maxLength: 3 }),
    });
  });

const newStore = () => new MemoryStore(() => 0);

async function putRows(
  store: ObjectStore,
  segmentId: number,
  { keyType, fields }: Pick<Scenario, 'keyType' | 'fields'>,
  { writes, hasYoung }: TestSource,
) {
  const place = placeOf(segmentId);
  const own = hasYoung ? fields : fields.filter(({ fieldId }) => fieldId !== YOUNG);
  const keys = writes.flatMap((write) => write.keys);
  const times = writes.map(({ ts }) => ts).sort((a, b) => Number(a - b));
  const stats = {
    rowCount: keys.length,
    minTs: times[0]!,
    maxTs: times.at(-1)!,
    ...keyRange(keyColumn(keyType, keys)),
  };
  const files = [
    await putFile(store, 'rows', rowsKey(place), encodeRows(own, writes)),
    await putFile(store, 'stats', statsKey(place), encodeStats(stats)),
  ];
  return { files, rowCount: keys.length };
}

async function putDeletes(
  store: ObjectStore,
  segmentId: number,
  keyType: KeyType,
  deletes: readonly Deletion[],
) {
  const writes = deletes.map(([each, ts]) => ({ ts: hybrid(ts), keys: keysFor(keyType, [each]) }));
  const file = await putFile(store, 'deletes', deletesKey(placeOf(segmentId)), encodeDeletes(writes));
  return { files: [file], rowCount: deletes.length };
}

async function inputOf(store: ObjectStore, given: Scenario, minKilled = 0): Promise<CompactInput> {
  const { fields, sources, deletes, keyType } = given;
  const schema = { description: '', fields, enableDynamicField: false, version: 1 };
  return {
    place: OUTPUT,
    schema,
    minKilled,
    sources: await Promise.all(sources.map((source, i) => putRows(store, i + 1, given, source))),
    deletes: await Promise.all(deletes.map((each, i) => putDeletes(store, 100 + i, keyType, each))),
  };
}

const compact = (store: ObjectStore, input: CompactInput): Promise<CompactResult> =>
  inlineWorkers(compactTasks({ store })).run(COMPACT_SEGMENTS, input);
const compactDeletes = (store: ObjectStore, input: CompactDeletesInput): Promise<CompactDeletesResult> =>
  inlineWorkers(compactTasks({ store })).run(COMPACT_DELETES, input);

const hex = (array: ArrayBufferView) =>
  Buffer.from(array.buffer, array.byteOffset, array.byteLength).toString('hex');

/** The value of one row, to the bit. */
function valueAt(column: Column, row: number): unknown {
  if (column.valid?.[row] === 0) return null;
  switch (column.layout) {
    case 'fixed':
      return hex(column.values.subarray(row, row + 1));
    case 'vector': {
      const width = vectorWidth(column.type, column.dim);
      return hex(column.values.subarray(row * width, (row + 1) * width));
    }
    case 'bytes':
      return hex(column.data.subarray(column.offsets[row], column.offsets[row + 1]));
    case 'list': {
      const from = column.offsets[row]!;
      return Array.from({ length: column.offsets[row + 1]! - from }, (_, i) =>
        valueAt(column.items, from + i),
      );
    }
  }
}

interface Row {
  readonly ts: bigint;
  readonly key: number;
  readonly values: Readonly<Record<number, unknown>>;
}

/** All rows as objects, in the order of the sources. */
function rowsOf({ fields, sources }: Scenario): Row[] {
  return sources.flatMap(({ writes, hasYoung }) =>
    writes.flatMap(({ ts, keys, rows }) =>
      keys.map((each, row) => ({
        ts,
        key: each,
        values: Object.fromEntries(
          fields.map(({ fieldId, defaultValue }) => {
            if (fieldId !== YOUNG || hasYoung) return [fieldId, valueAt(rows.columns.get(fieldId)!, row)];
            return [fieldId, defaultValue === undefined ? null : hex(BigInt64Array.of(7n))];
          }),
        ),
      })),
    ),
  );
}

const isDead = ({ deletes }: Scenario, row: Row): boolean =>
  deletes.flat().some(([each, ts]) => each === row.key && row.ts < BigInt(ts));

/** What must be left, in order: `sort` is stable. */
const liveRows = (given: Scenario): Row[] =>
  rowsOf(given)
    .filter((row) => !isDead(given, row))
    .sort((a, b) => Number(a.ts - b.ts));

async function readBack(store: ObjectStore, files: readonly SegmentFile[], fields: readonly FieldSchema[]) {
  const { rowCount, timestamps, columns } = await loadSegment(store, { files, fields, vectors: [] });
  return Array.from({ length: rowCount }, (_, row) => ({
    ts: timestamps[row],
    values: Object.fromEntries(fields.map(({ fieldId }) => [fieldId, valueAt(columns.get(fieldId)!, row)])),
  }));
}

const outputs = async (store: ObjectStore): Promise<string[]> => {
  const keys: string[] = [];
  for await (const each of store.list(segmentPrefix(OUTPUT))) keys.push(each.key);
  return keys;
};

test('a compaction keeps exactly the rows that no delete kills, bit by bit, in the order of time', async () => {
  await fc.assert(
    fc.asyncProperty(scenario, async (given) => {
      const store = newStore();
      const { killed, segment } = await compact(store, await inputOf(store, given));
      const expected = liveRows(given);
      assert.equal(killed, rowsOf(given).length - expected.length);
      assert.equal(segment?.rowCount, expected.length);
      if (expected.length === 0) {
        assert.deepEqual([segment.files, await outputs(store)], [[], []]);
        return;
      }
      assert.deepEqual([segment.minTs, segment.maxTs], [expected[0]!.ts, expected.at(-1)!.ts]);
      assert.deepEqual(
        segment.files.map(({ kind, key: name }) => [kind, name]),
        [
          ['rows', rowsKey(OUTPUT)],
          ['stats', statsKey(OUTPUT)],
        ],
      );
      assert.deepEqual(
        await readBack(store, segment.files, given.fields),
        expected.map(({ ts, values }) => ({ ts, values })),
      );
      const column = keyColumn(
        given.keyType,
        expected.map((row) => row.key),
      );
      assert.deepEqual(decodeStats(await store.get(statsKey(OUTPUT))), {
        rowCount: expected.length,
        minTs: segment.minTs,
        maxTs: segment.maxTs,
        ...keyRange(column),
      });
    }),
    { numRuns: 200, seed: 11 },
  );
});

test('rows of expired timestamps go with those that deletes kill, and a segment of which too few go stays', async () => {
  const range = fc.tuple(fc.nat({ max: 12 }), fc.nat({ max: 12 }));
  const ranges = fc.array(range, { minLength: 1, maxLength: 2 });
  const seen = { kept: 0, gone: 0 };
  await fc.assert(
    fc.asyncProperty(scenario, ranges, fc.integer({ min: 0, max: 4 }), async (given, spans, minKilled) => {
      const store = newStore();
      const expired = spans.map(([after, upTo]) => ({ after: hybrid(after), upTo: hybrid(upTo) }));
      const isExpired = ({ ts }: Row) => expired.some(({ after, upTo }) => after < ts && ts <= upTo);
      const expected = liveRows(given).filter((row) => !isExpired(row));
      const input = await inputOf(store, given, minKilled);
      const { killed, segment } = await compact(store, { ...input, expired });
      assert.equal(killed, rowsOf(given).length - expected.length);
      if (given.sources.length === 1 && killed < minKilled) {
        assert.deepEqual([segment, await outputs(store)], [undefined, []]);
        seen.kept++;
        return;
      }
      if (killed > 0) seen.gone++;
      assert.deepEqual(
        expected.length === 0 ? [] : await readBack(store, segment?.files ?? [], given.fields),
        expected.map(({ ts, values }) => ({ ts, values })),
      );
    }),
    { numRuns: 100, seed: 21 },
  );
  assert.ok(seen.kept > 2 && seen.gone > 20, JSON.stringify(seen));
});

test('the order and the repetition of deletes change nothing, and the same input gives the same bytes', async () => {
  const shuffled = scenario.chain((given) => {
    const all = [...given.deletes, ...given.deletes].flat();
    return fc.tuple(
      fc.constant(given),
      fc.shuffledSubarray(all, { minLength: all.length, maxLength: all.length }),
    );
  });
  await fc.assert(
    fc.asyncProperty(shuffled, async ([given, again]) => {
      const bytes = async (each: Scenario) => {
        const store = newStore();
        const result = await compact(store, await inputOf(store, each));
        const files = (result.segment?.files ?? []).map(({ key: name }) => store.get(name));
        return { result, bytes: await Promise.all(files) };
      };
      const first = await bytes(given);
      assert.deepEqual(await bytes(given), first);
      const other = await bytes({ ...given, deletes: again.length === 0 ? [] : [again] });
      assert.deepEqual([other.result.killed, other.bytes], [first.result.killed, first.bytes]);
    }),
    { numRuns: 40, seed: 12 },
  );
});

test('one source of which fewer rows die than asked for stays as it is, and nothing is written', async () => {
  const one = fc.tuple(scenario, fc.integer({ min: 1, max: 6 }));
  const seen = { kept: 0, written: 0 };
  await fc.assert(
    fc.asyncProperty(one, async ([many, minKilled]) => {
      const given = { ...many, sources: many.sources.slice(0, 1) };
      const store = newStore();
      const { killed, segment } = await compact(store, await inputOf(store, given, minKilled));
      const dead = rowsOf(given).filter((row) => isDead(given, row)).length;
      assert.equal(killed, dead);
      assert.equal(segment === undefined, dead < minKilled);
      if (dead < minKilled) seen.kept++;
      else seen.written++;
      if (segment === undefined) assert.deepEqual(await outputs(store), []);
      else assert.equal(segment.rowCount, rowsOf(given).length - dead);
    }),
    { numRuns: 150, seed: 13 },
  );
  assert.ok(seen.kept > 10 && seen.written > 10, 'both ways were taken');
});

test('merged deletes are the newest of every key, in the order of time, the same for the same input', async () => {
  const lists = fc.array(fc.array(deletion, { minLength: 1, maxLength: 10 }), { minLength: 1, maxLength: 4 });
  await fc.assert(
    fc.asyncProperty(fc.constantFrom<KeyType>('Int64', 'VarChar'), lists, async (keyType, deletes) => {
      const run = async () => {
        const store = newStore();
        const sources = await Promise.all(
          deletes.map((each, i) => putDeletes(store, 100 + i, keyType, each)),
        );
        const { segment } = await compactDeletes(store, { place: OUTPUT, sources });
        return { segment, store };
      };
      const { segment, store } = await run();
      const newest = new Map<number, number>();
      for (const [each, ts] of deletes.flat()) newest.set(each, Math.max(ts, newest.get(each) ?? 0));
      const { keys, timestamps } = await loadDeletes(store, segment.files);
      const image = (ts: bigint, value: unknown) => `${ts} ${value}`;
      const merged = Array.from(timestamps, (ts, i) => image(ts, valueAt(keys, i)));
      const expected = [...newest].map(([each, ts]) =>
        image(BigInt(ts), valueAt(keyColumn(keyType, [each]), 0)),
      );
      assert.deepEqual([...merged].sort(), expected.sort());
      assert.deepEqual(
        [...timestamps],
        [...timestamps].sort((a, b) => Number(a - b)),
      );
      assert.deepEqual(
        [segment.rowCount, segment.minTs, segment.maxTs],
        [newest.size, timestamps[0], timestamps.at(-1)],
      );
      const again = await run();
      assert.deepEqual(again.segment, segment);
      assert.deepEqual(await again.store.get(deletesKey(OUTPUT)), await store.get(deletesKey(OUTPUT)));
    }),
    { numRuns: 100, seed: 14 },
  );
});

const vectors = (count: number, from: number): Column => ({
  layout: 'vector',
  type: 'FloatVector',
  dim: 2,
  values: Float32Array.from({ length: count * 2 }, (_, i) => from + i),
});

/** Keys 1 to 4 at time 5, keys 3 to 6 at time 7; with `deletes` in one L0 segment. */
function smallScenario(...deletes: Deletion[]): Scenario {
  const fields = [keyFieldOf('Int64'), fieldOf(102, vectors(1, 0), false)];
  const write = (ts: number, ...keys: number[]) => ({
    ts: hybrid(ts),
    keys,
    rows: {
      rowCount: keys.length,
      columns: new Map([
        [KEY, keyColumn('Int64', keys)],
        [102 as FieldId, vectors(keys.length, ts)],
      ]),
    },
  });
  return {
    keyType: 'Int64',
    fields,
    sources: [
      { writes: [write(5, 1, 2, 3, 4)], hasYoung: true },
      { writes: [write(7, 3, 4, 5, 6)], hasYoung: true },
    ],
    deletes: deletes.length === 0 ? [] : [deletes],
  };
}

/** A store whose ranged reads pass through `change`. */
function changing(
  inner: MemoryStore,
  change: (name: string, bytes: Uint8Array<ArrayBuffer>) => Uint8Array<ArrayBuffer>,
): ObjectStore {
  return new Proxy(inner, {
    get(target, property) {
      if (property === 'getRange')
        return async (name: string, offset: number, length: number) =>
          change(name, await target.getRange(name, offset, length));
      const value: unknown = Reflect.get(target, property, target);
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
}

/** Counts bytes read by object kind: the last part of the key. */
function counting(inner: MemoryStore) {
  const read: Record<string, number> = {};
  const store = changing(inner, (name, bytes) => {
    const kind = name.slice(name.lastIndexOf('/') + 1);
    read[kind] = (read[kind] ?? 0) + bytes.length;
    return bytes;
  });
  return { store, read };
}

test('deletes that cannot touch a segment are told apart by its statistics alone, without reading a row', async () => {
  for (const deletes of [
    [],
    [[9, 100]],
    [[2, 5]],
    [
      [1, 3],
      [0, 9],
      [7, 9],
    ],
  ] as Deletion[][]) {
    const inner = newStore();
    const given = smallScenario(...deletes);
    const input = await inputOf(inner, { ...given, sources: given.sources.slice(0, 1) }, 1);
    const { store, read } = counting(inner);
    assert.deepEqual(await compact(store, input), { killed: 0 });
    assert.equal(read['rows.parquet'], undefined);
  }
});

test('too few dead rows are counted from keys and timestamps alone; that no row dies is proven by the checksum', async () => {
  const many = Array.from({ length: 20_000 }, (_, i) => 2 * i);
  const small = smallScenario([2, 9]);
  const write = {
    ts: hybrid(5),
    keys: many,
    rows: {
      rowCount: many.length,
      columns: new Map([
        [KEY, keyColumn('Int64', many)],
        [102 as FieldId, { ...vectors(many.length * 16, 0), dim: 32 } as Column],
      ]),
    },
  };
  const fields = [small.fields[0]!, { ...small.fields[1]!, dim: 32 }];
  const given = { ...small, fields, sources: [{ writes: [write], hasYoung: true }] };
  const inner = newStore();
  const input = await inputOf(inner, given, 2);
  const counted = counting(inner);
  assert.deepEqual(await compact(counted.store, input), { killed: 1 });
  const { sizeBytes } = input.sources[0]!.files[0]!;
  assert.ok(counted.read['rows.parquet']! < sizeBytes / 4);

  // The key 3 lies in the range and in no row.
  const none = await putDeletes(inner, 300, 'Int64', [[3, 9]]);
  assert.deepEqual(await compact(inner, { ...input, deletes: [none] }), { killed: 0 });
  const bytes = await inner.get(rowsKey(placeOf(1)));
  bytes[bytes.length >> 1]! ^= 1;
  await inner.put(rowsKey(placeOf(1)), bytes);
  await assert.rejects(
    compact(inner, { ...input, deletes: [none] }),
    (error) => isDbError(error, 'data-integrity') && error.message.includes(rowsKey(placeOf(1))),
  );
});

test('a count made without the checksum decides nothing but to look again', async () => {
  const given = smallScenario([2, 9], [3, 4]);
  const [write] = given.sources[0]!.writes;
  const early = { ...write!, ts: hybrid(2) };
  const store = newStore();
  const sources = [{ writes: [early, write!], hasYoung: true }];
  // Of the early rows the keys 2 and 3 die, of the others key 2.
  const input = await inputOf(store, { ...given, sources }, 4);
  let lies = 1;
  const lying = changing(store, (name, bytes) => {
    if (!name.endsWith('rows.parquet') || bytes.length === input.sources[0]!.files[0]!.sizeBytes)
      return bytes;
    // The first column read is the one of the timestamps, eight of them at its end: all rows seem to be of time 0.
    return lies-- > 0 ? bytes.fill(0, bytes.length - 64) : bytes;
  });
  assert.deepEqual(await compact(lying, input), { killed: 3 });
  assert.equal(lies < 1, true);
  assert.deepEqual(await outputs(store), []);
});

test('when a compaction leaves no row, it says so and writes nothing', async () => {
  const store = newStore();
  const given = smallScenario([1, 9], [2, 9], [3, 9], [4, 8], [5, 8], [6, 8]);
  for (const minKilled of [0, 3]) {
    const input = await inputOf(store, given, minKilled);
    const one = { ...input, sources: input.sources.slice(0, 1) };
    assert.deepEqual(await compact(store, input), {
      killed: 8,
      segment: { files: [], rowCount: 0, minTs: 5n, maxTs: 7n },
    });
    assert.deepEqual(await compact(store, one), {
      killed: 4,
      segment: { files: [], rowCount: 0, minTs: 5n, maxTs: 5n },
    });
  }
  assert.deepEqual(await outputs(store), []);
});

type Damage = (bytes: Uint8Array<ArrayBuffer>) => Uint8Array | undefined;
const damages: readonly Damage[] = [
  () => undefined,
  (bytes) => bytes.slice(1),
  (bytes) => bytes.slice(0, -1),
  (bytes) => new Uint8Array([...bytes, 0]),
  ...[0, 0.3, 0.6, 0.9].map(
    (share): Damage =>
      (bytes) => {
        const changed = bytes.slice();
        changed[Math.floor(bytes.length * share)]! ^= 16;
        return changed;
      },
  ),
];
async function damage(store: MemoryStore, name: string, how: Damage): Promise<void> {
  const changed = how(await store.get(name));
  if (changed === undefined) await store.delete(name);
  else await store.put(name, changed);
}
const names = (name: string) => (error: unknown) =>
  (isDbError(error, 'data-integrity') || isDbError(error, 'object-not-found')) &&
  error.message.includes(name);

test('a damaged, short or missing source is refused by its name, and nothing is written', async () => {
  const victims: readonly (readonly [string, number, number])[] = [
    [rowsKey(placeOf(1)), 2, 0],
    [rowsKey(placeOf(2)), 2, 0],
    [deletesKey(placeOf(100)), 2, 0],
    [rowsKey(placeOf(1)), 1, 1],
    [statsKey(placeOf(1)), 1, 1],
    [deletesKey(placeOf(100)), 1, 1],
  ];
  for (const [name, count, minKilled] of victims)
    for (const how of damages) {
      const store = newStore();
      const input = await inputOf(store, smallScenario([2, 9]), minKilled);
      await damage(store, name, how);
      await assert.rejects(compact(store, { ...input, sources: input.sources.slice(0, count) }), names(name));
      assert.deepEqual(await outputs(store), []);
    }
});

test('a source that holds another number of rows, or keys of another type, is refused by its name', async () => {
  const store = newStore();
  const input = await inputOf(store, smallScenario([2, 9]), 1);
  const wrong = (sources: CompactInput['sources']) => sources.map((each) => ({ ...each, rowCount: 3 }));
  const [first] = input.sources;
  for (const sources of [input.sources, [first!]])
    await assert.rejects(compact(store, { ...input, sources: wrong(sources) }), /instead of 3/);
  await assert.rejects(
    compact(store, { ...input, deletes: wrong(input.deletes) }),
    names(deletesKey(placeOf(100))),
  );
  const texts = await putDeletes(store, 200, 'VarChar', [[1, 9]]);
  await assert.rejects(compact(store, { ...input, deletes: [texts] }), names(deletesKey(placeOf(200))));
  await assert.rejects(
    compactDeletes(store, { place: OUTPUT, sources: [...input.deletes, texts] }),
    names(deletesKey(placeOf(200))),
  );
  assert.deepEqual(await outputs(store), []);
});

test('damaged deletes are not merged', async () => {
  for (const how of damages) {
    const store = newStore();
    const sources = [
      await putDeletes(store, 100, 'Int64', [[1, 2]]),
      await putDeletes(store, 101, 'Int64', [[1, 3]]),
    ];
    await damage(store, deletesKey(placeOf(101)), how);
    await assert.rejects(compactDeletes(store, { place: OUTPUT, sources }), names(deletesKey(placeOf(101))));
    assert.deepEqual(await outputs(store), []);
  }
});
