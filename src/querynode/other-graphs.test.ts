/** Graphs over vectors of half floats and small integers: built from the file, loaded, searched. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fieldSchema } from '../../tests/field-schema.ts';
import { collectionId, PlainLog, partitions } from '../../tests/query-world.ts';
import { clusteredVectors, slowSearch } from '../../tests/vectors.ts';
import { indexBuildContext } from '../datanode/indexbuild/context.ts';
import { compileFilter } from '../expr/evaluate.ts';
import { primaryKeysOf } from '../expr/primary-keys.ts';
import { vectorArrays } from '../model/columns.ts';
import type { HybridTime } from '../model/hybrid-time.ts';
import type { BuildId, FieldId, IndexId, SegmentId } from '../model/ids.ts';
import type { IndexRecord, SegmentFile, SegmentRecord } from '../model/records.ts';
import type { Column, VectorColumn } from '../model/rows.ts';
import type { CollectionSchema } from '../model/schema.ts';
import { narrow, widen } from '../model/vector-floats.ts';
import { loadTasks } from '../segment/load.ts';
import { encodeRows } from '../segment/rows-file.ts';
import { MemoryStore } from '../storage/memory.ts';
import { inlineWorkers } from '../support/inline-workers.ts';
import { systemClock } from '../support/system-clock.ts';
import { VectorArena } from '../vector-index/arena.ts';
import { ArenaEngine } from './arena-engine.ts';
import { LocalQueryNode } from './querynode.ts';
import { WorkerFiles } from './segment-files.ts';

const ID = 100 as FieldId;
const VECTOR = 101 as FieldId;
const DIM = 20;
const ROWS = 3000;
const QUERIES = 30;

for (const [type, metric] of [
  ['Float16Vector', 'COSINE'],
  ['BFloat16Vector', 'L2'],
  ['Int8Vector', 'IP'],
] as const)
  test(`a graph over ${type} by ${metric} finds what the floats it stands for say, and its memory is freed`, async () => {
    const scale = type === 'Int8Vector' ? 20 : 1;
    const column = (count: number, offset: number): VectorColumn => {
      const values = new vectorArrays[type](count * DIM);
      const given = clusteredVectors(count, DIM, { latent: 6, offset });
      const rounded = given.map((value) => {
        if (type === 'Int8Vector') return Math.max(-128, Math.min(127, Math.round(value * scale)));
        return new Float32Array(
          Uint32Array.of(new Uint32Array(Float32Array.of(value).buffer)[0]! & 0xffff_0000).buffer,
        )[0]!;
      });
      narrow(type, rounded, values as never);
      return { layout: 'vector', type, dim: DIM, values };
    };
    const rows = column(ROWS, 0);
    const queries = column(QUERIES, 1);
    const floatsOf = ({ values }: VectorColumn) => {
      const floats = new Float32Array(values.length);
      widen(type, values as never, floats);
      return floats;
    };
    const field = fieldSchema('v', { fieldId: VECTOR, dataType: type, dim: DIM });
    const schema: CollectionSchema = {
      description: '',
      fields: [fieldSchema('id', { fieldId: ID, isPrimaryKey: true }), field],
      enableDynamicField: false,
      version: 1,
    };
    const store = new MemoryStore(() => 0);
    const put = async (kind: 'rows' | 'index', bytes: Uint8Array): Promise<SegmentFile> => ({
      kind,
      key: kind,
      sizeBytes: bytes.length,
      ...(await store.put(kind, bytes)),
    });
    const ids = BigInt64Array.from({ length: ROWS }, (_, i) => BigInt(i));
    const batch = {
      rowCount: ROWS,
      columns: new Map<FieldId, Column>([
        [ID, { layout: 'fixed', type: 'Int64', values: ids } as const],
        [VECTOR, rows],
      ]),
    };
    const rowsFile = await put('rows', encodeRows(schema.fields, [{ ts: 5n as HybridTime, rows: batch }]));
    const context = indexBuildContext(store);
    const graph = context.openGraph(ROWS, DIM, { metric, M: 16, efConstruction: 100 });
    await context.readVectors(rowsFile, field, ROWS, graph.vectors);
    assert.deepEqual(Float32Array.from(graph.vectors), floatsOf(rows));
    const image = await graph.build();
    const segment: SegmentRecord = {
      segmentId: 1n as SegmentId,
      collectionId,
      partitionId: partitions[0]!,
      channel: 'dml_0',
      level: 'L1',
      state: 'flushed',
      rowCount: ROWS,
      minTs: 5n as HybridTime,
      maxTs: 5n as HybridTime,
      files: [rowsFile],
      indexes: [
        {
          indexId: 1n as IndexId,
          buildId: 1n as BuildId,
          fieldId: VECTOR,
          kind: 'HNSW',
          file: await put('index', image),
        },
      ],
    };
    const arena = new VectorArena({ maxBytes: 2 ** 26, memoryBytes: 2 ** 25, growBytes: 2 ** 20 });
    const engine = new ArenaEngine({ arena });
    let walks = 0;
    class Watched extends WorkerFiles {
      override async graph(...given: Parameters<WorkerFiles['graph']>): ReturnType<WorkerFiles['graph']> {
        const opened = await super.graph(...given);
        if (opened === undefined) return opened;
        const { graph } = opened;
        const search: typeof graph.search = (request) => {
          walks++;
          return graph.search(request);
        };
        return { free: opened.free, graph: { metric: graph.metric, search } };
      }
    }
    const node = new LocalQueryNode({
      streamingNode: new PlainLog().node(),
      engine,
      files: new Watched({ workers: inlineWorkers(loadTasks({ store })), store, engine }),
      filters: { compile: compileFilter, primaryKeys: primaryKeysOf },
      clock: systemClock,
    });
    await node.load({
      collectionId,
      schema,
      channels: ['dml_0'],
      partitionIds: partitions,
      segments: [segment],
      unflushed: [],
      indexes: [{ indexId: 1n, fieldId: VECTOR, params: { metric_type: metric } } as unknown as IndexRecord],
    });
    const request = { collectionId, fieldId: VECTOR, queries, queryCount: QUERIES, topK: 10, offset: 0 };
    const found = await node.search({ ...request, metric, ef: 40, outputFields: [VECTOR] });
    assert.equal(walks, 1, 'the graph was walked');
    let hits = 0;
    const vectors = floatsOf(rows);
    for (let q = 0; q < QUERIES; q++) {
      const query = floatsOf(queries).subarray(q * DIM, (q + 1) * DIM);
      const best = new Set(
        slowSearch(metric, vectors, DIM, query)
          .slice(0, 10)
          .map(({ row }) => BigInt(row)),
      );
      hits += [...found.keys.values.slice(10 * q, 10 * q + 10)].filter((key) =>
        best.has(key as bigint),
      ).length;
    }
    assert.ok(hits / (10 * QUERIES) >= 0.95, `recall ${hits / (10 * QUERIES)}`);
    const output = found.rows.columns.get(VECTOR);
    assert(output?.layout === 'vector' && output.type === type);
    [...found.keys.values].forEach((key, i) => {
      const row = Number(key);
      assert.deepEqual(
        output.values.subarray(i * DIM, (i + 1) * DIM),
        rows.values.subarray(row * DIM, (row + 1) * DIM),
      );
    });
    await node.close();
    assert.equal(arena.usedBytes, 0);
  });
