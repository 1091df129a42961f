/** The rows of the fault runs: every column is a function of key and version, so that a row shows which write it is of. */
import assert from 'node:assert/strict';
import { ConsistencyLevelEnum, DataType, type MilvusClient } from '@zilliz/milvus2-sdk-node';
import { succeed } from '../fixture.ts';
import { BLOCK_KEYS, firstKey, GONE, type State } from './history.ts';

const DIM = 8;
const MAX_ROWS = 16_384;
const FIELDS = ['id', 'version', 'name', 'score', 'flag', 'tags', 'info', 'vector'];

export const schemaOf = (collection_name: string, shards_num: number) => ({
  collection_name,
  shards_num,
  fields: [
    { name: 'id', data_type: DataType.Int64, is_primary_key: true },
    { name: 'version', data_type: DataType.Int64 },
    { name: 'name', data_type: DataType.VarChar, max_length: 300, nullable: true },
    { name: 'score', data_type: DataType.Double },
    { name: 'flag', data_type: DataType.Bool, nullable: true },
    {
      name: 'tags',
      data_type: DataType.Array,
      element_type: DataType.VarChar,
      max_capacity: 8,
      max_length: 20,
    },
    { name: 'info', data_type: DataType.JSON },
    { name: 'vector', data_type: DataType.FloatVector, dim: DIM },
  ],
});

export const rowOf = (id: number, version: number) => ({
  id,
  version,
  name: (id + version) % 5 === 0 ? null : `row ${id} of ${version} ${'é'.repeat(version % 100)}`,
  score: id / 3 + version,
  flag: version % 3 === 0 ? null : (id + version) % 2 === 0,
  tags: Array.from({ length: (id + version) % 4 }, (_, i) => `t${version + i}`),
  info: { id, nested: { version } },
  vector: Array.from({ length: DIM }, (_, i) => Math.fround(Math.sin(id * 7.3 + i + version))),
});

const textOf = (row: Record<string, unknown>): string =>
  JSON.stringify(FIELDS.map((name) => (name === 'id' || name === 'version' ? String(row[name]) : row[name])));

/** Positions of a block's keys that a state has. */
export const rowsOfState = (version: number, positions: readonly number[]): State =>
  `v${version}:${positions.join(',')}`;

/** Compared by full rows; what is not the row its key and version say is an error. */
export function statesOf(
  rows: readonly Record<string, unknown>[],
  where: string,
): ReadonlyMap<number, State> {
  const blocks = new Map<number, { version: number; positions: number[] }>();
  for (const row of rows) {
    const [id, version] = [Number(row['id']), Number(row['version'])];
    assert.equal(textOf(row), textOf(rowOf(id, version)), `${where}: row ${id} is not what was written`);
    const block = Math.floor(id / BLOCK_KEYS);
    const found = blocks.get(block) ?? { version, positions: [] };
    assert.equal(
      found.version,
      version,
      `${where}: block ${block} shows parts of writes ${found.version} and ${version}`,
    );
    found.positions.push(id - firstKey(block));
    blocks.set(block, found);
  }
  const states = new Map<number, State>();
  for (const [block, { version, positions }] of blocks) {
    positions.sort((a, b) => a - b);
    assert.equal(new Set(positions).size, positions.length, `${where}: block ${block} has rows twice`);
    states.set(block, positions.length === 0 ? GONE : rowsOfState(version, positions));
  }
  return states;
}

/** In one query when no blocks are named; else so many blocks with each. */
export async function readStates(
  client: MilvusClient,
  collection_name: string,
  { blocks, each = 4 }: { readonly blocks?: number; readonly each?: number } = {},
): Promise<ReadonlyMap<number, State>> {
  if (blocks === undefined) return readWhere(client, collection_name, 'id >= 0');
  const states = new Map<number, State>();
  for (let first = 0; first < blocks; first += each) {
    const filter = `id >= ${firstKey(first)} && id < ${firstKey(first + each)}`;
    for (const [block, state] of await readWhere(client, collection_name, filter)) states.set(block, state);
  }
  return states;
}

async function readWhere(
  client: MilvusClient,
  collection_name: string,
  filter: string,
): Promise<ReadonlyMap<number, State>> {
  const { data } = await succeed(
    client.query({
      collection_name,
      filter,
      output_fields: FIELDS,
      limit: MAX_ROWS,
      consistency_level: ConsistencyLevelEnum.Strong,
    }),
  );
  assert.ok(data.length < MAX_ROWS, 'more rows than one query answers');
  return statesOf(data, collection_name);
}
