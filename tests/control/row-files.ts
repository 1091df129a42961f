/** Rows and deletes as keys with timestamps, in files that are arrays: a data node that really compacts, and what a reader would see. */
import { segments } from '../../src/coordinator/tables.ts';
import type { NodeOutput, NodeWork } from '../../src/datanode/api.ts';
import { DbError } from '../../src/errors/db-error.ts';
import type { HybridTime } from '../../src/model/hybrid-time.ts';
import { ALL_PARTITIONS, type CollectionId, type PartitionId, type SegmentId } from '../../src/model/ids.ts';
import type { SegmentFile, SegmentLevel } from '../../src/model/records.ts';
import { honestNode } from './fake-nodes.ts';
import type { World } from './world.ts';

interface Item {
  readonly key: number;
  readonly ts: bigint;
}

const BYTES_PER_ITEM = 100;

export class RowFiles {
  readonly files = new Map<string, readonly Item[]>();
  /** Keys of the log record at an offset. */
  readonly #keys = new Map<number, readonly number[]>();
  /** Every row and delete ever written, in order. */
  readonly #written: (Item & { readonly level: SegmentLevel })[] = [];

  /** Writes rows (or deletes) with these keys; answers their segment. */
  async write(
    world: World,
    of: { readonly collectionId: CollectionId; readonly partitionId: PartitionId },
    keys: readonly number[],
    level: SegmentLevel = 'L1',
  ): Promise<SegmentId> {
    const partitionId = level === 'L0' ? ALL_PARTITIONS : of.partitionId;
    const segmentId = await world.log.rows(of.collectionId, partitionId, keys.length, level);
    const { records } = world.disk;
    const ts = records.at(-1)?.ts ?? 0n;
    this.#keys.set(records.length - 1, keys);
    for (const key of keys) this.#written.push({ key, ts, level });
    return segmentId;
  }

  node = (world: World) => {
    const honest = honestNode(world.disk);
    return (work: NodeWork): NodeOutput => {
      const { segmentId } = work.kind === 'copy-segment' ? { segmentId: 0n } : work.place;
      if (work.kind === 'flush') {
        const items = work.positions.flatMap(({ offset }) =>
          (this.#keys.get(offset) ?? []).map((key) => ({ key, ts: world.disk.records[offset]?.ts ?? 0n })),
        );
        return { kind: 'flush', rowCount: items.length, files: [this.#put(segmentId, work.level, items)] };
      }
      if (work.kind === 'compact') {
        const items = this.#read(work.sources);
        const left = alive(items, this.#read(work.deletes));
        const killed = items.length - left.length;
        if (killed < work.minKilled) return { kind: 'compact', killed };
        const files = left.length === 0 ? [] : [this.#put(segmentId, 'L1', left)];
        return { kind: 'compact', killed, segment: { files, ...shapeOf(left) } };
      }
      if (work.kind === 'compact-deletes') {
        const inOrder = this.#read(work.sources).toSorted((a, b) => (a.ts < b.ts ? -1 : 1));
        const newest = [...new Map(inOrder.map((item) => [item.key, item])).values()];
        const files = [this.#put(segmentId, 'L0', newest)];
        return { kind: 'compact-deletes', segment: { files, ...shapeOf(newest) } };
      }
      return honest(work);
    };
  };

  /** Keys of the rows a reader of the flushed segments sees, one for every row, in order. */
  visible({ foundations }: World, collectionId: CollectionId): readonly number[] {
    const flushed = foundations.catalog
      .find(segments, 'collection', collectionId)
      .filter(({ state }) => state === 'flushed');
    const of = (level: SegmentLevel) => this.#read(flushed.filter((segment) => segment.level === level));
    return keysOf(alive(of('L1'), of('L0')));
  }

  /** What was written and not deleted afterwards. */
  expected(): readonly number[] {
    const of = (level: SegmentLevel) => this.#written.filter((item) => item.level === level);
    return keysOf(alive(of('L1'), of('L0')));
  }

  #read(of: readonly { readonly files: readonly SegmentFile[] }[]): readonly Item[] {
    return of.flatMap(({ files }) =>
      files.flatMap(({ key }) => {
        const items = this.files.get(key);
        if (items === undefined) throw new DbError('object-not-found', key);
        return items;
      }),
    );
  }

  #put(segmentId: bigint, level: SegmentLevel, items: readonly Item[]): SegmentFile {
    const kind = level === 'L1' ? 'rows' : 'deletes';
    const key = `segments/${segmentId}/${kind}`;
    this.files.set(key, items);
    return { kind, key, sizeBytes: items.length * BYTES_PER_ITEM, crc32: 1, etag: 'v1' };
  }
}

const alive = <T extends Item>(rows: readonly T[], deletes: readonly Item[]): readonly T[] =>
  rows.filter((row) => !deletes.some(({ key, ts }) => key === row.key && row.ts < ts));

const keysOf = (items: readonly Item[]): readonly number[] =>
  items.map(({ key }) => key).toSorted((a, b) => a - b);

const shapeOf = (items: readonly Item[]) => {
  const times = items.map(({ ts }) => ts).toSorted((a, b) => (a < b ? -1 : 1));
  const at = (ts: bigint | undefined) => (ts ?? 0n) as HybridTime;
  return { rowCount: items.length, minTs: at(times[0]), maxTs: at(times.at(-1)) };
};
