/**
 * Typed tables over a `Kv`. The coordinator is the only writer: the tables are mirrored in memory, read synchronously, and
 * changed by `commit`: all changes of a call become durable together, then visible together. Records are immutable values;
 * every change names the record it was based on, so a lost race is an answer ("stale") and not an overwrite.
 */
import { DbError, messageOf } from '../errors/db-error.ts';
import { assert } from '../support/assert.ts';
import { type Account, TableAccount } from './account.ts';
import { decodeRecord, encodeRecord } from './codec.ts';
import {
  assertBounds,
  type Kv,
  type KvCondition,
  type KvEntry,
  type KvOp,
  MAX_COMMIT_BYTES,
  MAX_OPS_PER_COMMIT,
} from './kv.ts';
import { type Id, type IndexValue, Mirror } from './mirror.ts';

export interface TableSpec<Id extends bigint | string, R extends object> {
  /** First part of the key in the Kv: `{name}/{id}`. */
  readonly name: string;
  /** Version of the stored record; a newer one is refused by name. */
  readonly version: number;
  readonly idOf: (record: R) => Id;
  /** Secondary indexes: name to the value a record is found by (undefined: not in that index). */
  readonly indexes?: Readonly<Record<string, (record: R) => IndexValue>>;
}

// biome-ignore lint/suspicious/noExplicitAny: a list of tables of different records; each use is typed by its own spec.
export type AnyTable = TableSpec<any, any>;

/** One record replaced. `was` undefined: it is new. `is` undefined: it is removed. */
export interface Change {
  readonly table: AnyTable;
  readonly was: object | undefined;
  readonly is: object | undefined;
}

/** `was` is the record that was read, undefined for a new one. */
export const put = <Id extends bigint | string, R extends object>(
  table: TableSpec<Id, R>,
  is: R,
  was: R | undefined,
): Change => ({ table, is, was });

export const remove = <Id extends bigint | string, R extends object>(
  table: TableSpec<Id, R>,
  was: R,
): Change => ({ table, is: undefined, was });

interface Waiting {
  readonly changes: readonly Change[];
  /** One for each change. */
  readonly ops: readonly KvOp[];
  readonly bytes: number;
  readonly resolve: (outcome: 'committed' | 'stale') => void;
  readonly reject: (error: unknown) => void;
}

export interface CatalogOptions {
  readonly kv: Kv;
  readonly tables: readonly AnyTable[];
  /** Written with every commit and handed back at the next start: no timestamp may go backwards over a restart. */
  readonly highWater: () => bigint;
}

const EPOCH_KEY = 'meta/epoch';
const MARK_KEY = 'meta/high-water';
/** What a batch needs for itself: the mark. */
const OWN_OPS = 1;
const OWN_BYTES = 4096;

/** Written with every commit. */
interface Mark {
  readonly highWater: bigint;
  /** Of every table that was ever written to. */
  readonly tables: Readonly<Record<string, Account>>;
}

const NO_MARK: Mark = { highWater: 0n, tables: {} };

/** The most changes one commit can hold. */
export const MAX_CHANGES_PER_COMMIT = MAX_OPS_PER_COMMIT - OWN_OPS;

const idOf = ({ table, is, was }: Change): Id => table.idOf(is ?? was) as Id;
const keyOf = (change: Change): string => {
  const { table, is, was } = change;
  const id = idOf(change);
  if (is !== undefined && was !== undefined)
    assert(table.idOf(was) === id, `a change moves ${table.name}/${id}`);
  return `${table.name}/${id}`;
};
const opOf = (change: Change): KvOp =>
  change.is === undefined
    ? { kind: 'delete', key: keyOf(change) }
    : { kind: 'put', key: keyOf(change), value: encodeRecord(change.table.version, change.is) };

export class Catalog {
  readonly #kv: Kv;
  readonly #highWater: () => bigint;
  readonly #mirrors = new Map<string, Mirror>();
  readonly #accounts = new Map<string, TableAccount>();
  /** As stored, those of tables that are not open too. */
  #stored: Mark['tables'] = {};
  readonly #listeners = new Set<(changes: readonly Change[]) => void>();
  readonly #waiting: Waiting[] = [];
  /** Guards every commit: a second coordinator that has opened the catalog makes ours stale for good. */
  readonly #fence: KvCondition;
  #writing: Promise<void> | undefined;
  #failure: DbError | undefined;
  #giveUp: (failure: DbError) => void = () => undefined;
  /**
   * Resolves, with what every later commit says, when this catalog can never be written again: the outcome of a write is unknown, or
   * another coordinator took over. Only a new opener knows what is stored; never settles when the catalog is merely closed.
   */
  readonly failed: Promise<DbError>;
  /** The high-water mark found at open. */
  readonly recoveredHighWater: bigint;

  private constructor(options: CatalogOptions, fence: KvCondition, recoveredHighWater: bigint) {
    this.#kv = options.kv;
    this.#highWater = options.highWater;
    this.#fence = fence;
    this.recoveredHighWater = recoveredHighWater;
    this.failed = new Promise((resolve) => {
      this.#giveUp = resolve;
    });
    for (const { name, indexes = {} } of options.tables) {
      this.#accounts.set(name, new TableAccount());
      this.#mirrors.set(name, new Mirror(indexes));
    }
  }

  /** Takes over the catalog (older openers are fenced off) and reads every table. Throws `data-integrity`. */
  static async open(options: CatalogOptions): Promise<Catalog> {
    const { kv } = options;
    const last = await kv.get(EPOCH_KEY);
    const epoch = last === undefined ? 0 : (decodeRecord(1, last, EPOCH_KEY) as number);
    const value = encodeRecord(1, epoch + 1);
    const outcome = await kv.commit(
      [{ kind: 'put', key: EPOCH_KEY, value }],
      [{ key: EPOCH_KEY, value: last }],
    );
    if (outcome === 'stale')
      throw new DbError('service-unavailable', 'another coordinator is taking over the catalog');
    const stored = await kv.get(MARK_KEY);
    const mark = stored === undefined ? NO_MARK : (decodeRecord(1, stored, MARK_KEY) as Mark);
    const catalog = new Catalog(options, { key: EPOCH_KEY, value }, mark.highWater);
    catalog.#stored = mark.tables;
    for (const table of options.tables) catalog.#read(table, await kv.range(`${table.name}/`));
    return catalog;
  }

  #read(table: AnyTable, entries: readonly KvEntry[]): void {
    const account = this.#account(`${table.name}/`);
    for (const { key, value } of entries) {
      account.set(key, value);
      this.#apply({ table, was: undefined, is: decodeRecord(table.version, value, key) as object });
    }
    const [count, sum] = account.now;
    const [storedCount, storedSum] = this.#stored[table.name] ?? [0, 0];
    if (count !== storedCount || sum !== storedSum)
      throw new DbError(
        'data-integrity',
        `catalog table '${table.name}' holds ${count} records, and not the ${storedCount} that were written`,
      );
  }

  get<Id extends bigint | string, R extends object>(table: TableSpec<Id, R>, id: Id): R | undefined {
    return this.#mirror(table).rows.get(id) as R | undefined;
  }

  /** Every record, oldest key first as stored, then in order of arrival. */
  all<Id extends bigint | string, R extends object>(table: TableSpec<Id, R>): Iterable<R> {
    return this.#mirror(table).rows.values() as Iterable<R>;
  }

  count(table: AnyTable): number {
    return this.#mirror(table).rows.size;
  }

  /** Records whose index `index` has `value`; costs in proportion to the answer. */
  find<Id extends bigint | string, R extends object>(
    table: TableSpec<Id, R>,
    index: string,
    value: bigint | string,
  ): readonly R[] {
    return [...((this.#mirror(table).found(index, value)?.values() ?? []) as Iterable<R>)];
  }

  /** How many records `find` answers with. */
  countOf(table: AnyTable, index: string, value: bigint | string): number {
    return this.#mirror(table).found(index, value)?.size ?? 0;
  }

  /** Told after each commit, with all its changes, synchronously. Must not throw. */
  onChange(listener: (changes: readonly Change[]) => void): void {
    this.#listeners.add(listener);
  }

  /**
   * All changes or none. `stale` when a record is no longer the one a change was based on: read again and decide again.
   * At most `MAX_CHANGES_PER_COMMIT` changes, each of another record. Concurrent commits share one write; with no changes it
   * stores the high-water mark alone. Rejects with `resource-exhausted` (records too large for one write) or `storage-full`,
   * nothing written; or, for good, with `service-unavailable` once the outcome of a write is unknown or another coordinator
   * took over.
   */
  async commit(changes: readonly Change[]): Promise<'committed' | 'stale'> {
    assert(changes.length <= MAX_CHANGES_PER_COMMIT, `a commit of ${changes.length} changes`);
    this.requireUsable();
    const ops = changes.map(opOf);
    const bytes = assertBounds(ops);
    if (bytes > MAX_COMMIT_BYTES - OWN_BYTES)
      throw new DbError('resource-exhausted', `a commit of ${bytes} bytes`);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ changes, ops, bytes, resolve, reject });
      this.#writing ??= this.#writeAll();
    });
  }

  /** As `commit`, for changes that nobody else can have raced: "stale" is then a fault of ours. */
  async commitSure(changes: readonly Change[]): Promise<void> {
    const outcome = await this.commit(changes);
    assert(
      outcome === 'committed',
      `stale commit of ${changes.map((c) => `${c.table.name}/${idOf(c)}`).join(', ')}`,
    );
  }

  /** Throws `service-unavailable` once the records here may not be those that are stored: nothing may be done on the strength of them. */
  requireUsable(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Ends what is being written; what still waits, and every later commit, is refused. */
  async close(): Promise<void> {
    this.#failure ??= new DbError('service-unavailable', 'the catalog is closed');
    await this.#writing;
    await this.#kv.close();
  }

  async #writeAll(): Promise<void> {
    while (this.#waiting.length > 0) await this.#writeBatch();
    this.#writing = undefined;
  }

  /** Takes as many waiting commits as fit, checks each against what is current after those before it, writes them at once. */
  async #writeBatch(): Promise<void> {
    const { accepted, ops } = this.#takeBatch();
    const error = accepted.length === 0 ? undefined : await this.#write(ops);
    for (const { changes, resolve, reject } of accepted) {
      if (error !== undefined) {
        reject(error);
        continue;
      }
      for (const change of changes) this.#apply(change);
      for (const listener of this.#listeners) listener(changes);
      resolve('committed');
    }
  }

  #takeBatch(): { readonly accepted: readonly Waiting[]; readonly ops: readonly KvOp[] } {
    const pending = new Map<string, object | undefined>();
    const accepted: Waiting[] = [];
    /** By key: of two commits that change one record after each other only the later state is written. */
    const ops = new Map<string, KvOp>();
    let bytes = OWN_BYTES;
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      if (ops.size + next.ops.length > MAX_CHANGES_PER_COMMIT) break;
      if (bytes + next.bytes > MAX_COMMIT_BYTES) break;
      this.#waiting.shift();
      if (!this.#isCurrent(next, pending)) {
        next.resolve('stale');
        continue;
      }
      accepted.push(next);
      bytes += next.bytes;
      for (const [n, op] of next.ops.entries()) {
        pending.set(op.key, next.changes[n]?.is);
        ops.set(op.key, op);
      }
    }
    return { accepted, ops: [...ops.values()] };
  }

  async #write(ops: readonly KvOp[]): Promise<DbError | undefined> {
    if (this.#failure !== undefined) return this.#failure;
    const failure = await this.#store(ops);
    if (failure !== undefined && failure.code !== 'storage-full') {
      this.#failure = failure;
      this.#giveUp(failure);
    }
    return failure;
  }

  /** `storage-full`: nothing is written. Anything else: the catalog is of no use any more. */
  async #store(ops: readonly KvOp[]): Promise<DbError | undefined> {
    const undo = ops.map((op) => this.#account(op.key).set(op.key, op.kind === 'put' ? op.value : undefined));
    try {
      const outcome = await this.#kv.commit([...ops, this.#mark()], [this.#fence]);
      return outcome === 'committed'
        ? undefined
        : new DbError('service-unavailable', 'another coordinator has taken over the catalog');
    } catch (error) {
      for (const takeBack of undo) takeBack();
      if (error instanceof DbError && error.code === 'storage-full') return error;
      return new DbError(
        'service-unavailable',
        `a catalog write failed with unknown outcome: ${messageOf(error)}`,
        { cause: error },
      );
    }
  }

  #mark(): KvOp {
    const accounts = [...this.#accounts].map(([name, { now }]) => [name, now] as const);
    const tables = { ...this.#stored, ...Object.fromEntries(accounts) };
    const mark: Mark = { highWater: this.#highWater(), tables };
    return { kind: 'put', key: MARK_KEY, value: encodeRecord(1, mark) };
  }

  /** Of the table that a key is of. */
  #account(key: string): TableAccount {
    const account = this.#accounts.get(key.slice(0, key.indexOf('/')));
    assert(account !== undefined, `key '${key}' is of no table that was opened`);
    return account;
  }

  #isCurrent({ changes, ops }: Waiting, pending: ReadonlyMap<string, object | undefined>): boolean {
    return changes.every((change, n) => {
      const key = ops[n]?.key ?? '';
      const current = pending.has(key) ? pending.get(key) : this.#mirror(change.table).rows.get(idOf(change));
      return current === change.was;
    });
  }

  #mirror(table: AnyTable): Mirror {
    const mirror = this.#mirrors.get(table.name);
    assert(mirror !== undefined, `table ${table.name} was not opened`);
    return mirror;
  }

  #apply(change: Change): void {
    this.#mirror(change.table).replace(idOf(change), change.was, change.is);
  }
}
