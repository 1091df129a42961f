/**
 * Rows of a set of flushed segments, read from their objects the plain way: every row, then every delete against every row. What a
 * snapshot holds is compared by this, apart from any restore.
 */
import { ALL_PARTITIONS, type PartitionId } from '../../src/model/ids.ts';
import type { SegmentFile, SegmentLevel } from '../../src/model/records.ts';
import type { CollectionSchema } from '../../src/model/schema.ts';
import type { Deletes } from '../../src/segment/deletes-file.ts';
import {
  LOAD_DELETES,
  LOAD_SEGMENT,
  type LoadDeletesInput,
  type LoadedSegment,
  type LoadInput,
  loadTasks,
} from '../../src/segment/load.ts';
import type { ObjectStore } from '../../src/storage/object-store.ts';
import { inlineWorkers } from '../../src/support/inline-workers.ts';
import { type Extras, listOf } from './rows.ts';

export interface StoredSegment {
  readonly segmentId: bigint;
  readonly partitionId: PartitionId;
  readonly level: SegmentLevel;
  readonly rowCount: number;
  readonly minTs: bigint;
  readonly maxTs: bigint;
  readonly files: readonly SegmentFile[];
}

export interface Content {
  /** Key to value, as the oracle keeps it. */
  readonly rows: ReadonlyMap<bigint, string>;
  /** Keys of more than one row. */
  readonly twice: ReadonlySet<bigint>;
  /** What is wrong with the segments themselves. */
  readonly wrong: readonly string[];
}

interface StoredRow {
  readonly key: bigint;
  readonly ts: bigint;
  readonly partitionId: PartitionId;
  readonly value: string;
}

/** `until`: nothing may be later than it. */
export async function contentOf(
  store: ObjectStore,
  schema: CollectionSchema,
  partitions: ReadonlyMap<PartitionId, string>,
  segments: readonly StoredSegment[],
  until: bigint,
  extras: Extras,
): Promise<Content> {
  const wrong: string[] = [];
  const rows: StoredRow[] = [];
  const deletes: { readonly key: bigint; readonly ts: bigint; readonly partitionId: PartitionId }[] = [];
  const say = (segment: StoredSegment, what: string) => wrong.push(`segment ${segment.segmentId} ${what}`);
  for (const segment of segments) {
    const { partitionId, level, files } = segment;
    if (files.length === 0 && segment.rowCount === 0) continue;
    if (partitionId !== ALL_PARTITIONS && !partitions.has(partitionId)) say(segment, 'is of no partition');
    const found: { readonly key: bigint; readonly ts: bigint }[] = [];
    if (level === 'L0') {
      for (const each of await deletesIn(store, segment)) {
        found.push(each);
        deletes.push({ ...each, partitionId });
      }
    } else
      for (const each of await rowsIn(store, schema, segment, extras)) {
        found.push(each);
        const value = `${partitions.get(partitionId)}\t${each.value}`;
        rows.push({ key: each.key, ts: each.ts, partitionId, value });
      }
    if (found.length !== segment.rowCount) say(segment, `has ${found.length} rows, not ${segment.rowCount}`);
    for (const { key, ts } of found) {
      if (ts > until) say(segment, `holds key ${key} of ${ts}, after ${until}`);
      if (ts < segment.minTs || ts > segment.maxTs) say(segment, `holds ${ts} outside its bounds`);
    }
  }
  return { ...visible(rows, deletes), wrong };
}

function visible(
  rows: readonly StoredRow[],
  deletes: readonly { readonly key: bigint; readonly ts: bigint; readonly partitionId: PartitionId }[],
): Omit<Content, 'wrong'> {
  const seen = new Map<bigint, string>();
  const twice = new Set<bigint>();
  for (const { key, ts, partitionId, value } of rows) {
    const isDead = deletes.some(
      (each) =>
        each.key === key &&
        each.ts > ts &&
        (each.partitionId === ALL_PARTITIONS || each.partitionId === partitionId),
    );
    if (isDead) continue;
    if (seen.has(key)) twice.add(key);
    seen.set(key, value);
  }
  return { rows: seen, twice };
}

async function rowsIn(
  store: ObjectStore,
  schema: CollectionSchema,
  { files }: StoredSegment,
  extras: Extras,
) {
  const input = { files, fields: schema.fields, vectors: [] };
  const loaded = await workers(store).run<LoadInput, LoadedSegment>(LOAD_SEGMENT, input);
  return listOf(loaded, schema, extras).map((row, i) => ({ ...row, ts: loaded.timestamps[i] ?? 0n }));
}

async function deletesIn(store: ObjectStore, { files }: StoredSegment) {
  const loaded = await workers(store).run<LoadDeletesInput, Deletes>(LOAD_DELETES, { files });
  return Array.from(loaded.timestamps, (ts, i) => ({ key: loaded.keys.values[i] as bigint, ts }));
}

const workers = (store: ObjectStore) => inlineWorkers(loadTasks({ store }));
