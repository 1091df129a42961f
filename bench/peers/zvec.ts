/** `@zvec/zvec` in this process: a collection with HNSW, an inverted index on the number. */
import {
  type Knob,
  peer,
  type TextSystem,
  type VectorShape,
  type VectorSystem,
  versionOf,
} from './system.ts';

interface Collection {
  insertSync(docs: object[]): { ok: boolean; message: string }[];
  optimize(): Promise<void>;
  query(query: object): Promise<{ id: string }[]>;
  querySync(query: object): { id: string }[];
  closeSync(): void;
}
interface Zvec {
  readonly ZVecDataType: Record<string, number>;
  readonly ZVecIndexType: Record<string, number>;
  readonly ZVecMetricType: Record<string, number>;
  readonly ZVecLogLevel: Record<string, number>;
  readonly ZVecCollectionSchema: new (shape: object) => unknown;
  ZVecInitialize(options: object): void;
  ZVecCreateAndOpen(path: string, schema: unknown): Collection;
}

async function load(): Promise<Zvec & { version: string }> {
  const module = await peer<Zvec & { default?: Zvec }>('@zvec/zvec');
  const zvec = module.default ?? module;
  zvec.ZVecInitialize({ logLevel: zvec.ZVecLogLevel['ERROR'] });
  return { ...zvec, version: versionOf('@zvec/zvec') };
}

function checked(answers: readonly { ok: boolean; message: string }[]): void {
  const bad = answers.find(({ ok }) => !ok);
  if (bad) throw new Error(`zvec: ${bad.message}`);
}

const idsOf = (docs: readonly { id: string }[]): number[] => docs.map(({ id }) => Number(id));

export async function zvecVectors(dir: string, { dim, metric }: VectorShape): Promise<VectorSystem> {
  const zvec = await load();
  const { ZVecDataType: types, ZVecIndexType: indexes } = zvec;
  const collection = zvec.ZVecCreateAndOpen(
    `${dir}/rows`,
    new zvec.ZVecCollectionSchema({
      name: 'rows',
      vectors: {
        name: 'vector',
        dataType: types['VECTOR_FP32'],
        dimension: dim,
        indexParams: {
          indexType: indexes['HNSW'],
          metricType: zvec.ZVecMetricType[metric],
          m: 16,
          efConstruction: 128,
        },
      },
      fields: [
        {
          name: 'number',
          dataType: types['INT64'],
          indexParams: { indexType: indexes['INVERT'], enableRangeOptimization: true },
        },
      ],
    }),
  );
  return {
    about: `@zvec/zvec ${zvec.version}, HNSW, m 16, efConstruction 128, INVERT with ranges on the number`,
    ladders: [[16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768].map((ef) => ({ ef }))],
    insert: async (first, vectors, numbers) => {
      // More rows in one call are refused.
      for (let from = 0; from < numbers.length; from += 1000) {
        const length = Math.min(1000, numbers.length - from);
        const docs = Array.from({ length }, (_, i) => ({
          id: String(first + from + i),
          vectors: { vector: vectors.subarray((from + i) * dim, (from + i + 1) * dim) },
          fields: { number: Number(numbers[from + i]) },
        }));
        checked(collection.insertSync(docs));
      }
    },
    flush: async () => {},
    index: () => collection.optimize(),
    search: async (vector, k, knob: Knob, _lane, below) =>
      idsOf(
        await collection.query({
          fieldName: 'vector',
          vector,
          topk: k,
          outputFields: [],
          params: { indexType: indexes['HNSW'], ef: knob['ef'] },
          ...(below === undefined ? {} : { filter: `number < ${below}` }),
        }),
      ),
    close: async () => collection.closeSync(),
  };
}

export async function zvecTexts(dir: string): Promise<TextSystem> {
  const zvec = await load();
  const { ZVecDataType: types, ZVecIndexType: indexes } = zvec;
  const collection = zvec.ZVecCreateAndOpen(
    `${dir}/texts`,
    new zvec.ZVecCollectionSchema({
      name: 'texts',
      fields: [{ name: 'text', dataType: types['STRING'], indexParams: { indexType: indexes['FTS'] } }],
    }),
  );
  return {
    about: `@zvec/zvec ${zvec.version}, FTS, its standard tokenizer`,
    insert: async (first, texts) => {
      for (let from = 0; from < texts.length; from += 1000)
        checked(
          collection.insertSync(
            texts
              .slice(from, from + 1000)
              .map((text, i) => ({ id: String(first + from + i), fields: { text } })),
          ),
        );
    },
    flush: async () => {},
    index: () => collection.optimize(),
    search: async (words, k) =>
      idsOf(
        await collection.query({ fieldName: 'text', fts: { matchString: words }, topk: k, outputFields: [] }),
      ),
    close: async () => collection.closeSync(),
  };
}
