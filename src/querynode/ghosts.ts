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

interface Ghost extends DeadRows {
  readonly unit: Unit;
  /** The unit is the one that has gone, with all that it holds. */
  readonly isWhole: boolean;
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
    this.#keep(({ times }) => oldest !== undefined && (times.at(-1) ?? 0n) > oldest);
  }

  /** Takes over the owner's hold on a unit that goes. */
  leave(unit: Unit): void {
    const oldest = this.#oldest;
    const dead = oldest === undefined ? undefined : unit.deadAfter(oldest);
    if (dead === undefined || dead.rows.length === 0) unit.release();
    else this.#ghosts = [...this.#ghosts, { unit, isWhole: true, ...dead }];
  }

  /** Of partitions, absent: all. To be released. */
  *views(only: ReadonlySet<PartitionId> | undefined): Generator<UnitView> {
    for (const { unit, rows, times } of this.#ghosts)
      if (only?.has(unit.place.partitionId) ?? true) yield { ...unit.view(), dead: { rows, times } };
  }

  /** Those whose partition is gone. */
  forget(partitions: ReadonlySet<PartitionId>): void {
    this.#keep(({ unit }) => !partitions.has(unit.place.partitionId));
  }

  /** Copies the dead rows out of units that have gone, so that these can be freed. */
  async settle(schema: CollectionSchema, pacer: Pacer): Promise<void> {
    for (const ghost of this.#ghosts.filter(({ isWhole }) => isWhole)) {
      const copies = await this.#copied(ghost, schema, pacer);
      if (this.#ghosts.includes(ghost)) {
        this.#ghosts = this.#ghosts.flatMap((each) => (each === ghost ? copies : [each]));
        ghost.unit.release();
      } else for (const { unit } of copies) unit.release();
    }
    let rows = 0;
    const kept = new Set<Ghost>();
    for (const ghost of [...this.#ghosts].reverse()) {
      rows += ghost.rows.length;
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
  async #copied(ghost: Ghost, schema: CollectionSchema, pacer: Pacer): Promise<readonly Ghost[]> {
    const view = ghost.unit.view();
    const segment = new GrowingSegment(ghost.unit.place, this.#engine, { isGrowing: ghost.unit.isGrowing });
    try {
      const refs = { units: new Uint32Array(ghost.rows.length), rows: ghost.rows };
      const batch = await gatherRows([view], refs, schema.fields, { pacer, maxBytes: MAX_BYTES });
      const none = new DeleteMap();
      for (let first = 0; first < batch.rowCount; first++) {
        const ts = ghost.unit.timestampAt(ghost.rows[first] ?? 0) as HybridTime;
        segment.append(schema, batch, ts, none, { first, end: first + 1 });
        if (first % ROWS_PER_SLICE === 0) await pacer.spend(ROWS_PER_SLICE * COST_PER_ROW);
      }
      return partsOf(segment.units, ghost.times);
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
    return { unit, isWhole: false, rows: Uint32Array.from(part, (_, row) => row), times: part };
  });
}
