/**
 * Rows that were deleted and whose unit has gone since, because its segment was flushed or compacted. Readers that come back page after page
 * have the rows of their beginning, so as long as one may come back, these rows are kept: copied out of the unit that goes, in
 * memory only, seen by nobody else. A row may be known twice, here and by a unit that took over the segment while it died.
 */
import { isDbError } from '../errors/db-error.ts';
import type { HybridTime } from '../model/hybrid-time.ts';
import type { PartitionId } from '../model/ids.ts';
import type { CollectionSchema } from '../model/schema.ts';
import { DeleteMap } from '../segment/delete-map.ts';
import { gatherRows } from './gather.ts';
import { GrowingSegment } from './growing.ts';
import type { Pacer } from './pacer.ts';
import type { Unit, UnitView } from './unit.ts';
import type { VectorEngine } from './vectors.ts';

/** How long after its last page a reader is expected back. */
export const LEASE_MS = 10 * 60_000;
const MAX_LEASES = 1024;
/** Of a collection; the oldest are forgotten first. */
const MAX_ROWS = 262_144;
/** Of the rows of one unit. */
const MAX_BYTES = 256 * 2 ** 20;
const ROWS_PER_SLICE = 256;
const COST_PER_ROW = 60;

/** Dead rows of a unit, and when they died. */
export interface DeadRows {
  readonly rows: Uint32Array;
  readonly times: BigInt64Array;
}

interface Ghost {
  readonly unit: Unit;
  /** Absent: the unit is the one that has gone, with all that it holds. A delete that is being applied may still kill rows of it. */
  readonly dead?: DeadRows;
}

export class Ghosts {
  readonly #engine: VectorEngine;
  /** Until when somebody may ask for the rows of a time. */
  readonly #leases = new Map<bigint, number>();
  #ghosts: readonly Ghost[] = [];

  constructor(engine: VectorEngine) {
    this.#engine = engine;
  }

  get isEmpty(): boolean {
    return this.#ghosts.length === 0;
  }

  /** Somebody reads the rows of a time, and may come back for more. */
  lease(ts: HybridTime, nowMs: number): void {
    this.#leases.delete(ts);
    this.#leases.set(ts, nowMs + LEASE_MS);
    if (this.#leases.size <= MAX_LEASES) return;
    for (const oldest of this.#leases.keys()) {
      this.#leases.delete(oldest);
      return;
    }
  }

  /** Forgets what nobody comes back for. */
  expire(nowMs: number): void {
    for (const [ts, untilMs] of this.#leases) if (untilMs <= nowMs) this.#leases.delete(ts);
    if (this.isEmpty) return;
    const oldest = this.#oldest;
    this.#keep(({ dead }) => oldest !== undefined && (dead?.times.at(-1) ?? oldest + 1n) > oldest);
  }

  /** Takes over the owner's hold on a unit that goes. */
  leave(unit: Unit): void {
    if (this.#leases.size === 0) unit.release();
    else this.#ghosts = [...this.#ghosts, { unit }];
  }

  /** Units that have gone, and that deletes which were on their way when they did may still kill rows of. */
  get reachable(): readonly Unit[] {
    return this.#ghosts.flatMap(({ unit, dead }) => (dead === undefined ? [unit] : []));
  }

  /** Of partitions, absent: all. To be released. */
  *views(only: ReadonlySet<PartitionId> | undefined): Generator<UnitView> {
    const oldest = this.#oldest ?? 0n;
    for (const { unit, dead = unit.deadAfter(oldest) } of this.#ghosts)
      if (only?.has(unit.place.partitionId) ?? true) yield { ...unit.view(), dead };
  }

  /** Those whose partition is gone. */
  forget(partitions: ReadonlySet<PartitionId>): void {
    this.#keep(({ unit }) => !partitions.has(unit.place.partitionId));
  }

  /** Copies the dead rows out of units that have gone, so that these can be freed. Every write that may have met them has been applied. */
  async settle(schema: CollectionSchema, pacer: Pacer): Promise<void> {
    for (const ghost of this.#ghosts.filter(({ dead }) => dead === undefined)) {
      const dead = ghost.unit.deadAfter(this.#oldest ?? 0n);
      const copies = await this.#copied(ghost.unit, dead, schema, pacer);
      if (this.#ghosts.includes(ghost)) {
        this.#ghosts = this.#ghosts.flatMap((each) => (each === ghost ? copies : [each]));
        ghost.unit.release();
      } else for (const { unit } of copies) unit.release();
    }
    let rows = 0;
    const kept = new Set<Ghost>();
    for (const ghost of [...this.#ghosts].reverse()) {
      rows += ghost.dead?.rows.length ?? 0;
      if (rows <= MAX_ROWS) kept.add(ghost);
    }
    this.#keep((ghost) => kept.has(ghost));
  }

  release(): void {
    this.#leases.clear();
    this.#keep(() => false);
  }

  get #oldest(): bigint | undefined {
    let oldest: bigint | undefined;
    for (const ts of this.#leases.keys()) if (oldest === undefined || ts < oldest) oldest = ts;
    return oldest;
  }

  #keep(isKept: (ghost: Ghost) => boolean): void {
    const were = this.#ghosts;
    this.#ghosts = were.filter(isKept);
    for (const ghost of were) if (!this.#ghosts.includes(ghost)) ghost.unit.release();
  }

  /** Nothing when there is no room: then they are gone, as all deleted rows once are. */
  async #copied(
    unit: Unit,
    { rows, times }: DeadRows,
    schema: CollectionSchema,
    pacer: Pacer,
  ): Promise<readonly Ghost[]> {
    if (rows.length === 0) return [];
    const view = unit.view();
    const segment = new GrowingSegment(unit.place, this.#engine, { isGrowing: unit.isGrowing });
    try {
      const refs = { units: new Uint32Array(rows.length), rows };
      const batch = await gatherRows([view], refs, schema.fields, { pacer, maxBytes: MAX_BYTES });
      const none = new DeleteMap();
      for (let first = 0; first < batch.rowCount; first++) {
        const ts = unit.timestampAt(rows[first] ?? 0) as HybridTime;
        segment.append(schema, batch, ts, none, { first, end: first + 1 });
        if (first % ROWS_PER_SLICE === 0) await pacer.spend(ROWS_PER_SLICE * COST_PER_ROW);
      }
      return partsOf(segment.units, times);
    } catch (error) {
      segment.release();
      if (isDbError(error, 'resource-exhausted') || isDbError(error, 'parameter-too-large')) return [];
      throw error;
    } finally {
      view.release();
    }
  }
}

/** The rows stand in the units one after another. */
function partsOf(units: readonly Unit[], times: BigInt64Array): Ghost[] {
  let from = 0;
  return units.map((unit) => {
    const part = times.slice(from, from + unit.rowCount);
    from += unit.rowCount;
    return { unit, dead: { rows: Uint32Array.from(part, (_, row) => row), times: part } };
  });
}
