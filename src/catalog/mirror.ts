/** The records of one table in memory, by id and by each of its indexes. Keyed by the ids themselves: a look-up makes no string. */
import { assert } from '../support/assert.ts';

export type Id = bigint | string;
export type IndexValue = bigint | string | undefined;

interface Index {
  readonly name: string;
  readonly read: (record: object) => IndexValue;
  readonly byValue: Map<IndexValue, Map<Id, object>>;
}

export class Mirror {
  readonly rows = new Map<Id, object>();
  readonly #indexes: readonly Index[];

  constructor(indexes: Readonly<Record<string, Index['read']>>) {
    this.#indexes = Object.entries(indexes).map(([name, read]) => ({ name, read, byValue: new Map() }));
  }

  /** Undefined: no record. */
  found(index: string, value: bigint | string): ReadonlyMap<Id, object> | undefined {
    const of = this.#indexes.find(({ name }) => name === index);
    assert(of !== undefined, `no index ${index}`);
    return of.byValue.get(value);
  }

  replace(id: Id, was: object | undefined, is: object | undefined): void {
    if (is === undefined) this.rows.delete(id);
    else this.rows.set(id, is);
    for (const { read, byValue } of this.#indexes) {
      const [before, after] = [was && read(was), is && read(is)];
      // Most changes leave the value as it is: then the record is replaced where it stands.
      if (before !== undefined && before !== after) removeFrom(byValue, before, id);
      if (is !== undefined) addTo(byValue, after, id, is);
    }
  }
}

function removeFrom(byValue: Index['byValue'], value: IndexValue, id: Id): void {
  const records = byValue.get(value);
  records?.delete(id);
  if (records?.size === 0) byValue.delete(value);
}

function addTo(byValue: Index['byValue'], value: IndexValue, id: Id, record: object): void {
  if (value === undefined) return;
  const present = byValue.get(value);
  if (present !== undefined) present.set(id, record);
  else byValue.set(value, new Map([[id, record]]));
}
