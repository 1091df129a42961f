/**
 * Which object store belongs to this catalog. A new catalog draws an id and writes it down on both sides: in its own record and in an
 * object of the store. Nothing is ever deleted unless both are there and equal: a catalog that was started over another one's objects
 * would take all of them for garbage. A new catalog over such a store does not even start: its ids begin anew, so it would overwrite them.
 *
 * The record comes first, as a claim; then the object; then the record says `owned`. So a crash in between is no mismatch.
 */
import { type Catalog, put, type TableSpec } from '../../catalog/catalog.ts';
import { DbError, isDbError, messageOf } from '../../errors/db-error.ts';
import { IDENTITY_KEY, OWNED_PREFIXES } from '../../storage/keys.ts';
import type { ObjectStore } from '../../storage/object-store.ts';
import { present } from '../../support/assert.ts';
import type { Clock } from '../../support/clock.ts';
import { parseJson, toJson } from '../../support/json.ts';
import type { Log } from '../../support/log.ts';
import type { Random } from '../../support/random.ts';
import { within } from '../../support/within.ts';
import { copyJobs } from '../copy-segment/job.ts';
import { snapshots } from '../snapshot/record.ts';
import { collections, idLeases, segments } from '../tables.ts';

const FORMAT = 1;
/** One call to the store: a store that hangs must not hang whoever wants to delete. */
const TIMEOUT_MS = 30_000;

export interface StoreIdentityRecord {
  readonly storeId: bigint;
  readonly state: 'claiming' | 'owned';
  /** A catalog that began empty takes an empty store only; one of before there were identities takes what it has. */
  readonly mustBeEmpty: boolean;
}

export const storeIdentities: TableSpec<string, StoreIdentityRecord> = {
  name: 'store-identity',
  version: 1,
  idOf: () => 'store',
};

/** What the store's own object says. */
export type Marker =
  | { readonly is: 'absent' }
  | { readonly is: 'unreadable'; readonly why: string }
  | { readonly is: 'present'; readonly storeId: bigint };

export type IdentityFinding =
  | { readonly kind: 'match' }
  /** The store is ours to mark. */
  | { readonly kind: 'claim' }
  | { readonly kind: 'mismatch'; readonly why: string };

/** `strangers`: a key in the store that a catalog which began empty cannot know. */
export function decideIdentity(
  { storeId, state, mustBeEmpty }: StoreIdentityRecord,
  marker: Marker,
  strangers: string | undefined,
): IdentityFinding {
  const mismatch = (why: string): IdentityFinding => ({ kind: 'mismatch', why });
  if (marker.is === 'unreadable') return mismatch(`the object '${IDENTITY_KEY}' ${marker.why}`);
  const whose = state === 'owned' ? `belongs to store ${storeId}` : 'is new';
  if (marker.is === 'present')
    return marker.storeId === storeId
      ? { kind: 'match' }
      : mismatch(`the catalog ${whose}, this is store ${marker.storeId}`);
  if (state === 'owned') return mismatch(`the catalog ${whose}, this one has no object '${IDENTITY_KEY}'`);
  return mustBeEmpty && strangers !== undefined
    ? mismatch(`the catalog is new, but the store holds objects already, as '${strangers}'`)
    : { kind: 'claim' };
}

const adviceFor = ({ state, mustBeEmpty }: StoreIdentityRecord): string =>
  state === 'claiming' && mustBeEmpty
    ? 'Its ids would begin again and overwrite what is there. Start with the catalog that belongs to these objects, or with an empty data directory'
    : 'Nothing is deleted. Stop the server and start it with the catalog and the objects that were written together';

export const encodeMarker = (storeId: bigint): Uint8Array =>
  new TextEncoder().encode(`${toJson({ format: FORMAT, storeId })}\n`);

export function decodeMarker(bytes: Uint8Array): Marker {
  const unreadable = (why: string): Marker => ({ is: 'unreadable', why });
  let value: { readonly format?: unknown; readonly storeId?: unknown } | null;
  try {
    value = parseJson(new TextDecoder('utf-8', { fatal: true }).decode(bytes)) as typeof value;
  } catch {
    return unreadable('is damaged');
  }
  const { format, storeId } = value ?? {};
  if (typeof format === 'number' && format > FORMAT)
    return unreadable(`has format ${format}, written by a newer Tidemark`);
  if (format !== FORMAT || typeof storeId !== 'string' || !/^[1-9]\d{0,18}$/.test(storeId))
    return unreadable('is damaged');
  return { is: 'present', storeId: BigInt(storeId) };
}

export class StoreIdentity {
  readonly #catalog: Catalog;
  readonly #store: ObjectStore;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #log: Log;
  #isVerified = false;
  /** What the last check found wrong. */
  #trouble: string | undefined;
  #checking: Promise<void> | undefined;

  constructor(parts: {
    readonly catalog: Catalog;
    readonly store: ObjectStore;
    readonly clock: Clock;
    readonly random: Random;
    readonly log: Log;
  }) {
    this.#catalog = parts.catalog;
    this.#store = parts.store;
    this.#clock = parts.clock;
    this.#random = parts.random;
    this.#log = parts.log;
  }

  /**
   * Once, before anything else writes to catalog or store. No start waits for a store that was taken before, nor fails because of it:
   * whoever deletes first compares. But a catalog that begins empty must have seen its store empty before either is written to:
   * throws `store-mismatch`, or what the store failed with.
   */
  async open(): Promise<void> {
    const catalog = this.#catalog;
    if (catalog.get(storeIdentities, 'store') === undefined) {
      const storeId = this.#random.positiveInt64();
      const tables = [collections, segments, snapshots, copyJobs, idLeases];
      const mustBeEmpty = tables.every((table) => catalog.count(table) === 0);
      await catalog.commitSure([
        put(storeIdentities, { storeId, state: 'claiming', mustBeEmpty }, undefined),
      ]);
    }
    const { state, mustBeEmpty } = this.#record();
    if (state === 'owned') return;
    // What ends the start is told by whoever asked for it.
    if (mustBeEmpty) return this.#compare();
    try {
      await this.verify();
    } catch (error) {
      if (!isDbError(error)) throw error;
    }
  }

  /** Compares both sides now. Throws `store-mismatch`, or what the store failed with. */
  verify(): Promise<void> {
    this.#checking ??= this.#verify().finally(() => {
      this.#checking = undefined;
    });
    return this.#checking;
  }

  /**
   * As `verify`, but what has been found right is not looked at again. Throws `service-unavailable`, too, once the catalog does not know
   * what it holds: a commit that nobody was told of may need what seems to be garbage.
   */
  async require(): Promise<void> {
    if (!this.#isVerified) await this.verify();
    this.#catalog.requireUsable();
  }

  /** Whether something was wrong and, looked at again, is not. */
  async isOverNow(): Promise<boolean> {
    if (this.#trouble === undefined) return false;
    try {
      await this.verify();
      return true;
    } catch (error) {
      if (!isDbError(error)) throw error;
      return false;
    }
  }

  troubles(): readonly string[] {
    return this.#trouble === undefined ? [] : [this.#trouble];
  }

  async #verify(): Promise<void> {
    try {
      await this.#compare();
      this.#isVerified = true;
      this.#trouble = undefined;
    } catch (error) {
      // A store that does not answer for once is the one it was before.
      if (isDbError(error, 'store-mismatch')) this.#isVerified = false;
      if (!this.#isVerified) this.#note(error);
      throw error;
    }
  }

  #note(error: unknown): void {
    const trouble = isDbError(error, 'store-mismatch')
      ? error.message
      : `nothing is deleted: the object store does not answer: ${messageOf(error)}`;
    if (this.#trouble !== trouble) this.#log.error('store-not-verified', { reason: trouble });
    this.#trouble = trouble;
  }

  async #compare(): Promise<void> {
    const record = this.#record();
    const marker = await this.#timed(this.#readMarker());
    const isUnclaimed = marker.is === 'absent' && record.state === 'claiming' && record.mustBeEmpty;
    const finding = decideIdentity(
      record,
      marker,
      isUnclaimed ? await this.#timed(this.#stranger()) : undefined,
    );
    if (finding.kind === 'mismatch')
      throw new DbError(
        'store-mismatch',
        `catalog and object store do not belong together: ${finding.why}. ${adviceFor(record)}`,
      );
    if (finding.kind === 'claim')
      await this.#timed(this.#store.put(IDENTITY_KEY, encodeMarker(record.storeId)));
    if (record.state === 'claiming')
      await this.#catalog.commitSure([put(storeIdentities, { ...record, state: 'owned' }, record)]);
  }

  #timed<T>(answer: Promise<T>): Promise<T> {
    return within(this.#clock, TIMEOUT_MS, answer, () => {
      throw new DbError('storage-failed', `no answer within ${TIMEOUT_MS} ms`);
    });
  }

  #record(): StoreIdentityRecord {
    return present(this.#catalog.get(storeIdentities, 'store'), 'the identity of the store');
  }

  async #readMarker(): Promise<Marker> {
    try {
      return decodeMarker(await this.#store.get(IDENTITY_KEY));
    } catch (error) {
      if (isDbError(error, 'object-not-found')) return { is: 'absent' };
      throw error;
    }
  }

  async #stranger(): Promise<string | undefined> {
    for (const prefix of OWNED_PREFIXES) for await (const { key } of this.#store.list(prefix)) return key;
    return undefined;
  }
}
