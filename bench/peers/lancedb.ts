/** `@lancedb/lancedb` in this process: a table, one index of vectors, a B-tree on the number. */
import { K } from './sets.ts';
import {
  type Knob,
  peer,
  type TextSystem,
  type VectorShape,
  type VectorSystem,
  versionOf,
} from './system.ts';

/** As much of the package's types as is used; the package need not be there. */
interface Table {
  add(data: unknown): Promise<unknown>;
  createIndex(column: string, options: object): Promise<void>;
  waitForIndex(names: string[], timeoutSeconds: number): Promise<void>;
  optimize(options?: object): Promise<unknown>;
  listIndices(): Promise<{ name: string }[]>;
  vectorSearch(query: Float32Array): Query;
  query(): Query & { fullTextSearch(text: string, options: object): Query };
  close(): void;
}
interface Query {
  distanceType(type: string): Query;
  select(columns: string[]): Query;
  where(condition: string): Query;
  limit(k: number): Query;
  nprobes(n: number): Query;
  ef(n: number): Query;
  refineFactor(n: number): Query;
  toArrow(): Promise<{ getChild(name: string): { toArray(): ArrayLike<number | bigint> } | null }>;
}
interface Lance {
  connect(dir: string): Promise<{
    createEmptyTable(name: string, schema: unknown): Promise<Table>;
    close(): void;
  }>;
  readonly Index: Record<string, (options?: object) => unknown>;
}
// biome-ignore lint/suspicious/noExplicitAny: the constructors of a package that is not installed for the type checker
type Arrow = Record<string, any>;

const idsOf = async (query: Query): Promise<readonly number[]> => {
  const ids = (await query.toArrow()).getChild('id')?.toArray() ?? [];
  return Array.from(ids as ArrayLike<bigint>, Number);
};

/** One below `K * refine` is refused. */
const efs = [16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512];
const probes = [1, 2, 3, 5, 8, 12, 20, 30, 50, 80, 120, 200, 300];

export async function lanceVectors(
  dir: string,
  { dim, metric }: VectorShape,
  kind: 'hnswSq' | 'ivfPq',
): Promise<VectorSystem> {
  const lance = await peer<Lance>('@lancedb/lancedb');
  const arrow = await peer<Arrow>('apache-arrow');
  const distanceType = metric.toLowerCase();
  const item = new arrow['Field']('item', new arrow['Float32'](), true);
  const list = new arrow['FixedSizeList'](dim, item);
  const schema = new arrow['Schema']([
    new arrow['Field']('id', new arrow['Int64'](), false),
    new arrow['Field']('number', new arrow['Int64'](), false),
    new arrow['Field']('vector', list, false),
  ]);
  const db = await lance.connect(dir);
  const table = await db.createEmptyTable('rows', schema);
  const column = (values: BigInt64Array) => arrow['makeData']({ type: new arrow['Int64'](), data: values });
  const isGraph = kind === 'hnswSq';
  const make = lance.Index[kind];
  const btree = lance.Index['btree'];
  if (make === undefined || btree === undefined) throw new Error('this version of lancedb lacks an index');
  // Its defaults for PQ, but not the single sub-vector it takes for a dimension that 8 does not divide; of the graph the same M and
  // efConstruction as everybody's.
  const pq = dim % 8 === 0 ? {} : { numSubVectors: dim % 4 === 0 ? dim / 4 : dim };
  const config = () =>
    make(isGraph ? { distanceType, m: 16, efConstruction: 128, numPartitions: 1 } : { distanceType, ...pq });
  return {
    about: `@lancedb/lancedb ${versionOf('@lancedb/lancedb')}, ${isGraph ? 'IVF_HNSW_SQ, one partition, m 16, efConstruction 128' : `IVF_PQ, its defaults${dim % 8 === 0 ? '' : `, but ${pq.numSubVectors} sub-vectors`}`}, B-tree on the number`,
    ladders: isGraph
      ? [1, 2, 5].map((refine) => efs.filter((ef) => ef >= K * refine).map((ef) => ({ ef, refine })))
      : [5, 10, 30].map((refine) => probes.map((nprobes) => ({ nprobes, refine }))),
    insert: async (first, vectors, numbers) => {
      const length = numbers.length;
      const floats = arrow['makeData']({ type: new arrow['Float32'](), data: vectors });
      const ids = BigInt64Array.from({ length }, (_, i) => BigInt(first + i));
      const children = [
        column(ids),
        column(numbers),
        arrow['makeData']({ type: list, length, nullCount: 0, child: floats }),
      ];
      const struct = arrow['makeData']({
        type: new arrow['Struct'](schema.fields),
        length,
        nullCount: 0,
        children,
      });
      await table.add(new arrow['Table'](schema, new arrow['RecordBatch'](schema, struct)));
    },
    flush: async () => {
      // Many small fragments would be read one by one; its documentation asks for this after many adds.
      await table.optimize();
    },
    index: async () => {
      await table.createIndex('number', { config: btree() });
      await table.createIndex('vector', { config: config() });
      const names = (await table.listIndices()).map(({ name }) => name);
      await table.waitForIndex(names, 1800);
    },
    search: async (vector, k, knob: Knob, _lane, below) => {
      let query = table.vectorSearch(vector).distanceType(distanceType).select(['id', '_distance']).limit(k);
      if (knob['ef'] !== undefined) query = query.nprobes(1).ef(knob['ef']);
      if (knob['nprobes'] !== undefined) query = query.nprobes(knob['nprobes']);
      if (knob['refine'] !== undefined) query = query.refineFactor(knob['refine']);
      if (below !== undefined) query = query.where(`number < ${below}`);
      return await idsOf(query);
    },
    close: async () => {
      await table.optimize({ cleanupOlderThan: new Date() });
      table.close();
      db.close();
    },
  };
}

export async function lanceTexts(dir: string): Promise<TextSystem> {
  const lance = await peer<Lance>('@lancedb/lancedb');
  const arrow = await peer<Arrow>('apache-arrow');
  const schema = new arrow['Schema']([
    new arrow['Field']('id', new arrow['Int64'](), false),
    new arrow['Field']('text', new arrow['Utf8'](), false),
  ]);
  const db = await lance.connect(dir);
  const table = await db.createEmptyTable('texts', schema);
  const fts = lance.Index['fts'];
  if (fts === undefined) throw new Error('this version of lancedb has no full text index');
  return {
    about: `@lancedb/lancedb ${versionOf('@lancedb/lancedb')}, FTS without positions, stemming and stop words`,
    insert: async (first, texts) => {
      const ids = BigInt64Array.from({ length: texts.length }, (_, i) => BigInt(first + i));
      const id = arrow['vectorFromArray'](ids, new arrow['Int64']());
      const text = arrow['vectorFromArray'](texts, new arrow['Utf8']());
      const children = [id.data[0], text.data[0]];
      const length = texts.length;
      const struct = arrow['makeData']({
        type: new arrow['Struct'](schema.fields),
        length,
        nullCount: 0,
        children,
      });
      await table.add(new arrow['Table'](schema, new arrow['RecordBatch'](schema, struct)));
    },
    flush: async () => {
      await table.optimize();
    },
    index: async () => {
      const plain = { withPosition: false, stem: false, removeStopWords: false, asciiFolding: false };
      await table.createIndex('text', { config: fts(plain) });
      await table.waitForIndex(
        (await table.listIndices()).map(({ name }) => name),
        1800,
      );
    },
    search: (words, k) =>
      idsOf(
        table
          .query()
          .fullTextSearch(words, { columns: ['text'] })
          .select(['id', '_score'])
          .limit(k),
      ),
    close: async () => {
      await table.optimize({ cleanupOlderThan: new Date() });
      table.close();
      db.close();
    },
  };
}
