import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { isDbError } from '../../errors/db-error.ts';
import type { HybridTime } from '../../model/hybrid-time.ts';
import type {
  BuildId,
  CollectionId,
  FieldId,
  IndexId,
  PartitionId,
  SegmentId,
  SnapshotId,
} from '../../model/ids.ts';
import { writeLong } from './avro-bytes.ts';
import { decodeManifest, encodeManifest, MAX_SEGMENTS_PER_MANIFEST } from './manifest.ts';
import { decodeMetadata, decodeMetadataInSlices, encodeMetadata, type SnapshotMetadata } from './metadata.ts';
import type { SnapshotSegment } from './segment.ts';

const big = 2n ** 62n + 3n;
const segment = (n: number): SnapshotSegment => ({
  segmentId: (big + BigInt(n)) as SegmentId,
  partitionId: (n % 2 === 0 ? -1n : 7n) as PartitionId,
  channel: 'tidemark-dml_0_1v0',
  level: n % 2 === 0 ? 'L0' : 'L1',
  rowCount: 2 ** 40 + n,
  minTs: big as HybridTime,
  maxTs: (big + 5n) as HybridTime,
  files: [
    {
      kind: 'rows',
      key: `segments/1/7/${n}/rows.parquet`,
      sizeBytes: 2 ** 33,
      crc32: 0xffff_ffff,
      etag: '"ä"',
    },
    { kind: 'deletes', key: `segments/1/7/${n}/deletes.parquet`, sizeBytes: 0, crc32: 0, etag: '' },
  ],
  indexes:
    n % 2 === 0
      ? []
      : [
          {
            indexId: 9n as IndexId,
            buildId: (big + 9n) as BuildId,
            fieldId: 101 as FieldId,
            kind: 'HNSW',
            file: {
              kind: 'index',
              key: `segments/1/7/${n}/index/101/9.index`,
              sizeBytes: 5,
              crc32: 1,
              etag: 'x',
            },
          },
        ],
});
const segments = [segment(1), segment(2), segment(3)];
const flags = { description: '', isPrimaryKey: false, autoId: false, nullable: false, isDynamic: false };
const metadata: SnapshotMetadata = {
  snapshot: {
    snapshotId: 12n as SnapshotId,
    collectionId: big as CollectionId,
    name: 'snap',
    description: 'a "quoted" word',
    createTs: big as HybridTime,
  },
  collection: {
    name: 'words',
    shardsNum: 1,
    channels: ['tidemark-dml_0_1v0'],
    consistencyLevel: 'Bounded',
    properties: { 'collection.ttl.seconds': '60', __proto: 'x' },
    schema: {
      description: 'of words',
      enableDynamicField: true,
      version: 3,
      fields: [
        {
          ...flags,
          fieldId: 100 as FieldId,
          name: 'id',
          dataType: 'Int64',
          isPrimaryKey: true,
          typeParams: {},
        },
        {
          ...flags,
          fieldId: 101 as FieldId,
          name: 'v',
          dataType: 'FloatVector',
          dim: 4,
          typeParams: { dim: '4' },
        },
        {
          ...flags,
          fieldId: 102 as FieldId,
          name: 'tags',
          dataType: 'Array',
          elementType: 'VarChar',
          maxLength: 10,
          maxCapacity: 4,
          nullable: true,
          typeParams: {},
        },
        {
          ...flags,
          fieldId: 103 as FieldId,
          name: 'n',
          dataType: 'Int64',
          defaultValue: big,
          typeParams: {},
        },
        {
          ...flags,
          fieldId: 104 as FieldId,
          name: 'f',
          dataType: 'Double',
          defaultValue: -0,
          typeParams: {},
        },
        {
          ...flags,
          fieldId: 105 as FieldId,
          name: 'b',
          dataType: 'Bool',
          defaultValue: false,
          typeParams: {},
        },
        {
          ...flags,
          fieldId: 106 as FieldId,
          name: 's',
          dataType: 'VarChar',
          defaultValue: 'true',
          typeParams: {},
        },
      ],
    },
  },
  partitions: [{ partitionId: 7n as PartitionId, name: '_default' }],
  indexes: [{ indexId: 9n as IndexId, fieldId: 101 as FieldId, name: 'v', params: { index_type: 'HNSW' } }],
  segmentIds: segments.map((s) => s.segmentId),
  buildIds: [(big + 9n) as BuildId, (big + 10n) as BuildId],
  manifests: [
    { key: 'snapshots/1/manifests/12/0.avro', sizeBytes: 10, crc32: 4_000_000_000, segmentCount: 3 },
  ],
};

/** The file as released: never written again. */
const golden = (name: string): Uint8Array =>
  readFileSync(join(import.meta.dirname, '../../../../tests/golden', name));

test('manifest and metadata come back as they went in', async () => {
  assert.deepEqual(decodeManifest(encodeManifest(segments), 'x'), segments);
  assert.deepEqual(decodeMetadata(await encodeMetadata(metadata), 'x'), metadata);
  const agePauses = [
    { upTo: 5n as HybridTime, ms: 90 },
    { upTo: big as HybridTime, ms: 0 },
  ];
  const restored = { ...metadata, collection: { ...metadata.collection, agePauses } };
  assert.deepEqual(decodeMetadata(await encodeMetadata(restored), 'x'), restored);
});

test('metadata keeps struct arrays, vectors of every type, and defaults of moments and geometries', async () => {
  const plainField = { ...flags, typeParams: {} };
  const list = { ...plainField, nullable: true, structFieldId: 201 as FieldId, maxCapacity: 4 };
  const vectorTypes = ['BinaryVector', 'Float16Vector', 'BFloat16Vector', 'Int8Vector'] as const;
  const { collection } = metadata;
  const full = {
    ...metadata,
    collection: {
      ...collection,
      schema: {
        ...collection.schema,
        fields: [
          ...collection.schema.fields,
          ...vectorTypes.map((dataType, i) => ({
            ...plainField,
            fieldId: (110 + i) as FieldId,
            name: dataType,
            dataType,
            dim: 16,
          })),
          { ...plainField, fieldId: 120 as FieldId, name: 'sp', dataType: 'SparseFloatVector' as const },
          {
            ...plainField,
            fieldId: 121 as FieldId,
            name: 't',
            dataType: 'Timestamptz' as const,
            defaultValue: -62_135_596_800_000_000n,
          },
          {
            ...plainField,
            fieldId: 122 as FieldId,
            name: 'g',
            dataType: 'Geometry' as const,
            defaultValue: 'POINT(1 2)',
          },
          {
            ...list,
            fieldId: 202 as FieldId,
            name: 's[n]',
            dataType: 'Array' as const,
            elementType: 'Int64' as const,
          },
          {
            ...list,
            fieldId: 203 as FieldId,
            name: 's[v]',
            dataType: 'ArrayOfVector' as const,
            elementType: 'Int8Vector' as const,
            dim: 2,
          },
        ],
        structs: [
          {
            fieldId: 201 as FieldId,
            name: 's',
            description: 'clips',
            maxCapacity: 4,
            nullable: true,
            typeParams: { 'mmap.enabled': 'true' },
          },
        ],
      },
    },
  };
  assert.deepEqual(decodeMetadata(await encodeMetadata(full), 'x'), full);
});

test('the bytes of version 1 are those of the golden files, both ways', async () => {
  const manifest = encodeManifest(segments);
  assert.deepEqual(Buffer.from(manifest), golden('snapshot-manifest-v1.avro'));
  assert.deepEqual(decodeManifest(golden('snapshot-manifest-v1.avro'), 'x'), segments);
  const json = await encodeMetadata(metadata);
  assert.deepEqual(Buffer.from(json), golden('snapshot-metadata-v1.json'));
  assert.deepEqual(decodeMetadata(golden('snapshot-metadata-v1.json'), 'x'), metadata);
});

test('the documented schema of a manifest is the one in the golden file', () => {
  const documented = readFileSync(join(import.meta.dirname, '../../../../docs/formats.md'), 'utf8');
  const [, schema = ''] = /```\n(\{"name":"Segment"[^`]*)```/.exec(documented) ?? [];
  assert.ok(schema !== '');
  assert.ok(Buffer.from(golden('snapshot-manifest-v1.avro')).includes(schema.replaceAll('\n', '')));
});

test('any other Avro reader can read a manifest', async () => {
  const { default: avro } = await import('avsc');
  const read: { segment_id: bigint }[] = [];
  const long = avro.types.LongType.__with({
    fromBuffer: (bytes: Buffer) => bytes.readBigInt64LE(),
    toBuffer: () => Buffer.alloc(8),
    fromJSON: BigInt,
    toJSON: String,
    isValid: () => true,
    compare: () => 0,
  });
  const decoder = new avro.streams.BlockDecoder({
    parseHook: (schema: unknown) => avro.Type.forSchema(schema as never, { registry: { long } }),
  });
  decoder.on('data', (record: { segment_id: bigint }) => read.push(record));
  decoder.end(Buffer.from(encodeManifest(segments)));
  await new Promise((resolve, reject) => decoder.on('end', resolve).on('error', reject));
  assert.deepEqual(
    read.map((record) => record.segment_id),
    segments.map((s) => s.segmentId),
  );
});

const refusedAs = (words: string) => (error: unknown) =>
  isDbError(error, 'data-integrity') && error.message === `here: not a manifest: ${words}`;

/** Where the count of records stands: behind magic, header and sync marker. */
function headerBytes(bytes: Uint8Array): number {
  const sync = bytes.subarray(bytes.length - 16);
  return Buffer.from(bytes).indexOf(sync) + sync.length;
}

const isRefused = (read: () => unknown): boolean => {
  try {
    read();
    return false;
  } catch (error) {
    assert.ok(isDbError(error, 'data-integrity'), `${error}`);
    assert.ok(error.message.startsWith('here: '));
    return true;
  }
};

test('a manifest with any byte changed, missing or added is refused', () => {
  const bytes = encodeManifest(segments);
  for (let at = 0; at < bytes.length; at++) {
    const changed = Uint8Array.from(bytes);
    changed[at] = (changed[at] as number) ^ (1 << (at % 8));
    assert.ok(
      isRefused(() => decodeManifest(changed, 'here')),
      `byte ${at}`,
    );
    assert.ok(
      isRefused(() => decodeManifest(bytes.subarray(0, at), 'here')),
      `cut at ${at}`,
    );
  }
  assert.ok(isRefused(() => decodeManifest(Buffer.concat([bytes, bytes]), 'here')));
});

/** The bytes of a manifest of `one`, a number of its record replaced, with the checksum that is right for it. */
function forged(one: SnapshotSegment, from: bigint, to: bigint): Uint8Array {
  const bytes = Buffer.from(encodeManifest([one]));
  const start = headerBytes(bytes);
  // Behind a count of one byte and a length.
  let first = start + 1;
  while ((bytes[first] as number) >= 0x80) first++;
  const records = bytes.subarray(first + 1, -16);
  const at = records.indexOf(writeLong(from));
  assert.ok(at >= 0 && records.indexOf(writeLong(from), at + 1) < 0, 'the number is there once');
  const wrong = Buffer.concat([
    records.subarray(0, at),
    writeLong(to),
    records.subarray(at + writeLong(from).length),
  ]);
  const sync = createHash('sha256').update(wrong).digest().subarray(0, 16);
  return Buffer.concat([
    bytes.subarray(0, start - 16),
    sync,
    writeLong(1n),
    writeLong(BigInt(wrong.length)),
    wrong,
    sync,
  ]);
}

test('a whole manifest that says what cannot be is refused with its words', () => {
  const one = { ...segment(1), segmentId: 1001n as SegmentId, rowCount: 1002, indexes: [] };
  const file = { kind: 'rows', key: 'rows', sizeBytes: 1003, crc32: 1004, etag: '' } as const;
  const index = {
    indexId: 1n,
    buildId: 1n,
    fieldId: 1005,
    kind: 'HNSW',
    file,
  } as unknown as SnapshotSegment['indexes'][number];
  const filed = { ...one, files: [file] };
  const wrong: readonly (readonly [SnapshotSegment, bigint, bigint, string])[] = [
    [one, 1001n, 0n, 'segment id 0'],
    [one, 1001n, -5n, 'segment id -5'],
    [one, 1002n, -1n, 'row count -1'],
    [filed, 1003n, -1n, 'size -1'],
    [filed, 1004n, -1n, 'checksum -1'],
    [filed, 1004n, 2n ** 32n, 'checksum 4294967296'],
    [{ ...one, files: [], indexes: [index] }, 1005n, 2n ** 31n, 'field id 2147483648'],
  ];
  for (const [each, from, to, words] of wrong)
    assert.throws(() => decodeManifest(forged(each, from, to), 'here'), refusedAs(words), words);
  const named: readonly (readonly [SnapshotSegment, string])[] = [
    [{ ...one, level: 'L9' as never }, 'symbol 2147483647'],
    [{ ...one, files: [{ ...file, key: '../rows.parquet' }] }, "'../rows.parquet' is no object key"],
  ];
  for (const [each, words] of named)
    assert.throws(() => decodeManifest(encodeManifest([each]), 'here'), refusedAs(words), words);
});

test('a manifest has as many records as it counts, at least one', () => {
  const counting = (bytes: Uint8Array, count: bigint): Uint8Array => {
    const at = Buffer.from(bytes).indexOf(writeLong(BigInt(segments.length)), headerBytes(bytes));
    const rest = bytes.subarray(at + writeLong(BigInt(segments.length)).length);
    return Buffer.concat([bytes.subarray(0, at), writeLong(count), rest]);
  };
  const bytes = encodeManifest(segments);
  assert.deepEqual(decodeManifest(counting(bytes, BigInt(segments.length)), 'here'), segments);
  assert.throws(() => decodeManifest(counting(bytes, 2n), 'here'), refusedAs('bytes after the last record'));
  for (const count of [0n, -1n, BigInt(MAX_SEGMENTS_PER_MANIFEST) + 1n, 2n ** 40n])
    assert.throws(() => decodeManifest(counting(bytes, count), 'here'), refusedAs(`${count} segments`));
});

test('no bytes make the decoders do anything but answer or refuse', () => {
  const bytes = encodeManifest(segments);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(bytes.length), (noise, at) => {
      isRefused(() => decodeManifest(noise, 'here'));
      isRefused(() => decodeManifest(Buffer.concat([bytes.subarray(0, at), noise]), 'here'));
      isRefused(() => decodeMetadata(noise, 'here'));
    }),
    { seed: 1, numRuns: 300 },
  );
  fc.assert(
    fc.property(fc.json(), (text) => {
      assert.ok(isRefused(() => decodeMetadata(new TextEncoder().encode(text), 'here')));
    }),
    { seed: 2, numRuns: 300 },
  );
});

test('metadata with a field of the wrong shape is refused', async () => {
  const text = new TextDecoder().decode(await encodeMetadata(metadata));
  const rows: [string, string][] = [
    ['"name":"snap"', '"name":5'],
    ['"id":"12"', '"id":12'],
    ['"id":"12"', '"id":"99999999999999999999"'],
    ['"data_type":"Int64"', '"data_type":"Int65"'],
    ['"segment_count":3', '"segment_count":2'],
    ['"shards_num":1', '"shards_num":-1'],
    ['"shards_num":1', '"shards_num":2'],
    [`"segment_ids":["${segments[0]?.segmentId}"`, `"segment_ids":["${segments[1]?.segmentId}"`],
  ];
  for (const [from, to] of rows) {
    assert.ok(text.includes(from), from);
    assert.ok(
      isRefused(() => decodeMetadata(new TextEncoder().encode(text.replace(from, to)), 'here')),
      to,
    );
  }
});

test('a newer format is refused by name', async () => {
  const json = new TextDecoder()
    .decode(await encodeMetadata(metadata))
    .replace('"format_version":1', '"format_version":2');
  const tooNew = (e: unknown) =>
    isDbError(e, 'data-integrity') &&
    e.message.includes('snapshot format version 2 is too new, current supported version: 1');
  assert.throws(() => decodeMetadata(new TextEncoder().encode(json), 'x'), tooNew);
  const manifest = Buffer.from(encodeManifest(segments));
  const at = manifest.indexOf('format_version') + 'format_version'.length + 1;
  manifest[at] = '2'.charCodeAt(0);
  assert.throws(() => decodeManifest(manifest, 'x'), tooNew);
});

test('a manifest holds a bounded number of segments', () => {
  assert.throws(() => encodeManifest([]));
  assert.throws(() => encodeManifest(new Array(MAX_SEGMENTS_PER_MANIFEST + 1).fill(segment(1))));
});

test('metadata read in slices gives the same answer to any text as metadata read at once', async () => {
  const text = new TextDecoder().decode(await encodeMetadata(metadata));
  const answer = async (read: (bytes: Uint8Array) => unknown, json: string) => {
    try {
      return await read(new TextEncoder().encode(json));
    } catch (error) {
      return `${error}`;
    }
  };
  const same = async (json: string) => {
    const expected = await answer((bytes) => decodeMetadata(bytes, 'x'), json);
    assert.deepEqual(await answer((bytes) => decodeMetadataInSlices(bytes, 'x'), json), expected, json);
    return expected;
  };
  assert.deepEqual(await same(text), metadata);
  const [first, second] = metadata.segmentIds;
  const list = `"segment_ids":["${first}"`;
  assert.ok(text.includes(list));
  for (const json of [
    text.replace(list, `"segment_ids":["${second}"`),
    text.replace(list, '"segment_ids":[""'),
    text.replace(list, '"segment_ids":["-5"'),
    text.replace(list, '"segment_ids":["9223372036854775808"'),
    text.replace(list, '"segment_ids":["007"'),
    text.replace(list, '"segment_ids":["1e3"'),
    text.replace(list, '"segment_ids":[5'),
    text.replace(list, `"segment_ids": ["${first}"`),
    text.replace('"build_ids"', '"other":{"segment_ids":["1"],"build_ids":[]},"build_ids"'),
    text.replace(/}$/, ',"later":1}'),
    text.replace('"name":"snap"', `"name":"a\\",\\"segment_ids\\":[\\"1\\"],\\"build_ids\\":[]}"`),
    text.replace('"name":"snap"', '"name":"a,"segment_ids":["1"],"build_ids":[]}'),
    text.replace(/,"segment_ids".*$/, '}'),
    `{"format_version":2,"segment_ids":[],"build_ids":[]}`,
    `{"x":{"y":1,"segment_ids":[],"build_ids":[]}`,
    `{"x":[{"y":1,"segment_ids":[],"build_ids":[]}`,
  ])
    await same(json);
  await fc.assert(
    fc.asyncProperty(
      fc.nat(text.length),
      fc.nat(40),
      fc.string({ maxLength: 6 }),
      async (at, length, noise) => {
        await same(text.slice(0, at) + noise + text.slice(at + length));
      },
    ),
    { seed: 4, numRuns: 500 },
  );
});
