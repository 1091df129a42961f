/** Decoders of what stands on disks and in object stores. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { decodeRecord, encodeRecord } from '../../src/catalog/codec.ts';
import { assertSoundFile } from '../../src/catalog/lmdb-file.ts';
import { decodeMarker, encodeMarker } from '../../src/coordinator/gc/identity.ts';
import { decodeManifest, encodeManifest } from '../../src/coordinator/snapshot/manifest.ts';
import {
  decodeMetadata,
  decodeMetadataInSlices,
  encodeMetadata,
} from '../../src/coordinator/snapshot/metadata.ts';
import { isDbError } from '../../src/errors/db-error.ts';
import type { HybridTime } from '../../src/model/hybrid-time.ts';
import type { FieldId } from '../../src/model/ids.ts';
import { encodeDeletes, readDeletes } from '../../src/segment/deletes-file.ts';
import type { RangedReader } from '../../src/segment/parquet-reader.ts';
import { encodeRows, readColumns, readRowsMeta, readTimestamps } from '../../src/segment/rows-file.ts';
import { decodeStats, encodeStats } from '../../src/segment/stats.ts';
import { openDataDir } from '../../src/storage/data-dir.ts';
import {
  indexKey,
  parseKey,
  rowsKey,
  snapshotManifestKey,
  snapshotMetadataKey,
  statsKey,
} from '../../src/storage/keys.ts';
import { crc32 } from '../../src/support/crc32.ts';
import { bytesOf, floatsOf, VectorArena } from '../../src/vector-index/arena.ts';
import { HnswIndex } from '../../src/vector-index/hnsw.ts';
import { buildHnsw } from '../../src/vector-index/hnsw-build.ts';
import { hnswLayout, readHnswHeader } from '../../src/vector-index/hnsw-file.ts';
import {
  decodeFileHeader,
  encodeFileHeader,
  encodeRecordHeader,
  FILE_HEADER_BYTES,
  paddedLength,
  scanRecords,
} from '../../src/wal/frame.ts';
import { decodeWrite, encodeWrite } from '../../src/wal/message.ts';
import { keys, write } from '../arbitrary-rows.ts';
import { fieldOf, segment } from '../arbitrary-segment.ts';
import { clusteredVectors } from '../vectors.ts';
import type { Decoder } from './harness.ts';
import { varint } from './mutations.ts';

const isDamage = (error: unknown): boolean => isDbError(error, 'data-integrity');
const sample = <T>(of: fc.Arbitrary<T>, count: number): T[] => fc.sample(of, { numRuns: count, seed: 5 });
const golden = (name: string): Buffer =>
  readFileSync(join(import.meta.dirname, '../../../tests/golden', name));
const sign = (bytes: Buffer, at: number, from: number, to: number): Buffer => {
  if (at + 4 > bytes.length || at < 0) return bytes;
  const signed = Buffer.from(bytes);
  signed.writeUInt32LE(crc32(signed.subarray(from, to)), at);
  return signed;
};

const writes = sample(write, 40).map((each) => new Uint8Array(Buffer.concat(encodeWrite(each))));

const logRecord: Decoder = {
  name: 'log-record',
  covers: ['wal/message.ts', 'wal/cursor.ts'],
  corpus: writes,
  decode: (bytes) => {
    const read = decodeWrite(bytes);
    // What is believed can be written and read again.
    assert.deepEqual(decodeWrite(new Uint8Array(Buffer.concat(encodeWrite(read)))), read);
  },
  refuses: isDamage,
};

const SALT = 0x1234_5678_9abc_def0n;

/** A log file as both adapters write it. */
export function logFile(payloads: readonly Uint8Array[]): Buffer {
  let bytes = Buffer.from(encodeFileHeader(1, SALT));
  let durableBytes = FILE_HEADER_BYTES;
  for (const [n, payload] of payloads.entries()) {
    const place = { offset: bytes.length, salt: SALT, durableBytes };
    const record = Buffer.concat([encodeRecordHeader(BigInt(n) as HybridTime, [payload], place), payload]);
    durableBytes = bytes.length;
    bytes = Buffer.concat([bytes, record, Buffer.alloc(paddedLength(record.length) - record.length)]);
  }
  return bytes;
}

/** The payloads of its intact records. Fails when the reader reads outside. */
export async function scanLog(bytes: Uint8Array, isLast: boolean): Promise<Uint8Array[]> {
  const salt = decodeFileHeader(bytes.subarray(0, FILE_HEADER_BYTES), 1, '1.log');
  const source = {
    name: '1.log',
    size: bytes.length,
    read: (offset: number, length: number) => {
      assert.ok(offset >= 0 && length >= 0 && offset + length <= bytes.length, 'read outside');
      return Promise.resolve(new Uint8Array(bytes.slice(offset, offset + length)));
    },
  };
  const found: Uint8Array[] = [];
  for await (const { payload } of scanRecords(source, salt, isLast)) found.push(payload);
  return found;
}

const known = new Set(writes.map((payload) => Buffer.from(payload).toString('base64')));
const log: Decoder = {
  name: 'log-file',
  covers: ['wal/frame.ts', 'wal/file-io.ts', 'wal/file-reader.ts', 'wal/file.ts', 'wal/memory.ts'],
  corpus: [
    logFile([]),
    logFile(writes.slice(0, 3)),
    logFile(writes.slice(3, 10)),
    logFile(writes.slice(10, 12)),
  ],
  decode: async (bytes) => {
    for (const payload of await scanLog(bytes, true))
      assert.ok(known.has(Buffer.from(payload).toString('base64')), 'a record that nobody has written');
  },
  refuses: isDamage,
};

const catalogRecord: Decoder = {
  name: 'catalog-record',
  covers: ['catalog/codec.ts'],
  corpus: [
    { id: 77n, name: 'abc', list: [1, 2, 3], deep: { of: { of: [] } } },
    {
      ids: Array.from({ length: 40 }, (_, n) => BigInt(n)),
      bytes: new Uint8Array(20),
      none: null,
      is: true,
      at: 0.5,
    },
    { text: 'é😀'.repeat(30), low: -(2n ** 63n), wide: 2n ** 70n, when: new Date(0), set: new Set([1]) },
  ].map((record) => encodeRecord(1, record)),
  words: [
    '\xdd\x02\x00\x00\x00',
    '\xdd\xff\xff\xff\xff',
    '\xdf\xff\xff\xff\xff',
    '\x92\x01',
    '\xdc\xff\xff',
    '\xc9\x00\x00\x00\xff',
  ],
  decode: (bytes) => decodeRecord(1, bytes, 'key'),
  refuses: isDamage,
};

/** The head of a catalog file as LMDB writes it: two meta pages. */
function lmdbHead(): Buffer {
  const page = 4096;
  const bytes = Buffer.alloc(5 * page);
  for (const [n, start] of [24, page + 24].entries()) {
    bytes.writeUInt32LE(0xbeef_c0de, start);
    bytes.writeUInt32LE(3, start + 4);
    bytes.writeUInt32LE(page, start + 24);
    bytes.writeBigUInt64LE(2n ** 64n - 1n, start + 64);
    bytes.writeBigUInt64LE(3n, start + 112);
    bytes.writeBigUInt64LE(BigInt(n + 5), start + 128);
  }
  return bytes;
}

const catalogFile: Decoder = {
  name: 'catalog-file',
  covers: ['catalog/lmdb-file.ts'],
  corpus: [lmdbHead()],
  decode: async (bytes) => {
    const path = await mkdtemp(join(tmpdir(), 'tidemark-fuzz-'));
    try {
      await writeFile(join(path, 'data.mdb'), bytes);
      await assertSoundFile(path);
    } finally {
      await rm(path, { recursive: true });
    }
  },
  refuses: isDamage,
  isSlow: true,
};

const manifestBytes = golden('snapshot-manifest-v1.avro');
const manifest: Decoder = {
  name: 'snapshot-manifest',
  covers: ['coordinator/snapshot/manifest.ts', 'coordinator/snapshot/avro-bytes.ts'],
  corpus: [manifestBytes],
  decode: (bytes) => {
    const segments = decodeManifest(bytes, 'here');
    assert.ok(Buffer.from(encodeManifest(segments)).equals(bytes), 'bytes that nobody has written');
  },
  refuses: isDamage,
};

const versionKey = 'tidemark.format_version';
const header = manifestBytes.subarray(0, manifestBytes.indexOf(versionKey) + versionKey.length + 3);
const long = (value: bigint): Uint8Array => varint((value << 1n) ^ (value >> 63n));
const records = (segments: Parameters<typeof encodeManifest>[0]): Uint8Array => {
  const whole = Buffer.from(encodeManifest(segments));
  const sized = whole.subarray(header.length + 16, whole.length - 16);
  let at = 0;
  for (let numbers = 0; numbers < 2; at++) if ((sized[at] ?? 0) < 0x80) numbers++;
  return Buffer.concat([Uint8Array.of(segments.length), sized.subarray(at)]);
};
const goldenSegments = decodeManifest(manifestBytes, 'golden');

/** Input: how many records, then records; the container around them is right. */
const manifestRecords: Decoder = {
  name: 'snapshot-manifest-records',
  covers: ['coordinator/snapshot/manifest-records.ts'],
  corpus: [records(goldenSegments), records(goldenSegments.slice(0, 1))],
  decode: (bytes) => {
    const inner = bytes.subarray(1);
    const sync = createHash('sha256').update(inner).digest().subarray(0, 16);
    const count = long(BigInt(bytes[0] ?? 0));
    const segments = decodeManifest(
      Buffer.concat([header, sync, count, long(BigInt(inner.length)), inner, sync]),
      'here',
    );
    assert.deepEqual(decodeManifest(encodeManifest(segments), 'again'), segments);
    for (const { files } of segments) for (const { key } of files) assert.match(key, /^[\w.-]+(\/[\w.-]+)*$/);
  },
  refuses: isDamage,
};

const metadata: Decoder = {
  name: 'snapshot-metadata',
  covers: [
    'coordinator/snapshot/metadata.ts',
    'coordinator/snapshot/id-scan.ts',
    'coordinator/snapshot/json-reader.ts',
    'coordinator/snapshot/schema-json.ts',
    'coordinator/snapshot/reader.ts',
  ],
  corpus: [golden('snapshot-metadata-v1.json')],
  words: [
    '{',
    '[',
    '"',
    ',',
    '":',
    '"1"',
    '{"a":',
    '1e999',
    '-1',
    'null',
    'true',
    '"\\ud800"',
    '9007199254740993',
    '"__proto__":',
    '"segment_ids":[',
    '"format_version":2,',
  ],
  decode: async (bytes) => {
    const sliced = await decodeMetadataInSlices(bytes, 'here').catch((error: unknown) => {
      if (!isDamage(error)) throw error;
      return undefined;
    });
    let whole: ReturnType<typeof decodeMetadata> | undefined;
    try {
      whole = decodeMetadata(bytes, 'here');
    } finally {
      assert.deepEqual(sliced, whole);
    }
    assert.deepEqual(decodeMetadata(await encodeMetadata(whole), 'again'), whole);
  },
  refuses: isDamage,
};

/** Fails when the reader reads outside. */
const strictReader = (bytes: Uint8Array): RangedReader => ({
  sizeBytes: bytes.length,
  read: (offset, length) => {
    assert.ok(offset >= 0 && length >= 0 && offset + length <= bytes.length, 'read outside');
    return Promise.resolve(new Uint8Array(bytes.slice(offset, offset + length)));
  },
});

const parquetModules = ['segment/parquet-reader.ts', 'segment/decode-column.ts', 'segment/levels.ts'];
/** Thrift: a list of 2^25 lists, a struct in a struct, a long number. */
const thriftWords = [
  '\xf9\x80\x80\x80\x10',
  '\x1c',
  '\x9c',
  '\xff',
  '\x80',
  '\x19',
  '\x2c',
  '{"dim":',
  '"dim":1048576',
  '"isOptional":true',
  '"columns":[',
];

const rowsFile: Decoder = {
  name: 'rows-file',
  covers: [...parquetModules, 'segment/rows-file.ts'],
  corpus: sample(segment, 30).map(({ fields, writes: each }) => encodeRows(fields, each)),
  words: thriftWords,
  decode: async (bytes) => {
    const reader = strictReader(bytes);
    const meta = await readRowsMeta(reader);
    const fields = [...meta.fields].map(([fieldId, { name, dataType, elementType, dim, isOptional }]) => ({
      ...fieldOf(fieldId, { layout: 'fixed', type: 'Bool', values: new Uint8Array() }, isOptional),
      name,
      dataType,
      ...(elementType === undefined ? {} : { elementType }),
      // A reader asks for the dimension of its schema; this one is far above any.
      ...(dim === undefined || dim > 32_768 ? {} : { dim }),
    }));
    const columns = await readColumns(reader, meta, fields);
    const timestamps = await readTimestamps(reader, meta);
    assert.equal(timestamps.length, meta.rowCount);
    // What is believed can be written again.
    const rows = { rowCount: meta.rowCount, columns };
    if (meta.rowCount > 0) encodeRows(fields, [{ ts: 1n as HybridTime, rows }]);
  },
  refuses: isDamage,
};

const deletesFile: Decoder = {
  name: 'deletes-file',
  covers: [...parquetModules, 'segment/deletes-file.ts'],
  corpus: sample(keys, 20)
    .filter(({ values }) => values.length > 0)
    .map((each) => encodeDeletes([{ ts: 5n as HybridTime, keys: each }])),
  words: thriftWords,
  decode: async (bytes) => {
    const { keys: read, timestamps } = await readDeletes(strictReader(bytes));
    assert.equal(read.values.length, timestamps.length);
  },
  refuses: isDamage,
};

const statistics: Decoder = {
  name: 'statistics',
  covers: ['segment/stats.ts'],
  corpus: [
    { minKey: -5n, maxKey: 2n ** 63n - 1n },
    { minKey: '', maxKey: 'é😀'.repeat(9) },
  ].map((range) => encodeStats({ rowCount: 3, minTs: 1n as HybridTime, maxTs: 2n as HybridTime, ...range })),
  repair: (bytes) => sign(bytes, bytes.length - 4, 0, bytes.length - 4),
  decode: decodeStats,
  refuses: isDamage,
};

const DIM = 4;
const ROWS = 80;
const vectors = clusteredVectors(ROWS, DIM, { clusters: 4, latent: 2 });
for (let row = 0; row < ROWS; row += 9) vectors.set(vectors.subarray(0, DIM), row * DIM);
let arena: VectorArena | undefined;
const hnswIndex: Decoder = {
  name: 'hnsw-index',
  covers: ['vector-index/hnsw-file.ts', 'vector-index/hnsw.ts'],
  corpus: (['L2', 'IP', 'COSINE'] as const).map((metric) =>
    buildHnsw({ vectors, dim: DIM, metric, params: { M: 2, efConstruction: 10 } }),
  ),
  repair: (bytes) => sign(bytes, 12, 16, bytes.length),
  decode: async (bytes) => {
    const { metric } = readHnswHeader(bytes);
    arena ??= new VectorArena({ maxBytes: 1 << 30 });
    const [rows, graph] = arena.allocateGroup([vectors.byteLength, bytes.length]);
    assert.ok(rows !== undefined && graph !== undefined);
    try {
      floatsOf(rows).set(vectors);
      bytesOf(graph).set(bytes);
      const index = await HnswIndex.open(arena, rows, graph, { rowCount: ROWS, dim: DIM, metric });
      assert.equal(hnswLayout(index.header).totalBytes, bytes.length);
      const hits = index.search({
        queries: vectors.subarray(0, 5 * DIM),
        queryCount: 5,
        k: 3,
        ef: 3,
        way: 'graph',
      });
      for (const row of hits.rows) assert.ok(row < ROWS);
    } finally {
      arena.free(graph);
      arena.free(rows);
    }
  },
  refuses: isDamage,
};

const storeIdentity: Decoder = {
  name: 'store-identity',
  covers: ['coordinator/gc/identity.ts'],
  corpus: [encodeMarker(77n), encodeMarker(2n ** 63n - 1n)],
  words: ['{', '[', '"', '"format":2', 'null', '"storeId":"0"'],
  decode: (bytes) => {
    const marker = decodeMarker(bytes);
    if (marker.is === 'present') assert.deepEqual(decodeMarker(encodeMarker(marker.storeId)), marker);
  },
  refuses: () => false,
};

const place = { collectionId: 1n as never, partitionId: -1n as never, segmentId: 3n as never };
const objectKey: Decoder = {
  name: 'object-key',
  covers: ['storage/keys.ts'],
  corpus: [
    rowsKey(place),
    statsKey({ ...place, partitionId: 2n as never }),
    indexKey(place, 100 as FieldId, 9n as never),
    snapshotMetadataKey(1n as never, 2n as never),
    snapshotManifestKey(1n as never, 2n as never, 3),
  ].map((key) => Buffer.from(key)),
  words: ['/', '..', '0', '99999999999999999999', '\0', 'segments/', 'snapshots/', '.parquet', '-1', '\n'],
  decode: (bytes) => {
    const key = Buffer.from(bytes).toString();
    const parsed = parseKey(key);
    if (parsed.kind === 'rows') assert.equal(rowsKey(parsed), key);
    if (parsed.kind === 'index') assert.equal(indexKey(parsed, parsed.fieldId, parsed.buildId), key);
    if (parsed.kind === 'snapshot-metadata')
      assert.equal(snapshotMetadataKey(parsed.collectionId, parsed.snapshotId), key);
  },
  refuses: () => false,
};

/** Input: the marker, a zero byte, the lock. */
const dataDirectory: Decoder = {
  name: 'data-directory',
  covers: ['storage/data-dir.ts'],
  corpus: [
    '{"format":1}\n\0free',
    '{"format":2}\0{"pid":1,"started":"x"}',
    '{"format":1}\0{"pid":999999999,"started":""}',
  ].map((text) => Buffer.from(text)),
  words: ['{', '[', 'null', '"', '1e400', '-1', '0.5', '{"pid":-1,"started":""}', '"started":"1"', '\0'],
  decode: async (bytes) => {
    const text = Buffer.from(bytes);
    const cut = text.indexOf(0);
    const path = join(await mkdtemp(join(tmpdir(), 'tidemark-fuzz-')), 'data');
    await mkdir(path);
    try {
      await writeFile(join(path, 'tidemark.json'), cut < 0 ? text : text.subarray(0, cut));
      if (cut >= 0) await writeFile(join(path, 'lock.3'), text.subarray(cut + 1));
      const opened = await openDataDir(path);
      await opened.release();
    } finally {
      await rm(join(path, '..'), { recursive: true });
    }
  },
  refuses: (error) => isDbError(error, 'parameter-invalid'),
  isSlow: true,
};

export const storedDecoders: readonly Decoder[] = [
  logRecord,
  log,
  catalogRecord,
  catalogFile,
  manifest,
  manifestRecords,
  metadata,
  rowsFile,
  deletesFile,
  statistics,
  hnswIndex,
  storeIdentity,
  objectKey,
  dataDirectory,
];
