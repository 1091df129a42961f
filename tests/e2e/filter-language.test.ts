import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { DataType, type FieldType, type MilvusClient, type RowData } from '@zilliz/milvus2-sdk-node';
import { flush, load, refused, restore, sharedServer, succeed } from './fixture.ts';

const COUNT = 40;
const UNIMPLEMENTED = 10;

/** A point on a diagonal, a line, or a square of side 2 beside it; null in every tenth row. */
function placeOf(id: number): string | null {
  if (id % 10 === 9) return null;
  if (id % 3 === 0) return `POINT (${id} ${id})`;
  if (id % 3 === 1) return `LINESTRING (${id} 0, ${id} 50)`;
  return `POLYGON ((${id} 0, ${id + 2} 0, ${id + 2} 2, ${id} 2, ${id} 0))`;
}

/** Row `id` is a pure function of it. */
const row = (id: number) => ({
  id,
  flags: id % 8,
  level: id % 5 === 4 ? null : id / 4,
  name: id % 7 === 6 ? null : `E${1000 + id} ${id % 2 === 0 ? 'failed' : 'done'}.json`,
  meta: {
    path: id % 4 === 0 ? id : `/var/log/${id}.json`,
    list: id % 2 === 0 ? [id, 'x'] : [],
    deep: { er: { still: id } },
  },
  scores: id % 6 === 5 ? null : [id, id + 1, id % 3],
  at: id % 10 === 9 ? null : `2025-01-${String((id % 31) + 1).padStart(2, '0')}T0${id % 10}:00:00Z`,
  place: placeOf(id),
  chunks: Array.from({ length: id % 4 }, (_, i) => ({
    text: i === 0 ? 'Red one' : 'blue',
    n: id + i,
    vec: [i, 1],
  })),
  vector: [id, 0],
  extra: id * 2,
});
type Row = ReturnType<typeof row>;

const fields: FieldType[] = [
  { name: 'id', data_type: DataType.Int64, is_primary_key: true },
  { name: 'flags', data_type: DataType.Int16 },
  { name: 'level', data_type: DataType.Double, nullable: true },
  { name: 'name', data_type: DataType.VarChar, max_length: 50, nullable: true },
  { name: 'meta', data_type: DataType.JSON },
  {
    name: 'scores',
    data_type: DataType.Array,
    element_type: DataType.Int64,
    max_capacity: 8,
    nullable: true,
  },
  { name: 'at', data_type: DataType.Timestamptz, nullable: true },
  { name: 'place', data_type: DataType.Geometry, nullable: true },
  { name: 'vector', data_type: DataType.FloatVector, dim: 2 },
  {
    name: 'chunks',
    data_type: DataType.Array,
    element_type: DataType.Struct,
    max_capacity: 4,
    fields: [
      { name: 'text', data_type: DataType.VarChar, max_length: 20 },
      { name: 'n', data_type: DataType.Int64 },
      { name: 'vec', data_type: DataType.FloatVector, dim: 2 },
    ],
  },
];

async function fill(client: MilvusClient, collection_name: string, flushed: number): Promise<void> {
  await succeed(client.createCollection({ collection_name, fields, enable_dynamic_field: true }));
  for (const [field_name, metric_type] of [
    ['vector', 'L2'],
    ['chunks[vec]', 'MAX_SIM_COSINE'],
  ] as const)
    await succeed(client.createIndex({ collection_name, field_name, index_type: 'FLAT', metric_type }));
  await load(client, collection_name);
  const rows = Array.from({ length: COUNT }, (_, id) => row(id)) as unknown as RowData[];
  await succeed(client.insert({ collection_name, data: rows.slice(0, flushed) }));
  await flush(client, collection_name);
  await succeed(client.insert({ collection_name, data: rows.slice(flushed) }));
}

type Case = readonly [filter: string, matches: (row: Row) => boolean, exprValues?: Record<string, unknown>];
const named = (test: (name: string) => boolean) => (row: Row) => row.name !== null && test(row.name);
const timed = (test: (ms: number) => boolean) => (row: Row) => row.at !== null && test(Date.parse(row.at));
const scored = (test: (scores: number[]) => boolean) => (row: Row) => row.scores !== null && test(row.scores);
const of = (id: number, kind: number): boolean => id % 3 === kind && id % 10 !== 9;
const ms = Date.parse;
const DAY = 86_400_000;

const cases: Readonly<Record<string, readonly Case[]>> = {
  'operators and literals': [
    ['id + 1 == 4 AND NOT (id > 5)', ({ id }) => id === 3],
    ['id == 0x1F or id == 0o17 or id == 0b11', ({ id }) => [31, 15, 3].includes(id)],
    ['level == 2.5e0 || level == .25', ({ level }) => level === 2.5 || level === 0.25],
    ['level ** 2 > 50', ({ level }) => level !== null && level ** 2 > 50],
    ['3 <= id < 6 && id != 4', ({ id }) => id === 3 || id === 5],
    ['-id + 40 >= 37', ({ id }) => id <= 3],
    ['level is null and id not in [4, 9]', ({ id, level }) => level === null && id !== 4 && id !== 9],
  ],
  bits: [
    ['flags & 4 == 4', ({ flags }) => (flags & 4) === 4],
    ['flags | 1 == 3', ({ flags }) => (flags | 1) === 3],
    ['flags ^ 7 in [0, 1]', ({ flags }) => (flags ^ 7) <= 1],
    ['flags << 2 == 12 and id >> 3 == 1', ({ id, flags }) => flags === 3 && id >> 3 === 1],
    ['extra & 6 == 6', ({ extra }) => (extra & 6) === 6],
  ],
  patterns: [
    ['name =~ "E10[0-9]{2}"', named(() => true)],
    ['name =~ "E10[12]5"', named((name) => /E10[12]5/.test(name))],
    [String.raw`name =~ r"failed\.json$"`, named((name) => name.endsWith('failed.json'))],
    ['name !~ "(?i)FAILED"', named((name) => !name.includes('failed'))],
    ['name !~ "done" or name is null', ({ name }) => name === null || !name.includes('done')],
    ['name =~ {p}', named((name) => name.includes('done')), { p: 'd.ne' }],
    [String.raw`meta["path"] =~ r"1\d\.json$"`, ({ id }) => id % 4 !== 0 && /^1\d$/.test(String(id))],
    ['meta["path"] !~ "json"', ({ id }) => id % 4 === 0],
    [
      String.raw`name like r"E100_ %\.json"`,
      named((name) => /^E100. .*\\.json$/.test(name) || (name.startsWith('E100') && /^E100./.test(name))),
    ],
    ['name not like "%failed%"', named((name) => !name.includes('failed'))],
    ['name like {p}', named((name) => name.startsWith('E103')), { p: 'E103%' }],
  ],
  JSON: [
    ['meta["list"] == [4, "x"]', ({ id }) => id === 4],
    ['meta["list"] in [[2, "x"], []]', ({ id }) => id === 2 || id % 2 === 1],
    ['meta["deep"]["er"]["still"] == 7', ({ id }) => id === 7],
    ['exists meta["deep"]["er"] and id < 2', ({ id }) => id < 2],
    ['json_contains(meta["list"], {v})', ({ id }) => id % 2 === 0, { v: 'x' }],
    ['json_contains_all(meta["list"], {v})', ({ id }) => id % 2 === 0, { v: ['x'] }],
    ['(id < 3) == {yes}', ({ id }) => id < 3, { yes: true }],
    ['json_contains_any(meta["list"], {v})', ({ id }) => id === 2 || id === 6, { v: [2, 6, 7] }],
  ],
  'items of arrays': [
    ['array_contains_all(scores, [7, 8])', scored((scores) => scores.includes(7) && scores.includes(8))],
    ['array_length(scores) == 3 and scores[2] == 2', scored((scores) => scores[2] === 2)],
    ['MATCH_ANY(scores, $ == 7)', scored((scores) => scores.includes(7))],
    ['MATCH_ALL(scores, $ < 9)', scored((scores) => scores.every((score) => score < 9))],
    ['not MATCH_LEAST(scores, $ > 5, 2)', scored((scores) => scores.filter((score) => score > 5).length < 2)],
  ],
  'items of struct arrays': [
    ['element_filter(chunks, $[text] LIKE "Red%")', ({ chunks }) => chunks.length > 0],
    [
      'id > 10 && element_filter(chunks, $[n] == 23 && $[text] == "blue")',
      ({ chunks, id }) => id > 10 && chunks.some(({ n, text }) => n === 23 && text === 'blue'),
    ],
    [
      'MATCH_ANY(chunks, $[n] in {wanted})',
      ({ chunks }) => chunks.some(({ n }) => n === 5 || n === 7),
      { wanted: [5, 7] },
    ],
    ['MATCH_ALL(chunks, $[text] == "Red one")', ({ chunks }) => chunks.length <= 1],
    ['MATCH_LEAST(chunks, $[text] == "blue", 2)', ({ chunks }) => chunks.length === 3],
    ['MATCH_MOST(chunks, $[text] == "blue", threshold=1)', ({ chunks }) => chunks.length <= 2],
    ['match_exact(chunks, $[text] == "blue", 1)', ({ chunks }) => chunks.length === 2],
    [
      'array_contains(chunks[text], "blue") and array_length(chunks[n]) == 2',
      ({ chunks }) => chunks.length === 2,
    ],
  ],
  moments: [
    ["at < ISO '2025-01-03T00:00:00Z'", timed((at) => at < ms('2025-01-03T00:00:00Z'))],
    ["at == ISO '2025-01-03T10:00:00+08:00'", timed((at) => at === ms('2025-01-03T02:00:00Z'))],
    [
      "ISO '2025-01-02T00:00:00Z' <= at < ISO '2025-01-05T00:00:00Z'",
      timed((at) => at >= ms('2025-01-02T00:00:00Z') && at < ms('2025-01-05T00:00:00Z')),
    ],
    [
      "at + INTERVAL 'P1D' > ISO '2025-01-31T00:00:00Z'",
      timed((at) => at + DAY > ms('2025-01-31T00:00:00Z')),
    ],
    ["at + INTERVAL 'P1M' >= ISO '2025-02-28T00:00:00Z'", timed((at) => at >= ms('2025-01-28T00:00:00Z'))],
    [
      "at - INTERVAL 'PT1H' != ISO '2025-01-02T00:00:00Z' and at is not null",
      timed((at) => at !== ms('2025-01-02T01:00:00Z')),
    ],
    ['at in {days}', timed((at) => at === ms('2025-01-01T00:00:00Z')), { days: ['2025-01-01T00:00:00Z'] }],
    ['at > {day}', timed((at) => at > ms('2025-01-20T00:00:00Z')), { day: '2025-01-20 00:00:00' }],
    ['at is null', ({ at }) => at === null],
  ],
  geometries: [
    [
      "ST_WITHIN(place, 'POLYGON ((-1 -1, 10 -1, 10 10, -1 10, -1 -1))')",
      ({ id }) => (of(id, 0) && id < 10) || (of(id, 2) && id < 10),
    ],
    [
      "st_intersects(place, 'POLYGON ((0 0, 20 0, 0 20, 0 0))')",
      ({ id }) => (of(id, 0) && id <= 10) || (id <= 20 && id % 3 !== 0 && id % 10 !== 9),
    ],
    ["ST_CONTAINS(place, 'POINT (6 1)')", ({ id }) => id === 5],
    ["ST_TOUCHES(place, 'LINESTRING (0 50, 50 50)')", ({ id }) => of(id, 1)],
    ["ST_CROSSES(place, 'LINESTRING (0 40, 50 40)')", ({ id }) => of(id, 1)],
    ["ST_OVERLAPS(place, 'POLYGON ((6 1, 9 1, 9 3, 6 3, 6 1))')", ({ id }) => id === 5 || id === 8],
    ['ST_EQUALS(place, {wkt})', ({ id }) => id === 5, { wkt: 'POLYGON ((7 2, 7 0, 5 0, 5 2, 7 2))' }],
    ["ST_DWITHIN(place, 'POINT (3 3)', 1000)", ({ id }) => id === 3],
    ["ST_DWITHIN(place, 'POINT (3 3)', {d})", ({ id }) => id === 3 || id === 4 || id === 2, { d: 112_000 }],
    ['ST_ISVALID(place)', ({ place }) => place !== null],
    [
      "not ST_INTERSECTS(place, 'POLYGON ((0 0, 100 0, 100 100, 0 0))')",
      ({ place }) => place !== null && false,
    ],
    ['place is null', ({ place }) => place === null],
  ],
};

const all = Array.from({ length: COUNT }, (_, id) => row(id));

describe('the filter language', () => {
  const fixture = sharedServer();
  const collection_name = 'language';

  before(() => fill(fixture.client, collection_name, COUNT / 2));

  for (const [kind, list] of Object.entries(cases))
    test(`${kind}: ${list.length} filters by query, count(*) and search, over flushed and growing rows`, async () => {
      const { client } = fixture;
      for (const [filter, matches, exprValues = {}] of list) {
        const expected = all.filter(matches).map(({ id }) => String(id));
        const where = { collection_name, filter, exprValues };
        const { data } = await succeed(client.query({ ...where, output_fields: ['id'] }));
        assert.deepEqual(
          data.map(({ id }) => id),
          expected,
          filter,
        );
        const { results } = await succeed(
          client.search({ ...where, anns_field: 'vector', data: [0, 0], limit: COUNT }),
        );
        assert.deepEqual(
          results.map(({ id }) => id),
          expected,
          filter,
        );
      }
    });

  test('a moment without an offset is told in the zone of the call, else of the collection', async () => {
    const { client } = fixture;
    const ids = async (params: Record<string, string>) => {
      const filter = "at == '2025-01-01 08:00:00'";
      const asked = client.query({ collection_name, filter, output_fields: ['id'], params });
      return (await succeed(asked)).data.map(({ id }) => id);
    };
    assert.deepEqual(await ids({}), []);
    assert.deepEqual(await ids({ timezone: 'Asia/Shanghai' }), ['0']);
    const properties = { timezone: 'Asia/Shanghai' };
    await succeed(client.alterCollectionProperties({ collection_name, properties }));
    assert.deepEqual(await ids({}), ['0']);
    assert.deepEqual(await ids({ timezone: 'UTC' }), []);
  });

  test('random_sample takes a part of what everything else lets pass, by chance', async () => {
    const { client } = fixture;
    const filter = 'id >= 8 and random_sample(0.25)';
    const draws = new Set<string>();
    for (let i = 0; i < 20; i++) {
      const { data } = await succeed(client.query({ collection_name, filter, output_fields: ['id'] }));
      assert.ok(data.every(({ id }) => Number(id) >= 8));
      // A quarter of 12 flushed rows and of 20 growing ones.
      assert.equal(data.length, 8);
      draws.add(data.map(({ id }) => id).join());
    }
    assert.ok(draws.size > 5);
  });

  test('rows are deleted by any filter, and a restored collection is filtered alike', async () => {
    const { client } = fixture;
    const name = 'language_delete';
    await fill(client, name, 30);
    await succeed(client.createSnapshot({ snapshot_name: 'before', collection_name: name }));
    const filter =
      "ST_WITHIN(place, 'POLYGON ((0 0, 100 0, 100 2.5, 0 2.5, 0 0))') or MATCH_LEAST(chunks, $[n] >= 0, 3) or at < '2025-01-02T00:00:00Z'";
    const { data: doomed } = await succeed(
      client.count({ collection_name: name, filter }).then((answer) => answer),
    );
    assert.ok(doomed > 5 && doomed < COUNT);
    await succeed(client.delete({ collection_name: name, filter }));
    assert.equal((await succeed(client.count({ collection_name: name, filter }))).data, 0);
    assert.equal(
      (await succeed(client.count({ collection_name: name, filter: 'id >= 0' }))).data,
      COUNT - doomed,
    );
    await restore(client, {
      snapshot_name: 'before',
      source_collection_name: name,
      target_collection_name: 'language_restored',
    });
    await load(client, 'language_restored');
    assert.equal(
      (await succeed(client.count({ collection_name: 'language_restored', filter }))).data,
      doomed,
    );
  });

  test('a wrong filter is refused with its place, and the name that was meant', async () => {
    const { client } = fixture;
    const table: readonly (readonly [string, string])[] = [
      ['flags & == 1', 'offset 8: expected a field'],
      ['flag == 1 and $metaa["x"] == 1 and id == 1e', "offset 41: '1e' is not a number"],
      [
        'MATCH_ANY(chunks, $[txt] == "x")',
        "offset 18: the structs of 'chunks' have no field 'txt'; did you mean 'text'?",
      ],
      ['at > 5', 'comparisons between Timestamptz and Int64 are not supported'],
      ["ST_WITHIN(place, 'POINT (1')", 'offset 17: invalid geometry'],
      ['name =~ "("', 'offset 8: no RE2 expression'],
      ['id > 1 or random_sample(0.5)', 'offset 10: random_sample'],
      ['id > {missing}', "no value was given for the template variable 'missing'"],
      ['TEXT_MATCH(name, "x")', "field 'name' does not enable match"],
      ['id == 1\nand\n  flags ==', 'line 3, column 11'],
    ];
    for (const [filter, words] of table)
      await refused(client.query({ collection_name, filter, output_fields: ['id'] }), { code: 1100, words });
    await refused(client.query({ collection_name, filter: 'membership_match(id, {ids})' }), {
      code: UNIMPLEMENTED,
      words: 'MEMBERSHIP_MATCH is not implemented',
    });
  });

  test('filters made to hurt are refused, and the server answers others meanwhile', async () => {
    const { client } = fixture;
    const hostile = [
      `${'('.repeat(10_000)}id == 1${')'.repeat(10_000)}`,
      `${Array(10_000).fill('id').join(' + ')} == 1`,
      `meta${'["a"]'.repeat(10_000)} == 1`,
      `name =~ "${'(a|b)*'.repeat(10_000)}"`,
      'x'.repeat(9 * 2 ** 20),
    ];
    const answers = hostile.map((filter) =>
      refused(client.query({ collection_name, filter }), { code: 1100, words: '' }),
    );
    const { data } = await succeed(
      client.query({ collection_name, filter: 'id == 3', output_fields: ['id'] }),
    );
    assert.equal(data.length, 1);
    await Promise.all(answers);
  });
});
