/** Every type of vector, in a flushed segment and in the log, against the slow, obvious search. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { fieldSchema } from '../../tests/field-schema.ts';
import { collectionId, PlainLog, partitions } from '../../tests/query-world.ts';
import { filterOf } from '../expr/check.ts';
import { compileFilter } from '../expr/evaluate.ts';
import { primaryKeysOf } from '../expr/primary-keys.ts';
import { vectorArrays, vectorWidth } from '../model/columns.ts';
import type { HybridTime } from '../model/hybrid-time.ts';
import type { FieldId, SegmentId } from '../model/ids.ts';
import { isListMetric, isSmallerBetter, type MetricType, metricsOf, pairMetric } from '../model/metric.ts';
import type { SegmentRecord } from '../model/records.ts';
import type { Column, ListColumn, QueryColumn, RowBatch, VectorColumn } from '../model/rows.ts';
import {
  type CollectionSchema,
  type FieldSchema,
  isDenseVector,
  isVectorType,
  type VectorType,
} from '../model/schema.ts';
import { narrow } from '../model/vector-floats.ts';
import { encodeRows } from '../segment/rows-file.ts';
import { MemoryStore } from '../storage/memory.ts';
import { inlineWorkers } from '../support/inline-workers.ts';
import { type Random, seededRandom } from '../support/random.ts';
import { systemClock } from '../support/system-clock.ts';
import { VectorArena } from '../vector-index/arena.ts';
import { vectorTasks } from '../vector-index/search-tasks.ts';
import { ArenaEngine } from './arena-engine.ts';
import { sparseLoadTasks } from './load-task.ts';
import { LocalQueryNode } from './querynode.ts';
import { WorkerFiles } from './segment-files.ts';

const ID = 100 as FieldId;
const DIM = 5;
const BITS = 64;
const SPARSE_DIMS = 12;
const dense: readonly VectorType[] = ['FloatVector', 'Float16Vector', 'BFloat16Vector', 'Int8Vector'];

const vectorFields: readonly FieldSchema[] = [
  ...dense.map((dataType) => fieldSchema(dataType, { dataType, dim: DIM, nullable: true })),
  fieldSchema('bits', { dataType: 'BinaryVector', dim: BITS, nullable: true }),
  fieldSchema('sparse', { dataType: 'SparseFloatVector', nullable: true }),
  ...dense.map((elementType) =>
    fieldSchema(`lists of ${elementType}`, {
      dataType: 'ArrayOfVector',
      elementType,
      dim: DIM,
      maxCapacity: 4,
    }),
  ),
  fieldSchema('lists of bits', {
    dataType: 'ArrayOfVector',
    elementType: 'BinaryVector',
    dim: BITS,
    maxCapacity: 4,
  }),
].map((field, i) => ({ ...field, fieldId: (101 + i) as FieldId }));
const schema: CollectionSchema = {
  description: '',
  fields: [fieldSchema('id', { fieldId: ID, isPrimaryKey: true }), ...vectorFields],
  enableDynamicField: false,
  version: 1,
};

/** Numbers that every type has exactly and whose sums are exact; bits as 0 and 1; sparse ones as a map. */
type Plain = readonly number[] | ReadonlyMap<number, number>;
/** One vector, several, or none. */
type Value = Plain | readonly Plain[] | null;

const number = (random: Random): number => random.below(9) - 4;

function plainVector(type: VectorType, random: Random): readonly number[] {
  const isBits = type === 'BinaryVector';
  return Array.from({ length: isBits ? BITS : DIM }, () => (isBits ? random.below(2) : number(random)));
}

function plainSparse(random: Random): ReadonlyMap<number, number> {
  const dims = Array.from({ length: SPARSE_DIMS }, (_, i) => i * 1_000_003).filter(
    () => random.below(3) === 0,
  );
  return new Map(dims.map((dim) => [dim, number(random) || 1]));
}

function randomValue({ dataType, elementType }: FieldSchema, random: Random): Value {
  if (dataType === 'SparseFloatVector') return plainSparse(random);
  if (isDenseVector(dataType)) return plainVector(dataType, random);
  assert(elementType !== undefined && isDenseVector(elementType as never));
  return Array.from({ length: random.below(4) }, () => plainVector(elementType as VectorType, random));
}

function denseColumn(type: VectorType, dim: number, vectors: readonly (readonly number[])[]): VectorColumn {
  const values = new vectorArrays[type](vectors.length * vectorWidth(type, dim));
  if (type === 'BinaryVector')
    vectors.flat().forEach((bit, i) => {
      values[i >> 3] = values[i >> 3]! | (bit << (i & 7));
    });
  else narrow(type, Float32Array.from(vectors.flat()), values as never);
  return { layout: 'vector', type, dim, values };
}

function columnOf(field: FieldSchema, given: readonly Value[]): QueryColumn {
  const { dataType, elementType, dim = 0 } = field;
  const nulls = given.includes(null)
    ? { valid: Uint8Array.from(given, (value) => (value === null ? 0 : 1)) }
    : {};
  if (dataType === 'SparseFloatVector') {
    const parts = given.map((value) =>
      Buffer.concat(
        [...((value ?? new Map()) as ReadonlyMap<number, number>)].map(([key, weight]) => {
          const pair = Buffer.alloc(8);
          pair.writeUInt32LE(key, 0);
          pair.writeFloatLE(weight, 4);
          return pair;
        }),
      ),
    );
    const offsets = new Uint32Array(parts.length + 1);
    parts.forEach((part, i) => {
      offsets[i + 1] = offsets[i]! + part.length;
    });
    return { layout: 'bytes', type: dataType, offsets, data: new Uint8Array(Buffer.concat(parts)), ...nulls };
  }
  if (isDenseVector(dataType)) {
    const none = new Array<number>(dim).fill(0);
    return {
      ...denseColumn(
        dataType,
        dim,
        given.map((value) => (value ?? none) as number[]),
      ),
      ...nulls,
    };
  }
  const lists = given as readonly (readonly (readonly number[])[])[];
  const offsets = new Uint32Array(lists.length + 1);
  lists.forEach((list, i) => {
    offsets[i + 1] = offsets[i]! + list.length;
  });
  const items = denseColumn(elementType as VectorType, dim, lists.flat());
  return { layout: 'list', type: 'ArrayOfVector', offsets, items };
}

function batchOf(ids: readonly number[], values: ReadonlyMap<FieldId, readonly Value[]>): RowBatch {
  const columns = new Map<FieldId, Column>([
    [ID, { layout: 'fixed', type: 'Int64', values: BigInt64Array.from(ids, BigInt) }],
  ]);
  for (const field of vectorFields)
    columns.set(
      field.fieldId,
      columnOf(
        field,
        ids.map((id) => values.get(field.fieldId)![id]!),
      ),
    );
  return { rowCount: ids.length, columns };
}

/** The score of two vectors, rounded where the server rounds. Undefined: no hit. */
function slowScore(metric: MetricType, a: Plain, b: Plain): number | undefined {
  if (a instanceof Map) {
    let sum = 0;
    for (const [dim, weight] of a) sum += weight * ((b as ReadonlyMap<number, number>).get(dim) ?? 0);
    return sum === 0 ? undefined : sum;
  }
  const [x, y] = [a as readonly number[], b as readonly number[]];
  const sum = (of: (x: number, y: number) => number) =>
    x.reduce((total, each, i) => total + of(each, y[i]!), 0);
  const dot = sum((p, q) => p * q);
  switch (metric) {
    case 'L2':
      return sum((p, q) => (p - q) ** 2);
    case 'IP':
      return dot;
    case 'HAMMING':
      return sum((p, q) => p ^ q);
    case 'JACCARD':
      return sum((p, q) => p | q) === 0 ? 1 : Math.fround(1 - dot / sum((p, q) => p | q));
    case 'MHJACCARD': {
      const word = (v: readonly number[], i: number) => v.slice(32 * i, 32 * i + 32).join('');
      return (Number(word(x, 0) !== word(y, 0)) + Number(word(x, 1) !== word(y, 1))) / 2;
    }
    default: {
      const norms = Math.sqrt(sum((p) => p * p) * sum((_, q) => q * q));
      return norms === 0 ? 0 : dot / norms;
    }
  }
}

interface SlowHit {
  readonly id: number;
  readonly element?: number;
  readonly score: number;
}

function slowHits(field: FieldSchema, metric: MetricType, id: number, value: Value, query: Value): SlowHit[] {
  if (value === null || query === null) return [];
  const isList = field.dataType === 'ArrayOfVector';
  const hit = (score: number | undefined): SlowHit[] => (score === undefined ? [] : [{ id, score }]);
  if (!isList) return hit(slowScore(metric, value as Plain, query as Plain));
  const items = value as readonly Plain[];
  if (!isListMetric(metric))
    return items.map((item, element) => ({ id, element, score: slowScore(metric, item, query as Plain)! }));
  if (items.length === 0) return [];
  const pair = pairMetric[metric];
  const best = isSmallerBetter(pair) ? Math.min : Math.max;
  const scores = (query as readonly Plain[]).map((each) =>
    best(...items.map((item) => slowScore(pair, item, each)!)),
  );
  return hit(scores.reduce((sum, score) => sum + score, 0));
}

async function world(ids: readonly number[], sealed: number, values: ReadonlyMap<FieldId, readonly Value[]>) {
  const store = new MemoryStore(() => 0);
  const workers = inlineWorkers({ ...sparseLoadTasks({ store }), ...vectorTasks() });
  const arena = new VectorArena({ maxBytes: 2 ** 26, memoryBytes: 2 ** 25, growBytes: 2 ** 20 });
  const engine = new ArenaEngine({ arena });
  const log = new PlainLog();
  const node = new LocalQueryNode({
    streamingNode: log.node(),
    engine,
    files: new WorkerFiles({ workers, store, engine }),
    filters: { compile: compileFilter, primaryKeys: primaryKeysOf },
    clock: systemClock,
  });
  const stored =
    sealed === 0
      ? new Uint8Array(0)
      : encodeRows(schema.fields, [{ ts: 5n as HybridTime, rows: batchOf(ids.slice(0, sealed), values) }]);
  const segment: SegmentRecord = {
    segmentId: 1n as SegmentId,
    collectionId,
    partitionId: partitions[0]!,
    channel: 'dml_0',
    level: 'L1',
    state: 'flushed',
    rowCount: sealed,
    minTs: 5n as HybridTime,
    maxTs: 5n as HybridTime,
    files: [{ kind: 'rows', key: 'rows', sizeBytes: stored.length, ...(await store.put('rows', stored)) }],
    indexes: [],
  };
  await node.load({
    collectionId,
    schema,
    channels: ['dml_0'],
    partitionIds: partitions,
    segments: sealed === 0 ? [] : [segment],
    unflushed: [],
    indexes: [],
  });
  for (let from = sealed; from < ids.length; from += 7) {
    const rows = batchOf(ids.slice(from, from + 7), values);
    log.write([{ kind: 'insert', channel: 'dml_0', partitionId: partitions[0]!, rows }]);
  }
  return { node, arena };
}

const isRounded = (metric: MetricType): boolean =>
  metric.includes('COSINE') || metric === 'MAX_SIM' || metric === 'MAX_SIM_JACCARD';

test('every metric of every type of vector gives the rows and scores of a plain reading: flushed and growing, nulls, filter, range, offset', () =>
  fc.assert(
    fc.asyncProperty(
      fc.nat(),
      fc.nat({ max: 150 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      async (seed, count, share) => {
        const random = seededRandom(seed);
        const ids = Array.from({ length: count }, (_, id) => id);
        const values = new Map(
          vectorFields.map((field) => [
            field.fieldId,
            ids.map(() => (field.nullable && random.below(6) === 0 ? null : randomValue(field, random))),
          ]),
        );
        const { node, arena } = await world(ids, Math.floor(share * count), values);
        const keepsOf = [undefined, 'id % 3 == 1', 'id < 20'];
        for (const field of vectorFields)
          for (const metric of metricsOf(field)) {
            if (metric === 'BM25') continue;
            await checkField(
              { node, random, ids, values: values.get(field.fieldId)!, keep: keepsOf[random.below(3)] },
              field,
              metric,
            );
          }
        await node.close();
        assert.equal(arena.usedBytes, 0);
      },
    ),
    { numRuns: 25, includeErrorInReport: true },
  ));

interface Case {
  readonly node: LocalQueryNode;
  readonly random: Random;
  readonly ids: readonly number[];
  readonly values: readonly Value[];
  readonly keep: string | undefined;
}

async function checkField(given: Case, field: FieldSchema, metric: MetricType): Promise<void> {
  const { node, random, ids, values, keep } = given;
  const element: FieldSchema = { ...field, dataType: field.elementType as VectorType };
  const isSingle = field.dataType === 'ArrayOfVector' && !isListMetric(metric);
  const asked = isSingle ? element : field;
  const queries = Array.from({ length: 1 + random.below(3) }, () => {
    const query = randomValue(asked, random);
    return Array.isArray(query) && query.length === 0
      ? [plainVector(field.elementType as VectorType, random)]
      : query;
  });
  const topK = 1 + random.below(20);
  const offset = random.below(topK);
  const isDistance = isSmallerBetter(metric);
  const sign = isDistance ? 1 : -1;
  const [near, far] = isDistance ? [1.03, 9.07] : [6.03, -2.07];
  const isRanged = random.below(2) === 0;
  const range = isRanged ? { radius: far, rangeFilter: near } : {};
  const found = await node.search({
    collectionId,
    fieldId: field.fieldId,
    queries: columnOf(asked, queries),
    queryCount: queries.length,
    topK,
    offset,
    metric,
    outputFields: [field.fieldId],
    ...range,
    ...(keep === undefined ? {} : { filter: filterOf(keep, schema) }),
  });
  const keeps = (id: number) => keep === undefined || (keep === 'id < 20' ? id < 20 : id % 3 === 1);
  const expected = queries.map((query) =>
    ids
      .filter(keeps)
      .flatMap((id) => slowHits(field, metric, id, values[id]!, query))
      .filter(({ score }) => !isRanged || (sign * score < sign * far && sign * score >= sign * near))
      .sort((a, b) => sign * (a.score - b.score) || a.id - b.id || (a.element ?? 0) - (b.element ?? 0))
      .slice(offset, topK),
  );
  const where = `${field.name} ${metric}`;
  assert.deepEqual(
    [...found.counts],
    expected.map((hits) => hits.length),
    where,
  );
  const flat = expected.flat();
  const scores = [...found.scores];
  if (isRounded(metric)) {
    for (const [i, { score }] of flat.entries())
      assert.ok(Math.abs(scores[i]! - score) < 1e-5, `${where} ${i}`);
    return;
  }
  assert.deepEqual(
    [...found.keys.values].map(Number),
    flat.map(({ id }) => id),
    where,
  );
  assert.deepEqual(
    scores,
    flat.map(({ score }) => Math.fround(score)),
    where,
  );
  if (isSingle && flat.length > 0)
    assert.deepEqual(
      [...found.elements!],
      flat.map(({ element }) => element),
      where,
    );
  const wanted = columnOf(
    field,
    flat.map(({ id }) => values[id]!),
  );
  const { valid, ...output } = found.rows.columns.get(field.fieldId)!;
  assert.ok(valid === undefined || !valid.includes(0), `${where}: a null is no hit`);
  assert.deepEqual(output, wanted, `${where}: output`);
}

test('every vector field of a schema is searched', () => {
  assert.ok(vectorFields.every(({ dataType }) => isVectorType(dataType)));
  const lists = vectorFields.filter((field) => (columnOf(field, []) as ListColumn).layout === 'list');
  assert.equal(lists.length, 5);
});
