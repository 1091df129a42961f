import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { mutationsOf } from '../../../tests/fuzz/mutations.ts';
import { source, World } from '../../../tests/heart/world.ts';
import { isDbError } from '../../errors/db-error.ts';
import type { HybridTime } from '../../model/hybrid-time.ts';
import type { BuildId, FieldId, IndexId, PartitionId, SegmentId } from '../../model/ids.ts';
import type { FileKind } from '../../model/records.ts';
import { snapshotManifestKey } from '../../storage/keys.ts';
import { parseJson, toJson } from '../../support/json.ts';
import { writeBytes, writeLong } from './avro-bytes.ts';
import { decodeManifest, encodeManifest } from './manifest.ts';
import { decodeMetadata, decodeMetadataInSlices, encodeMetadata } from './metadata.ts';
import { readManifest, readMetadata } from './reader.ts';
import { snapshots } from './record.ts';

const golden = (name: string): Buffer =>
  readFileSync(join(import.meta.dirname, '../../../../tests/golden', name));
const manifest = golden('snapshot-manifest-v1.avro');
const metadata = golden('snapshot-metadata-v1.json');

/** Undefined: refused, with the typed error. Anything else that is thrown fails the test. */
function outcome<T>(read: () => T): T | undefined {
  const startedAt = process.hrtime.bigint();
  try {
    return read();
  } catch (error) {
    assert.ok(isDbError(error, 'data-integrity') && error.message.startsWith('here'), String(error));
    return undefined;
  } finally {
    // Far above what the largest input takes, far below what a believed count would.
    assert.ok(process.hrtime.bigint() - startedAt < 2_000_000_000n, 'too slow');
  }
}

const mutations = mutationsOf();

test('fuzz: a manifest that is not byte for byte what was written is refused with a typed error', () => {
  fc.assert(
    fc.property(mutations, (mutate) => {
      const changed = mutate(manifest);
      if (changed.equals(manifest)) return;
      assert.equal(
        outcome(() => decodeManifest(changed, 'here')),
        undefined,
      );
    }),
    { seed: 11, numRuns: 2000 },
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 3000 }), (noise) => {
      assert.equal(
        outcome(() => decodeManifest(noise, 'here')),
        undefined,
      );
    }),
    { seed: 12, numRuns: 300 },
  );
});

/** The records of the golden manifest, and a manifest around any bytes, with the right checksum. */
function opened() {
  const version = manifest.indexOf('tidemark.format_version');
  const header = manifest.subarray(0, version + 'tidemark.format_version'.length + 3);
  const first = header.length + 16;
  const [, ...lengths] = [
    manifest.readUInt8(first),
    manifest.readUInt8(first + 1),
    manifest.readUInt8(first + 2),
  ];
  const bytes = ((lengths[0]! & 0x7f) | (lengths[1]! << 7)) / 2;
  const records = manifest.subarray(first + 3, first + 3 + bytes);
  const sign = (count: bigint, inner: Uint8Array): Buffer => {
    const sync = createHash('sha256').update(inner).digest().subarray(0, 16);
    return Buffer.concat([header, sync, writeLong(count), writeBytes(inner), sync]);
  };
  return { records, sign };
}

test('fuzz: records that were made up, with the right checksum, are decoded or refused, in bounded time and memory', () => {
  const { records, sign } = opened();
  assert.ok(sign(3n, records).equals(manifest));
  let accepted = 0;
  const check = (count: bigint, inner: Uint8Array) => {
    const found = outcome(() => decodeManifest(sign(count, inner), 'here'));
    if (found === undefined) return;
    accepted++;
    // What is believed can be written again and comes back.
    assert.deepEqual(decodeManifest(encodeManifest(found), 'again'), found);
    for (const { files } of found) for (const { key } of files) assert.match(key, /^[\w.-]+(\/[\w.-]+)*$/);
  };
  fc.assert(
    fc.property(mutations, fc.constantFrom(3n, 3n, 3n, 1n, 2n, 512n), (mutate, count) => {
      check(count, mutate(records));
    }),
    { seed: 13, numRuns: 4000 },
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), fc.integer({ min: 1, max: 512 }), (noise, count) => {
      check(BigInt(count), noise);
    }),
    { seed: 14, numRuns: 500 },
  );
  assert.ok(accepted > 20, `${accepted}`);
  // A list of 2^50 files.
  const start = records.indexOf('tidemark-dml') + 'tidemark-dml_0_1v0'.length;
  for (let cut = start; cut < start + 40; cut++)
    check(1n, Buffer.concat([records.subarray(0, cut), writeLong(2n ** 50n)]));
});

test('fuzz: any segments come back from a manifest as they went in', () => {
  const record = <T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }) =>
    fc.record<T>(model, { noNullPrototype: true });
  const int64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
  const id = fc.bigInt({ min: 1n, max: 2n ** 63n - 1n });
  const size = fc.oneof(fc.maxSafeNat(), fc.constantFrom(0, 2 ** 26, 2 ** 27 - 1, 2 ** 52, 2 ** 53 - 1));
  const file = record({
    kind: fc.constantFrom<FileKind>('rows', 'stats', 'deletes', 'index'),
    key: fc.stringMatching(/^[\w-][\w.-]{0,20}(\/[\w-][\w.-]{0,8}){0,4}$/),
    sizeBytes: size,
    crc32: fc.nat(0xffff_ffff),
    etag: fc.string({ unit: 'binary' }),
  });
  const segment = record({
    segmentId: id.map((n) => n as SegmentId),
    partitionId: int64.map((n) => n as PartitionId),
    channel: fc.string({ unit: 'binary' }),
    level: fc.constantFrom('L0' as const, 'L1' as const),
    rowCount: size,
    minTs: int64.map((n) => n as HybridTime),
    maxTs: int64.map((n) => n as HybridTime),
    files: fc.array(file, { maxLength: 4 }),
    indexes: fc.array(
      record({
        indexId: int64.map((n) => n as IndexId),
        buildId: int64.map((n) => n as BuildId),
        fieldId: fc.nat(0x7fff_ffff).map((n) => n as FieldId),
        kind: fc.string({ unit: 'binary' }),
        file,
      }),
      { maxLength: 2 },
    ),
  });
  fc.assert(
    fc.property(fc.array(segment, { minLength: 1, maxLength: 5 }), (segments) => {
      assert.deepEqual(decodeManifest(encodeManifest(segments), 'here'), segments);
    }),
    { seed: 15, numRuns: 300 },
  );
  // A snapshot is cut into manifests: any cut gives the same segments, and what is torn at any byte is refused.
  fc.assert(
    fc.property(
      fc.array(segment, { minLength: 1, maxLength: 9 }),
      fc.integer({ min: 1, max: 9 }),
      (segments, size) => {
        const chunks = Array.from({ length: Math.ceil(segments.length / size) }, (_, n) =>
          Uint8Array.from(encodeManifest(segments.slice(n * size, (n + 1) * size))),
        );
        assert.deepEqual(
          chunks.flatMap((chunk) => decodeManifest(chunk, 'here')),
          segments,
        );
      },
    ),
    { seed: 20, numRuns: 25 },
  );
  for (let length = 0; length < manifest.length; length++)
    assert.equal(
      outcome(() => decodeManifest(manifest.subarray(0, length), 'here')),
      undefined,
    );
});

test('fuzz: metadata of any bytes and any shape is decoded or refused with a typed error', async () => {
  await fc.assert(
    fc.asyncProperty(mutations, async (mutate) => {
      const found = outcome(() => decodeMetadata(mutate(metadata), 'here'));
      if (found !== undefined) assert.deepEqual(decodeMetadata(await encodeMetadata(found), 'again'), found);
    }),
    { seed: 16, numRuns: 2000 },
  );
  // One value somewhere in it replaced by anything.
  const whole = parseJson(metadata.toString());
  fc.assert(
    fc.property(fc.array(fc.nat(), { minLength: 1, maxLength: 8 }), fc.jsonValue(), (path, value) => {
      const changed = structuredClone(whole);
      replaceAt(changed, path, value);
      outcome(() => decodeMetadata(Buffer.from(toJson(changed)), 'here'));
    }),
    { seed: 17, numRuns: 1000 },
  );
  for (const text of ['['.repeat(2_000_000), '{"a":'.repeat(500_000), 'null', '0', '"x"', '[]', '{}', ''])
    assert.equal(
      outcome(() => decodeMetadata(Buffer.from(text), 'here')),
      undefined,
    );
});

function replaceAt(root: unknown, path: readonly number[], value: unknown): void {
  let node = root as Record<string, unknown>;
  for (const [depth, step] of path.entries()) {
    const keys = Object.keys(node);
    const key = keys[step % keys.length];
    if (key === undefined) return;
    const inner = node[key];
    if (depth === path.length - 1 || typeof inner !== 'object' || inner === null) {
      node[key] = value;
      return;
    }
    node = inner as Record<string, unknown>;
  }
}

test('fuzz: no change of a stored object is ever taken for the snapshot', async () => {
  const world = await World.withRows(3);
  const snapshotId = await world.create();
  const record = world.catalog.get(snapshots, snapshotId)!;
  const { memoryStore } = world.disk;
  const opened = await readMetadata(memoryStore, record);
  const manifestKey = snapshotManifestKey(world.find(source).collectionId, snapshotId, 0);
  for (const [key, read] of [
    [record.metadataKey, () => readMetadata(memoryStore, record)],
    [manifestKey, () => readManifest(memoryStore, opened, 0)],
  ] as const) {
    const bytes = Buffer.from(await memoryStore.get(key));
    await fc.assert(
      fc.asyncProperty(mutations, async (mutate) => {
        const changed = mutate(bytes);
        if (changed.equals(bytes)) return;
        await memoryStore.put(key, changed);
        await assert.rejects(
          async () => read(),
          (error) => isDbError(error, 'data-integrity') && error.message.includes(key),
        );
      }),
      { seed: 18, numRuns: 500 },
    );
    await memoryStore.put(key, bytes);
    await read();
  }
  await world.stop();
});

test('a newer format is refused by name and number, whatever else its objects hold', () => {
  const newer = (error: unknown, version: number) => {
    assert.ok(isDbError(error, 'data-integrity'));
    assert.match(
      error.message,
      new RegExp(
        `^here: snapshot format version ${version} is too new.*version: 1 \\(please upgrade Tidemark\\)$`,
      ),
    );
    return true;
  };
  assert.throws(
    () => decodeMetadata(Buffer.from('{"format_version":7,"something":"else"}'), 'here'),
    (error) => newer(error, 7),
  );
  const header = Buffer.concat([
    manifest.subarray(0, 4),
    writeLong(2n),
    ...['tidemark.format_version', '12', 'avro.codec', 'deflate'].map((text) =>
      writeBytes(Buffer.from(text)),
    ),
    writeLong(0n),
    Buffer.from('what version 12 writes'),
  ]);
  assert.throws(
    () => decodeManifest(header, 'here'),
    (error) => newer(error, 12),
  );
});

test('fuzz: metadata read in slices is what it is when it is read at once', async () => {
  const lists = metadata.indexOf(',"segment_ids"');
  await fc.assert(
    fc.asyncProperty(mutations, fc.boolean(), async (mutate, isInLists) => {
      const [kept, changed] = [metadata.subarray(0, lists), metadata.subarray(lists)];
      const bytes = isInLists
        ? Buffer.concat([kept, mutate(changed)])
        : Buffer.concat([mutate(kept), changed]);
      const sliced = await decodeMetadataInSlices(bytes, 'here').catch((error: unknown) => {
        assert.ok(isDbError(error, 'data-integrity'), String(error));
        return undefined;
      });
      assert.deepEqual(
        sliced,
        outcome(() => decodeMetadata(bytes, 'here')),
      );
    }),
    { seed: 19, numRuns: 2000 },
  );
});

test('additional fields of metadata that are not known are ignored, wherever they stand', () => {
  const whole = parseJson(metadata.toString());
  const added = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(added);
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries([
      ...Object.entries(value).map(([key, inner]) =>
        // Maps of texts have no fields: every entry counts.
        [key, ['properties', 'params', 'type_params'].includes(key) ? inner : added(inner)],
      ),
      ['of_the_future', [{ deep: 1.5 }]],
    ]);
  };
  assert.deepEqual(
    decodeMetadata(Buffer.from(toJson(added(whole))), 'here'),
    decodeMetadata(metadata, 'here'),
  );
});
